//! Two lanes on two cores against one: `cargo bench -p logmon-benches --bench scaling -- --json FILE`.
//!
//! First in this process, with a worker's stages alone; then with the real engine, one worker thread and two, over tables that store places alone.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use std::{path::Path, sync::Barrier, time::Instant};

use anyhow::{anyhow, ensure};
use logmon_benches::{
    arguments::Arguments,
    engine::{self, Engine},
    events::events,
    figures::{Figure, Summary},
    ledger::Balance,
    machine::Machine,
    program::{Bound, bound, ten_rules},
    report::{Table, publish, say},
    servers::{Servers, Setting, Stream},
    stages::Desk,
};
use logmon_engine::sink::clickhouse::Compression;
use serde::Serialize;

/// Each lane has as many.
const EVENTS: usize = 100_000;
const ROUNDS: usize = 9;
/// For the real engine.
const BACKLOG: usize = 2_000_000;
const RUNS: usize = 3;
const SEED: u64 = 20_261_121;

#[derive(Serialize)]
struct Results {
    machine: Machine,
    rounds: usize,
    /// Events a second by the clock.
    one_lane: Summary,
    two_lanes: Summary,
    /// Two lanes over one, round by round.
    times: Summary,
    engine: Option<RealEngine>,
}

#[derive(Serialize)]
struct RealEngine {
    binary: String,
    events: usize,
    one_worker: Workers,
    two_workers: Workers,
    times: f64,
}

#[derive(Serialize)]
struct Workers {
    events_per_second: Summary,
    cpu_ns_per_event: Summary,
}

fn main() -> anyhow::Result<()> {
    let arguments =
        Arguments::read(&["json", "table", "events", "rounds", "backlog", "runs", "binary"])?;
    let count = arguments.number("events", EVENTS)?.max(1);
    let rounds = arguments.number("rounds", ROUNDS)?.max(1);
    let backlog = arguments.number("backlog", BACKLOG)?;
    let runs = arguments.number("runs", RUNS)?.max(1);
    let machine = Machine::look();
    say(&machine.to_string())?;
    ensure!(machine.cores >= 2, "two lanes need two cores");

    let bound = bound(&ten_rules())?;
    let lanes = [events(count, SEED), events(count, SEED + 1)];
    let (mut one, mut two, mut times) = (Figure::default(), Figure::default(), Figure::default());
    for round in 0..=rounds {
        let alone = walk(&bound, &lanes[..1])?;
        let both = walk(&bound, &lanes)?;
        // The first round takes memory from the system.
        if round > 0 {
            one.add(count as f64 / alone);
            two.add(2.0 * count as f64 / both);
            times.add(2.0 * alone / both);
        }
    }
    let engine = if backlog > 0 {
        let binary = engine::binary(arguments.text("binary"))?;
        Some(real(&binary, backlog, runs)?)
    } else {
        None
    };
    let results = Results {
        machine,
        rounds,
        one_lane: one.summary(),
        two_lanes: two.summary(),
        times: times.summary(),
        engine,
    };
    publish(&arguments, &results, &[table(&results)])
}

/// Seconds by the clock until every lane has walked over its events, each on a thread of its own, its desk warm.
fn walk(bound: &Bound, lanes: &[Vec<String>]) -> anyhow::Result<f64> {
    let barrier = Barrier::new(lanes.len());
    let times = std::thread::scope(|scope| {
        let walks: Vec<_> = lanes
            .iter()
            .map(|events| {
                let barrier = &barrier;
                scope.spawn(move || {
                    let mut desk = Desk::new(bound, events);
                    let (_, first) = desk.walk(events, Compression::Lz4);
                    barrier.wait();
                    let start = Instant::now();
                    let (_, second) = desk.walk(events, Compression::Lz4);
                    let end = Instant::now();
                    // No lane may let go of its memory while another one is measured.
                    barrier.wait();
                    (start, end, first == second)
                })
            })
            .collect();
        walks.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Result<Vec<_>, _>>()
    })
    .map_err(|_| anyhow!("a lane panicked"))?;
    ensure!(times.iter().all(|time| time.2), "every walk makes the same rows");
    let start = times.iter().map(|time| time.0).min();
    let end = times.iter().map(|time| time.1).max();
    Ok(start.zip(end).map_or(0.0, |(start, end)| (end - start).as_secs_f64()))
}

fn real(binary: &Path, events: usize, runs: usize) -> anyhow::Result<RealEngine> {
    say(&format!("engine: {}", binary.display()))?;
    let mut servers =
        Servers::start(Setting { partitions: 2, store: false, ..Setting::default() })?;
    say(&format!("producing {events} events into 2 partitions"))?;
    let mut stream = Stream::new(2);
    stream.produce(&servers.producer(20)?, |index| index < events)?;
    let mut measured = [(Figure::default(), Figure::default()), Default::default()];
    for run in 0..runs {
        for threads in [1, 2] {
            servers.setting.engine = format!("threads = {threads}");
            servers.again(&format!("scaling-{run}-{threads}"))?;
            let mut engine = Engine::start(binary, &servers)?;
            let drained = engine.drain(events as u64)?;
            let seconds = drained.first.elapsed().as_secs_f64();
            let cpu = engine.cpu_seconds();
            engine.stop()?;
            let logs = stream.ledger.compare(&servers.places("logs")?)?;
            ensure!(
                logs == (Balance { rows: stream.ledger.kept(), ..Balance::default() }),
                "every kept event has one row: {logs:?}, not {} rows",
                stream.ledger.kept()
            );
            let (rate, cost) = &mut measured[threads - 1];
            rate.add(events as f64 / seconds);
            cost.add(cpu * 1e9 / events as f64);
        }
    }
    let [one, two] = measured.map(|(rate, cost)| Workers {
        events_per_second: rate.summary(),
        cpu_ns_per_event: cost.summary(),
    });
    Ok(RealEngine {
        binary: binary.display().to_string(),
        events,
        times: two.events_per_second.median / one.events_per_second.median,
        one_worker: one,
        two_workers: two,
    })
}

fn table(results: &Results) -> Table {
    let mut table = Table::new(
        format!("One lane and two on {} cores (medians):", results.machine.cores),
        &["", "one", "two", "times"],
    );
    let mut row = |name: &str, one: f64, two: f64, times: f64| {
        table.row(name, [format!("{one:.0}"), format!("{two:.0}"), format!("{times:.2}")]);
    };
    row(
        "a worker's stages in one process, events/s",
        results.one_lane.median,
        results.two_lanes.median,
        results.times.median,
    );
    if let Some(engine) = &results.engine {
        let (one, two) = (&engine.one_worker, &engine.two_workers);
        row(
            "the engine beside Kafka and ClickHouse, events/s by worker threads",
            one.events_per_second.median,
            two.events_per_second.median,
            engine.times,
        );
        row(
            "the same, engine CPU ns an event",
            one.cpu_ns_per_event.median,
            two.cpu_ns_per_event.median,
            two.cpu_ns_per_event.median / one.cpu_ns_per_event.median,
        );
    }
    table
}
