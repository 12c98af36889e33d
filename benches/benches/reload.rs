//! New rules at full load: `cargo bench -p logmon-benches --bench reload -- --json FILE`.
//!
//! The tables store nothing but each row's place, so that the engine is what limits. A backlog is worked off while the rules file is replaced again and again. Afterwards every event that rules keep has exactly one row.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use logmon_benches::{
    arguments::Arguments,
    engine::{self, Engine},
    ledger::Balance,
    machine::Machine,
    program::ten_rules,
    report::{Table, publish, say},
    servers::{Servers, Setting},
};
use serde::Serialize;

const EVENTS: usize = 3_000_000;
const PARTITIONS: usize = 4;
/// Between two versions of the rules.
const EVERY: Duration = Duration::from_secs(1);
/// Between two looks at the counters.
const LOOK: Duration = Duration::from_millis(10);
/// Gaps that begin this long before a reload is seen or end this long after are its own.
const AROUND: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Serialize)]
struct Results {
    machine: Machine,
    binary: String,
    events: usize,
    partitions: usize,
    seconds: f64,
    versions_written: usize,
    reloads_applied: usize,
    /// The longest time in which the counter of records stood still, around each reload.
    pauses_ms: Vec<f64>,
    longest_pause_ms: f64,
    /// The same away from reloads: what the measurement itself and the machine bring.
    longest_gap_elsewhere_ms: f64,
    /// The engine's own count: how often a worker went over to new rules, and for how long it stood still on average.
    standstills: f64,
    mean_standstill_ms: f64,
    /// The smallest bound of the engine's histogram that holds all of them.
    standstills_below_ms: f64,
    /// The longest time between two looks: no gap is seen more sharply than that.
    longest_look_ms: f64,
    logs: Balance,
}

/// What one look at the counters said.
struct Look {
    at: Instant,
    records: f64,
    applied: f64,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::read(&["json", "table", "events", "binary", "partitions"])?;
    let events = arguments.number("events", EVENTS)?.max(1);
    let partitions = arguments.number("partitions", PARTITIONS)?.max(1);
    let machine = Machine::look();
    say(&machine.to_string())?;
    let binary = engine::binary(arguments.text("binary"))?;
    say(&format!("engine: {}", binary.display()))?;
    let servers = Servers::start(Setting { partitions, store: false, ..Setting::default() })?;
    say(&format!("producing {events} events into {partitions} partitions"))?;
    let ledger = servers.produce(|index| index < events)?;

    let rules = fs::read_to_string(ten_rules())?;
    let mut engine = Engine::start(&binary, &servers)?;
    let (looks, written) = watch(&mut engine, &servers, &rules, events as f64)?;
    engine.drain(events as u64)?;
    let standstill = Standstill::read(&engine.get("/metrics")?);
    engine.stop()?;

    let logs = ledger.compare(&servers.places("logs")?)?;
    let gaps = Gaps::of(&looks);
    let seconds = looks
        .last()
        .zip(looks.first())
        .map_or(0.0, |(last, first)| (last.at - first.at).as_secs_f64());
    let results = Results {
        machine,
        binary: binary.display().to_string(),
        events,
        partitions,
        seconds,
        versions_written: written,
        reloads_applied: gaps.pauses.len(),
        longest_pause_ms: gaps.pauses.iter().copied().fold(0.0, f64::max),
        pauses_ms: gaps.pauses,
        longest_gap_elsewhere_ms: gaps.elsewhere,
        standstills: standstill.count,
        mean_standstill_ms: standstill.seconds * 1e3 / standstill.count.max(1.0),
        standstills_below_ms: standstill.below * 1e3,
        longest_look_ms: gaps.look,
        logs,
    };
    publish(&arguments, &results, &[table(&results)])?;
    let whole = Balance { rows: ledger.kept(), ..Balance::default() };
    ensure!(logs == whole, "the table holds every kept event once: {logs:?}, not {whole:?}");
    ensure!(results.reloads_applied > 0, "no reload fell into the run: give it more --events");
    Ok(())
}

fn table(results: &Results) -> Table {
    let title = format!(
        "Rules replaced at full load: {} events in {:.1} s, {} versions written, {} taken meanwhile:",
        results.events, results.seconds, results.versions_written, results.reloads_applied
    );
    let mut table = Table::new(title, &["", "ms"]);
    for (name, value) in [
        ("a worker's pause, by the engine's own count: mean", results.mean_standstill_ms),
        ("the same: all below", results.standstills_below_ms),
        ("counter of records still, around a reload", results.longest_pause_ms),
        ("counter of records still, elsewhere", results.longest_gap_elsewhere_ms),
        ("between two looks at most", results.longest_look_ms),
    ] {
        table.numbers(name, 2, &[value]);
    }
    table.numbers("workers went over, times", 0, &[results.standstills]);
    table.numbers("rows lost", 0, &[results.logs.lost as f64]);
    table.numbers("rows twice", 0, &[results.logs.duplicates as f64]);
    table
}

