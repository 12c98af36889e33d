//! CPU nanoseconds per event by stage: `cargo bench -p logmon-benches --bench stages -- --json FILE`.

#[path = "../in_vrl.rs"]
mod in_vrl;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use std::{collections::BTreeMap, fs};

use anyhow::ensure;
use logmon_benches::{
    arguments::Arguments,
    by_hand::{self, ByHand},
    consume::Backlog,
    events::events,
    figures::{Figure, Summary},
    lookups::{self, Clocked, Opened},
    machine::Machine,
    program::{Bound, COLUMNS, bound, bound_text, ten_rules, with_rules},
    report::{Table, publish, say},
    stages::{Desk, Produced, Spent},
};
use logmon_engine::sink::clickhouse::Compression;
use serde::Serialize;

use in_vrl::Vrl;

/// More than any cache of this machine's kind holds: some 72 MB of JSON.
const EVENTS: usize = 100_000;
const ROUNDS: usize = 9;
const SEED: u64 = 20_261_121;

/// Read from a real Kafka, so that a reading lasts about a second.
const CONSUME: usize = 500_000;
/// How often each reading is repeated: each is a group of its own that joins for seconds.
const READINGS: usize = 3;
/// Addresses that clients of a service really have at a time; half of them fit the first cache.
const CLIENTS: usize = 20_000;

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
    lookup_answers_per_event: f64,
    /// By stage and yardstick.
    medians: BTreeMap<String, f64>,
    /// What VRL costs for one of ours.
    vrl_times: f64,
    vrl_times_uncompressed: f64,
    summaries: BTreeMap<String, Summary>,
}

/// What each round adds to, in the order in which it is shown.
#[derive(Default)]
struct Figures(Vec<(String, Figure)>);

impl Figures {
    fn add(&mut self, name: &str, value: f64) {
        let at = self.0.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
            self.0.push((name.to_owned(), Figure::default()));
            self.0.len() - 1
        });
        self.0[at].1.add(value);
    }

    fn compressed(&mut self, spent: &Spent, events: usize) {
        let each = |nanoseconds: u64| nanoseconds as f64 / events as f64;
        self.add("copy (reading thread)", each(spent.copy));
        self.add("decode", each(spent.decode));
        self.add("rules", each(spent.rules));
        self.add("encode", each(spent.encode));
        self.add("compress (LZ4)", each(spent.compress));
        self.add(WHOLE, each(spent.stages()));
    }

    fn median(&self, name: &str) -> f64 {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map_or(f64::NAN, |(_, figure)| figure.summary().median)
    }
}

const WHOLE: &str = "whole";
const UNCOMPRESSED: &str = "whole, not compressed";
const VRL: &str = "VRL, the same program";
const BY_HAND: &str = "serde_json, the same program by hand";

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::read(&["json", "table", "events", "rounds", "consume", "codec"])?;
    let count = arguments.number("events", EVENTS)?.max(1);
    let rounds = arguments.number("rounds", ROUNDS)?.max(1);
    let consume = arguments.number("consume", CONSUME)?;
    let machine = Machine::look();
    say(&machine.to_string())?;

    let events = events(count, SEED);
    let bytes: usize = events.iter().map(String::len).sum();
    let each = |number: usize| number as f64 / count as f64;
    let mut figures = Figures::default();
    if consume > 0 {
        read(&mut figures, &events, consume, &arguments.list("codec", "lz4,zstd,none"))?;
    }

    let bound = bound(&ten_rules())?;
    let mut desk = Desk::new(&bound, &events);
    // A first walk that does not count: the decoder learns its keys, memory is taken from the system.
    let (_, produced) = desk.walk(&events, Compression::Lz4);
    check(&produced, count)?;
    let mut vrl = Vrl::new(in_vrl::TEN)?;
    let mut by_hand = ByHand::new()?;
    let (_, printed) = vrl.walk(&events)?;
    let (_, handmade) = by_hand.walk(&events)?;
    ensure!(
        printed.kept == count - produced.dropped
            && printed.kept + printed.errors == produced.rows
            && (handmade.kept, handmade.errors) == (printed.kept, printed.errors),
        "all three programs mean the same: {printed:?}, {handmade:?}, {produced:?}"
    );
    let mut asking = Asking::new(&events, &produced)?;

    for _ in 0..rounds {
        let (spent, again) = desk.walk(&events, Compression::Lz4);
        ensure!(again == produced, "every walk makes the same rows: {again:?}, {produced:?}");
        figures.compressed(&spent, count);
        let (spent, again) = desk.walk(&events, Compression::None);
        ensure!(again.rows == produced.rows, "compression changes no row");
        figures.add(UNCOMPRESSED, spent.stages() as f64 / count as f64);
        asking.walk(&mut figures, &events)?;
        let (spent, again) = vrl.walk(&events)?;
        ensure!(again == printed, "every walk prints the same: {again:?}, {printed:?}");
        figures.add(VRL, spent as f64 / count as f64);
        let (spent, again) = by_hand.walk(&events)?;
        ensure!(again == handmade, "every walk prints the same: {again:?}, {handmade:?}");
        figures.add(BY_HAND, spent as f64 / count as f64);
        figures.add("serde_json, no program", by_hand::nothing(&events)? as f64 / count as f64);
    }

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
        lookup_answers_per_event: asking.answers(),
        medians: figures
            .0
            .iter()
            .map(|(name, figure)| (name.clone(), figure.summary().median))
            .collect(),
        vrl_times: figures.median(VRL) / figures.median(WHOLE),
        vrl_times_uncompressed: figures.median(VRL) / figures.median(UNCOMPRESSED),
        summaries: figures
            .0
            .iter()
            .map(|(name, figure)| (name.clone(), figure.summary()))
            .collect(),
    };
    publish(&arguments, &results, &[table(&results, &figures)])
}

