//! Answers a lookup of the rules from a map of its own: `cargo run -p logmon-examples --bin own_lookup`.
#![expect(clippy::print_stdout, reason = "what became of the events is for a person")]

use std::{collections::HashMap, process::ExitCode};

use logmon_dsl::eval::{Answer, Lookups};
use logmon_examples::{plan_of, run};

const RULES: &str = r#"
type User = { plan: string }

source app
sink logs : { ... }
lookup users(string) -> User?

rule who on app when .user.id is string {
  let user = users(.user.id) else {
    tag "stranger"
    return
  }
  .user.plan = user.plan
}

default route to logs
"#;

const EVENTS: [&str; 2] = [r#"{"user":{"id":"u7"}}"#, r#"{"user":{"id":"u8"}}"#];

/// Rows as JSON, by key.
struct Users(HashMap<&'static str, &'static str>);

impl Lookups for Users {
    /// Asked once for the distinct keys of a batch.
    fn resolve(&mut self, _lookup: usize, keys: &[&str]) -> Vec<Answer> {
        keys.iter()
            .map(|key| self.0.get(key).map_or(Answer::Miss, |row| Answer::Found((*row).into())))
            .collect()
    }
}

fn outcomes() -> Result<Vec<String>, String> {
    let mut users = Users(HashMap::from([("u7", r#"{"plan":"pro"}"#)]));
    run(&plan_of(RULES)?, &EVENTS, &mut users)
}

fn main() -> ExitCode {
    match outcomes() {
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
fn known_users_gain_a_plan() {
    let expected = [
        r#"logs <- {"user":{"id":"u7","plan":"pro"}}"#,
        r#"logs <- {"user":{"id":"u8"},"tags":["stranger"]}"#,
    ];
    assert_eq!(outcomes().unwrap(), expected);
}
