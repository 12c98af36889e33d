//! Aggregates: what windows and alerts add up.

use std::sync::Arc;

use super::{Checked, Checker, constant::Const};
use crate::{
    column::NodeId,
    diagnostic::{Code, Diagnostic},
    plan::{Aggregate, AggregateKind, Literal, Op},
    span::Span,
    syntax::ast::{self, Expr, ExprKind},
    types::{Ty, Type},
};

/// Aggregates, and how many values they take: the first may be left out where it is not needed.
const AGGREGATES: &[(&str, std::ops::RangeInclusive<usize>)] = &[
    ("count", 0..=0),
    ("sum", 1..=1),
    ("avg", 1..=1),
    ("min", 1..=1),
    ("max", 1..=1),
    ("quantile", 2..=2),
    ("uniq", 1..=1),
    ("rate", 0..=1),
    ("any", 1..=1),
    ("first", 1..=1),
    ("last", 1..=1),
    ("top", 2..=2),
    ("stddev", 1..=1),
];

/// How many values a `top` may ask for.
const TOP_MAX: i64 = 100;

/// Names that are aggregates and nothing else.
pub(super) fn is_only_aggregate(name: &str) -> bool {
    matches!(name, "count" | "sum" | "avg" | "quantile" | "uniq" | "rate" | "top" | "stddev")
}

