//! Statements that remember: batches against single events, reloads, windows and alerts.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use logmon_dsl::{
    column::{Absence, Batch, Names, View, load},
    eval::{Evaluator, NoLookups, Outcome, Routed, print_event},
    plan::Plan,
    program::{Mode, Options, Reader, compile_with},
    state,
};
use proptest::prelude::*;

use crate::{
    dice::Dice,
    plans::T0,
    programs::{failures, program},
};

const SECOND: i64 = 1_000_000_000;

/// One event: when Kafka took it, and its text.
type Event = (i64, String);

/// Runs events in batches of these sizes, and says per event what came of it.
struct Stream {
    plan: Arc<Plan>,
    evaluator: Evaluator,
    names: Names,
    offset: i64,
    lane: u64,
    /// By metric and labels.
    counted: BTreeMap<(u32, Vec<String>), f64>,
    late: u64,
}

impl Stream {
    fn new(rules: &str) -> Self {
        let plan = Arc::new(program(&[("main.rules", rules)]).plan);
        Self {
            evaluator: Evaluator::new(plan.clone()),
            plan,
            names: Names::default(),
            offset: 0,
            lane: 1,
            counted: BTreeMap::new(),
            late: 0,
        }
    }

    fn batch(&mut self, events: &[Event]) -> Vec<String> {
        let mut batch = Batch::new(&self.plan.layout);
        let bytes: Vec<&[u8]> = events.iter().map(|(_, event)| event.as_bytes()).collect();
        load::load(&mut batch, &self.plan.layout, &mut self.names, &bytes).expect("events");
        batch.meta.lane = self.lane;
        batch.meta.topic = "t".into();
        batch.meta.offsets = (self.offset..self.offset + events.len() as i64).collect();
        batch.meta.times = events.iter().map(|(time, _)| *time).collect();
        batch.meta.keys = vec![View::absent(Absence::Missing); events.len()];
        let outcome = self.evaluator.run(&mut batch, &self.names, &mut NoLookups, true);
        let first = self.offset;
        self.offset += events.len() as i64;
        for counted in &outcome.counted {
            let key = (counted.metric.0, counted.labels.clone());
            *self.counted.entry(key).or_default() += counted.value;
        }
        self.late += outcome.windows.iter().map(|(_, count)| count.late).sum::<u64>();
        let fates = outcome.event_fates();
        (0..events.len())
            .map(|event| {
                let mut lines = self.outputs(&batch, &outcome, event);
                lines.extend(self.rows(&outcome, first + event as i64));
                lines.sort();
                let mut faults: Vec<String> = outcome
                    .fault_rows
                    .iter()
                    .filter(|(at, ..)| *at as usize == event)
                    .map(|(_, site, why)| format!("fault {} {}", site.0, why.name()))
                    .collect();
                faults.sort();
                lines.extend(faults);
                format!("{:?}\n  {}", fates[event], lines.join("\n  "))
            })
            .collect()
    }

    fn outputs(&self, batch: &Batch, outcome: &Outcome, event: usize) -> Vec<String> {
        let mut lines = Vec::new();
        for routed in &outcome.routed {
            for (place, row) in routed.rows.iter().enumerate() {
                if outcome.origin(*row as usize) == event {
                    assert_eq!(batch.meta.offsets[*row as usize], batch.meta.offsets[event]);
                    lines.push(self.output(batch, routed, place));
                }
            }
        }
        lines
    }

    /// Rows of windows that stand in the place of an offset.
    fn rows(&self, outcome: &Outcome, offset: i64) -> Vec<String> {
        let mut lines = Vec::new();
        for rolled in &outcome.rolled {
            for routed in &rolled.routed {
                for (place, row) in routed.rows.iter().enumerate() {
                    if rolled.batch.meta.offsets[*row as usize] == offset {
                        lines.push(self.output(&rolled.batch, routed, place));
                    }
                }
            }
        }
        lines
    }

    fn output(&self, batch: &Batch, routed: &Routed, place: usize) -> String {
        let mut event = Vec::new();
        let row = routed.rows[place] as usize;
        let (layout, snapshot) = (&self.plan.layout, &routed.snapshot);
        print_event(&mut event, batch, layout, &self.names, snapshot, row, &routed.args);
        let sink = &self.plan.sinks[routed.sink.0 as usize].name;
        let event = String::from_utf8(event).expect("text");
        serde_json::from_str::<serde_json::Value>(&event).expect(&event);
        format!("#{:03} {sink} {event}", routed.emit_ix[place])
    }
}

