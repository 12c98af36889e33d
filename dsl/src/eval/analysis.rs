//! What is known of a plan's expressions before any event: what they read, what they cost, and ready-made searchers.

use memchr::memmem::Finder;

use super::{
    doubts::{self, Doubts},
    literals::{self, Seat},
};
use crate::{
    plan::{ExprId, Literal, LiteralSet, LocalId, MatchPattern, Op, Plan, RecordPart},
    types::Type,
};

/// One expression's reads and cost.
#[derive(Debug)]
pub(crate) struct ExprFacts {
    /// Fields whose change makes an older result void.
    pub(crate) nodes: Box<[u32]>,
    /// Locals it needs from outside.
    pub(crate) locals: Box<[LocalId]>,
    /// Whether to compute it only for the rows asked for, rather than once for the whole batch.
    pub(crate) costly: bool,
    /// What speeds it up.
    pub(crate) searcher: Searcher,
    /// Its place among literals that are looked for together.
    pub(crate) seat: Option<Seat>,
    /// Whether such literals may tell that it holds nowhere.
    pub(crate) gated: bool,
    /// Of a condition: what it looks at that may have gone wrong.
    pub(crate) doubts: Option<Doubts>,
}

impl ExprFacts {
    /// When a condition is asked among others. Literals come first: one pass has answered for all of them, and what they rule out is asked nothing else.
    fn turn(&self) -> u8 {
        if self.gated { 0 } else { 1 + u8::from(self.costly) }
    }
}

/// Conditions in the order in which they are asked: they have no effects, so it is free.
pub(crate) fn in_order<'a>(
    facts: &'a [ExprFacts],
    all: &'a [ExprId],
) -> impl Iterator<Item = ExprId> + 'a {
    (0..3).flat_map(move |turn| {
        all.iter().copied().filter(move |operand| facts[operand.0 as usize].turn() == turn)
    })
}

/// Something built once from an expression's literals.
#[derive(Debug)]
pub(crate) enum Searcher {
    /// Nothing.
    None,
    /// Finds the literal of a `contains`.
    Finder(Box<Finder<'static>>),
    /// First and last addresses of disjoint blocks, ascending.
    Ranges(Box<[(u128, u128)]>),
}

/// Looks at every expression of a plan, operands first.
pub(crate) fn analyze(plan: &Plan) -> Vec<ExprFacts> {
    let mut facts: Vec<ExprFacts> = Vec::with_capacity(plan.exprs.len());
    for expr in &plan.exprs {
        let mut nodes = Vec::new();
        let mut locals = Vec::new();
        let mut costly = is_costly(&expr.op, plan);
        let bound = expr.op.binds();
        for operand in expr.op.operands() {
            let fact = &facts[operand.0 as usize];
            nodes.extend_from_slice(&fact.nodes);
            locals.extend_from_slice(&fact.locals);
            costly |= fact.costly;
        }
        match &expr.op {
            Op::Field(node) => nodes.extend(plan.layout.subtree(*node).iter().map(|node| node.0)),
            Op::Local(local) => locals.push(*local),
            _ => {}
        }
        nodes.sort_unstable();
        nodes.dedup();
        locals.sort_unstable();
        locals.dedup();
        locals.retain(|local| !bound.contains(local));
        facts.push(ExprFacts {
            nodes: nodes.into(),
            locals: locals.into(),
            costly,
            searcher: searcher(&expr.op, plan),
            seat: None,
            gated: false,
            doubts: None,
        });
    }
    let mut seats = literals::seats(plan, |id| facts[id.0 as usize].costly);
    for (number, expr) in plan.exprs.iter().enumerate() {
        let seat = seats.remove(&(number as u32));
        let gated = match &expr.op {
            Op::And(all) => all.iter().any(|operand| facts[operand.0 as usize].gated),
            Op::Or(all) => all.iter().all(|operand| facts[operand.0 as usize].gated),
            _ => seat.is_some(),
        };
        (facts[number].seat, facts[number].gated) = (seat, gated);
    }
    doubts::find(plan, &mut facts);
    facts
}

fn is_costly(op: &Op, plan: &Plan) -> bool {
    match op {
        Op::Field(node) => plan.layout.node(*node).is_interior(),
        // A member of what is not a record of columns is searched for in its text.
        Op::Member { of, .. } => !matches!(plan.expr(*of).ty.base, Type::Record(_)),
        Op::Call { .. }
        | Op::Lookup { .. }
        | Op::Each { .. }
        | Op::Index { .. }
        | Op::List(_)
        | Op::Format(_)
        | Op::Like { .. }
        | Op::Matches { .. }
        | Op::Has { .. }
        | Op::TextTest { .. }
        | Op::In { .. }
        | Op::AnyElement { .. } => true,
        Op::Record(parts) => parts.iter().any(|part| matches!(part, RecordPart::Spread(_))),
        Op::Literal(_)
        | Op::Meta(_)
        | Op::Local(_)
        | Op::Narrow(_)
        | Op::Neg(_)
        | Op::Arith { .. }
        | Op::Coalesce(..)
        | Op::If { .. }
        | Op::Match { .. }
        | Op::And(_)
        | Op::Or(_)
        | Op::Not(_)
        | Op::Truth(_)
        | Op::Compare { .. }
        | Op::InSet { .. }
        | Op::Is { .. } => false,
    }
}

fn searcher(op: &Op, plan: &Plan) -> Searcher {
    match op {
        Op::TextTest { needle, .. } => match &plan.expr(*needle).op {
            Op::Literal(Literal::Text(text)) => {
                Searcher::Finder(Box::new(Finder::new(text.as_bytes()).into_owned()))
            }
            _ => Searcher::None,
        },
        Op::InSet { set, .. } if !set.cidrs.is_empty() => Searcher::Ranges(ranges(set)),
        _ => Searcher::None,
    }
}

/// Blocks as disjoint ranges, so that one binary search answers.
fn ranges(set: &LiteralSet) -> Box<[(u128, u128)]> {
    let mut all: Vec<_> = set.cidrs.iter().map(|block| (block.net, block.last())).collect();
    all.sort_unstable();
    let mut merged: Vec<(u128, u128)> = Vec::with_capacity(all.len());
    for (first, last) in all {
        match merged.last_mut() {
            Some(before) if first <= before.1 => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged.into()
}

/// Whether a pattern of `match` needs more than equality.
pub(crate) fn is_range(pattern: &MatchPattern) -> bool {
    matches!(pattern, MatchPattern::Range { .. })
}
