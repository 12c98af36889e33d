//! The evaluator against a naive interpreter of one event at a time, on random programs: the same fates, outputs, faults and counts.
//!
//! The interpreter knows nothing of plans, columns and masks: it walks trees of its own as the reference describes each statement, and the
//! compiler gets the same trees as text.

mod program;
mod random;
mod row;
mod run;
mod value;

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher as _, RandomState},
    path::Path,
    sync::Arc,
};

use logmon_dsl::{
    column::{Absence, Batch, Names, View, load},
    eval::{Evaluator, NoLookups, Outcome, RowFate, print_event},
    plan::Plan,
    program::{Mode, Reader, compile},
    render,
};
use serde_json::Value as Json;

use crate::{dice::Dice, plans::T0};
use program::Step;

/// Cases of one run: an event through a program is one. The environment variable `LOGMON_CASES` asks for more.
const CASES: usize = 10_500;
/// Events of a program.
const EVENTS: usize = 15;

struct One(String);

impl Reader for One {
    fn read(&self, _path: &Path) -> Result<String, String> {
        Ok(self.0.clone())
    }
}

/// The plan, or which codes refuse the program. Programs are made without types in mind everywhere, so some are refused.
fn plan(text: &str) -> Result<Arc<Plan>, String> {
    let compiled = compile(Path::new("main.rules"), &One(text.to_owned()), Mode::Test);
    match compiled.program {
        Some(program) => Ok(Arc::new(program.plan)),
        None => Err(render::render(&compiled.diagnostics, &compiled.sources, false)),
    }
}

/// The events in batches of these sizes through the evaluator.
struct Stream {
    plan: Arc<Plan>,
    evaluator: Evaluator,
    names: Names,
    offset: i64,
    counted: HashMap<String, f64>,
}

impl Stream {
    fn batch(&mut self, events: &[String], times: &[i64]) -> Vec<run::Outcome> {
        let mut batch = Batch::new(&self.plan.layout);
        let bytes: Vec<&[u8]> = events.iter().map(String::as_bytes).collect();
        load::load(&mut batch, &self.plan.layout, &mut self.names, &bytes).expect("events");
        batch.meta.lane = 1;
        batch.meta.topic = "t".into();
        batch.meta.offsets = (self.offset..self.offset + events.len() as i64).collect();
        batch.meta.times = times.to_vec();
        batch.meta.keys = vec![View::absent(Absence::Missing); events.len()];
        self.offset += events.len() as i64;
        let outcome = self.evaluator.run(&mut batch, &self.names, &mut NoLookups, true);
        for counted in &outcome.counted {
            let metric = &self.plan.metrics[counted.metric.0 as usize].name;
            let series = format!("{metric} {}", counted.labels.join(" "));
            *self.counted.entry(series).or_default() += counted.value;
        }
        let fates = outcome.event_fates();
        let one = |event: usize| run::Outcome {
            fate: self.fate(&outcome, fates[event]),
            sent: self.sent(&batch, &outcome, event),
            faults: self.faults(&outcome, event),
        };
        (0..events.len()).map(one).collect()
    }

    fn fate(&self, outcome: &Outcome, fate: RowFate) -> String {
        match fate {
            RowFate::Routed => "routed".to_owned(),
            RowFate::Unrouted => "unrouted".to_owned(),
            RowFate::Dropped { rule, reason } => {
                let reason = &outcome.reasons[reason as usize];
                format!("dropped by {} as {reason}", self.plan.rule(rule).name)
            }
        }
    }

    fn sent(&self, batch: &Batch, outcome: &Outcome, event: usize) -> Vec<String> {
        let mut all = Vec::new();
        for routed in &outcome.routed {
            for row in &routed.rows {
                let row = *row as usize;
                if outcome.origin(row) != event {
                    continue;
                }
                let mut text = Vec::new();
                let (layout, snapshot) = (&self.plan.layout, &routed.snapshot);
                print_event(&mut text, batch, layout, &self.names, snapshot, row, &routed.args);
                let json: Json = serde_json::from_slice(&text).expect("an event");
                let sink = &self.plan.sinks[routed.sink.0 as usize].name;
                all.push(format!("{sink} {}", value::canonical(&json)));
            }
        }
        all.sort();
        all
    }

