//! From produce to visible row, at several loads: `cargo bench -p logmon-benches --bench latency -- --json FILE`.
//!
//! A producer keeps time by the clock and writes the moment of sending into each event. A view keeps that moment and the insert's query id
//! for every row; the server's query log says when that insert was done, which is when its rows can be seen at the latest.

mod paced;

use std::{path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use logmon_benches::{
    arguments::Arguments,
    engine::{self, Engine},
    ledger::{Balance, Ledger},
    machine::Machine,
    report::{Table, publish, say},
    servers::{DATABASE, Servers, Setting},
};
use serde::Serialize;

use paced::{Paced, Window};

/// Of each load.
const SECONDS: u64 = 12;
/// At the begin of each load, not counted.
const WARM: Duration = Duration::from_secs(3);
/// For so long the engine gets as much as it takes, to see how much that is.
const FULL: Duration = Duration::from_secs(9);
const PARTITIONS: usize = 4;

#[derive(Serialize)]
struct Results {
    machine: Machine,
    binary: String,
    partitions: usize,
    linger_ms: u32,
    /// By `batch.age`.
    ages: Vec<Measured>,
}

#[derive(Serialize)]
struct Measured {
    batch_age: String,
    /// What the engine takes while the producer, Kafka and ClickHouse share its cores.
    full_events_per_second: f64,
    loads: Vec<Load>,
    lost: usize,
    duplicates: usize,
}

#[derive(Serialize)]
struct Load {
    percent: usize,
    events_per_second_wanted: f64,
    events_per_second_sent: f64,
    /// Rows that were looked at.
    rows: u64,
    p50_ms: f64,
    p90_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    engine_cpu_ns_per_event: f64,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::read(&[
        "json", "table", "binary", "loads", "ages", "seconds", "linger", "engine", "codec",
    ])?;
    let loads = arguments.numbers("loads", "10,50,100")?;
    let seconds = arguments.number("seconds", SECONDS)?;
    ensure!(seconds > WARM.as_secs(), "--seconds: the first {WARM:?} are not counted");
    let linger = arguments.number("linger", 5)?;
    let machine = Machine::look();
    say(&machine.to_string())?;
    let binary = engine::binary(arguments.text("binary"))?;
    say(&format!("engine: {}", binary.display()))?;
    let mut ages = Vec::new();
    for age in arguments.list("ages", "default,250ms") {
        let setting = Setting {
            partitions: PARTITIONS,
            codec: arguments.text("codec").unwrap_or("lz4").to_owned(),
            engine: arguments.text("engine").unwrap_or_default().to_owned(),
            sink: match &*age {
                "default" => String::new(),
                age => format!("batch = {{ age = \"{age}\" }}"),
            },
            ..Setting::default()
        };
        ages.push(measure(&binary, setting, &age, &loads, seconds, linger)?);
    }
    let results = Results {
        machine,
        binary: binary.display().to_string(),
        partitions: PARTITIONS,
        linger_ms: linger,
        ages,
    };
    publish(&arguments, &results, &[table(&results)])?;
    ensure!(
        results.ages.iter().all(|age| age.lost == 0 && age.duplicates == 0),
        "every kept event has one row"
    );
    Ok(())
}

fn measure(
    binary: &Path,
    setting: Setting,
    age: &str,
    loads: &[usize],
    seconds: u64,
    linger: u32,
) -> anyhow::Result<Measured> {
    let servers = Servers::start(setting)?;
    servers.sql(&format!(
        "CREATE MATERIALIZED VIEW {DATABASE}.visible ENGINE = MergeTree ORDER BY tuple() AS \
         SELECT queryID() AS query, timestamp AS produced FROM {DATABASE}.logs"
    ))?;
    let mut paced = Paced::new(&servers, linger)?;
    let mut engine = Engine::start(binary, &servers)?;
    let full = paced.full(&mut engine, FULL)?;
    engine.drain(paced.sent())?;
    say(&format!("age {age}: takes {full:.0} events/s"))?;
    let mut measured = Vec::new();
    for &percent in loads {
        let wanted = full * percent as f64 / 100.0;
        let before = (engine.cpu_seconds(), paced.sent());
        let window = paced.run(wanted, Duration::from_secs(seconds), WARM)?;
        engine.drain(paced.sent())?;
        let events = (paced.sent() - before.1) as f64;
        let cpu = (engine.cpu_seconds() - before.0) * 1e9 / events;
        measured.push(look(&servers, percent, wanted, &window, cpu)?);
    }
    engine.stop()?;
    let balance = balance(&servers, &paced.ledger)?;
    Ok(Measured {
        batch_age: age.to_owned(),
        full_events_per_second: full,
        loads: measured,
        lost: balance.lost,
        duplicates: balance.duplicates,
    })
}

fn balance(servers: &Servers, ledger: &Ledger) -> anyhow::Result<Balance> {
    let balance = ledger.compare(&servers.places("logs")?)?;
    ensure!(
        balance == (Balance { rows: ledger.kept(), ..Balance::default() }),
        "the table holds every kept event once: {balance:?}, not {} rows",
        ledger.kept()
    );
    Ok(balance)
}

/// Joins the rows of a stretch of time with the ends of their inserts.
fn look(
    servers: &Servers,
    percent: usize,
    wanted: f64,
    window: &Window,
    cpu: f64,
) -> anyhow::Result<Load> {
    servers.sql("SYSTEM FLUSH LOGS")?;
    let rows = format!(
        "FROM {DATABASE}.visible WHERE toUnixTimestamp64Nano(produced) BETWEEN {} AND {}",
        window.from, window.to
    );
    let answer = servers.sql(&format!(
        "SELECT count(), arrayStringConcat(quantilesExact(0.5, 0.9, 0.99, 1)(waited), '\\t') FROM (\
           SELECT (toUnixTimestamp64Micro(done) - intDiv(toUnixTimestamp64Nano(produced), 1000)) / 1000 AS waited \
           FROM (SELECT query, produced {rows}) AS row INNER JOIN (\
             SELECT query_id, max(event_time_microseconds) AS done FROM system.query_log \
             WHERE type = 'QueryFinish' AND query_kind = 'Insert' GROUP BY query_id\
           ) AS insert ON row.query = insert.query_id) FORMAT TSVRaw"
    ))?;
    let numbers: Vec<f64> = answer
        .split_whitespace()
        .map(|text| text.parse().with_context(|| answer.clone()))
        .collect::<anyhow::Result<_>>()?;
    let &[looked_at, p50_ms, p90_ms, p99_ms, max_ms] = &numbers[..] else {
        anyhow::bail!("five numbers are asked for: {answer}");
    };
    let all: u64 = servers.sql(&format!("SELECT count() {rows} FORMAT TSV"))?.trim().parse()?;
    ensure!(
        looked_at as u64 == all && all > 0,
        "the query log knows the insert of every row: of {looked_at} of {all}"
    );
    Ok(Load {
        percent,
        events_per_second_wanted: wanted,
        events_per_second_sent: window.events_per_second,
        rows: all,
        p50_ms,
        p90_ms,
        p99_ms,
        max_ms,
        engine_cpu_ns_per_event: cpu,
    })
}

fn table(results: &Results) -> Table {
    let title = format!(
        "From produce to visible row, ms; {} partitions, lz4, linger {} ms; 100 % is what the engine takes with the producer on the same {} cores:",
        results.partitions, results.linger_ms, results.machine.cores
    );
    let mut table = Table::new(
        title,
        &[
            "batch.age, load",
            "events/s",
            "sent",
            "p50",
            "p90",
            "p99",
            "max",
            "engine CPU ns an event",
        ],
    );
    for age in &results.ages {
        for load in &age.loads {
            table.numbers(
                format!("{}, {} %", age.batch_age, load.percent),
                0,
                &[
                    load.events_per_second_wanted,
                    load.events_per_second_sent,
                    load.p50_ms,
                    load.p90_ms,
                    load.p99_ms,
                    load.max_ms,
                    load.engine_cpu_ns_per_event,
                ],
            );
        }
    }
    table
}
