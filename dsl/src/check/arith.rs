//! What fits where: narrowing, assigning, calculating.

use std::sync::Arc;

use super::{Checked, Checker, said};
use crate::{
    diagnostic::{Code, Diagnostic},
    plan::{ArithOp, Literal, Op},
    span::Span,
    syntax::ast::{Arithmetic, Expr},
    types::{Shape, Ty, Type},
};

/// How a value gets into a place.
enum Fit {
    /// As it is.
    Same,
    /// Read as the narrower type; it may turn out to be something else.
    Narrow,
    No,
}

impl Checker<'_> {
    /// Reads a value as a type; what is of another type at run time is absent.
    pub(super) fn narrow(&mut self, value: Checked, to: Type) -> Checked {
        if *value.base() == to || *value.base() == Type::Null {
            return value;
        }
        // Records have no form of their own at run time unless somebody built one: any object will do.
        let (to, known) = match to {
            Type::Record(shape) => (Type::map(Type::Any), Type::Record(shape)),
            other => (other.clone(), other),
        };
        let op = Op::Narrow(value.id);
        // A whole number is a float already; any other narrowing may fail.
        let optional = value.ty.optional || !value.base().is_number() || to == Type::Int;
        let narrowed = self.add(op, Ty { base: to, optional }, value.span);
        let narrowed = Checked { ty: Ty { base: known, optional }, ..narrowed };
        self.with_facts(narrowed)
    }

    /// Brings a value into a place of that type, or reports that it does not fit.
    pub(super) fn fit(&mut self, value: Checked, want: &Ty, place: &str) -> Option<Checked> {
        let fitted = match fits(value.base(), &want.base) {
            Fit::Same => value,
            Fit::Narrow => self.narrow(value, want.base.clone()),
            Fit::No => {
                self.misfit(&value, want, place);
                return None;
            }
        };
        // An undeclared value is always one that may be absent.
        if fitted.ty.optional && !want.optional && want.base != Type::Any {
            let message = format!("{place} must be there, but this may be absent");
            self.report(
                Diagnostic::new(Code::E103, fitted.span, message)
                    .label(format!("this is `{}`", said(&fitted.ty)))
                    .advise(format!(
                        "give a default: `{} ?? …`",
                        self.loaded.sources.text(fitted.span)
                    )),
            );
            return None;
        }
        Some(fitted)
    }

    /// Reports a value of a wrong type, with a fix where one is near.
    pub(super) fn misfit(&mut self, value: &Checked, want: &Ty, place: &str) {
        let wanted = said(&Ty::required(want.base.clone()));
        let message = format!("{place} takes `{wanted}`, not `{}`", said(&value.ty));
        let mut diagnostic = Diagnostic::new(Code::E101, value.span, message)
            .label(format!("this is `{}`", said(&value.ty)));
        if let Some((advice, edits)) = self.conversion(value, &want.base) {
            diagnostic = diagnostic.suggest(advice, edits);
        }
        self.report(diagnostic);
    }

    /// How to make a value of the wanted type out of this one.
    pub(super) fn conversion(
        &self,
        value: &Checked,
        want: &Type,
    ) -> Option<(String, Vec<(Span, String)>)> {
        let source = self.loaded.sources.text(value.span);
        if let Some(Literal::Text(text)) = self.build.pool.literal(value.id)
            && source.starts_with('"')
        {
            let literal = match want {
                Type::Ip => format!("ip\"{text}\""),
                Type::Cidr => format!("cidr\"{text}\""),
                Type::Timestamp => format!("t\"{text}\""),
                Type::Severity => {
                    let lower = text.to_lowercase();
                    crate::column::Severity::named(&lower)?.name().to_owned()
                }
                Type::Enum(members) => members.find(text, true)?.to_string(),
                Type::Int | Type::Float | Type::Number if text.parse::<f64>().is_ok() => {
                    text.to_string()
                }
                _ => return None,
            };
            return Some(("write it as what it is".to_owned(), vec![(value.span, literal)]));
        }
        if self.build.pool.literal(value.id).is_some() {
            return None;
        }
        let function = match want {
            Type::Int => "int",
            Type::Float | Type::Number => "float",
            Type::Text => "string",
            Type::Ip => "ip",
            Type::Cidr => "cidr",
            Type::Bytes => "bytes",
            Type::Timestamp => "timestamp",
            Type::Duration => "duration",
            Type::Severity => "parse_severity",
            _ => return None,
        };
        if source.is_empty() || *value.base() == Type::Bool {
            return None;
        }
        let edits = vec![
            (value.span.before(), format!("{function}(")),
            (value.span.behind(), ")".to_owned()),
        ];
        Some((format!("convert it with `{function}`"), edits))
    }

    pub(super) fn negated(&mut self, e: &Expr, of: &Expr) -> Option<Checked> {
        if let Some((literal, base)) = self.literal(e) {
            return Some(self.add(Op::Literal(literal), Ty::required(base), e.span));
        }
        let value = self.expr(of, None)?;
        let value = match value.base() {
            Type::Any => self.narrow(value, Type::Number),
            Type::Int | Type::Float | Type::Number | Type::Duration | Type::Null => value,
            _ => {
                let message = format!("`-` takes a number or duration, not `{}`", said(&value.ty));
                return self.fail(Code::E101, value.span, message);
            }
        };
        let ty = value.ty.clone();
        Some(self.add(Op::Neg(value.id), ty, e.span))
    }

    pub(super) fn arithmetic(
        &mut self,
        span: Span,
        op: Arithmetic,
        op_span: Span,
        left: &Expr,
        right: &Expr,
    ) -> Option<Checked> {
        let left = self.expr(left, None);
        let right = self.expr(right, None);
        let (left, right) = (left?, right?);
        let Some((as_left, as_right, base)) = calculation(op, left.base(), right.base()) else {
            let message = format!(
                "`{}` does not take `{}` and `{}`",
                op.symbol(),
                said(&left.ty),
                said(&right.ty)
            );
            let mut diagnostic = Diagnostic::new(Code::E101, op_span, message)
                .related(left.span, format!("this is `{}`", said(&left.ty)))
                .related(right.span, format!("this is `{}`", said(&right.ty)));
            if op == Arithmetic::Add && (*left.base() == Type::Text || *right.base() == Type::Text)
            {
                diagnostic = diagnostic.advise("put values into text with `f\"…{value}…\"`");
            }
            self.report(diagnostic);
            return None;
        };
        let left = self.narrow(left, as_left);
        let right = self.narrow(right, as_right);
        let by_zero = matches!(op, Arithmetic::Div | Arithmetic::Rem)
            && !matches!(
                self.build.pool.literal(right.id),
                Some(Literal::Int(1..) | Literal::Duration(1..))
            )
            && !matches!(self.build.pool.literal(right.id), Some(Literal::Float(by)) if *by != 0.0);
        let optional = left.ty.optional || right.ty.optional || by_zero;
        let op = Op::Arith { op: arith_op(op), left: left.id, right: right.id };
        Some(self.add(op, Ty { base, optional }, span))
    }
}

