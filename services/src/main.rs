//! `logmon-services`: Kafka and ClickHouse in the background, up, down, and what runs where.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use logmon_services::background::{self, Running, Service};
use logmon_services::{ClickHouse, Kafka, ServiceError};

/// Real Kafka and ClickHouse on this machine, without containers.
#[derive(Debug, Parser)]
#[command(name = "logmon-services", version)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Start both in the background, fetching them the first time, and print where they are.
    Up,
    /// End those that `up` started, and remove their data.
    Down,
    /// Say what `up` started and still runs.
    Status,
    /// Start both and keep them until this command ends, however it ends.
    Hold,
}

fn main() -> ExitCode {
    match run(&Arguments::parse().what) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = format!("error: {error}");
            let mut cause = error.source();
            while let Some(inner) = cause {
                write!(text, ": {inner}").expect("a String takes all");
                cause = inner.source();
            }
            drop(writeln!(io::stderr(), "{text}"));
            // Nothing the caller typed was wrong: the world is.
            ExitCode::from(3)
        }
    }
}

fn run(what: &What) -> Result<(), ServiceError> {
    match what {
        What::Up => tell(&background::up()?),
        What::Down => {
            let ended = background::down()?;
            for it in &ended {
                print(&format!("ended {}, pid {}", name(it), it.pid));
            }
            if ended.is_empty() {
                print(NOTHING);
            }
        }
        What::Status => tell(&background::status()?),
        What::Hold => hold()?,
    }
    Ok(())
}

const NOTHING: &str = "nothing runs";

fn tell(running: &[Running]) {
    if running.is_empty() {
        print(NOTHING);
        return;
    }
    for it in running {
        print(&format!(
            "{:<11} {:<24} pid {:<7} {}",
            name(it),
            it.address,
            it.pid,
            it.folder.display()
        ));
    }
    let address = |service| running.iter().find(|it| it.service == service).map(|it| &it.address);
    if let Some(kafka) = address(Service::Kafka) {
        print(&format!("export LOGMON_KAFKA={kafka}"));
    }
    if let Some(clickhouse) = address(Service::ClickHouse) {
        let login = clickhouse.replacen("http://", "http://logmon:logmon-secret@", 1);
        print(&format!("export LOGMON_CLICKHOUSE={login}"));
    }
}

fn name(running: &Running) -> &'static str {
    match running.service {
        Service::Kafka => "Kafka",
        Service::ClickHouse => "ClickHouse",
    }
}

/// Waits for the end of standard input; any other end of this process ends the servers as well.
fn hold() -> Result<(), ServiceError> {
    let kafka = Kafka::start()?;
    let clickhouse = ClickHouse::start()?;
    let pid = |pid: Option<u32>| pid.map_or_else(|| "-".to_owned(), |it| it.to_string());
    print(&format!("kafka {} {}", kafka.brokers(), pid(kafka.pid())));
    print(&format!("clickhouse {} {}", clickhouse.url(), pid(clickhouse.pid())));
    drop(io::copy(&mut io::stdin().lock(), &mut io::sink()));
    Ok(())
}

/// A closed standard output is the reader's choice.
fn print(line: &str) {
    let mut out = io::stdout().lock();
    drop(writeln!(out, "{line}"));
    drop(out.flush());
}
