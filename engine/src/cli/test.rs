//! `test`: runs the `test` blocks of a rules file.

mod coverage;
mod watch;

use std::sync::Arc;

use logmon_dsl::{
    accept,
    diagnostic::{Resolved, has_errors},
    program::Mode,
    test_block::{self, Failure, Test},
};

use super::{Entry, analysis, compilation, draw, refused, say};
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
    /// Also name the rules and branches that no test reached
    #[arg(long)]
    coverage: bool,
    /// Write what was seen into the tests that failed, as what they expect from now on
    #[arg(long, conflicts_with_all = ["watch", "json"])]
    accept: bool,
    /// Run again whenever a file changes, until interrupted
    #[arg(long, conflicts_with = "json")]
    watch: bool,
}

#[derive(Debug, serde::Serialize)]
struct Report {
    passed: usize,
    failed: usize,
    tests: Vec<Line>,
    /// What the compiler says; with an error among it nothing was run.
    diagnostics: Vec<Resolved>,
    /// What the tests reach, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    coverage: Option<coverage::Report>,
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
    if arguments.accept {
        return accept(arguments);
    }
    if arguments.watch {
        return watch::watch(arguments);
    }
    round(arguments)
}

fn is_wanted(arguments: &Arguments, test: &Test) -> bool {
    arguments.filter.as_ref().is_none_or(|filter| test.name.contains(filter.as_str()))
}

/// Runs the tests once and says how they went.
fn round(arguments: &Arguments) -> Exit {
    let entry = &arguments.entry.rules;
    let compilation = compilation(entry, Mode::Test);
    let mut report =
        Report { passed: 0, failed: 0, tests: Vec::new(), diagnostics: Vec::new(), coverage: None };
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
        return refused(entry);
    };
    let plan = Arc::new(program.plan);
    for test in program.tests.iter().filter(|test| is_wanted(arguments, test)) {
        let result = test_block::run_test(&plan, test);
        let passed = result.failures.is_empty();
        *(if passed { &mut report.passed } else { &mut report.failed }) += 1;
        if !arguments.json {
            say(format_args!("{} {}", if passed { "ok    " } else { "FAILED" }, test.name));
            let drawn: Vec<_> = result.failures.iter().map(Failure::diagnostic).collect();
            draw(&drawn, &compilation.sources);
        }
        let failures = result.failures.iter().map(|failure| failure.message.clone()).collect();
        report.tests.push(Line { name: test.name.to_string(), passed, failures });
    }
    if arguments.coverage {
        let analysis = analysis(entry);
        let wanted = analysis.tests.iter().filter(|test| is_wanted(arguments, test));
        report.coverage = Some(coverage::Report::new(&analysis, wanted));
    }
    if arguments.json {
        report.print();
    } else {
        if let Some(coverage) = &report.coverage {
            coverage.print();
        }
        say(format_args!("\n{} passed, {} failed", report.passed, report.failed));
    }
    if report.failed > 0 { Exit::Rules } else { Exit::Fine }
}

/// Rounds of accepting: a block of conditions shows one wrong condition at a time.
const ROUNDS_MAX: usize = 100;

/// Writes what is seen into the files until every test passes or nothing more can be written.
fn accept(arguments: &Arguments) -> Exit {
    let mut n_accepted = 0;
    for _ in 0..ROUNDS_MAX {
        let analysis = analysis(&arguments.entry.rules);
        if has_errors(&analysis.diagnostics) {
            break;
        }
        let plan = Arc::new(analysis.plan.clone());
        let wanted = analysis.tests.iter().filter(|test| is_wanted(arguments, test));
        let failures = wanted.flat_map(|test| test_block::run_test(&plan, test).failures);
        let edits: Vec<_> =
            failures.filter_map(|failure| accept::accept(&analysis, &failure)).collect();
        if edits.is_empty() {
            break;
        }
        n_accepted += edits.len();
        for (path, text) in accept::edited(&analysis, edits) {
            if let Err(why) = std::fs::write(&path, text) {
                eprintln!("{path}: {why}");
                return Exit::World;
            }
        }
    }
    let exit = round(arguments);
    say(format_args!("{n_accepted} expectations written"));
    exit
}
