//! From a backlog in a real Kafka to rows in a real ClickHouse: `cargo bench -p logmon-benches --bench end_to_end -- --matrix full --json FILE`.

use std::time::Instant;

use anyhow::ensure;
use logmon_benches::{
    arguments::Arguments,
    engine::{self, Engine, Events},
    ledger::Balance,
    machine::Machine,
    report::{Table, publish, say},
    servers::{ServerCpu, Servers, Setting},
};
use serde::Serialize;

const EVENTS: usize = 1_000_000;

#[derive(Serialize)]
struct Results {
    machine: Machine,
    binary: String,
    events: usize,
    runs: Vec<Run>,
}

#[derive(Serialize)]
struct Run {
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
    /// What the servers use when nobody asks anything, CPU seconds a second; not in the figures below.
    idle: ServerCpu,
    /// Up to the last row.
    servers_cpu_seconds_per_million: ServerCpu,
    /// With the merges that came after.
    clickhouse_cpu_seconds_per_million_merged: f64,
    rows: usize,
    rows_per_event: f64,
    logs: Balance,
    errors: Balance,
    engine_said: Events,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::read(&[
        "json",
        "table",
        "events",
        "binary",
        "partitions",
        "codec",
        "compression",
        "engine",
        "sink",
        "matrix",
    ])?;
    let events = arguments.number("events", EVENTS)?.max(1);
    let machine = Machine::look();
    say(&machine.to_string())?;
    let binary = engine::binary(arguments.text("binary"))?;
    say(&format!("engine: {}", binary.display()))?;
    let mut runs = Vec::new();
    for setting in settings(&arguments)? {
        runs.push(run(&binary, setting, events)?);
    }
    let results = Results { machine, binary: binary.display().to_string(), events, runs };
    publish(&arguments, &results, &[table(&results)])?;
    results.runs.iter().try_for_each(|run| run.check(events))
}

/// What the lists on the command line make together; `--matrix full` is partitions by codecs, and beside it the ways to compress blocks.
fn settings(arguments: &Arguments) -> anyhow::Result<Vec<Setting>> {
    let matrix = match arguments.text("matrix") {
        None => false,
        Some("full") => true,
        Some(other) => anyhow::bail!("--matrix is `full` or left out, not `{other}`"),
    };
    let partitions = arguments.numbers("partitions", if matrix { "1,4" } else { "4" })?;
    let codecs = arguments.list("codec", if matrix { "lz4,zstd,none" } else { "lz4" });
    let compressions = arguments.list("compression", "lz4");
    let of = |partitions: usize, codec: &str, compression: &str| Setting {
        partitions: partitions.max(1),
        codec: codec.to_owned(),
        compression: compression.to_owned(),
        engine: arguments.text("engine").unwrap_or_default().to_owned(),
        sink: arguments.text("sink").unwrap_or_default().to_owned(),
        store: true,
    };
    let mut settings = Vec::new();
    for &partitions in &partitions {
        for codec in &codecs {
            settings
                .extend(compressions.iter().map(|compression| of(partitions, codec, compression)));
        }
    }
    if matrix {
        settings.extend(["none", "zstd"].map(|compression| of(4, "lz4", compression)));
    }
    Ok(settings)
}

fn run(binary: &std::path::Path, setting: Setting, events: usize) -> anyhow::Result<Run> {
    let Setting { partitions, codec, compression, .. } = setting.clone();
    let servers = Servers::start(setting)?;
    say(&format!(
        "producing {events} events into {partitions} partitions ({codec}); blocks {compression}"
    ))?;
    let ledger = servers.produce(|index| index < events)?;
    let idle = servers.idle();

    let before = servers.cpu();
    let start = Instant::now();
    let mut engine = Engine::start(binary, &servers)?;
    let drained = engine.drain(events as u64)?;
    let seconds = start.elapsed().as_secs_f64();
    let seconds_from_first = drained.first.elapsed().as_secs_f64();
    let (engine_cpu, engine_peak_mib) = (engine.cpu_seconds(), engine.peak_mib());
    let spent = servers.cpu().since(before, idle, seconds);
    engine.stop()?;
    let committed = servers.committed()?;
    ensure!(
        committed == events as i64,
        "no record is left to read: {committed} of {events} are committed"
    );
    servers.settle()?;
    let merged = servers.cpu().since(before, idle, start.elapsed().as_secs_f64());

    let logs = ledger.compare(&servers.places("logs")?)?;
    let errors = ledger.compare(&servers.places("errors")?)?;
    ensure!(
        logs == (Balance { rows: ledger.kept(), ..Balance::default() }),
        "the table holds every kept event once: {logs:?}, not {} rows",
        ledger.kept()
    );
    let million = events as f64 / 1e6;
    Ok(Run {
        partitions,
        codec,
        compression,
        seconds,
        seconds_from_first,
        events_per_second: events as f64 / seconds_from_first,
        engine_cpu_seconds: engine_cpu,
        engine_cpu_seconds_per_million: engine_cpu / million,
        events_per_engine_cpu_second: events as f64 / engine_cpu,
        engine_peak_mib,
        idle,
        servers_cpu_seconds_per_million: ServerCpu {
            kafka: spent.kafka / million,
            clickhouse: spent.clickhouse / million,
        },
        clickhouse_cpu_seconds_per_million_merged: merged.clickhouse / million,
        rows: logs.rows + errors.rows,
        rows_per_event: (logs.rows + errors.rows) as f64 / events as f64,
        logs,
        errors,
        engine_said: drained.events,
    })
}

impl Run {
    fn check(&self, events: usize) -> anyhow::Result<()> {
        let Self { errors, engine_said: said, .. } = self;
        ensure!(errors.duplicates == 0 && errors.uncalled == 0, "the copies are right: {errors:?}");
        ensure!(
            said.read == events as u64
                && said.read == said.delivered + said.dropped + said.dead_lettered
                && said.delivered == self.logs.rows as u64,
            "the engine's own books agree: {said:?}"
        );
        Ok(())
    }
}

fn table(results: &Results) -> Table {
    let title = format!(
        "End to end, {} events, acknowledged inserts into the shipped tables; CPU is s a million events, the servers' less what they use idle:",
        results.events
    );
    let mut table = Table::new(
        title,
        &[
            "partitions, Kafka, blocks",
            "events/s",
            "events/engine CPU s",
            "engine CPU",
            "Kafka CPU",
            "ClickHouse CPU",
            "with merges",
            "per row, merged µs",
            "peak MiB",
            "lost",
            "twice",
        ],
    );
    for run in &results.runs {
        let cpu = run.servers_cpu_seconds_per_million;
        let merged = run.clickhouse_cpu_seconds_per_million_merged;
        table.row(
            format!("{}, {}, {}", run.partitions, run.codec, run.compression),
            [
                format!("{:.0}", run.events_per_second),
                format!("{:.0}", run.events_per_engine_cpu_second),
                format!("{:.2}", run.engine_cpu_seconds_per_million),
                format!("{:.2}", cpu.kafka),
                format!("{:.2}", cpu.clickhouse),
                format!("{merged:.2}"),
                format!("{:.2}", merged / run.rows_per_event),
                format!("{:.0}", run.engine_peak_mib),
                run.logs.lost.to_string(),
                (run.logs.duplicates + run.errors.duplicates).to_string(),
            ],
        );
    }
    if let Some(run) = results.runs.last() {
        let idle = run.idle;
        table.row(
            format!(
                "idle CPU s a second: Kafka {:.3}, ClickHouse {:.3}",
                idle.kafka, idle.clickhouse
            ),
            [],
        );
    }
    table
}
