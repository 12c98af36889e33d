//! Conditions: predicates are two-valued, an absent operand makes them false.

use super::{Checked, Checker, said};
use crate::{
    diagnostic::{Code, Diagnostic},
    plan::{ExprId, IsTest, Op},
    span::Span,
    syntax::ast::{Expr, ExprKind, Presence},
    types::{Ty, Type},
};

impl Checker<'_> {
    /// An expression as a condition: a predicate, or a truth value that counts as false where it is absent.
    pub(super) fn condition(&mut self, e: &Expr, place: &str) -> Option<ExprId> {
        let value = self.expr(e, Some(&Type::Bool))?;
        let id = self.as_condition(value, place)?;
        if !self.place.in_test {
            if place.starts_with("the condition") {
                self.conditions.push((id, e.span));
            }
            self.said_at.entry(id).or_default().push(e.span);
        }
        Some(id)
    }

    pub(super) fn as_condition(&mut self, value: Checked, place: &str) -> Option<ExprId> {
        if self.build.pool.op(value.id).is_predicate() {
            return Some(value.id);
        }
        let span = value.span;
        let truth = match value.base() {
            Type::Bool | Type::Null => value,
            Type::Any => self.narrow(value, Type::Bool),
            _ => {
                let message = format!("{place} is true or false, not `{}`", said(&value.ty));
                self.report(
                    Diagnostic::new(Code::E101, span, message)
                        .label(format!("this is `{}`", said(&value.ty)))
                        .advise("compare it with something, or ask `is present`"),
                );
                return None;
            }
        };
        Some(self.build.pool.add(Op::Truth(truth.id), Ty::required(Type::Bool), span))
    }

    pub(super) fn truth(&mut self, op: Op, span: Span) -> Checked {
        self.add(op, Ty::required(Type::Bool), span)
    }

    pub(super) fn negate(&mut self, id: ExprId, span: Span) -> Checked {
        if let Op::Not(inner) = self.build.pool.op(id) {
            let id = *inner;
            return Checked { id, ty: Ty::required(Type::Bool), span };
        }
        self.truth(Op::Not(id), span)
    }

    pub(super) fn predicate(&mut self, e: &Expr) -> Option<Checked> {
        match &e.kind {
            ExprKind::And(operands) => self.connected(e.span, operands, true),
            ExprKind::Or(operands) => self.connected(e.span, operands, false),
            ExprKind::Not(of) => {
                let inner = self.condition(of, "the operand of `not`")?;
                self.suspect_negation(inner, e.span);
                Some(self.negate(inner, e.span))
            }
            ExprKind::Compare { op, op_span, negated, left, right } => {
                let found = self.comparison(e.span, *op, *op_span, left, right)?;
                if *negated {
                    self.suspect_negation(found.id, e.span);
                    return Some(self.negate(found.id, e.span));
                }
                Some(found)
            }
            ExprKind::Is { subject, negated, presence } => {
                let value = self.expr(subject, None)?;
                let test = match presence {
                    Presence::Absent => IsTest::Absent,
                    Presence::Missing => IsTest::Missing,
                    Presence::Null => IsTest::Null,
                    Presence::Present => IsTest::Present,
                    Presence::Type(name) => IsTest::Type(self.asked_type(name)?),
                };
                let found = self.truth(Op::Is { value: value.id, test }, e.span);
                Some(if *negated { self.negate(found.id, e.span) } else { found })
            }
            _ => None,
        }
    }

    /// `a and b …`, `a or b …`: what an operand says is known to the ones behind it.
    fn connected(&mut self, span: Span, operands: &[Expr], and: bool) -> Option<Checked> {
        let before = self.flow.present.clone();
        let pending = self.pending_w312.len();
        let place = if and { "an operand of `and`" } else { "an operand of `or`" };
        let mut ids = Vec::with_capacity(operands.len());
        let mut whole = true;
        for operand in operands {
            match self.condition(operand, place) {
                Some(id) => {
                    self.learn(id, and);
                    match (self.build.pool.op(id), and) {
                        (Op::And(inner), true) | (Op::Or(inner), false) => {
                            ids.extend(inner.iter().copied());
                        }
                        _ => ids.push(id),
                    }
                }
                None => whole = false,
            }
        }
        // A later conjunct may say that the value is there after all.
        let present = std::mem::replace(&mut self.flow.present, before);
        let mut index = 0;
        self.pending_w312.retain(|(value, _)| {
            index += 1;
            index <= pending || !present.contains(value)
        });
        if !whole {
            return None;
        }
        let mut seen = std::collections::BTreeSet::new();
        ids.retain(|id| seen.insert(*id));
        if let [only] = ids.as_slice() {
            return Some(Checked { id: *only, ty: Ty::required(Type::Bool), span });
        }
        Some(self.truth(if and { Op::And(ids) } else { Op::Or(ids) }, span))
    }

    /// Notes what a condition's outcome says about which values are there.
    pub(super) fn learn(&mut self, condition: ExprId, holds: bool) {
        let mut open = vec![(condition, holds)];
        while let Some((id, holds)) = open.pop() {
            let mut there = Vec::new();
            match (self.build.pool.op(id), holds) {
                (Op::And(ids), true) | (Op::Or(ids), false) => {
                    open.extend(ids.iter().map(|id| (*id, holds)));
                }
                (Op::Not(inner), _) => open.push((*inner, !holds)),
                (Op::Truth(value), true) => there.push(*value),
                (Op::Is { value, test: IsTest::Present | IsTest::Type(_) }, true)
                | (Op::Is { value, test: IsTest::Absent }, false) => there.push(*value),
                (Op::Compare { left, right, .. }, true) => there.extend([*left, *right]),
                (
                    Op::InSet { value, .. }
                    | Op::Like { value, .. }
                    | Op::Matches { value, .. }
                    | Op::Has { value, .. },
                    true,
                ) => there.push(*value),
                (Op::In { value, within }, true) => there.extend([*value, *within]),
                (Op::TextTest { value, needle, .. }, true) => there.extend([*value, *needle]),
                _ => {}
            }
            for id in there {
                self.flow.present.insert(id);
                self.flow.present.insert(self.build.pool.below_narrow(id));
            }
        }
    }

    /// W312: the negation of a predicate also holds where its field is absent.
    pub(super) fn suspect_negation(&mut self, id: ExprId, span: Span) {
        if self.place.in_test {
            return;
        }
        let operands = match self.build.pool.op(id) {
            Op::Compare { left, right, .. } => vec![*left, *right],
            Op::InSet { value, .. }
            | Op::In { value, .. }
            | Op::TextTest { value, .. }
            | Op::Like { value, .. }
            | Op::Matches { value, .. }
            | Op::Has { value, .. } => vec![*value],
            _ => return,
        };
        for operand in operands {
            let value = self.build.pool.below_narrow(operand);
            let expr = self.build.pool.get(value);
            let Op::Field(node) = expr.op else { continue };
            // The pool's type is the widest anybody saw; a fact says more.
            let sure = self.flow.present.contains(&value) || !self.may_lack(node);
            if sure {
                continue;
            }
            let path = self.build.layout.display(node);
            let diagnostic = Diagnostic::new(
                Code::W312,
                span,
                format!("this also holds where `{path}` is absent"),
            )
            .suggest(
                "say so if only present values are meant",
                vec![(span.behind(), format!(" and {path} is present"))],
            );
            self.pending_w312.push((value, diagnostic));
            return;
        }
    }

    /// Whether an event may come here without this field.
    fn may_lack(&self, node: crate::column::NodeId) -> bool {
        let keys = super::expr::keys_of(&self.build.layout.path(node));
        self.place.on.iter().any(|source| {
            match super::event::look(&self.flow.shapes[*source], &keys) {
                super::event::Known::Typed { ty, .. } => ty.optional,
                super::event::Known::Open { .. } => true,
                super::event::Known::Closed { .. } | super::event::Known::Scalar { .. } => true,
            }
        })
    }
}
