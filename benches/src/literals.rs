//! Many rules that look for literals, as detections do, for the engine and for VRL alike.
//!
//! Three of them find one event in a hundred, the others none: how many events are written to does not grow with the rules.

use std::fmt::Write as _;

use anyhow::Context as _;

use crate::program::with_rules;

/// How many rules `rules/ten.rules` has.
pub const TEN: usize = 10;

/// What the names of these rules begin with.
pub const PREFIX: &str = "literal_";

/// Services that the events name.
const SERVICES: [&str; 10] = [
    "payments-api",
    "checkout-worker",
    "search-edge",
    "auth-batch",
    "cart-core",
    "inventory-sync-api",
    "recommendations-worker",
    "notify-edge",
    "ledger-batch",
    "geo-core",
];

/// What nobody says, so that looking is all that it costs.
const UNHEARD: [&str; 4] = ["exploit attempt", "segment fault", "login of root", "license key"];

/// What a rule asks.
enum Condition {
    /// The message holds a text.
    Text(String),
    /// A service's message does.
    Service(&'static str, String),
    /// A field is a text.
    Host(String),
}

impl Condition {
    /// The condition of a rule: most ask for a service and a text of their own, one in twenty for a text or for a host alone.
    fn of(number: usize) -> Self {
        let text = format!("{} {number} refused", UNHEARD[number % UNHEARD.len()]);
        match number {
            0..3 => Self::Text(format!("job reconcile-{number} finished")),
            _ if number % 20 == 9 => Self::Text(text),
            _ if number % 20 == 19 => Self::Host(format!("ip-10-9-7-{number}")),
            _ => Self::Service(SERVICES[number % SERVICES.len()], text),
        }
    }
}

/// The ten rules and more of these, `rules` in all; with one rule, only the route.
pub fn rules(ten: &str, rules: usize) -> anyhow::Result<String> {
    let Some(more) = rules.checked_sub(TEN) else {
        let (head, _) = ten.split_once("sink errors").context("the rules declare two sinks")?;
        let home = ten.rfind("rule home").context("the last rule routes")?;
        return Ok(format!("{head}{}", &ten[home..]));
    };
    let mut text = String::with_capacity(more * 160);
    for number in 0..more {
        let condition = match Condition::of(number) {
            Condition::Text(text) => format!(".message contains \"{text}\""),
            Condition::Service(service, text) => {
                format!(".service == \"{service}\" and .message contains \"{text}\"")
            }
            Condition::Host(host) => format!(".host == \"{host}\""),
        };
        writeln!(
            text,
            "rule {PREFIX}{number} on app when {condition} {{\n  .detection = \"literal {number}\"\n}}\n"
        )?;
    }
    with_rules(ten, &text)
}

/// The same in VRL.
pub fn vrl(ten: &str, rules: usize) -> anyhow::Result<String> {
    let Some(more) = rules.checked_sub(TEN) else {
        return Ok(". = object!(parse_json!(string!(.message)))\nfalse\n".to_owned());
    };
    let end = ten.rfind("\nseverity ==").context("the program ends with whether it is an error")?;
    let mut text = ten[..end].to_owned();
    text.push_str("\nhost = string(.host) ?? \"\"\n");
    for number in 0..more {
        let condition = match Condition::of(number) {
            Condition::Text(text) => format!("contains(message, \"{text}\")"),
            Condition::Service(service, text) => {
                format!("service == \"{service}\" && contains(message, \"{text}\")")
            }
            Condition::Host(host) => format!("host == \"{host}\""),
        };
        writeln!(text, "if {condition} {{ .detection = \"literal {number}\" }}")?;
    }
    text.push_str(&ten[end..]);
    Ok(text)
}
