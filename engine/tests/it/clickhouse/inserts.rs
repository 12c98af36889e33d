//! Blocks on the wire, tokens, and what the server may object to.

use std::sync::Arc;

use logmon_engine::sink::clickhouse::{
    Class, Client, Compression, DeadLetter, DeadLetters, Endpoint, Inserter, Raw, Table, ddl,
};

use logmon_services::ClickHouse;

use super::{Case, client, context, endpoint, runtime, server, sql};

#[test]
fn blocks_of_every_compression_are_equal_on_the_server() {
    sql(
        "CREATE TABLE packed (message String, service LowCardinality(String), attributes Map(LowCardinality(String), String), kafka_offset UInt64) \
         ENGINE = MergeTree ORDER BY kafka_offset",
    );
    let events: Vec<String> = (0..20_000)
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
        assert_eq!((report.rows, blocks.len(), blocks[0].rows), (20_000, 1, 20_000));
        assert_eq!(blocks[0].tickets.len(), 20_000_usize.div_ceil(512));
        case.insert("packed");
        hashes.push(sql("SELECT count(), groupBitXor(cityHash64(*)), uniqExact(service), sum(toUInt64(attributes['n'])) FROM packed FORMAT TSV"));
    }
    assert!(
        hashes[0].starts_with("20000\t")
            && hashes[0].ends_with(&format!("\t300\t{}\n", 20_000_u64 * 19_999 / 2)),
        "{}",
        hashes[0]
    );
    assert_eq!((&hashes[1], &hashes[2]), (&hashes[0], &hashes[0]));
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
        Class::Stop,
        "[sink.logs] table: there is no table default.nope; create it",
    );
    check(
        &|e| {
            e.user = "logmon".into();
            e.password = "wrong".into();
        },
        "x",
        Class::Stop,
        "[sink.logs] password: the server refuses user and password",
    );
    check(
        &|e| e.user = "nobody".into(),
        "x",
        Class::Stop,
        "[sink.logs] password: the server refuses user and password",
    );
    check(
        &|e| e.database = "nowhere".into(),
        "x",
        Class::Stop,
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
        Class::Stop,
        "[sink.logs] url: ftp:// is not http:// or https://",
    );
    check(
        &|e| e.url = "localhost".into(),
        "x",
        Class::Stop,
        "[sink.logs] url: \"localhost\" must look like http://host:8123",
    );
    check(
        &|e| e.password = "a\nb".into(),
        "x",
        Class::Stop,
        "[sink.logs] password: it holds control characters",
    );

    sql(
        "CREATE TABLE shrinking (a String, b String, kafka_offset UInt64) ENGINE = MergeTree ORDER BY kafka_offset",
    );
    let (_, blocks) = Case::new(&[r#"{"a":"x"}"#]).build("shrinking");
    let inserter = Inserter::new(client());
    sql("ALTER TABLE shrinking DROP COLUMN b");
    let error = runtime.block_on(inserter.insert(&blocks[0], "s1")).unwrap_err();
    assert_eq!((error.class, error.code), (Class::Refresh, Some(16)), "{error}");
    sql("DROP TABLE shrinking");
    let error = runtime.block_on(inserter.insert(&blocks[0], "s2")).unwrap_err();
    assert_eq!((error.class, error.code), (Class::Stop, Some(60)), "{error}");
    let mut broken = blocks[0].clone();
    broken.rows = 0;
    let error = runtime.block_on(inserter.insert(&broken, "s3")).unwrap_err();
    assert_eq!(error.class, Class::Stop, "{error}");
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
    assert_eq!(error.class, Class::Stop, "{error}");
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
    assert!(!error.sentence.is_empty() && error.class != Class::Stop, "{error}");
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
    let mut letters = DeadLetters::new(&"dead".into(), &table).unwrap();
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
    let hex = record[..200].iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02X}"));
    let common = format!(
        "2\t1970-01-02 00:00:00.000000000\tlogs\tprod/a\t.x =\tnot_utf8\tbyte 128 starts no character\tabc\tk\t{{'h':'2\"'}}\t{hex}\t256\t64"
    );
    assert_eq!(held, format!("0\t1\t{common}\n0\t2\t{common}\n1\t1\t{common}\n"));
}

#[test]
fn a_server_that_dies_and_returns_takes_the_block_again() {
    let own = ClickHouse::start_own().unwrap();
    own.query("CREATE TABLE back (a String, kafka_offset UInt64) ENGINE = MergeTree ORDER BY kafka_offset SETTINGS non_replicated_deduplication_window = 10").unwrap();
    sql(
        "CREATE TABLE back (a String, kafka_offset UInt64) ENGINE = MergeTree ORDER BY kafka_offset",
    );
    let (_, blocks) = Case::new(&[r#"{"a":"x"}"#]).build("back");
    let endpoint = Endpoint { url: own.url().into(), ..endpoint() };
    let inserter = Inserter::new(Arc::new(Client::new(endpoint).unwrap()));
    let runtime = runtime();
    let insert = || runtime.block_on(inserter.insert(&blocks[0], "back"));
    insert().unwrap();
    own.kill().unwrap();
    let error = insert().unwrap_err();
    assert!(error.class.is_transient(), "{error}");
    assert!(error.sentence.starts_with("[sink.logs] url: nothing listens at"), "{error}");
    own.restart().unwrap();
    insert().unwrap();
    assert_eq!(own.query("SELECT count() FROM back FORMAT TSV").unwrap(), "1\n");
}
