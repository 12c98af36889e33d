//! A plan up to one of its rules, and what changed between two events.

use serde_json::Value;

use super::Effect;
use crate::plan::{Plan, RuleId, Step};

/// The plan up to a rule, with or without what that rule does. Nothing is routed by default: it is not the end.
pub(super) fn until(plan: &Plan, rule: RuleId, with_body: bool) -> Plan {
    let mut plan = plan.clone();
    let mut steps = Vec::with_capacity(plan.steps.len());
    for step in plan.steps {
        match step {
            Step::Rule(id) if id == rule => {
                steps.push(Step::Rule(id));
                break;
            }
            Step::Group { name, first, when, site, mut rules } if rules.contains(&rule) => {
                let place = rules.iter().position(|id| *id == rule).unwrap_or(0);
                rules.truncate(place + 1);
                steps.push(Step::Group { name, first, when, site, rules });
                break;
            }
            other => steps.push(other),
        }
    }
    plan.steps = steps;
    plan.default_route = Vec::new();
    if !with_body && let Some(rule) = plan.rules.get_mut(rule.0 as usize) {
        rule.body = Vec::new();
    }
    plan
}

/// The fields that two events hold differently, in the order of the second one.
pub(super) fn changes(before: &str, after: &str) -> Vec<Effect> {
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap_or(Value::Null);
    let mut out = Vec::new();
    compare(&mut out, &mut String::new(), &read(before), &read(after));
    out
}

/// Objects of both are compared member by member. Events nest no deeper than the decoder lets them.
fn compare(out: &mut Vec<Effect>, path: &mut String, before: &Value, after: &Value) {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        if before != after {
            out.push(Effect::Wrote {
                path: path.clone(),
                before: Some(before.to_string()),
                after: Some(after.to_string()),
            });
        }
        return;
    };
    for (key, value) in new {
        let len = path.len();
        step(path, key);
        match old.get(key) {
            Some(known) => compare(out, path, known, value),
            None => out.push(Effect::Wrote {
                path: path.clone(),
                before: None,
                after: Some(value.to_string()),
            }),
        }
        path.truncate(len);
    }
    for (key, value) in old.iter().filter(|(key, _)| !new.contains_key(*key)) {
        let len = path.len();
        step(path, key);
        out.push(Effect::Wrote {
            path: path.clone(),
            before: Some(value.to_string()),
            after: None,
        });
        path.truncate(len);
    }
}

fn step(path: &mut String, key: &str) {
    let first = key.bytes().next();
    let plain = first.is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    path.push('.');
    if plain {
        path.push_str(key);
    } else {
        path.push_str(&Value::from(key).to_string());
    }
}
