//! What is said of mistakes, code by code.

mod columns;
mod files;
mod flows;
mod literals;
mod names;
mod reasoning;
mod regexes;
mod rules;
mod tests;
mod types;

use expect_test::Expect;

use super::check;

/// Rules of a program with one closed source, a lookup and three sinks.
#[track_caller]
fn rules(text: &str, expected: &Expect) {
    let world = r#"source web : { status: int, host: string?, ip: ip?, severity: severity coerce, http: { path: string? } }
source app
lookup geo(ip) -> { country: string, city: string? }?
sink logs : table("logs")
sink dlq : { reason: string, raw: string }
default route to logs
rule all_used when geo(.ip).country == "AU" { route to dlq(reason: "x") }
"#;
    check(&format!("{world}{text}"), expected);
}