/// What `logmon_reload_pause_seconds` says.
struct Standstill {
    count: f64,
    seconds: f64,
    /// The first bucket that holds all observations.
    below: f64,
}

impl Standstill {
    fn read(page: &str) -> Self {
        let number = |line: &str| line.rsplit(' ').next().and_then(|text| text.parse::<f64>().ok());
        let find = |name: &str| {
            page.lines().find(|line| line.starts_with(name)).and_then(number).unwrap_or(0.0)
        };
        let count = find("logmon_reload_pause_seconds_count");
        let below = page
            .lines()
            .filter(|line| line.starts_with("logmon_reload_pause_seconds_bucket"))
            .filter(|line| number(line) == Some(count))
            .filter_map(|line| line.split("le=\"").nth(1)?.split('"').next()?.parse().ok())
            .fold(f64::INFINITY, f64::min);
        Self { count, seconds: find("logmon_reload_pause_seconds_sum"), below }
    }
}

/// Looks at the counters until all is read, and writes another version of the rules every now and then.
fn watch(
    engine: &mut Engine,
    servers: &Servers,
    rules: &str,
    events: f64,
) -> anyhow::Result<(Vec<Look>, usize)> {
    let mut looks: Vec<Look> = Vec::new();
    let (mut written, mut next) = (0, None);
    let started = Instant::now();
    loop {
        engine.check()?;
        let page = engine.get("/metrics")?;
        let sum = |name: &str, label: &str| -> f64 {
            let lines = page.lines().filter(|line| line.starts_with(name) && line.contains(label));
            lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
        };
        let at = Instant::now();
        let look = Look {
            at,
            records: sum("logmon_source_records_total{", ""),
            applied: sum("logmon_reloads_total{", "applied"),
        };
        let records = look.records;
        if records > 0.0 {
            looks.push(look);
            let due = *next.get_or_insert(at + EVERY);
            // What is written at the end would be taken when nothing flows any more.
            if at >= due && records < events {
                written += 1;
                servers.rules(&version(rules, written)?)?;
                next = Some(at + EVERY);
            }
        }
        if records >= events {
            return Ok((looks, written));
        }
        ensure!(
            looks.last().map_or(started, |look| look.at).elapsed() < PATIENCE,
            "{}\nnothing is read",
            engine.said()
        );
        std::thread::park_timeout(LOOK);
    }
}

/// The rules with another tag, so that each version is a new program with the same fates.
fn version(rules: &str, number: usize) -> anyhow::Result<String> {
    let (head, tail) = rules.split_once("tag \"network\"").context("the rules set the tag")?;
    Ok(format!("{head}tag \"network_{number}\"{tail}"))
}

/// Times in which nothing was worked off.
struct Gaps {
    pauses: Vec<f64>,
    elsewhere: f64,
    look: f64,
}

impl Gaps {
    fn of(looks: &[Look]) -> Self {
        let reloads: Vec<Instant> = looks
            .windows(2)
            .filter(|pair| pair[1].applied > pair[0].applied)
            .map(|pair| pair[1].at)
            .collect();
        let millis = |from: Instant, to: Instant| (to - from).as_secs_f64() * 1000.0;
        let look = looks.windows(2).map(|pair| millis(pair[0].at, pair[1].at)).fold(0.0, f64::max);
        // From each look that saw progress to the next one that did.
        let moved: Vec<Instant> = looks
            .windows(2)
            .filter(|pair| pair[1].records > pair[0].records)
            .map(|pair| pair[1].at)
            .collect();
        let mut pauses = vec![0.0_f64; reloads.len()];
        let mut elsewhere = 0.0_f64;
        for pair in moved.windows(2) {
            let gap = millis(pair[0], pair[1]);
            let near =
                reloads.iter().position(|&at| pair[1] + AROUND >= at && pair[0] <= at + AROUND);
            match near {
                Some(reload) => pauses[reload] = pauses[reload].max(gap),
                None => elsewhere = elsewhere.max(gap),
            }
        }
        Self { pauses, elsewhere, look }
    }
}
