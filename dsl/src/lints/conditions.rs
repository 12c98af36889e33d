//! W301: conditions that always or never hold.

use super::reason::{Goal, constant, possible, together};
use crate::{
    check::{Checker, Pool},
    diagnostic::{Code, Diagnostic},
    plan::{ExprId, Op},
    span::Span,
};

/// How deep a condition is looked into.
const DEPTH_MAX: usize = 16;

/// More operands are not compared each with each.
const OPERANDS_MAX: usize = 32;

/// Reports conditions that no event can change.
pub(super) fn report(checker: &mut Checker<'_>) {
    let mut found = Vec::new();
    for (id, span) in &checker.conditions {
        let look = Look { checker, whole: *span };
        look.at(*id, *span, 0, &mut found);
    }
    for diagnostic in found {
        checker.report(diagnostic);
    }
}

struct Look<'c, 'a> {
    checker: &'c Checker<'a>,
    /// The condition as a whole.
    whole: Span,
}

impl Look<'_, '_> {
    fn pool(&self) -> &Pool {
        &self.checker.build.pool
    }

    /// Where this part of the condition is written: nothing where it comes from a function.
    fn place(&self, id: ExprId) -> Option<Span> {
        let spans = self.checker.said_at.get(&id)?;
        spans.iter().copied().find(|span| {
            span.file == self.whole.file
                && span.start >= self.whole.start
                && span.end <= self.whole.end
        })
    }

    fn at(&self, id: ExprId, span: Span, depth: usize, found: &mut Vec<Diagnostic>) {
        // A switch that is off by a constant is meant.
        if depth > DEPTH_MAX || switched(self.pool(), id, 0) {
            return;
        }
        if !possible(self.pool(), id, true) {
            found.push(self.never(id, span));
            return;
        }
        if !possible(self.pool(), id, false) {
            found.push(
                Diagnostic::new(Code::W301, span, "this condition always holds")
                    .label("true of every event, also where fields are absent")
                    .advise("leave it out"),
            );
            return;
        }
        let (Op::And(ids) | Op::Or(ids)) = self.pool().op(id) else {
            if let Op::Not(inner) = self.pool().op(id)
                && let Some(span) = self.place(*inner)
                && is_compound(self.pool(), *inner)
            {
                self.at(*inner, span, depth + 1, found);
            }
            return;
        };
        let either = matches!(self.pool().op(id), Op::Or(_));
        for part in ids {
            if let Some(span) = self.place(*part)
                && (either || is_compound(self.pool(), *part))
            {
                self.at(*part, span, depth + 1, found);
            }
        }
    }

    fn never(&self, id: ExprId, span: Span) -> Diagnostic {
        let diagnostic = Diagnostic::new(Code::W301, span, "this condition never holds");
        if let Op::And(ids) = self.pool().op(id)
            && let Some((one, other)) = self.rivals(ids)
        {
            return match (self.place(one), self.place(other)) {
                (Some(one), Some(other)) => Diagnostic { at: other, ..diagnostic }
                    .label("false of every event …")
                    .related(one, "… for which this is true"),
                _ => diagnostic.label("two parts of it exclude each other"),
            };
        }
        diagnostic.label("false of every event")
    }

    /// Two operands that exclude each other.
    fn rivals(&self, ids: &[ExprId]) -> Option<(ExprId, ExprId)> {
        let ids = ids.get(..OPERANDS_MAX.min(ids.len()))?;
        ids.iter().enumerate().find_map(|(index, one)| {
            let behind = ids[index + 1..].iter();
            behind
                .copied()
                .find(|other| {
                    let goals = [Goal::Is(*one, true), Goal::Is(*other, true)];
                    together(self.pool(), &goals).is_impossible()
                })
                .map(|other| (*one, other))
        })
    }
}

fn is_compound(pool: &Pool, id: ExprId) -> bool {
    matches!(pool.op(id), Op::And(_) | Op::Or(_) | Op::Not(_))
}

/// Whether a constant decides some part of a condition.
fn switched(pool: &Pool, id: ExprId, depth: usize) -> bool {
    if depth > DEPTH_MAX {
        return true;
    }
    match pool.op(id) {
        Op::And(ids) | Op::Or(ids) => ids.iter().any(|id| switched(pool, *id, depth + 1)),
        Op::Not(inner) => switched(pool, *inner, depth + 1),
        _ => constant(pool, id).is_some(),
    }
}
