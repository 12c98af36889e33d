//! Runs `test` blocks: a clock, mocks for lookups, events one `given` after the other.

use std::{collections::HashMap, sync::Arc};

use super::{Expectation, Failure, Observed, Test, TestResult, TestStep, counts::Counts, given};
use crate::{
    column::{Absence, Batch, Column, Names, NodeId, View, load, print},
    eval::{
        AlertChange, Answer, Evaluator, Lookups, Outcome, Rolled, Routed, RowFate, print_event,
    },
    plan::{CompareOp, ExprId, FormatPart, IsTest, Op, Plan, RuleId, SinkId},
    span::Span,
};

/// Where the test clock starts: 2026-01-01T00:00:00Z.
const START: i64 = 1_767_225_600_000_000_000;

/// Runs one test against a plan.
pub fn run_test(plan: &Arc<Plan>, test: &Test) -> TestResult {
    let mut run = Run {
        plan: plan.clone(),
        evaluator: Evaluator::for_tests(plan.clone()),
        names: Names::default(),
        mocks: Mocks::default(),
        now: START,
        offset: 0,
        given: None,
        rolled: Vec::new(),
        alerts: Vec::new(),
        counts: Counts::new(plan.rules.len()),
        failures: Vec::new(),
    };
    for step in &test.steps {
        match step {
            TestStep::At(time) => run.now = *time,
            TestStep::Advance(by) => run.advance(*by),
            TestStep::Mock { lookup, answers } => {
                for (key, answer) in answers {
                    run.mocks.answers.insert((*lookup, key.clone()), answer.clone());
                }
            }
            TestStep::Given { source, times, event, span } => {
                run.give(*source, *times as usize, event, *span);
            }
            TestStep::Expect { what, span } => run.expect(what, *span),
        }
    }
    let reached = (0..plan.rules.len())
        .filter(|&rule| run.counts.matched[rule] > 0)
        .map(|rule| RuleId(rule as u32))
        .collect();
    let faulted = run.counts.sites.into_iter().collect();
    TestResult { failures: run.failures, reached, faulted }
}

#[derive(Debug, Default)]
struct Mocks {
    answers: HashMap<(usize, String), Arc<str>>,
}

impl Lookups for Mocks {
    fn resolve(&mut self, lookup: usize, keys: &[&str]) -> Vec<Answer> {
        keys.iter()
            .map(|&key| match self.answers.get(&(lookup, key.to_owned())) {
                Some(answer) => Answer::Found(answer.clone().into()),
                None => Answer::Miss,
            })
            .collect()
    }
}

/// A test under way.
pub(super) struct Run {
    pub(super) plan: Arc<Plan>,
    evaluator: Evaluator,
    pub(super) names: Names,
    mocks: Mocks,
    now: i64,
    offset: i64,
    /// The last `given`.
    pub(super) given: Option<(Batch, Outcome)>,
    /// Rows of windows since then.
    pub(super) rolled: Vec<Rolled>,
    /// What alerts did since the test began.
    pub(super) alerts: Vec<AlertChange>,
    counts: Counts,
    pub(super) failures: Vec<Failure>,
}

impl Run {
    /// Moves the clock, and all that waits for it.
    fn advance(&mut self, by: i64) {
        let from = self.now;
        self.now = self.now.saturating_add(by);
        let outcome = self.evaluator.advance(from, self.now, &self.names, &mut self.mocks);
        self.rolled.extend(outcome.rolled);
        self.alerts.extend(outcome.alerts);
    }

