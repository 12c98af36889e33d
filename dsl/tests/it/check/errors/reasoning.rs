//! What follows from conditions: never, always, already taken, and what may pass.

use expect_test::expect;

use crate::check::{check, compile_text, drawn};
use logmon_dsl::program::Mode;

/// Rules over one source with fields of every kind.
fn world(text: &str) -> String {
    format!(
        r#"source web : {{ status: int?, share: float?, host: string?, ip: ip?, severity: severity coerce, ok: bool?, took: duration?, ... }}
sink logs : table("logs")
default route to logs
{text}"#
    )
}

/// The codes and messages, a line each.
fn said(text: &str) -> String {
    let compilation = compile_text(&world(text), Mode::Test);
    compilation
        .diagnostics
        .iter()
        .fold(String::new(), |all, one| all + &format!("{}: {}\n", one.code, one.message))
}

#[track_caller]
fn never(condition: &str) {
    let said = said(&format!("rule r when {condition} {{ tag \"x\" }}"));
    assert!(said.contains("W301: this condition never holds"), "{condition}: {said}");
}

#[track_caller]
fn always(condition: &str) {
    let said = said(&format!("rule r when {condition} {{ tag \"x\" }}"));
    assert!(said.contains("W301: this condition always holds"), "{condition}: {said}");
}

#[track_caller]
fn quiet(condition: &str) {
    let said = said(&format!("rule r when {condition} {{ tag \"x\" }}"));
    assert!(!said.contains("W301"), "{condition}: {said}");
}

