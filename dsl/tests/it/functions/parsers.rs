//! Documents, traces and the small things that fields hold; and how parsers meet hostile text.

use super::{A, call, check};
use A::{Choice, Text};

#[test]
fn documents() {
    check("parse_csv", &[Text("a,\"b \"\"x\"\"\",,é")], "[\"a\",\"b \\\"x\\\"\",\"\",\"é\"]");
    check("parse_csv", &[Text("1;2\n3;4"), Text(";")], "[\"1\",\"2\"]");
    check("parse_csv", &[Text("")], "[parse]");
    check("parse_csv", &[Text("a"), Text(",,")], "[out_of_range]");
    check(
        "parse_xml",
        &[Text(
            "<?xml version='1.0'?><!-- c --><e a=\"1 &lt; 2\"><x/>t &amp; &#65;<![CDATA[<raw>]]></e>",
        )],
        "{\"e\":{\"@a\":\"1 < 2\",\"x\":\"\",\"text\":\"t & A<raw>\"}}",
    );
    check("parse_xml", &[Text("<a><b></a>")], "[parse]");
    check("parse_xml", &[Text("<a/><b/>")], "[parse]");
    check("parse_xml", &[Text("no xml")], "[parse]");
    check(
        "parse_xml",
        &[Text("<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><x>&b;</x>")],
        "{\"x\":\"&b;\"}",
    );
    check(
        "parse_yaml",
        &[Text(
            "base: &b {x: 1, y: [a, ~]}\nuse:\n  <<: *b\n  x: 0x10\nf: 1.5\ns: '12'\nt: |\n  l1\n  l2\n",
        )],
        "{\"base\":{\"x\":1,\"y\":[\"a\",null]},\"use\":{\"x\":16,\"y\":[\"a\",null]},\"f\":1.5,\"s\":\"12\",\"t\":\"l1\\nl2\\n\"}",
    );
    check("parse_yaml", &[Text("a: [1")], "[parse]");
    check("parse_yaml", &[Text("")], "[missing]");
    check(
        "parse_tokens",
        &[Text("a  \"b \\\"c\" [d e]f \"open")],
        "[\"a\",\"b \\\"c\",\"d e\",\"f\",\"\\\"open\"]",
    );
}

#[test]
fn fields() {
    check("parse_number", &[Text("1,234,567.5")], "1234567.5");
    check("parse_number", &[Text("12,34,567")], "1234567");
    check("parse_number", &[Text("1.234.567,5"), Choice("de")], "1234567.5");
    check("parse_number", &[Text("1\u{202f}234"), Choice("fr")], "1234");
    check("parse_number", &[Text("1'234.5"), Choice("ch")], "1234.5");
    check("parse_number", &[Text("1,2,3")], "[parse]");
    check("parse_number", &[Text("1234,567")], "[parse]");
    check("parse_number", &[Text("--1")], "[parse]");
    check("parse_number", &[Text("")], "[parse]");
    check(
        "parse_jwt",
        &[Text(
            "Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",
        )],
        "{\"sub\":\"1234567890\",\"name\":\"John Doe\",\"iat\":1516239022}",
    );
    check("parse_jwt", &[Text("a.b.c")], "[parse]");
    check("parse_jwt", &[Text("e30.e30.x.y")], "[parse]");
    check(
        "parse_email_address",
        &[Text("\"Bob B\" <b.o-b+tag@Mail.Example.COM>")],
        "{\"name\":\"Bob B\",\"local\":\"b.o-b+tag\",\"domain\":\"mail.example.com\"}",
    );
    for wrong in ["bob", "@x", "a@", "a..b@x", "a@-x", "a b@x.y"] {
        check("parse_email_address", &[Text(wrong)], "[parse]");
    }
    for wrong in [
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ] {
        check("parse_traceparent", &[Text(wrong)], "[parse]");
    }
    let agent = |agent| call("parse_user_agent", &[Text(agent), Choice("full")]);
    let chrome = agent(
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36",
    );
    assert!(
        chrome.contains("\"browser\":\"Chrome\"") && chrome.contains("\"device\":\"desktop\""),
        "{chrome}"
    );
    let phone = agent(
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1",
    );
    assert!(phone.contains("\"device\":\"mobile\"") && phone.contains("17.4"), "{phone}");
}

