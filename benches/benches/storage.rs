//! What the server pays for the engine's blocks, without an engine: `cargo bench -p logmon-benches --bench storage -- --tables FILE`.
//!
//! The same blocks go into the shipped tables, or into those that a file of statements makes, and the kernel says what the server's
//! process cost, up to the last insert and up to the last merge. What it costs when nobody asks for anything is measured first and taken off.

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use logmon_benches::{
    arguments::Arguments,
    events::events,
    machine::Machine,
    process,
    program::{bound_to, ten_rules},
    report::{Table as ResultTable, publish, say},
    stages::Desk,
};
use logmon_engine::sink::clickhouse::{Block, Client, Compression, Endpoint, Inserter, Table, ddl};
use logmon_services::ClickHouse;
use serde::Serialize;

const EVENTS: usize = 1_000_000;
const SEED: u64 = 20_261_121;
const DATABASE: &str = "bench";
/// So many inserts run at once, as the engine's do.
const AT_ONCE: usize = 2;
/// How long the idle server is watched.
const IDLE: Duration = Duration::from_secs(5);
const ASK: Duration = Duration::from_millis(100);
/// Merges are waited for so long.
const MERGES: Duration = Duration::from_mins(2);

#[derive(Serialize)]
struct Results {
    machine: Machine,
    tables: String,
    events: usize,
    rows: usize,
    blocks: usize,
    sent_bytes_per_event: f64,
    /// Cores that the idle server keeps busy.
    idle_cores: f64,
    insert_seconds: f64,
    /// CPU microseconds of the server, the idle share taken off.
    insert_us_per_event: f64,
    /// The same with the merges.
    merged_us_per_event: f64,
    insert_us_per_row: f64,
    merged_us_per_row: f64,
    parts_written: u64,
    parts_left: u64,
    /// Rows that merges wrote, for each row inserted.
    rows_merged_per_row: f64,
    disk_bytes_per_row: f64,
    index_bytes_per_row: f64,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::read(&["json", "table", "events", "tables", "compression"])?;
    let count = arguments.number("events", EVENTS)?.max(1);
    let compression = match arguments.text("compression").unwrap_or("lz4") {
        "none" => Compression::None,
        "zstd" => Compression::Zstd,
        _ => Compression::Lz4,
    };
    let machine = Machine::look();
    say(&machine.to_string())?;
    let clickhouse = ClickHouse::start_own()?;
    let sql = |statement: &str| clickhouse.query(statement).with_context(|| statement.to_owned());
    sql(&format!("CREATE DATABASE {DATABASE}"))?;
    let tables = arguments.text("tables");
    for statement in statements(tables.map(Path::new))? {
        sql(&statement)?;
    }

    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let client = Arc::new(Client::new(Endpoint {
        sink: "bench".to_owned(),
        url: clickhouse.url().to_owned(),
        database: DATABASE.to_owned(),
        user: clickhouse.user().to_owned(),
        password: clickhouse.password().to_owned(),
        ..Endpoint::default()
    })?);
    let bound = bound_to(&ten_rules(), |sink| {
        runtime.block_on(Table::read(&client, sink)).map_err(anyhow::Error::from)
    })?;
    let events = events(count, SEED);
    let mut blocks: Vec<Block> = Vec::new();
    Desk::new(&bound, &events).walk_into(&events, compression, &mut |block| blocks.push(block));
    drop(events);

    let pid = clickhouse.pid().context("the server is ours")?;
    let idle = process::cpu_seconds(pid);
    std::thread::park_timeout(IDLE);
    let idle_cores = (process::cpu_seconds(pid) - idle) / IDLE.as_secs_f64();

    let (before, start) = (process::cpu_seconds(pid), Instant::now());
    let spent = || process::cpu_seconds(pid) - before - idle_cores * start.elapsed().as_secs_f64();
    runtime.block_on(insert(&client, &blocks))?;
    let (insert_cpu, insert_seconds) = (spent(), start.elapsed().as_secs_f64());
    settle(&sql)?;
    let merged_cpu = spent();