#[test]
fn conditions_that_never_hold() {
    never(r#".host == "a" and .host == "b""#);
    never(r#".host in ["a", "b"] and .host in ["c"]"#);
    never(r#".host == "abc" and .host starts_with "b""#);
    never(r#".host == "abc" and not (.host like glob"a*")"#);
    never(r#".host starts_with "ab" and not (.host starts_with "a")"#);
    never(r#".host ends_with ".a" and .host ends_with ".b""#);
    never(".status > 5 and .status < 6");
    never(".status >= 500 and .status < 400");
    never(".status == 5.5");
    never(".share > 1 and .share < 1");
    never(".severity < trace");
    never(".severity > error and .severity < critical");
    never(".took > 5m and .took < 1m");
    never(r#".ip in cidr"10.0.0.0/8" and .ip in cidr"192.168.0.0/16""#);
    never(r#".ip == ip"10.0.0.1" and .ip not in cidr"10.0.0.0/8""#);
    never(".ok and not .ok");
    never(".host is absent and .host is present");
    never(r#".host is missing and .host == "a""#);
    never(".host is missing and .host is null");
    never(r#".free == 5 and .free == "a""#);
    never(".free is absent and .free > 5");
    never("(.status < 3 or .status > 7) and .status == 5");
    never(r#"(.host == "a" or .host == "b") and (.host == "c" or .host == "d")"#);
    never("is_public(.ip) and not is_public(.ip)");
}

#[test]
fn conditions_that_always_hold() {
    always(".host is present or .host is absent");
    always(r#".host != "a" or .host != "b""#);
    always("not (.status < 5 and .status > 5)");
    always(".status < 5 or .status >= 5 or .status is absent");
    always(".free < 6 or not (.free < 5)");
    quiet(".free < 5 or not (.free < 6)");
}

#[test]
fn conditions_that_may_hold() {
    quiet(".status > 5 and .status < 7");
    quiet(".share > 5 and .share < 6");
    // A field that is absent satisfies neither.
    quiet(".status < 5 or .status >= 5");
    quiet(r#".host starts_with "a" and .host contains "b""#);
    quiet(r#".host contains "a" and .host contains "b""#);
    quiet(r#".host == "A"i and .host == "a""#);
    quiet(".severity > trace and .severity < debug");
    quiet(r#".ip in cidr"10.0.0.0/8" and .ip in cidr"10.1.0.0/16""#);
    quiet(".free > 5 and .free < 6");
    quiet(r#".a.b == "x" and .a is present"#);
    quiet(".tags[*] == \"a\" and .tags[*] == \"b\"");
    quiet(".status != 5 and .status != 6 and .status is present");
}

#[test]
fn constants_are_switches() {
    let text = "const ON = false\nrule r when ON and .host is present { tag \"x\" }\n";
    assert_eq!(said(text), "");
}

#[test]
fn rules_that_come_too_late() {
    check(
        &world(
            r#"rule quiet on web when .severity < info { drop }
rule trace on web when .severity == trace and .host == "a" { tag "trace" }
group kind first {
  rule client when .status >= 400 and .status < 500 { tag "client" }
  rule server when .status >= 500 { tag "server" }
  rule missing when .status == 404 { tag "missing" }
  rule gone when .status in [410, 503] { tag "gone" }
}
rule private on web when .ip in cidr"10.0.0.0/8" { drop }
rule office on web when .ip in cidr"10.1.0.0/16" { tag "office" }
"#,
        ),
        &expect![[r#"
            warning[W302]: the rule `trace` can never match
             --> t.rules:5:6
              |
            4 | rule quiet on web when .severity < info { drop }
              |      ----- comes first
            5 | rule trace on web when .severity == trace and .host == "a" { tag "trace" }
              |      ^^^^^ `quiet` drops every event that this rule asks for
              |
              = help: remove the rule, or move it before `quiet`

            warning[W302]: the rule `missing` can never match
             --> t.rules:9:8
              |
            7 |   rule client when .status >= 400 and .status < 500 { tag "client" }
              |        ------ comes first
            8 |   rule server when .status >= 500 { tag "server" }
            9 |   rule missing when .status == 404 { tag "missing" }
              |        ^^^^^^^ `client` takes every event that this rule asks for
              |
              = help: remove the rule, or move it before `client`

            warning[W302]: the rule `gone` can never match
              --> t.rules:10:8
               |
             7 |   rule client when .status >= 400 and .status < 500 { tag "client" }
               |        ------ comes first
             8 |   rule server when .status >= 500 { tag "server" }
               |        ------ comes first
             9 |   rule missing when .status == 404 { tag "missing" }
            10 |   rule gone when .status in [410, 503] { tag "gone" }
               |        ^^^^ `client` and `server` take every event that this rule asks for
               |
               = help: remove the rule, or move it before `client`

            warning[W302]: the rule `office` can never match
              --> t.rules:13:6
               |
            12 | rule private on web when .ip in cidr"10.0.0.0/8" { drop }
               |      ------- comes first
            13 | rule office on web when .ip in cidr"10.1.0.0/16" { tag "office" }
               |      ^^^^^^ `private` drops every event that this rule asks for
               |
               = help: remove the rule, or move it before `private`
        "#]],
    );
}

#[test]
fn what_is_written_in_between_counts() {
    let text = r#"rule a on web when .host == "a" { drop }
rule b on web { .host = "a" }
rule c on web when .host == "a" { tag "c" }
@shadow_is_not_here
rule d on web when .host == "d" { tag "d" }
"#
    .replace("@shadow_is_not_here\n", "");
    assert_eq!(said(&text), "");
    // Only some are dropped, or those of another source.
    assert_eq!(
        said(
            "rule a on web when .host == \"a\" { if .status == 1 { drop } }\nrule c on web when .host == \"a\" { tag \"c\" }\n"
        ),
        ""
    );
}

#[test]
fn groups_without_a_gap() {
    let group = |rules: &str| {
        let text = format!(
            "source web : {{ status: int?, severity: severity coerce, ok: bool?, ip: ip? }}\nsink logs : table(\"logs\")\ndefault route to logs\ngroup g first {{\n{rules}\n}}\n"
        );
        drawn(&compile_text(&text, Mode::Test))
    };
    for whole in [
        "rule a when .severity >= error { route to logs }\nrule b when .severity < error { route to logs }\nrule c when .severity is absent { drop }",
        "rule a when .status is present { route to logs }\nrule b when .status is absent { route to logs }",
        "rule a when .ok == true { route to logs }\nrule b when .ok == false { route to logs }\nrule c when .ok is absent { drop }",
        "rule a when .status < 500 and .ok == true { route to logs }\nrule b when not (.status < 500) { route to logs }\nrule c when not (.ok == true) { drop }",
    ] {
        let drawn = group(whole);
        assert!(!drawn.contains("E304"), "{whole}: {drawn}");
    }
    let drawn = group(
        "rule a when .status < 400 { route to logs }\nrule b when .status > 400 { route to logs }\nrule c when .status is absent { drop }",
    );
    assert!(drawn.contains("for example one in which `.status` is 400"), "{drawn}");
}

#[test]
fn hard_questions_end() {
    // A pigeon hole: no proof is short, so nothing is claimed.
    let mut parts = Vec::new();
    for pigeon in 0..9 {
        let holes: Vec<String> = (0..8).map(|hole| format!(".p{pigeon}h{hole}")).collect();
        parts.push(format!("({})", holes.join(" or ")));
        for other in 0..pigeon {
            parts
                .extend((0..8).map(|hole| format!("not (.p{pigeon}h{hole} and .p{other}h{hole})")));
        }
    }
    let said = said(&format!("rule r when {} {{ tag \"x\" }}", parts.join(" and ")));
    assert!(!said.contains("W301"), "{said}");
}

#[test]
fn members_of_an_enum_are_all_that_there_is() {
    let program = |rules: &str| {
        format!(
            "enum tier {{ free, trial, paid }}\nsource app : {{ tier: tier, ... }}\nsink logs : {{ ... }}\ngroup g first {{\n{rules}\n}}\ndefault route to logs\n"
        )
    };
    let drawn = |rules: &str| {
        let compilation = compile_text(&program(rules), Mode::Test);
        crate::check::drawn(&compilation)
    };
    let whole = drawn(
        "rule a when .tier == free { route to logs }\nrule b when .tier in [trial, paid] { route to logs }\nrule c when .tier is absent { drop }",
    );
    assert!(!whole.contains("E304"), "{whole}");
    let open = drawn(
        "rule a when .tier == free { route to logs }\nrule b when .tier == trial { route to logs }\nrule c when .tier is absent { drop }",
    );
    assert!(open.contains("for example one in which `.tier` is \"paid\""), "{open}");
}
