//! What was found out the hard way, one case each.

use super::{Stored, events::TYPES, sql};

/// The offsets that the stream and the server find, which must agree.
#[track_caller]
fn both(stored: &Stored, condition: &str) -> Vec<usize> {
    let (plan, when) = stored.compile(condition).unwrap();
    let query = sql::condition(&plan, when, &stored.store, 0)
        .unwrap_or_else(|why| panic!("{condition}: {why:?}"));
    let here = stored.here(&plan, when);
    let there = stored.there(std::slice::from_ref(&query)).remove(0).unwrap();
    assert_eq!(here, there, "{condition}\n{}", query.text);
    here
}

fn json(table: &str, events: &[&str]) -> Stored {
    let events = events
        .iter()
        .map(|event| event.replacen('{', r#"{"timestamp":"2026-11-20T00:00:00Z","#, 1))
        .collect();
    Stored::new(table, "attributes JSON", TYPES, events)
}

#[test]
fn a_negation_takes_rows_without_the_value() {
    let stored = json("sql_negation", &[r#"{"body":{"a":"x"}}"#, r#"{"body":{"b":1}}"#]);
    assert_eq!(both(&stored, r#"not (.body.a == "x")"#), [1]);
    assert_eq!(both(&stored, r#".body.a != "y""#), [0, 1]);
}

#[test]
fn one_path_holds_three_types_of_numbers() {
    let stored = json(
        "sql_numbers",
        &[
            r#"{"body":{"a":12}}"#,
            r#"{"body":{"a":12.5}}"#,
            r#"{"body":{"a":18446744073709551615}}"#,
            r#"{"body":{"a":"12"}}"#,
            r#"{"body":{"a":true}}"#,
        ],
    );
    assert_eq!(both(&stored, ".body.a >= 12"), [0, 1, 2]);
    assert_eq!(both(&stored, ".body.a in [12, 12.5]"), [0, 1]);
}

#[test]
fn text_that_looks_like_a_date_stays_text() {
    let stored = json(
        "sql_dates",
        &[r#"{"body":{"a":"2026-01-02"}}"#, r#"{"body":{"a":"2026-01-02 03:04:05"}}"#],
    );
    assert_eq!(both(&stored, r#".body.a starts_with "2026""#), [0, 1]);
}

#[test]
fn an_object_is_present() {
    let stored = json("sql_objects", &[r#"{"body":{"a":{"b":1}}}"#, r#"{"body":{"c":1}}"#]);
    assert_eq!(both(&stored, ".body.a is present"), [0]);
    assert_eq!(both(&stored, ".body.a is absent"), [1]);
}

#[test]
fn a_dot_in_a_key_is_no_step() {
    let stored = json(
        "sql_dots",
        &[r#"{"body":{"a.b":"x"}}"#, r#"{"body":{"a":{"b":"x"}}}"#, r#"{"body":{"a%2Eb":"x"}}"#],
    );
    assert_eq!(both(&stored, r#".body."a.b" == "x""#), [0]);
    assert_eq!(both(&stored, r#".body.a.b == "x""#), [1]);
}

#[test]
fn a_dot_of_a_regex_takes_no_line_end() {
    let stored = json("sql_lines", &[r#"{"body":{"a":"x\ny"}}"#, r#"{"body":{"a":"x y"}}"#]);
    assert_eq!(both(&stored, r#".body.a matches re"x.y""#), [1]);
    assert_eq!(both(&stored, r#".body.a matches re"x.y"s"#), [0, 1]);
}

#[test]
fn text_that_is_no_address_lies_in_no_block() {
    let stored = json(
        "sql_addresses",
        &[
            r#"{"req":{"peer":"10.0.0.1"}}"#,
            r#"{"req":{"peer":"nonsense"}}"#,
            r#"{"req":{"peer":""}}"#,
        ],
    );
    assert_eq!(both(&stored, r#".req.peer in cidr"10.0.0.0/8""#), [0]);
}

#[test]
fn a_map_without_the_key_is_not_empty_text() {
    let events = [r#"{"body":{"a":"x"}}"#, r#"{"body":{"a":""}}"#, r#"{"body":{"b":1}}"#];
    let stored = Stored::new(
        "sql_entries",
        "attributes Map(LowCardinality(String), String)",
        TYPES,
        events.iter().map(|event| (*event).to_owned()).collect(),
    );
    assert_eq!(both(&stored, r#".body.a == """#), [1]);
    assert_eq!(both(&stored, r#".body.a != "x""#), [1, 2]);
    assert_eq!(both(&stored, ".body.a is absent"), [2]);
}

#[test]
fn overflow_and_division_by_zero_are_absent() {
    let stored =
        json("sql_arithmetic", &[r#"{"n":9223372036854775807}"#, r#"{"n":0}"#, r#"{"n":2}"#]);
    assert_eq!(both(&stored, ".n + 1 > 0"), [1, 2]);
    assert_eq!(both(&stored, "10 / .n > 0"), [0, 2]);
    assert_eq!(both(&stored, "10 % .n >= 0"), [0, 2]);
}

#[test]
fn the_smaller_of_a_number_and_nothing_is_nothing() {
    let stored = json("sql_least", &[r#"{"n":1}"#, r#"{"n":1,"req":{"status":5}}"#]);
    assert_eq!(both(&stored, "min(.n, .req.status) == 1"), [1]);
}

#[test]
fn what_sql_has_no_word_for_is_refused_by_name() {
    let stored = json("sql_refusals", &[r#"{"n":1}"#]);
    for (condition, reason) in [
        (r#"template(.message) == "x""#, "template"),
        (".body.a + 1 > 2", "declare"),
        (r#".message matches re"[a-z&&[^b]]""#, "set operations"),
        ("@topic == \"x\"", "where its events came from"),
    ] {
        let (plan, when) = stored.compile(condition).unwrap();
        let why = sql::condition(&plan, when, &stored.store, 0).unwrap_err();
        let text = format!("{} {:?}", why[0].message, why[0].help);
        assert!(text.contains(reason), "{condition}: {text}");
        assert_eq!(why[0].code.to_string(), "E603");
    }
}
