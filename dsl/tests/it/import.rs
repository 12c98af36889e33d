//! Translations from grok and VRL: what means the same, and what is said of the rest.

use expect_test::{Expect, expect};
use logmon_dsl::import::{grok, vrl};

#[track_caller]
fn is_pat(pattern: &str, wanted: &str) {
    let made = grok(pattern);
    assert_eq!(made.why_not, None, "{pattern}");
    assert_eq!(made.text, wanted);
}

#[track_caller]
fn stays_grok(pattern: &str, why: &str) {
    let made = grok(pattern);
    assert!(made.text.starts_with("grok\""), "{}", made.text);
    let said = made.why_not.expect("a reason");
    assert!(said.contains(why), "{said}");
}

#[test]
fn captures_that_end_at_a_text_become_a_pattern() {
    is_pat("%{IP:client} %{WORD:method} %{NOTSPACE:path}", r#"pat"<client:ip> <method> <path>""#);
    is_pat("%{NUMBER:ms:float}ms", r#"pat"<ms:float>ms""#);
    is_pat("^%{INT:status:int}$", r#"pat"<status:int>""#);
    is_pat(
        r"\[%{HTTPDATE:ts}\] %{GREEDYDATA:rest}",
        "pat\"\"\"[<ts:timestamp(\"%d/%b/%Y:%H:%M:%S %z\")>] <rest>\"\"\"",
    );
    is_pat(
        "%{DATA} took %{DATA:what}: %{LOGLEVEL:level}",
        r#"pat"<_> took <what>: <level:severity>""#,
    );
    is_pat("%{WORD:[http][method]} %{NOTSPACE:url.path}", r#"pat"<http_method> <url_path>""#);
    is_pat(r#""%{NOTSPACE:path}" x"#, "pat\"\"\"\"<path>\" x\"\"\"");
    is_pat(r#""%{DATA:agent}" %{INT:n:int}"#, "pat\"\"\"\"<agent>\" <n:int>\"\"\"");
}

#[test]
fn what_a_pattern_cannot_say_stays_grok_with_a_reason() {
    stays_grok("%{WORD:a}%{WORD:b}", "nothing stands between");
    stays_grok("%{GREEDYDATA:a} %{WORD:b}", "may go on");
    stays_grok("%{WORD:a}x%{WORD:b}", "may go on");
    stays_grok("(?:%{IP:a}|-) x", "regex");
    stays_grok(r"%{IP:a}\s+%{WORD:b}", "many texts");
    stays_grok("%{COMBINEDAPACHELOG}", "more than one capture");
    stays_grok("%{IP:a", "no `}`");
    stays_grok("%{IP:a:map}", "no type");
    stays_grok("%{WORD:a} %{WORD:a}", "");
}

#[track_caller]
fn translates(program: &str, expected: &Expect) {
    let made = vrl("r", None, program);
    let mut text = made.text;
    for one in made.untranslated {
        text.push_str(&format!("{}: {}\n", one.line, one.why));
    }
    expected.assert_eq(&text);
}

#[test]
fn assignments_conditions_and_functions() {
    translates(
        r#"
. = parse_json!(.message)
.a = upcase(string!(.b)) ?? "none"
.c = del(.old)
del(.d.e)
.f = "x-{{ name }}"
.n = 1 + 2 * to_int!(.m)
"#,
        &expect![[r#"
            rule r {
              . = parse_json(.message)
              .a = upper(.b) ?? "none"
              rename .old -> .c
              del .d.e
              .f = f"x-{name}"
              .n = 1 + 2 * int(.m)
            }
        "#]],
    );
    translates(
        r#"
if contains(string!(.path), "health", case_sensitive: false) && !exists(.error) {
  abort
} else if match(.path, r'^/api/v\d+') || .status >= 500 {
  .api = true   # kept
} else {
  .class = if .status < 400 { "fine" } else { "bad" }
}
"#,
        &expect![[r#"
            rule r {
              if .path contains "health"i and .error is missing {
                drop as "abort"
              } else if .path matches re"^/api/v\d+" or .status >= 500 {
                .api = true  # kept
              } else {
                .class = if .status < 400 { "fine" } else { "bad" }
              }
            }
        "#]],
    );
}

#[test]
fn error_variables_ask_whether_the_value_is_there() {
    translates(
        r#"
parsed, err = parse_json(.message)
if err != null {
  .broken = true
} else {
  .user = parsed.user
}
"#,
        &expect![[r#"
            rule r {
              let parsed = parse_json(.message)
              if parsed is absent {
                .broken = true
              } else {
                .user = parsed.user
              }
            }
        "#]],
    );
}

#[test]
fn what_has_no_counterpart_is_named() {
    translates(
        r#"
.x, err = parse_json(.y)
for_each(.list) -> |_i, v| { log(v) }
%meta = 1
.t = get_env_var!("HOME")
x = { y = 1; y + 1 }
.ok = 1
if unknown_thing(.a) {
  .b = 1
}
"#,
        &expect![[r#"
            rule r {
              # not translated: .x, err = parse_json(.y) because an error beside a field has no counterpart: what is absent is not written
              # not translated: for_each(.list) -> |_i, v| { log(v) } because a value that nobody takes does nothing here
              # not translated: %meta = 1 because metadata cannot be written
              # not translated: .t = get_env_var!("HOME") because `get_env_var` has no counterpart that is known to mean the same
              # not translated: x = { y = 1; y + 1 } because a block as a value has no counterpart here
              .ok = 1
              # not translated: if unknown_thing(.a) { because `unknown_thing` has no counterpart that is known to mean the same
              #   .b = 1
              # }
            }
            2: an error beside a field has no counterpart: what is absent is not written
            3: a value that nobody takes does nothing here
            4: metadata cannot be written
            5: `get_env_var` has no counterpart that is known to mean the same
            6: a block as a value has no counterpart here
            8: `unknown_thing` has no counterpart that is known to mean the same
        "#]],
    );
}

#[test]
fn any_text_gives_a_rule_that_can_be_read() {
    let texts = [
        "",
        "(((",
        "}}}",
        ".",
        "if",
        "if {",
        "if x { ",
        "\"open",
        "r'",
        "é = \"é\"",
        ". |= {",
        "x =",
        ".a = [1, 2",
        "a b c",
        "= = =",
        ".a = -",
        "!!",
        ".a[ = 1",
        "else { }",
        "{{{{{{{{",
        "#",
        ";;;",
    ];
    for text in texts {
        let made = vrl("r", Some("s"), text);
        let read = logmon_dsl::syntax::format(logmon_dsl::span::FileId(0), &made.text);
        assert!(read.is_ok(), "{text}:\n{}", made.text);
    }
    let deep = format!(".a = {}1{}", "(".repeat(5_000), ")".repeat(5_000));
    assert_eq!(vrl("r", None, &deep).untranslated.len(), 1);
    let deep = "if a { ".repeat(500) + &"}".repeat(500);
    assert!(!vrl("r", None, &deep).text.is_empty());
}
