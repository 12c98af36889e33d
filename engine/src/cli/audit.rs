//! `audit`: what Kafka holds against what tables and dead letters hold.

use super::{
    place::{Opened, Place, fail, fail_all},
    print::safe,
    say,
};
use crate::{
    clock::{Clock as _, SystemClock},
    error::Exit,
    repair::{
        Repair, Trouble,
        audit::{Partition, Report, Stretches, Table},
        range::Point,
        walk::Ask,
    },
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// One source; all of them if left out
    #[arg(long)]
    source: Option<String>,
    /// One topic
    #[arg(long)]
    topic: Option<String>,
    /// One partition
    #[arg(long)]
    partition: Option<i32>,
    /// Where to begin: an offset, 2026-05-01T10:00:00Z, or 90m (ago); the first record that Kafka holds if left out
    #[arg(long, value_name = "OFFSET|TIME")]
    from: Option<String>,
    /// Where to end, likewise; at what the group has committed if left out
    #[arg(long, value_name = "OFFSET|TIME")]
    to: Option<String>,
    /// Print the report as JSON, one object
    #[arg(long)]
    json: bool,
}

/// Reads where to begin or to end.
pub(super) fn point(text: Option<&String>) -> Result<Option<Point>, Trouble> {
    let now = SystemClock::new().now();
    text.map(|text| Point::parse(text, now)).transpose().map_err(Trouble::Usage)
}

pub(super) fn audit(arguments: &Arguments) -> Exit {
    let ask = || {
        Ok(Ask {
            source: arguments.source.clone(),
            topic: arguments.topic.clone(),
            partition: arguments.partition,
            from: point(arguments.from.as_ref())?,
            to: point(arguments.to.as_ref())?,
        })
    };
    let ask = match ask() {
        Ok(ask) => ask,
        Err(trouble) => return fail(&trouble),
    };
    let Opened { config, program, .. } = match arguments.place.open() {
        Ok(opened) => opened,
        Err(exit) => return exit,
    };
    let report = match Repair::open(config, program) {
        Ok(repair) => repair.audit(&ask),
        Err(troubles) => return fail_all(&troubles),
    };
    match report {
        Err(trouble) => fail(&trouble),
        Ok(report) => {
            if arguments.json {
                say(serde_json::to_string_pretty(&report).expect("a report is plain data"));
            } else {
                print(&report);
            }
            if report.balanced { Exit::Fine } else { Exit::Rules }
        }
    }
}

fn print(report: &Report) {
    for partition in &report.partitions {
        print_partition(partition);
    }
    for note in &report.notes {
        say(format_args!("note: {}", safe(note)));
    }
    let records: u64 = report.partitions.iter().map(|partition| partition.records).sum();
    if report.balanced {
        let gone = report.partitions.iter().any(|partition| partition.gone.is_some());
        let only = if gone { "; what Kafka holds no more was only counted" } else { "" };
        say(format_args!("balanced: {records} records by the rules {}{only}", report.bundle));
        return;
    }
    let (missing, twice, unasked) = report.faults();
    let parts =
        [(missing, "missing"), (twice, "there more than once"), (unasked, "that no rule asks for")];
    let parts: Vec<String> =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} rows {what}")).collect();
    say(format_args!(
        "not balanced: {}",
        if parts.is_empty() {
            "copies where Kafka holds no more".to_owned()
        } else {
            parts.join(", ")
        }
    ));
    if missing > 0 {
        say("`logmon-engine rewind` stores what is missing, and only that");
    }
    if unasked > 0 || missing > 0 {
        say(format_args!(
            "if the rules of then were not these ({}), audit by those of then",
            report.bundle
        ));
    }
}

fn print_partition(partition: &Partition) {
    let Partition { source, topic, partition: number, from, to, committed, .. } = partition;
    let committed = committed.map_or_else(|| "nothing".to_owned(), |offset| offset.to_string());
    say(format_args!(
        "{} {}/{number}  offsets {from}..{to}, committed {committed}",
        safe(source),
        safe(topic)
    ));
    let holes = match partition.holes {
        0 => String::new(),
        n => format!(", {n} offsets without one (compacted, aborted, or the end of a transaction)"),
    };
    say(format_args!("  Kafka holds {} records{holes}", partition.records));
    let dropped: u64 = partition.dropped.values().sum();
    say(format_args!(
        "  by the rules: {} delivered, {dropped} dropped, {} dead letters",
        partition.delivered, partition.dead_lettered
    ));
    for (why, n) in &partition.dropped {
        say(format_args!("    dropped {n} by {}", safe(why)));
    }
    for table in &partition.tables {
        print_table(table);
    }
    if partition.expired > 0 {
        say(format_args!(
            "  {} rows are past their table's TTL by now: not asked for",
            partition.expired
        ));
    }
    if let Some(gone) = &partition.gone {
        say(format_args!(
            "  Kafka no longer holds {}..{} ({} offsets); of these",
            gone.from,
            gone.to,
            gone.to - gone.from
        ));
        for table in &gone.tables {
            say(format_args!(
                "    {} holds {} rows of {} records, {} of them copies",
                safe(&table.table),
                table.rows,
                table.records,
                table.copies
            ));
        }
    }
    if let Some(note) = &partition.note {
        say(format_args!("  {}", safe(note)));
    }
}

fn print_table(table: &Table) {
    let mut line = format!("  {}: {} of {} rows", safe(&table.table), table.there, table.expected);
    let parts = [
        (table.missing, "missing"),
        (table.moved, "stored elsewhere, or under another number"),
        (table.dead, "dead letters instead"),
        (table.twice, "there more than once"),
        (table.unasked, "that no rule asks for"),
        (table.older_letters, "letters of earlier rules or of the server"),
        (table.orphans, "of records that Kafka holds no more"),
    ];
    for (n, what) in parts {
        if n > 0 {
            line.push_str(&format!(", {n} {what}"));
        }
    }
    say(line);
    for (what, stretches, all) in [
        ("MISSING", &table.missing_at, table.missing),
        ("TWICE", &table.twice_at, table.twice),
        ("UNASKED", &table.unasked_at, table.unasked),
    ] {
        for Stretches { first, last, rows } in stretches {
            say(format_args!("    {what} {first}..{} ({rows} rows)", last + 1));
        }
        let told: u64 = stretches.iter().map(|stretch| stretch.rows).sum();
        if told < all {
            say(format_args!("    {what} {} rows more, behind these", all - told));
        }
    }
}
