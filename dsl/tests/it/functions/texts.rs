//! Regexes, patterns, parsing, encoding and privacy.

use logmon_dsl::{
    functions::{self, Glob, Pattern},
    plan::{Arg, ExprId, Op},
    types::Type,
};

use super::{
    A::{self, Any, Int, Ip, List, Map, Out, Text},
    call, check,
};
use crate::plans::Builder;

#[test]
fn patterns() {
    check("find", &[Text("order 42 failed"), A::Regex(r"order (\d+)")], "\"42\"");
    check("find", &[Text("nothing"), A::Regex(r"order (\d+)")], "[no_match]");
    check("find_all", &[Text("a1 b22"), A::Regex(r"\d+")], "[\"1\",\"22\"]");
    check(
        "captures",
        &[Text("k=v"), A::Regex(r"(?<key>\w)=(?<value>\w)|(?<no>x)")],
        "{\"key\":\"k\",\"value\":\"v\"}",
    );
    check("captures", &[Text("k=v"), A::Regex(r"(\w)=(\w)")], "{\"1\":\"k\",\"2\":\"v\"}");
    check("match_any", &[Text("out of memory"), A::Detect(&["oom", "memory$"], &[])], "true");
    check("match_any", &[Text("fine"), A::Detect(&["oom", "memory$"], &[])], "false");
    check("replace", &[Text("a-b-c"), Text("-"), Text("+"), Int(1)], "\"a+b-c\"");
    check("replace", &[Text("a-b"), Text("x"), Text("+")], "\"a-b\"");
    check("replace", &[Text("id=42 x=7"), A::Regex(r"(\d+)"), Text("<${1}>")], "\"id=<42> x=<7>\"");
    check("replace", &[Text("aüb"), A::Regex(""), Text("-")], "\"-a-ü-b-\"");
    let upper: fn(&mut Builder, ExprId) -> ExprId = |b, m| {
        let function = functions::find("upper").unwrap();
        b.expr(Op::Call { function, args: vec![Some(Arg::Value(m))] }, Type::Text)
    };
    check("replace", &[Text("a1b2"), A::Regex("[a-z]"), A::Lambda(Type::Text, upper)], "\"A1B2\"");
    check("split", &[Text("a,,b"), Text(",")], "[\"a\",\"\",\"b\"]");
    check("split", &[Text("a b  c"), A::Regex(" +"), Int(2)], "[\"a\",\"b  c\"]");
    check("split", &[Text("aü"), Text("")], "[\"a\",\"ü\"]");
}

#[test]
fn typed_patterns() {
    let nginx = A::Pattern(
        r#"<client:ip> - <user> [<ts:timestamp("%d/%b/%Y:%H:%M:%S %z")>] "<method> <path> <_>" <status:int> <bytes:int> "<referer>" "<agent>" rt=<rt:float>"#,
    );
    let line = r#"203.0.113.9 - alice [01/May/2026:10:00:00 +0000] "GET /cart/42 HTTP/1.1" 502 17 "-" "curl/8" rt=0.031"#;
    check(
        "parse_pattern",
        &[Text(line), nginx.clone()],
        r#"{"client":"203.0.113.9","user":"alice","ts":"2026-05-01T10:00:00Z","method":"GET","path":"/cart/42","status":502,"bytes":17,"referer":"-","agent":"curl/8","rt":0.031}"#,
    );
    check("parse_pattern", &[Text("not nginx rt=0.1"), nginx], "[no_match]");
    let kv = |source| A::Pattern(source);
    check("parse_pattern", &[Text("m=\"a b\" n=-"), kv("m=<m> n=<n:int?>")], "{\"m\":\"a b\"}");
    check("parse_pattern", &[Text("m= n=1"), kv("m=<m?> n=<n:int>")], "{\"m\":\"\",\"n\":1}");
    check("parse_pattern", &[Text("m= n=1"), kv("m=<m> n=<n:int>")], "[no_match]");
    check("parse_pattern", &[Text("<b>1"), kv(r"\<b><n:int>")], "{\"n\":1}");
    check(
        "parse_pattern",
        &[Text("<34>x"), kv("<<pri:int>><rest>")],
        "{\"pri\":34,\"rest\":\"x\"}",
    );
    for (bad, part) in [
        ("<a><b>", "next to each other"),
        ("<a:in>", "no type"),
        ("<a> <a>", "twice"),
        ("<a", "no `>`"),
        ("text", "captures nothing"),
        ("<t:timestamp(\"%Q\")>", "time format"),
        ("<t:timestamp(\"%H\")>", "no year"),
    ] {
        let error = Pattern::compile(bad).unwrap_err();
        assert!(error.message.contains(part), "{bad}: {error:?}");
        assert!(error.range.end <= bad.len() && error.range.start < error.range.end, "{error:?}");
    }
}