    fn faults(&self, outcome: &Outcome, event: usize) -> Vec<String> {
        let of_event = outcome.fault_rows.iter().filter(|(row, ..)| *row as usize == event);
        let mut all: Vec<String> = of_event
            .map(|(_, site, why)| {
                let rule = self.plan.sites[site.0 as usize].rule;
                format!("{} {}", self.plan.rule(rule).name, why.name())
            })
            .collect();
        all.sort();
        all
    }
}

/// Runs a program both ways and says where they part.
fn compare(steps: &[Step], plan: Arc<Plan>, dice: &mut Dice) -> Result<(), String> {
    let events: Vec<String> = (0..EVENTS).map(|_| random::event(dice)).collect();
    let mut now = T0;
    let times: Vec<i64> = events
        .iter()
        .map(|_| {
            now += dice.roll(5) as i64 * 250_000_000;
            now
        })
        .collect();
    let mut memory = run::Memory::default();
    let expected: Vec<run::Outcome> = events
        .iter()
        .zip(&times)
        .map(|(event, now)| {
            let event = serde_json::from_str(event).expect("an event");
            run::run(steps, &event, *now, &mut memory)
        })
        .collect();
    let evaluator = Evaluator::new(plan.clone());
    let mut stream =
        Stream { plan, evaluator, names: Names::default(), offset: 0, counted: HashMap::new() };
    let cut = dice.roll(EVENTS);
    let mut found = stream.batch(&events[..cut], &times[..cut]);
    found.extend(stream.batch(&events[cut..], &times[cut..]));
    for ((event, found), expected) in events.iter().zip(&found).zip(&expected) {
        if found != expected {
            return Err(format!(
                "{event}\nthe evaluator: {found:#?}\nthe reference: {expected:#?}"
            ));
        }
    }
    // Batches are added up by themselves, so the last digits of a float may differ.
    let shown = |counted: &HashMap<String, f64>| -> BTreeMap<String, String> {
        counted.iter().map(|(series, sum)| (series.clone(), format!("{sum:.9e}"))).collect()
    };
    let (found, expected) = (shown(&stream.counted), shown(&memory.counted));
    if found == expected { Ok(()) } else { Err(format!("counted {found:?}, not {expected:?}")) }
}

fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The seed of this run; the environment variable `LOGMON_SEED` asks for the same again.
fn seed() -> u64 {
    asked("LOGMON_SEED").unwrap_or_else(|| RandomState::new().hash_one("seed"))
}

#[test]
fn random_programs_mean_what_the_reference_says() {
    let seed = seed();
    println!("LOGMON_SEED={seed}");
    let mut dice = Dice::new(seed);
    let (mut cases, mut refused, mut tried) = (0, 0, 0);
    let mut wrong: Option<String> = None;
    let wanted = asked("LOGMON_CASES").map_or(CASES, |cases| cases as usize);
    while cases < wanted {
        tried += 1;
        let steps = random::program(&mut dice);
        let text = program::text(&steps);
        match plan(&text) {
            Err(why) => {
                refused += 1;
                assert!(tried < 50 || refused * 10 < tried * 7, "too many are refused:\n{why}");
            }
            Ok(plan) => {
                if let Err(why) = compare(&steps, plan, &mut dice) {
                    let said = format!("{text}\n{why}");
                    // The shortest says most.
                    if wrong.as_ref().is_none_or(|known| said.len() < known.len()) {
                        wrong = Some(said);
                    }
                }
                cases += EVENTS;
            }
        }
    }
    if let Some(wrong) = wrong {
        panic!("LOGMON_SEED={seed}\n{wrong}");
    }
    println!("{cases} cases, {} programs, {refused} others refused", tried - refused);
}
