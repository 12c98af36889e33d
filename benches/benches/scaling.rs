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
    ledger::{Balance, Keeping},
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
    /// The least disturbed rounds alone: other work on the machine makes a round slower and never faster.
    times_undisturbed: f64,
    /// The same for two threads that share nothing, in the same rounds: what this machine's two cores give at most.
    control: Control,
    engine: Option<RealEngine>,
}

#[derive(Serialize)]
struct Control {
    one_thread: Summary,
    two_threads: Summary,
    times: Summary,
    times_undisturbed: f64,
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
    let (mut ours, mut control) = (Rates::default(), Rates::default());
    for round in 0..=rounds {
        let lane = |lanes: &[Vec<String>]| walk(&bound, lanes);
        let (alone, both) = (lane(&lanes[..1])?, lane(&lanes)?);
        let (alone_plain, both_plain) = (plain(&lanes[..1])?, plain(&lanes)?);
        // The first round takes memory from the system.
        if round > 0 {
            ours.add(count, alone, both);
            control.add(count, alone_plain, both_plain);
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
        one_lane: ours.one.summary(),
        two_lanes: ours.two.summary(),
        times: ours.times.summary(),
        times_undisturbed: ours.undisturbed(),
        control: Control {
            one_thread: control.one.summary(),
            two_threads: control.two.summary(),
            times: control.times.summary(),
            times_undisturbed: control.undisturbed(),
        },
        engine,
    };
    publish(&arguments, &results, &[table(&results)])
}

/// Events a second of one thread and of two, round by round.
#[derive(Default)]
struct Rates {
    one: Figure,
    two: Figure,
    times: Figure,
}

impl Rates {
    /// Adds a round: what one thread took for `count` events, and what two took for as many each.
    fn add(&mut self, count: usize, alone: f64, both: f64) {
        self.one.add(count as f64 / alone);
        self.two.add(2.0 * count as f64 / both);
        self.times.add(2.0 * alone / both);
    }

    /// Two over one in the fastest round of each. The fastest has most events a second.
    fn undisturbed(&self) -> f64 {
        self.two.summary().most / self.one.summary().most
    }
}

/// Seconds by the clock until every lane has walked over its events, each on a thread of its own, its desk warm.
fn walk(bound: &Bound, lanes: &[Vec<String>]) -> anyhow::Result<f64> {
    side_by_side(
        lanes,
        |events| {
            let mut desk = Desk::new(bound, events);
            let (_, rows) = desk.walk(events, Compression::Lz4);
            (desk, rows)
        },
        |(desk, rows), events| desk.walk(events, Compression::Lz4).1 == *rows,
    )
}

/// The same for threads that parse and print their events and share nothing but the allocator.
fn plain(lanes: &[Vec<String>]) -> anyhow::Result<f64> {
    let parse = |events: &[String]| -> usize {
        let print = |event: &String| {
            serde_json::from_str::<serde_json::Value>(event).map_or(0, |it| it.to_string().len())
        };
        events.iter().map(print).sum()
    };
    side_by_side(lanes, |events| parse(events), |bytes, events| parse(events) == *bytes)
}

/// Seconds by the clock from the moment when every thread is warm until the last one has done its work again, which says whether it came to the same.
fn side_by_side<T>(
    lanes: &[Vec<String>],
    warm: impl Fn(&[String]) -> T + Sync,
    again: impl Fn(&mut T, &[String]) -> bool + Sync,
) -> anyhow::Result<f64> {
    let barrier = Barrier::new(lanes.len());
    let times = std::thread::scope(|scope| {
        let walks: Vec<_> = lanes
            .iter()
            .map(|events| {
                let (barrier, warm, again) = (&barrier, &warm, &again);
                scope.spawn(move || {
                    let mut state = warm(events);
                    barrier.wait();
                    let start = Instant::now();
                    let same = again(&mut state, events);
                    let end = Instant::now();
                    // No lane may let go of its memory while another one is measured.
                    barrier.wait();
                    (start, end, same)
                })
            })
            .collect();
        walks.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Result<Vec<_>, _>>()
    })
    .map_err(|_| anyhow!("a lane panicked"))?;
    ensure!(times.iter().all(|time| time.2), "every walk gives the same");
    let start = times.iter().map(|time| time.0).min();
    let end = times.iter().map(|time| time.1).max();
    Ok(start.zip(end).map_or(0.0, |(start, end)| (end - start).as_secs_f64()))
}

fn real(binary: &Path, events: usize, runs: usize) -> anyhow::Result<RealEngine> {
    say(&format!("engine: {}", binary.display()))?;
    let mut servers =
        Servers::start(Setting { partitions: 2, store: false, ..Setting::default() })?;
    say(&format!("producing {events} events into 2 partitions"))?;
    let mut stream = Stream::new(2, Keeping::Ten);
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
    let fastest = (results.one_lane.most, results.two_lanes.most);
    row("the same, the fastest rounds", fastest.0, fastest.1, results.times_undisturbed);
    let control = &results.control;
    row(
        "control: serde_json, nothing shared, events/s",
        control.one_thread.median,
        control.two_threads.median,
        control.times.median,
    );
    let fastest = (control.one_thread.most, control.two_threads.most);
    row("the same, the fastest rounds", fastest.0, fastest.1, control.times_undisturbed);
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