const EVERYTHING: &str = r#"source app
sink a : { ... }
sink w : { ... }

rule thin on app {
  limit 2/s burst 3 by .service max_keys 3 else { .limited = true  route to a }
}
rule twice on app when .x is present {
  dedup by .service, .x within 3s else {
    if .dedup_count > 3 { drop }
    tag "again"
  }
}
group one first {
  rule each on app when .items is present {
    let n = .y
    emit each .items as .item
    .n = n
    dedup by .item within 5s else { .times = .dedup_count  return }
    if .item == 1 { route to a } else { emit each .more as .m.n }
  }
  rule whole on app when .parts is present {
    if .x == 1 { emit each .parts } else { del .y }
    .seen = true
  }
  rule rest on app { .rest = true }
}
@shadow
rule look on app { .service = "shadow"  limit 1/s by .service else { drop }  route to a }
@canary(50%)
rule half on app { .half = true  emit each .halves as .h }
rule counts on app { count seen by .service value .x  del .parts }
window roll on app when .x is present {
  over 4s every 2s late 1s
  by .service, .h
  let n = count()
  let s = sum(.x)
  let tops = top(.y, 2)
  let first = first(.x)
  let ratio = s / n
  route to w, a(extra: ratio)
}
window all on app { over 2s  let n = count()  let u = uniq(.x)  route to w }
default route to a
"#;

fn event(dice: &mut Dice, now: &mut i64) -> Event {
    *now += dice.roll(4) as i64 * SECOND / 3;
    let mut members = Vec::new();
    let choices: [(&str, &[&str]); 9] = [
        ("service", &["\"web\"", "\"api\"", "7", "null", "\"db\"", "\"etc\""]),
        ("x", &["1", "2", "2.5", "\"no\"", "null", "-3"]),
        ("y", &["\"p\"", "\"q\"", "[1]", "\"a\\u0062\""]),
        ("items", &["[1,2]", "[1,[2,3],{\"a\":1}]", "[]", "7", "null", "[null,1]"]),
        ("more", &["[5,6]", "[{\"b\":\"t\"}]"]),
        ("parts", &["[{\"x\":2,\"z\":{\"q\":1}},{\"y\":\"p\"}]", "[1]", "[{}]"]),
        ("halves", &["[1,2,3]", "\"x\""]),
        ("z", &["{\"q\":2,\"r\":[1]}", "1"]),
        ("m", &["{\"k\":1}", "\"no record\""]),
    ];
    for (key, values) in choices {
        if dice.roll(5) < 3 {
            members.push(format!("\"{key}\":{}", dice.pick(values)));
        }
    }
    if dice.roll(3) == 0 {
        let off = dice.roll(9) as i64 - 6;
        let time = jiff_text(*now + off * SECOND);
        members.push(format!("\"timestamp\":\"{time}\""));
    }
    (*now, format!("{{{}}}", members.join(",")))
}

fn jiff_text(nanos: i64) -> String {
    let mut text = Vec::new();
    logmon_dsl::column::print::timestamp(&mut text, nanos);
    String::from_utf8(text).expect("text").trim_matches('"').to_owned()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn batches_give_what_single_events_give(seed in 1u64.., n in 1usize..90) {
        let mut dice = Dice::new(seed);
        let mut now = T0;
        let events: Vec<Event> = (0..n).map(|_| event(&mut dice, &mut now)).collect();
        let mut alone = Stream::new(EVERYTHING);
        let one_by_one: Vec<String> =
            events.iter().flat_map(|event| alone.batch(std::slice::from_ref(event))).collect();
        let mut cut = Stream::new(EVERYTHING);
        let mut together = Vec::new();
        let mut left = &events[..];
        while !left.is_empty() {
            let len = (dice.roll(40) + 1).min(left.len());
            together.extend(cut.batch(&left[..len]));
            left = &left[len..];
        }
        for (at, (a, b)) in one_by_one.iter().zip(&together).enumerate() {
            prop_assert_eq!(a, b, "event {} of {:?}", at, events);
        }
        prop_assert_eq!(alone.counted, cut.counted);
        prop_assert_eq!(alone.late, cut.late);
    }
}