#[test]
fn stack_traces() {
    let java = "Exception in thread \"main\" java.lang.IllegalStateException: order 4: gone\n\tat com.shop.Cart.pay(Cart.java:42)\n\tat java.base/java.lang.Thread.run(Thread.java:829)\n\tat jdk.internal.X.y(Native Method)\nCaused by: java.sql.SQLException: closed\n\tat com.shop.Db.run(Db.java:7)\n\t... 2 more";
    check(
        "parse_stacktrace",
        &[Text(java)],
        "{\"language\":\"java\",\"type\":\"java.lang.IllegalStateException\",\"message\":\"order 4: gone\",\"frames\":[{\"function\":\"com.shop.Cart.pay\",\"file\":\"Cart.java\",\"line\":42},{\"function\":\"java.base/java.lang.Thread.run\",\"file\":\"Thread.java\",\"line\":829},{\"function\":\"jdk.internal.X.y\"}],\"causes\":[{\"type\":\"java.sql.SQLException\",\"message\":\"closed\"}]}",
    );
    let python = "Traceback (most recent call last):\n  File \"/app/db.py\", line 3, in get\n    raise KeyError('a')\nKeyError: 'a'\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"/app/main.py\", line 10, in <module>\n    run()\n  File \"/app/main.py\", line 6, in run\n    get()\nValueError: no a";
    check(
        "parse_stacktrace",
        &[Text(python)],
        "{\"language\":\"python\",\"type\":\"ValueError\",\"message\":\"no a\",\"frames\":[{\"function\":\"run\",\"file\":\"/app/main.py\",\"line\":6},{\"function\":\"<module>\",\"file\":\"/app/main.py\",\"line\":10}],\"causes\":[{\"type\":\"KeyError\",\"message\":\"'a'\"}]}",
    );
    let go = "panic: runtime error: index out of range [5] with length 3\n\ngoroutine 1 [running]:\nmain.work(0xc000, {0x1, 0x2})\n\t/app/main.go:12 +0x1d\nmain.main()\n\t/app/main.go:7 +0x20\n\ngoroutine 6 [sleep]:\ntime.Sleep(0x1)\n\t/go/time.go:1 +0x1";
    check(
        "parse_stacktrace",
        &[Text(go)],
        "{\"language\":\"go\",\"type\":\"panic\",\"message\":\"runtime error: index out of range [5] with length 3\",\"frames\":[{\"function\":\"main.work\",\"file\":\"/app/main.go\",\"line\":12},{\"function\":\"main.main\",\"file\":\"/app/main.go\",\"line\":7}],\"causes\":[]}",
    );
    let node = "TypeError: Cannot read properties of undefined (reading 'x')\n    at Cart.pay (/app/cart.js:10:15)\n    at async /app/index.js:3:1\n    at new Promise (<anonymous>)";
    check(
        "parse_stacktrace",
        &[Text(node)],
        "{\"language\":\"node\",\"type\":\"TypeError\",\"message\":\"Cannot read properties of undefined (reading 'x')\",\"frames\":[{\"function\":\"Cart.pay\",\"file\":\"/app/cart.js\",\"line\":10},{\"function\":\"<anonymous>\",\"file\":\"/app/index.js\",\"line\":3},{\"function\":\"new Promise\",\"file\":\"<anonymous>\"}],\"causes\":[]}",
    );
    check("parse_stacktrace", &[Text("at last it works")], "[parse]");
    check("parse_stacktrace", &[Text(node), Choice("java")], "[parse]");
}

