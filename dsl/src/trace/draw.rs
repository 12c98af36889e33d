//! A trace as text.

use std::fmt::Write as _;

use super::{Effect, Joint, Met, RuleTrace, Trace};
use crate::plan::{Plan, RuleId};

/// Draws the rules that are wanted, one line each for the others, and what became of the event.
pub fn draw(plan: &Plan, trace: &Trace, wanted: &dyn Fn(RuleId) -> bool) -> String {
    let mut out = String::new();
    let width = trace.rules.iter().map(|traced| label(plan, traced.rule).len()).max().unwrap_or(0);
    for traced in &trace.rules {
        if wanted(traced.rule) {
            rule(&mut out, plan, traced);
        } else {
            line(
                &mut out,
                &format!("{:width$}  {}", label(plan, traced.rule), said(plan, traced.met)),
            );
        }
    }
    line(&mut out, "");
    for (sink, rule, event) in &trace.routes {
        let by = rule.map_or("the default route", |rule| label(plan, rule));
        line(&mut out, &format!("routed to {sink} by {by}: {event}"));
    }
    match &trace.dropped {
        Some((rule, reason)) => {
            line(&mut out, &format!("dropped by {} as {reason:?}", label(plan, *rule)));
        }
        None if trace.routes.is_empty() => line(&mut out, "nothing routed or dropped it"),
        None => {}
    }
    out
}

fn label(plan: &Plan, rule: RuleId) -> &str {
    &plan.rule(rule).label
}

fn line(out: &mut String, text: &str) {
    let _infallible = writeln!(out, "{}", text.trim_end());
}

/// Whether a rule took the event, in words.
fn said(plan: &Plan, met: Met) -> String {
    match met {
        Met::Taken => "took it".to_owned(),
        Met::Refused => "its condition did not hold".to_owned(),
        Met::OtherSource => "sees other sources".to_owned(),
        Met::DroppedBefore(by) => format!("never saw it: {} dropped it", label(plan, by)),
        Met::TakenBefore(by) => format!("never saw it: {} took it first", label(plan, by)),
        Met::GroupRefused => "never saw it: the group's condition did not hold".to_owned(),
    }
}

fn rule(out: &mut String, plan: &Plan, traced: &RuleTrace) {
    line(out, &format!("rule {}: {}", label(plan, traced.rule), said(plan, traced.met)));
    let text = |part: &super::Part| {
        let indent = "  ".repeat(part.depth);
        match part.joint {
            Some(Joint::All) => format!("{indent}all of"),
            Some(Joint::Any) => format!("{indent}any of"),
            Some(Joint::Not) => format!("{indent}not"),
            None => format!("{indent}{}", part.text),
        }
    };
    let width = traced.condition.iter().map(|part| text(part).chars().count()).max().unwrap_or(0);
    for part in &traced.condition {
        let held = if part.held { "yes" } else { "no " };
        let saw: Vec<String> =
            part.saw.iter().map(|(path, value)| format!("{path} = {value}")).collect();
        line(out, &format!("  {held}  {:width$}  {}", text(part), saw.join(", ")));
    }
    for effect in &traced.effects {
        line(out, &format!("  {}", effect_text(effect)));
    }
}

fn effect_text(effect: &Effect) -> String {
    match effect {
        Effect::Wrote { path, before: None, after: Some(after) } => {
            format!("wrote {path} = {after}")
        }
        Effect::Wrote { path, before: Some(before), after: Some(after) } => {
            format!("wrote {path} = {after}, was {before}")
        }
        Effect::Wrote { path, before: Some(before), after: None } => {
            format!("removed {path}, was {before}")
        }
        Effect::Wrote { path, before: None, after: None } => format!("touched {path}"),
        Effect::Routed(sink) => format!("routed to {sink}"),
        Effect::Dropped(reason) => format!("dropped as {reason:?}"),
        Effect::Fault(site, cause) => format!("fault at `{site}`: {cause}"),
    }
}
