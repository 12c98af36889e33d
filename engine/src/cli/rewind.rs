//! `rewind`: a range of Kafka read once more, and what is missing of it stored.

use super::{
    audit::point,
    place::{Opened, Place, fail, fail_all},
    print::safe,
    say,
};
use crate::{
    error::Exit,
    repair::{
        Repair, Trouble,
        range::{self, Point},
        rewind::Report,
        walk::Ask,
    },
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// The source whose records are read
    #[arg(long)]
    source: String,
    /// One topic; all of the source if left out
    #[arg(long)]
    topic: Option<String>,
    /// One partition; all of them if left out
    #[arg(long)]
    partition: Option<i32>,
    /// The offsets of that partition: 1200..1300 (without 1300)
    #[arg(long, value_name = "A..B", requires = "partition", conflicts_with_all = ["from", "to"])]
    offset: Option<String>,
    /// Where to begin: an offset, 2026-05-01T10:00:00Z, or 90m (ago)
    #[arg(long, value_name = "OFFSET|TIME", required_unless_present = "offset")]
    from: Option<String>,
    /// Where to end, likewise; at what the group has committed if left out
    #[arg(long, value_name = "OFFSET|TIME")]
    to: Option<String>,
    /// Say what is missing, and store nothing
    #[arg(long)]
    dry_run: bool,
    /// Where the group has no offset (expired, or reset), let it go on where the rewind ended; it must have no members
    #[arg(long, conflicts_with = "dry_run")]
    resume: bool,
    /// Print the report as JSON, one object
    #[arg(long)]
    json: bool,
}

pub(super) fn rewind(arguments: &Arguments) -> Exit {
    let ask = match ask(arguments) {
        Ok(ask) => ask,
        Err(trouble) => return fail(&trouble),
    };
    let Opened { config, program, .. } = match arguments.place.open() {
        Ok(opened) => opened,
        Err(exit) => return exit,
    };
    let repair = match Repair::open(config, program) {
        Ok(repair) => repair,
        Err(troubles) => return fail_all(&troubles),
    };
    match repair.rewind(&ask, arguments.dry_run, arguments.resume) {
        Err(trouble) => fail(&trouble),
        Ok(report) => {
            if arguments.json {
                say(serde_json::to_string_pretty(&report).expect("a report is plain data"));
            } else {
                print(&report, &repair.run);
            }
            Exit::Fine
        }
    }
}

fn ask(arguments: &Arguments) -> Result<Ask, Trouble> {
    let (mut from, mut to) = (point(arguments.from.as_ref())?, point(arguments.to.as_ref())?);
    if let Some(offset) = &arguments.offset {
        let offsets = range::offsets(offset).map_err(Trouble::Usage)?;
        from = Some(Point::Offset(offsets.start));
        to = Some(Point::Offset(offsets.end));
    }
    Ok(Ask {
        source: Some(arguments.source.clone()),
        topic: arguments.topic.clone(),
        partition: arguments.partition,
        from,
        to,
    })
}

fn print(report: &Report, run: &str) {
    for partition in &report.partitions {
        let place = format!("{}/{}", safe(&partition.topic), partition.partition);
        say(format_args!(
            "{} {place}  offsets {}..{}: {} records, {} rows should be there",
            safe(&partition.source),
            partition.from,
            partition.to,
            partition.records,
            partition.expected
        ));
        for (table, rows) in &partition.missing {
            let stored = partition.stored.get(table).copied().unwrap_or(0);
            let done = if report.dry_run {
                "missing".to_owned()
            } else {
                format!("were missing, {stored} stored")
            };
            say(format_args!("  {}: {rows} rows {done}", safe(table)));
        }
        if partition.missing.is_empty() {
            say("  nothing is missing");
        }
        if partition.gone > 0 {
            say(format_args!("  Kafka no longer holds the first {} offsets of it", partition.gone));
        }
        if let Some(offset) = partition.resumes_at {
            say(format_args!("  the group goes on at offset {offset}"));
        }
        if let Some(note) = &partition.note {
            say(format_args!("  {}", safe(note)));
        }
    }
    let sum = |pick: fn(
        &crate::repair::rewind::Partition,
    ) -> &std::collections::BTreeMap<String, u64>|
     -> u64 {
        report.partitions.iter().flat_map(|partition| pick(partition).values()).sum()
    };
    let (missing, stored) = (sum(|one| &one.missing), sum(|one| &one.stored));
    if report.dry_run {
        say(format_args!(
            "nothing was stored; {missing} rows are missing by the rules {}",
            report.bundle
        ));
    } else {
        say(format_args!(
            "{stored} of {missing} missing rows stored by the rules {}, run {run}",
            report.bundle
        ));
    }
}