    fn give(&mut self, source: usize, times: usize, event: &str, at: Span) {
        self.given = None;
        self.rolled.clear();
        self.evaluator.open(self.now);
        let shape = self.plan.sources[source].shape.clone();
        let event = given::fill(event, &shape, self.now);
        let events = vec![event.as_bytes(); times];
        match self.batch(source, &events) {
            Ok(mut batch) => {
                let mut outcome =
                    self.evaluator.run(&mut batch, &self.names, &mut self.mocks, false);
                self.rolled.append(&mut outcome.rolled);
                self.alerts.append(&mut outcome.alerts);
                self.counts.add(&self.plan, &outcome);
                self.given = Some((batch, outcome));
            }
            Err(message) => {
                let label = "this event was refused".to_owned();
                let event = Some(event);
                self.failures.push(Failure { at, message, label, event, observed: None });
            }
        }
    }

    fn batch(&mut self, source: usize, events: &[&[u8]]) -> Result<Batch, String> {
        let mut batch = Batch::new(&self.plan.layout);
        load::load(&mut batch, &self.plan.layout, &mut self.names, events)
            .map_err(|(_, why)| why.to_string())?;
        let rows = events.len();
        batch.meta.source = source;
        batch.meta.topic = "test".into();
        batch.meta.offsets = (self.offset..).take(rows).collect();
        batch.meta.times = vec![self.now; rows];
        batch.meta.keys = vec![View::absent(Absence::Missing); rows];
        batch.meta.headers = vec![View::absent(Absence::Missing); rows];
        self.offset += rows as i64;
        Ok(batch)
    }

    fn expect(&mut self, what: &Expectation, at: Span) {
        if let Expectation::Count { counter, op, negated, number } = what {
            let count = self.counts.get(counter);
            let holds = holds(*op, i64::try_from(count).unwrap_or(i64::MAX), *number) != *negated;
            if !holds {
                let message = format!("the count is {count}");
                let label = format!("expected {}{number}", sign(*op, *negated));
                let observed = Some(Observed::Count(count));
                self.failures.push(Failure { at, message, label, event: None, observed });
            }
            return;
        }
        match what {
            Expectation::Fired { by, body } => return self.fired(*by, body, at),
            Expectation::Silent { by } => return self.silent(*by, at),
            Expectation::Routed { to: Some(sink), body } => {
                if self.rolled_to(*sink, body) {
                    return;
                }
            }
            Expectation::Routed { .. }
            | Expectation::Dropped { .. }
            | Expectation::Count { .. } => {}
        }
        // Taken out and put back, so that conditions can be evaluated beside it.
        let Some((mut batch, outcome)) = self.given.take() else {
            let message = "no event was given before this expectation".to_owned();
            let label = "expects something of the last `given`".to_owned();
            let (event, observed) = (None, None);
            self.failures.push(Failure { at, message, label, event, observed });
            return;
        };
        // Equal events may fare differently (samples): the first one that is not as expected is shown.
        for event in 0..outcome.events {
            if let Some(failure) = self.event(&mut batch, &outcome, event, what, at) {
                self.failures.push(failure);
                break;
            }
        }
        self.given = Some((batch, outcome));
    }

