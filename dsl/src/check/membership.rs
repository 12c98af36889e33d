//! `in`: lists, blocks of addresses, and sets of constants.

use std::sync::Arc;

use super::{Checked, Checker, constant::Const, said};
use crate::{
    column::Cidr,
    diagnostic::{Code, Diagnostic},
    plan::{Literal, LiteralSet, Op},
    span::Span,
    syntax::ast::{Expr, ExprKind},
    types::Type,
};

impl Checker<'_> {
    /// The left side of `in`; a bare name there takes its meaning from the list.
    pub(super) fn left_of_in(&mut self, left: &Expr, right: &Expr) -> Option<Checked> {
        let ExprKind::Name(_) = left.kind else { return self.expr(left, None) };
        let want = match &right.kind {
            ExprKind::List(_) => None,
            _ => match self.expr(right, None)?.ty.base {
                Type::List(of) => Some((*of).clone()),
                _ => None,
            },
        };
        self.expr(left, want.as_ref())
    }

    pub(super) fn is_in(&mut self, span: Span, value: Checked, right: &Expr) -> Option<Checked> {
        let constant = match &right.kind {
            ExprKind::List(_) | ExprKind::Name(_) | ExprKind::Tagged { .. } => {
                if matches!(&right.kind, ExprKind::Name(name) if self.named_const(name).is_none()) {
                    Const::Computed
                } else {
                    self.fold(right, Some(value.base()))?
                }
            }
            _ => Const::Computed,
        };
        match constant {
            Const::Scalar(Literal::Cidr(block), _) => {
                let value = self.in_place(value, &Type::Ip, right.span)?;
                let set = LiteralSet { cidrs: vec![block], ..LiteralSet::default() };
                Some(self.truth(Op::InSet { value: value.id, set: Arc::new(set) }, span))
            }
            Const::List(items) => self.in_list(span, value, &items, right),
            Const::Computed => {
                let want = Type::list(value.base().clone());
                let within = self.expr(right, Some(&want))?;
                self.in_computed(span, value, within)
            }
            Const::Scalar(..)
            | Const::FoldedText(_)
            | Const::Record(_)
            | Const::Regex(_)
            | Const::Pattern(_)
            | Const::Grok(_)
            | Const::Secret(_)
            | Const::Glob(_) => {
                self.report(
                    Diagnostic::new(Code::E101, right.span, "`in` takes a list or a `cidr`")
                        .advise("for text inside text write `contains`"),
                );
                None
            }
        }
    }

    fn in_computed(&mut self, span: Span, value: Checked, within: Checked) -> Option<Checked> {
        let (value, within) = match within.base().clone() {
            Type::Cidr => (self.in_place(value, &Type::Ip, within.span)?, within),
            Type::List(of) => {
                let cidrs = *of == Type::Cidr && matches!(value.base(), Type::Ip | Type::Any);
                let of = if cidrs { Type::Ip } else { (*of).clone() };
                let value =
                    if of == Type::Any { value } else { self.in_place(value, &of, within.span)? };
                (value, within)
            }
            Type::Any => (value, self.narrow(within, Type::list(Type::Any))),
            other => {
                let message = format!("`in` takes a list or a `cidr`, not `{other}`");
                let mut diagnostic = Diagnostic::new(Code::E101, within.span, message);
                if other == Type::Text {
                    diagnostic = diagnostic.advise("for text inside text write `contains`");
                }
                self.report(diagnostic);
                return None;
            }
        };
        Some(self.truth(Op::In { value: value.id, within: within.id }, span))
    }

    /// A value that is looked for among values of a type.
    fn in_place(&mut self, value: Checked, of: &Type, among: Span) -> Option<Checked> {
        match value.base() {
            Type::Any if of.is_number() => Some(self.narrow(value, Type::Number)),
            Type::Any => Some(self.narrow(value, of.clone())),
            base if base == of || (base.is_number() && of.is_number()) => Some(value),
            _ => {
                let message = format!("`{}` is never among values of `{of}`", said(&value.ty));
                self.report(
                    Diagnostic::new(Code::E101, among, message)
                        .label(format!("these are `{of}`"))
                        .related(value.span, format!("this is `{}`", said(&value.ty))),
                );
                None
            }
        }
    }

    fn in_list(
        &mut self,
        span: Span,
        value: Checked,
        items: &[Const],
        list: &Expr,
    ) -> Option<Checked> {
        let mut set = LiteralSet::default();
        let mut types: Vec<Type> = Vec::new();
        for item in items {
            let Const::Scalar(literal, ty) = item else {
                let message = "a list behind `in` holds single values";
                return self.fail(Code::E101, list.span, message);
            };
            let ty = if *ty == Type::Cidr { Type::Ip } else { ty.clone() };
            let ty = if ty.is_number() { Type::Number } else { ty };
            if !types.contains(&ty) {
                types.push(ty);
            }
            put_literal(&mut set, literal);
        }
        sort_set(&mut set);
        let value = match types.as_slice() {
            [] => value,
            [only] => self.in_place(value, only, list.span)?,
            // A mixed list: each kind is compared with what the value turns out to be.
            many => {
                let fits = *value.base() == Type::Any
                    || many.iter().any(|ty| {
                        ty == value.base() || (ty.is_number() && value.base().is_number())
                    });
                if !fits {
                    return self.in_place(value, &many[0], list.span);
                }
                value
            }
        };
        Some(self.truth(Op::InSet { value: value.id, set: Arc::new(set) }, span))
    }
}

fn put_literal(set: &mut LiteralSet, literal: &Literal) {
    match literal {
        Literal::Bool(value) => set.bools.push(*value),
        Literal::Int(value) | Literal::Timestamp(value) | Literal::Duration(value) => {
            set.ints.push(*value);
        }
        Literal::Float(value) => set.floats.push(*value),
        Literal::Text(text) => set.texts.push(text.clone()),
        Literal::Ip(address) => set.cidrs.push(Cidr::new(*address, 128)),
        Literal::Cidr(block) => set.cidrs.push(*block),
        Literal::Severity(severity) => set.ints.push(i64::from(severity.0)),
        // Null is never equal to anything, and lists are no members.
        Literal::Absent(_) | Literal::Json(_) => {}
    }
}

fn sort_set(set: &mut LiteralSet) {
    set.texts.sort_unstable();
    set.texts.dedup();
    set.ints.sort_unstable();
    set.ints.dedup();
    set.floats.sort_unstable_by(f64::total_cmp);
    set.cidrs.sort_unstable_by_key(|block| (block.net, block.prefix));
    set.cidrs.dedup();
    set.bools.sort_unstable();
    set.bools.dedup();
}
