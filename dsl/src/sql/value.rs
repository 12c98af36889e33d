//! Values: constants, fields, arithmetic, choices.

use std::net::Ipv6Addr;

use super::{Condition, Kind, Value, Writer};
use crate::{
    plan::{ArithOp, ExprId, FormatPart, Literal, MatchPattern, Op},
    span::Span,
    types::Type,
};

impl Writer<'_> {
    pub(super) fn value(&mut self, id: ExprId) -> Option<Value> {
        let span = self.plan.expr(id).span;
        self.deeper(span, |this| this.value_here(id))
    }

    fn value_here(&mut self, id: ExprId) -> Option<Value> {
        if let Some(value) = self.fixed.get(&id) {
            return Some(value.clone());
        }
        let plan = self.plan;
        let expr = plan.expr(id);
        let span = expr.span;
        match &expr.op {
            Op::Literal(literal) => self.literal(literal, span),
            Op::Field(node) => {
                let node = plan.layout.node(*node);
                let place = self.place(id).ok()??;
                self.read(&place, &expr.ty.base, node.coerce, span)
            }
            Op::Narrow(of) => self.narrowed(*of, &expr.ty.base, span),
            Op::Member { .. } | Op::Index { .. } => match self.place(id).ok()? {
                Some(place) => self.read(&place, &expr.ty.base, false, span),
                None => self.element(id),
            },
            Op::Meta(field) => self.meta(*field, &expr.ty.base, span),
            Op::Local(local) => match self.locals.get(local) {
                Some(value) => Some(value.clone()),
                None => self.refuse(span, "a `let` outside a query"),
            },
            Op::Each { .. } => match &expr.ty.base {
                Type::List(of) => self.elements(id, of),
                _ => self.refuse(span, "the elements of a list of unknown type"),
            },
            Op::Call { function, args } => self.call(function, args, &expr.ty.base, span),
            Op::Lookup { .. } => self.refuse_with(
                span,
                "a lookup",
                "let a rule write its answer into the event, and ask for that field",
            ),
            Op::Neg(of) => {
                let of = self.value(*of)?;
                let text = match of.kind {
                    Kind::Int | Kind::Duration => {
                        format!("accurateCastOrNull(-toInt128({}), 'Int64')", of.text)
                    }
                    _ => format!("-({})", of.text),
                };
                Some(Value { text, nullable: true, ..of })
            }
            Op::Arith { op, left, right } => {
                let (left, right) = (self.value(*left)?, self.value(*right)?);
                self.arith(*op, &left, &right, span)
            }
            Op::Coalesce(first, second) => {
                let (first, second) = (self.value(*first)?, self.value(*second)?);
                let (first, second, kind) = self.alike(first, second, span)?;
                let nullable = second.nullable;
                let text = format!("ifNull({}, {})", first.text, second.text);
                Some(Value { text, kind, nullable })
            }
            Op::If { condition, then, otherwise } => {
                let condition = self.condition(*condition)?;
                let (then, otherwise) = (self.value(*then)?, self.value(*otherwise)?);
                let (then, otherwise, kind) = self.alike(then, otherwise, span)?;
                let nullable = then.nullable || otherwise.nullable;
                let text =
                    format!("if({}, {}, {})", condition.two_valued(), then.text, otherwise.text);
                Some(Value { text, kind, nullable })
            }
            Op::Match { on, arms } => self.match_arms(*on, arms, span),
            Op::List(items) => self.list(items, span),
            Op::Format(parts) => self.format(parts, span),
            Op::Record(_) => self.refuse(span, "a record"),
            _ => {
                let condition = self.condition(id)?;
                Some(Value { text: condition.two_valued(), kind: Kind::Bool, nullable: false })
            }
        }
    }

    fn narrowed(&mut self, of: ExprId, ty: &Type, span: Span) -> Option<Value> {
        if let Some(place) = self.place(of).ok()? {
            return self.read(&place, ty, false, span);
        }
        let value = self.value(of)?;
        let fits = match (&value.kind, ty) {
            (Kind::Int | Kind::Float, Type::Number | Type::Float) => true,
            (kind, ty) => kind_of(ty).as_ref() == Some(kind),
        };
        if !fits {
            return self.refuse(span, format!("reading this value as a `{ty}`"));
        }
        Some(if *ty == Type::Float { as_float(value) } else { value })
    }

    /// `l[0]`, `l[-1]` of an array.
    fn element(&mut self, id: ExprId) -> Option<Value> {
        let expr = self.plan.expr(id);
        let span = expr.span;
        let Op::Index { of, index } = &expr.op else {
            return self.refuse(span, "a member of a computed record");
        };
        let Op::Literal(Literal::Int(at)) = self.plan.expr(*index).op else {
            return self.refuse(span, "a position that is computed");
        };
        let list = self.value(*of)?;
        let Kind::List(kind) = list.kind else {
            return self.refuse(span, "a position in something that is no array");
        };
        let (needed, place) = if at < 0 {
            (at.unsigned_abs(), at)
        } else {
            (at.unsigned_abs() + 1, at.saturating_add(1))
        };
        let text = format!("if(length({0}) >= {needed}, {0}[{place}], NULL)", list.text);
        Some(Value { text, kind: *kind, nullable: true })
    }

    pub(super) fn literal(&mut self, literal: &Literal, span: Span) -> Option<Value> {
        let (text, kind) = match literal {
            Literal::Absent(_) => return self.refuse(span, "`null` as a value"),
            Literal::Bool(value) => (value.to_string(), Kind::Bool),
            Literal::Int(value) => (self.param("Int64", value.to_string()), Kind::Int),
            Literal::Float(value) => (self.param("Float64", format!("{value:e}")), Kind::Float),
            Literal::Text(text) => (self.text_param(text), Kind::Text),
            Literal::Timestamp(nanos) => {
                let nanos = self.param("Int64", nanos.to_string());
                (format!("fromUnixTimestamp64Nano({nanos}, 'UTC')"), Kind::Time)
            }
            Literal::Duration(nanos) => (self.param("Int64", nanos.to_string()), Kind::Duration),
            Literal::Ip(address) => (self.address(*address), Kind::Ip),
            Literal::Severity(severity) => {
                (self.param("Int8", severity.0.to_string()), Kind::Severity)
            }
            Literal::Cidr(_) => return self.refuse(span, "a block of addresses as a value"),
            Literal::Json(_) => return self.refuse(span, "a constant list or record as a value"),
        };
        Some(Value { text, kind, nullable: false })
    }

    pub(super) fn address(&mut self, address: u128) -> String {
        let text = self.text_param(&Ipv6Addr::from(address).to_string());
        format!("toIPv6({text})")
    }

    fn arith(&mut self, op: ArithOp, left: &Value, right: &Value, span: Span) -> Option<Value> {
        use ArithOp::{Add, Div, Mul, Rem, Sub};
        let (a, b) = (&left.text, &right.text);
        let (text, kind) = match (&left.kind, op, &right.kind) {
            (Kind::Text, Add, Kind::Text) => (format!("concat({a}, {b})"), Kind::Text),
            (Kind::Int, Add | Sub | Mul, Kind::Int) => (whole(a, sign(op), b), Kind::Int),
            (Kind::Duration, Add | Sub, Kind::Duration) => (whole(a, sign(op), b), Kind::Duration),
            (Kind::Duration, Mul, Kind::Int) | (Kind::Int, Mul, Kind::Duration) => {
                (whole(a, "*", b), Kind::Duration)
            }
            (Kind::Int, Rem, Kind::Int) => (remainder(a, b), Kind::Int),
            (Kind::Duration, Rem, Kind::Duration) => (remainder(a, b), Kind::Duration),
            (Kind::Int | Kind::Float, _, Kind::Int | Kind::Float)
            | (Kind::Duration, Div, Kind::Duration) => {
                let divisor = if matches!(op, Div | Rem) {
                    format!("nullIf(toFloat64({b}), 0)")
                } else {
                    format!("toFloat64({b})")
                };
                (finite(&format!("toFloat64({a}) {} {divisor}", sign(op))), Kind::Float)
            }
            (Kind::Time, Add, Kind::Duration) => (format!("addNanoseconds({a}, {b})"), Kind::Time),
            (Kind::Duration, Add, Kind::Time) => (format!("addNanoseconds({b}, {a})"), Kind::Time),
            (Kind::Time, Sub, Kind::Duration) => {
                (format!("subtractNanoseconds({a}, {b})"), Kind::Time)
            }
            (Kind::Time, Sub, Kind::Time) => (
                format!("accurateCastOrNull(toInt128({}) - {}, 'Int64')", nanos(a), nanos(b)),
                Kind::Duration,
            ),
            _ => return self.refuse(span, "this arithmetic"),
        };
        Some(Value { text, kind, nullable: true })
    }

    /// Two values as one kind.
    fn alike(&mut self, a: Value, b: Value, span: Span) -> Option<(Value, Value, Kind)> {
        if a.kind == b.kind {
            let kind = a.kind.clone();
            return Some((a, b, kind));
        }
        match (&a.kind, &b.kind) {
            (Kind::Int, Kind::Float) | (Kind::Float, Kind::Int) => self.refuse_with(
                span,
                "a number that is whole in one case and not in the other",
                "write both as `float(x)` or both as `int(x)`",
            ),
            _ => self.refuse(span, "values of two types in one place"),
        }
    }

    fn match_arms(
        &mut self,
        on: ExprId,
        arms: &[(Vec<MatchPattern>, ExprId)],
        span: Span,
    ) -> Option<Value> {
        let on = self.value(on)?;
        let mut parts = Vec::new();
        let mut kind: Option<Kind> = None;
        let mut otherwise = None;
        let mut nullable = true;
        for (patterns, result) in arms {
            let result = self.value(*result)?;
            if kind.get_or_insert_with(|| result.kind.clone()) != &result.kind {
                return self.refuse(span, "a `match` whose arms have two types");
            }
            if patterns.is_empty() {
                nullable = result.nullable;
                otherwise = Some(result.text);
                break;
            }
            let tests: Option<Vec<String>> =
                patterns.iter().map(|pattern| self.fits(&on, pattern, span)).collect();
            parts.push(format!("ifNull({}, 0), {}", tests?.join(" OR "), result.text));
        }
        let otherwise = otherwise.unwrap_or_else(|| "NULL".into());
        let kind = kind?;
        let text = if parts.is_empty() {
            otherwise
        } else {
            format!("multiIf({}, {otherwise})", parts.join(", "))
        };
        Some(Value { text, kind, nullable: nullable || !parts.is_empty() })
    }

    fn fits(&mut self, on: &Value, pattern: &MatchPattern, span: Span) -> Option<String> {
        match pattern {
            MatchPattern::Is(Literal::Cidr(block)) if on.kind == Kind::Ip => {
                let (first, last) = (self.address(block.net), self.address(block.last()));
                Some(format!("({} BETWEEN {first} AND {last})", on.text))
            }
            MatchPattern::Is(literal) => {
                let literal = self.literal(literal, span)?;
                self.comparable(on, &literal, span)?;
                Some(format!("({} = {})", on.text, literal.text))
            }
            MatchPattern::Range { from, to, inclusive } => {
                let (from, to) = (self.literal(from, span)?, self.literal(to, span)?);
                self.comparable(on, &from, span)?;
                let below = if *inclusive { "<=" } else { "<" };
                Some(format!("({0} >= {1} AND {0} {below} {2})", on.text, from.text, to.text))
            }
        }
    }

    /// Whether two values compare as they do in the stream.
    pub(super) fn comparable(&mut self, a: &Value, b: &Value, span: Span) -> Option<()> {
        let numbers = |kind: &Kind| matches!(kind, Kind::Int | Kind::Float);
        if matches!(a.kind, Kind::List(_)) || matches!(b.kind, Kind::List(_)) {
            return self.refuse(span, "comparing whole lists");
        }
        if a.kind == b.kind || (numbers(&a.kind) && numbers(&b.kind)) {
            return Some(());
        }
        self.refuse(span, "comparing values of two types")
    }

    fn list(&mut self, items: &[ExprId], span: Span) -> Option<Value> {
        let mut texts = Vec::new();
        let mut kind: Option<Kind> = None;
        for item in items {
            let item = self.value(*item)?;
            if kind.get_or_insert_with(|| item.kind.clone()) != &item.kind {
                return self.refuse(span, "a list of several types");
            }
            texts.push(item.text);
        }
        match kind {
            Some(kind) => Some(Value {
                text: format!("[{}]", texts.join(", ")),
                kind: Kind::List(Box::new(kind)),
                nullable: false,
            }),
            None => self.refuse(span, "an empty list"),
        }
    }

    fn format(&mut self, parts: &[FormatPart], span: Span) -> Option<Value> {
        let mut texts = vec!["''".to_owned()];
        let mut nullable = false;
        for part in parts {
            match part {
                FormatPart::Text(text) => texts.push(self.text_param(text)),
                FormatPart::Hole(hole) => {
                    let hole = self.value(*hole)?;
                    nullable |= hole.nullable;
                    texts.push(match hole.kind {
                        Kind::Text => hole.text,
                        Kind::Int => format!("toString({})", hole.text),
                        _ => {
                            return self
                                .refuse(span, "text made of anything but text and whole numbers");
                        }
                    });
                }
            }
        }
        Some(Value { text: format!("concat({})", texts.join(", ")), kind: Kind::Text, nullable })
    }
}

