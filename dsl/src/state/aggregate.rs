//! Aggregates: values added up one by one, sums merged, and what comes out of them.
//!
//! Invariant: an absent value adds nothing, so one bad event can spoil no sum.

use std::cmp::Ordering;

use xxhash_rust::xxh3::xxh3_64;

use super::sketch::{Different, Frequent, Quantiles};
use crate::{
    column::{Absence, Value, print},
    plan::AggregateKind,
};

/// What one event gives one aggregate.
#[derive(Debug)]
pub struct Input<'a> {
    /// The value; nothing where events are counted.
    pub value: Option<Value<'a>>,
    /// How much it counts.
    pub weight: f64,
    /// Whether `where` holds.
    pub counts: bool,
}

/// What was added up so far.
#[derive(Debug, Clone)]
pub(super) enum Sum {
    /// Weights, whole as long as all of them are.
    Count(Number),
    /// Nothing as long as nothing was added.
    Total(Option<Number>),
    Mean {
        weight: f64,
        mean: f64,
        squares: f64,
    },
    /// The smallest or largest value.
    Extreme(Option<Value<'static>>),
    Quantiles(Quantiles),
    Different(Different),
    /// A value and the time of its event.
    Chosen(Option<(i64, Value<'static>)>),
    Frequent(Frequent),
}

/// Whole as long as it can be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    fn plus(self, other: Self) -> Self {
        if let (Self::Int(a), Self::Int(b)) = (self, other)
            && let Some(sum) = a.checked_add(b)
        {
            return Self::Int(sum);
        }
        Self::Float(self.float() + other.float())
    }

    fn float(self) -> f64 {
        match self {
            Self::Int(number) => number as f64,
            Self::Float(number) => number,
        }
    }

    fn value(self) -> Value<'static> {
        match self {
            Self::Int(number) => Value::Int(number),
            Self::Float(number) => Value::float(number),
        }
    }

    /// A number that is whole is kept as such.
    fn of(number: f64) -> Self {
        let whole = number.fract() == 0.0 && number.abs() < 1e15;
        if whole { Self::Int(number as i64) } else { Self::Float(number) }
    }
}

impl Sum {
    pub(super) fn new(kind: AggregateKind) -> Self {
        match kind {
            AggregateKind::Count | AggregateKind::Rate => Self::Count(Number::Int(0)),
            AggregateKind::Sum => Self::Total(None),
            AggregateKind::Avg | AggregateKind::Stddev => {
                Self::Mean { weight: 0.0, mean: 0.0, squares: 0.0 }
            }
            AggregateKind::Min | AggregateKind::Max => Self::Extreme(None),
            AggregateKind::Quantile(_) => Self::Quantiles(Quantiles::default()),
            AggregateKind::Uniq => Self::Different(Different::default()),
            AggregateKind::Any | AggregateKind::First | AggregateKind::Last => Self::Chosen(None),
            AggregateKind::Top(_) => Self::Frequent(Frequent::default()),
        }
    }

