//! How costs grow with rules and with events: `cargo bench -p logmon-benches --bench curves -- --json FILE --svg FOLDER`.

#[path = "../in_vrl.rs"]
mod in_vrl;
mod rules;
mod sizes;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use anyhow::ensure;
use logmon_benches::{
    arguments::Arguments,
    figures::{Figure, Summary},
    machine::Machine,
    plot::Plot,
    report::{Table, publish, say, write_text},
    stages::Spent,
};
use serde::Serialize;

const ROUNDS: usize = 5;
const SEED: u64 = 20_261_121;

#[derive(Serialize)]
struct Results {
    machine: Machine,
    rounds: usize,
    rules: Vec<rules::Point>,
    /// What 500 literal rules more cost an event, in the rules stage: 510 rules less 10.
    five_hundred_more_ns: Option<f64>,
    /// 1,000 rules against 10: the rules stage, and the whole.
    thousand_times: Option<(f64, f64)>,
    sizes: Vec<sizes::Point>,
}

fn main() -> anyhow::Result<()> {
    let arguments =
        Arguments::read(&["json", "table", "svg", "rounds", "of", "events", "vrl-events"])?;
    let rounds = arguments.number("rounds", ROUNDS)?.max(1);
    let of = arguments.text("of").unwrap_or("both");
    ensure!(["rules", "sizes", "both"].contains(&of), "--of is rules, sizes or both");
    let machine = Machine::look();
    say(&machine.to_string())?;

    let by_rules = if of == "sizes" { Vec::new() } else { rules::measure(&arguments, rounds)? };
    let by_size = if of == "rules" { Vec::new() } else { sizes::measure(rounds)? };
    let rules_at = |count: usize| by_rules.iter().find(|point| point.rules == count);
    let compared = |one: usize, other: usize| rules_at(one).zip(rules_at(other));
    let results = Results {
        machine,
        rounds,
        five_hundred_more_ns: compared(510, 10)
            .map(|(many, ten)| many.ours.rules.median - ten.ours.rules.median),
        thousand_times: compared(1000, 10).map(|(many, ten)| {
            (
                many.ours.rules.median / ten.ours.rules.median,
                many.ours.whole.median / ten.ours.whole.median,
            )
        }),
        rules: by_rules,
        sizes: by_size,
    };
    let mut tables = Vec::new();
    if !results.rules.is_empty() {
        tables.push(rules::table(&results.rules));
        tables.push(growth(&results));
        plot(&arguments, "rules.svg", &rules::plot(&results.rules))?;
    }
    if !results.sizes.is_empty() {
        tables.push(sizes::table(&results.sizes));
        plot(&arguments, "sizes.svg", &sizes::plot(&results.sizes))?;
    }
    publish(&arguments, &results, &tables)
}

fn growth(results: &Results) -> Table {
    let mut table = Table::new("What more rules add:", &["", "ours"]);
    if let Some(nanoseconds) = results.five_hundred_more_ns {
        table.numbers("500 literal rules more, rules stage, ns an event", 0, &[nanoseconds]);
    }
    if let Some((rules, whole)) = results.thousand_times {
        table.numbers("1,000 rules against 10, rules stage, times", 2, &[rules]);
        table.numbers("1,000 rules against 10, whole, times", 2, &[whole]);
    }
    table
}

fn plot(arguments: &Arguments, name: &str, plot: &Plot) -> anyhow::Result<()> {
    let Some(folder) = arguments.text("svg") else { return Ok(()) };
    write_text(Some(&format!("{folder}/{name}")), &plot.svg())
}

/// Our stages, one round after the other.
#[derive(Default)]
struct Ours {
    decode: Figure,
    rules: Figure,
    encode: Figure,
    compress: Figure,
    whole: Figure,
}

/// Their medians, CPU nanoseconds an event.
#[derive(Serialize)]
struct OursNs {
    decode: Summary,
    rules: Summary,
    encode: Summary,
    compress: Summary,
    whole: Summary,
}

impl OursNs {
    /// What is compared with programs that compress nothing.
    fn before_compression(&self) -> f64 {
        self.decode.median + self.rules.median + self.encode.median
    }
}

impl Ours {
    fn add(&mut self, spent: &Spent, events: usize) {
        let each = |nanoseconds: u64| nanoseconds as f64 / events as f64;
        self.decode.add(each(spent.decode));
        self.rules.add(each(spent.rules));
        self.encode.add(each(spent.encode));
        self.compress.add(each(spent.compress));
        self.whole.add(each(spent.stages()));
    }

    fn summary(&self) -> OursNs {
        OursNs {
            decode: self.decode.summary(),
            rules: self.rules.summary(),
            encode: self.encode.summary(),
            compress: self.compress.summary(),
            whole: self.whole.summary(),
        }
    }
}
