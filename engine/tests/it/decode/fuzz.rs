//! Mangled and made-up events, in batches, with one decoder's memory kept all the while.

use logmon_dsl::column::Layout;
use proptest::prelude::*;

use super::{
    Bench,
    events::{Random, event},
    layout,
    reference::{Content, expected, loaded},
};

/// How many mutants a normal test run looks at. `LOGMON_FUZZ` asks for more.
const MUTANTS: usize = 200_000;
/// Events of a batch: each is the foreign bytes behind the one before it.
const TOGETHER: usize = 64;

/// What is put into events: the parts of JSON, whole and broken.
const TOKENS: &[&[u8]] = &[
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b" ",
    b"\n",
    b"\t",
    b"\0",
    b"\x1f",
    b"\x7f",
    b"\xff",
    b"\xc3",
    b"\xc3\xa9",
    b"\xe2\x82\xac",
    b"\xf0\x9f\x98\x80",
    b"\xed\xa0\x80",
    b"0",
    b"-",
    b".",
    b"e",
    b"1e400",
    b"1e308",
    b"-0",
    b"00",
    b"true",
    b"false",
    b"null",
    b"nul",
    b"{}",
    b"[]",
    b"[{}]",
    b"\"\"",
    b"\\u",
    b"\\u0041",
    b"\\ud83d",
    b"\\ude00",
    b"\\\"",
    b"\\n",
    b"\\x",
    b"\": ",
    b"\":",
    b",\"",
    b"\"a\":1,",
    b"\"a\":{\"a\":1},",
    b"\"b\":{\"c\":1},",
    b"\"b\":{\"d\":{\"e\":2,\"f\":3}},",
    b"\"http\":{\"status\":1},",
    b"\"http\":null,",
    b"\"labels\":{\"team\":2},",
    b"\"labels\":[],",
    b"\"user\":1,",
    b"\"message\": ",
    b"\"message\\\": ",
    b"\"\":0,",
    b"\"\\u0061\":5,",
    b"\"cache\":{\"hit\":1,\"hit\":{}},",
    b"\"x\":{\"y\":{\"z\":[]}},",
    b"\"x\":{},",
    b",\"x\":0",
    b"{\"timestamp\":\"",
];

/// Changes an event in one to four places; now and then not at all.
fn mutate(random: &mut Random, event: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..random.below(5) {
        let at = random.below(event.len() + 1);
        let end = at + random.below(event.len() - at + 1).min(random.pick(&[1, 2, 8, 64, 1000]));
        match random.below(9) {
            0 => event.truncate(at),
            1 => drop(event.drain(at..end)),
            2 => {
                let copy = event[at..end].to_vec();
                let to = random.below(event.len() + 1);
                event.splice(to..to, copy);
            }
            3 => {
                let from = random.below(other.len() + 1);
                event.truncate(at);
                event.extend_from_slice(&other[from..]);
            }
            4 | 5 => {
                if let Some(byte) = event.get_mut(at) {
                    *byte = if random.in_thousand(500) {
                        *byte ^ 1 << random.below(8)
                    } else {
                        random.bits() as u8
                    };
                }
            }
            6 => {
                // Right behind a comma or brace, where a member may stand.
                let spot = event[at..].iter().position(|byte| matches!(byte, b',' | b'{' | b'['));
                let at = spot.map_or(at, |spot| at + spot + 1);
                event.splice(at..at, random.pick(TOKENS).iter().copied());
            }
            7 => drop(event.splice(at..end, random.pick(TOKENS).iter().copied())),
            _ => drop(event.splice(at..at, random.pick(TOKENS).iter().copied())),
        }
    }
}

/// Decodes a batch and compares acceptance and every leaf with `serde_json`, and how it is written with the plain decoder.
/// Returns how many were accepted.
#[track_caller]
fn check(bench: &mut Bench, layout: &Layout, payloads: &[&[u8]], between: &[u8]) -> usize {
    let decoded = bench.decode(payloads, between);
    let mut fates = vec![None; payloads.len()];
    for (row, &index) in decoded.kept.iter().enumerate() {
        fates[index as usize] = Some(row);
    }
    assert_eq!(decoded.kept.len() + decoded.rejected.len(), payloads.len());
    assert_eq!(bench.batch.rows, decoded.kept.len());
    for (payload, fate) in payloads.iter().zip(fates) {
        let shown = || String::from_utf8_lossy(payload);
        let found = fate.map(|row| bench.row(row));
        assert_eq!(found, loaded(layout, payload), "{}", shown());
        assert_eq!(found.map(Content::plain), expected(layout, payload), "{}", shown());
    }
    decoded.kept.len()
}

