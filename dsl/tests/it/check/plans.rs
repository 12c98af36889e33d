//! What plans look like.

use std::path::Path;

use expect_test::{Expect, expect};
use logmon_dsl::{
    explain::explain,
    program::{Mode, compile},
};

use super::{Files, compile_text, drawn, samples};

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
    plan(
        samples::SMALLEST,
        &expect![[r#"
        rule t/drop_debug on app
          when .severity < info
          reads .severity
          drops as "debug"
        rule t/where_from on app
          when is_public((.client.ip as ip))
          reads .client.ip
          writes .geo
        default route to logs
    "#]],
    );
}

#[test]
fn negations_and_sets() {
    rule(
        r#"rule r when .service != "a" and .service is present and .host not in ["x", "y"] and not (.a.b is absent) { drop }"#,
        &expect![[r#"
            rule t/r on every source
              when not .service == "a"
              when .service is present
              when not .host in ["x", "y"]
              when not .a.b is absent
              reads .service, .host, .a.b
              drops as "r"
            default route to logs
        "#]],
    );
}

#[test]
fn an_undeclared_value_is_read_as_what_it_is_used_as() {
    rule(
        r#"rule r when .body.status >= 500 and .body.ok and .body.ip in cidr"10.0.0.0/8" and .severity in [warn, error] { .n = .body.n * 2 + .body.m }"#,
        &expect![[r#"
            rule t/r on every source
              when (.body.status as number) >= 500
              when (.body.ok as bool)
              when (.body.ip as ip) in [cidr"10.0.0.0/8"]
              when .severity in [warn, error]
              reads .body.status, .body.ok, .body.ip, .severity, .body.n, .body.m
              writes .n
            default route to logs
        "#]],
    );
}

#[test]
fn functions_and_constants_are_put_in_place_and_equal_conditions_are_one() {
    rule(
        r#"const SLOW = 250
fn is_slow(ms: float?) -> bool = ms > SLOW
rule a when is_slow(float(.ms)) { .slow = true }
rule b when is_slow(float(.ms)) and .slow { tag "slow" }"#,
        &expect![[r#"
            rule t/a on every source
              when float(.ms) > 250  (shared by 2 rules)
              reads .ms
              writes .slow
            rule t/b on every source
              when float(.ms) > 250  (shared by 2 rules)
              when (.slow as bool)  (an earlier rule may write .slow)
              reads .ms, .slow
              writes .tags
            default route to logs
        "#]],
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
        &expect![[r#"
            rule t/r on every source
              reads .status, .service, .a.b
              writes .http, .k
              routes to logs
            default route to logs
        "#]],
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
        &expect![[r#"
            rule t/r on every source
              when any($0 of (.items as list<any>)[*].sku: $0 contains "X")
              when not any($0 of (.items as list<any>)[*].sku: ($0 as string) == "Y")
              when .tags[0] == "t"
              when "z" in .tags
              reads .items, .tags, .host
              writes .items, .first, .attributes, .host, .node
            default route to logs
        "#]],
    );
}

#[test]
fn a_sampled_rule_and_metadata() {
    rule(
        r#"rule r when @topic == "logs" and @headers."x-id" is present { sample 1/20 by .trace_id else { drop as "thin" } }"#,
        &expect![[r#"
            rule t/r on every source
              when @topic == "logs"
              when @headers.x-id is present
              reads .trace_id
              writes .sample_weight
              keeps 1 of 20
              drops as "thin" (some events)
            default route to logs
        "#]],
    );
}

#[test]
fn case_is_folded_at_the_literal() {
    rule(
        r#"rule r when .message contains "ERROR"i or .service == "Web"i or .message has "oom killer"i { drop }"#,
        &expect![[r#"
            rule t/r on every source
              when (.message contains "error"i or lower(.service) == "web" or .message has "oom killer"i)
              reads .message, .service
              drops as "r"
            default route to logs
        "#]],
    );
}

#[test]
fn one_rule_of_many() {
    let files = Files::of(&samples::files(samples::PROD));
    let program = compile(Path::new("main.rules"), &files, Mode::Run).program.unwrap();
    let text = explain(&program.plan, Some("parse_nginx"))
        + &explain(&program.plan, Some("30-route/home/access"));
    expect![[r#"
        group parse: the first rule that takes an event
          rule 20-enrich/parse/parse_nginx on edge_syslog
            when .message contains " rt="
            reads .message
            writes .http, .timestamp, .client, .duration_ms
            routes to dlq(reason: "nginx_format", raw: .message) (some events)
        group home: the first rule that takes an event
          rule 30-route/home/access on every source
            when .http.status is present  (an earlier rule may write .http.status)
            reads .http.status
            writes .http.class
            routes to access_logs
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_function_reads_fields_as_they_are_where_it_is_called() {
    rule(
        r#"fn slow() -> bool = .ms > 250
rule a when slow() { tag "slow" }
rule b { .ms = 1 }
rule c when slow() { tag "still slow" }"#,
        &expect![[r#"
            rule t/a on every source
              when (.ms as number) > 250
              reads .ms
              writes .tags
            rule t/b on every source
              writes .ms
            rule t/c on every source
              when (.ms as int) > 250  (an earlier rule may write .ms)
              reads .ms
              writes .tags
            default route to logs
        "#]],
    );
}