#[test]
fn a_reload_keeps_what_still_means_the_same() {
    let rules = |limit: &str, name: &str| {
        format!(
            "source app\nsink a : {{ ... }}\n\
             {name} on app {{ limit {limit} by .service }}\n\
             rule d on app {{ dedup by .x within 60s }}\ndefault route to a\n"
        )
    };
    let event = |x: u32| (T0, format!("{{\"service\":\"web\",\"x\":{x}}}"));
    let mut stream = Stream::new(&rules("2/m", "rule l"));
    let passed = |lines: &[String]| lines.iter().filter(|it| it.contains("Routed")).count();
    assert_eq!(passed(&stream.batch(&[event(1), event(2), event(3)])), 2);
    let reload = |stream: &mut Stream, text: &str| {
        let plan = Arc::new(program(&[("main.rules", text)]).plan);
        let resets = state::resets(&stream.plan, &plan);
        let old = std::mem::replace(&mut stream.evaluator, Evaluator::new(plan.clone()));
        stream.evaluator.adopt(old);
        stream.plan = plan;
        resets
    };
    // A comment, another order of words: nothing changed.
    let same = rules("2/m", "rule l").replace("by .service", "by   .service # keys\n");
    assert_eq!(reload(&mut stream, &same), Vec::<String>::new());
    assert_eq!(passed(&stream.batch(&[event(4)])), 0);
    // Renamed, and said so.
    let renamed = rules("2/m", "@was(\"l\") rule fair");
    assert_eq!(reload(&mut stream, &renamed), Vec::<String>::new());
    assert_eq!(passed(&stream.batch(&[event(4)])), 0);
    // Another number is another limit; the other statement remembers on.
    assert_eq!(reload(&mut stream, &rules("3/m", "rule fair")), ["main/fair limit"]);
    assert_eq!(passed(&stream.batch(&[event(1), event(4)])), 1);
}

#[test]
fn another_stay_of_a_partition_begins_anew() {
    let rules =
        "source app\nsink a : { ... }\nrule d { dedup by .x within 60s }\ndefault route to a\n";
    let mut stream = Stream::new(rules);
    let event = [(T0, "{\"x\":1}".to_owned())];
    assert!(stream.batch(&event)[0].starts_with("Routed"));
    assert!(stream.batch(&event)[0].starts_with("Dropped"));
    stream.lane += 1;
    assert!(stream.batch(&event)[0].starts_with("Routed"));
}

#[test]
fn reading_again_from_the_mark_rebuilds_what_was_known() {
    let rules = "source app\nsink a : { ... }\n\
                 window w on app { over 3s by .x let n = count() let all = sum(.x) route to a }\n\
                 window o on app { over 6s every 2s late 2s by .x let n = count() route to a }\n\
                 default route to a\n";
    let mut dice = Dice::new(77);
    let mut now = T0;
    let events: Vec<Event> = (0..300).map(|_| event(&mut dice, &mut now)).collect();
    let mut whole = Stream::new(rules);
    whole.batch(&events[..200]);
    let since = whole.evaluator.since("app", "t", 0).expect("something is remembered");
    assert!(since > 0 && since < 200, "{since}");
    let wanted = whole.batch(&events[200..]);
    let mut again = Stream::new(rules);
    again.offset = since;
    again.batch(&events[since as usize..200]);
    assert_eq!(again.batch(&events[200..]), wanted);
}

