//! W801: what rules cost, estimated from what they compute.
//!
//! Weights are nanoseconds an event on one core, rounded: they tell a regex from a comparison, not one machine from another. What rules share is
//! counted for the first of them, as the evaluator computes it once.

use std::collections::BTreeSet;

use crate::{
    diagnostic::{Code, Diagnostic},
    plan::{Arg, ExprId, Op, Plan, Rule, RuleId, Stmt},
};

/// A rule that takes at least this share of all rules' time is named …
const SHARE: f64 = 0.4;

/// … if it takes at least as long as this: who computes next to nothing computes it somewhere.
const NANOS_MIN: f64 = 300.0;

/// Statements behind conditions run for fewer events than they could; so many, as a guess.
const BEHIND_A_CONDITION: f64 = 0.3;

/// What a rule costs.
#[derive(Debug, Clone, PartialEq)]
pub struct Cost {
    /// The rule.
    pub rule: RuleId,
    /// Nanoseconds an event.
    pub nanos: f64,
    /// The expression that costs most of it, and how much.
    pub dearest: Option<(ExprId, f64)>,
}

/// What each rule costs, in the order in which they run.
pub fn estimate(plan: &Plan) -> Vec<Cost> {
    let mut paid = BTreeSet::new();
    let rules = plan.rules.iter().enumerate();
    rules.map(|(index, rule)| of_rule(plan, RuleId(index as u32), rule, &mut paid)).collect()
}

/// Rules that take most of the time, and why (W801).
pub fn expensive(plan: &Plan) -> Vec<Diagnostic> {
    let costs = estimate(plan);
    let all: f64 = costs.iter().map(|cost| cost.nanos).sum();
    let mut found = Vec::new();
    for cost in costs {
        if cost.nanos < NANOS_MIN || cost.nanos < all * SHARE || plan.rules.len() < 2 {
            continue;
        }
        let rule = plan.rule(cost.rule);
        let share = (cost.nanos / all * 100.0).round();
        let message = format!("`{}` takes about {share} % of the time of all rules", rule.name);
        let mut diagnostic = Diagnostic::new(Code::W801, rule.span, message);
        if let Some((dearest, _)) = cost.dearest {
            let expr = plan.expr(dearest);
            diagnostic =
                diagnostic.related(expr.span, format!("most of it is {}", named(&expr.op)));
        }
        found.push(diagnostic.advise(
            "let a cheap condition stand before it: a comparison, `starts_with`, `contains`",
        ));
    }
    found
}

fn of_rule(plan: &Plan, id: RuleId, rule: &Rule, paid: &mut BTreeSet<ExprId>) -> Cost {
    let mut cost = Cost { rule: id, nanos: 0.0, dearest: None };
    let share = match rule.when {
        Some(when) => {
            add(plan, when, 1.0, paid, &mut cost);
            BEHIND_A_CONDITION
        }
        None => 1.0,
    };
    block(plan, &rule.body, share, paid, &mut cost);
    cost
}

fn block(plan: &Plan, body: &[Stmt], share: f64, paid: &mut BTreeSet<ExprId>, cost: &mut Cost) {
    for stmt in body {
        // Writing a column, cutting a row out of one.
        cost.nanos += 5.0 * share;
        for expr in stmt.expressions() {
            add(plan, expr, share, paid, cost);
        }
        for inner in stmt.blocks() {
            block(plan, inner, share * BEHIND_A_CONDITION, paid, cost);
        }
    }
}

fn add(plan: &Plan, id: ExprId, share: f64, paid: &mut BTreeSet<ExprId>, cost: &mut Cost) {
    let mut open = vec![(id, share)];
    while let Some((id, share)) = open.pop() {
        if !paid.insert(id) {
            continue;
        }
        let op = &plan.expr(id).op;
        let nanos = weight(op) * share;
        cost.nanos += nanos;
        if nanos > 0.0 && cost.dearest.is_none_or(|(_, known)| nanos > known) {
            cost.dearest = Some((id, nanos));
        }
        let all = op.operands();
        let n = all.len();
        let decides = matches!(op, Op::And(_) | Op::Or(_));
        // Cheap conditions come first, and decide for most events.
        let costs: Vec<f64> = all.iter().map(|operand| weight(&plan.expr(*operand).op)).collect();
        let cheap = costs.iter().any(|one| *one <= 20.0);
        for (operand, own) in all.into_iter().zip(costs) {
            let asked_less = decides && n > 1 && cheap && own > 20.0;
            open.push((operand, if asked_less { share * BEHIND_A_CONDITION } else { share }));
        }
    }
}

/// Nanoseconds an event, without the operands.
fn weight(op: &Op) -> f64 {
    match op {
        Op::Literal(_) | Op::Local(_) | Op::Meta(_) => 0.0,
        Op::Field(_) | Op::Truth(_) | Op::And(_) | Op::Or(_) | Op::Not(_) | Op::Is { .. } => 1.0,
        Op::Compare { .. } | Op::Arith { .. } | Op::Neg(_) | Op::Narrow(_) => 2.0,
        Op::InSet { .. } | Op::In { .. } | Op::Coalesce(..) | Op::If { .. } | Op::Match { .. } => {
            5.0
        }
        Op::TextTest { ignore_case, .. } | Op::Has { ignore_case, .. } => {
            if *ignore_case {
                120.0
            } else {
                20.0
            }
        }
        Op::Like { .. } => 40.0,
        // A text that must stand in it is looked for first.
        Op::Matches { regex, .. } => {
            if regex.required().is_some() {
                60.0
            } else {
                400.0
            }
        }
        Op::Member { .. } | Op::Index { .. } | Op::Each { .. } | Op::AnyElement { .. } => 50.0,
        Op::Record(_) | Op::List(_) | Op::Format(_) => 60.0,
        Op::Lookup { .. } => 100.0,
        Op::Call { function, args } => {
            let regexes = args.iter().flatten().map(|arg| match arg {
                Arg::Regex(_) | Arg::Grok(_) => 600.0,
                Arg::Detectors(all) => 300.0 * all.len() as f64,
                Arg::Pattern(_) => 150.0,
                Arg::Lambda(_) => 100.0,
                Arg::Value(_) | Arg::Choice(_) | Arg::Secret(_) => 0.0,
            });
            let own = if function.name.starts_with("parse_") {
                400.0
            } else if function.name.starts_with("sha") || function.name == "hmac" {
                300.0
            } else {
                30.0
            };
            own + regexes.sum::<f64>()
        }
    }
}

fn named(op: &Op) -> String {
    match op {
        Op::Matches { .. } => "a regex".to_owned(),
        Op::TextTest { .. } | Op::Has { .. } | Op::Like { .. } => "a search in text".to_owned(),
        Op::Lookup { .. } => "a lookup".to_owned(),
        Op::Call { function, .. } => format!("`{}`", function.name),
        _ => "this".to_owned(),
    }
}