/// Reads from Kafka, the engine's way and the usual one, codec by codec.
fn read(
    figures: &mut Figures,
    events: &[String],
    count: usize,
    codecs: &[String],
) -> anyhow::Result<()> {
    say(&format!("producing {count} events for {}", codecs.join(", ")))?;
    let mut backlog = Backlog::produce(events, count, codecs)?;
    for _ in 0..READINGS {
        for codec in codecs {
            figures.add(&format!("consume, {codec} (reading thread)"), backlog.read(codec)?);
        }
        figures.add(
            &format!("one `poll` a record, {} (reading thread)", codecs[0]),
            backlog.poll(&codecs[0])?,
        );
    }
    Ok(())
}

/// The ten rules and two that look up: with empty caches and addresses that are all new, and with warm ones and addresses that come again.
struct Asking {
    opened: Opened,
    bound: Bound,
    cold: Desk,
    warm: Desk,
    /// What the warm one walks over.
    repeated: Vec<String>,
}

impl Asking {
    fn new(events: &[String], produced: &Produced) -> anyhow::Result<Self> {
        let rules = with_rules(&fs::read_to_string(ten_rules())?, lookups::RULES)?;
        let bound = bound_text(&rules)?;
        let opened = Opened::new()?;
        let clocked = || Ok::<_, anyhow::Error>(Clocked::new(opened.set(&bound.plan)?));
        let repeated = lookups::with_clients(events, CLIENTS)?;
        let mut cold = Desk::with_lookups(&bound, events, clocked()?);
        let mut warm = Desk::with_lookups(&bound, &repeated, clocked()?);
        let (_, again) = cold.walk(events, Compression::Lz4);
        warm.walk(&repeated, Compression::Lz4);
        ensure!(
            again.rows == produced.rows && cold.lookups.found > events.len() / 10,
            "lookups answer, and change no fate: {} answers, {again:?}",
            cold.lookups.found
        );
        Ok(Self { opened, bound, cold, warm, repeated })
    }

    fn walk(&mut self, figures: &mut Figures, events: &[String]) -> anyhow::Result<()> {
        let each = |nanoseconds: u64| nanoseconds as f64 / events.len() as f64;
        self.cold.lookups = Clocked::new(self.opened.set(&self.bound.plan)?);
        let (spent, cold) = self.cold.walk(events, Compression::Lz4);
        figures.add("lookups, nothing cached, every address new", each(spent.lookups));
        figures.add("rules, two that look up among them", each(spent.rules));
        figures.add("whole with these lookups", each(spent.stages()));
        let (spent, warm) = self.warm.walk(&self.repeated, Compression::Lz4);
        figures.add("lookups, caches warm, 20,000 addresses", each(spent.lookups));
        figures.add("whole with those lookups", each(spent.stages()));
        ensure!(cold.rows == warm.rows, "addresses change no fate: {cold:?}, {warm:?}");
        Ok(())
    }

    /// Keys that were answered with a row, an event: each distinct key of a batch is asked once.
    fn answers(&self) -> f64 {
        self.cold.lookups.found as f64 / self.repeated.len() as f64
    }
}

fn check(produced: &Produced, events: usize) -> anyhow::Result<()> {
    ensure!(produced.rejected == 0, "every event is JSON: {produced:?}");
    ensure!(
        produced.dropped < events && produced.rows + produced.dropped >= events,
        "events have fates: {produced:?}"
    );
    Ok(())
}

fn table(results: &Results, figures: &Figures) -> Table {
    let title = format!(
        "CPU ns an event: {} events of {:.0} bytes, {} rules, {} columns, {:.3} rows an event ({:.1} % dropped), {:.0} bytes an event sent; {} rounds:",
        results.events,
        results.bytes_per_event,
        results.rules,
        results.columns,
        results.rows_per_event,
        results.dropped_per_event * 100.0,
        results.sent_bytes_per_event,
        results.rounds,
    );
    let mut table = Table::new(title, &["", "median", "best", "worst"]);
    for (name, figure) in &figures.0 {
        let summary = figure.summary();
        let name = if name == WHOLE { format!("**{name}**") } else { name.clone() };
        table.numbers(name, 0, &[summary.median, summary.least, summary.most]);
    }
    table.numbers("VRL / whole", 1, &[results.vrl_times]);
    table.numbers("VRL / whole, not compressed", 1, &[results.vrl_times_uncompressed]);
    table
}