#[test]
fn late_events_are_counted_and_change_nothing() {
    let rules = "source app\nsink a : { ... }\nwindow w on app { over 10s late 5s let n = count() route to a }\ndefault route to a\n";
    let mut stream = Stream::new(rules);
    let event = |at: i64, now: i64| {
        (T0 + now * SECOND, format!("{{\"timestamp\":\"{}\"}}", jiff_text(T0 + at * SECOND)))
    };
    let lines =
        stream.batch(&[event(1, 1), event(14, 14), event(9, 14), event(15, 15), event(9, 16)]);
    assert_eq!(stream.late, 1);
    assert!(lines[3].contains(r#""n":2"#), "{}", lines[3]);
    let future = stream.batch(&[event(1_000, 17)]);
    assert!(!future[0].contains(r#""n""#), "time comes from Kafka where an event is ahead of it");
}

#[test]
fn what_windows_and_alerts_compute() {
    let rules = r#"source app : { d: duration?, ... }
sink a : { ... }
lookup oncall(string) -> { team: string }?

window all on app when .v is present {
  over 1m
  let n = count()
  let total = sum(.v)
  let mean = avg(.v)
  let low = min(.v)
  let high = max(.v)
  let spread = stddev(.v)
  let mid = quantile(.v, 0.5)
  let kinds = uniq(.k)
  let pace = rate()
  let begun = first(.k)
  let ended = last(.k)
  let often = top(.k, 1)
  let both = round(avg(.v) + 1, 1)
  let odd = sum(.v where .k == "x") ?? 0
  let took = max(.d)
  let spent = sum(.d)
  let each = avg(.d)
  let least = min(4, n)
  route to a(kind: "roll", half: total / 2)
}
alert many on app {
  over 2m every 1m
  by .k
  let n = count()
  fire when n > 1 for 1m resolve after 1m
  severity if n > 2 { critical } else { warn }
  summary f"{n} of {.k}"
  labels { team: oncall("x").team ?? "none" }
  notify pager
}
default route to a

test "every aggregate" {
  at t"2026-05-01T10:00:00Z"
  given { v: 1, k: "x", d: "1s" }
  given { v: 2, k: "y", d: "2s" }
  given { v: 3, k: "x" }
  given { v: 6, k: "x" }
  given { v: "text", k: "z" }
  given { k: "never" }
  advance 1m
  expect routed to a {
    .kind == "roll"
    .n == 5
    .total == 12
    .half == 6
    .mean == 3
    .low == 1
    .high == 6
    .mid == 2.5
    .kinds == 3
    .begun == "x"
    .ended == "z"
    .often == ["x"]
    .both == 4.0
    .odd == 10
    .least == 4
    .took == "2s"
    .spent == "3s"
    .each == "1s500ms"
  }
}

test "nothing came in" {
  at t"2026-05-01T10:00:00Z"
  advance 1m
  expect routed to a { .n == 0  .total is missing  .mean is missing  .often == []  .kinds == 0 }
}

test "by key, and over again" {
  at t"2026-05-01T10:00:00Z"
  mock oncall { "x" => { team: "sre" } }
  given x3 { k: "hot" }
  given { k: "cold" }
  advance 1m
  expect silent by many
  advance 1m
  expect fired by many { .k == "hot"  .n == 3  .severity == critical  .summary == "3 of hot"  .labels.team == "sre" }
}
"#;
    assert_eq!(failures(&[("main.rules", rules)]), Vec::<String>::new());
}

#[test]
fn enums_are_text_of_a_few_kinds() {
    let rules = r#"enum tier ordered { free, trial, paid }
enum color { red, green }
source app : { tier: tier, loud: tier? coerce, color: color?, ... }
sink a : { ... }

rule order on app when .tier >= trial { .big = true }
rule member on app when .color == red and .tier in [free, paid] { .seen = true }
rule name on app { .said = match .tier { free => "no money", trial | paid => "money" } }
rule from_text on app { .tier = string(.next) ?? "none" }
rule loud on app when .loud == paid { .paid = true }
default route to a

test "members have an order, and are text" {
  given { tier: "trial", color: "red" }
  expect routed { .big == true  .seen is missing  .said == "money"  .tier == trial }
  given { tier: "free", color: "red" }
  expect routed { .big is missing  .seen == true  .said == "no money" }
}

test "what is no member is absent" {
  given { tier: "PAID", color: "blue" }
  expect routed { .big is missing  .said is missing }
  given { tier: "free", next: "paid", loud: "PAID" }
  expect routed { .tier == paid  .paid == true }
}
"#;
    assert_eq!(failures(&[("main.rules", rules)]), Vec::<String>::new());
}

/// A text.
struct Only(&'static str);

impl Reader for Only {
    fn read(&self, _path: &Path) -> Result<String, String> {
        Ok(self.0.to_owned())
    }
}

#[test]
fn rules_expire_with_a_warning_and_then_for_good() {
    let rules = "source app\nsink a : { ... }\n@expires(t\"2026-01-01T00:00:00Z\")\nrule r { .x = 1 }\ndefault route to a\n";
    let days = |n: i64| T0 + n * 86_400 * SECOND;
    let said = |now: i64| {
        let options = Options { now: Some(now), ..Options::default() };
        let entry = Path::new("main.rules");
        let compiled = compile_with(entry, &Only(rules), Mode::Test, &options);
        let codes: Vec<_> = compiled.diagnostics.iter().map(|it| it.code.name()).collect();
        (codes.join(" "), compiled.program.is_some())
    };
    assert_eq!(said(days(-1)), (String::new(), true));
    assert_eq!(said(days(1)), ("W702".to_owned(), true));
    assert_eq!(said(days(31)), ("E703".to_owned(), false));
}
