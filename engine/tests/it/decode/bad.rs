//! Bad records, kind by kind: the standard's own suite, hostile sizes, broken text, numbers at the edge, keys that clash.

use std::fmt::Write as _;

use super::{
    Bench, layout,
    suite::{DECIDED, REFUSED, TAKEN},
};

/// `taken`, or the reason for the dead letter.
fn fate(bench: &mut Bench, payload: &[u8]) -> &'static str {
    let decoded = bench.decode(&[payload], b"");
    decoded.rejected.first().map_or("taken", |(_, reject)| reject.name())
}

fn inside(value: &[u8]) -> Vec<u8> {
    [b"{\"a\":1,\"v\":", value, b"}"].concat()
}

#[test]
fn b1_the_json_test_suite() {
    let mut bench = Bench::new(layout());
    for (name, text) in TAKEN {
        let whole = if text.trim_ascii().starts_with(b"{") { "taken" } else { "not_object" };
        assert_eq!(fate(&mut bench, text), whole, "y_{name}");
        assert_eq!(fate(&mut bench, &inside(text)), "taken", "y_{name} in an event");
    }
    for (name, text) in REFUSED {
        let whole = fate(&mut bench, text);
        assert!(["not_json", "not_utf8", "empty"].contains(&whole), "n_{name}: {whole}");
        let inside = fate(&mut bench, &inside(text));
        assert!(["not_json", "not_utf8"].contains(&inside), "n_{name} in an event: {inside}");
    }
    for (name, text, meant) in DECIDED {
        assert_eq!(fate(&mut bench, &inside(text)), *meant, "i_{name}");
    }
    for depth in [500, 100_000] {
        assert_eq!(fate(&mut bench, "[".repeat(depth).as_bytes()), "too_deep");
        let closed = "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(fate(&mut bench, &inside(closed.as_bytes())), "too_deep");
        assert_eq!(fate(&mut bench, "[{\"\":".repeat(depth).as_bytes()), "too_deep");
    }
    assert!(TAKEN.len() + REFUSED.len() + DECIDED.len() > 300);
}

#[test]
fn b2_hostile_sizes() {
    let mut bench = Bench::new(layout());
    assert_eq!(fate(&mut bench, "[".repeat(100_000).as_bytes()), "too_deep");
    let long = format!("{{\"message\":\"{}\"}}", "x".repeat(10 << 20));
    assert_eq!(fate(&mut bench, long.as_bytes()), "too_large");
    bench.limits.max_bytes = 16 << 20;
    assert_eq!(fate(&mut bench, long.as_bytes()), "taken");
    let mut keys = String::from("{");
    for key in 0..50_000 {
        write!(keys, "\"k{key}\":{key},").unwrap();
    }
    keys.push_str("\"end\":1}");
    assert_eq!(fate(&mut bench, keys.as_bytes()), "too_many_keys");
    let mut same = String::from("{");
    for _ in 0..50_000 {
        same.push_str("\"k\":1,");
    }
    same.push_str("\"k\":2}");
    assert_eq!(fate(&mut bench, same.as_bytes()), "too_many_keys", "repeats count too");
    for round in 0..500 {
        let lines: Vec<String> =
            (0..2_000).map(|n| format!("{{\"n\":{}}}", round * 2_000 + n)).collect();
        let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
        assert_eq!(bench.decode(&lines, b"").kept.len(), 2_000);
    }
}

#[test]
fn b3_text_that_is_none() {
    let mut bench = Bench::new(layout());
    let cases: [(&[u8], &str); 10] = [
        (b"{\"a\":\"\xff\"}", "not_utf8"),
        (b"{\"a\":\"\xc0\xaf\"}", "not_utf8"),
        (b"{\"a\xe9\":1}", "not_utf8"),
        (b"\xef\xbb\xbf{\"a\":1}", "not_json"),
        (b"{\"a\":\"x\0y\"}", "not_json"),
        (b"{\"a\":\"x\\u0000y\"}", "taken"),
        (b"{\"a\":\"\\ud800\"}", "not_json"),
        (b"{\"a\":1}\r\n", "taken"),
        (b"{\"a\":\"\x1b[31mred\"}", "not_json"),
        (b"{\"a\":\"\\u001b[31mred\\r\\nforged line\"}", "taken"),
    ];
    for (payload, meant) in cases {
        assert_eq!(fate(&mut bench, payload), meant, "{}", String::from_utf8_lossy(payload));
    }
}

#[test]
fn b4_numbers_at_the_edge() {
    let mut bench = Bench::new(layout());
    // Whatever is a number stays as it was written until a column asks for it.
    for number in [
        "12345678901234567890",
        "-12345678901234567890",
        "18446744073709551616",
        "-0",
        "0.1",
        "0.30000000000000004",
        "1e308",
        "5e-324",
        "1e-400",
        "123456789012345678901234567890.5",
    ] {
        assert_eq!(bench.show(&format!("{{\"n\":{number}}}")), format!(".:n={number}"));
    }
    for number in ["1e400", "-1e400", "NaN", "Infinity", "0x10", "007", "+1", "1.", ".5", "1_000"] {
        assert_eq!(fate(&mut bench, &inside(number.as_bytes())), "not_json", "{number}");
    }
}

#[test]
fn b5_keys_that_clash() {
    let mut bench = Bench::new(layout());
    assert_eq!(bench.show(r#"{"a":1,"a":2}"#), ".a=2", "the last one wins");
    assert_eq!(bench.show(r#"{"n":1,"n":{"x":2},"n":"3"}"#), ".:n=\"3\"");
    assert_eq!(bench.show(r#"{"b":{"c":1},"b":2}"#), ".b=2", "whatever its type");
    // A dotted key and the path it looks like are two members, and both are kept.
    let both = bench.show(r#"{"x.y":1,"x":{"y":2}}"#);
    assert!(both.contains("x.y=1") && both.contains("x/y=2"), "{both}");
    // One field, another type in each event: no event stops another.
    let events: Vec<String> = (0..300)
        .map(|n| match n % 3 {
            0 => format!("{{\"a\":\"{n}\"}}"),
            1 => format!("{{\"a\":{n}}}"),
            _ => format!("{{\"a\":{{\"b\":{n}}}}}"),
        })
        .collect();
    let events: Vec<&[u8]> = events.iter().map(String::as_bytes).collect();
    assert_eq!(bench.decode(&events, b"").kept.len(), 300);
}
