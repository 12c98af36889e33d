//! Rows into a real ClickHouse and back.

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use logmon_dsl::{
    column::{Batch, Column, Layout, Names, batch::Meta, load::load},
    eval::Routed,
    plan::SinkId,
};
use logmon_engine::sink::clickhouse::{
    AppendReport, Binding, Block, Class, Client, Compression, Context, Endpoint, Inserter, OnAbsent,
    Options, SinkError, Table, TableBuilder, bind::bind_named, ddl,
};
use logmon_services::ClickHouse;

/// 2026-11-21T12:00:00Z: the clock and the records' Kafka timestamp.
const NOON: i64 = 1_795_262_400_000_000_000;

fn server() -> &'static ClickHouse {
    static SERVER: OnceLock<ClickHouse> = OnceLock::new();
    SERVER.get_or_init(|| ClickHouse::start().unwrap())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn endpoint() -> Endpoint {
    let server = server();
    Endpoint {
        sink: "logs".into(),
        url: server.url().into(),
        database: "default".into(),
        user: server.user().into(),
        password: server.password().into(),
    }
}

fn client() -> Arc<Client> {
    Arc::new(Client::new(endpoint()).unwrap())
}

fn sql(statement: &str) -> String {
    server().query(statement).unwrap()
}

/// A table, and events on their way into it.
struct Case {
    options: Options,
    args: Vec<(Vec<Arc<str>>, Arc<Column>)>,
    compression: Compression,
    events: Vec<String>,
}

impl Case {
    fn new(events: &[&str]) -> Self {
        Self {
            options: Options::default(),
            args: Vec::new(),
            compression: Compression::Lz4,
            events: events.iter().map(|&event| event.to_owned()).collect(),
        }
    }

    fn bind(&self, table: &str) -> Result<(Binding, Layout), SinkError> {
        let client = client();
        let table = runtime().block_on(Table::read(&client, table))?;
        let mut layout = Layout::new();
        let mut binding =
            bind_named(&mut layout, &"logs".into(), Arc::new(table), self.options.clone())?;
        binding.seal(&layout);
        Ok((binding, layout))
    }

    fn build(&self, table: &str) -> (AppendReport, Vec<Block>) {
        let (binding, layout) = self.bind(table).unwrap();
        let mut builder = TableBuilder::new(Arc::new(binding));
        let mut names = Names::default();
        let mut report = AppendReport::default();
        for (ticket, events) in self.events.chunks(512).enumerate() {
            let mut batch = Batch::new(&layout);
            let bytes: Vec<&[u8]> = events.iter().map(String::as_bytes).collect();
            load(&mut batch, &layout, &mut names, &bytes).unwrap();
            let first = ticket * 512;
            batch.meta = Meta {
                topic: "app".into(),
                partition: 3,
                offsets: (0..batch.rows).map(|row| (first + row) as i64).collect(),
                times: vec![NOON; batch.rows],
                ..Meta::default()
            };
            let routed = Routed {
                sink: SinkId(0),
                rows: (0..batch.rows as u32).collect(),
                emit_ix: vec![0; batch.rows],
                snapshot: Arc::new(batch.snapshot()),
                args: self.args.clone(),
                rule: None,
            };
            let context = Context {
                names_table: 0,
                source: "events",
                wall: NOON,
                now: Instant::now(),
                ticket: ticket as u64,
                attempt: 0,
                incarnation: 7,
            };
            report = builder.append(&mut batch, &names, &routed, &context);
        }
        let blocks =
            builder.finish().iter().map(|finished| finished.encode(self.compression)).collect();
        (report, blocks)
    }

    fn insert(&self, table: &str) -> AppendReport {
        let (report, blocks) = self.build(table);
        let inserter = Inserter::new(client());
        let runtime = runtime();
        for (number, block) in blocks.iter().enumerate() {
            let token = format!("{table}/{number}/{:?}", self.compression);
            runtime.block_on(inserter.insert(block, &token)).unwrap();
        }
        report
    }
}

/// Creates a table of one column (and an order), inserts the values and says what the server then holds, one value a line.
fn column(name: &str, ty: &str, values: &[&str]) -> String {
    sql(&format!("CREATE TABLE {name} (x {ty}, kafka_offset UInt64) ENGINE = MergeTree ORDER BY kafka_offset"));
    let events: Vec<String> = values
        .iter()
        .map(|value| if value.is_empty() { "{}".into() } else { format!("{{\"x\":{value}}}") })
        .collect();
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    Case::new(&events).insert(name);
    let held = sql(&format!("SELECT x FROM {name} ORDER BY kafka_offset FORMAT TSV"));
    held.lines().collect::<Vec<_>>().join(" | ")
}

