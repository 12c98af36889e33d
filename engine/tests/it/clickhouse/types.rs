//! Every column type, at its edges.

use logmon_engine::sink::clickhouse::Class;

use super::{Case, sql};

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
fn unsupported_types_are_refused_by_name() {
    sql(
        "CREATE TABLE exact (price Decimal(18, 4), kafka_offset UInt64) ENGINE = MergeTree ORDER BY kafka_offset",
    );
    let error = Case::new(&[]).bind("exact").unwrap_err();
    assert_eq!(error.class, Class::Stop);
    assert!(error.sentence.starts_with("[sink.logs] table: column price of exact: type Decimal(18, 4) cannot be filled: use Float64"), "{error}");
    sql(
        "CREATE TABLE exact_default (price Decimal(18, 4) DEFAULT 1, kafka_offset UInt64) ENGINE = MergeTree ORDER BY kafka_offset",
    );
    Case::new(&["{}"]).insert("exact_default");
    assert_eq!(sql("SELECT price FROM exact_default FORMAT TSV"), "1\n");
}
