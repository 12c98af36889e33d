//! `test` blocks: events and answers become JSON, expectations become conditions.

use std::sync::Arc;

use super::{
    Checker,
    constant::{Const, duration_text},
    event,
};
use crate::{
    catalog::{DeclKind, Space, nearest},
    column::value::u128_to_ip,
    diagnostic::{Code, Diagnostic},
    plan::{CompareOp, ExprId, Literal, MetricId, Op, RuleId, WindowId},
    span::Span,
    syntax::ast::{self, Comparison, Expr, ExprKind, Fate, Item, StepKind},
    test_block::{Counter, Expectation, MetricName, Test, TestStep},
    types::{Ty, Type},
};

/// Metrics that a test can ask for.
const METRICS: &[(&str, MetricName)] = &[
    ("evaluated", MetricName::Evaluated),
    ("matched", MetricName::Matched),
    ("dropped", MetricName::Dropped),
    ("routed", MetricName::Routed),
    ("faults", MetricName::Faults),
];

/// Events that one `given` may send: enough for any storm, and a test stays quick.
const GIVEN_MAX: u64 = 1_000_000;

/// Separates the parts of a lookup's key.
const KEY_SEPARATOR: char = '\u{1F}';

impl Checker<'_> {
    /// Checks the tests of all files, in order.
    pub(super) fn tests(&mut self) -> Vec<Test> {
        self.place.in_test = true;
        self.place.rule = None;
        let loaded = self.loaded;
        let end = self.flow.clone();
        let mut out = Vec::new();
        for (unit, file) in loaded.units.iter().enumerate() {
            for item in &file.ast.items {
                if let Item::Test(test) = item {
                    self.place.unit = unit;
                    out.push(self.test(test, &end));
                    self.flow.clone_from(&end);
                }
            }
        }
        self.pending_w312.clear();
        self.place.in_test = false;
        out
    }

    fn test(&mut self, test: &ast::Test, end: &super::Flow) -> Test {
        let mut steps = Vec::with_capacity(test.steps.len());
        let mut source = None;
        let mut given = false;
        for step in &test.steps {
            let made = match &step.kind {
                StepKind::Error => None,
                StepKind::At(time) => self.at(time),
                StepKind::Advance(by) => Some(TestStep::Advance(by.nanos)),
                StepKind::Mock { lookup, entries } => self.mock(lookup, entries),
                StepKind::Given { times, on, event } => {
                    given = true;
                    let made = self.given(step.span, times.as_ref(), on.as_ref(), event);
                    if let Some(TestStep::Given { source: of, .. }) = &made {
                        source = Some(*of);
                    }
                    made
                }
                StepKind::Expect(what) => {
                    let of_event = matches!(
                        what,
                        ast::Expectation::Fate { fate: Fate::Dropped | Fate::Routed, .. }
                    );
                    // Windows give rows also where nothing came in.
                    let of_window = !self.build.windows.is_empty()
                        && matches!(what, ast::Expectation::Fate { to: Some(_), .. });
                    if !given && of_event && !of_window {
                        self.report(
                            Diagnostic::new(Code::E102, step.span, "nothing was given yet")
                                .advise("`given { … }` sends the event that this speaks of"),
                        );
                    }
                    self.see(source, end);
                    self.expectation(step.span, what)
                        .map(|what| TestStep::Expect { what, span: step.span })
                }
            };
            steps.extend(made);
        }
        Test { name: test.name.value.as_str().into(), span: test.name.span, steps }
    }

    /// What a test knows of an event: what every place of the program may have made of it.
    fn see(&mut self, source: Option<usize>, end: &super::Flow) {
        self.flow.present.clear();
        self.place.on = source.map_or_else(|| self.all_sources(), |source| vec![source]);
        for (index, decl) in self.world.sources.iter().enumerate() {
            let mut shape = (*event::join(&decl.shape, &end.shapes[index])).clone();
            shape.open = true;
            self.flow.shapes[index] = event::every_optional(&Arc::new(shape));
        }
    }

    fn at(&mut self, time: &Expr) -> Option<TestStep> {
        match self.fold(time, None)? {
            Const::Scalar(Literal::Timestamp(nanos), _) => Some(TestStep::At(nanos)),
            _ => self.fail(Code::E101, time.span, "`at` takes a time: `t\"2026-05-01T10:00:00Z\"`"),
        }
    }

    /// A value known when the test is checked, as JSON text.
    fn json(&mut self, e: &Expr) -> Option<String> {
        let errors = self.diagnostics.len();
        let Some(json) = self.fold(e, Some(&Type::Severity)).and_then(|value| value.json()) else {
            if self.diagnostics.len() == errors {
                let message = "a test gives values that are written down: no fields, no calls";
                self.fail::<()>(Code::E101, not_constant(e), message);
            }
            return None;
        };
        Some(json)
    }

    fn mock(&mut self, name: &ast::QName, entries: &[ast::MockEntry]) -> Option<TestStep> {
        let id = self.find(Space::Value, "lookup", name)?;
        let DeclKind::Lookup(_) = self.catalog.get(id).kind else {
            let message = format!("`{}` is no lookup", name.written());
            return self.fail(Code::E102, name.span, message);
        };
        let lookup = *self.world.lookup_of.get(&id)?;
        let keys = self.world.lookups[lookup].keys.clone();
        let mut answers = Vec::with_capacity(entries.len());
        for entry in entries {
            let key = self.mock_key(&entry.key, &keys);
            let value = self.json(&entry.value);
            if let (Some(key), Some(value)) = (key, value) {
                answers.push((key, value.into()));
            }
        }
        Some(TestStep::Mock { lookup, answers })
    }

    fn mock_key(&mut self, e: &Expr, keys: &[Ty]) -> Option<String> {
        let parts = match &e.kind {
            ExprKind::List(items) if keys.len() > 1 => items.as_slice(),
            _ => std::slice::from_ref(e),
        };
        if parts.len() != keys.len() {
            let message = format!("the key of this lookup has {} parts: `[a, b]`", keys.len());
            return self.fail(Code::E101, e.span, message);
        }
        let mut out = String::new();
        for (index, (part, key)) in parts.iter().zip(keys).enumerate() {
            if index > 0 {
                out.push(KEY_SEPARATOR);
            }
            let value = self.expr(part, Some(&key.base))?;
            let want = Ty { optional: true, ..key.clone() };
            let value = self.fit(value, &want, "the key of this lookup")?;
            let Some(literal) = self.build.pool.literal(value.id) else {
                let message = "a key in a test is a constant";
                return self.fail(Code::E101, part.span, message);
            };
            match key_text(literal) {
                Some(text) => out.push_str(&text),
                None => return self.fail(Code::E101, part.span, "this is no key of a lookup"),
            }
        }
        Some(out)
    }

    fn given(
        &mut self,
        span: Span,
        times: Option<&ast::Count>,
        on: Option<&ast::On>,
        e: &Expr,
    ) -> Option<TestStep> {
        let times = match times {
            Some(count) if count.value == 0 || count.value > GIVEN_MAX => {
                let message = format!("a test gives 1 to {GIVEN_MAX} events at once");
                return self.fail(Code::E120, count.span, message);
            }
            Some(count) => count.value as u32,
            None => 1,
        };
        let source = self.source_on(on);
        if source.is_none() && self.world.sources.is_empty() {
            let message = "there is no source to give an event through";
            return self.fail(Code::E102, span, message);
        }
        if !matches!(&e.kind, ExprKind::Record(_) | ExprKind::Name(_)) {
            return self.fail(Code::E101, e.span, "an event is a record: `{ message: \"…\" }`");
        }
        let event = self.json(e)?;
        if !event.starts_with('{') {
            return self.fail(Code::E101, e.span, "an event is a record: `{ message: \"…\" }`");
        }
        Some(TestStep::Given { source: source?, times, event: event.into(), span })
    }

    fn expectation(&mut self, span: Span, what: &ast::Expectation) -> Option<Expectation> {
        match what {
            ast::Expectation::Holds(e) => self.count(e),
            ast::Expectation::Fate { fate, by, to, body } => match fate {
                Fate::Fired | Fate::Silent => {
                    let Some(by) = by else {
                        let message = "say which alert: `expect fired by …`";
                        return self.fail(Code::E102, span, message);
                    };
                    let by = self.alert_named(by)?;
                    let body = self.expected(body)?;
                    Some(match fate {
                        Fate::Fired => Expectation::Fired { by, body },
                        _ => Expectation::Silent { by },
                    })
                }
                Fate::Dropped => {
                    if let Some(to) = to {
                        let message = "what is dropped goes nowhere: write `dropped by`";
                        return self.fail(Code::E101, to.span, message);
                    }
                    let rule = by.as_ref().map(|name| self.rule_named(&name.written(), name.span));
                    let body = self.expected(body);
                    Some(Expectation::Dropped {
                        by: rule.map_or(Some(None), |rule| rule.map(Some))?,
                        body: body?,
                    })
                }
                Fate::Routed => {
                    if let Some(by) = by {
                        let message = "an event is routed to a sink: write `routed to`";
                        return self.fail(Code::E101, by.span, message);
                    }
                    let sink = to.as_ref().map(|name| self.sink_named(name));
                    let body = self.expected(body);
                    Some(Expectation::Routed {
                        to: sink.map_or(Some(None), |sink| sink.map(Some))?,
                        body: body?,
                    })
                }
            },
        }
    }

    fn expected(&mut self, body: &[Expr]) -> Option<Vec<(ExprId, Span)>> {
        let all: Vec<Option<(ExprId, &Expr)>> =
            body.iter().map(|e| self.condition(e, "what is expected").map(|id| (id, e))).collect();
        let all: Vec<(ExprId, &Expr)> = all.into_iter().collect::<Option<_>>()?;
        Some(all.into_iter().flat_map(|(id, e)| self.parts(id, e)).collect())
    }

    /// `a and b` as two expectations: the one that fails is then shown where it stands.
    fn parts(&self, id: ExprId, e: &Expr) -> Vec<(ExprId, Span)> {
        match (&e.kind, self.build.pool.op(id)) {
            (ExprKind::And(written), Op::And(ids)) if written.len() == ids.len() => {
                ids.iter().zip(written).map(|(id, part)| (*id, part.span)).collect()
            }
            _ => vec![(id, e.span)],
        }
    }

    /// The alert of that name.
    fn alert_named(&mut self, name: &ast::QName) -> Option<WindowId> {
        let written = name.written();
        let alerts = || self.build.windows.iter().enumerate().filter(|(_, it)| it.alert.is_some());
        if let Some((index, _)) = alerts().find(|(_, it)| *it.name == *written) {
            return Some(WindowId(index as u32));
        }
        let known: Vec<String> = alerts().map(|(_, it)| it.name.to_string()).collect();
        self.unknown("alert", name, &known);
        None
    }

    /// The rule of that name: short where it is unique, otherwise with its group and file.
    fn rule_named(&mut self, name: &str, span: Span) -> Option<RuleId> {
        let ending = format!("/{name}");
        let found: Vec<RuleId> = (0..self.build.rules.len() as u32)
            .map(RuleId)
            .filter(|id| {
                let rule = &self.build.rules[id.0 as usize];
                *rule.label == *name || rule.label.ends_with(&ending)
            })
            .collect();
        match found.as_slice() {
            [only] => Some(*only),
            [] => {
                let names: Vec<String> =
                    self.build.rules.iter().map(|rule| rule.name.to_string()).collect();
                let mut diagnostic =
                    Diagnostic::new(Code::E102, span, format!("there is no rule `{name}`"));
                if let Some(near) = nearest(name, &names) {
                    let quoted = self.loaded.sources.text(span).starts_with('"');
                    let near = if quoted { format!("{near:?}") } else { near };
                    diagnostic =
                        diagnostic.suggest("a rule with a similar name exists", vec![(span, near)]);
                }
                self.report(diagnostic);
                None
            }
            [first, second, ..] => {
                let label = |id: &RuleId| self.build.rules[id.0 as usize].label.clone();
                let message = format!("several rules are called `{name}`");
                let note =
                    format!("write for instance `\"{}\"` or `\"{}\"`", label(first), label(second));
                self.report(Diagnostic::new(Code::E102, span, message).note(note));
                None
            }
        }
    }

    /// `passed == 1`, `dropped_by(r) == 2`, `metric("faults", rule: r) == 1`
    fn count(&mut self, e: &Expr) -> Option<Expectation> {
        let ExprKind::Compare { op, negated, left, right, .. } = &e.kind else {
            return self.no_count(e);
        };
        let op = match op {
            Comparison::Eq => CompareOp::Eq,
            Comparison::Lt => CompareOp::Lt,
            Comparison::Le => CompareOp::Le,
            Comparison::Gt => CompareOp::Gt,
            Comparison::Ge => CompareOp::Ge,
            Comparison::In
            | Comparison::Contains
            | Comparison::StartsWith
            | Comparison::EndsWith
            | Comparison::Matches
            | Comparison::Like
            | Comparison::Has => return self.no_count(e),
        };
        let counter = match &left.kind {
            ExprKind::Name(name) if name.bare() == Some("passed") => Counter::Passed,
            ExprKind::Call { function, args, .. } => match function.bare() {
                Some("dropped_by") => {
                    let [arg] = args.as_slice() else { return self.no_count(e) };
                    Counter::DroppedBy(self.rule_arg(&arg.value)?)
                }
                Some("metric") => self.metric(left.span, args)?,
                _ => return self.no_count(e),
            },
            ExprKind::Error => return None,
            _ => return self.no_count(e),
        };
        match self.fold(right, None)? {
            Const::Scalar(Literal::Int(number), _) => {
                Some(Expectation::Count { counter, op, negated: *negated, number })
            }
            _ => self.fail(Code::E101, right.span, "a count is compared with a whole number"),
        }
    }

    fn no_count<T>(&mut self, e: &Expr) -> Option<T> {
        self.report(
            Diagnostic::new(Code::E101, e.span, "this is nothing a test can expect").note(
                "a test expects `routed`, `dropped`, `passed == n`, `dropped_by(rule) == n` or `metric(\"name\", rule: r) == n`",
            ),
        );
        None
    }

    fn rule_arg(&mut self, e: &Expr) -> Option<RuleId> {
        match &e.kind {
            ExprKind::Name(name) => self.rule_named(&name.written(), e.span),
            ExprKind::Text { value, fold: false } => self.rule_named(value, e.span),
            ExprKind::Error => None,
            _ => self.fail(Code::E101, e.span, "this takes the name of a rule"),
        }
    }

    fn metric(&mut self, span: Span, args: &[ast::Arg]) -> Option<Counter> {
        let mut metric = None;
        let mut rule = None;
        for arg in args {
            match (arg.name.as_ref().map(|name| name.name.as_str()), &arg.value.kind) {
                (None | Some("name"), ExprKind::Text { value, fold: false }) => {
                    let counted =
                        self.build.metrics.iter().position(|metric| *metric.name == **value);
                    if let Some(index) = counted {
                        return Some(Counter::Counted(MetricId(index as u32)));
                    }
                    let Some((_, found)) = METRICS.iter().find(|(name, _)| name == value) else {
                        let known: Vec<_> = METRICS.iter().map(|(name, _)| *name).collect();
                        let message = format!("a test can ask for {}", known.join(", "));
                        return self.fail(Code::E102, arg.span, message);
                    };
                    metric = Some(*found);
                }
                (Some("rule"), _) => rule = Some(self.rule_arg(&arg.value)?),
                _ => {
                    let message = "`metric` takes a name and a rule";
                    return self.fail(Code::E102, arg.span, message);
                }
            }
        }
        match metric {
            Some(metric) => Some(Counter::Metric(metric, rule)),
            None => self.fail(Code::E102, span, "`metric` needs the name of a metric, in quotes"),
        }
    }
}

