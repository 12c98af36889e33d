//! One event at a time through a program: the reference read aloud, statement by statement.

use std::collections::HashMap;

use serde_json::Value as Json;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    program::{E, Path, Rule, S, Step},
    row::{Row, keep, put},
    value::V,
};

/// What became of an event.
#[derive(Debug, PartialEq)]
pub(super) struct Outcome {
    pub(super) fate: String,
    /// Sink and event, sorted.
    pub(super) sent: Vec<String>,
    /// Rule and cause, sorted.
    pub(super) faults: Vec<String>,
}

/// What a program remembers from event to event.
#[derive(Default)]
pub(super) struct Memory {
    buckets: HashMap<(usize, String), (i128, i64)>,
    passed: HashMap<(usize, String), (i64, i64)>,
    pub(super) counted: HashMap<String, f64>,
}

/// One event's pass.
struct Pass<'p> {
    memory: &'p mut Memory,
    now: i64,
    rule: String,
    /// Rows that left the rule by `return`, and are still on their way.
    returned: Vec<Row>,
    /// Whether a row was routed.
    routed: bool,
    /// By whom the first row was dropped.
    dropped: String,
    sent: Vec<String>,
    faults: Vec<String>,
}

/// Runs a program over one event.
pub(super) fn run(steps: &[Step], event: &Json, now: i64, memory: &mut Memory) -> Outcome {
    let mut pass = Pass {
        memory,
        now,
        rule: String::new(),
        returned: vec![],
        routed: false,
        dropped: String::new(),
        sent: vec![],
        faults: vec![],
    };
    let event = V::from_json(event);
    let row = Row { event, written: vec![], locals: HashMap::new(), routed: false, first: true };
    let mut rows = vec![row];
    for step in steps {
        match step {
            Step::Rule(rule) => {
                let (hold, mut others) = split(rows, rule.when.as_ref());
                others.extend(pass.rule(rule, hold));
                rows = others;
            }
            Step::Group { first, when, rules, .. } => {
                let (mut inside, mut outside) = split(rows, when.as_ref());
                for rule in rules {
                    let (hold, others) = split(inside, rule.when.as_ref());
                    let back = pass.rule(rule, hold);
                    inside = others;
                    if *first { &mut outside } else { &mut inside }.extend(back);
                }
                outside.extend(inside);
                rows = outside;
            }
        }
    }
    for row in &rows {
        if !row.routed {
            pass.send("one", row, None);
        }
    }
    let fate = if pass.routed { "routed".to_owned() } else { pass.dropped };
    pass.sent.sort();
    pass.faults.sort();
    Outcome { fate, sent: pass.sent, faults: pass.faults }
}

fn split(rows: Vec<Row>, when: Option<&E>) -> (Vec<Row>, Vec<Row>) {
    rows.into_iter().partition(|row| when.is_none_or(|when| row.holds(when)))
}

