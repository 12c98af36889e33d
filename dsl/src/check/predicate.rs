//! Conditions: predicates are two-valued, an absent operand makes them false.

use std::sync::Arc;

use super::{Checked, Checker, constant::Const, said};
use crate::{
    column::Cidr,
    diagnostic::{Code, Diagnostic},
    plan::{CompareOp, ExprId, IsTest, Literal, LiteralSet, Op, TextTest},
    span::Span,
    syntax::ast::{Comparison, Expr, ExprKind, Presence, SegKind},
    types::{Ty, Type},
};

impl Checker<'_> {
    /// An expression as a condition: a predicate, or a truth value that counts as false where it is absent.
    pub(super) fn condition(&mut self, e: &Expr, place: &str) -> Option<ExprId> {
        let value = self.expr(e, Some(&Type::Bool))?;
        self.as_condition(value, place)
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

    fn truth(&mut self, op: Op, span: Span) -> Checked {
        self.add(op, Ty::required(Type::Bool), span)
    }

    fn negate(&mut self, id: ExprId, span: Span) -> Checked {
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
                (Op::InSet { value, .. }, true)
                | (Op::Like { value, .. }, true)
                | (Op::Matches { value, .. }, true)
                | (Op::Has { value, .. }, true) => there.push(*value),
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
    fn suspect_negation(&mut self, id: ExprId, span: Span) {
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

    fn comparison(
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
        match left {
            Some(left) => self.compared(span, op, op_span, left, right),
            None => {
                // The other side may have mistakes of its own, but no meaning for bare names.
                if !matches!(&right.kind, ExprKind::Name(_)) {
                    self.expr(right, None);
                }
                None
            }
        }
    }

    fn compared(
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
        let call = Op::Call { function: lower, args: vec![Some(crate::plan::Arg::Value(left.id))] };
        let left = self.add(call, left.ty.clone(), left.span);
        let literal = Op::Literal(Literal::Text(text.to_lowercase().into()));
        let right = self.add(literal, Ty::required(Type::Text), right);
        self.compare_values(span, op, op_span, left, right)
    }

    fn compare_values(
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
                        | Type::Timestamp
                        | Type::Duration
                        | Type::Severity
                        | Type::Ip
                        | Type::Any
                )
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
        Some(self.truth(Op::Compare { op, left: left.id, right: right.id }, span))
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

    /// The left side of `in`; a bare name there takes its meaning from the list.
    fn left_of_in(&mut self, left: &Expr, right: &Expr) -> Option<Checked> {
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

    fn is_in(&mut self, span: Span, value: Checked, right: &Expr) -> Option<Checked> {
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

    /// A value read as text.
    fn as_text(&mut self, value: Checked, place: &str) -> Option<Checked> {
        match value.base() {
            Type::Text | Type::Null => Some(value),
            Type::Any => Some(self.narrow(value, Type::Text)),
            _ => {
                self.misfit(&value, &Ty::required(Type::Text), place);
                None
            }
        }
    }

    fn text_test(
        &mut self,
        span: Span,
        op: Comparison,
        value: Checked,
        right: &Expr,
    ) -> Option<Checked> {
        let place = format!("the left side of `{}`", op.symbol());
        match op {
            Comparison::Matches => {
                let regex = self.regex_of(right)?;
                let value = self.as_text(value, &place)?;
                Some(self.truth(Op::Matches { value: value.id, regex }, span))
            }
            Comparison::Like => {
                let Some(Const::Glob(glob)) = self.constant_of(right) else {
                    return self.wants_literal(right, "like", "glob");
                };
                let value = self.as_text(value, &place)?;
                Some(self.truth(Op::Like { value: value.id, glob }, span))
            }
            Comparison::Has => {
                let value = self.as_text(value, &place)?;
                let (words, ignore_case) = match self.constant_of(right) {
                    Some(Const::Scalar(Literal::Text(words), _)) => (words, false),
                    Some(Const::FoldedText(words)) => (words, true),
                    _ => {
                        let message = "`has` takes a constant text";
                        return self.fail(Code::E101, right.span, message);
                    }
                };
                if !words.chars().any(|c| c.is_alphanumeric() || c == '_') {
                    return self.fail(Code::E120, right.span, "there is no word in this text");
                }
                Some(self.truth(Op::Has { value: value.id, words, ignore_case }, span))
            }
            Comparison::Contains => self.contains(span, value, right),
            _ => {
                let test = if op == Comparison::StartsWith {
                    TextTest::StartsWith
                } else {
                    TextTest::EndsWith
                };
                let value = self.as_text(value, &place)?;
                self.needle(span, test, value, right)
            }
        }
    }

    fn contains(&mut self, span: Span, value: Checked, right: &Expr) -> Option<Checked> {
        match value.base().clone() {
            Type::Text | Type::Any | Type::Null => {
                self.needle(span, TextTest::Contains, value, right)
            }
            Type::List(of) => {
                if *of == Type::Text || *of == Type::Any {
                    if self.folded_text(right).is_some() {
                        return self.needle(span, TextTest::Contains, value, right);
                    }
                }
                let needle = self.expr(right, Some(&of))?;
                let want = Ty::optional((*of).clone());
                let needle = self.fit(needle, &want, "an element of this list")?;
                let op = Op::TextTest {
                    test: TextTest::Contains,
                    value: value.id,
                    needle: needle.id,
                    ignore_case: false,
                };
                Some(self.truth(op, span))
            }
            Type::Cidr => {
                self.report(
                    Diagnostic::new(Code::E101, span, "`contains` takes text or a list")
                        .advise("write `address in block`"),
                );
                None
            }
            other => {
                let message = format!("`contains` takes text or a list, not `{other}`");
                self.fail(Code::E101, value.span, message)
            }
        }
    }

    fn needle(
        &mut self,
        span: Span,
        test: TextTest,
        value: Checked,
        right: &Expr,
    ) -> Option<Checked> {
        let (needle, ignore_case) = match self.folded_text(right) {
            Some(text) => {
                let literal = Op::Literal(Literal::Text(text.to_lowercase().into()));
                (self.add(literal, Ty::required(Type::Text), right.span), true)
            }
            None => {
                let needle = self.expr(right, None)?;
                // What an undeclared list may hold is its own affair.
                let free = test == TextTest::Contains
                    && *value.base() == Type::Any
                    && *needle.base() != Type::Any;
                let needle =
                    if free { needle } else { self.as_text(needle, "the text looked for")? };
                (needle, false)
            }
        };
        let op = Op::TextTest { test, value: value.id, needle: needle.id, ignore_case };
        Some(self.truth(op, span))
    }

    /// `"…"i`, also by the name of a constant.
    fn folded_text(&mut self, e: &Expr) -> Option<Arc<str>> {
        match &e.kind {
            ExprKind::Text { fold: true, .. } => {}
            ExprKind::Name(name) => {
                let id = self.named_const(name)?;
                return match self.constant(id)? {
                    Const::FoldedText(text) => Some(text),
                    _ => None,
                };
            }
            _ => return None,
        }
        match self.fold(e, None)? {
            Const::FoldedText(text) => Some(text),
            _ => None,
        }
    }

    /// What an expression is when the program is loaded, if it is known then.
    pub(super) fn constant_of(&mut self, e: &Expr) -> Option<Const> {
        match &e.kind {
            ExprKind::Name(name) => {
                let id = self.named_const(name)?;
                self.constant(id)
            }
            ExprKind::Tagged { .. } | ExprKind::Text { .. } | ExprKind::List(_) => {
                self.fold(e, None)
            }
            _ => None,
        }
    }

    /// The regex that an expression names.
    pub(super) fn regex_of(&mut self, e: &Expr) -> Option<Arc<crate::functions::Regex>> {
        match self.constant_of(e) {
            Some(Const::Regex(regex)) => Some(regex),
            _ => self.wants_literal(e, "matches", "re"),
        }
    }

    fn wants_literal<T>(&mut self, e: &Expr, of: &str, tag: &str) -> Option<T> {
        // What was a literal of the right kind has been reported as a wrong one.
        if matches!(&e.kind, ExprKind::Tagged { tag: found, .. } if found.letters() == tag) {
            return None;
        }
        if let ExprKind::Name(name) = &e.kind
            && self.place.names.iter().all(|named| Some(named.name.as_str()) != name.bare())
        {
            let id = self.find(crate::catalog::Space::Value, "name", name)?;
            if let crate::catalog::DeclKind::Const(it) = self.catalog.get(id).kind
                && matches!(&it.value.kind, ExprKind::Tagged { tag: found, .. } if found.letters() == tag)
            {
                return None;
            }
        }
        let mut diagnostic = Diagnostic::new(
            Code::E101,
            e.span,
            format!("this takes `{tag}\"…\"`, known when the rules are loaded"),
        );
        if matches!(&e.kind, ExprKind::Text { fold: false, .. }) {
            diagnostic = diagnostic
                .suggest(format!("`{of}` reads it so"), vec![(e.span.before(), tag.to_owned())]);
        }
        self.report(diagnostic);
        None
    }
}

/// Whether a path has `[*]` in it.
fn over_elements(e: &Expr) -> bool {
    matches!(&e.kind, ExprKind::Path(path) if path.segs.iter().any(|seg| seg.kind == SegKind::Each))
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