impl Checker<'_> {
    /// Whether a call means an aggregate here, and not the function of that name.
    pub(super) fn means_aggregate(&self, name: &str, args: &[ast::Arg]) -> bool {
        let known = AGGREGATES.iter().any(|(known, _)| *known == name);
        let values = args.iter().filter(|arg| arg.name.is_none());
        known
            && self.place.aggregates.is_some()
            && match name {
                "min" | "max" => values.count() < 2,
                "any" => !args.iter().any(|arg| matches!(arg.value.kind, ExprKind::Lambda { .. })),
                "first" | "last" => self.place.in_args == 0,
                _ => true,
            }
    }

    /// An aggregate: its result is a name for what a window will have added up.
    pub(super) fn aggregate(
        &mut self,
        span: Span,
        name: &str,
        args: &[ast::Arg],
        filter: Option<&Expr>,
    ) -> Option<Checked> {
        // Inside there is an event again, and nothing added up yet.
        let outer = self.place.aggregates.take();
        let made = self.aggregate_inner(span, name, args, filter);
        self.place.aggregates = outer;
        let (mut aggregate, ty) = made?;
        let local = self.new_local();
        aggregate.local = local;
        if let Some(all) = &mut self.place.aggregates {
            all.push(aggregate);
        }
        Some(self.add(Op::Local(local), ty, span))
    }

    fn aggregate_inner(
        &mut self,
        span: Span,
        name: &str,
        args: &[ast::Arg],
        filter: Option<&Expr>,
    ) -> Option<(Aggregate, Ty)> {
        let mut values: Vec<&Expr> = Vec::new();
        let mut weighted = false;
        for arg in args {
            match (&arg.name, &arg.value.kind) {
                (None, _) => values.push(&arg.value),
                (Some(word), ExprKind::Bool(yes)) if word.name == "weighted" => weighted = *yes,
                (Some(word), _) => {
                    self.report(
                        Diagnostic::new(
                            Code::E102,
                            arg.span,
                            format!("`{name}` has no argument `{}`", word.name),
                        )
                        .note("an aggregate takes `weighted: true` and `where …`"),
                    );
                    return None;
                }
            }
        }
        let (_, takes) = AGGREGATES.iter().find(|(known, _)| *known == name)?;
        if !takes.contains(&values.len()) {
            let wants = match takes.end() {
                0 => "nothing",
                1 => "one value",
                _ => "a value and a number",
            };
            let message = format!("the aggregate `{name}` takes {wants}");
            self.report(
                Diagnostic::new(Code::E102, span, message)
                    .advise("which events count says `where`: `count(where .status >= 500)`"),
            );
            return None;
        }
        let value = match values.first() {
            Some(e) => Some(self.expr(e, None)?),
            None => None,
        };
        let filter = match filter {
            Some(e) => Some(self.condition(e, "the condition of an aggregate")?),
            None => None,
        };
        let value = match value {
            Some(value) if is_numeric(name) => Some(self.number(value, name)?),
            other => other,
        };
        let (kind, ty) = self.result(name, value.as_ref(), values.get(1).copied(), weighted)?;
        let weight = weighted.then(|| self.weight(span));
        let aggregate = Aggregate {
            local: crate::plan::LocalId(0),
            kind,
            ty: ty.base.clone(),
            value: value.map(|value| value.id),
            filter,
            weight,
        };
        Some((aggregate, ty))
    }

    /// Brings a value to a number; lengths of time add up too.
    fn number(&mut self, value: Checked, name: &str) -> Option<Checked> {
        match value.base() {
            Type::Int | Type::Float | Type::Number | Type::Duration => Some(value),
            Type::Any => Some(self.narrow(value, Type::Number)),
            other => {
                let message = format!("`{name}` takes numbers, not `{other}`");
                self.fail(Code::E101, value.span, message)
            }
        }
    }

    fn result(
        &mut self,
        name: &str,
        value: Option<&Checked>,
        second: Option<&Expr>,
        weighted: bool,
    ) -> Option<(AggregateKind, Ty)> {
        let base = value.map_or(Type::Int, |value| value.base().clone());
        let mean = if base == Type::Duration { Type::Duration } else { Type::Float };
        Some(match name {
            "count" => {
                let ty = if weighted { Type::Number } else { Type::Int };
                (AggregateKind::Count, Ty::required(ty))
            }
            "sum" => {
                let whole = base == Type::Int && weighted;
                let ty = if whole { Type::Number } else { base };
                (AggregateKind::Sum, Ty::optional(ty))
            }
            "rate" => (AggregateKind::Rate, Ty::required(Type::Float)),
            "avg" => (AggregateKind::Avg, Ty::optional(mean)),
            "stddev" => (AggregateKind::Stddev, Ty::optional(mean)),
            "quantile" => {
                let q = self.share(second?)?;
                (AggregateKind::Quantile(q), Ty::optional(mean))
            }
            "min" => (AggregateKind::Min, Ty::optional(base)),
            "max" => (AggregateKind::Max, Ty::optional(base)),
            "uniq" => (AggregateKind::Uniq, Ty::required(Type::Int)),
            "any" => (AggregateKind::Any, Ty::optional(base)),
            "first" => (AggregateKind::First, Ty::optional(base)),
            "last" => (AggregateKind::Last, Ty::optional(base)),
            _ => {
                let second = second?;
                let wanted = match self.fold(second, None)? {
                    Const::Scalar(Literal::Int(wanted), _) if (1..=TOP_MAX).contains(&wanted) => {
                        wanted
                    }
                    _ => {
                        let message = format!("`top` asks for 1 to {TOP_MAX} values");
                        return self.fail(Code::E120, second.span, message);
                    }
                };
                (AggregateKind::Top(wanted as usize), Ty::required(Type::list(Type::Text)))
            }
        })
    }

    fn share(&mut self, e: &Expr) -> Option<f64> {
        let q = match self.fold(e, None)? {
            Const::Scalar(Literal::Float(q), _) => q,
            Const::Scalar(Literal::Int(q), _) => q as f64,
            _ => f64::NAN,
        };
        if (0.0..=1.0).contains(&q) {
            return Some(q);
        }
        self.report(
            Diagnostic::new(Code::E120, e.span, "a quantile lies between 0 and 1")
                .advise("the median is `0.5`, the 99th percentile `0.99`"),
        );
        None
    }

    /// `.sample_weight`: how many events an event that survived a sample stands for.
    fn weight(&mut self, span: Span) -> crate::plan::ExprId {
        let keys: [Arc<str>; 1] = ["sample_weight".into()];
        let node: NodeId = self.node(&keys);
        let field = self.add(Op::Field(node), Ty::optional(Type::Any), span);
        self.narrow(field, Type::Number).id
    }
}

fn is_numeric(name: &str) -> bool {
    matches!(name, "sum" | "avg" | "quantile" | "rate" | "stddev")
}