#[test]
fn every_type_holds_what_was_sent() {
    let check = |name: &str, ty: &str, values: &[&str], held: &str| {
        assert_eq!(column(name, ty, values), held, "{ty}");
    };
    check("t_u8", "UInt8", &["0", "255", "256", "-1", "\"7\"", "2e2", "null", ""], "0 | 255 | 0 | 0 | 7 | 200 | 0 | 0");
    check("t_i8", "Int8", &["-128", "127", "128"], "-128 | 127 | 0");
    check("t_u16", "UInt16", &["65535", "1.5"], "65535 | 0");
    check("t_i16", "Int16", &["-32768", "32767"], "-32768 | 32767");
    check("t_u32", "UInt32", &["4294967295", "true"], "4294967295 | 1");
    check("t_i32", "Int32", &["-2147483648"], "-2147483648");
    check("t_u64", "UInt64", &["18446744073709551615", "18446744073709551616"], "18446744073709551615 | 0");
    check("t_i64", "Int64", &["-9223372036854775808", "9223372036854775807"], "-9223372036854775808 | 9223372036854775807");
    check("t_f32", "Float32", &["1.5", "1e39", "-0.25"], "1.5 | 0 | -0.25");
    check("t_f64", "Float64", &["1e308", "3", "\"2.5\"", "0.1"], "1e308 | 3 | 2.5 | 0.1");
    check("t_bool", "Bool", &["true", "false", "\"true\"", "1"], "true | false | true | true");
    check("t_text", "String", &["\"grün 😀\"", "\"a\\u0041\\n\"", "12.50", "true", "[1, 2]", "{\"a\":1}", ""], "grün 😀 | aA\\n | 12.50 | true | [1, 2] | {\"a\":1} | ");
    check("t_fixed", "FixedString(4)", &["\"abcd\"", "\"00417a20\"", "\"toolong\""], "abcd | \\0Az  | \\0\\0\\0\\0");
    check("t_date", "Date", &["\"2026-11-21\"", "\"2149-06-06\"", "\"1969-12-31\""], "2026-11-21 | 2149-06-06 | 1970-01-01");
    check("t_date32", "Date32", &["\"1900-01-01\"", "\"2299-12-31\"", "\"2026-11-21T23:30:00Z\""], "1900-01-01 | 2299-12-31 | 2026-11-21");
    check("t_lc", "LowCardinality(String)", &["\"a\"", "\"b\"", "\"a\"", ""], "a | b | a | ");
    check("t_lcn", "LowCardinality(Nullable(String))", &["\"a\"", "null", "\"\"", "\"a\""], "a | \\N |  | a");
    check("t_lcf", "LowCardinality(FixedString(2))", &["\"ab\"", "\"cd\"", "\"ab\""], "ab | cd | ab");
    check("t_null", "Nullable(Int64)", &["1", "null", "", "\"x\""], "1 | \\N | \\N | \\N");
    check("t_nulltext", "Nullable(String)", &["\"\"", "null"], " | \\N");
    check("t_enum8", "Enum8('a' = -5, 'b' = 3)", &["\"b\"", "3", "\"nope\"", ""], "b | b | a | a");
    check("t_enum16", "Enum16('x' = 1000, 'y' = -1000)", &["\"x\"", "\"y\""], "x | y");
    check("t_uuid", "UUID", &["\"00112233-4455-6677-8899-aabbccddeeff\""], "00112233-4455-6677-8899-aabbccddeeff");
    check("t_ip4", "IPv4", &["\"192.0.2.255\"", "\"::1\""], "192.0.2.255 | 0.0.0.0");
    check("t_ip6", "IPv6", &["\"2001:db8::1\"", "\"10.0.0.1\""], "2001:db8::1 | ::ffff:10.0.0.1");
    check("t_array", "Array(String)", &["[\"a\",\"b\\\"\"]", "[]", "", "\"no list\""], "['a','b\"'] | [] | [] | []");
    check("t_arraylc", "Array(LowCardinality(String))", &["[\"a\",\"a\"]", "[null,\"b\"]"], "['a','a'] | ['b']");
    check("t_arrayn", "Array(Nullable(Int32))", &["[1,null,-3]", "[1,\"x\"]"], "[1,NULL,-3] | []");
    check("t_map", "Map(String, String)", &["{\"a\":1,\"b\":{\"c\":\"x\"}}", "{}", ""], "{'a':'1','b.c':'x'} | {} | {}");
    check("t_maplc", "Map(LowCardinality(String), LowCardinality(String))", &["{\"a\":\"1\",\"a\":\"2\"}", "{\"b\":null}"], "{'a':'2'} | {}");
    check("t_json", "JSON", &["{\"a\":1,\"b\":{\"c\":\"x\"}}", "{}"], "{\"a\":1,\"b\":{\"c\":\"x\"}} | {}");
}

