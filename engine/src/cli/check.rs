//! `check`: everything that is wrong with a rules file.

use logmon_dsl::{
    diagnostic::{Resolved, has_errors},
    program::Mode,
};

use super::{Entry, compilation, draw, refused, say};
use crate::error::Exit;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    entry: Entry,
    /// Print the diagnostics as JSON, one array
    #[arg(long)]
    json: bool,
}

pub(super) fn check(arguments: &Arguments) -> Exit {
    let compilation = compilation(&arguments.entry.rules, Mode::Test);
    if arguments.json {
        let resolved: Vec<Resolved> = compilation
            .diagnostics
            .iter()
            .map(|diagnostic| diagnostic.resolve(&compilation.sources))
            .collect();
        say(serde_json::to_string_pretty(&resolved).expect("diagnostics are plain data"));
    } else {
        draw(&compilation.diagnostics, &compilation.sources);
        if let Some(program) = &compilation.program {
            let plan = &program.plan;
            eprintln!(
                "{}: {} rules, {} tests, {} files, bundle {}",
                arguments.entry.rules.display(),
                plan.rules.len(),
                program.tests.len(),
                program.files.len(),
                &program.hash.to_hex()[..8]
            );
        }
    }
    if has_errors(&compilation.diagnostics) { refused(&arguments.entry.rules) } else { Exit::Fine }
}