/// Whether each rule has a metric of that name.
pub(super) fn is_metric_of_rules(name: &str) -> bool {
    METRICS.iter().any(|(known, _)| *known == name)
}

/// A key as lookups get it.
fn key_text(literal: &Literal) -> Option<String> {
    Some(match literal {
        Literal::Bool(value) => value.to_string(),
        Literal::Int(value) => value.to_string(),
        Literal::Float(value) => format!("{value:?}"),
        Literal::Text(text) => text.to_string(),
        Literal::Timestamp(nanos) => {
            jiff::Timestamp::from_nanosecond(i128::from(*nanos)).ok()?.to_string()
        }
        Literal::Duration(nanos) => duration_text(*nanos),
        Literal::Ip(address) => u128_to_ip(*address).to_string(),
        Literal::Cidr(block) => block.to_string(),
        Literal::Severity(severity) => severity.name().to_owned(),
        Literal::Absent(_) | Literal::Json(_) => return None,
    })
}

/// The part of a value that is no constant, as near as can be said.
fn not_constant(e: &Expr) -> Span {
    let inner = match &e.kind {
        ExprKind::Record(fields) => fields.iter().find_map(|field| {
            let (ast::RecordField::Field { value, .. } | ast::RecordField::Spread(value)) = field;
            suspicious(value)
        }),
        ExprKind::List(items) => items.iter().find_map(suspicious),
        _ => None,
    };
    inner.unwrap_or(e.span)
}

fn suspicious(e: &Expr) -> Option<Span> {
    match &e.kind {
        ExprKind::Record(_) | ExprKind::List(_) => {
            Some(not_constant(e)).filter(|span| *span != e.span)
        }
        ExprKind::Null
        | ExprKind::Bool(_)
        | ExprKind::Int(_)
        | ExprKind::Float(_)
        | ExprKind::Duration(_)
        | ExprKind::Text { .. }
        | ExprKind::Tagged { .. } => None,
        _ => Some(e.span),
    }
}