#[test]
fn times_keep_their_precision() {
    sql("CREATE TABLE times (a DateTime('UTC'), b DateTime64(3, 'UTC'), c DateTime64(9, 'Europe/Berlin'), kafka_offset UInt64) \
         ENGINE = MergeTree ORDER BY kafka_offset");
    let moment = "2026-11-20T10:11:12.123456789Z";
    let event = format!(r#"{{"a":"{moment}","b":"{moment}","c":"{moment}"}}"#);
    Case::new(&[&event, r#"{"a":1795262400,"b":1795262400123,"c":1795262400.5}"#]).insert("times");
    let held = sql("SELECT toString(a), toString(b), toString(toTimeZone(c, 'UTC')) FROM times ORDER BY kafka_offset FORMAT TSV");
    assert_eq!(
        held,
        "2026-11-20 10:11:12\t2026-11-20 10:11:12.123\t2026-11-20 10:11:12.123456789\n\
         2026-11-21 12:00:00\t2026-11-21 12:00:00.123\t2026-11-21 12:00:00.500000000\n"
    );
}

#[test]
fn logs_go_where_they_belong() {
    sql(ddl::LOGS);
    let case = Case::new(&[
        r#"{"timestamp":"2026-11-20T23:59:59.5Z","severity":"WARN","service":"shop","message":"a \"quote\"","trace_id":"0af7651916cd43dd8448eb211c80319c",
            "http":{"status":503,"path":"/x"},"attributes":{"user.id":"u1","k":[1]},"resource":{"pod":{"name":"p"}},"tags":["t1","t2"],"deep":{"a":{"b":true}},"gone":null}"#,
        r#"{"timestamp":"not a time","severity":17,"service":"shop","user.id":"x","attributes":{"user.id":"wins"},"user":{"id":"loses"}}"#,
        r#"{"timestamp":"1999-01-01T00:00:00Z","retention_class":"long","severity":"nobody knows"}"#,
    ]);
    let report = case.insert("logs");
    assert_eq!(report.retimed, 1);
    let held = sql(
        "SELECT timestamp, observed_at, service, source, severity, message, trace_id, attributes, resource, tags, \
         kafka_topic, kafka_partition, kafka_offset, emit_ix, attempt, incarnation, retention_class, ingested_at > '2020-01-01' \
         FROM logs ORDER BY kafka_offset FORMAT TSV",
    );
    let rows: Vec<&str> = held.lines().collect();
    assert_eq!(
        rows[0],
        "2026-11-20 23:59:59.500000000\t2026-11-21 12:00:00.000\tshop\tevents\twarn\ta \"quote\"\t0af7651916cd43dd8448eb211c80319c\t\
         {'user.id':'u1','k':'[1]','http.status':'503','http.path':'/x','deep.a.b':'true'}\t{'pod.name':'p'}\t['t1','t2']\t\
         app\t3\t0\t0\t0\t7\tstandard\t1"
    );
    assert_eq!(
        rows[1],
        "2026-11-21 12:00:00.000000000\t2026-11-21 12:00:00.000\tshop\tevents\terror\t\t\t\
         {'user.id':'wins','timestamp':'not a time'}\t{}\t[]\tapp\t3\t1\t0\t0\t7\tstandard\t1"
    );
    assert_eq!(
        rows[2],
        "2026-11-21 12:00:00.000000000\t2026-11-21 12:00:00.000\t\tevents\tunset\t\t\t\
         {'timestamp_original':'1999-01-01T00:00:00Z','severity':'nobody knows'}\t{}\t[]\tapp\t3\t2\t0\t0\t7\tlong\t1"
    );
}
