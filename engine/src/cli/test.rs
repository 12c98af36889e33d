//! `test`: runs the `test` blocks of a rules file.

use std::sync::Arc;

use logmon_dsl::{diagnostic::Resolved, program::Mode, test_block};

use super::{Entry, compilation, draw, refused, say};
use crate::error::Exit;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    entry: Entry,
    /// Only tests whose name contains this
    #[arg(long, short)]
    filter: Option<String>,
    /// Print the results as JSON, one object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, serde::Serialize)]
struct Report {
    passed: usize,
    failed: usize,
    tests: Vec<Line>,
    /// What the compiler says; with an error among it nothing was run.
    diagnostics: Vec<Resolved>,
}

#[derive(Debug, serde::Serialize)]
struct Line {
    name: String,
    passed: bool,
    failures: Vec<String>,
}

impl Report {
    fn print(&self) {
        say(serde_json::to_string_pretty(self).expect("a report is plain data"));
    }
}

pub(super) fn test(arguments: &Arguments) -> Exit {
    let compilation = compilation(&arguments.entry.rules, Mode::Test);
    let mut report = Report { passed: 0, failed: 0, tests: Vec::new(), diagnostics: Vec::new() };
    if arguments.json {
        let all = compilation.diagnostics.iter();
        report.diagnostics = all.map(|one| one.resolve(&compilation.sources)).collect();
    } else {
        draw(&compilation.diagnostics, &compilation.sources);
    }
    let Some(program) = compilation.program else {
        if arguments.json {
            report.print();
        }
        return refused(&arguments.entry.rules);
    };
    let plan = Arc::new(program.plan);
    for test in &program.tests {
        if arguments.filter.as_ref().is_some_and(|filter| !test.name.contains(filter.as_str())) {
            continue;
        }
        let result = test_block::run_test(&plan, test);
        let passed = result.failures.is_empty();
        *(if passed { &mut report.passed } else { &mut report.failed }) += 1;
        if !arguments.json {
            say(format_args!("{} {}", if passed { "ok    " } else { "FAILED" }, test.name));
            let drawn: Vec<_> =
                result.failures.iter().map(test_block::Failure::diagnostic).collect();
            draw(&drawn, &compilation.sources);
        }
        let failures = result.failures.iter().map(|failure| failure.message.clone()).collect();
        report.tests.push(Line { name: test.name.to_string(), passed, failures });
    }
    if arguments.json {
        report.print();
    } else {
        say(format_args!("\n{} passed, {} failed", report.passed, report.failed));
    }
    if report.failed > 0 { Exit::Rules } else { Exit::Fine }
}