    fn event(
        &mut self,
        batch: &mut Batch,
        outcome: &Outcome,
        event: usize,
        what: &Expectation,
        at: Span,
    ) -> Option<Failure> {
        // The event itself, and what `emit each` made of it: one of them that is as expected is enough.
        let made = (outcome.events..batch.rows).filter(|row| outcome.origin(*row) == event);
        let rows: Vec<usize> = std::iter::once(event).chain(made).collect();
        let row = event;
        match what {
            Expectation::Dropped { by, body } => {
                let is_dropped = |row: &usize| {
                    outcome.dropped_by[*row].is_some_and(|(rule, _)| by.is_none_or(|by| by == rule))
                };
                let dropped = rows.iter().copied().find(is_dropped);
                let event = self.final_event(batch, dropped.unwrap_or(row));
                if dropped.is_none() {
                    let wanted = match by {
                        Some(rule) => format!("dropped by `{}`", self.plan.rule(*rule).label),
                        None => "dropped".to_owned(),
                    };
                    return Some(self.other_fate(&wanted, outcome, row, at, event));
                }
                self.conditions(batch.meta.source, &event, None, body)
            }
            Expectation::Routed { to, body } => {
                let plan = self.plan.clone();
                let copies: Vec<(String, Option<String>)> = outcome
                    .routed
                    .iter()
                    .filter(|routed| to.is_none_or(|to| to == routed.sink))
                    .flat_map(|routed| rows.iter().map(move |row| (routed, *row)))
                    .filter(|(routed, row)| routed.rows.binary_search(&(*row as u32)).is_ok())
                    .map(|(routed, row)| copy(&plan, batch, &self.names, routed, row))
                    .collect();
                let unrouted =
                    to.is_none() && rows.iter().any(|row| outcome.fates[*row] == RowFate::Unrouted);
                if copies.is_empty() && !unrouted {
                    let wanted = match to {
                        Some(SinkId(sink)) => {
                            format!("routed to `{}`", self.plan.sinks[*sink as usize].name)
                        }
                        None => "routed".to_owned(),
                    };
                    let event = self.final_event(batch, row);
                    return Some(self.other_fate(&wanted, outcome, row, at, event));
                }
                if copies.is_empty() {
                    let event = self.final_event(batch, row);
                    return self.conditions(batch.meta.source, &event, None, body);
                }
                // One copy that meets all conditions is enough; otherwise the first one is shown.
                let mut first = None;
                for (event, key) in &copies {
                    match self.conditions(batch.meta.source, event, key.as_deref(), body) {
                        None => return None,
                        Some(failure) => first = first.or(Some(failure)),
                    }
                }
                first
            }
            Expectation::Count { .. } | Expectation::Fired { .. } | Expectation::Silent { .. } => {
                None
            }
        }
    }

    /// The event as the rules left it, which for a dropped one is as it was then.
    fn final_event(&self, batch: &Batch, row: usize) -> String {
        let mut out = Vec::new();
        let snapshot = batch.snapshot();
        print_event(&mut out, batch, &self.plan.layout, &self.names, &snapshot, row, &[]);
        String::from_utf8(out).unwrap_or_default()
    }

    fn other_fate(
        &self,
        wanted: &str,
        outcome: &Outcome,
        row: usize,
        at: Span,
        event: String,
    ) -> Failure {
        let sinks: Vec<String> = outcome
            .routed
            .iter()
            .filter(|routed| routed.rows.contains(&(row as u32)))
            .map(|routed| format!("`{}`", self.plan.sinks[routed.sink.0 as usize].name))
            .collect();
        let routed = if sinks.is_empty() {
            String::new()
        } else {
            format!("it was routed to {}", sinks.join(", "))
        };
        let label = match outcome.dropped_by[row] {
            Some((rule, reason)) => {
                let rule = &self.plan.rule(rule).label;
                let reason = &outcome.reasons[reason as usize];
                let and = if routed.is_empty() { "" } else { " and then" };
                let it = if routed.is_empty() { "it was" } else { "" };
                format!("{routed}{and}{it} dropped by `{rule}` as {reason:?}")
            }
            None if routed.is_empty() => "nothing routed or dropped it".to_owned(),
            None => routed,
        };
        let observed = match outcome.dropped_by[row] {
            Some((rule, _)) => Some(format!("dropped by {}", self.plan.rule(rule).name)),
            None => outcome
                .routed
                .iter()
                .find(|routed| routed.rows.contains(&(row as u32)))
                .map(|it| format!("routed to {}", self.plan.sinks[it.sink.0 as usize].name)),
        };
        Failure {
            at,
            message: format!("the event was not {wanted}"),
            label,
            event: Some(event),
            observed: observed.map(Observed::Fate),
        }
    }

