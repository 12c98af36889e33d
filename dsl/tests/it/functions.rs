//! Every function on values, through the evaluator: arguments in, JSON out.

use std::{collections::HashSet, sync::Arc};

use logmon_dsl::{
    column::{Absence, Cidr, Severity, value::ip_to_u128},
    functions::{self, Family, Glob, Kernel, Pattern, Regex, Takes, read},
    plan::{Arg, ArithOp, CompareOp, Detector, ExprId, Lambda, Literal, Op},
    types::{Ty, Type},
};
use proptest::prelude::*;

use crate::plans::{Builder, run};

/// An argument of a call.
#[derive(Debug, Clone)]
pub(crate) enum A {
    Int(i64),
    Float(f64),
    Text(&'static str),
    Any(&'static str),
    List(Type, &'static str),
    Map(&'static str),
    Time(&'static str),
    Span(&'static str),
    Ip(&'static str),
    Cidr(&'static str),
    Severity(u8),
    Bool(bool),
    Absent(Absence),
    Choice(&'static str),
    Regex(&'static str),
    Pattern(&'static str),
    Detect(&'static [&'static str], &'static [&'static str]),
    Lambda(Type, fn(&mut Builder, ExprId) -> ExprId),
    Out,
}
use A::{Any, Choice, Float, Int, Ip, List, Map, Out, Span, Text, Time};

/// Calls a function and gives what it yields as JSON, or the cause in brackets.
pub(crate) fn call(name: &str, args: &[A]) -> String {
    let function = functions::find(name).expect(name);
    let mut b = Builder::new();
    let mut types = Vec::new();
    let mut passed = Vec::new();
    for arg in args {
        let (arg, ty) = argument(&mut b, arg, &types);
        types.push(ty);
        passed.push(arg);
    }
    let ty = (function.returns)(&types);
    passed.resize(passed.len().max(function.params.iter().filter(|it| !it.rest).count()), None);
    let call = b.expr(Op::Call { function, args: passed }, ty.base);
    let body = vec![b.set("out", call)];
    b.rule(None, body);
    b.default_to(0);
    let lines = run(&Arc::new(b.plan), &["{}", "{}"]);
    let (line, second) = (&lines[0], &lines[1]);
    assert_eq!(line.contains("{\"out\":"), second.contains("{\"out\":"), "{line} {second}");
    match line.split_once("{\"out\":") {
        Some((_, rest)) => rest[..rest.rfind('}').unwrap()].to_owned(),
        None => format!("[{}]", line.rsplit(' ').next().unwrap()),
    }
}

fn argument(b: &mut Builder, arg: &A, types: &[Option<Ty>]) -> (Option<Arg>, Option<Ty>) {
    let literal = |b: &mut Builder, literal: Literal, ty: Type| {
        let id = b.lit(literal);
        b.plan.exprs[id.0 as usize].ty = Ty::required(ty.clone());
        (Some(Arg::Value(id)), Some(Ty::required(ty)))
    };
    match arg {
        Int(number) => literal(b, Literal::Int(*number), Type::Int),
        Float(number) => literal(b, Literal::Float(*number), Type::Float),
        Text(text) => literal(b, Literal::Text((*text).into()), Type::Text),
        Any(json) => literal(b, Literal::Json((*json).into()), Type::Any),
        List(of, json) => literal(b, Literal::Json((*json).into()), Type::list(of.clone())),
        Map(json) => literal(b, Literal::Json((*json).into()), Type::map(Type::Any)),
        Time(text) => {
            literal(b, Literal::Timestamp(read::timestamp(text).unwrap()), Type::Timestamp)
        }
        Span(text) => literal(b, Literal::Duration(read::duration(text).unwrap()), Type::Duration),
        Ip(text) => literal(b, Literal::Ip(ip_to_u128(text.parse().unwrap())), Type::Ip),
        A::Cidr(text) => literal(b, Literal::Cidr(Cidr::parse(text).unwrap()), Type::Cidr),
        A::Severity(number) => literal(b, Literal::Severity(Severity(*number)), Type::Severity),
        A::Bool(truth) => literal(b, Literal::Bool(*truth), Type::Bool),
        A::Absent(why) => literal(b, Literal::Absent(*why), Type::Any),
        Choice(name) => (Some(Arg::Choice((*name).into())), None),
        A::Regex(source) => {
            let regex = Arc::new(Regex::compile(source, "").unwrap());
            (Some(Arg::Regex(regex)), Some(Ty::required(Type::Regex)))
        }
        A::Pattern(source) => {
            let pattern = Arc::new(Pattern::compile(source).unwrap());
            let ty = Ty::required(Type::Pattern(pattern.shape.clone()));
            (Some(Arg::Pattern(pattern)), Some(ty))
        }
        A::Detect(regexes, names) => {
            let regexes = regexes
                .iter()
                .map(|source| Detector::Regex(Arc::new(Regex::compile(source, "").unwrap())));
            let names = names.iter().map(|name| Detector::Builtin((*name).into()));
            (Some(Arg::Detectors(regexes.chain(names).collect())), None)
        }
        A::Lambda(ty, body) => {
            let local = b.local();
            let element = match types.first().cloned().flatten().map(|ty| ty.base) {
                Some(Type::List(of)) => (*of).clone(),
                _ => Type::Text,
            };
            let param = b.expr(Op::Local(local), element);
            let body = body(b, param);
            let lambda = Lambda { params: vec![local], body };
            (Some(Arg::Lambda(lambda)), Some(Ty::required(ty.clone())))
        }
        Out => (None, None),
    }
}

#[track_caller]
fn check(name: &str, args: &[A], expected: &str) {
    assert_eq!(call(name, args), expected, "{name} of {args:?}");
}

#[test]
fn the_table_is_sound() {
    let mut names = HashSet::new();
    let mut family = Family::Conversion;
    for function in functions::all() {
        let name = function.name;
        assert!(names.insert(name), "{name} stands twice");
        assert_eq!(functions::find(name), Some(function));
        assert!(function.family >= family, "{name}: families follow each other");
        family = function.family;
        assert!(function.doc.ends_with('.') && !function.examples.is_empty(), "{name}");
        let mut optional = false;
        for (index, param) in function.params.iter().enumerate() {
            assert!(param.optional || !optional, "{name}: {} comes too late", param.name);
            optional = param.optional;
            assert!(!param.rest || index + 1 == function.params.len(), "{name}");
        }
        // Types are asked for before all arguments are known.
        (function.returns)(&[]);
        (function.returns)(&vec![None; function.params.len()]);
        for (_, result) in function.examples {
            serde_json::from_str::<serde_json::Value>(result).expect(name);
        }
    }
    assert!(names.len() >= 120, "{}", names.len());
    assert_eq!(functions::find("nope"), None);
}

#[test]
fn conversion() {
    check("int", &[Text("12")], "12");
    check("int", &[Text("-9223372036854775808")], "-9223372036854775808");
    for bad in [" 12", "12.5", "0x10", "", "1_000", "9223372036854775808"] {
        check("int", &[Text(bad)], "[parse]");
    }
    check("int", &[Text("ff"), Int(16)], "255");
    check("int", &[Text("ff"), Int(99)], "[out_of_range]");
    check("int", &[Float(-12.9)], "-12");
    check("int", &[Float(1e300)], "[out_of_range]");
    check("int", &[Any("[1]")], "[type]");
    check("int", &[A::Severity(13)], "13");
    check("int", &[A::Absent(Absence::LookupMiss)], "[lookup_miss]");
    check("float", &[Text("0.25")], "0.25");
    check("float", &[Text("nan")], "[parse]");
    check("float", &[Text("1e999")], "[parse]");
    check("float", &[Int(3)], "3.0");
    check("bool", &[Text("YES")], "true");
    check("bool", &[Int(2)], "[out_of_range]");
    check("string", &[Int(42)], "\"42\"");
    check("string", &[Span("90s")], "\"1m30s\"");
    check("string", &[Map("{}")], "[type]");
    check("timestamp", &[Int(1_767_225_600)], "\"2026-01-01T00:00:00Z\"");
    check("timestamp", &[Int(1_767_225_600_250)], "\"2026-01-01T00:00:00.250Z\"");
    check("timestamp", &[Text("1767225600.5")], "\"2026-01-01T00:00:00.500Z\"");
    check("timestamp", &[Text("2026-01-01T01:00:00+01:00")], "\"2026-01-01T00:00:00Z\"");
    check("timestamp", &[Text("yesterday")], "[parse]");
    check("timestamp", &[Int(i64::MAX), Choice("s")], "[out_of_range]");
    check("duration", &[Text("1h30m")], "\"1h30m\"");
    check("duration", &[Text("5")], "[parse]");
    check("ip", &[Text("192.0.2.1")], "\"192.0.2.1\"");
    check("ip", &[Text("192.0.2.1:80")], "[parse]");
    check("cidr", &[Text("10.1.2.3/8")], "\"10.0.0.0/8\"");
    check("cidr", &[Ip("::1")], "\"::1/128\"");
    for (text, name) in [("Warning", "warn"), ("30", "info"), ("3", "error"), ("E", "error")] {
        check("parse_severity", &[Text(text)], &format!("\"{name}\""));
    }
    check("parse_severity", &[Int(3), Choice("otel")], "\"trace\"");
    check("parse_severity", &[Int(20), Choice("pino")], "\"debug\"");
    check("parse_severity", &[Text("loud")], "[parse]");
    check("type_of", &[Any("{}")], "\"map\"");
    check("type_of", &[A::Absent(Absence::Null)], "\"null\"");
    check("type_of", &[A::Absent(Absence::Parse)], "\"missing\"");
    check("fault", &[A::Absent(Absence::Parse)], "\"parse\"");
    check("fault", &[Int(1)], "[missing]");
    check("coalesce", &[A::Absent(Absence::Null), A::Absent(Absence::Parse), Int(3)], "3");
    check("is_empty", &[A::Absent(Absence::Missing)], "true");
    check("is_empty", &[Any("[ ]")], "true");
    check("is_empty", &[Text(" ")], "false");
}

#[test]
fn strings() {
    check("len", &[Text("Grüße")], "5");
    check("len", &[Map("{\"a\":1,\"b\":[1,2]}")], "2");
    check("byte_len", &[Text("Grüße")], "7");
    check("lower", &[Text("ÄB")], "\"äb\"");
    check("upper", &[Text("straße")], "\"STRASSE\"");
    check("trim", &[Text(" a b\n")], "\"a b\"");
    check("trim_start", &[Text(" a ")], "\"a \"");
    check("trim_end", &[Text(" a ")], "\" a\"");
    check("trim_prefix", &[Text("/api/x"), Text("/api")], "\"/x\"");
    check("trim_suffix", &[Text("a.log"), Text(".txt")], "\"a.log\"");
    check(
        "join",
        &[List(Type::Any, "[\"a\",null,1,{\"b\":2}]"), Text("-")],
        "\"a-1-{\\\"b\\\":2}\"",
    );
    check("substr", &[Text("Grüße"), Int(2), Int(2)], "\"üß\"");
    check("substr", &[Text("abc"), Int(-2)], "\"bc\"");
    check("substr", &[Text("abc"), Int(i64::MIN), Int(i64::MAX)], "\"abc\"");
    check("substr", &[Text("abc"), Int(9), Int(-1)], "\"\"");
    check("truncate", &[Text("Grüße"), Int(3)], "\"Grü…\"");
    check("truncate", &[Text("Grüße"), Int(3), Text("")], "\"Grü\"");
    check("truncate", &[Text("abc"), Int(3)], "\"abc\"");
    let bots = List(Type::Text, "[\"bot\",\"curl\"]");
    check("contains_any", &[Text("curl/8"), bots.clone()], "true");
    check("contains_all", &[Text("curl/8"), bots], "false");
    check("index_of", &[Text("Grüße"), Text("ß")], "3");
    check("index_of", &[Text("abc"), Text("x")], "[no_match]");
    check("count_of", &[Text("aaa"), Text("aa")], "1");
    check("count_of", &[Text("aaa"), Text("")], "0");
    check("repeat", &[Text("ab"), Int(3)], "\"ababab\"");
    check("repeat", &[Text("ab"), Int(i64::MAX)], "[out_of_range]");
    check("repeat", &[Text("ab"), Int(-1)], "\"\"");
    check("pad_start", &[Text("7"), Int(3), Text("0")], "\"007\"");
    check("pad_end", &[Text("ü"), Int(3)], "\"ü  \"");
    check("reverse", &[Text("aü")], "\"üa\"");
    check("reverse", &[List(Type::Int, "[1, 2]")], "[2,1]");
    for (style, expected) in [
        ("snake", "http_server_v2_id"),
        ("kebab", "http-server-v2-id"),
        ("camel", "httpServerV2Id"),
        ("pascal", "HttpServerV2Id"),
        ("title", "Http Server V2 Id"),
    ] {
        check("recase", &[Text("HTTPServer_v2Id"), Choice(style)], &format!("\"{expected}\""));
    }
    check("lines_of", &[Text("a\r\nb\n")], "[\"a\",\"b\"]");
    check("strip_ansi", &[Text("\u{1b}[31mred\u{1b}[0m \u{1b}]0;t\u{7}x")], "\"red x\"");
    check("squeeze", &[Text("a  b\t c")], "\"a b c\"");
    check("basename", &[Text("/var/log/app.log")], "\"app.log\"");
    check("basename", &[Text("C:\\x\\y\\")], "\"y\"");
    check("dirname", &[Text("/x")], "\"/\"");
    check("dirname", &[Text("x")], "\"\"");
}

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

#[test]
fn network_and_time() {
    for (ip, private, public) in [
        ("10.1.2.3", true, false),
        ("100.64.0.1", true, false),
        ("127.0.0.1", false, false),
        ("169.254.1.1", false, false),
        ("255.255.255.255", false, false),
        ("203.0.113.9", false, true),
        ("fd00::1", true, false),
        ("fe80::1", false, false),
        ("ff02::1", false, false),
        ("::", false, false),
        ("2001:db8::1", false, true),
    ] {
        check("is_private", &[Ip(ip)], &private.to_string());
        check("is_public", &[Ip(ip)], &public.to_string());
    }
    check("is_loopback", &[Ip("::1")], "true");
    check("ip_version", &[Ip("::ffff:10.0.0.1")], "4");
    check("host_of", &[Text("https://u:p@shop.example:8443/cart")], "\"shop.example\"");
    check("host_of", &[Text("[::1]:80")], "\"::1\"");
    check("host_of", &[Text("not a host")], "[parse]");
    check("port_of", &[Text("https://shop.example/")], "443");
    check("port_of", &[Text("db-1:5432")], "5432");
    check("port_of", &[Text("db-1")], "[missing]");
    let t = || Time("2026-05-01T10:17:42Z");
    check("now", &[], "\"2026-01-01T00:00:00Z\"");
    check("floor_time", &[t(), Span("5m")], "\"2026-05-01T10:15:00Z\"");
    check("floor_time", &[t(), Span("7d")], "\"2026-04-27T00:00:00Z\"");
    check("floor_time", &[t(), Span("1d"), Text("Europe/Berlin")], "\"2026-04-30T22:00:00Z\"");
    check("floor_time", &[t(), Span("-1d")], "[out_of_range]");
    check("floor_time", &[t(), Span("1d"), Text("Mars/Base")], "[parse]");
    check("format_time", &[t(), Text("%d/%b/%Y %H:%M")], "\"01/May/2026 10:17\"");
    check("format_time", &[t(), Text("%H"), Text("Europe/Berlin")], "\"12\"");
    check("unix", &[t(), Choice("ms")], "1777630662000");
    check("from_unix", &[Int(1_777_630_662)], "\"2026-05-01T10:17:42Z\"");
    check("from_unix", &[Int(i64::MAX)], "[out_of_range]");
    check("age", &[Time("2025-12-31T23:59:00Z")], "\"1m\"");
    for (name, number) in
        [("year", 2026), ("month", 5), ("day", 1), ("hour", 10), ("minute", 17), ("weekday", 5)]
    {
        check(name, &[t()], &number.to_string());
    }
    check("hour", &[t(), Text("Asia/Kolkata")], "15");
    check("is_weekend", &[t(), Text("Pacific/Kiritimati")], "true");
    check("human", &[Span("93784s")], "\"1d 2h\"");
    check("human", &[Span("-1500ms")], "\"-1s 500ms\"");
}

#[test]
fn numbers() {
    check("abs", &[Int(i64::MIN)], "[overflow]");
    check("abs", &[Float(-0.5)], "0.5");
    check("floor", &[Float(-1.2)], "-2.0");
    check("ceil", &[Int(3)], "3");
    check("sign", &[Float(-2.5)], "-1");
    check("sqrt", &[Int(-1)], "[out_of_range]");
    check("sqrt", &[Int(9)], "3.0");
    check("log", &[Int(8), Int(2)], "3.0");
    check("log", &[Int(0)], "[out_of_range]");
    check("pow", &[Int(2), Int(10)], "1024.0");
    check("pow", &[Int(10), Int(999)], "[out_of_range]");
    check("round", &[Float(2.5)], "2.0");
    check("round", &[Float(3.5)], "4.0");
    check("round", &[Float(2.71849), Int(2)], "2.72");
    check("round", &[Int(1250), Int(-2)], "1200");
    check("round", &[Int(i64::MAX), Int(-1)], "[overflow]");
    check("round", &[Float(1e300), Int(i64::MAX)], "1e300");
    check("round", &[Float(1.5), Int(i64::MIN)], "0.0");
    check("min", &[Int(3), Int(1), Float(2.0)], "1");
    check("max", &[Int(9_007_199_254_740_993), Float(9_007_199_254_740_992.0)], "9007199254740993");
    check("min", &[Int(3), A::Absent(Absence::Missing)], "[missing]");
    check("max", &[Span("2s"), Span("1m")], "\"1m\"");
    check("min", &[Int(3), Text("a")], "[type]");
    check("clamp", &[Int(120), Int(0), Int(100)], "100");
    check("clamp", &[Int(1), Int(5), Int(2)], "[out_of_range]");
    check("div", &[Int(-7), Int(2)], "-3");
    check("div", &[Int(1), Int(0)], "[division_by_zero]");
    check("div", &[Int(i64::MIN), Int(-1)], "[overflow]");
    check("percent", &[Float(0.0512)], "\"5.1%\"");
    check("human_bytes", &[Int(1536)], "\"1.5 KiB\"");
    check("human_bytes", &[Int(1_048_575)], "\"1.0 MiB\"");
}

#[test]
fn lists() {
    let ints = || List(Type::Int, "[3,1,2]");
    check("first", &[ints()], "3");
    check(
        "last",
        &[List(Type::Timestamp, "[\"2026-01-01T00:00:00Z\"]")],
        "\"2026-01-01T00:00:00Z\"",
    );
    check("first", &[List(Type::Int, "[]")], "[missing]");
    check("slice", &[ints(), Int(1), Int(-1)], "[1]");
    check("slice", &[ints(), Int(2), Int(1)], "[]");
    check("push", &[ints(), Text("x")], "[3,1,2,\"x\"]");
    check("concat", &[ints(), List(Type::Int, "[]"), ints()], "[3,1,2,3,1,2]");
    check("unique", &[List(Type::Any, "[1,\"a\",1,\"\\u0061\",null,null]")], "[1,\"a\",null]");
    check(
        "sort",
        &[List(Type::Any, "[\"b\",null,10,\"a\",9.5,true]")],
        "[true,9.5,10,\"a\",\"b\",null]",
    );
    check("flatten", &[List(Type::Any, "[[1],[[2]],3]")], "[1,[2],3]");
    check("sum_of", &[ints()], "6");
    check("sum_of", &[List(Type::Any, "[0.5,null,1]")], "1.5");
    check("sum_of", &[List(Type::Int, "[9223372036854775807,1]")], "[overflow]");
    check("sum_of", &[List(Type::Any, "[\"1\"]")], "[type]");
    check("avg_of", &[List(Type::Int, "[1,2]")], "1.5");
    check("avg_of", &[List(Type::Int, "[]")], "[missing]");
    let tenfold: fn(&mut Builder, ExprId) -> ExprId = |b, x| {
        let ten = b.int(10);
        b.expr(Op::Arith { op: ArithOp::Mul, left: x, right: ten }, Type::Int)
    };
    let above_one: fn(&mut Builder, ExprId) -> ExprId = |b, x| {
        let one = b.int(1);
        b.compare(CompareOp::Gt, x, one)
    };
    check("map", &[ints(), A::Lambda(Type::Int, tenfold)], "[30,10,20]");
    check("map", &[List(Type::Int, "[1,\"x\"]"), A::Lambda(Type::Int, tenfold)], "[10,null]");
    check("filter", &[ints(), A::Lambda(Type::Bool, above_one)], "[3,2]");
    check("any", &[ints(), A::Lambda(Type::Bool, above_one)], "true");
    check("all", &[ints(), A::Lambda(Type::Bool, above_one)], "false");
    check("all", &[List(Type::Int, "[]"), A::Lambda(Type::Bool, above_one)], "true");
    check("find_first", &[List(Type::Int, "[1,2,3]"), A::Lambda(Type::Bool, above_one)], "2");
    check("find_first", &[List(Type::Int, "[1]"), A::Lambda(Type::Bool, above_one)], "[missing]");
}

#[test]
fn maps() {
    let map = || Map("{\"b\":1,\"a\":{\"c\":[2.50]},\"n\":null}");
    check("keys", &[map()], "[\"b\",\"a\",\"n\"]");
    check("values", &[map()], "[1,{\"c\":[2.50]},null]");
    check("has_key", &[map(), Text("n")], "true");
    check("has_key", &[map(), Text("x")], "false");
    check("get", &[map(), Text("a.c")], "[2.50]");
    check("get", &[Map("{\"a.b\":1,\"a\":{\"b\":2}}"), Text("a.b")], "1");
    check("get", &[map(), Text("a.x")], "[missing]");
    check("get", &[map(), Text("b.x")], "[missing]");
    check(
        "merge",
        &[map(), Map("{\"\\u0062\":2,\"z\":3}")],
        "{\"b\":2,\"a\":{\"c\":[2.50]},\"n\":null,\"z\":3}",
    );
    check("pick", &[map(), List(Type::Text, "[\"n\",\"b\"]")], "{\"b\":1,\"n\":null}");
    check("without", &[map(), List(Type::Text, "[\"n\",\"b\"]")], "{\"a\":{\"c\":[2.50]}}");
    check(
        "del_keys",
        &[map(), List(Type::Text, "[]")],
        "{\"b\":1,\"a\":{\"c\":[2.50]},\"n\":null}",
    );
    check("compact", &[Map("{\"a\":\"\",\"b\":[ ],\"c\":0,\"d\":null}")], "{\"c\":0}");
    check(
        "flatten_map",
        &[Map("{\"a\":{\"b\":{\"c\":1},\"d\":2},\"e\":{}}")],
        "{\"a.b.c\":1,\"a.d\":2,\"e\":{}}",
    );
    check("keys", &[Any("[1]")], "[type]");
}

/// Texts that parsers see rarely.
const ODD: [&str; 26] = [
    "",
    " ",
    "\"",
    "\\",
    "\"\\",
    "<",
    "<34>",
    "<34>1 ",
    "1 2026-01-01T00:00:00Z",
    "[",
    "{\"a\":",
    "=",
    "a=\"",
    "ü",
    "ü=ü\"ü",
    "%",
    "%ü",
    "\u{1b}",
    "\u{1b}[",
    "-",
    "-9223372036854775808",
    "1e999",
    "99999999999999999999w",
    "10.0.0.1 - - [",
    "://",
    "https://[::1",
];

fn any_argument(takes: Takes) -> BoxedStrategy<A> {
    let text = || proptest::sample::select(&ODD[..]).prop_map(Text);
    let int =
        || prop_oneof![any::<i64>(), -5..70_i64, Just(i64::MIN), Just(i64::MAX),].prop_map(Int);
    let json = || {
        proptest::sample::select(
            &[
                "[]",
                "[1,2.5,\"a\",null,{\"b\":[]}]",
                "[\"%Y\",\"ü\",\"\"]",
                "[9223372036854775807,1]",
                "{}",
                "{\"a\":{\"b\":1},\"\":\"\",\"ü\\u00fc\":null}",
            ][..],
        )
    };
    match takes {
        Takes::Choice(names) => proptest::sample::select(names).prop_map(Choice).boxed(),
        Takes::Regex => Just(A::Regex("(a)?")).boxed(),
        Takes::Detectors(_) => {
            Just(A::Detect(&[r"\w", "(?<secret>a)?"], &["email", "card", "iban"])).boxed()
        }
        Takes::Pattern => Just(A::Pattern("<a?>=<b:int?>\"<c>")).boxed(),
        Takes::Lambda(_) => Just(A::Lambda(Type::Any, |_, param| param)).boxed(),
        Takes::TextOrLambda | Takes::TextOrRegex => {
            prop_oneof![text(), Just(Text("$1")), Just(Text("a"))].boxed()
        }
        Takes::Type(_) | Takes::Any | Takes::Number | Takes::List | Takes::Map | Takes::Sized => {
            // Mostly of the right type; the rest as a broken checker would let it through.
            prop_oneof![
                text(),
                int(),
                any::<f64>().prop_filter("no NaN", |number| !number.is_nan()).prop_map(Float),
                json().prop_map(Any),
                Just(Time("2026-05-01T10:17:42.123456789Z")),
                proptest::sample::select(&["1h30m", "-5s", "1ns", "0s", "-106751d"][..])
                    .prop_map(Span),
                Just(Ip("2001:db8::1")),
                Just(A::Cidr("0.0.0.0/0")),
                Just(A::Bool(true)),
                Just(A::Severity(24)),
                Just(A::Absent(Absence::Missing)),
            ]
            .boxed()
        }
    }
}

fn any_call() -> impl Strategy<Value = (&'static str, Vec<A>)> {
    let all: Vec<&'static functions::Function> = functions::all().collect();
    proptest::sample::select(all).prop_flat_map(|function| {
        let args: Vec<BoxedStrategy<A>> = function
            .params
            .iter()
            .map(|param| match param.optional && !param.rest {
                true => prop_oneof![Just(Out), any_argument(param.takes)].boxed(),
                false => any_argument(param.takes),
            })
            .collect();
        (Just(function.name), args)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// No call panics, and what comes out is JSON: the output is read back by the runner.
    #[test]
    fn no_call_panics((name, args) in any_call()) {
        call(name, &args);
    }
}

#[test]
fn row_kernels_take_too_few_arguments() {
    use logmon_dsl::{column::Value, eval::RowContext};
    let row = RowContext { now: 0, topic: "t", partition: 0, offset: 0 };
    for function in functions::all() {
        if let Kernel::Rows(kernel) | Kernel::RowsWithAbsent(kernel) = function.kernel {
            let value = kernel(&[], &row);
            assert!(!matches!(value, Value::Float(number) if number.is_nan()), "{}", function.name);
        }
    }
}