#[test]
fn grok() {
    let line = "55.3.244.1 GET /index.html 15824 0.043";
    check(
        "parse_grok",
        &[
            Text(line),
            A::Grok(
                "%{IP:client} %{WORD:method} %{URIPATHPARAM:request} %{NUMBER:bytes:int} %{NUMBER:duration:float}",
            ),
        ],
        "{\"client\":\"55.3.244.1\",\"method\":\"GET\",\"request\":\"/index.html\",\"bytes\":15824,\"duration\":0.043}",
    );
    check("parse_grok", &[Text(line), A::Grok("^%{WORD:x}$")], "[no_match]");
    check("parse_grok", &[Text("a=1"), A::Grok("(?:a=%{INT:n:int}|b=%{INT:n:int})")], "{\"n\":1}");
    check("parse_grok", &[Text("b=2"), A::Grok("(?:a=%{INT:n:int}|b=%{INT:n:int})")], "{\"n\":2}");
    check("parse_grok", &[Text("id 7"), A::Grok("id (?<id>\\d+)")], "{\"id\":\"7\"}");
    check(
        "parse_grok",
        &[Text("host 2001:db8::1 up"), A::Grok("%{IP:[host][ip]:ip}")],
        "{\"host.ip\":\"2001:db8::1\"}",
    );
    check(
        "parse_grok",
        &[
            Text(
                "127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] \"GET /a HTTP/1.0\" 200 2326 \"-\" \"curl\"",
            ),
            A::Grok("%{COMBINEDAPACHELOG}"),
        ],
        "{\"clientip\":\"127.0.0.1\",\"ident\":\"-\",\"auth\":\"frank\",\"timestamp\":\"10/Oct/2000:13:55:36 -0700\",\"verb\":\"GET\",\"request\":\"/a\",\"httpversion\":\"1.0\",\"response\":\"200\",\"bytes\":\"2326\",\"referrer\":\"\\\"-\\\"\",\"agent\":\"\\\"curl\\\"\"}",
    );
    check(
        "parse_grok",
        &[Text("May  1 10:00:00 web sshd[42]: Accepted"), A::Grok("%{SYSLOGLINE}")],
        "{\"timestamp\":\"May  1 10:00:00\",\"logsource\":\"web\",\"program\":\"sshd\",\"pid\":\"42\",\"message\":\"Accepted\"}",
    );
    check(
        "parse_grok",
        &[
            Text("2026-05-01T10:00:00,123Z ERROR [main] x.y.Z - boom"),
            A::Grok(
                "%{TIMESTAMP_ISO8601:t} %{LOGLEVEL:l} +\\[%{DATA:thread}\\] %{JAVACLASS:c} - %{GREEDYDATA:m}",
            ),
        ],
        "{\"t\":\"2026-05-01T10:00:00,123Z\",\"l\":\"ERROR\",\"thread\":\"main\",\"c\":\"x.y.Z\",\"m\":\"boom\"}",
    );
}

