//! Comparisons: what compares with what, and over the elements of `[*]`.

use super::{Checked, Checker, said};
use crate::{
    diagnostic::{Code, Diagnostic},
    plan::{Arg, CompareOp, Literal, MatchPattern, Op},
    span::Span,
    syntax::ast::{Comparison, Expr, ExprKind, SegKind},
    types::{Members, Ty, Type},
};

impl Checker<'_> {
    pub(super) fn comparison(
        &mut self,
        span: Span,
        op: Comparison,
        op_span: Span,
        left: &Expr,
        right: &Expr,
    ) -> Option<Checked> {
        if over_elements(left) {
            return self.over_each(span, op, op_span, left, right);
        }
        match op {
            Comparison::Eq => self.ordered(span, CompareOp::Eq, op_span, left, right),
            Comparison::Lt => self.ordered(span, CompareOp::Lt, op_span, left, right),
            Comparison::Le => self.ordered(span, CompareOp::Le, op_span, left, right),
            Comparison::Gt => self.ordered(span, CompareOp::Gt, op_span, left, right),
            Comparison::Ge => self.ordered(span, CompareOp::Ge, op_span, left, right),
            Comparison::In => {
                let value = self.left_of_in(left, right);
                self.is_in(span, value?, right)
            }
            Comparison::Contains
            | Comparison::StartsWith
            | Comparison::EndsWith
            | Comparison::Matches
            | Comparison::Like
            | Comparison::Has => {
                let value = self.expr(left, None);
                self.text_test(span, op, value?, right)
            }
        }
    }

    /// A predicate over `[*]`: true if any element satisfies it.
    fn over_each(
        &mut self,
        span: Span,
        op: Comparison,
        op_span: Span,
        left: &Expr,
        right: &Expr,
    ) -> Option<Checked> {
        let list = self.expr(left, None)?;
        let Type::List(of) = list.base().clone() else { return None };
        let known = self.build.elements.get(&list.id).copied();
        let element = known.unwrap_or_else(|| self.new_local());
        self.build.elements.insert(list.id, element);
        let value = self.add(Op::Local(element), Ty::required((*of).clone()), left.span);
        let test = match op {
            Comparison::Eq => self.compared(span, CompareOp::Eq, op_span, value, right),
            Comparison::Lt => self.compared(span, CompareOp::Lt, op_span, value, right),
            Comparison::Le => self.compared(span, CompareOp::Le, op_span, value, right),
            Comparison::Gt => self.compared(span, CompareOp::Gt, op_span, value, right),
            Comparison::Ge => self.compared(span, CompareOp::Ge, op_span, value, right),
            Comparison::In => self.is_in(span, value, right),
            Comparison::Contains
            | Comparison::StartsWith
            | Comparison::EndsWith
            | Comparison::Matches
            | Comparison::Like
            | Comparison::Has => self.text_test(span, op, value, right),
        }?;
        Some(self.truth(Op::AnyElement { list: list.id, element, test: test.id }, span))
    }

    fn ordered(
        &mut self,
        span: Span,
        op: CompareOp,
        op_span: Span,
        left: &Expr,
        right: &Expr,
    ) -> Option<Checked> {
        // A bare name on the left takes its meaning from the right.
        if matches!(&left.kind, ExprKind::Name(_)) && !matches!(&right.kind, ExprKind::Name(_)) {
            let right_value = self.expr(right, None);
            let want = right_value.as_ref().map(|value| value.base().clone());
            let left = self.expr(left, want.as_ref())?;
            return self.compare_values(span, op, op_span, left, right_value?);
        }
        let left = self.expr(left, None);
        if let Some(left) = left {
            return self.compared(span, op, op_span, left, right);
        }
        // The other side may have mistakes of its own, but no meaning for bare names.
        if !matches!(&right.kind, ExprKind::Name(_)) {
            self.expr(right, None);
        }
        None
    }

    pub(super) fn compared(
        &mut self,
        span: Span,
        op: CompareOp,
        op_span: Span,
        left: Checked,
        right: &Expr,
    ) -> Option<Checked> {
        if let Some(text) = self.folded_text(right) {
            return self.compare_folded(span, op, op_span, left, right.span, &text);
        }
        let want = left.base().clone();
        let right = self.expr(right, Some(&want))?;
        self.compare_values(span, op, op_span, left, right)
    }

    fn compare_folded(
        &mut self,
        span: Span,
        op: CompareOp,
        op_span: Span,
        left: Checked,
        right: Span,
        text: &str,
    ) -> Option<Checked> {
        if op != CompareOp::Eq {
            return self.fail(Code::E101, right, "`i` has no meaning for `<` and `>`");
        }
        let left = self.as_text(left, "the left side of `==`")?;
        let lower = crate::functions::find("lower")?;
        let call = Op::Call { function: lower, args: vec![Some(Arg::Value(left.id))] };
        let left = self.add(call, left.ty.clone(), left.span);
        let literal = Op::Literal(Literal::Text(text.to_lowercase().into()));
        let right = self.add(literal, Ty::required(Type::Text), right);
        self.compare_values(span, op, op_span, left, right)
    }

    pub(super) fn compare_values(
        &mut self,
        span: Span,
        op: CompareOp,
        op_span: Span,
        left: Checked,
        right: Checked,
    ) -> Option<Checked> {
        let (l, r) = (left.base().clone(), right.base().clone());
        if l == Type::Null || r == Type::Null {
            let message = "nothing compares with null";
            self.report(
                Diagnostic::new(Code::E105, span, message).advise("ask `is null` or `is absent`"),
            );
            return None;
        }
        let orders = |ty: &Type| {
            ty.is_number()
                || matches!(
                    ty,
                    Type::Text
                        | Type::Bytes
                        | Type::Timestamp
                        | Type::Duration
                        | Type::Severity
                        | Type::Ip
                        | Type::Any
                )
                || matches!(ty, Type::Enum(members) if members.ordered)
        };
        let fits = match (&l, &r) {
            (l, r) if l == r => true,
            (l, r) if l.is_number() && r.is_number() => true,
            (Type::Any, _) | (_, Type::Any) => true,
            (Type::List(_), Type::List(_)) => true,
            (Type::Map(_) | Type::Record(_), Type::Map(_) | Type::Record(_)) => true,
            _ => false,
        };
        if !fits || (op != CompareOp::Eq && !(orders(&l) && orders(&r))) {
            self.report_incomparable(op, op_span, &left, &right, fits);
            return None;
        }
        let single =
            |ty: &Type| !matches!(ty, Type::Any | Type::List(_) | Type::Map(_) | Type::Record(_));
        let read_as = |ty: &Type| if ty.is_number() { Type::Number } else { ty.clone() };
        let (left, right) = match (&l, &r) {
            (Type::Any, other) if single(other) => (self.narrow(left, read_as(other)), right),
            (other, Type::Any) if single(other) => (left, self.narrow(right, read_as(other))),
            _ => (left, right),
        };
        let members = match (left.base(), right.base()) {
            (Type::Enum(members), _) | (_, Type::Enum(members)) => Some(members.clone()),
            _ => None,
        };
        if let Some(members) = members.filter(|_| op != CompareOp::Eq) {
            let (left, right) = (self.rank(&left, &members), self.rank(&right, &members));
            return Some(self.truth(Op::Compare { op, left: left.id, right: right.id }, span));
        }
        Some(self.truth(Op::Compare { op, left: left.id, right: right.id }, span))
    }

    /// The place of a member in the order of its enum.
    fn rank(&mut self, value: &Checked, members: &Members) -> Checked {
        let mut arms = Vec::with_capacity(members.names.len());
        for (place, name) in members.names.iter().enumerate() {
            let place = Op::Literal(Literal::Int(place as i64));
            let place = self.add(place, Ty::required(Type::Int), value.span);
            arms.push((vec![MatchPattern::Is(Literal::Text(name.clone()))], place.id));
        }
        let ty = Ty::optional(Type::Int);
        self.add(Op::Match { on: value.id, arms }, ty, value.span)
    }

    fn report_incomparable(
        &mut self,
        op: CompareOp,
        op_span: Span,
        left: &Checked,
        right: &Checked,
        same: bool,
    ) {
        let message = if same {
            format!("`{}` has no order", said(&left.ty))
        } else {
            format!("cannot compare `{}` with `{}`", said(&left.ty), said(&right.ty))
        };
        let mut diagnostic = Diagnostic::new(Code::E101, right.span, message)
            .label(format!("this is `{}`", said(&right.ty)))
            .related(left.span, format!("this is `{}`", said(&left.ty)));
        if *left.base() == Type::Ip && *right.base() == Type::Cidr && op == CompareOp::Eq {
            diagnostic = diagnostic
                .suggest("ask whether the block has the address", vec![(op_span, "in".to_owned())]);
        } else if let Some((advice, edits)) = self
            .conversion(right, left.base())
            .filter(|_| self.build.pool.literal(right.id).is_some())
        {
            diagnostic = diagnostic.suggest(advice, edits);
        } else if let Some((advice, edits)) = self.conversion(left, right.base()).filter(|_| !same)
        {
            diagnostic = diagnostic.suggest(advice, edits);
        }
        self.report(diagnostic);
    }
}

/// Whether a path has `[*]` in it.
fn over_elements(e: &Expr) -> bool {
    matches!(&e.kind, ExprKind::Path(path) if path.segs.iter().any(|seg| seg.kind == SegKind::Each))
}
