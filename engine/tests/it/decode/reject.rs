//! Refusals: each has its reason, the same whatever stands around the payload.

use logmon_dsl::column::Batch;
use logmon_dsl::column::batch::Payload;
use logmon_engine::decode::{Limits, Reject};

use super::{Bench, layout};

/// Decodes a payload alone, and again with others around it, and returns why it was refused.
#[track_caller]
fn refuse(bench: &mut Bench, payload: &[u8]) -> Reject {
    let good = br#"{"a":1,"x":{"y":2}}"#;
    let alone = bench.decode(&[payload], b"").rejected;
    let among = bench.decode(&[good, payload, good], b"");
    assert_eq!(among.kept, [0, 2]);
    assert_eq!(bench.row(0), bench.row(1));
    assert_eq!(among.rejected.len(), 1);
    assert_eq!(alone[0].1, among.rejected[0].1);
    assert_eq!((alone[0].0, among.rejected[0].0), (0, 1));
    for behind in [&b"e999}"[..], b"[[[[", b"\"}", b"{\"a\":{\"a\":{"] {
        assert_eq!(bench.decode(&[payload], behind).rejected, alone);
    }
    alone[0].1.clone()
}

#[track_caller]
fn check(payload: impl AsRef<[u8]>, name: &str, sentence: &str) {
    let mut bench = Bench::new(layout());
    let reject = refuse(&mut bench, payload.as_ref());
    assert_eq!((reject.name(), reject.to_string().as_str()), (name, sentence));
}

#[test]
fn each_refusal_has_a_reason() {
    check("", "empty", "the value is empty");
    check(" \n", "not_json", "the value is not JSON: EOF while parsing a value at byte 2");
    check(
        "{\"a\":\"\u{e9}\"".as_bytes(),
        "not_json",
        "the value is not JSON: EOF while parsing an object at byte 9",
    );
    check(r#"{"a":1,}"#, "not_json", "the value is not JSON: trailing comma at byte 7");
    check("{\"a\":1,\n\"b\" 2}", "not_json", "the value is not JSON: expected `:` at byte 12");
    check(r#"{"a":1}x"#, "not_json", "the value is not JSON: trailing characters at byte 7");
    check(r#"{"a":1e400}"#, "not_json", "the value is not JSON: number out of range at byte 9");
    check(r#"{"a":1"#, "not_json", "the value is not JSON: EOF while parsing an object at byte 6");
    for value in ["1", "12", "\"{}\"", "null", "true", "[]", "[{\"a\":1}]"] {
        check(value, "not_object", "the value is JSON but not an object");
    }
    check(b"{\"a\":\"\xff\"}", "not_utf8", "the value is not UTF-8");
    check(b"\x1f\x8b\x08\x00", "not_utf8", "the value is not UTF-8");
    check("[".repeat(500), "too_deep", "objects and arrays nest too deep");
}

#[test]
fn a_record_without_a_value_is_a_tombstone() {
    let mut bench = Bench::new(layout());
    bench.batch.arena.pad();
    let payloads = [Payload { offset: 0, len: 0, null: true }];
    let decoded = bench.decoder.decode(&mut bench.batch, &payloads, &Limits::default());
    assert_eq!(decoded.rejected, [(0, Reject::Tombstone)]);
    assert_eq!(decoded.rejected[0].1.to_string(), "the record has no value");
}

#[test]
fn nothing_to_decode_is_an_empty_batch() {
    let mut bench = Bench::new(layout());
    let decoded = bench.decode(&[], b"");
    assert_eq!((decoded.kept.len(), decoded.rejected.len(), bench.batch.rows), (0, 0, 0));
    let mut batch = Batch::new(&layout());
    batch.arena.pad();
    assert_eq!(bench.decoder.decode(&mut batch, &[], &Limits::default()), decoded);
}

#[test]
fn levels_are_counted_in_objects_and_arrays_of_any_kind() {
    let frames = [
        (r#"{"x":"#, "}", "1"),
        (r#"{"b":"#, "}", "1"),
        (r#"{"x":"#, "}", "{}"),
        (r#"{"x":"#, "}", "[]"),
        (r#"{"labels":"#, "}", "{}"),
        ("[", "]", "[]"),
        ("[", "]", "{}"),
        (r#"[{"x":"#, "}]", "1"),
    ];
    for (open, close, inner) in frames {
        let levels = |text: &str| text.matches(['{', '[']).count();
        for outer in [r#"{"a":"#, r#"{"x":"#, r#"{"whole":"#] {
            let fits = (64 - 1 - levels(inner)) / levels(open);
            let deep = |n: usize| format!("{outer}{}{inner}{}}}", open.repeat(n), close.repeat(n));
            let mut bench = Bench::new(layout());
            bench.show(&deep(fits));
            let reject = refuse(&mut bench, deep(fits + 1).as_bytes());
            assert_eq!(reject, Reject::TooDeep, "{}", deep(fits + 1));
            // However high the limit, never deeper than what `serde_json` takes.
            bench.limits.max_depth = 100_000;
            bench.show(&deep(fits + 1));
            let reject = refuse(&mut bench, deep(128 / levels(open)).as_bytes());
            assert_eq!(reject, Reject::TooDeep);
        }
    }
}

#[test]
fn members_are_counted_wherever_they_stand() {
    let mut bench = Bench::new(layout());
    bench.limits.max_keys = 6;
    for event in [
        r#"{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6}"#,
        r#"{"a":1,"b":{"c":3,"d":4,"e":5,"f":6}}"#,
        r#"{"whole":{"b":2,"c":[{"d":4,"e":5,"f":6}]}}"#,
        r#"{"x":{"x":{"x":{"x":{"x":{"x":6}}}}}}"#,
        r#"{"a":1,"a":2,"a":3,"a":4,"a":5,"a":6}"#,
    ] {
        bench.show(event);
        let more = event.replacen('6', r#"6,"more":7"#, 1);
        assert_eq!(refuse(&mut bench, more.as_bytes()), Reject::TooManyKeys, "{more}");
        assert_eq!(refuse(&mut bench, more.replacen('7', "{", 1).as_bytes()), Reject::TooManyKeys);
    }
}

#[test]
fn large_payloads_are_not_looked_at() {
    let mut bench = Bench::new(layout());
    bench.limits.max_bytes = 20;
    bench.show(r#"{"a":"012345678901"}"#);
    let reject = refuse(&mut bench, b"\xff2345678901234567890 ");
    assert_eq!(reject, Reject::TooLarge);
    assert_eq!(reject.to_string(), "the value is larger than the source allows");
}
