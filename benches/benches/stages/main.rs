//! CPU nanoseconds per event by stage: `cargo bench -p logmon-benches --bench stages -- --json FILE`.

mod yardsticks;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use anyhow::ensure;
use logmon_benches::{
    arguments::Arguments,
    events::events,
    figures::{Figure, Summary},
    machine::Machine,
    program::{COLUMNS, bound, ten_rules},
    report::{say, write},
    stages::{Desk, Produced, Spent},
};
use logmon_engine::sink::clickhouse::Compression;
use serde::Serialize;

use yardsticks::{Vrl, serde_walk};

/// More than any cache of this machine's kind holds: some 72 MB of JSON.
const EVENTS: usize = 100_000;
const ROUNDS: usize = 9;
const SEED: u64 = 20_261_121;

/// Medians are on top, where other tools look for them.
#[derive(Serialize)]
struct Results {
    machine: Machine,
    events: usize,
    bytes_per_event: f64,
    rounds: usize,
    rules: usize,
    columns: usize,
    batches: usize,
    rows_per_event: f64,
    dropped_per_event: f64,
    raw_bytes_per_event: f64,
    sent_bytes_per_event: f64,
    decode_ns: f64,
    rules_ns: f64,
    encode_ns: f64,
    compress_ns: f64,
    whole_ns: f64,
    whole_uncompressed_ns: f64,
    copy_ns: f64,
    vrl_ns: f64,
    serde_json_ns: f64,
    vrl_times: f64,
    summaries: Summaries,
}

/// By name of the stage.
#[derive(Serialize)]
struct Summaries {
    decode: Summary,
    rules: Summary,
    encode: Summary,
    compress: Summary,
    whole: Summary,
    whole_uncompressed: Summary,
    copy: Summary,
    vrl: Summary,
    serde_json: Summary,
}

/// What each round adds to.
#[derive(Default)]
struct Figures {
    decode: Figure,
    rules: Figure,
    encode: Figure,
    compress: Figure,
    whole: Figure,
    whole_uncompressed: Figure,
    copy: Figure,
    vrl: Figure,
    serde_json: Figure,
}

impl Figures {
    fn compressed(&mut self, spent: &Spent, events: usize) {
        let each = |nanoseconds: u64| nanoseconds as f64 / events as f64;
        self.decode.add(each(spent.decode));
        self.rules.add(each(spent.rules));
        self.encode.add(each(spent.encode));
        self.compress.add(each(spent.compress));
        self.whole.add(each(spent.stages()));
        self.copy.add(each(spent.copy));
    }

    fn summaries(&self) -> Summaries {
        Summaries {
            decode: self.decode.summary(),
            rules: self.rules.summary(),
            encode: self.encode.summary(),
            compress: self.compress.summary(),
            whole: self.whole.summary(),
            whole_uncompressed: self.whole_uncompressed.summary(),
            copy: self.copy.summary(),
            vrl: self.vrl.summary(),
            serde_json: self.serde_json.summary(),
        }
    }
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::read(&["json", "events", "rounds"])?;
    let count = arguments.number("events", EVENTS)?.max(1);
    let rounds = arguments.number("rounds", ROUNDS)?.max(1);
    let machine = Machine::look();
    say(&machine.to_string())?;

    let events = events(count, SEED);
    let bytes: usize = events.iter().map(String::len).sum();
    let bound = bound(&ten_rules())?;
    let mut desk = Desk::new(&bound, &events);

    // A first walk that does not count: the decoder learns its keys, memory is taken from the system.
    let (_, produced) = desk.walk(&events, Compression::Lz4);
    check(&produced, count)?;
    let mut vrl = Vrl::new()?;
    let (_, printed) = vrl.walk(&events)?;
    ensure!(
        printed.kept == count - produced.dropped && printed.kept + printed.errors == produced.rows,
        "both programs mean the same: {printed:?}, {produced:?}"
    );
    let mut figures = Figures::default();
    for _ in 0..rounds {
        let (spent, again) = desk.walk(&events, Compression::Lz4);
        ensure!(again == produced, "every walk makes the same rows: {again:?}, {produced:?}");
        figures.compressed(&spent, count);
        let (spent, again) = desk.walk(&events, Compression::None);
        ensure!(again.rows == produced.rows, "compression changes no row");
        figures.whole_uncompressed.add(spent.stages() as f64 / count as f64);
        let (spent, again) = vrl.walk(&events)?;
        ensure!(again == printed, "every walk prints the same: {again:?}, {printed:?}");
        figures.vrl.add(spent as f64 / count as f64);
        figures.serde_json.add(serde_walk(&events)? as f64 / count as f64);
    }

    let summaries = figures.summaries();
    let each = |number: usize| number as f64 / count as f64;
    let results = Results {
        machine,
        events: count,
        bytes_per_event: each(bytes),
        rounds,
        rules: bound.plan.rules.len(),
        columns: COLUMNS.len(),
        batches: desk.batches(),
        rows_per_event: each(produced.rows),
        dropped_per_event: each(produced.dropped),
        raw_bytes_per_event: each(produced.raw_bytes),
        sent_bytes_per_event: each(produced.sent_bytes),
        decode_ns: summaries.decode.median,
        rules_ns: summaries.rules.median,
        encode_ns: summaries.encode.median,
        compress_ns: summaries.compress.median,
        whole_ns: summaries.whole.median,
        whole_uncompressed_ns: summaries.whole_uncompressed.median,
        copy_ns: summaries.copy.median,
        vrl_ns: summaries.vrl.median,
        serde_json_ns: summaries.serde_json.median,
        vrl_times: summaries.vrl.median / summaries.whole.median,
        summaries,
    };
    print(&results)?;
    write(arguments.text("json"), &results)
}

fn check(produced: &Produced, events: usize) -> anyhow::Result<()> {
    ensure!(produced.rejected == 0, "every event is JSON: {produced:?}");
    ensure!(
        produced.dropped < events && produced.rows + produced.dropped >= events,
        "events have fates: {produced:?}"
    );
    Ok(())
}

fn print(results: &Results) -> anyhow::Result<()> {
    say(&format!(
        "{} events of {:.0} bytes in {} batches, {} rules, {} columns, {:.3} rows an event ({:.1} % dropped), {:.0} bytes an event sent; {} rounds\n",
        results.events,
        results.bytes_per_event,
        results.batches,
        results.rules,
        results.columns,
        results.rows_per_event,
        results.dropped_per_event * 100.0,
        results.sent_bytes_per_event,
        results.rounds,
    ))?;
    say("CPU ns an event               median      best     worst")?;
    let all = &results.summaries;
    for (name, summary) in [
        ("decode", all.decode),
        ("rules", all.rules),
        ("encode", all.encode),
        ("compress (LZ4)", all.compress),
        ("whole", all.whole),
        ("whole, not compressed", all.whole_uncompressed),
        ("copy, before all stages", all.copy),
        ("VRL, the same program", all.vrl),
        ("serde_json, no program", all.serde_json),
    ] {
        say(&format!(
            "{name:<26} {:>9.0} {:>9.0} {:>9.0}",
            summary.median, summary.best, summary.worst
        ))?;
    }
    say(&format!("{:<26} {:>9.1}", "VRL / whole", results.vrl_times))?;
    Ok(())
}
