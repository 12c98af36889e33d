//! From one rule to a thousand.

use anyhow::ensure;
use logmon_benches::{
    arguments::Arguments,
    events::events,
    figures::{Figure, Summary},
    literals,
    plot::Plot,
    program::{bound_text, ten_rules},
    report::{Table, say},
    stages::{Desk, Produced},
};
use logmon_engine::sink::clickhouse::Compression;
use serde::Serialize;

use crate::{
    Ours, OursNs, SEED,
    in_vrl::{TEN, Vrl},
};

/// 510 are 500 more than the ten.
const RULES: [usize; 6] = [1, 10, 100, 500, 510, 1000];
/// 36 MB of JSON: more than the last cache of this machine's kind holds.
const EVENTS: usize = 50_000;
/// VRL walks over the first of them only: a thousand rules would take it a minute a round.
const VRL_EVENTS: usize = 10_000;

/// What was measured with that many rules.
#[derive(Serialize)]
pub(crate) struct Point {
    pub(crate) rules: usize,
    /// Events that a literal rule found.
    found: u64,
    pub(crate) ours: OursNs,
    vrl: Summary,
}

struct Lane {
    rules: usize,
    desk: Desk,
    produced: Produced,
    found: u64,
    vrl: Vrl,
    ours: Ours,
    vrl_ns: Figure,
}

pub(crate) fn measure(arguments: &Arguments, rounds: usize) -> anyhow::Result<Vec<Point>> {
    let count = arguments.number("events", EVENTS)?.max(1);
    let few = arguments.number("vrl-events", VRL_EVENTS)?.clamp(1, count);
    let events = events(count, SEED);
    let ten = std::fs::read_to_string(ten_rules())?;
    let mut lanes = Vec::new();
    for rules in RULES {
        let bound = bound_text(&literals::rules(&ten, rules)?)?;
        ensure!(bound.plan.rules.len() == rules, "{} rules, not {rules}", bound.plan.rules.len());
        let mut vrl = Vrl::new(&literals::vrl(TEN, rules)?)?;
        // Both programs find the same events, or they are not the same program.
        let mut sample = Desk::new(&bound, &events[..few]);
        let (_, produced) = sample.walk(&events[..few], Compression::Lz4);
        let (_, printed) = vrl.walk(&events[..few])?;
        let (ours, mut theirs) = (sample.matched(literals::PREFIX), 0);
        vrl.each(&events[..few], |event| {
            theirs += u64::from(event.as_object().is_some_and(|it| it.contains_key("detection")));
        })?;
        ensure!(
            ours == theirs && printed.kept + produced.dropped == few,
            "{rules} rules mean the same in both: {ours} found, {theirs} in VRL; {produced:?}, {printed:?}"
        );
        let mut desk = Desk::new(&bound, &events);
        let (_, produced) = desk.walk(&events, Compression::Lz4);
        let found = desk.matched(literals::PREFIX);
        lanes.push(Lane {
            rules,
            desk,
            produced,
            found,
            vrl,
            ours: Ours::default(),
            vrl_ns: Figure::default(),
        });
    }
    for round in 1..=rounds {
        say(&format!("rules: round {round} of {rounds}"))?;
        for lane in &mut lanes {
            let (spent, again) = lane.desk.walk(&events, Compression::Lz4);
            ensure!(
                again.rows == lane.produced.rows && again.dropped == lane.produced.dropped,
                "every walk makes the same rows: {again:?}"
            );
            lane.ours.add(&spent, count);
            lane.vrl_ns.add(lane.vrl.walk(&events[..few])?.0 as f64 / few as f64);
        }
    }
    let point = |lane: Lane| Point {
        rules: lane.rules,
        found: lane.found,
        ours: lane.ours.summary(),
        vrl: lane.vrl_ns.summary(),
    };
    Ok(lanes.into_iter().map(point).collect())
}

pub(crate) fn table(points: &[Point]) -> Table {
    let mut table = Table::new(
        "CPU ns an event by number of rules (medians):",
        &["rules", "rules stage", "whole", "VRL", "VRL / whole", "events found"],
    );
    for point in points {
        let (whole, vrl) = (point.ours.whole.median, point.vrl.median);
        table.row(
            point.rules.to_string(),
            [
                format!("{:.0}", point.ours.rules.median),
                format!("{whole:.0}"),
                format!("{vrl:.0}"),
                format!("{:.1}", vrl / whole),
                point.found.to_string(),
            ],
        );
    }
    table
}

pub(crate) fn plot(points: &[Point]) -> Plot {
    // 510 would stand on 500's place.
    let points: Vec<&Point> = points.iter().filter(|point| point.rules != 510).collect();
    let line = |name: &str, of: fn(&Point) -> f64| {
        (name.to_owned(), points.iter().map(|point| Some(of(point))).collect())
    };
    Plot {
        title: "What an event costs by number of rules".to_owned(),
        across: "rules".to_owned(),
        upward: "CPU ns an event".to_owned(),
        places: points.iter().map(|point| (point.rules as f64, point.rules.to_string())).collect(),
        lines: vec![
            line("VRL", |point| point.vrl.median),
            line("logmon, whole", |point| point.ours.whole.median),
            line("logmon, rules stage", |point| point.ours.rules.median),
        ],
    }
}
