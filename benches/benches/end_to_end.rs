//! From a backlog in a real Kafka to rows in a real ClickHouse: `cargo bench -p logmon-benches --bench end_to_end -- --json FILE`.

use std::time::{Duration, Instant};

use anyhow::ensure;
use logmon_benches::{
    arguments::Arguments,
    engine::{self, Engine, Events},
    ledger::Balance,
    machine::Machine,
    process,
    report::{say, write},
    servers::{Servers, Setting},
};
use serde::Serialize;

const EVENTS: usize = 1_000_000;
const PARTITIONS: usize = 4;
/// How often the engine is asked how far it is: each answer costs it something.
const ASK: Duration = Duration::from_millis(100);
/// No progress for so long means that something is wrong.
const PATIENCE: Duration = Duration::from_mins(1);
/// Merges go on after the last insert; so long is waited for the server to be done.
const MERGES: Duration = Duration::from_mins(2);

#[derive(Serialize)]
struct Results {
    machine: Machine,
    binary: String,
    events: usize,
    partitions: usize,
    codec: String,
    compression: String,
    /// From the start of the process to the last row confirmed.
    seconds: f64,
    /// The same from the first record read.
    seconds_from_first: f64,
    events_per_second: f64,
    engine_cpu_seconds: f64,
    engine_cpu_seconds_per_million: f64,
    events_per_engine_cpu_second: f64,
    engine_peak_mib: f64,
    kafka_cpu_seconds_per_million: f64,
    clickhouse_cpu_seconds_per_million: f64,
    /// With the merges that came after.
    clickhouse_cpu_seconds_per_million_merged: f64,
    rows: usize,
    rows_per_event: f64,
    logs: Balance,
    errors_rows: usize,
    errors_duplicates: usize,
    engine_said: Events,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::read(&[
        "json",
        "events",
        "binary",
        "partitions",
        "codec",
        "compression",
        "engine",
    ])?;
    let events = arguments.number("events", EVENTS)?.max(1);
    let partitions = arguments.number("partitions", PARTITIONS)?.max(1);
    let codec = arguments.text("codec").unwrap_or("lz4").to_owned();
    let compression = arguments.text("compression").unwrap_or("lz4").to_owned();
    let lines = arguments.text("engine").unwrap_or_default().to_owned();
    let machine = Machine::look();
    say(&machine.to_string())?;

    let binary = engine::binary(arguments.text("binary"))?;
    say(&format!("engine: {}", binary.display()))?;
    let setting = Setting {
        partitions,
        codec: codec.clone(),
        compression: compression.clone(),
        engine: lines,
        store: true,
    };
    let servers = Servers::start(setting)?;
    say(&format!("producing {events} events into {partitions} partitions ({codec})"))?;
    let ledger = servers.produce(|index| index < events)?;

    let pids = (servers.kafka.pid().unwrap_or(0), servers.clickhouse.pid().unwrap_or(0));
    let before = (process::cpu_seconds(pids.0), process::cpu_seconds(pids.1));
    let start = Instant::now();
    let mut engine = Engine::start(&binary, &servers)?;
    let (said, first) = drained(&mut engine, events as u64)?;
    let seconds = start.elapsed().as_secs_f64();
    let seconds_from_first = first.elapsed().as_secs_f64();
    let (engine_cpu, peak) = (engine.cpu_seconds(), engine.peak_mib());
    let (kafka_cpu, clickhouse_cpu) =
        (process::cpu_seconds(pids.0) - before.0, process::cpu_seconds(pids.1) - before.1);
    engine.stop()?;
    let committed = servers.committed()?;
    settle(&servers)?;
    let merged_cpu = process::cpu_seconds(pids.1) - before.1;

    let logs = ledger.compare(&servers.places("logs")?)?;
    let errors = ledger.compare(&servers.places("errors")?)?;
    let million = events as f64 / 1e6;
    let rows = logs.rows + errors.rows;
    let results = Results {
        machine,
        binary: binary.display().to_string(),
        events,
        partitions,
        codec,
        compression,
        seconds,
        seconds_from_first,
        events_per_second: events as f64 / seconds,
        engine_cpu_seconds: engine_cpu,
        engine_cpu_seconds_per_million: engine_cpu / million,
        events_per_engine_cpu_second: events as f64 / engine_cpu,
        engine_peak_mib: peak,
        kafka_cpu_seconds_per_million: kafka_cpu / million,
        clickhouse_cpu_seconds_per_million: clickhouse_cpu / million,
        clickhouse_cpu_seconds_per_million_merged: merged_cpu / million,
        rows,
        rows_per_event: rows as f64 / events as f64,
        logs,
        errors_rows: errors.rows,
        errors_duplicates: errors.duplicates,
        engine_said: said,
    };
    print(&results)?;
    write(arguments.text("json"), &results)?;
    let whole = Balance { rows: ledger.kept(), ..Balance::default() };
    ensure!(logs == whole, "the table holds every kept event once: {logs:?}, not {whole:?}");
    ensure!(
        committed == events as i64,
        "no record is left to read: {committed} of {events} are committed"
    );
    ensure!(errors.duplicates == 0 && errors.uncalled == 0, "the copies are right: {errors:?}");
    ensure!(
        said.read == said.delivered + said.dropped + said.dead_lettered
            && said.delivered == ledger.kept() as u64,
        "the engine's own books agree: {said:?}"
    );
    Ok(())
}

/// Waits until every event has its fate: every row confirmed. Returns what the engine says then, and when it read its first record.
fn drained(engine: &mut Engine, events: u64) -> anyhow::Result<(Events, Instant)> {
    let mut first = None;
    let mut last = (Events::default(), Instant::now());
    loop {
        engine.check()?;
        let said = engine.events()?;
        if said.read > 0 {
            first.get_or_insert_with(Instant::now);
        }
        if said.read >= events && said.open == 0 {
            return Ok((said, first.unwrap_or(last.1)));
        }
        if said.read != last.0.read || said.open != last.0.open {
            last = (said, Instant::now());
        }
        ensure!(last.1.elapsed() < PATIENCE, "{}\nnothing moves: {said:?}", engine.said());
        std::thread::park_timeout(ASK);
    }
}

fn settle(servers: &Servers) -> anyhow::Result<()> {
    let start = Instant::now();
    let mut quiet = 0;
    while quiet < 20 && start.elapsed() < MERGES {
        quiet = if servers.merges()? == 0 { quiet + 1 } else { 0 };
        std::thread::park_timeout(ASK);
    }
    Ok(())
}

fn print(results: &Results) -> anyhow::Result<()> {
    let lines = [
        ("events a second, from the start of the process", results.events_per_second),
        ("the same, from the first record", results.events as f64 / results.seconds_from_first),
        ("events an engine CPU second", results.events_per_engine_cpu_second),
        ("engine CPU s a million events", results.engine_cpu_seconds_per_million),
        ("Kafka CPU s a million events", results.kafka_cpu_seconds_per_million),
        ("ClickHouse CPU s a million events", results.clickhouse_cpu_seconds_per_million),
        (
            "the same, with the merges that followed",
            results.clickhouse_cpu_seconds_per_million_merged,
        ),
        ("engine peak memory, MiB", results.engine_peak_mib),
        ("rows", results.rows as f64),
        ("rows lost", results.logs.lost as f64),
        ("rows twice", (results.logs.duplicates + results.errors_duplicates) as f64),
    ];
    for (name, value) in lines {
        say(&format!("{name:<48} {value:>12.2}"))?;
    }
    Ok(())
}