#[test]
fn maps_and_ids() {
    let map = || A::Map("{\"a\":{\"b\":1},\"n\":null,\"t\":\"x\"}");
    check(
        "set",
        &[map(), Text("a.c.d"), A::Bool(true)],
        "{\"a\":{\"b\":1,\"c\":{\"d\":true}},\"n\":null,\"t\":\"x\"}",
    );
    check("set", &[map(), Text("t.x"), A::Int(1)], "[not_a_record]");
    check("set", &[A::Map("{\"a.b\":1}"), Text("a.b"), A::Int(2)], "{\"a.b\":2}");
    check(
        "deep_merge",
        &[map(), A::Map("{\"a\":{\"b\":2,\"c\":3},\"t\":{\"y\":1}}")],
        "{\"a\":{\"b\":2,\"c\":3},\"n\":null,\"t\":{\"y\":1}}",
    );
    check("unflatten", &[A::Map("{\"a.b\":1,\"a.c.d\":2,\".x\":3,\"a\":4}")], "{\"a\":4,\".x\":3}");
    check("entries", &[A::Map("{\"k\\\"\":1}")], "[{\"key\":\"k\\\"\",\"value\":1}]");
    check(
        "from_entries",
        &[A::List(logmon_dsl::types::Type::Any, "[{\"name\":\"a\",\"value\":1},{\"key\":2},{},3]")],
        "{\"a\":1,\"2\":null}",
    );
    check(
        "drop_keys_like",
        &[A::Map("{\"Password\":1,\"a\":[{\"token\":1,\"b\":2}]}"), A::Regex("(?i)pass|token")],
        "{\"a\":[{\"b\":2}]}",
    );
    check(
        "hmac",
        &[Text("what do ya want for nothing?"), A::Secret("Jefe"), Choice("sha1")],
        "\"effcdf6ae5eb2fa2d27416d5f184df9c259a7c79\"",
    );
    check(
        "pseudonymize",
        &[Text("bob"), A::Secret("k")],
        &format!("\"{}\"", &call("hmac", &[Text("bob"), A::Secret("k")])[1..33]),
    );
    let id = call("uuid7", &[]);
    assert!(id.len() == 38 && &id[15..16] == "7" && "89ab".contains(&id[20..21]), "{id}");
    assert_eq!(&id[1..14], "019b76da-a800", "the time comes first");
    check(
        "ip_range",
        &[A::Ip("10.0.0.1"), A::Ip("10.0.0.8")],
        "[\"10.0.0.1/32\",\"10.0.0.2/31\",\"10.0.0.4/30\",\"10.0.0.8/32\"]",
    );
    check("ip_range", &[A::Ip("10.0.0.2"), A::Ip("10.0.0.1")], "[out_of_range]");
    check("ip_range", &[A::Ip("2001:db8::"), A::Ip("2001:db8::ffff")], "[\"2001:db8::/112\"]");
    check("registered_domain", &[Text("WWW.Shop.CO.UK.")], "\"shop.co.uk\"");
    check("registered_domain", &[Text("10.0.0.1")], "[no_match]");
    check("registered_domain", &[Text("co.uk")], "[no_match]");
    check(
        "community_id",
        &[A::Ip("192.168.0.89"), A::Ip("192.168.0.1"), Text("icmp"), A::Int(8), A::Int(0)],
        "\"1:X0snYXpgwiv9TZtqg64sgzUn6Dk=\"",
    );
    check(
        "community_id",
        &[A::Ip("66.35.250.204"), A::Ip("128.232.110.120"), A::Int(6), A::Int(80), A::Int(34855)],
        "\"1:LQU9qZlK+B5F3KDmev6m5PMibrg=\"",
    );
    check("community_id", &[A::Ip("10.0.0.1"), A::Ip("10.0.0.2"), Text("tcp")], "[missing]");
    check("decode_charset", &[Text("Ð\u{bf}Ñ\u{80}"), Text("utf-8"), Choice("text")], "\"пр\"");
    check("decode_charset", &[Text("e9"), Text("windows-1252"), Choice("hex")], "\"é\"");
    check("decode_charset", &[Text("e9"), Text("utf-8"), Choice("hex")], "[parse]");
    check("decode_charset", &[Text("e9"), Text("klingon"), Choice("hex")], "[out_of_range]");
    check("decode_gzip", &[Text("bm8=")], "[parse]");
    check(
        "is_between_hours",
        &[A::Time("2026-05-01T10:00:00Z"), Text("12:00"), Text("12:01"), Text("Europe/Berlin")],
        "true",
    );
    check(
        "is_between_hours",
        &[A::Time("2026-05-01T10:00:00Z"), Text("25:00"), Text("12:01")],
        "[parse]",
    );
    check(
        "zip",
        &[
            A::List(logmon_dsl::types::Type::Int, "[1,2]"),
            A::List(logmon_dsl::types::Type::Int, "[3]"),
        ],
        "[[1,3]]",
    );
    check(
        "chunk",
        &[A::List(logmon_dsl::types::Type::Int, "[1,2,3]"), A::Int(0)],
        "[out_of_range]",
    );
}

/// What would take forever, or all memory, were there no bounds.
#[test]
fn hostile_text_is_met_with_bounds() {
    let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    let deep = leak("<a>".repeat(100_000));
    check("parse_xml", &[Text(deep)], "[out_of_range]");
    check("parse_yaml", &[Text(leak("[".repeat(100_000)))], "[parse]");
    let laughs = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f]";
    check("parse_yaml", &[Text(laughs)], "[out_of_range]");
    // 64 MiB of zeros behind some tens of KiB.
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![0_u8; 1 << 20];
    for _ in 0..64 {
        std::io::Write::write_all(&mut packer, &zeros).expect("memory takes it");
    }
    let packed = packer.finish().expect("memory takes it");
    let hex: String = packed.iter().map(|byte| format!("{byte:02x}")).collect();
    check("decode_gzip", &[Text(leak(hex)), Choice("hex")], "[out_of_range]");
    let pairs = leak((0..10_000).map(|n| format!("k{n}=v ")).collect());
    assert!(call("parse_logfmt", &[Text(pairs)]).len() > 100_000);
    assert!(call("parse_kv", &[Text(pairs)]).len() > 100_000);
    let list =
        leak(format!("[{}]", (0..10_000).map(|n| n.to_string()).collect::<Vec<_>>().join(",")));
    assert!(
        call("chunk", &[A::List(logmon_dsl::types::Type::Int, list), A::Int(3)]).len() > 10_000
    );
    let long = leak("ab, [{\"<=: ".repeat(50_000));
    for name in logmon_dsl::functions::all().map(|function| function.name) {
        if name.starts_with("parse_") && !matches!(name, "parse_pattern" | "parse_grok") {
            call(name, &[Text(long)]);
        }
    }
    check("similarity", &[Text(long), Text(long)], "[out_of_range]");
}
