//! The edges of the JSON standard: what is JSON, what is not, and that each place in an event agrees.

use logmon_dsl::column::Layout;

use super::{Bench, layout, reference::expected};

/// Values that are JSON.
const VALUES: &[&str] = &[
    "0",
    "-0",
    "1",
    "-1",
    "123456789",
    "0.5",
    "-0.0",
    "1e5",
    "1E5",
    "1e+5",
    "1e-5",
    "1.25E-07",
    "0e1",
    "0E+400",
    "0.0e999999999999",
    "1e308",
    "1e-400",
    "-1e-99999999999",
    "1.7976931348623157e308",
    "1797693134862315.81e293",
    "9223372036854775808",
    "18446744073709551616",
    "-9223372036854775809",
    "123456789012345678901234567890123456789012345678901234567890",
    "0.1234567890123456789012345678901234567890",
    "true",
    "false",
    "null",
    r#""""#,
    r#"" ""#,
    r#""a""#,
    r#""\"""#,
    r#""\\""#,
    r#""\/""#,
    r#""\b\f\n\r\t""#,
    r#""\u0000""#,
    r#""\u0022\u005c""#,
    r#""\uD834\uDd1e""#,
    r#""\uFFFF""#,
    r#""\uD7FF\uE000""#,
    r#""\\u0041""#,
    r#""\\\\""#,
    "\"\u{7f}\"",
    "\"é€😀\u{10ffff}\"",
    "\"\u{feff}\"",
    "\"\u{2028}\u{2029}\"",
    r#""{}[],:""#,
    "[]",
    "[ ]",
    "[1]",
    "[ 1 , 2 ]",
    "[[],[[]],{}]",
    r#"[{"a":{}},{"a":[]}]"#,
    "[true,false,null]",
    "[1\n,\r\t2]",
    "{}",
    "{ }",
    r#"{"a":1}"#,
    r#"{ "a" : 1 , "b" : [ 2 ] }"#,
    r#"{"":""}"#,
    r#"{"a":{"a":{"a":null}}}"#,
    r#"{"a":1,"a":2}"#,
    r#"{"a\u0000b":1}"#,
];

/// Texts that are no JSON value.
const NOT_VALUES: &[&str] = &[
    "",
    " ",
    "-",
    "+1",
    "01",
    "-01",
    "00",
    "1.",
    ".5",
    "-.5",
    "1.e5",
    "1e",
    "1e+",
    "1E-",
    "1.5e",
    "0x10",
    "1_000",
    "0.e1",
    "--1",
    "- 1",
    "1 2",
    "1.2.3",
    "1e5.5",
    "1e1e1",
    "NaN",
    "Infinity",
    "-Infinity",
    "1e400",
    "-1e309",
    "1.7976931348623158e308",
    "1e99999999999999999999",
    "1a",
    "0b",
    "\u{661}",
    "tru",
    "True",
    "TRUE",
    "truee",
    "nul",
    "nulL",
    "fals",
    "falsy",
    "undefined",
    "true false",
    r#"""#,
    r#""a"#,
    "a",
    "'a'",
    r#""\"#,
    r#""\""#,
    r#""\a""#,
    r#""\'""#,
    r#""\0""#,
    r#""\x41""#,
    r#""\u""#,
    r#""\u004""#,
    r#""\u00g0""#,
    r#""\u 041""#,
    r#""\uD800""#,
    r#""\uDC00""#,
    r#""\uD800\uD800""#,
    r#""\uD800a""#,
    r#""\uD800\n""#,
    r#""\uDBFF\u0041""#,
    r#""\u{41}""#,
    "\"\t\"",
    "\"\n\"",
    "\"\0\"",
    "\"\u{1f}\"",
    r#""a""b""#,
    "[",
    "]",
    "[1",
    "[1,",
    "[1,]",
    "[,1]",
    "[,]",
    "[1,,2]",
    "[1 2]",
    "[1;2]",
    "[\"a\"",
    "[[]",
    "[]]",
    "[}",
    "[1}",
    "[1:2]",
    r#"["a":1]"#,
    "[\u{a0}]",
    "[/**/]",
    "{",
    "}",
    "{]",
    "{,}",
    r#"{"a"}"#,
    r#"{"a":}"#,
    r#"{"a":1"#,
    r#"{"a":1,}"#,
    r#"{"a":1,,"b":2}"#,
    r#"{,"a":1}"#,
    r#"{"a":1 "b":2}"#,
    r#"{"a" 1}"#,
    r#"{"a"::1}"#,
    "{a:1}",
    "{'a':1}",
    "{1:1}",
    "{null:1}",
    r#"{"a":1]"#,
    r#"{"a":1}}"#,
    r#"{"a":1};"#,
    r#"{"\uD800":1}"#,
    r#"{"\q":1}"#,
    "{\"a\tb\":1}",
    "{\"a\":\u{b}1}",
    "{\"a\":\u{c}1}",
    "\u{feff}{}",
    r#"{"a":1}//"#,
    r#"{"a":"b}"#,
    r#"{"a:1}"#,
];

/// Bytes that are no UTF-8, as a string's content.
const NOT_UTF8: &[&[u8]] = &[
    b"\xff",
    b"\xfe",
    b"\x80",
    b"\xbf",
    b"\xc0\xaf",
    b"\xc1\xbf",
    b"\xc3",
    b"\xe2\x82",
    b"\xe0\x80\x80",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xf0\x80\x80\x80",
    b"\xf0\x9f\x98",
    b"\xf4\x90\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"a\xffb",
    b"\xc3\xa9\xa9",
];

