//! Prints what a rules file will do, as the plan says it, or what is wrong with it:
//! `cargo run -p logmon-examples --bin show_plan < my.rules`.
#![expect(clippy::print_stdout, reason = "the plan is for a person")]

use std::{
    io::{self, Read as _},
    process::ExitCode,
};

use logmon_dsl::explain::explain;
use logmon_examples::plan_of;

fn main() -> ExitCode {
    let mut rules = String::new();
    if let Err(error) = io::stdin().read_to_string(&mut rules) {
        println!("the rules cannot be read: {error}");
        return ExitCode::FAILURE;
    }
    match plan_of(&rules) {
        Ok(plan) => {
            println!("{}", explain(&plan, None));
            ExitCode::SUCCESS
        }
        Err(drawn) => {
            println!("{drawn}");
            ExitCode::FAILURE
        }
    }
}

#[test]
fn a_plan_says_what_is_read_and_written() {
    let plan = plan_of(
        "source app\nsink logs : { ... }\nrule r on app when .a > 1 {\n  .b = .c\n}\ndefault route to logs\n",
    );
    let text = explain(&plan.unwrap(), None);
    for part in ["rule example/r on app", "reads .a, .c", "writes .b", "default route to logs"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn mistakes_are_drawn() {
    let drawn = plan_of("source app\nsink logs : { ... }\ndefault route to log\n").unwrap_err();
    assert!(drawn.contains("there is no sink `log`"), "{drawn}");
}
