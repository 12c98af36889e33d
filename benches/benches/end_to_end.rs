//! From a backlog in a real Kafka to rows in a real ClickHouse: `cargo bench -p logmon-benches --bench end_to_end -- --matrix full --json FILE`.

use std::time::Instant;

use anyhow::ensure;
use logmon_benches::{
    arguments::Arguments,
    engine::{self, Engine, Events},
    ledger::{Balance, Keeping},
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
    rules: String,
    delivery: String,
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
        "rules",
        "delivery",
        "runs",
    ])?;
    let events = arguments.number("events", EVENTS)?.max(1);
    let machine = Machine::look();
    say(&machine.to_string())?;
    let binary = engine::binary(arguments.text("binary"))?;
    say(&format!("engine: {}", binary.display()))?;
    let mut runs = Vec::new();
    let settings = settings(&arguments)?;
    // One after the other, then all of them once more: what changes on the machine meanwhile falls on all alike.
    for _ in 0..arguments.number("runs", 1)?.max(1) {
        for (delivery, setting) in &settings {
            runs.push(run(&binary, delivery, setting.clone(), events)?);
        }
    }
    let results = Results { machine, binary: binary.display().to_string(), events, runs };
    publish(&arguments, &results, &[table(&results)])?;
    results.runs.iter().try_for_each(|run| run.check(events))
}

/// What the lists on the command line make together, each with how rows are delivered; `--matrix full` is partitions by codecs, and beside it the
/// ways to compress blocks, fewer rows an event, and exactly-once.
fn settings(arguments: &Arguments) -> anyhow::Result<Vec<(String, Setting)>> {
    let matrix = match arguments.text("matrix") {
        None => false,
        Some("full") => true,
        Some(other) => anyhow::bail!("--matrix is `full` or left out, not `{other}`"),
    };
    let partitions = arguments.numbers("partitions", if matrix { "1,4" } else { "4" })?;
    let codecs = arguments.list("codec", if matrix { "lz4,zstd,none" } else { "lz4" });
    let compressions = arguments.list("compression", "lz4");
    let rules = arguments.list("rules", "ten");
    let deliveries = arguments.list("delivery", AT_LEAST_ONCE);
    let of = |partitions: usize, codec: &str, compression: &str, rules: &str, delivery: &str| {
        let sink = arguments.text("sink").unwrap_or_default();
        let setting = Setting {
            partitions: partitions.max(1),
            codec: codec.to_owned(),
            compression: compression.to_owned(),
            engine: arguments.text("engine").unwrap_or_default().to_owned(),
            sink: format!("{sink}\ndelivery = \"{delivery}\""),
            store: true,
            keeping: keeping(rules)?,
        };
        anyhow::Ok((delivery.to_owned(), setting))
    };
    let mut settings = Vec::new();
    for &partitions in &partitions {
        for codec in &codecs {
            for compression in &compressions {
                for rules in &rules {
                    for delivery in &deliveries {
                        settings.push(of(partitions, codec, compression, rules, delivery)?);
                    }
                }
            }
        }
    }
    if matrix {
        settings.push(of(4, "lz4", "none", "ten", AT_LEAST_ONCE)?);
        settings.push(of(4, "lz4", "zstd", "ten", AT_LEAST_ONCE)?);
        for partitions in [1, 4] {
            settings.push(of(partitions, "lz4", "lz4", "fewer", AT_LEAST_ONCE)?);
            settings.push(of(partitions, "lz4", "lz4", "ten", EXACTLY_ONCE)?);
        }
    }
    Ok(settings)
}

const AT_LEAST_ONCE: &str = "at-least-once";
const EXACTLY_ONCE: &str = "exactly-once";

fn keeping(rules: &str) -> anyhow::Result<Keeping> {
    match rules {
        "ten" => Ok(Keeping::Ten),
        "fewer" => Ok(Keeping::Fewer),
        other => anyhow::bail!("--rules are `ten` or `fewer`, not `{other}`"),
    }
}

fn run(
    binary: &std::path::Path,
    delivery: &str,
    setting: Setting,
    events: usize,
) -> anyhow::Result<Run> {
    let Setting { partitions, codec, compression, keeping, .. } = setting.clone();
    let rules = if keeping == Keeping::Ten { "ten" } else { "fewer" };
    let servers = Servers::start(setting)?;
    say(&format!(
        "producing {events} events into {partitions} partitions ({codec}); blocks {compression}, rules {rules}, {delivery}"
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
        rules: rules.to_owned(),
        delivery: delivery.to_owned(),
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
    fn name(&self) -> String {
        let Self { partitions, codec, compression, rules, delivery, .. } = self;
        let rules = if rules == "ten" { "" } else { ", fewer rows" };
        let delivery = if delivery == AT_LEAST_ONCE { "" } else { ", exactly once" };
        format!("{partitions}, {codec}, {compression}{rules}{delivery}")
    }

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

/// Of each setting the run whose speed is in the middle, in the order in which settings came first.
fn medians(runs: &[Run]) -> Vec<&Run> {
    let mut by_name: Vec<(String, Vec<&Run>)> = Vec::new();
    for run in runs {
        let name = run.name();
        match by_name.iter_mut().find(|(known, _)| *known == name) {
            Some((_, of_name)) => of_name.push(run),
            None => by_name.push((name, vec![run])),
        }
    }
    by_name
        .into_iter()
        .map(|(_, mut of_name)| {
            of_name.sort_by(|a, b| a.events_per_second.total_cmp(&b.events_per_second));
            of_name[of_name.len() / 2]
        })
        .collect()
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
            "rows an event",
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
    for run in medians(&results.runs) {
        let cpu = run.servers_cpu_seconds_per_million;
        let merged = run.clickhouse_cpu_seconds_per_million_merged;
        table.row(
            run.name(),
            [
                format!("{:.2}", run.rows_per_event),
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
