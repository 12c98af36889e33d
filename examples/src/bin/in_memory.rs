//! Compiles rules and runs them over three events in memory: `cargo run -p logmon-examples --bin in_memory`.
#![expect(clippy::print_stdout, reason = "what became of the events is for a person")]

use std::process::ExitCode;

use logmon_dsl::eval::NoLookups;
use logmon_examples::{plan_of, run};

const RULES: &str = r#"
source app
sink logs : { ... }

rule no_health_checks on app when .http.path == "/healthz" {
  drop as "health check"
}

rule slow on app when .http.ms > 500 {
  tag "slow"
}

default route to logs
"#;

const EVENTS: [&str; 3] = [
    r#"{"service":"web","http":{"path":"/healthz","ms":1}}"#,
    r#"{"service":"web","http":{"path":"/cart","ms":731}}"#,
    r#"{"service":"web","http":{"path":"/cart","ms":12}}"#,
];

fn main() -> ExitCode {
    match plan_of(RULES).and_then(|plan| run(&plan, &EVENTS, &mut NoLookups)) {
        Ok(lines) => {
            println!("{}", lines.join("\n"));
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("{why}");
            ExitCode::FAILURE
        }
    }
}

#[test]
fn each_event_has_its_fate() {
    let lines = plan_of(RULES).and_then(|plan| run(&plan, &EVENTS, &mut NoLookups)).unwrap();
    let expected = [
        r#"dropped by no_health_checks as "health check""#,
        r#"logs <- {"http":{"path":"/cart","ms":731},"service":"web","tags":["slow"]}"#,
        r#"logs <- {"http":{"path":"/cart","ms":12},"service":"web"}"#,
    ];
    assert_eq!(lines, expected);
}