fn arith_op(op: Arithmetic) -> ArithOp {
    match op {
        Arithmetic::Add => ArithOp::Add,
        Arithmetic::Sub => ArithOp::Sub,
        Arithmetic::Mul => ArithOp::Mul,
        Arithmetic::Div => ArithOp::Div,
        Arithmetic::Rem => ArithOp::Rem,
    }
}

/// What the operands are read as, and the type of the result.
fn calculation(op: Arithmetic, left: &Type, right: &Type) -> Option<(Type, Type, Type)> {
    use Arithmetic::{Add, Div, Mul, Rem, Sub};
    use Type::{Any, Duration, Null, Number, Text, Timestamp};
    let both = |ty: Type, result: Type| Some((ty.clone(), ty, result));
    match (op, left, right) {
        (_, Null, other) | (_, other, Null) => both(other.clone(), other.clone()),
        (Add, Text, Text | Any) | (Add, Any, Text) => both(Text, Text),
        (Add, Timestamp, Duration | Any) => Some((Timestamp, Duration, Timestamp)),
        (Add, Duration, Timestamp) => Some((Duration, Timestamp, Timestamp)),
        (Add, Any, Timestamp) => Some((Duration, Timestamp, Timestamp)),
        (Sub, Timestamp, Duration) => Some((Timestamp, Duration, Timestamp)),
        (Sub, Timestamp, Timestamp | Any) | (Sub, Any, Timestamp) => both(Timestamp, Duration),
        (Add | Sub | Rem, Duration, Duration) | (Rem, Duration, Any) => both(Duration, Duration),
        // A time from outside is read more often than a span.
        (Add | Sub, Any, Duration) => Some((Timestamp, Duration, Timestamp)),
        (Add | Sub, Duration, Any) => both(Duration, Duration),
        (Div, Duration, Duration) => both(Duration, Type::Float),
        (Mul | Div, Duration, Any) => Some((Duration, Number, Duration)),
        (Mul, Any, Duration) => Some((Number, Duration, Duration)),
        (Mul | Div, Duration, number) if number.is_number() => {
            Some((Duration, number.clone(), Duration))
        }
        (Mul, number, Duration) if number.is_number() => Some((number.clone(), Duration, Duration)),
        (_, left, right) => {
            let numeric = |ty: &Type| ty.is_number() || *ty == Any;
            if !numeric(left) || !numeric(right) {
                return None;
            }
            let read = |ty: &Type| if *ty == Any { Number } else { ty.clone() };
            let (left, right) = (read(left), read(right));
            let result = match (op, &left, &right) {
                (Div, _, _) => Type::Float,
                (_, Type::Int, Type::Int) => Type::Int,
                (_, Type::Float, _) | (_, _, Type::Float) => Type::Float,
                _ => Number,
            };
            Some((left, right, result))
        }
    }
}