#[test]
fn globs() {
    let check = |glob: &str, text: &str, expected: bool| {
        let compiled = Glob::compile(glob).unwrap();
        assert_eq!(compiled.matches(text.as_bytes()), expected, "{glob} on {text}");
    };
    check("GET *", "GET /a/b", true);
    check("*level=*msg=*", "x level=info msg=hi", true);
    check("*level=*msg=*", "msg=hi level=info", false);
    check("a?c", "aüc", true);
    check("a?c", "ac", false);
    check("*?.log", "b.log", true);
    check("*?.log", ".log", false);
    check("*ab", "aab", true);
    check("a*a", "a", false);
    check("", "", true);
    check("*", "", true);
    check("a*b?*c", "axxbüyyc", true);
    check("exact", "exactly", false);
}

#[test]
fn parsing() {
    check("parse_json", &[Text(" {\"a\": [1, 2e2]} ")], "{\"a\": [1, 2e2]}");
    check("parse_json", &[Text("{\n\"a b\":\t1\n}")], "{\"a b\":1}");
    check("parse_json", &[Text("12")], "12");
    check("parse_json", &[Text("null")], "[null]");
    for bad in ["{not json", "", "{}x", "[1,]", "\"\\x\""] {
        check("parse_json", &[Text(bad)], "[parse]");
    }
    check("parse_json", &[Text("[[[]]]"), Int(2)], "[out_of_range]");
    check(
        "parse_logfmt",
        &[Text("level=info msg=\"a \\\"b\\\"\" ok level=warn")],
        "{\"level\":\"warn\",\"msg\":\"a \\\"b\\\"\",\"ok\":\"true\"}",
    );
    check("parse_logfmt", &[Text("only words")], "[no_match]");
    check(
        "parse_kv",
        &[Text("a:1;b:'x;y';c"), Text(":"), Text(";"), Text("'")],
        "{\"a\":\"1\",\"b\":\"x;y\"}",
    );
    check(
        "parse_url",
        &[Text("https://bob:pw@Shop.Example:8443/cart/4?id=1#top")],
        r#"{"scheme":"https","user":"bob","password":"pw","host":"shop.example","port":8443,"path":"/cart/4","query":"id=1","fragment":"top"}"#,
    );
    check("parse_url", &[Text("https://x:443")], r#"{"scheme":"https","host":"x","path":"/"}"#);
    check("parse_url", &[Text("mailto:x@y")], "[parse]");
    check("parse_query", &[Text("?a=1&b=x+y%21&a=2")], "{\"a\":\"2\",\"b\":\"x y!\"}");
    for text in [
        "2026-05-01T08:00:00Z",
        "2026-05-01 08:00:00",
        "2026-05-01 08:00:00,000",
        "01/May/2026:10:00:00 +0200",
        "Fri, 01 May 2026 08:00:00 GMT",
        "Fri May  1 08:00:00 2026",
        "1777622400",
        "1777622400000",
    ] {
        check("parse_timestamp", &[Text(text)], "\"2026-05-01T08:00:00Z\"");
    }
    check(
        "parse_timestamp",
        &[Text("2026-07-01 10:00:00"), Out, Text("Europe/Berlin")],
        "\"2026-07-01T08:00:00Z\"",
    );
    check(
        "parse_timestamp",
        &[Text("1.5.2026"), List(Type::Text, "[\"%Y\",\"%d.%m.%Y\"]")],
        "\"2026-05-01T00:00:00Z\"",
    );
    // The test clock stands at the first of January.
    check("parse_timestamp", &[Text("Dec 31 23:00:00")], "\"2025-12-31T23:00:00Z\"");
    check("parse_timestamp", &[Text("soon")], "[parse]");
    check("parse_duration", &[Text("250 ms")], "\"250ms\"");
    check("parse_duration", &[Text("PT1M30S")], "\"1m30s\"");
    check("parse_duration", &[Text("2 minutes")], "\"2m\"");
    check("parse_duration", &[Text("long")], "[parse]");
    check("parse_bytes", &[Text("10KiB")], "10240");
    check("parse_bytes", &[Text("1.5 MB")], "1500000");
    check("parse_bytes", &[Text("99999999999999999EiB")], "[out_of_range]");
    check("parse_bytes", &[Text("KiB")], "[parse]");
}

#[test]
fn records_of_lines() {
    check(
        "parse_user_agent",
        &[Text(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1",
        )],
        r#"{"browser":"Safari","browser_version":"17.4","os":"iOS","os_version":"17.4","device":"mobile"}"#,
    );
    check(
        "parse_user_agent",
        &[Text(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36 Edg/124.0",
        )],
        r#"{"browser":"Edge","browser_version":"124.0","os":"Windows","os_version":"10.0","device":"desktop"}"#,
    );
    check(
        "parse_user_agent",
        &[Text("curl/8.5.0")],
        r#"{"browser":"curl","browser_version":"8.5.0","device":"bot"}"#,
    );
    check("parse_user_agent", &[Text("")], r#"{"device":"other"}"#);
    check(
        "parse_clf",
        &[Text(
            r#"10.0.0.1 - bob [01/May/2026:10:00:00 +0000] "GET /x HTTP/1.1" 200 - "-" "curl \"8\"""#,
        )],
        r#"{"host":"10.0.0.1","user":"bob","timestamp":"2026-05-01T10:00:00Z","method":"GET","path":"/x","protocol":"HTTP/1.1","status":200,"agent":"curl \"8\""}"#,
    );
    check("parse_clf", &[Text("no access log")], "[parse]");
    check(
        "parse_syslog",
        &[Text("<34>Dec 11 22:14:15 web su[7]: failed for x")],
        r#"{"facility":"auth","severity":"critical","timestamp":"2025-12-11T22:14:15Z","host":"web","app":"su","pid":"7","message":"failed for x"}"#,
    );
    check(
        "parse_syslog",
        &[Text("<165>1 2026-05-01T10:00:00.5Z web app 7 ID47 [a@1 k=\"]\\\"\"][b] hi")],
        r#"{"facility":"local4","severity":"notice","timestamp":"2026-05-01T10:00:00.500Z","host":"web","app":"app","pid":"7","msgid":"ID47","data":"[a@1 k=\"]\\\"\"][b]","message":"hi"}"#,
    );
    check("parse_syslog", &[Text("plain text")], "[parse]");
    check("parse_syslog", &[Text("<999>x")], "[parse]");
}

#[test]
fn encoding_and_hashing() {
    check("encode_json", &[Map("{\"a\":1}")], "\"{\\\"a\\\":1}\"");
    check(
        "encode_json",
        &[Map("{\"a\":[1,{}]}"), A::Bool(true)],
        "\"{\\n  \\\"a\\\": [\\n    1,\\n    {}\\n  ]\\n}\"",
    );
    check(
        "encode_logfmt",
        &[Map("{\"a b\":1,\"m\":\"x y\",\"e\":\"\"}")],
        "\"a_b=1 m=\\\"x y\\\" e=\\\"\\\"\"",
    );
    check("encode_base64", &[Text("hi!")], "\"aGkh\"");
    check("decode_base64", &[Text("aGk")], "\"hi\"");
    check("decode_base64", &[Text("_-8=")], "[parse]");
    check("decode_base64", &[Text("a===")], "[parse]");
    check("encode_hex", &[Text("hi")], "\"6869\"");
    check("decode_hex", &[Text("6869")], "\"hi\"");
    check("decode_hex", &[Text("ff")], "[parse]");
    check("decode_hex", &[Text("+1")], "[parse]");
    check("encode_percent", &[Text("a b/ü")], "\"a%20b%2F%C3%BC\"");
    check("decode_percent", &[Text("a%20b%zz")], "\"a b%zz\"");
    check("decode_percent", &[Text("%ff")], "[parse]");
    check(
        "sha256",
        &[Text("abc")],
        "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"",
    );
    check("sha1", &[Text("abc")], "\"a9993e364706816aba3e25717850c26c9cd0d89d\"");
    check("md5", &[Text("abc")], "\"900150983cd24fb0d6963f7d28e17f72\"");
    check("xxh3", &[Text("abc")], "\"78af5f94892f3950\"");
    check("crc32", &[Text("123456789")], "\"cbf43926\"");
    assert_eq!(call("fingerprint", &[Text("a"), Int(8)]).len(), 10);
    check("fingerprint", &[Text("a"), Int(99)], "[out_of_range]");
    check("bucket", &[Text("a"), Int(1)], "0");
    check("bucket", &[Text("a"), Int(0)], "[out_of_range]");
}

#[test]
fn privacy() {
    let token = A::Detect(&[r"(?:bearer|token)[=: ]+(?<secret>\S+)"], &["email"]);
    check(
        "redact",
        &[Text("mail bob@example.com token=abc"), token.clone()],
        "\"mail [redacted] token=[redacted]\"",
    );
    check("redact", &[Text("nothing here"), token.clone()], "\"nothing here\"");
    check(
        "redact",
        &[Any("{\"token=x\":1,\"l\":[\"a\\\"b bob@example.com\",2.50]}"), token.clone(), Text("*")],
        "{\"token=x\":1,\"l\":[\"a\\\"b *\",2.50]}",
    );
    let hash: fn(&mut Builder, ExprId) -> ExprId = |b, m| {
        let function = functions::find("byte_len").unwrap();
        b.expr(Op::Call { function, args: vec![Some(Arg::Value(m))] }, Type::Int)
    };
    // A lambda that gives no text must not let the secret pass.
    check(
        "redact",
        &[Text("bob@example.com"), token.clone(), A::Lambda(Type::Int, hash)],
        "\"[redacted]\"",
    );
    let shout: fn(&mut Builder, ExprId) -> ExprId = |b, m| {
        let function = functions::find("upper").unwrap();
        b.expr(Op::Call { function, args: vec![Some(Arg::Value(m))] }, Type::Text)
    };
    check(
        "redact",
        &[Any("[\"a@b.de\",{\"k\":\"c@d.de e@f.de\"}]"), token, A::Lambda(Type::Text, shout)],
        "[\"A@B.DE\",{\"k\":\"C@D.DE E@F.DE\"}]",
    );
    for (name, yes, no) in [
        ("card", "4111 1111 1111 1111", "4111 1111 1111 1112"),
        ("iban", "DE89 3704 0044 0532 0130 00", "DE88 3704 0044 0532 0130 00"),
        ("ipv4", "10.0.0.1", "10.0.0.256"),
        ("jwt", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", "eyJhbGci.eyJ.x"),
        ("aws_key", "AKIAIOSFODNN7EXAMPLE", "AKIAIOSF"),
    ] {
        let detect = A::Detect(&[], Box::leak(vec![name].into_boxed_slice()));
        check("redact", &[Text(yes), detect.clone()], "\"[redacted]\"");
        check("redact", &[Text(no), detect], &format!("\"{no}\""));
    }
    check("mask", &[Text("4111111111111111")], "\"************1111\"");
    check("mask", &[Text("abc")], "\"***\"");
    check("mask", &[Text("abc"), Int(-1)], "\"***\"");
    check("ip_mask", &[Ip("203.0.113.9")], "\"203.0.113.0/24\"");
    check("ip_mask", &[Ip("2001:db8:1:2::1"), Int(8), Int(32)], "\"2001:db8::/32\"");
    check("ip_mask", &[Ip("10.1.1.1"), Int(99)], "\"10.1.1.1/32\"");
    check("is_luhn", &[Text("4111-1111 1111 1111")], "true");
    check("is_luhn", &[Text("4111x")], "false");
    check("template", &[Text("conn 17 reset")], "\"conn <*> reset\"");
    check("template", &[Text("conn 99 reset")], "\"conn <*> reset\"");
    check(
        "template",
        &[Text(
            "user 'bob' at 10.0.0.1:80 id 6ba7b810-9dad-11d1-80b4-00c04fd430c8 0x1f deadbeef01 took 1.5ms, don't v2.",
        )],
        "\"user '<*>' at <*> id <*> <*> <*> took <*>.<*>ms, don't v<*>.\"",
    );
}
