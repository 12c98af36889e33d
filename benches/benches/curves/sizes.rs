//! From terse lines to documents.

use anyhow::ensure;
use logmon_benches::{
    by_hand::ByHand,
    figures::{Figure, Summary},
    plot::Plot,
    program::{bound, ten_rules},
    report::{Table, say},
    sized::{SIZES, Size, sized},
    stages::{Desk, Produced},
};
use logmon_engine::sink::clickhouse::Compression;
use serde::Serialize;

use crate::{
    Ours, OursNs, SEED,
    in_vrl::{TEN, Vrl},
};

/// JSON a size: more than the last cache of this machine's kind holds.
const BYTES: usize = 40 << 20;

/// What was measured with events of a size.
#[derive(Serialize)]
pub(crate) struct Point {
    size: Size,
    events: usize,
    bytes_per_event: f64,
    ours: OursNs,
    vrl: Summary,
    serde_json: Summary,
}

struct Lane {
    size: Size,
    events: Vec<String>,
    desk: Desk,
    produced: Produced,
    ours: Ours,
    vrl: Figure,
    by_hand: Figure,
}

pub(crate) fn measure(rounds: usize) -> anyhow::Result<Vec<Point>> {
    let bound = bound(&ten_rules())?;
    let (mut vrl, mut by_hand) = (Vrl::new(TEN)?, ByHand::new()?);
    let mut lanes = Vec::new();
    for size in SIZES {
        let events = sized(size, BYTES / size.bytes, SEED);
        let mut desk = Desk::new(&bound, &events);
        let (_, produced) = desk.walk(&events, Compression::Lz4);
        ensure!(produced.rejected == 0, "every event is JSON: {produced:?}");
        let (_, printed) = vrl.walk(&events)?;
        let (_, by_hand) = by_hand.walk(&events)?;
        ensure!(
            printed.kept + produced.dropped == events.len()
                && printed.kept + printed.errors == produced.rows
                && (by_hand.kept, by_hand.errors) == (printed.kept, printed.errors),
            "all three programs mean the same: {produced:?}, {printed:?}, {by_hand:?}"
        );
        lanes.push(Lane {
            size,
            events,
            desk,
            produced,
            ours: Ours::default(),
            vrl: Figure::default(),
            by_hand: Figure::default(),
        });
    }
    for round in 1..=rounds {
        say(&format!("sizes: round {round} of {rounds}"))?;
        for lane in &mut lanes {
            let each = |nanoseconds: u64| nanoseconds as f64 / lane.events.len() as f64;
            let (spent, again) = lane.desk.walk(&lane.events, Compression::Lz4);
            ensure!(again.rows == lane.produced.rows, "every walk makes the same rows: {again:?}");
            lane.ours.add(&spent, lane.events.len());
            lane.vrl.add(each(vrl.walk(&lane.events)?.0));
            lane.by_hand.add(each(by_hand.walk(&lane.events)?.0));
        }
    }
    let point = |lane: Lane| Point {
        size: lane.size,
        events: lane.events.len(),
        bytes_per_event: lane.events.iter().map(String::len).sum::<usize>() as f64
            / lane.events.len() as f64,
        ours: lane.ours.summary(),
        vrl: lane.vrl.summary(),
        serde_json: lane.by_hand.summary(),
    };
    Ok(lanes.into_iter().map(point).collect())
}

pub(crate) fn table(points: &[Point]) -> Table {
    let mut table = Table::new(
        "CPU ns an event by size, the ten rules (medians):",
        &[
            "members",
            "bytes",
            "decode",
            "rules",
            "encode",
            "compress",
            "whole",
            "VRL",
            "serde_json",
            "VRL / whole",
            "VRL / before LZ4",
        ],
    );
    for point in points {
        let ours = &point.ours;
        let mut cells: Vec<String> = [
            point.bytes_per_event,
            ours.decode.median,
            ours.rules.median,
            ours.encode.median,
            ours.compress.median,
            ours.whole.median,
            point.vrl.median,
            point.serde_json.median,
        ]
        .iter()
        .map(|number| format!("{number:.0}"))
        .collect();
        cells.push(format!("{:.1}", point.vrl.median / ours.whole.median));
        cells.push(format!("{:.1}", point.vrl.median / ours.before_compression()));
        table.row(point.size.members.to_string(), cells);
    }
    table
}

pub(crate) fn plot(points: &[Point]) -> Plot {
    let line = |name: &str, of: fn(&Point) -> f64| {
        (name.to_owned(), points.iter().map(|point| Some(of(point))).collect())
    };
    Plot {
        title: "What an event costs by its size".to_owned(),
        across: "bytes an event (members)".to_owned(),
        upward: "CPU ns an event".to_owned(),
        places: points
            .iter()
            .map(|point| {
                let bytes = point.bytes_per_event;
                (bytes, format!("{bytes:.0} ({})", point.size.members))
            })
            .collect(),
        lines: vec![
            line("VRL", |point| point.vrl.median),
            line("serde_json by hand", |point| point.serde_json.median),
            line("logmon, whole", |point| point.ours.whole.median),
            line("logmon, before LZ4", |point| point.ours.before_compression()),
        ],
    }
}