    /// Adds what an event of that time gives.
    pub(super) fn add(&mut self, kind: AggregateKind, time: i64, input: &Input<'_>) {
        let counts = input.counts && input.weight > 0.0 && input.weight.is_finite();
        if !counts || matches!(input.value, Some(Value::Absent(_))) {
            return;
        }
        let weight = input.weight;
        let value = input.value.as_ref();
        match self {
            Self::Count(sum) => match value {
                None => *sum = sum.plus(Number::of(weight)),
                Some(value) => {
                    if let Some(number) = number(value) {
                        *sum = sum.plus(times(number, weight));
                    }
                }
            },
            Self::Total(sum) => {
                if let Some(number) = value.and_then(number) {
                    let number = times(number, weight);
                    *sum = Some(sum.map_or(number, |sum| sum.plus(number)));
                }
            }
            Self::Mean { weight: total, mean, squares } => {
                if let Some(number) = value.and_then(number) {
                    let number = number.float();
                    *total += weight;
                    let off = number - *mean;
                    *mean += off * weight / *total;
                    *squares += weight * off * (number - *mean);
                }
            }
            Self::Extreme(known) => {
                if let Some(value) = value
                    && known.as_ref().is_none_or(|known| beats(kind, value, known))
                {
                    *known = Some(value.clone().into_static());
                }
            }
            Self::Quantiles(values) => {
                if let Some(number) = value.and_then(number) {
                    values.add(number.float(), weight);
                }
            }
            Self::Different(seen) => {
                let mut text = Vec::new();
                if let Some(value) = value {
                    print::json(&mut text, value);
                }
                seen.add(xxh3_64(&text));
            }
            Self::Chosen(known) => {
                if let Some(value) = value
                    && known.as_ref().is_none_or(|(at, _)| chosen(kind, time, *at))
                {
                    *known = Some((time, value.clone().into_static()));
                }
            }
            Self::Frequent(counts) => {
                let AggregateKind::Top(wanted) = kind else { return };
                let mut text = Vec::new();
                if let Some(value) = value {
                    print::plain(&mut text, value);
                }
                counts.add(&String::from_utf8_lossy(&text), weight, wanted);
            }
        }
    }

    /// Adds what a later pane of the same aggregate added up.
    pub(super) fn merge(&mut self, kind: AggregateKind, other: &Self) {
        match (self, other) {
            (Self::Count(a), Self::Count(b)) => *a = a.plus(*b),
            (Self::Total(a), Self::Total(Some(b))) => *a = Some(a.map_or(*b, |a| a.plus(*b))),
            (
                Self::Mean { weight, mean, squares },
                Self::Mean { weight: more, mean: theirs, squares: others },
            ) if *more > 0.0 => {
                let total = *weight + more;
                let off = theirs - *mean;
                *squares += others + off * off * *weight * more / total;
                *mean += off * more / total;
                *weight = total;
            }
            (Self::Extreme(a), Self::Extreme(Some(b)))
                if a.as_ref().is_none_or(|a| beats(kind, b, a)) =>
            {
                *a = Some(b.clone());
            }
            (Self::Quantiles(a), Self::Quantiles(b)) => a.merge(b),
            (Self::Different(a), Self::Different(b)) => a.merge(b),
            (Self::Chosen(a), Self::Chosen(Some((time, value))))
                if a.as_ref().is_none_or(|(at, _)| chosen(kind, *time, *at)) =>
            {
                *a = Some((*time, value.clone()));
            }
            (Self::Frequent(a), Self::Frequent(b)) => {
                if let AggregateKind::Top(wanted) = kind {
                    a.merge(b, wanted);
                }
            }
            // Nothing to add: the other one is empty, or none of its kind, which no plan has.
            _ => {}
        }
    }

    /// What comes out, for a window of so many seconds.
    pub(super) fn result(&self, kind: AggregateKind, seconds: f64) -> Value<'static> {
        let missing = Value::Absent(Absence::Missing);
        match (self, kind) {
            (Self::Count(sum), AggregateKind::Rate) => Value::float(sum.float() / seconds),
            (Self::Count(sum), _) => sum.value(),
            (Self::Total(sum), _) => sum.map_or(missing, Number::value),
            (Self::Mean { weight, .. }, _) if *weight <= 0.0 => missing,
            (Self::Mean { weight, squares, .. }, AggregateKind::Stddev) => {
                Value::float((squares / weight).max(0.0).sqrt())
            }
            (Self::Mean { mean, .. }, _) => Value::float(*mean),
            (Self::Extreme(value), _) => value.clone().unwrap_or(missing),
            (Self::Quantiles(values), AggregateKind::Quantile(q)) => {
                values.get(q).map_or(missing, Value::float)
            }
            (Self::Quantiles(_), _) => missing,
            (Self::Different(seen), _) => Value::Int(seen.count()),
            (Self::Chosen(value), _) => value.as_ref().map_or(missing, |(_, value)| value.clone()),
            (Self::Frequent(counts), AggregateKind::Top(wanted)) => {
                let mut text = vec![b'['];
                for (index, value) in counts.top(wanted).into_iter().enumerate() {
                    if index > 0 {
                        text.push(b',');
                    }
                    print::json(&mut text, &Value::text(value));
                }
                text.push(b']');
                Value::Json(String::from_utf8_lossy(&text).into_owned().into())
            }
            (Self::Frequent(_), _) => missing,
        }
    }
}