/// The kind that a type's values have in SQL.
pub(super) fn kind_of(ty: &Type) -> Option<Kind> {
    Some(match ty {
        Type::Bool => Kind::Bool,
        Type::Int => Kind::Int,
        Type::Float => Kind::Float,
        Type::Text => Kind::Text,
        Type::Timestamp => Kind::Time,
        Type::Duration => Kind::Duration,
        Type::Ip => Kind::Ip,
        Type::Severity => Kind::Severity,
        Type::List(of) => Kind::List(Box::new(kind_of(of)?)),
        _ => return None,
    })
}

pub(super) fn as_float(value: Value) -> Value {
    match value.kind {
        Kind::Float => value,
        _ => Value { text: format!("toFloat64({})", value.text), kind: Kind::Float, ..value },
    }
}

/// Whole-number arithmetic that overflows to NULL.
fn whole(a: &str, sign: &str, b: &str) -> String {
    format!("accurateCastOrNull(toInt128({a}) {sign} toInt128({b}), 'Int64')")
}

/// `%`; the smallest number by -1 is no overflow of ours.
fn remainder(a: &str, b: &str) -> String {
    format!("toInt64(toInt128({a}) % nullIf(toInt128({b}), 0))")
}

/// A result that is no number, or infinite, is absent.
pub(super) fn finite(text: &str) -> String {
    format!("arrayMap(v -> if(isFinite(v), v, NULL), [{text}])[1]")
}

/// A moment's nanoseconds since 1970.
pub(super) fn nanos(time: &str) -> String {
    format!("toUnixTimestamp64Nano(toDateTime64({time}, 9, 'UTC'))")
}

fn sign(op: ArithOp) -> &'static str {
    match op {
        ArithOp::Add => "+",
        ArithOp::Sub => "-",
        ArithOp::Mul => "*",
        ArithOp::Div => "/",
        ArithOp::Rem => "%",
    }
}

impl Condition {
    pub(super) fn of(value: Value) -> Self {
        Self { text: value.text, nullable: value.nullable }
    }
}