impl Pass<'_> {
    fn rule(&mut self, rule: &Rule, rows: Vec<Row>) -> Vec<Row> {
        self.rule.clone_from(&rule.name);
        let mut rows = self.block(&rule.body, rows);
        rows.append(&mut self.returned);
        for row in &mut rows {
            row.locals.clear();
        }
        rows
    }

    /// Runs statements; what comes back goes on behind the block.
    fn block(&mut self, body: &[S], rows: Vec<Row>) -> Vec<Row> {
        let mut rows = rows;
        let mut behind = Vec::new();
        for statement in body {
            let mut on = Vec::new();
            for row in rows {
                let (stay, past) = self.stmt(statement, row);
                on.extend(stay);
                behind.extend(past);
            }
            rows = on;
        }
        rows.extend(behind);
        rows
    }

    fn branch(&mut self, body: Option<&Vec<S>>, row: Row) -> Vec<Row> {
        match body {
            Some(body) => self.block(body, vec![row]),
            None => vec![row],
        }
    }

    fn fault(&mut self, why: &str) {
        self.faults.push(format!("{} {why}", self.rule));
    }

    /// Counts what went wrong; what is merely not there is no fault.
    fn fault_of(&mut self, value: &V) {
        if let V::Absent(why) = value
            && !["missing", "null"].contains(why)
        {
            self.fault(why);
        }
    }

    fn drop_row(&mut self, row: &Row, reason: &str) {
        if row.first {
            self.dropped = format!("dropped by {} as {reason}", self.rule);
        }
    }

    fn send(&mut self, sink: &str, row: &Row, extra: Option<&E>) {
        self.routed = true;
        let mut event = row.event.clone();
        if let Some(extra) = extra {
            let value = row.value(extra);
            if !value.is_absent() {
                put(&mut event, &["extra"], value);
            }
        }
        self.sent.push(format!("{sink} {}", event.show()));
    }

    /// What a thinning statement does with a row that does not pass.
    fn lost(&mut self, row: Row, body: Option<&Vec<S>>, reason: &str) -> Vec<Row> {
        if let Some(body) = body {
            return self.block(body, vec![row]);
        }
        self.drop_row(&row, reason);
        vec![]
    }

    /// One statement on one row: the rows that go on to the next statement, and those that go on behind the block.
    fn stmt(&mut self, statement: &S, mut row: Row) -> (Vec<Row>, Vec<Row>) {
        let mut past = Vec::new();
        let on = match statement {
            S::Assign(path, op, value, otherwise) => {
                if *op == "??=" && !row.read(path).is_absent() {
                    return (vec![row], past);
                }
                let value = row.value(value);
                if value.is_absent() {
                    if otherwise.is_none()
                        && let V::Absent(why) = &value
                    {
                        self.fault(why);
                    }
                    return (self.branch(otherwise.as_ref(), row), past);
                }
                let value = if *op == "|=" { merged(row.read(path), value) } else { Some(value) };
                if !value.is_some_and(|value| row.write(path, value)) {
                    self.fault("not_a_record");
                }
                vec![row]
            }
            S::Null(path) => {
                if !row.write(path, V::Absent("null")) {
                    self.fault("not_a_record");
                }
                vec![row]
            }
            S::Del(path, false) => {
                row.delete(path);
                vec![row]
            }
            S::Del(path, true) => {
                if let V::Map(members) = row.read(path) {
                    for (key, _) in members {
                        let key: &'static str = key.leak();
                        row.delete(&[path.as_slice(), &[key]].concat());
                    }
                }
                vec![row]
            }
            S::Keep(paths) => {
                let paths: Vec<&[&str]> = paths.iter().map(Vec::as_slice).collect();
                keep(&mut row.event, &paths);
                vec![row]
            }
            S::Rename(from, to) => {
                let value = row.read(from);
                self.fault_of(&value);
                if !value.is_absent() {
                    let before = row.clone();
                    row.delete(from);
                    if !row.write(to, value) {
                        row = before;
                        self.fault("not_a_record");
                    }
                }
                vec![row]
            }
            S::Tag(texts) => {
                let old = row.read(&vec!["tags"]);
                let mut list = match old {
                    V::List(list) => list,
                    V::Absent("missing" | "null") => vec![],
                    _ => {
                        self.fault("type");
                        return (vec![row], past);
                    }
                };
                let n_old = list.len();
                for text in texts {
                    if !list.contains(&V::text(text)) {
                        list.push(V::text(text));
                    }
                }
                if list.len() > n_old {
                    row.write(&vec!["tags"], V::List(list));
                }
                vec![row]
            }
            S::Let(name, value, otherwise) => {
                let value = row.value(value);
                self.fault_of(&value);
                let absent = value.is_absent();
                row.locals.insert(name.clone(), value);
                match otherwise {
                    Some(body) if absent => {
                        past = self.block(body, vec![row]);
                        vec![]
                    }
                    _ => vec![row],
                }
            }
            S::LetEach(names, value, otherwise) => {
                // What is required is a record; each member may be absent.
                let value = match row.value(value) {
                    value @ (V::Map(_) | V::Absent(_)) => value,
                    _ => V::Absent("type"),
                };
                for (name, key) in names {
                    row.locals.insert(name.clone(), value.member(key));
                }
                self.fault_of(&value);
                if value.is_absent() {
                    past = self.block(otherwise, vec![row]);
                    vec![]
                } else {
                    vec![row]
                }
            }
            S::If(condition, then, otherwise) => {
                if row.holds(condition) {
                    self.block(then, vec![row])
                } else {
                    self.branch(otherwise.as_ref(), row)
                }
            }
            S::Return => {
                self.returned.push(row);
                vec![]
            }
            S::Route(sink, extra) => {
                self.send(sink, &row, extra.as_ref());
                row.routed = true;
                vec![row]
            }
            S::Drop(reason) => {
                let reason = reason.map_or_else(|| self.rule.clone(), str::to_owned);
                self.drop_row(&row, &reason);
                vec![]
            }
            S::Sample(percent, by, otherwise) => {
                let lot = xxh3_64(row.key(by).as_bytes()) as f64 / 2f64.powi(64);
                if lot < f64::from(*percent) / 100.0 {
                    let factor = 100.0 / f64::from(*percent);
                    let weight = match row.read(&vec!["sample_weight"]) {
                        V::Int(before) => before as f64 * factor,
                        V::Float(before) => before * factor,
                        _ => factor,
                    };
                    row.write(&vec!["sample_weight"], V::Float(weight));
                    vec![row]
                } else {
                    self.lost(row, otherwise.as_ref(), "sample")
                }
            }
            S::Limit { id, count, burst, by, otherwise } => {
                if self.token((*id, row.key(by)), *count, *burst) {
                    vec![row]
                } else {
                    self.lost(row, otherwise.as_ref(), "limit")
                }
            }
            S::Dedup { id, within, by, otherwise } => {
                let now = self.now;
                let seen = self.memory.passed.entry((*id, row.key(by))).or_insert((now, 0));
                if now - seen.0 >= *within {
                    *seen = (now, 0);
                }
                seen.1 += 1;
                let count = seen.1;
                if count == 1 {
                    vec![row]
                } else {
                    if otherwise.is_some() {
                        row.write(&vec!["dedup_count"], V::Int(count));
                    }
                    self.lost(row, otherwise.as_ref(), "dedup")
                }
            }
            S::Emit(list, to) => self.emit(list, to.as_ref(), row),
            S::Count(metric, by, value) => {
                let value = value.as_ref().map_or(V::Int(1), |value| row.value(value));
                let added = match value {
                    V::Int(number) => number as f64,
                    V::Float(number) => number,
                    V::Absent(_) => {
                        self.fault_of(&value);
                        return (vec![row], past);
                    }
                    _ => {
                        self.fault("type");
                        return (vec![row], past);
                    }
                };
                if added < 0.0 {
                    self.fault("out_of_range");
                } else {
                    let series = format!("{metric} {}", row.value(by).plain());
                    *self.memory.counted.entry(series).or_default() += added;
                }
                vec![row]
            }
        };
        (on, past)
    }

    /// Whether a bucket has a token: it begins full, and gets `count` a second. Times are counted in nanoseconds times `count`.
    fn token(&mut self, key: (usize, String), count: i64, burst: i64) -> bool {
        let second = 1_000_000_000_i128;
        let full = i128::from(burst) * second;
        let now = self.now;
        let (tokens, last) = self.memory.buckets.entry(key).or_insert((full, now));
        *tokens = full.min(*tokens + i128::from(now - *last) * i128::from(count));
        *last = now;
        let has = *tokens >= second;
        if has {
            *tokens -= second;
        }
        has
    }

    fn emit(&mut self, list: &E, to: Option<&Path>, row: Row) -> Vec<Row> {
        let value = row.value(list);
        let elements = match value {
            V::List(elements) => elements,
            V::Absent(_) => {
                self.fault_of(&value);
                return vec![row];
            }
            _ => {
                self.fault("type");
                return vec![row];
            }
        };
        if elements.is_empty() {
            return vec![row];
        }
        let no_events = elements.iter().any(|element| !matches!(element, V::Map(_)));
        if to.is_none() && no_events {
            self.fault("type");
            return vec![row];
        }
        let mut rows = Vec::new();
        for (place, element) in elements.into_iter().enumerate() {
            let mut copy = row.clone();
            copy.first &= place == 0;
            match to {
                None => copy.event = element,
                Some(to) => {
                    if !copy.write(to, element) {
                        self.fault("not_a_record");
                    }
                }
            }
            rows.push(copy);
        }
        rows
    }
}

/// The left object with the right one's members put in.
fn merged(left: V, right: V) -> Option<V> {
    match (left, right) {
        (V::Absent(_), right @ V::Map(_)) => Some(right),
        (V::Map(mut members), V::Map(right)) => {
            for (key, value) in right {
                match members.iter_mut().find(|(known, _)| *known == key) {
                    Some((_, old)) => *old = value,
                    None => members.push((key, value)),
                }
            }
            Some(V::Map(members))
        }
        _ => None,
    }
}