/// Puts a text at every kind of place: a known path, an unknown one, below both, in an array, in an object kept whole.
fn places(text: &[u8]) -> Vec<Vec<u8>> {
    let frames: [(&[u8], &[u8]); 9] = [
        (br#"{"a":"#, b"}"),
        (br#"{"x":"#, b"}"),
        (br#"{"b":{"c":"#, b"}}"),
        (br#"{"b":{"y": "#, b" } }"),
        (br#"{"x":{"y":"#, br#"},"a":1}"#),
        (br#"{"labels":{"y":"#, b"}}"),
        (br#"{"a":["#, b"]}"),
        (br#"{"x":[1, "#, b" ]}"),
        (br#"{"whole":{"y":"#, b",\"z\":2}}"),
    ];
    frames.iter().map(|(before, behind)| [*before, text, *behind].concat()).collect()
}

/// Decodes each alone and all together, and compares with `serde_json`.
#[track_caller]
fn check(bench: &mut Bench, layout: &Layout, events: &[Vec<u8>]) -> usize {
    let alone = events.iter().map(|event| vec![event.as_slice()]);
    let together = vec![events.iter().map(Vec::as_slice).collect()];
    let mut accepted = 0;
    for batch in alone.chain(together) {
        let decoded = bench.decode(&batch, b"");
        let mut rows = decoded.kept.iter().enumerate();
        accepted = decoded.kept.len();
        for (index, event) in batch.iter().enumerate() {
            let shown = String::from_utf8_lossy(event);
            let expected = expected(layout, event);
            if let Some((_, reject)) =
                decoded.rejected.iter().find(|(rejected, _)| *rejected as usize == index)
            {
                assert_eq!(expected, None, "{shown} was refused: {reject:?}");
                continue;
            }
            let (row, &kept) = rows.next().expect("every payload has one fate");
            assert_eq!(kept as usize, index);
            assert_eq!(Some(bench.row(row).plain()), expected, "{shown}");
        }
    }
    accepted
}

#[test]
fn what_is_json_is_taken() {
    let mut bench = Bench::new(layout());
    for value in VALUES {
        let events = places(value.as_bytes());
        assert_eq!(check(&mut bench, &layout(), &events), events.len(), "{value}");
    }
}

#[test]
fn what_is_not_json_is_refused() {
    let mut bench = Bench::new(layout());
    for text in NOT_VALUES {
        // Two texts become JSON where they end an outer value early, or make one out of two members.
        let events = places(text.as_bytes());
        let taken = check(&mut bench, &layout(), &events);
        assert!(taken == 0 || matches!(*text, "" | " "), "{text}");
    }
    for content in NOT_UTF8 {
        let quoted = [b"\"", *content, b"\""].concat();
        assert_eq!(check(&mut bench, &layout(), &places(&quoted)), 0, "{content:?}");
        let key = [b"{", &*quoted, b":1}"].concat();
        assert_eq!(check(&mut bench, &layout(), &places(&key)), 0, "{content:?}");
        assert_eq!(check(&mut bench, &layout(), &[key]), 0, "{content:?}");
        assert_eq!(check(&mut bench, &layout(), &[[b"{}", *content].concat()]), 0);
    }
}

#[test]
fn an_event_is_one_object_and_nothing_else() {
    let mut bench = Bench::new(layout());
    for event in [&b"{}"[..], b" {}", b"{} ", b"\t\r\n {\n}\n", b"{\"a\":1}\n"] {
        assert_eq!(check(&mut bench, &layout(), &[event.to_vec()]), 1);
    }
    for text in VALUES.iter().chain(NOT_VALUES) {
        let event = text.as_bytes().to_vec();
        let taken = check(&mut bench, &layout(), &[event]);
        assert_eq!(taken == 1, text.starts_with('{') && VALUES.contains(text), "{text}");
        for around in [format!("{{}}{text}"), format!("{text}{{}}"), format!("{{}},{text}")] {
            let blank = matches!(&**text, "" | " ") && !around.contains(',');
            assert_eq!(check(&mut bench, &layout(), &[around.into_bytes()]) == 1, blank, "{text}");
        }
    }
}

#[test]
fn an_event_ends_where_its_payload_ends() {
    let event = br#"{"a":"text","x":{"y":[1,2.5e3,{"z":null}]},"b":{"c":true,"f":-0}}"#;
    let mut bench = Bench::new(layout());
    // Each half is followed by its other half, by zeros, and by bytes that would complete a token.
    for cut in 0..event.len() {
        let (half, other) = event.split_at(cut);
        for behind in [other, b"", b"}", b"\"}", b"1}", b"e5}", b"rue}", b"   }", b"]}}"] {
            let decoded = bench.decode(&[half], behind);
            assert_eq!(decoded.kept, [0; 0], "{}", String::from_utf8_lossy(half));
            assert_eq!(bench.batch.rows, 0);
        }
    }
    for behind in [&b""[..], b"}", b" ", b",", b"\xff", b"\"", b"x"] {
        assert_eq!(bench.decode(&[event], behind).kept, [0]);
        assert_eq!(Some(bench.row(0).plain()), expected(&layout(), event));
    }
}
