//! Rows into a real ClickHouse and back.

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use logmon_dsl::{
    column::{
        Absence, Batch, Cells, Column, Layout, Mask, Names, Severity, batch::Meta, load::load,
    },
    eval::Routed,
    plan::SinkId,
};
use logmon_engine::sink::clickhouse::{
    AppendReport, Binding, Block, Class, Client, Compression, Context, DeadLetter, DeadLetters,
    Endpoint, Inserter, OnAbsent, Options, Raw, SinkError, Table, TableBuilder, bind::bind_named,
    ddl,
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

fn context() -> Context<'static> {
    Context {
        names_table: 0,
        source: "events",
        wall: NOON,
        now: Instant::now(),
        ticket: 0,
        attempt: 0,
        incarnation: 7,
    }
}

fn sql(statement: &str) -> String {
    server().query(statement).unwrap()
}

/// A table, and events on their way into it.
struct Case {
    options: Options,
    args: Vec<(Vec<Arc<str>>, Arc<Column>)>,
    /// What rules wrote into every second row.
    written: Vec<(Vec<&'static str>, Column)>,
    compression: Compression,
    events: Vec<String>,
}

impl Case {
    fn new(events: &[&str]) -> Self {
        Self {
            options: Options::default(),
            args: Vec::new(),
            written: Vec::new(),
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
        let mut sum = AppendReport::default();
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
            for (path, column) in &self.written {
                let node = layout.find(path).unwrap();
                let field = &mut batch.fields[node.index()];
                field.written = Some(Arc::new(Mask::from_fn(batch.rows, |row| row % 2 == 0)));
                field.column = Some(Arc::new(column.clone()));
            }
            let routed = Routed {
                sink: SinkId(0),
                rows: (0..batch.rows as u32).collect(),
                emit_ix: vec![0; batch.rows],
                snapshot: Arc::new(batch.snapshot()),
                args: self.args.clone(),
                rule: None,
            };
            let context = Context { ticket: ticket as u64, ..context() };
            let report = builder.append(&mut batch, &names, &routed, &context);
            sum.rows += report.rows;
            sum.retimed += report.retimed;
            sum.dead.extend(report.dead);
            sum.defaulted.extend(report.defaulted);
            sum.unfit.extend(report.unfit);
        }
        let blocks =
            builder.finish().iter().map(|finished| finished.encode(self.compression)).collect();
        (sum, blocks)
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
    sql(&format!(
        "CREATE TABLE {name} (x {ty}, kafka_offset UInt64) ENGINE = MergeTree ORDER BY kafka_offset"
    ));
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
    check(
        "t_u8",
        "UInt8",
        &["0", "255", "256", "-1", "\"7\"", "2e2", "null", ""],
        "0 | 255 | 0 | 0 | 7 | 200 | 0 | 0",
    );
    check("t_i8", "Int8", &["-128", "127", "128"], "-128 | 127 | 0");
    check("t_u16", "UInt16", &["65535", "1.5"], "65535 | 0");
    check("t_i16", "Int16", &["-32768", "32767"], "-32768 | 32767");
    check("t_u32", "UInt32", &["4294967295", "true"], "4294967295 | 1");
    check("t_i32", "Int32", &["-2147483648"], "-2147483648");
    check(
        "t_u64",
        "UInt64",
        &["18446744073709551615", "18446744073709551616"],
        "18446744073709551615 | 0",
    );
    check(
        "t_i64",
        "Int64",
        &["-9223372036854775808", "9223372036854775807"],
        "-9223372036854775808 | 9223372036854775807",
    );
    check("t_f32", "Float32", &["1.5", "1e39", "-0.25"], "1.5 | 0 | -0.25");
    check("t_f64", "Float64", &["1e308", "3", "\"2.5\"", "0.1"], "1e308 | 3 | 2.5 | 0.1");
    check("t_bool", "Bool", &["true", "false", "\"true\"", "1"], "true | false | true | true");
    check(
        "t_text",
        "String",
        &["\"grün 😀\"", "\"a\\u0041\\n\"", "12.50", "true", "[1, 2]", "{\"a\":1}", ""],
        "grün 😀 | aA\\n | 12.50 | true | [1, 2] | {\"a\":1} | ",
    );
    check(
        "t_fixed",
        "FixedString(4)",
        &["\"abcd\"", "\"00417a20\"", "\"toolong\""],
        "abcd | \\0Az  | \\0\\0\\0\\0",
    );
    check(
        "t_date",
        "Date",
        &["\"2026-11-21\"", "\"2149-06-06\"", "\"1969-12-31\""],
        "2026-11-21 | 2149-06-06 | 1970-01-01",
    );
    check(
        "t_date32",
        "Date32",
        &["\"1900-01-01\"", "\"2299-12-31\"", "\"2026-11-21T23:30:00Z\""],
        "1900-01-01 | 2299-12-31 | 2026-11-21",
    );
    check("t_lc", "LowCardinality(String)", &["\"a\"", "\"b\"", "\"a\"", ""], "a | b | a | ");
    check(
        "t_lcn",
        "LowCardinality(Nullable(String))",
        &["\"a\"", "null", "\"\"", "\"a\""],
        "a | \\N |  | a",
    );
    check(
        "t_lcf",
        "LowCardinality(FixedString(2))",
        &["\"ab\"", "\"cd\"", "\"ab\""],
        "ab | cd | ab",
    );
    check("t_null", "Nullable(Int64)", &["1", "null", "", "\"x\""], "1 | \\N | \\N | \\N");
    check("t_nulltext", "Nullable(String)", &["\"\"", "null"], " | \\N");
    check("t_enum8", "Enum8('a' = -5, 'b' = 3)", &["\"b\"", "3", "\"nope\"", ""], "b | b | a | a");
    check("t_enum16", "Enum16('x' = 1000, 'y' = -1000)", &["\"x\"", "\"y\""], "x | y");
    check(
        "t_uuid",
        "UUID",
        &["\"00112233-4455-6677-8899-aabbccddeeff\""],
        "00112233-4455-6677-8899-aabbccddeeff",
    );
    check("t_ip4", "IPv4", &["\"192.0.2.255\"", "\"::1\""], "192.0.2.255 | 0.0.0.0");
    check("t_ip6", "IPv6", &["\"2001:db8::1\"", "\"10.0.0.1\""], "2001:db8::1 | ::ffff:10.0.0.1");
    check(
        "t_array",
        "Array(String)",
        &["[\"a\",\"b\\\"\"]", "[]", "", "\"no list\""],
        "['a','b\"'] | [] | [] | []",
    );
    check(
        "t_arraylc",
        "Array(LowCardinality(String))",
        &["[\"a\",\"a\"]", "[null,\"b\"]"],
        "['a','a'] | ['b']",
    );
    check("t_arrayn", "Array(Nullable(Int32))", &["[1,null,-3]", "[1,\"x\"]"], "[1,NULL,-3] | []");
    check(
        "t_map",
        "Map(String, String)",
        &["{\"a\":1,\"b\":{\"c\":\"x\"}}", "{}", ""],
        "{'a':'1','b.c':'x'} | {} | {}",
    );
    check(
        "t_maplc",
        "Map(LowCardinality(String), LowCardinality(String))",
        &["{\"a\":\"1\",\"a\":\"2\"}", "{\"b\":null}"],
        "{'a':'2'} | {}",
    );
    check(
        "t_json",
        "JSON",
        &["{\"a\":1,\"b\":{\"c\":\"x\"}}", "{}"],
        "{\"a\":1,\"b\":{\"c\":\"x\"}} | {}",
    );
}

#[test]
fn times_keep_their_precision() {
    sql(
        "CREATE TABLE times (a DateTime('UTC'), b DateTime64(3, 'UTC'), c DateTime64(9, 'Europe/Berlin'), kafka_offset UInt64) \
         ENGINE = MergeTree ORDER BY kafka_offset",
    );
    let moment = "2026-11-20T10:11:12.123456789Z";
    let event = format!(r#"{{"a":"{moment}","b":"{moment}","c":"{moment}"}}"#);
    Case::new(&[&event, r#"{"a":1795262400,"b":1795262400123,"c":1795262400.5}"#]).insert("times");
    let held = sql(
        "SELECT toString(a), toString(b), toString(toTimeZone(c, 'UTC')) FROM times ORDER BY kafka_offset FORMAT TSV",
    );
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

#[test]
fn blocks_of_every_compression_are_equal_on_the_server() {
    sql(
        "CREATE TABLE packed (message String, service LowCardinality(String), attributes Map(LowCardinality(String), String), kafka_offset UInt64) \
         ENGINE = MergeTree ORDER BY kafka_offset",
    );
    let events: Vec<String> = (0..70_000)
        .map(|i| {
            format!(
                r#"{{"message":"number {i} {}","service":"s{}","k{}":"v","n":{i}}}"#,
                i * 7919 % 1000,
                i % 300,
                i % 5
            )
        })
        .collect();
    let mut hashes = Vec::new();
    for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
        sql("TRUNCATE TABLE packed");
        let mut case = Case::new(&[]);
        case.events.clone_from(&events);
        case.compression = compression;
        let (report, blocks) = case.build("packed");
        assert_eq!((report.rows, blocks.len(), blocks[0].rows), (70_000, 1, 70_000));
        assert_eq!(blocks[0].tickets.len(), 70_000_usize.div_ceil(512));
        case.insert("packed");
        hashes.push(sql("SELECT count(), groupBitXor(cityHash64(*)), uniqExact(service), sum(toUInt64(attributes['n'])) FROM packed FORMAT TSV"));
    }
    assert!(
        hashes[0].starts_with("70000\t")
            && hashes[0].ends_with(&format!("\t300\t{}\n", 70_000_u64 * 69_999 / 2)),
        "{}",
        hashes[0]
    );
    assert_eq!((&hashes[1], &hashes[2]), (&hashes[0], &hashes[0]));
}

#[test]
fn dictionaries_grow_beyond_one_and_two_bytes() {
    sql(
        "CREATE TABLE wide (a LowCardinality(String), b LowCardinality(Nullable(String)), c LowCardinality(UInt32), kafka_offset UInt64) \
         ENGINE = MergeTree ORDER BY kafka_offset SETTINGS allow_suspicious_low_cardinality_types = 1",
    );
    for n in [256_u32, 257, 65_536, 65_537] {
        sql("TRUNCATE TABLE wide");
        let mut case = Case::new(&[]);
        case.events = (0..n).map(|i| format!(r#"{{"a":"a{i}","b":"b{i}","c":{i}}}"#)).collect();
        case.insert("wide");
        let wrong = sql(
            "SELECT countIf(a != concat('a', toString(kafka_offset)) OR b != concat('b', toString(kafka_offset)) OR c != kafka_offset), count() FROM wide FORMAT TSV",
        );
        assert_eq!(wrong, format!("0\t{n}\n"));
    }
}

#[test]
fn a_token_stores_its_block_once() {
    sql(
        "CREATE TABLE once (message String, kafka_offset UInt64) ENGINE = MergeTree ORDER BY kafka_offset SETTINGS non_replicated_deduplication_window = 100",
    );
    let client = client();
    let runtime = runtime();
    let table = runtime.block_on(Table::read(&client, "once")).unwrap();
    assert_eq!((table.deduplication_window, &*table.engine), (100, "MergeTree"));
    let (_, blocks) = Case::new(&[r#"{"message":"a"}"#, r#"{"message":"b"}"#]).build("once");
    let inserter = Inserter::new(client);
    for token in ["lm1/a", "lm1/a", "lm1/a", "lm1/b"] {
        runtime.block_on(inserter.insert(&blocks[0], token)).unwrap();
    }
    assert_eq!(sql("SELECT count() FROM once FORMAT TSV"), "4\n");
}

#[test]
fn rows_are_cut_by_partition() {
    sql(
        "CREATE TABLE parts (timestamp DateTime64(3, 'Europe/Berlin'), tier LowCardinality(String) DEFAULT 'standard', kafka_offset UInt64) ENGINE = MergeTree \
         PARTITION BY (toYYYYMM(timestamp), tier, toMonday(timestamp), toStartOfHour(timestamp), kafka_offset % 2, intDiv(kafka_offset, 100)) ORDER BY kafka_offset",
    );
    let mut case = Case::new(&[]);
    case.events = (0..200)
        .map(|i| {
            let tier = if i % 3 == 0 { r#","tier":"long""# } else { "" };
            format!(
                r#"{{"timestamp":"2026-10-{:02}T{:02}:30:00Z"{tier}}}"#,
                20 + i % 10,
                20 + i % 4
            )
        })
        .collect();
    let (report, blocks) = case.build("parts");
    assert_eq!(report.rows, 200);
    let mut digests: Vec<u128> = blocks.iter().map(|block| block.partition.unwrap()).collect();
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), blocks.len());
    // The server refuses a block of two partitions, so that every insert went through proves the arithmetic.
    case.insert("parts");
    let held = sql("SELECT count(), uniqExact(_partition_id) FROM parts FORMAT TSV");
    assert_eq!(held, format!("200\t{}\n", blocks.len()));
}

#[test]
fn unknown_partition_expressions_are_left_to_the_server() {
    sql(
        "CREATE TABLE hashed (kafka_offset UInt64) ENGINE = MergeTree PARTITION BY cityHash64(kafka_offset) % 4 ORDER BY kafka_offset",
    );
    let mut case = Case::new(&[]);
    case.events = vec!["{}".into(); 50];
    assert!(!case.bind("hashed").unwrap().0.cuts_partitions());
    assert_eq!(case.build("hashed").1.len(), 1);
    case.insert("hashed");
    assert_eq!(sql("SELECT count() FROM hashed FORMAT TSV"), "50\n");
}

#[test]
fn absent_values_take_defaults_or_make_rows_dead() {
    sql(
        "CREATE TABLE strict (a UInt8, b String DEFAULT concat('x', toString(kafka_offset)), c UInt16 DEFAULT 7, d Nullable(String), kafka_offset UInt64) \
         ENGINE = MergeTree ORDER BY kafka_offset",
    );
    let mut case = Case::new(&[r#"{"a":1,"b":"own"}"#, r#"{"a":300}"#, r#"{"a":3,"c":9}"#]);
    let report = case.insert("strict");
    assert_eq!(report.defaulted, [("a".into(), Absence::OutOfRange, 1)]);
    assert_eq!(report.unfit, [("a".into(), Absence::OutOfRange, 1)]);
    let held = sql("SELECT a, b, c, d FROM strict ORDER BY kafka_offset FORMAT TSV");
    assert_eq!(held, "1\town\t7\t\\N\n0\tx1\t7\t\\N\n3\tx2\t9\t\\N\n");
    sql("TRUNCATE TABLE strict");
    case.options.on_absent = OnAbsent::Dlq;
    let report = case.insert("strict");
    assert_eq!((report.rows, report.dead.len()), (2, 1));
    assert_eq!((report.dead[0].row, report.dead[0].reason()), (1, "absent:a".to_owned()));
    assert_eq!(sql("SELECT groupArray(a) FROM strict FORMAT TSV"), "[1,3]\n");
}

#[test]
fn what_rules_wrote_and_routes_added_is_stored() {
    sql(
        "CREATE TABLE written (severity Enum8('unset' = 0, 'info' = 9, 'warn' = 13), status UInt16, ip IPv6, took Int64, score Float64, at DateTime64(3, 'UTC'), \
         reason String, user String, user_id String, attributes Map(String, String), kafka_offset UInt64) ENGINE = MergeTree ORDER BY kafka_offset",
    );
    let event =
        r#"{"severity":"info","status":200,"user":{"id":"u","name":"n"},"reason":"old","extra":1}"#;
    let mut case = Case::new(&[event, event]);
    let int = |number| Column::Int(Cells::constant(2, number));
    case.written = vec![
        (vec!["severity"], Column::Severity(Cells::constant(2, Severity(15)))),
        (vec!["status"], int(503)),
        (vec!["ip"], Column::Ip(Cells::constant(2, 0xffff_0a00_0001))),
        (vec!["took"], Column::Duration(Cells::constant(2, 5))),
        (vec!["score"], Column::Float(Cells::constant(2, 0.5))),
        (vec!["at"], Column::Timestamp(Cells::constant(2, NOON))),
    ];
    let record = logmon_dsl::column::Record {
        fields: vec![("code".into(), Arc::new(int(42)))],
        state: vec![0; 2],
    };
    case.args = vec![
        (vec!["reason".into()], Arc::new(int(1))),
        (vec!["extra".into()], Arc::new(Column::Bool(Cells::constant(2, true)))),
        (vec!["attributes".into(), "why".into()], Arc::new(Column::Record(record))),
    ];
    case.insert("written");
    let held = sql(
        "SELECT severity, status, ip, took, score, at, reason, user, user_id, attributes FROM written ORDER BY kafka_offset FORMAT TSV",
    );
    let rows: Vec<&str> = held.lines().collect();
    let common = "1\t{\"name\":\"n\",\"id\":\"u\"}\tu\t{'extra':'true','why.code':'42'}";
    assert_eq!(
        rows[0],
        format!("warn\t503\t::ffff:10.0.0.1\t5\t0.5\t2026-11-21 12:00:00.000\t{common}")
    );
    assert_eq!(rows[1], format!("info\t200\t::\t0\t0\t1970-01-01 00:00:00.000\t{common}"));
}

#[test]
fn settings_choose_columns_and_the_rest() {
    sql(
        "CREATE TABLE chosen (agent String, extra JSON, kafka_offset UInt64) ENGINE = MergeTree ORDER BY kafka_offset",
    );
    let mut case = Case::new(&[
        r#"{"http":{"user_agent":"curl","n":1.50},"attributes":{"k":"a\u0041"},"t":true,"l":[1,"x"]}"#,
    ]);
    case.options.columns = vec![("agent".into(), ".http.user_agent".into())];
    case.options.rest = Some("extra".into());
    case.insert("chosen");
    let held = sql(
        "SELECT agent, extra FROM chosen FORMAT JSONEachRow SETTINGS output_format_json_quote_64bit_integers = 0",
    );
    assert_eq!(
        held,
        "{\"agent\":\"curl\",\"extra\":{\"http\":{\"n\":1.5},\"k\":\"aA\",\"l\":[1,\"x\"],\"t\":true}}\n"
    );
    let refused = |options: Options| {
        let case = Case { options, ..Case::new(&[]) };
        case.bind("chosen").unwrap_err().sentence
    };
    let columns = vec![("nope".into(), ".a".into())];
    assert_eq!(
        refused(Options { columns, ..Options::default() }),
        "[sink.logs] columns: table chosen has no column nope"
    );
    assert_eq!(
        refused(Options { rest: Some("agent".into()), ..Options::default() }),
        "[sink.logs] rest: column agent is no Map and no JSON"
    );
}

#[test]
fn unsupported_types_are_refused_by_name() {
    sql(
        "CREATE TABLE exact (price Decimal(18, 4), kafka_offset UInt64) ENGINE = MergeTree ORDER BY kafka_offset",
    );
    let error = Case::new(&[]).bind("exact").unwrap_err();
    assert_eq!(error.class, Class::Refuse);
    assert!(error.sentence.starts_with("[sink.logs] table: column price of exact: type Decimal(18, 4) cannot be filled: use Float64"), "{error}");
    sql(
        "CREATE TABLE exact_default (price Decimal(18, 4) DEFAULT 1, kafka_offset UInt64) ENGINE = MergeTree ORDER BY kafka_offset",
    );
    Case::new(&["{}"]).insert("exact_default");
    assert_eq!(sql("SELECT price FROM exact_default FORMAT TSV"), "1\n");
}

#[test]
fn mistakes_give_one_sentence() {
    let runtime = runtime();
    let read = |change: &dyn Fn(&mut Endpoint), table: &str| {
        let mut endpoint = endpoint();
        change(&mut endpoint);
        let client = Client::new(endpoint)?;
        runtime.block_on(Table::read(&client, table)).map(drop)
    };
    let check = |change: &dyn Fn(&mut Endpoint), table: &str, class: Class, start: &str| {
        let error = read(change, table).unwrap_err();
        assert!(error.sentence.starts_with(start), "{error}");
        assert_eq!(error.class, class, "{error}");
        assert_eq!(error.sentence.lines().count(), 1, "{error}");
    };
    check(
        &|_| {},
        "nope",
        Class::Refuse,
        "[sink.logs] table: there is no table default.nope; create it",
    );
    check(
        &|e| {
            e.user = "logmon".into();
            e.password = "wrong".into();
        },
        "x",
        Class::Refuse,
        "[sink.logs] password: the server refuses user and password",
    );
    check(
        &|e| e.user = "nobody".into(),
        "x",
        Class::Refuse,
        "[sink.logs] password: the server refuses user and password",
    );
    check(
        &|e| e.database = "nowhere".into(),
        "x",
        Class::Refuse,
        "[sink.logs] database: the database does not exist",
    );
    check(
        &|e| e.url = "http://127.0.0.1:9".into(),
        "x",
        Class::Retry,
        "[sink.logs] url: nothing listens at http://127.0.0.1:9",
    );
    check(
        &|e| e.url = "http://no.such.host.invalid:8123".into(),
        "x",
        Class::Retry,
        "[sink.logs] url: the host of http://no.such.host.invalid:8123 is not known",
    );
    check(
        &|e| e.url = e.url.replace("http:", "https:"),
        "x",
        Class::Retry,
        "[sink.logs] url: no secure connection to https://",
    );
    check(
        &|e| e.url = "ftp://x".into(),
        "x",
        Class::Refuse,
        "[sink.logs] url: ftp:// is not http:// or https://",
    );
    check(
        &|e| e.url = "localhost".into(),
        "x",
        Class::Refuse,
        "[sink.logs] url: \"localhost\" must look like http://host:8123",
    );
    check(
        &|e| e.password = "a\nb".into(),
        "x",
        Class::Refuse,
        "[sink.logs] password: it holds control characters",
    );

    sql(
        "CREATE TABLE shrinking (a String, b String, kafka_offset UInt64) ENGINE = MergeTree ORDER BY kafka_offset",
    );
    let (_, blocks) = Case::new(&[r#"{"a":"x"}"#]).build("shrinking");
    let inserter = Inserter::new(client());
    sql("ALTER TABLE shrinking DROP COLUMN b");
    let error = runtime.block_on(inserter.insert(&blocks[0], "s1")).unwrap_err();
    assert_eq!((error.class, error.code), (Class::Schema, Some(16)), "{error}");
    sql("DROP TABLE shrinking");
    let error = runtime.block_on(inserter.insert(&blocks[0], "s2")).unwrap_err();
    assert_eq!((error.class, error.code), (Class::Refuse, Some(60)), "{error}");
    let mut broken = blocks[0].clone();
    broken.rows = 0;
    let error = runtime.block_on(inserter.insert(&broken, "s3")).unwrap_err();
    assert_eq!(error.class, Class::Data, "{error}");
}

#[test]
fn a_reader_may_not_write() {
    sql(
        "CREATE TABLE guarded (a String, kafka_offset UInt64) ENGINE = MergeTree ORDER BY kafka_offset",
    );
    let (_, blocks) = Case::new(&[r#"{"a":"x"}"#]).build("guarded");
    let Some((user, password)) = server().reader() else { return };
    let endpoint = Endpoint { user: user.into(), password: password.into(), ..endpoint() };
    let inserter = Inserter::new(Arc::new(Client::new(endpoint).unwrap()));
    let error = runtime().block_on(inserter.insert(&blocks[0], "g")).unwrap_err();
    assert_eq!(error.class, Class::Refuse, "{error}");
    assert!(error.sentence.starts_with("[sink.logs] user: "), "{error}");
}

#[test]
fn a_damaged_block_is_refused_as_data() {
    sql(
        "CREATE TABLE damaged (a String, kafka_offset UInt64) ENGINE = MergeTree ORDER BY kafka_offset",
    );
    let (_, mut blocks) = Case::new(&[r#"{"a":"x"}"#]).build("damaged");
    let whole = blocks[0].body.clone();
    let inserter = Inserter::new(client());
    let runtime = runtime();
    let mut bytes = whole.to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    blocks[0].body = bytes.into();
    let error = runtime.block_on(inserter.insert(&blocks[0], "d1")).unwrap_err();
    assert!(!error.sentence.is_empty() && error.class != Class::Refuse, "{error}");
    assert_eq!(sql("SELECT count() FROM damaged FORMAT TSV"), "0\n");
    blocks[0].body = whole;
    runtime.block_on(inserter.insert(&blocks[0], "d2")).unwrap();
    assert_eq!(sql("SELECT count() FROM damaged FORMAT TSV"), "1\n");
}

#[test]
fn dead_letters_keep_every_byte() {
    sql(ddl::DEAD_LETTERS);
    let client = client();
    let runtime = runtime();
    let table = Arc::new(runtime.block_on(Table::read(&client, "dead_letters")).unwrap());
    let mut letters = DeadLetters::new(&"dead".into(), table).unwrap();
    let record: Vec<u8> = (0..=255).collect();
    let letter = |partition, offset| DeadLetter {
        topic: "app".into(),
        partition,
        offset,
        emit_ix: 2,
        timestamp: 86_400 * 1_000_000_000,
        sink: "logs".into(),
        rule: "prod/a".into(),
        site: ".x =".into(),
        reason: "not_utf8".into(),
        cause: "byte 128 starts no character".into(),
        bundle: "abc".into(),
        key: Some(b"k".to_vec()),
        headers: vec![("h".into(), b"1".to_vec()), ("h".into(), b"2\"".to_vec())],
        raw: Raw::new(&record, 200),
    };
    let all = [letter(0, 1), letter(0, 2), letter(1, 1)];
    assert_eq!(letters.append(&all, &context()).rows, 3);
    let inserter = Inserter::new(client);
    for finished in letters.finish() {
        runtime.block_on(inserter.insert(&finished.encode(Compression::Zstd), "dead")).unwrap();
    }
    let held = sql(
        "SELECT kafka_partition, kafka_offset, emit_ix, timestamp, sink, rule, site, reason, cause, bundle, kafka_key, headers, hex(raw), raw_bytes, length(raw_hash) \
         FROM dead_letters ORDER BY kafka_partition, kafka_offset FORMAT TSV",
    );
    let hex: String = record[..200].iter().map(|byte| format!("{byte:02X}")).collect();
    let common = format!(
        "2\t1970-01-02 00:00:00.000000000\tlogs\tprod/a\t.x =\tnot_utf8\tbyte 128 starts no character\tabc\tk\t{{'h':'2\"'}}\t{hex}\t256\t64"
    );
    assert_eq!(held, format!("0\t1\t{common}\n0\t2\t{common}\n1\t1\t{common}\n"));
}
