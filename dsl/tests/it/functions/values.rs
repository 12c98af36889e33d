//! Conversion, strings, numbers, network, time, lists and maps.

use logmon_dsl::{
    column::Absence,
    plan::{ArithOp, CompareOp, ExprId, Op},
    types::Type,
};

use super::{
    A::{self, Any, Choice, Float, Int, Ip, List, Map, Span, Text, Time},
    check,
};
use crate::plans::Builder;

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
    let texts = |json| List(Type::Text, json);
    check("contains_all", &[Text("abcd"), texts("[\"bc\",\"abc\",\"\",\"d\"]")], "true");
    check("contains_all", &[Text("x"), texts("[]")], "true");
    check("contains_any", &[Text("x"), texts("[]")], "false");
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
