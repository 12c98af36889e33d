//! Memory and cost against the size of the backlog: `cargo bench -p logmon-benches --bench backlog -- --json FILE`.
//!
//! One topic grows from size to size; each size is worked off from its beginning by a new engine in a group of its own, into empty tables.

use std::{path::Path, time::Instant};

use anyhow::{Context as _, ensure};
use logmon_benches::{
    arguments::Arguments,
    engine::{self, Engine},
    ledger::Balance,
    machine::Machine,
    report::{Table, publish, say},
    servers::{Servers, Setting, Stream},
};
use serde::Serialize;

#[derive(Serialize)]
struct Results {
    machine: Machine,
    binary: String,
    partitions: usize,
    codec: String,
    stored: bool,
    sizes: Vec<Size>,
    /// The largest backlog's engine CPU an event, over that of the second smallest: 1 is flat. The smallest is mostly the start.
    cost_times: f64,
}

#[derive(Serialize)]
struct Size {
    events: usize,
    seconds_from_first: f64,
    events_per_second: f64,
    engine_cpu_seconds: f64,
    /// The start of the process not counted: what an engine with nothing to read uses until it has its partitions.
    engine_cpu_ns_per_event: f64,
    engine_peak_mib: f64,
    lost: usize,
    duplicates: usize,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::read(&[
        "json",
        "table",
        "binary",
        "sizes",
        "partitions",
        "codec",
        "store",
        "engine",
    ])?;
    let sizes = arguments.numbers("sizes", "10000,100000,1000000,10000000")?;
    ensure!(sizes.is_sorted() && sizes.first() > Some(&0), "--sizes grow: the topic does");
    let stored = arguments.text("store") != Some("no");
    let machine = Machine::look();
    say(&machine.to_string())?;
    let binary = engine::binary(arguments.text("binary"))?;
    say(&format!("engine: {}", binary.display()))?;
    let setting = Setting {
        partitions: arguments.number("partitions", 4)?.max(1),
        codec: arguments.text("codec").unwrap_or("lz4").to_owned(),
        engine: arguments.text("engine").unwrap_or_default().to_owned(),
        store: stored,
        ..Setting::default()
    };
    let mut servers = Servers::start(setting.clone())?;
    let mut stream = Stream::new(setting.partitions, setting.keeping);
    let start = start_cpu(&binary, &mut servers)?;
    say(&format!("starting takes {start:.2} CPU s"))?;
    let mut measured = Vec::new();
    for (number, &events) in sizes.iter().enumerate() {
        say(&format!("producing up to {events} events"))?;
        stream.produce(&servers.producer(20)?, |index| index < events)?;
        servers.again(&format!("backlog-{number}"))?;
        measured.push(work_off(&binary, &servers, &stream, events, start)?);
    }
    let (first, last) =
        measured.get(1).or(measured.first()).zip(measured.last()).context("there is a size")?;
    let results = Results {
        machine,
        binary: binary.display().to_string(),
        partitions: setting.partitions,
        codec: setting.codec,
        stored,
        cost_times: last.engine_cpu_ns_per_event / first.engine_cpu_ns_per_event,
        sizes: measured,
    };
    publish(&arguments, &results, &[table(&results)])
}

/// CPU seconds that an engine uses until it has its partitions and found them empty.
fn start_cpu(binary: &Path, servers: &mut Servers) -> anyhow::Result<f64> {
    servers.again("empty")?;
    let engine = Engine::start(binary, servers)?;
    std::thread::sleep(std::time::Duration::from_secs(4));
    let used = engine.cpu_seconds();
    engine.stop()?;
    Ok(used)
}

fn work_off(
    binary: &Path,
    servers: &Servers,
    stream: &Stream,
    events: usize,
    start: f64,
) -> anyhow::Result<Size> {
    let started = Instant::now();
    let mut engine = Engine::start(binary, servers)?;
    let drained = engine.drain(events as u64)?;
    let seconds = drained.first.elapsed().as_secs_f64();
    let (cpu, peak) = (engine.cpu_seconds(), engine.peak_mib());
    engine.stop()?;
    say(&format!(
        "{events} events in {:.1} s, {cpu:.2} CPU s, {peak:.0} MiB",
        started.elapsed().as_secs_f64()
    ))?;
    let logs = stream.ledger.compare(&servers.places("logs")?)?;
    ensure!(
        logs == (Balance { rows: stream.ledger.kept(), ..Balance::default() }),
        "the table holds every kept event once: {logs:?}, not {} rows",
        stream.ledger.kept()
    );
    Ok(Size {
        events,
        seconds_from_first: seconds,
        events_per_second: events as f64 / seconds,
        engine_cpu_seconds: cpu,
        engine_cpu_ns_per_event: (cpu - start).max(0.0) * 1e9 / events as f64,
        engine_peak_mib: peak,
        lost: logs.lost,
        duplicates: logs.duplicates,
    })
}

fn table(results: &Results) -> Table {
    let title = format!(
        "By size of the backlog, {} partitions, {}, rows {}; engine CPU an event at the largest is {:.2} times that at the second size:",
        results.partitions,
        results.codec,
        if results.stored { "stored" } else { "not stored, but for their places" },
        results.cost_times,
    );
    let mut table = Table::new(
        title,
        &["events", "peak MiB", "engine CPU ns an event", "events/s", "lost", "twice"],
    );
    for size in &results.sizes {
        table.row(
            size.events.to_string(),
            [
                format!("{:.0}", size.engine_peak_mib),
                format!("{:.0}", size.engine_cpu_ns_per_event),
                format!("{:.0}", size.events_per_second),
                size.lost.to_string(),
                size.duplicates.to_string(),
            ],
        );
    }
    table
}
