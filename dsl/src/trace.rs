//! One event's way through a program: which rules took it, which parts of their conditions held, and what they did.
//!
//! The evaluator is not watched while it runs: the program is run again up to the rule in question, so that what runs in
//! production carries nothing for the sake of this.

mod condition;
mod draw;
mod until;

use std::sync::Arc;

use crate::{
    column::{Absence, Batch, Names, View, load, print},
    eval::{Evaluator, Lookups, Outcome, print_event, print_routed},
    plan::{ExprId, Plan, RuleId, Step},
    program::Analysis,
};

pub use condition::{Joint, Part};
pub use draw::draw;

/// An event and what is around it.
#[derive(Debug, Clone, Copy)]
pub struct Given<'e> {
    /// The event as JSON.
    pub event: &'e str,
    /// The source that it comes from, by number.
    pub source: usize,
    /// The record's time, nanoseconds.
    pub now: i64,
}

/// One event's way.
#[derive(Debug, Clone)]
pub struct Trace {
    /// One a rule, in the order in which they run.
    pub rules: Vec<RuleTrace>,
    /// Every route that was taken: the sink, the rule (none for the default route), and the event as it was sent.
    pub routes: Vec<(Arc<str>, Option<RuleId>, String)>,
    /// The rule that dropped it, and the reason.
    pub dropped: Option<(RuleId, Arc<str>)>,
}

/// What one rule made of the event.
#[derive(Debug, Clone)]
pub struct RuleTrace {
    /// The rule.
    pub rule: RuleId,
    /// Whether it took the event.
    pub met: Met,
    /// The parts of its group's condition and of its own; only of rules that were asked for.
    pub condition: Vec<Part>,
    /// What it did; only of rules that were asked for.
    pub effects: Vec<Effect>,
}

/// Whether a rule took an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Met {
    /// Its conditions held.
    Taken,
    /// Its own condition did not hold.
    Refused,
    /// It sees events of other sources only.
    OtherSource,
    /// That rule had dropped the event.
    DroppedBefore(RuleId),
    /// That rule of the same group had taken it.
    TakenBefore(RuleId),
    /// The group's condition did not hold.
    GroupRefused,
}

/// What a rule did to the event.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// A field that holds something else now.
    Wrote {
        /// The path as it is written in rules.
        path: String,
        /// What was there, as JSON.
        before: Option<String>,
        /// What is there, as JSON.
        after: Option<String>,
    },
    /// It was sent to a sink.
    Routed(Arc<str>),
    /// It was dropped for this reason.
    Dropped(Arc<str>),
    /// Something went wrong at this place of the rule, for this cause.
    Fault(Arc<str>, &'static str),
}

/// Follows one event through a program; details only of the rules that are wanted. The error says why the event cannot be read.
pub fn trace(
    analysis: &Analysis,
    given: Given<'_>,
    lookups: &mut dyn Lookups,
    wanted: &dyn Fn(RuleId) -> bool,
) -> Result<Trace, String> {
    let plan = Arc::new(analysis.plan.clone());
    let mut run = Run::new(plan.clone(), given)?;
    let outcome = run.go(lookups);
    let dropped = outcome.dropped_by.first().copied().flatten();
    let mut rules = Vec::with_capacity(plan.rules.len());
    for index in 0..plan.rules.len() {
        let rule = RuleId(index as u32);
        let mut traced = RuleTrace {
            rule,
            met: met(&plan, &outcome, given.source, rule),
            condition: Vec::new(),
            effects: Vec::new(),
        };
        if wanted(rule) {
            detail(analysis, given, lookups, &mut traced)?;
        }
        rules.push(traced);
    }
    let routes = outcome
        .routed
        .iter()
        .flat_map(|routed| routed.rows.iter().map(move |row| (routed, *row as usize)))
        // The event itself, and what `emit each` made of it.
        .filter(|(_, row)| outcome.origin(*row) == 0)
        .map(|(routed, row)| {
            let mut event = Vec::new();
            print_routed(&mut event, &run.batch, &plan, &run.names, routed, row);
            let sink = plan.sinks[routed.sink.0 as usize].name.clone();
            (sink, routed.rule, String::from_utf8_lossy(&event).into_owned())
        })
        .collect();
    let dropped = dropped.map(|(rule, reason)| (rule, outcome.reasons[reason as usize].clone()));
    Ok(Trace { rules, routes, dropped })
}

