//! `explain`: the plan that will run, as text; with an event, what that event meets on its way.

use std::path::{Path, PathBuf};

use logmon_dsl::{
    diagnostic::{Severity, has_errors},
    plan::{Plan, RuleId},
    program::Mode,
    trace::{self, Given, Met},
};

use super::{Entry, analysis, compile, draw, given::Options, refused, say};
use crate::error::Exit;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    entry: Entry,
    /// Only this rule
    rule: Option<String>,
    /// A file with one event as JSON, `-` for standard input: says which parts of conditions held, and what was done to it
    #[arg(long, value_name = "FILE")]
    on: Option<PathBuf>,
    #[command(flatten)]
    given: Options,
}

pub(super) fn explain(arguments: &Arguments) -> Exit {
    if let Some(event) = &arguments.on {
        return on(arguments, event);
    }
    let program = match compile(&arguments.entry.rules, Mode::Run) {
        Ok(program) => program,
        Err(exit) => return exit,
    };
    let plan = &program.plan;
    if let Err(exit) = known(plan, arguments.rule.as_deref()) {
        return exit;
    }
    say(logmon_dsl::explain::explain(plan, arguments.rule.as_deref()));
    Exit::Fine
}

fn is_rule(plan: &Plan, rule: RuleId, name: &str) -> bool {
    let rule = plan.rule(rule);
    *rule.name == *name || *rule.label == *name || rule.label.ends_with(&format!("/{name}"))
}

fn known(plan: &Plan, name: Option<&str>) -> Result<(), Exit> {
    let Some(name) = name else { return Ok(()) };
    let mut all = (0..plan.rules.len()).map(|rule| RuleId(rule as u32));
    if all.any(|rule| is_rule(plan, rule, name)) {
        return Ok(());
    }
    eprintln!("no rule is called `{name}`");
    Err(Exit::Usage)
}

/// One event's way through the rules.
fn on(arguments: &Arguments, event: &Path) -> Exit {
    let mut analysis = analysis(&arguments.entry.rules);
    if has_errors(&analysis.diagnostics) {
        analysis.diagnostics.retain(|one| one.severity == Severity::Error);
        draw(&analysis.diagnostics, &analysis.loaded.sources);
        return refused(&arguments.entry.rules);
    }
    let plan = &analysis.plan;
    if let Err(exit) = known(plan, arguments.rule.as_deref()) {
        return exit;
    }
    let text = match super::read_input(event) {
        Ok(text) => text,
        Err(message) => {
            eprintln!("{message}");
            return Exit::Usage;
        }
    };
    let rules = arguments.entry.rules.display().to_string();
    let mut around = match arguments.given.around(plan, &rules) {
        Ok(around) => around,
        Err(message) => {
            eprintln!("{message}");
            return Exit::Usage;
        }
    };
    let given = Given { event: text.trim(), source: around.source, now: around.now };
    let named = arguments.rule.as_deref();
    // Without a name the rules that took the event are the interesting ones; a first look says which.
    let first = trace::trace(&analysis, given, &mut around.lookups, &|_| false);
    let drawn = first.and_then(|first| {
        let wanted = |rule: RuleId| match named {
            Some(name) => is_rule(plan, rule, name),
            None => first.rules[rule.0 as usize].met == Met::Taken,
        };
        let trace = trace::trace(&analysis, given, &mut around.lookups, &wanted)?;
        Ok(trace::draw(plan, &trace, &wanted))
    });
    match drawn {
        Ok(text) => {
            say(text.trim_end());
            Exit::Fine
        }
        Err(why) => {
            eprintln!("{}: {why}; one JSON object is needed", event.display());
            Exit::Usage
        }
    }
}