fn number(value: &Value<'_>) -> Option<Number> {
    match value {
        Value::Int(number) | Value::Duration(number) => Some(Number::Int(*number)),
        Value::Float(number) if number.is_finite() => Some(Number::Float(*number)),
        _ => None,
    }
}

fn times(number: Number, weight: f64) -> Number {
    #[expect(clippy::float_cmp, reason = "one is the weight of what nobody weighed, exactly")]
    let plain = weight == 1.0;
    if plain { number } else { Number::Float(number.float() * weight) }
}

/// Whether a value is smaller or larger than the one known. Values of two types do not compare.
fn beats(kind: AggregateKind, new: &Value<'_>, known: &Value<'_>) -> bool {
    let order = match (new, known) {
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::Timestamp(a), Value::Timestamp(b)) | (Value::Duration(a), Value::Duration(b)) => {
            a.cmp(b)
        }
        (Value::Severity(a), Value::Severity(b)) => a.cmp(b),
        (Value::Ip(a), Value::Ip(b)) => a.cmp(b),
        (a, b) => match (number(a), number(b)) {
            (Some(Number::Int(a)), Some(Number::Int(b))) => a.cmp(&b),
            (Some(a), Some(b)) => a.float().total_cmp(&b.float()),
            _ => Ordering::Equal,
        },
    };
    if kind == AggregateKind::Min { order.is_lt() } else { order.is_gt() }
}

/// Whether a value of that time takes the place of the one known.
fn chosen(kind: AggregateKind, time: i64, known: i64) -> bool {
    match kind {
        AggregateKind::First => time < known,
        AggregateKind::Last => time >= known,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: AggregateKind, values: &[f64]) -> Value<'static> {
        // In two panes, so that merging is tried too.
        let (a, b) = values.split_at(values.len() / 2);
        let mut sums = [a, b].map(|values| {
            let mut sum = Sum::new(kind);
            for (time, value) in values.iter().enumerate() {
                let input = Input { value: Some(Value::Float(*value)), weight: 1.0, counts: true };
                sum.add(kind, time as i64, &input);
                let bad = Value::Absent(Absence::Type);
                sum.add(kind, 0, &Input { value: Some(bad), weight: 1.0, counts: true });
            }
            sum
        });
        let [first, second] = &mut sums;
        first.merge(kind, second);
        first.result(kind, 10.0)
    }

    #[test]
    fn what_comes_out() {
        let values = [4.0, 2.0, 9.0, 5.0];
        assert_eq!(of(AggregateKind::Sum, &values), Value::Float(20.0));
        assert_eq!(of(AggregateKind::Rate, &values), Value::Float(2.0));
        assert_eq!(of(AggregateKind::Avg, &values), Value::Float(5.0));
        assert_eq!(of(AggregateKind::Min, &values), Value::Float(2.0));
        assert_eq!(of(AggregateKind::Max, &values), Value::Float(9.0));
        assert_eq!(of(AggregateKind::Uniq, &values), Value::Int(4));
        assert_eq!(of(AggregateKind::Quantile(0.5), &values), Value::Float(4.5));
        let Value::Float(off) = of(AggregateKind::Stddev, &values) else { panic!() };
        assert!((off - 6.5f64.sqrt()).abs() < 1e-12);
        for kind in [AggregateKind::Sum, AggregateKind::Avg, AggregateKind::Max] {
            assert_eq!(of(kind, &[]), Value::Absent(Absence::Missing), "{kind:?} of nothing");
        }
    }
}
