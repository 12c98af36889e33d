//! The command line: one file a subcommand.
//!
//! Invariant: only here are texts printed for a person. Exit codes: 0 fine, 1 the rules or tests say no, 2 usage or configuration, 3 the world.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is the one place that talks to a terminal"
)]

mod audit;
mod check;
mod configuration;
mod demo;
mod dlq;
mod doctor;
mod eval;
mod explain;
mod fmt;
mod given;
mod import;
mod infer;
mod lsp;
mod place;
mod print;
mod pull;
mod repl;
mod rewind;
mod run;
mod schema;
mod search;
mod test;

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::{Parser, Subcommand};
use logmon_dsl::{
    diagnostic::{Code, Diagnostic},
    program::{self, Analysis, Compilation, Mode, Options, Program, Reader},
    render::render,
    span::Sources,
};

use crate::{
    clock::{Clock as _, SystemClock},
    config::{self, Config},
    error::Exit,
    pipeline::schema::sink_settings,
};

/// Runs rules over Kafka partitions and delivers the outcome to ClickHouse.
#[derive(Debug, Parser)]
#[command(name = "logmon-engine", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read Kafka, run the rules, write to ClickHouse
    Run(run::Arguments),
    /// Look at dead letters, judge them once more by the current rules, or give them up
    #[command(subcommand)]
    Dlq(dlq::Command),
    /// Compare what Kafka holds with what tables and dead letters hold: balanced, or exactly what is missing
    Audit(audit::Arguments),
    /// Read a range of Kafka once more and store what is missing of it, without touching the group's offsets
    Rewind(rewind::Arguments),
    /// Say everything that is wrong with a rules file, without running it
    Check(check::Arguments),
    /// Run the `test` blocks of a rules file
    Test(test::Arguments),
    /// Write rules files in the one style
    Fmt(fmt::Arguments),
    /// Show what a rules file does, as the plan that will run; with --on, what one event meets
    Explain(explain::Arguments),
    /// Run rules over events from standard input, one JSON object a line, and print what becomes of each
    Eval(eval::Arguments),
    /// Start everything on this machine, make believable logs, and show the rules at work
    Demo(demo::Arguments),
    /// Try expressions, statements and rules on an event, line by line
    Repl(repl::Arguments),
    /// Say what sample events and the rules disagree about
    Doctor(doctor::Arguments),
    /// Say what a search asks of the stored events, as SQL
    Search(search::Arguments),
    /// About the shapes of events and tables
    #[command(subcommand)]
    Schema(schema::Command),
    /// Translate what other programs understand
    #[command(subcommand)]
    Import(import::Command),
    /// Answer an editor over standard input and output: the language server
    Lsp(lsp::Arguments),
    /// About logmon.toml
    #[command(subcommand)]
    Config(configuration::Command),
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors and go to standard output; clap knows which is which.
            let _closed = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Fine.into() };
        }
    };
    let exit = match arguments.command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Dlq(command) => dlq::dlq(&command),
        Command::Audit(arguments) => audit::audit(&arguments),
        Command::Rewind(arguments) => rewind::rewind(&arguments),
        Command::Check(arguments) => check::check(&arguments),
        Command::Test(arguments) => test::test(&arguments),
        Command::Fmt(arguments) => fmt::fmt(&arguments),
        Command::Explain(arguments) => explain::explain(&arguments),
        Command::Eval(arguments) => eval::eval(&arguments),
        Command::Demo(arguments) => demo::demo(&arguments),
        Command::Repl(arguments) => repl::repl(&arguments),
        Command::Doctor(arguments) => doctor::doctor(&arguments),
        Command::Search(arguments) => search::search(&arguments),
        Command::Schema(command) => schema::schema(&command),
        Command::Import(command) => import::import(&command),
        Command::Lsp(arguments) => lsp::lsp(&arguments),
        Command::Config(command) => configuration::configuration(&command),
    };
    exit.into()
}

/// Reads rules and lists from the file system.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileSystem;

