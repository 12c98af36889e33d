//! What plans look like.

use expect_test::{Expect, expect};
use logmon_dsl::{explain::explain, program::Mode};

use super::{compile_text, drawn, samples::SMALLEST};

/// The plan of a program, as text.
#[track_caller]
fn plan(text: &str, expected: &Expect) {
    let compilation = compile_text(text, Mode::Run);
    let Some(program) = &compilation.program else {
        panic!("the program has errors:\n{}", drawn(&compilation));
    };
    expected.assert_eq(&explain(&program.plan, None));
}

/// One rule of a program with one bare source and a table.
#[track_caller]
fn rule(text: &str, expected: &Expect) {
    let world = "source app\nsink logs : table(\"logs\")\ndefault route to logs\n";
    plan(&format!("{world}{text}"), expected);
}

#[test]
fn the_smallest_program() {
    plan(SMALLEST, &expect![[""]]);
}

#[test]
fn negations_and_sets() {
    rule(
        r#"rule r when .service != "a" and .service is present and .host not in ["x", "y"] and not (.a.b is absent) { drop }"#,
        &expect![[""]],
    );
}

#[test]
fn an_undeclared_value_is_read_as_what_it_is_used_as() {
    rule(
        r#"rule r when .body.status >= 500 and .body.ok and .body.ip in cidr"10.0.0.0/8" and .severity in [warn, error] { .n = .body.n * 2 + .body.m }"#,
        &expect![[""]],
    );
}

#[test]
fn functions_and_constants_are_put_in_place_and_equal_conditions_are_one() {
    rule(
        r#"const SLOW = 250
fn is_slow(ms: float?) -> bool = ms > SLOW
rule a when is_slow(float(.ms)) { .slow = true }
rule b when is_slow(float(.ms)) and .slow { tag "slow" }"#,
        &expect![[""]],
    );
}

#[test]
fn records_matches_and_text() {
    rule(
        r#"rule r {
  let s = int(.status) ?? 0
  .http = { class: match s { 200..=299 => "ok", 404 | 410 => "gone", _ => "other" }, text: f"{.service}: {s}" }
  .k = if .a.b == 1 { "one" } else { null }
  route to logs
}"#,
        &expect![[""]],
    );
}

#[test]
fn lists_and_their_elements() {
    rule(
        r#"rule r when .items[*].sku contains "X" and .items[*].sku != "Y" and .tags[0] == "t" and "z" in .tags {
  .first = .items[-1].sku
  del .items, .attributes.*
  rename .host -> .node
}"#,
        &expect![[""]],
    );
}

#[test]
fn a_sampled_rule_and_metadata() {
    rule(
        r#"rule r when @topic == "logs" and @headers."x-id" is present { sample 1/20 by .trace_id else { drop as "thin" } }"#,
        &expect![[""]],
    );
}

#[test]
fn case_is_folded_at_the_literal() {
    rule(
        r#"rule r when .message contains "ERROR"i or .service == "Web"i or .message has "oom killer"i { drop }"#,
        &expect![[""]],
    );
}
