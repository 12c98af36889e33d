//! Which value goes into which column, and rows into which block.

use std::sync::Arc;

use logmon_dsl::column::{Absence, Cells, Column, Names, Record, Severity};
use logmon_engine::sink::clickhouse::{
    Compression, Context, Inserter, OnAbsent, Options, Table, TableBuilder, ddl,
};

use super::{Case, NOON, batch, client, context, route, runtime, sql};

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
    let counted = |name: &str| {
        let of_column = report.defaulted.iter().filter(|(column, ..)| &**column == name);
        of_column.map(|&(_, why, count)| (why, count)).collect::<Vec<_>>()
    };
    assert_eq!(counted("timestamp"), [(Absence::Parse, 1)]);
    assert_eq!(counted("service"), [(Absence::Missing, 1)]);
    assert_eq!(counted("observed_at"), [], "what the engine knows is no default");
    let unfit = [("timestamp".into(), Absence::Parse, 1), ("severity".into(), Absence::Parse, 1)];
    assert_eq!(report.unfit, unfit);
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
    let record = Record { fields: vec![("code".into(), Arc::new(int(42)))], state: vec![0; 2] };
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
fn several_decoders_number_names_on_their_own() {
    sql(
        "CREATE TABLE named (attributes Map(LowCardinality(String), String), kafka_offset UInt64) ENGINE = MergeTree ORDER BY kafka_offset",
    );
    let (binding, layout) = Case::new(&[]).bind("named").unwrap();
    let mut builder = TableBuilder::new(Arc::new(binding));
    let (mut first, mut second) = (Names::default(), Names::default());
    let mut append = |table, names: &mut Names, offset, event: &str| {
        let mut batch = batch(&layout, names, &[event.to_owned()], offset);
        let routed = route(&batch, &[]);
        let context = Context { names_table: table, ..context() };
        builder.append(&mut batch, names, &routed, &context);
    };
    append(0, &mut first, 0, r#"{"a":"1","b":"2"}"#);
    append(1, &mut second, 1, r#"{"b":"3","a":"4"}"#);
    append(0, &mut first, 2, r#"{"b":"5"}"#);
    first.restart();
    append(0, &mut first, 3, r#"{"c":"6","b":"7"}"#);
    append(1, &mut second, 4, r#"{"a":"8"}"#);
    let inserter = Inserter::new(client());
    for finished in builder.finish() {
        let block = finished.encode(Compression::Lz4);
        runtime().block_on(inserter.insert(&block, "named")).unwrap();
    }
    assert_eq!(
        sql("SELECT attributes FROM named ORDER BY kafka_offset FORMAT TSV"),
        "{'a':'1','b':'2'}\n{'b':'3','a':'4'}\n{'b':'5'}\n{'c':'6','b':'7'}\n{'a':'8'}\n"
    );
}

#[test]
fn attributes_that_are_no_object_are_kept_too() {
    sql(
        "CREATE TABLE odd (attributes Map(String, String), labels Map(String, String), kafka_offset UInt64) ENGINE = MergeTree ORDER BY kafka_offset",
    );
    Case::new(&[
        r#"{"attributes":"text","labels":[1],"a":{"b":{},"c":[{}]}}"#,
        r#"{"attributes":{"a.b":"own"},"a":{"b":"other"},"labels":{"x":{"y":1e3}}}"#,
    ])
    .insert("odd");
    assert_eq!(
        sql("SELECT attributes, labels FROM odd ORDER BY kafka_offset FORMAT TSV"),
        "{'attributes':'text','a.b':'{}','a.c':'[{}]'}\t{'labels':'[1]'}\n{'a.b':'own'}\t{'x.y':'1e3'}\n"
    );
}

#[test]
fn rows_past_the_tables_ttl_are_dead() {
    for (name, ttl, column) in [
        ("old_a", "timestamp + INTERVAL 30 DAY", "DateTime64(9, 'UTC')"),
        ("old_b", "toDateTime(timestamp) + toIntervalDay(30) DELETE", "DateTime64(3, 'UTC')"),
        ("old_c", "timestamp + INTERVAL 4 WEEK", "DateTime('UTC')"),
        ("old_d", "toDate(timestamp) + INTERVAL 1 MONTH", "DateTime('UTC')"),
    ] {
        sql(&format!(
            "CREATE TABLE {name} (timestamp {column}, a String, kafka_offset UInt64) ENGINE = MergeTree ORDER BY kafka_offset TTL {ttl}"
        ));
        let case = Case::new(&[
            r#"{"timestamp":"2026-11-21T11:59:59Z","a":"fresh"}"#,
            r#"{"timestamp":"2026-10-01T00:00:00Z","a":"gone"}"#,
            r#"{"timestamp":"2026-10-26T00:00:00Z","a":"just kept"}"#,
        ]);
        let report = case.insert(name);
        assert_eq!((report.rows, report.dead.len()), (2, 1), "{ttl}");
        assert_eq!((report.dead[0].row, report.dead[0].reason()), (1, "past_ttl".to_owned()));
    }
    sql(
        "CREATE TABLE old_e (timestamp DateTime, a String) ENGINE = MergeTree ORDER BY a TTL timestamp + toIntervalDay(1) WHERE a = 'x'",
    );
    let table = runtime().block_on(Table::read(&client(), "old_e")).unwrap();
    assert_eq!((table.ttl.len(), table.ttl_unknown.len()), (0, 1), "{table:?}");
}