    let rows: usize = blocks.iter().map(|block| block.rows).sum();
    let sent: usize = blocks.iter().map(|block| block.body.len()).sum();
    let number = |statement: &str| -> anyhow::Result<f64> {
        sql(statement)?.trim().parse::<f64>().with_context(|| statement.to_owned())
    };
    let event = |name: &str| {
        number(&format!("SELECT sum(value) FROM system.events WHERE event = '{name}'"))
    };
    let parts = |what: &str| {
        number(&format!("SELECT {what} FROM system.parts WHERE active AND database = '{DATABASE}'"))
    };
    let micros = |seconds: f64, by: usize| seconds * 1e6 / by as f64;
    let results = Results {
        machine,
        tables: tables.unwrap_or("the shipped ones").to_owned(),
        events: count,
        rows,
        blocks: blocks.len(),
        sent_bytes_per_event: sent as f64 / count as f64,
        idle_cores,
        insert_seconds,
        insert_us_per_event: micros(insert_cpu, count),
        merged_us_per_event: micros(merged_cpu, count),
        insert_us_per_row: micros(insert_cpu, rows),
        merged_us_per_row: micros(merged_cpu, rows),
        parts_written: blocks.len() as u64,
        parts_left: parts("count()")? as u64,
        rows_merged_per_row: event("MergedRows")? / rows as f64,
        disk_bytes_per_row: parts("sum(bytes_on_disk)")? / rows as f64,
        index_bytes_per_row: parts("sum(secondary_indices_compressed_bytes)")? / rows as f64,
    };
    say(&by_column(&sql)?)?;
    publish(&arguments, &results, &[table(&results)])
}

/// The statements that make both tables.
fn statements(file: Option<&Path>) -> anyhow::Result<Vec<String>> {
    let Some(file) = file else {
        return Ok(["logs", "errors"].map(|name| ddl::logs(DATABASE, name)).to_vec());
    };
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let named = |name: &str| text.replace("EXISTS logs (", &format!("EXISTS {DATABASE}.{name} ("));
    Ok(["logs", "errors"].map(named).to_vec())
}

async fn insert(client: &Arc<Client>, blocks: &[Block]) -> anyhow::Result<()> {
    let inserter = Inserter::new(Arc::clone(client));
    for (number, pair) in blocks.chunks(AT_ONCE).enumerate() {
        let mut tasks = tokio::task::JoinSet::new();
        for (at, block) in pair.iter().cloned().enumerate() {
            let inserter = inserter.clone();
            let token = format!("bench-{number}-{at}");
            tasks.spawn(async move { inserter.insert(&block, &token).await });
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
    }
    Ok(())
}

fn settle(sql: &impl Fn(&str) -> anyhow::Result<String>) -> anyhow::Result<()> {
    let start = Instant::now();
    let mut quiet = 0;
    while quiet < 20 && start.elapsed() < MERGES {
        let running = sql("SELECT count() FROM system.merges FORMAT TSV")?;
        quiet = if running.trim() == "0" { quiet + 1 } else { 0 };
        std::thread::park_timeout(ASK);
    }
    Ok(())
}

/// Where the bytes are, the dearest first.
fn by_column(sql: &impl Fn(&str) -> anyhow::Result<String>) -> anyhow::Result<String> {
    sql(&format!(
        "SELECT name, formatReadableSize(sum(bytes)) FROM ( \
         SELECT name, data_compressed_bytes AS bytes FROM system.columns WHERE database = '{DATABASE}' UNION ALL \
         SELECT name, data_compressed_bytes AS bytes FROM system.data_skipping_indices WHERE database = '{DATABASE}') \
         GROUP BY name ORDER BY sum(bytes) DESC LIMIT 12 FORMAT PrettyCompactMonoBlock"
    ))
}

fn table(results: &Results) -> ResultTable {
    let title = format!(
        "{} rows of {} events in {} blocks into {}, {:.0} bytes an event sent, nobody else on the machine:",
        results.rows, results.events, results.blocks, results.tables, results.sent_bytes_per_event
    );
    let mut table = ResultTable::new(title, &["", "figure"]);
    let lines = [
        ("cores that the idle server keeps busy", results.idle_cores),
        ("seconds of inserting", results.insert_seconds),
        ("server CPU µs an event, inserts", results.insert_us_per_event),
        ("the same, with merges", results.merged_us_per_event),
        ("server CPU µs a row, inserts", results.insert_us_per_row),
        ("the same, with merges", results.merged_us_per_row),
        ("that for 0.7 rows, an event", 0.7 * results.merged_us_per_row),
        ("parts left", results.parts_left as f64),
        ("rows merged, for each inserted", results.rows_merged_per_row),
        ("bytes on disk, a row", results.disk_bytes_per_row),
        ("of them indexes", results.index_bytes_per_row),
    ];
    for (name, value) in lines {
        table.numbers(name, 2, &[value]);
    }
    table
}