    /// Checks conditions on an event as it was sent, with `@key` as the route set it.
    pub(super) fn conditions(
        &mut self,
        source: usize,
        event: &str,
        key: Option<&str>,
        body: &[(ExprId, Span)],
    ) -> Option<Failure> {
        if body.is_empty() {
            return None;
        }
        let fail = |at, message: &str, label| {
            let event = Some(event.to_owned());
            Some(Failure { at, message: message.into(), label, event, observed: None })
        };
        let offset = self.offset;
        let batch = self.batch(source, &[event.as_bytes()]);
        self.offset = offset;
        let mut batch = match batch {
            Ok(batch) => batch,
            Err(why) => return fail(body[0].1, "the event cannot be read again", why),
        };
        if let Some(key) = key {
            batch.meta.keys = vec![batch.arena.text(key.as_bytes())];
        }
        for &(condition, at) in body {
            if !self.holds(&mut batch, condition) {
                let part = self.first_wrong(&mut batch, condition);
                let label = self.difference(&mut batch, part);
                let plan = self.plan.clone();
                let looks_at = compared(&plan, part);
                let message = match looks_at.map(|value| &plan.expr(value).op) {
                    Some(Op::Field(node)) if *node != NodeId::ROOT => {
                        format!("`{}` is not as expected", plan.layout.display(*node))
                    }
                    _ => "the condition does not hold".to_owned(),
                };
                let observed =
                    looks_at.map(|value| Observed::Value(at, self.json(&mut batch, value)));
                let event = Some(event.to_owned());
                return Some(Failure { at, message, label, event, observed });
            }
        }
        None
    }

    fn value(&mut self, batch: &mut Batch, expr: ExprId) -> Arc<Column> {
        self.evaluator.value(expr, batch, &self.names, &mut self.mocks)
    }

    fn holds(&mut self, batch: &mut Batch, condition: ExprId) -> bool {
        match &*self.value(batch, condition) {
            Column::Bool(cells) => cells.get(0) == Ok(true),
            Column::Json(views) => views[0].truth() == Some(true),
            _ => false,
        }
    }

    /// The first part of a condition that does not hold.
    fn first_wrong(&mut self, batch: &mut Batch, condition: ExprId) -> ExprId {
        let plan = self.plan.clone();
        let mut at = condition;
        while let Op::And(all) = &plan.expr(at).op {
            match all.iter().find(|part| !self.holds(batch, **part)) {
                Some(part) => at = *part,
                None => break,
            }
        }
        at
    }

    /// A value as JSON; nothing where it is absent.
    fn json(&mut self, batch: &mut Batch, expr: ExprId) -> Option<String> {
        let column = self.value(batch, expr);
        if column.absence(0).is_some() {
            return None;
        }
        let mut out = Vec::new();
        print::cell(&mut out, &batch.arena, &column, 0);
        String::from_utf8(out).ok()
    }

    /// What is there instead, where a condition does not hold.
    fn difference(&mut self, batch: &mut Batch, condition: ExprId) -> String {
        let plan = self.plan.clone();
        match &plan.expr(condition).op {
            Op::Compare { op, left, right } => {
                let (left, right) = (self.show(batch, *left), self.show(batch, *right));
                format!("expected {}{right}, found {left}", sign(*op, false))
            }
            Op::Not(of) => match &plan.expr(*of).op {
                Op::Compare { op, left, right } => {
                    let (left, right) = (self.show(batch, *left), self.show(batch, *right));
                    format!("expected {}{right}, found {left}", sign(*op, true))
                }
                op => match subject(op) {
                    Some(value) => format!("found {}", self.show(batch, value)),
                    None => "it is false".to_owned(),
                },
            },
            Op::Is { value, test } => {
                let wanted = match test {
                    IsTest::Absent => "an absent value".to_owned(),
                    IsTest::Present => "a value".to_owned(),
                    IsTest::Missing => "a missing field".to_owned(),
                    IsTest::Null => "null".to_owned(),
                    IsTest::Type(ty) => format!("{ty}"),
                };
                format!("expected {wanted}, found {}", self.show(batch, *value))
            }
            op => match subject(op) {
                Some(value) => format!("found {}", self.show(batch, value)),
                None => "it is false".to_owned(),
            },
        }
    }