#[test]
fn mutants_are_read_as_serde_json_reads_them() {
    let asked = std::env::var("LOGMON_FUZZ").ok();
    let mutants = asked.map_or(MUTANTS, |n| n.parse().expect("LOGMON_FUZZ is a number of mutants"));
    let mut random = Random::new(mutants as u64);
    let layout = layout();
    let mut bench = Bench::new(layout.clone());
    let (mut seen, mut accepted) = (0, 0);
    while seen < mutants {
        let mut events: Vec<Vec<u8>> = Vec::new();
        for index in 0..TOGETHER {
            let mut bytes = if random.in_thousand(200) {
                event(&mut random, seen + index).into_bytes()
            } else {
                short(&mut random)
            };
            let other = events.last().map_or(&b""[..], Vec::as_slice);
            mutate(&mut random, &mut bytes, other);
            events.push(bytes);
        }
        let between = random.pick::<&[u8]>(&[b"", b"", b"}", b"\"", b" ", b"\xff", b"0\":{"]);
        let payloads: Vec<&[u8]> = events.iter().map(Vec::as_slice).collect();
        accepted += check(&mut bench, &layout, &payloads, between);
        seen += events.len();
    }
    // Else the mutator destroys too much, or too little, to say anything.
    assert!(
        (mutants / 5..mutants / 2).contains(&accepted),
        "{accepted} of {mutants} were accepted"
    );
}

/// A short event in one of a few orders: the same ground as the long ones, many times as fast.
fn short(random: &mut Random) -> Vec<u8> {
    let members: [&[u8]; 12] = [
        br#""timestamp":"2026-11-21T10:00:00Z""#,
        br#""severity" : "info""#,
        br#""message": "caf\u00e9 said \"no\"""#,
        br#""http":{"status":200,"path":"/a","tls":{"version":1.3}}"#,
        br#""cache": {"hit": true, "ttl": 5}"#,
        br#""user":{"id":"u-1","tags":["a","b"]}"#,
        br#""ids":[1,2,-3.5e-2]"#,
        br#""labels":{"team":"x","zone":{"name":"z"}}"#,
        br#""b":{"c":null,"d":{"e":"","f":{}}}"#,
        "\"größe\":\"µ €\"".as_bytes(),
        br#""a":false"#,
        br#""x":{"y":{"z":0}}"#,
    ];
    let start = random.below(4) * 3;
    let mut event = b"{".to_vec();
    for index in 0..members.len() {
        if index == 0 || random.in_thousand(300) {
            if event.len() > 1 {
                event.push(b',');
            }
            event.extend_from_slice(members[(start + index) % members.len()]);
        }
    }
    event.push(b'}');
    event
}

/// White space, mostly none.
fn blank() -> impl Strategy<Value = &'static str> {
    prop_oneof![8 => Just(""), 2 => Just(" "), 1 => Just("\n\t \r"), 1 => Just("    ")]
}

/// Keys that the layout knows, that it does not, that are spelled in two ways.
fn key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "a", r"\u0061", "b", "c", "d", "e", "x", "y", r"\u0079", "labels", "whole", "", r#"\""#,
        r"\\", "é", r"\u00e9", "b.c",
    ])
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "0",
        "-1.5e3",
        "null",
        "true",
        "false",
        r#""""#,
        r#""text""#,
        r#""\ud83d\ude00\n""#,
        "\"é\"",
        "{}",
        "[]",
        "{ }",
    ]);
    leaf.prop_map(String::from).prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            3 => object(inner.clone()),
            1 => (prop::collection::vec((blank(), inner, blank()), 0..4)).prop_map(|items| {
                let items: Vec<_> = items.iter().map(|(a, item, b)| format!("{a}{item}{b}")).collect();
                format!("[{}]", items.join(","))
            }),
        ]
    })
}

fn object(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let member = (blank(), key(), blank(), blank(), value, blank())
        .prop_map(|(a, key, b, c, value, d)| format!(r#"{a}"{key}"{b}:{c}{value}{d}"#));
    prop::collection::vec(member, 0..7).prop_map(|members| format!("{{{}}}", members.join(",")))
}

proptest! {
    /// Keys repeat a lot here, at every level and in every spelling.
    #[test]
    fn made_up_events_are_read_as_serde_json_reads_them(
        events in prop::collection::vec(object(value()), 1..8),
    ) {
        let layout = layout();
        let mut bench = Bench::new(layout.clone());
        let payloads: Vec<&[u8]> = events.iter().map(String::as_bytes).collect();
        for _ in 0..2 {
            let accepted = check(&mut bench, &layout, &payloads, b"");
            prop_assert_eq!(accepted, payloads.len());
        }
    }

    /// Whatever the bytes are.
    #[test]
    fn noise_does_no_harm(noise in prop::collection::vec(any::<u8>(), 0..200), tokens in prop::collection::vec(prop::sample::select(TOKENS), 0..20)) {
        let layout = layout();
        let mut bench = Bench::new(layout.clone());
        let good = br#"{"a":1,"x":{"y":2}}"#;
        let accepted = check(&mut bench, &layout, &[&noise, &tokens.concat(), good], b"");
        prop_assert!(accepted >= 1);
    }
}