fn detail(
    analysis: &Analysis,
    given: Given<'_>,
    lookups: &mut dyn Lookups,
    traced: &mut RuleTrace,
) -> Result<(), String> {
    let rule = traced.rule;
    let mut before = Run::new(Arc::new(until::until(&analysis.plan, rule, false)), given)?;
    before.go(lookups);
    traced.condition = condition::parts(analysis, rule, &mut before, lookups);
    if traced.met != Met::Taken {
        return Ok(());
    }
    let was = before.event();
    let mut after = Run::new(Arc::new(until::until(&analysis.plan, rule, true)), given)?;
    let outcome = after.go(lookups);
    let is = after.event();
    traced.effects = until::changes(&was, &is);
    for routed in outcome.routed.iter().filter(|routed| routed.rule == Some(rule)) {
        if routed.rows.iter().any(|row| outcome.origin(*row as usize) == 0) {
            let sink = analysis.plan.sinks[routed.sink.0 as usize].name.clone();
            traced.effects.push(Effect::Routed(sink));
        }
    }
    for (_, site, cause) in &outcome.fault_rows {
        let site = &analysis.plan.sites[site.0 as usize];
        if site.rule == rule {
            traced.effects.push(Effect::Fault(site.label.clone(), cause.name()));
        }
    }
    if let Some(Some((by, reason))) = outcome.dropped_by.first()
        && *by == rule
    {
        traced.effects.push(Effect::Dropped(outcome.reasons[*reason as usize].clone()));
    }
    Ok(())
}

/// Whether a rule took the event, told from what a whole run counted.
fn met(plan: &Plan, outcome: &Outcome, source: usize, id: RuleId) -> Met {
    let counts = |id: RuleId| outcome.rules.get(id.0 as usize).copied().unwrap_or_default();
    if counts(id).matched > 0 {
        return Met::Taken;
    }
    if counts(id).evaluated > 0 {
        return Met::Refused;
    }
    let rule = plan.rule(id);
    if !rule.on.is_empty() && !rule.on.contains(&source) {
        return Met::OtherSource;
    }
    if let Some(Some((by, _))) = outcome.dropped_by.first()
        && by.0 < id.0
    {
        return Met::DroppedBefore(*by);
    }
    let group = plan.steps.iter().find_map(|step| match step {
        Step::Group { rules, first, .. } if rules.contains(&id) => Some((rules, *first)),
        _ => None,
    });
    match group {
        Some((rules, true)) => rules
            .iter()
            .find(|other| other.0 < id.0 && counts(**other).matched > 0)
            .map_or(Met::GroupRefused, |other| Met::TakenBefore(*other)),
        _ => Met::GroupRefused,
    }
}

/// One event and a plan that runs over it.
struct Run {
    plan: Arc<Plan>,
    evaluator: Evaluator,
    names: Names,
    batch: Batch,
}

impl Run {
    fn new(plan: Arc<Plan>, given: Given<'_>) -> Result<Self, String> {
        let mut names = Names::default();
        let mut batch = Batch::new(&plan.layout);
        load::load(&mut batch, &plan.layout, &mut names, &[given.event.as_bytes()])
            .map_err(|(_, why)| why.to_string())?;
        batch.meta.source = given.source;
        batch.meta.topic =
            plan.sources.get(given.source).map_or_else(|| "".into(), |source| source.name.clone());
        batch.meta.offsets = vec![0];
        batch.meta.times = vec![given.now];
        batch.meta.keys = vec![View::absent(Absence::Missing)];
        batch.meta.headers = vec![View::absent(Absence::Missing)];
        Ok(Self { evaluator: Evaluator::new(plan.clone()), plan, names, batch })
    }

    fn go(&mut self, lookups: &mut dyn Lookups) -> Outcome {
        self.evaluator.run(&mut self.batch, &self.names, lookups, true)
    }

    /// The event as the rules left it.
    fn event(&self) -> String {
        let mut out = Vec::new();
        let snapshot = self.batch.snapshot();
        print_event(&mut out, &self.batch, &self.plan.layout, &self.names, &snapshot, 0, &[]);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// A value as JSON, or why it is absent.
    fn show(&mut self, expr: ExprId, lookups: &mut dyn Lookups) -> String {
        let column = self.evaluator.value(expr, &mut self.batch, &self.names, lookups);
        match column.absence(0) {
            Some(Absence::Missing) => "missing".to_owned(),
            Some(Absence::Null) => "null".to_owned(),
            Some(other) => format!("absent ({})", other.name()),
            None => {
                let mut out = Vec::new();
                print::cell(&mut out, &self.batch.arena, &column, 0);
                String::from_utf8_lossy(&out).into_owned()
            }
        }
    }
}

/// An expression's value over an event as it came, as JSON or as the reason why it is absent.
pub fn value(
    analysis: &Analysis,
    given: Given<'_>,
    expr: ExprId,
    lookups: &mut dyn Lookups,
) -> Result<String, String> {
    let mut plan = analysis.plan.clone();
    plan.steps.clear();
    plan.default_route.clear();
    let mut run = Run::new(Arc::new(plan), given)?;
    run.go(lookups);
    Ok(run.show(expr, lookups))
}

/// The event as one rule leaves it, without any other rule.
pub fn after(
    analysis: &Analysis,
    given: Given<'_>,
    rule: RuleId,
    lookups: &mut dyn Lookups,
) -> Result<String, String> {
    let mut plan = analysis.plan.clone();
    plan.steps = vec![Step::Rule(rule)];
    plan.default_route.clear();
    let mut run = Run::new(Arc::new(plan), given)?;
    run.go(lookups);
    Ok(run.event())
}