impl Reader for FileSystem {
    fn read(&self, path: &Path) -> Result<String, String> {
        let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
        String::from_utf8(bytes)
            .map_err(|error| format!("byte {} is not UTF-8", error.utf8_error().valid_up_to()))
    }

    fn lock(&self, entry: &Path) -> Option<(PathBuf, String)> {
        program::lock_beside(self, entry)
    }

    fn secret(&self, name: &str) -> Result<String, String> {
        config::secret(name)
    }
}

/// The text of a file, or of standard input for `-`; otherwise what a person should read about why not.
fn read_input(path: &Path) -> Result<String, String> {
    if path == Path::new("-") {
        return io::read_to_string(io::stdin())
            .map_err(|error| format!("standard input cannot be read: {error}"));
    }
    FileSystem.read(path).map_err(|why| format!("{}: {why}", path.display()))
}

/// Whether output for a person may be colored.
fn color() -> bool {
    std::io::stderr().is_terminal()
}

/// Writes a line on standard output. Who closed it, as `head` does, has read enough.
fn say(line: impl std::fmt::Display) {
    let _closed = writeln!(io::stdout().lock(), "{line}");
}

/// Draws diagnostics on standard error.
fn draw(diagnostics: &[Diagnostic], sources: &Sources) {
    if !diagnostics.is_empty() {
        eprintln!("{}", render(diagnostics, sources, color()));
    }
}

/// What is known here of the world around a program.
fn options(now: Option<i64>, config: Option<&Config>) -> Options {
    Options { now, sinks: config.map(sink_settings).unwrap_or_default() }
}

/// The configuration of a program, where there is one that can be read.
fn configuration_of(entry: &Path) -> Option<Config> {
    config::find(entry, None).and_then(|path| Config::load(&path).ok())
}

/// Compiles a file and keeps what was learned on the way.
fn analysis(entry: &Path) -> Analysis {
    let now = SystemClock::new().now();
    let options = options(Some(now), configuration_of(entry).as_ref());
    program::analyze_with(entry, &FileSystem, &options)
}

/// Compiles a file. A sink that only the configuration uses, as the dead letter, is not unused.
fn compilation(entry: &Path, mode: Mode) -> Compilation {
    // What has expired is said where somebody looks; it stops no engine.
    let now = (mode == Mode::Test).then(|| SystemClock::new().now());
    let options = options(now, configuration_of(entry).as_ref());
    let mut compilation = program::compile_with(entry, &FileSystem, mode, &options);
    let dead_letter = dead_letter(entry);
    let sources = &compilation.sources;
    compilation.diagnostics.retain(|diagnostic| {
        diagnostic.code != Code::W110 || sources.text(diagnostic.at) != dead_letter
    });
    compilation
}

/// The sink that takes dead letters: the configuration's, where there is one, otherwise a sink called `dlq`.
fn dead_letter(entry: &Path) -> String {
    configuration_of(entry)
        .and_then(|config| config.dead_letter)
        .map_or_else(|| "dlq".to_owned(), |dead_letter| dead_letter.sink.to_string())
}

/// Compiles a file and draws what is wrong with it.
fn compile(entry: &Path, mode: Mode) -> Result<Program, Exit> {
    let Compilation { sources, diagnostics, program } = compilation(entry, mode);
    draw(&diagnostics, &sources);
    program.ok_or_else(|| refused(entry))
}

/// How a command ends whose rules do not compile: a file that cannot be read at all is a mistake of the command line.
fn refused(entry: &Path) -> Exit {
    if FileSystem.read(entry).is_ok() { Exit::Rules } else { Exit::Usage }
}

/// The name by which a person knows a rule: the bare one where it is unique, otherwise the label.
fn rule_name(plan: &logmon_dsl::plan::Plan, rule: logmon_dsl::plan::RuleId) -> Arc<str> {
    let rule = plan.rule(rule);
    let unique = plan.rules.iter().filter(|other| other.name == rule.name).count() == 1;
    if unique { Arc::clone(&rule.name) } else { Arc::clone(&rule.label) }
}

/// A rules file as an argument.
#[derive(Debug, clap::Args)]
struct Entry {
    /// The entry file, such as rules/prod.rules
    rules: PathBuf,
}