fn fits(have: &Type, want: &Type) -> Fit {
    match (have, want) {
        (have, want) if have == want => Fit::Same,
        (_, Type::Any) | (Type::Null, _) => Fit::Same,
        (Type::Any, _) | (Type::Text, Type::Enum(_)) => Fit::Narrow,
        // A member is text, and reads as such.
        (Type::Enum(_), Type::Text) => Fit::Same,
        (Type::Int | Type::Float, Type::Number) => Fit::Same,
        (Type::Int | Type::Number, Type::Float) | (Type::Number, Type::Int) => Fit::Narrow,
        (Type::List(have), Type::List(want)) => match fits(have, want) {
            Fit::Same => Fit::Same,
            Fit::Narrow => Fit::Narrow,
            Fit::No => Fit::No,
        },
        (Type::Map(have), Type::Map(want)) => fits(have, want),
        (Type::Map(_), Type::Record(_)) => Fit::Narrow,
        (Type::Record(shape), Type::Map(want)) => {
            let all =
                shape.fields.iter().all(|field| !matches!(fits(&field.ty.base, want), Fit::No));
            if all { Fit::Same } else { Fit::No }
        }
        (Type::Record(have), Type::Record(want)) => {
            if record_fits(have, want) {
                Fit::Same
            } else {
                Fit::No
            }
        }
        _ => Fit::No,
    }
}

/// Whether a record may stand where another is declared.
fn record_fits(have: &Arc<Shape>, want: &Arc<Shape>) -> bool {
    let members = have.fields.iter().all(|field| match want.field(&field.name) {
        Some(wanted) => !matches!(fits(&field.ty.base, &wanted.ty.base), Fit::No),
        None => want.open,
    });
    members
        && want
            .fields
            .iter()
            .all(|wanted| wanted.ty.optional || have.open || have.field(&wanted.name).is_some())
}