    /// A value as JSON, or why it is absent.
    fn show(&mut self, batch: &mut Batch, expr: ExprId) -> String {
        let column = self.value(batch, expr);
        if let Some(why) = column.absence(0) {
            return match why {
                Absence::Missing => "nothing (missing)".to_owned(),
                Absence::Null => "null".to_owned(),
                other => format!("nothing ({})", other.name()),
            };
        }
        let mut out = Vec::new();
        print::cell(&mut out, &batch.arena, &column, 0);
        String::from_utf8(out).unwrap_or_default()
    }
}

/// The value that a condition compares with something, or asks something of.
fn compared(plan: &Plan, condition: ExprId) -> Option<ExprId> {
    let mut value = match &plan.expr(condition).op {
        Op::Not(of) => compared(plan, *of)?,
        Op::Compare { left, .. } => *left,
        op => subject(op)?,
    };
    while let Op::Narrow(of) = &plan.expr(value).op {
        value = *of;
    }
    Some(value)
}

/// The value that a predicate looks at.
fn subject(op: &Op) -> Option<ExprId> {
    match op {
        Op::Truth(value)
        | Op::InSet { value, .. }
        | Op::In { value, .. }
        | Op::TextTest { value, .. }
        | Op::Like { value, .. }
        | Op::Matches { value, .. }
        | Op::Has { value, .. }
        | Op::Is { value, .. }
        | Op::AnyElement { list: value, .. } => Some(*value),
        Op::Format(parts) => parts.iter().find_map(|part| match part {
            FormatPart::Hole(value) => Some(*value),
            FormatPart::Text(_) => None,
        }),
        _ => None,
    }
}

/// The event as it was sent: fields of this copy set, parameters of the sink left out but for the key, which comes beside it.
pub(super) fn copy(
    plan: &Plan,
    batch: &Batch,
    names: &Names,
    routed: &Routed,
    row: usize,
) -> (String, Option<String>) {
    let with = &plan.sinks[routed.sink.0 as usize].with;
    let is_parameter =
        |path: &[Arc<str>]| path.len() == 1 && with.iter().any(|(name, _)| *name == path[0]);
    let fields: Vec<_> =
        routed.args.iter().filter(|(path, _)| !is_parameter(path)).cloned().collect();
    let mut event = Vec::new();
    print_event(&mut event, batch, &plan.layout, names, &routed.snapshot, row, &fields);
    let key = routed.args.iter().find(|(path, column)| {
        is_parameter(path) && &*path[0] == "key" && column.absence(row).is_none()
    });
    let key = key.map(|(_, column)| {
        let mut text = Vec::new();
        print::plain(&mut text, &print::value(&batch.arena, column, row));
        String::from_utf8(text).unwrap_or_default()
    });
    (String::from_utf8(event).unwrap_or_default(), key)
}

fn holds(op: CompareOp, left: i64, right: i64) -> bool {
    match op {
        CompareOp::Eq => left == right,
        CompareOp::Lt => left < right,
        CompareOp::Le => left <= right,
        CompareOp::Gt => left > right,
        CompareOp::Ge => left >= right,
    }
}

/// What stands before the expected value: nothing for plain equality.
fn sign(op: CompareOp, negated: bool) -> &'static str {
    match (op, negated) {
        (CompareOp::Eq, false) => "",
        (CompareOp::Eq, true) => "anything but ",
        (CompareOp::Lt, false) | (CompareOp::Ge, true) => "less than ",
        (CompareOp::Le, false) | (CompareOp::Gt, true) => "at most ",
        (CompareOp::Gt, false) | (CompareOp::Le, true) => "more than ",
        (CompareOp::Ge, false) | (CompareOp::Lt, true) => "at least ",
    }
}
