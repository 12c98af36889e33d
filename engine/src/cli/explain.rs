//! `explain`: the plan that will run, as text.

use logmon_dsl::program::Mode;

use super::{Entry, compile, say};
use crate::error::Exit;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    entry: Entry,
    /// Only this rule
    rule: Option<String>,
}

pub(super) fn explain(arguments: &Arguments) -> Exit {
    let program = match compile(&arguments.entry.rules, Mode::Run) {
        Ok(program) => program,
        Err(exit) => return exit,
    };
    let plan = &program.plan;
    if let Some(rule) = &arguments.rule
        && !plan.rules.iter().any(|known| *known.name == **rule || *known.label == **rule)
    {
        eprintln!("no rule is called `{rule}`");
        return Exit::Usage;
    }
    say(logmon_dsl::explain::explain(plan, arguments.rule.as_deref()));
    Exit::Fine
}
