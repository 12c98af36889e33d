//! Expressions: names, members and everything that is neither call nor predicate.

use std::sync::Arc;

use super::{Checked, Checker, Noted, constant::Const, event::join_ty, said};
use crate::{
    catalog::{DeclKind, Space, nearest},
    column::{Severity, decode},
    diagnostic::{Code, Diagnostic},
    plan::{FormatPart, Literal, MatchPattern, Op},
    span::Span,
    syntax::ast::{self, Expr, ExprKind, PatternKind, Piece, Tag},
    types::{Ty, Type},
};

/// How deep trees may nest: brackets are bounded by the parser, chains of operators only here.
pub(super) const DEPTH_MAX: usize = 128;

/// What is wrong was reported.
struct Reported;

impl Checker<'_> {
    /// Checks an expression. `want` is what the place takes, if one type: it gives bare names a meaning.
    pub(super) fn expr(&mut self, e: &Expr, want: Option<&Type>) -> Option<Checked> {
        if self.build.pool.too_many || self.build.pool.too_deep {
            self.report_too_large();
            return None;
        }
        self.place.depth += 1;
        let found = if self.place.depth > DEPTH_MAX {
            self.fail(Code::E106, e.span, "this expression is nested too deeply")
        } else {
            self.expr_inner(e, want)
        };
        self.place.depth -= 1;
        let found = found.map(|found| Checked { span: e.span, ..found });
        if let (Some(notes), Some(found)) = (&mut self.notes, &found) {
            notes.exprs.push(Noted { at: e.span, ty: found.ty.clone(), id: found.id });
        }
        found
    }

    fn expr_inner(&mut self, e: &Expr, want: Option<&Type>) -> Option<Checked> {
        match &e.kind {
            ExprKind::Error => None,
            ExprKind::Text { fold: true, .. } => {
                self.report(
                    Diagnostic::new(Code::E101, e.span, "`i` has no meaning for this text")
                        .label("compared with nothing here")
                        .advise("`i` belongs to the right side of `==`, `contains` and the like"),
                );
                None
            }
            ExprKind::Null
            | ExprKind::Bool(_)
            | ExprKind::Int(_)
            | ExprKind::Float(_)
            | ExprKind::Duration(_)
            | ExprKind::Text { .. } => self.literal_value(e),
            ExprKind::Tagged { tag, .. } => self.tagged(e, *tag),
            ExprKind::Interpolated(pieces) => self.interpolated(e.span, pieces),
            ExprKind::Path(path) => self.path(path),
            ExprKind::Name(name) => self.name(name, want),
            ExprKind::Call { function, args, filter } => {
                self.call(e.span, function, args, filter.as_deref(), want)
            }
            ExprKind::Member { base, name } => {
                let base = self.expr(base, None)?;
                self.member(&base, name, e.span)
            }
            ExprKind::Index { base, index } => {
                let base = self.expr(base, None)?;
                let index = self.expr(index, None)?;
                self.index(&base, index, e.span)
            }
            ExprKind::List(items) => self.list(e, items, want),
            ExprKind::Record(fields) => self.record(e.span, fields, want),
            ExprKind::Lambda { .. } => self.fail(
                Code::E101,
                e.span,
                "a lambda stands only in the arguments of functions that take one",
            ),
            ExprKind::If { condition, then, otherwise } => {
                self.if_value(e.span, condition, then, otherwise, want)
            }
            ExprKind::Match { subject, arms } => self.match_value(e.span, subject, arms, want),
            ExprKind::Or(_)
            | ExprKind::And(_)
            | ExprKind::Not(_)
            | ExprKind::Compare { .. }
            | ExprKind::Is { .. } => self.predicate(e),
            ExprKind::Coalesce(operands) => self.coalesce(operands, want),
            ExprKind::Arithmetic { op, op_span, left, right } => {
                self.arithmetic(e.span, *op, *op_span, left, right)
            }
            ExprKind::Neg(of) => self.negated(e, of),
        }
    }

    fn literal_value(&mut self, e: &Expr) -> Option<Checked> {
        let (literal, base) = self.literal(e)?;
        let ty = Ty { optional: base == Type::Null, base };
        Some(self.add(Op::Literal(literal), ty, e.span))
    }

    fn tagged(&mut self, e: &Expr, tag: Tag) -> Option<Checked> {
        match tag {
            Tag::Ip | Tag::Cidr | Tag::Timestamp => self.literal_value(e),
            Tag::Regex | Tag::Pattern | Tag::Glob | Tag::Grok => {
                let value = self.fold(e, None)?;
                self.const_value(&value, e.span)
            }
        }
    }

    /// Adds an expression.
    pub(super) fn add(&mut self, op: Op, ty: Ty, span: Span) -> Checked {
        let id = self.build.pool.add(op, ty.clone(), span);
        Checked { id, ty, span }
    }

    fn name(&mut self, name: &ast::QName, want: Option<&Type>) -> Option<Checked> {
        if let Some(bare) = name.bare()
            && let Some(named) = self.place.names.iter().rev().find(|named| named.name == bare)
        {
            named.used.set(true);
            let bound = named.value.clone()?;
            return Some(self.with_facts(bound));
        }
        if let Some(id) = self.catalog.find(self.place.unit, Space::Value, name) {
            return match self.catalog.get(id).kind {
                DeclKind::Const(it) => match self.constant(id)? {
                    Const::Computed => self.computed(id, it),
                    value => self.const_value(&value, name.span),
                },
                kind => {
                    let word = kind.word();
                    let message = format!("`{}` is a {word} and must be called", name.written());
                    self.report(
                        Diagnostic::new(Code::E102, name.span, message)
                            .suggest("call it", vec![(name.span.behind(), "(…)".to_owned())]),
                    );
                    None
                }
            };
        }
        if let Some(Type::Enum(members)) = want
            && let Some(member) = name.bare().and_then(|bare| members.find(bare, false))
        {
            let literal = Op::Literal(Literal::Text(member.clone()));
            let ty = Ty::required(Type::Enum(members.clone()));
            return Some(self.add(literal, ty, name.span));
        }
        // Next to an undeclared value a severity's name still says what is meant.
        if matches!(want, Some(Type::Severity | Type::Any))
            && let Some(severity) = name.bare().and_then(Severity::named)
        {
            let literal = Op::Literal(Literal::Severity(severity));
            return Some(self.add(literal, Ty::required(Type::Severity), name.span));
        }
        self.unknown_name(name, want);
        None
    }

    fn unknown_name(&mut self, name: &ast::QName, want: Option<&Type>) {
        let written = name.written();
        if want == Some(&Type::Severity) && name.space.is_none() {
            let known = Severity::NAMED.map(|(name, _)| name);
            let mut diagnostic =
                Diagnostic::new(Code::E102, name.span, format!("there is no severity `{written}`"))
                    .note(format!("severities are {}", known.join(", ")));
            if let Some(same) = decode::severity(written.as_bytes()) {
                // A word that events may use for it.
                let name_here = vec![(name.span, same.name().to_owned())];
                diagnostic = diagnostic.suggest("it has another name here", name_here);
            } else if let Some(near) = nearest(&written, known) {
                diagnostic = diagnostic
                    .suggest("a severity with a similar name exists", vec![(name.span, near)]);
            }
            self.report(diagnostic);
            return;
        }
        if let (Some(Type::Enum(members)), None) = (want, &name.space) {
            let message = format!("`{written}` is no member of `{}`", members.name);
            let mut diagnostic = Diagnostic::new(Code::E102, name.span, message)
                .note(format!("members are {}", members.names.join(", ")));
            if let Some(near) = nearest(&written, &members.names) {
                diagnostic = diagnostic
                    .suggest("a member with a similar name exists", vec![(name.span, near)]);
            }
            self.report(diagnostic);
            return;
        }
        if name.space.is_none() && self.is_field(&written) {
            self.report(
                Diagnostic::new(Code::E102, name.span, format!("there is no name `{written}`"))
                    .suggest(
                        "the event has a field of this name; fields start with a dot",
                        vec![(name.span.before(), ".".to_owned())],
                    ),
            );
            return;
        }
        let mut known: Vec<String> =
            self.place.names.iter().map(|named| named.name.clone()).collect();
        known.extend(self.catalog.visible(self.place.unit, Space::Value));
        self.unknown("name", name, &known);
    }

    /// Whether a source declares a field of this name, or a rule wrote one.
    fn is_field(&self, name: &str) -> bool {
        self.place.on.iter().any(|source| self.flow.shapes[*source].field(name).is_some())
    }

    /// A value that is known to be there loses its question mark.
    pub(super) fn with_facts(&self, mut value: Checked) -> Checked {
        if self.flow.present.contains(&value.id) {
            value.ty.optional = false;
        }
        value
    }

    /// `base.name`
    pub(super) fn member(
        &mut self,
        base: &Checked,
        name: &ast::Ident,
        span: Span,
    ) -> Option<Checked> {
        let ty = match base.base() {
            Type::Record(shape) => match shape.field(&name.name) {
                Some(field) => field.ty.clone().or_optional(base.ty.optional),
                None if shape.open => Ty::optional(Type::Any),
                None => {
                    let known: Vec<_> =
                        shape.fields.iter().map(|field| field.name.clone()).collect();
                    self.no_field(&name.name, name.span, &known);
                    return None;
                }
            },
            Type::Map(of) => Ty::optional((**of).clone()),
            Type::Any => Ty::optional(Type::Any),
            other => {
                let message = format!("a `{other}` has no field `{}`", name.name);
                self.report(
                    Diagnostic::new(Code::E201, name.span, message)
                        .related(base.span, format!("this is `{}`", said(&base.ty))),
                );
                return None;
            }
        };
        let op = Op::Member { of: base.id, key: name.name.as_str().into() };
        let found = self.add(op, ty, span);
        Some(self.with_facts(found))
    }

    /// `base[index]`
    pub(super) fn index(&mut self, base: &Checked, index: Checked, span: Span) -> Option<Checked> {
        let (ty, wants) = match base.base() {
            Type::List(of) => ((**of).clone(), Type::Int),
            Type::Map(of) => ((**of).clone(), Type::Text),
            Type::Record(_) => (Type::Any, Type::Text),
            Type::Any if matches!(index.base(), Type::Int | Type::Text) => {
                (Type::Any, index.base().clone())
            }
            Type::Any => {
                let message = format!("an index is an int or a string, not `{}`", said(&index.ty));
                return self.fail(Code::E101, index.span, message);
            }
            _ => {
                let message = format!("`{}` has no elements", said(&base.ty));
                return self.fail(Code::E101, span, message);
            }
        };
        let want = Ty::optional(wants);
        let index = self.fit(index, &want, "the index")?;
        let op = Op::Index { of: base.id, index: index.id };
        let found = self.add(op, Ty::optional(ty), span);
        Some(self.with_facts(found))
    }

    fn interpolated(&mut self, span: Span, pieces: &[Piece]) -> Option<Checked> {
        let mut parts = Vec::with_capacity(pieces.len());
        let mut optional = false;
        let mut whole = true;
        for piece in pieces {
            match piece {
                Piece::Text(text) => parts.push(FormatPart::Text(text.as_str().into())),
                Piece::Hole(hole) => match self.expr(hole, None) {
                    Some(value) => {
                        optional |= value.ty.optional;
                        parts.push(FormatPart::Hole(value.id));
                    }
                    None => whole = false,
                },
            }
        }
        whole.then(|| self.add(Op::Format(parts), Ty { base: Type::Text, optional }, span))
    }

    fn coalesce(&mut self, operands: &[Expr], want: Option<&Type>) -> Option<Checked> {
        let mut values: Vec<Option<Checked>> = Vec::with_capacity(operands.len());
        let mut known = want.cloned();
        for operand in operands {
            let value = self.expr(operand, known.as_ref());
            if let (None, Some(value)) = (&known, &value)
                && matches!(value.base(), Type::Severity | Type::Any | Type::Enum(_))
            {
                known = Some(value.base().clone());
            }
            values.push(value);
        }
        let mut values = values.into_iter().rev();
        let mut result = values.next()??;
        for left in values {
            let left = left?;
            let joined = self.joined(&left, &result, "of `??`")?;
            let ty = Ty { optional: result.ty.optional, ..joined };
            let span = left.span.to(result.span);
            result = self.add(Op::Coalesce(left.id, result.id), ty, span);
        }
        Some(result)
    }

    fn if_value(
        &mut self,
        span: Span,
        condition: &Expr,
        then: &Expr,
        otherwise: &Expr,
        want: Option<&Type>,
    ) -> Option<Checked> {
        let condition = self.condition(condition, "the condition of `if`");
        let before = self.flow.present.clone();
        if let Some(condition) = condition {
            self.learn(condition, true);
        }
        let then = self.expr(then, want);
        self.flow.present.clone_from(&before);
        if let Some(condition) = condition {
            self.learn(condition, false);
        }
        let otherwise = self.expr(otherwise, want);
        self.flow.present = before;
        let (condition, then, otherwise) = (condition?, then?, otherwise?);
        let ty = self.joined(&then, &otherwise, "of `if`")?;
        let op = Op::If { condition, then: then.id, otherwise: otherwise.id };
        Some(self.add(op, ty, span))
    }

    /// The type of two values of which one is taken.
    pub(super) fn joined(&mut self, a: &Checked, b: &Checked, of: &str) -> Option<Ty> {
        let ty = join_ty(&a.ty, &b.ty);
        let foreign = ty.base == Type::Any && *a.base() != Type::Any && *b.base() != Type::Any;
        if foreign {
            let message = format!("the two sides {of} have different types");
            self.report(
                Diagnostic::new(Code::E101, b.span, message)
                    .label(format!("this is `{}`", said(&b.ty)))
                    .related(a.span, format!("this is `{}`", said(&a.ty))),
            );
            return None;
        }
        Some(ty)
    }

    fn match_value(
        &mut self,
        span: Span,
        subject: &Expr,
        arms: &[ast::Arm],
        want: Option<&Type>,
    ) -> Option<Checked> {
        let subject = self.expr(subject, None);
        let expected = subject.as_ref().map(|subject| subject.base().clone());
        let mut checked = Vec::with_capacity(arms.len());
        let mut whole = true;
        let mut total = false;
        let mut result: Option<Checked> = None;
        for arm in arms {
            let mut patterns = Vec::new();
            let mut any = false;
            for pattern in &arm.patterns {
                match self.match_pattern(pattern, expected.as_ref()) {
                    Ok(Some(pattern)) => patterns.push(pattern),
                    Ok(None) => any = true,
                    Err(Reported) => whole = false,
                }
            }
            let Some(value) = self.expr(&arm.value, want) else {
                whole = false;
                continue;
            };
            let joined = match &result {
                None => Some(value.ty.clone()),
                Some(known) => self.joined(known, &value, "of `match`"),
            };
            whole &= joined.is_some();
            let first = result.take().unwrap_or_else(|| value.clone());
            let ty = joined.unwrap_or_else(|| first.ty.clone());
            result = Some(Checked { ty, ..first });
            if any {
                total = true;
                patterns.clear();
            }
            checked.push((patterns, value.id));
        }
        let subject = subject?;
        let mut ty = result?.ty;
        ty.optional |= !total;
        if !whole {
            return None;
        }
        let on = self.match_subject(subject, &checked);
        Some(self.add(Op::Match { on: on.id, arms: checked }, ty, span))
    }

    /// An `any` is looked at as what all patterns are.
    fn match_subject(
        &mut self,
        subject: Checked,
        arms: &[(Vec<MatchPattern>, crate::plan::ExprId)],
    ) -> Checked {
        if *subject.base() != Type::Any {
            return subject;
        }
        let mut common: Option<Type> = None;
        for pattern in arms.iter().flat_map(|(patterns, _)| patterns) {
            let (MatchPattern::Is(literal) | MatchPattern::Range { from: literal, .. }) = pattern;
            let ty = literal_type(literal);
            let ty = if ty.is_number() { Type::Number } else { ty };
            match &common {
                None => common = Some(ty),
                Some(known) if *known == ty => {}
                Some(_) => return subject,
            }
        }
        match common {
            Some(ty) if ty != Type::Any => self.narrow(subject, ty),
            _ => subject,
        }
    }

    /// A pattern; nothing is `_`.
    fn match_pattern(
        &mut self,
        pattern: &ast::Pattern,
        on: Option<&Type>,
    ) -> Result<Option<MatchPattern>, Reported> {
        let found = match &pattern.kind {
            PatternKind::Any => return Ok(None),
            PatternKind::Literal(e) => {
                MatchPattern::Is(self.pattern_literal_value(e, on).ok_or(Reported)?)
            }
            PatternKind::Range { from, to, inclusive } => {
                let from = self.pattern_literal_value(from, on).ok_or(Reported)?;
                let to = self.pattern_literal_value(to, on).ok_or(Reported)?;
                if matches!(on, Some(Type::Enum(_))) {
                    let message = "members of an enum are listed: `free | trial => …`";
                    self.fail::<()>(Code::E101, pattern.span, message);
                    return Err(Reported);
                }
                let (a, b) = (literal_type(&from), literal_type(&to));
                if a != b && !(a.is_number() && b.is_number()) {
                    self.fail::<()>(Code::E101, pattern.span, "both ends of a range have one type");
                    return Err(Reported);
                }
                MatchPattern::Range { from, to, inclusive: *inclusive }
            }
            PatternKind::Name(name) => {
                let e = Expr { kind: ExprKind::Name(name.clone()), span: pattern.span };
                MatchPattern::Is(self.pattern_literal_value(&e, on).ok_or(Reported)?)
            }
        };
        Ok(Some(found))
    }

    fn pattern_literal_value(&mut self, e: &Expr, on: Option<&Type>) -> Option<Literal> {
        let value = self.expr(e, on)?;
        let Some(literal) = self.build.pool.literal(value.id).cloned() else {
            return self.fail(Code::E101, e.span, "a pattern of `match` is a constant");
        };
        if matches!(literal, Literal::Json(_) | Literal::Absent(_)) {
            return self.fail(Code::E101, e.span, "a pattern of `match` is a single value");
        }
        if let Some(on) = on {
            let fits = *on == Type::Any
                || on == value.base()
                || (on.is_number() && value.base().is_number())
                || (*on == Type::Ip && *value.base() == Type::Cidr);
            if !fits {
                let message = format!("the value is `{on}`, this pattern is `{}`", value.base());
                return self.fail(Code::E101, e.span, message);
            }
        }
        Some(literal)
    }
}

/// The type of a literal.
pub(super) fn literal_type(literal: &Literal) -> Type {
    match literal {
        Literal::Absent(_) => Type::Null,
        Literal::Bool(_) => Type::Bool,
        Literal::Int(_) => Type::Int,
        Literal::Float(_) => Type::Float,
        Literal::Text(_) => Type::Text,
        Literal::Timestamp(_) => Type::Timestamp,
        Literal::Duration(_) => Type::Duration,
        Literal::Ip(_) => Type::Ip,
        // A block as a pattern stands for the addresses in it.
        Literal::Cidr(_) => Type::Ip,
        Literal::Severity(_) => Type::Severity,
        Literal::Json(_) => Type::Any,
    }
}

/// Keys of a path as the layout takes them.
pub(super) fn keys_of(keys: &[&str]) -> Vec<Arc<str>> {
    keys.iter().map(|key| (*key).into()).collect()
}
