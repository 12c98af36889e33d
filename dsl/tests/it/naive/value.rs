//! Values of one event, as the reference describes them: no columns, no views, no masks.

use std::{cmp::Ordering, net::IpAddr};

use serde_json::Value as Json;

/// The severities, by name and number.
pub(super) const SEVERITIES: [(&str, i64); 8] = [
    ("trace", 1),
    ("debug", 5),
    ("info", 9),
    ("notice", 10),
    ("warn", 13),
    ("error", 17),
    ("critical", 18),
    ("fatal", 21),
];

/// One value, or why there is none.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum V {
    Absent(&'static str),
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Time(jiff::Timestamp),
    Span(i64),
    Ip(IpAddr),
    Severity(i64),
    List(Vec<V>),
    Map(Vec<(String, V)>),
}

impl V {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent(_))
    }

    /// What an event brings: a number is an `int` if it is an integer that fits, otherwise a `float`.
    pub(super) fn from_json(json: &Json) -> Self {
        match json {
            Json::Null => Self::Absent("null"),
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => match number.as_i64() {
                Some(int) => Self::Int(int),
                None => Self::Float(number.as_f64().expect("a number")),
            },
            Json::String(text) => Self::Text(text.clone()),
            Json::Array(list) => Self::List(list.iter().map(Self::from_json).collect()),
            Json::Object(map) => {
                Self::Map(map.iter().map(|(key, it)| (key.clone(), Self::from_json(it))).collect())
            }
        }
    }

    /// What an output shows. Whole floats and integers are the same number.
    pub(super) fn show(&self) -> Json {
        match self {
            Self::Absent(_) => Json::Null,
            Self::Bool(value) => Json::Bool(*value),
            Self::Int(number) => canonical(&Json::from(*number)),
            // Read back as the evaluator's output is: the reader may be off by the last bit.
            Self::Float(number) => {
                let text = Json::from(*number).to_string();
                canonical(&serde_json::from_str(&text).expect("a number was printed"))
            }
            Self::List(list) => list.iter().map(Self::show).collect(),
            Self::Map(map) => map.iter().map(|(key, it)| (key.clone(), it.show())).collect(),
            other => Json::String(other.plain()),
        }
    }

    /// As it reads inside other text.
    pub(super) fn plain(&self) -> String {
        match self {
            Self::Absent(_) => String::new(),
            Self::Bool(value) => value.to_string(),
            Self::Int(number) => number.to_string(),
            Self::Float(number) => format!("{number:?}"),
            Self::Text(text) => text.clone(),
            Self::Time(time) => time.to_string(),
            Self::Span(nanos) => format!("{}s", nanos / 1_000_000_000),
            Self::Ip(ip) => ip.to_string(),
            Self::Severity(number) => severity_name(*number).to_owned(),
            Self::List(_) | Self::Map(_) => self.show().to_string(),
        }
    }

    /// The name of its type, as `is` asks for it.
    pub(super) fn is_type(&self, name: &str) -> bool {
        match self {
            Self::Absent(_) => false,
            Self::Bool(_) => name == "bool",
            Self::Int(_) => name == "int",
            Self::Float(_) => name == "float",
            Self::Text(_) => name == "string",
            Self::List(_) => name == "list<any>",
            Self::Map(_) => name == "map<any>",
            Self::Time(_) | Self::Span(_) | Self::Ip(_) | Self::Severity(_) => false,
        }
    }
}

fn severity_name(number: i64) -> &'static str {
    SEVERITIES.iter().rev().find(|(_, known)| *known <= number).map_or("trace", |(name, _)| name)
}

/// Numbers by their value, so that 1 and 1.0 print alike.
pub(super) fn canonical(json: &Json) -> Json {
    match json {
        Json::Number(number) => {
            if let Some(int) = number.as_i64() {
                return Json::from(int);
            }
            let float = number.as_f64().expect("a number");
            let whole = float.fract() == 0.0 && float.abs() < 9e15;
            if whole { Json::from(float as i64) } else { Json::from(float) }
        }
        Json::Array(list) => list.iter().map(canonical).collect(),
        Json::Object(map) => map.iter().map(|(key, it)| (key.clone(), canonical(it))).collect(),
        other => other.clone(),
    }
}

/// What is declared of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Declared {
    Int,
    /// `int? coerce`
    IntCoerced,
    Float,
    Text,
    Bool,
    Time,
    Span,
    Ip,
    /// `severity? coerce`
    Severity,
    List,
    Any,
}

/// A value of an event, read as its field is declared.
pub(super) fn read(declared: Declared, value: &V) -> V {
    use Declared as D;
    match (declared, value) {
        (_, V::Absent(why)) => V::Absent(why),
        (D::Any, _)
        | (D::Int | D::IntCoerced, V::Int(_))
        | (D::Float, V::Float(_))
        | (D::Text, V::Text(_))
        | (D::Bool, V::Bool(_))
        | (D::List, V::List(_)) => value.clone(),
        (D::Float, V::Int(number)) => V::Float(*number as f64),
        (D::IntCoerced, V::Text(text)) => text.parse().map_or(V::Absent("parse"), V::Int),
        (D::Time, V::Text(text)) => text.parse().map_or(V::Absent("parse"), V::Time),
        (D::Ip, V::Text(text)) => text.parse().map_or(V::Absent("parse"), V::Ip),
        (D::Span, V::Text(text)) => {
            let unit = |tail: char, seconds: i64| {
                let number: i64 = text.strip_suffix(tail)?.parse().ok()?;
                Some(V::Span(number * seconds * 1_000_000_000))
            };
            unit('s', 1).or_else(|| unit('m', 60)).unwrap_or(V::Absent("parse"))
        }
        (D::Severity, V::Text(text)) => {
            let text = text.to_lowercase();
            let found = SEVERITIES.iter().find(|(name, _)| *name == text);
            found.map_or(V::Absent("parse"), |(_, number)| V::Severity(*number))
        }
        _ => V::Absent("type"),
    }
}

/// The order of two values: numbers by value, text by bytes, text against a time or severity read as one; lists and maps are equal or nothing.
pub(super) fn order(a: &V, b: &V) -> Option<Ordering> {
    match (a, b) {
        (V::Bool(a), V::Bool(b)) => Some(a.cmp(b)),
        (V::Int(a), V::Int(b)) | (V::Span(a), V::Span(b)) | (V::Severity(a), V::Severity(b)) => {
            Some(a.cmp(b))
        }
        // The integers of these programs are exact as floats.
        (V::Int(a), V::Float(b)) => (*a as f64).partial_cmp(b),
        (V::Float(a), V::Int(b)) => a.partial_cmp(&(*b as f64)),
        (V::Float(a), V::Float(b)) => a.partial_cmp(b),
        (V::Text(a), V::Text(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
        (V::Time(a), V::Time(b)) => Some(a.cmp(b)),
        (V::Ip(a), V::Ip(b)) => Some(a.cmp(b)),
        (V::List(_) | V::Map(_), V::List(_) | V::Map(_)) => {
            (a.show() == b.show()).then_some(Ordering::Equal)
        }
        (V::Text(_), V::Time(_)) => order(&read(Declared::Time, a), b),
        (V::Text(_), V::Ip(_)) => order(&read(Declared::Ip, a), b),
        (V::Text(_), V::Span(_)) => order(&read(Declared::Span, a), b),
        (V::Text(_), V::Severity(_)) => order(&read(Declared::Severity, a), b),
        (V::Time(_) | V::Ip(_) | V::Span(_) | V::Severity(_), V::Text(_)) => {
            order(b, a).map(Ordering::reverse)
        }
        _ => None,
    }
}

/// `+` between texts: two values that nothing is known of are added as numbers.
pub(super) const JOIN: char = '&';

/// `+ - * / %`
pub(super) fn arith(op: char, a: &V, b: &V) -> V {
    // What no operator takes is absent before anything is calculated.
    let (a, b) = (&operand(op, a), &operand(op, b));
    match (a, b) {
        (V::Absent(why), _) | (_, V::Absent(why)) => V::Absent(why),
        (V::Int(_), V::Int(0)) if "/%".contains(op) => V::Absent("division_by_zero"),
        (V::Int(a), V::Int(b)) if op == '/' => floats(op, *a as f64, *b as f64),
        (V::Int(a), V::Int(b)) => ints(op, *a, *b).map_or(V::Absent("overflow"), V::Int),
        (V::Int(a), V::Float(b)) => floats(op, *a as f64, *b),
        (V::Float(a), V::Int(b)) => floats(op, *a, *b as f64),
        (V::Float(a), V::Float(b)) => floats(op, *a, *b),
        (V::Text(a), V::Text(b)) if op == JOIN => V::Text(format!("{a}{b}")),
        (V::Time(a), V::Time(b)) if op == '-' => {
            V::Span(i64::try_from(a.as_nanosecond() - b.as_nanosecond()).expect("near"))
        }
        (V::Time(a), V::Span(b)) if op == '+' || op == '-' => {
            let b = i128::from(if op == '+' { *b } else { -*b });
            let moved = jiff::Timestamp::from_nanosecond(a.as_nanosecond() + b);
            V::Time(moved.expect("near"))
        }
        (V::Span(a), V::Span(b)) if op == '+' || op == '-' => {
            ints(op, *a, *b).map_or(V::Absent("overflow"), V::Span)
        }
        (V::Span(a), V::Int(b)) if op == '*' => {
            ints(op, *a, *b).map_or(V::Absent("overflow"), V::Span)
        }
        _ => V::Absent("type"),
    }
}

fn operand(op: char, value: &V) -> V {
    match value {
        V::Bool(_) | V::List(_) | V::Map(_) => V::Absent("type"),
        V::Text(_) if op != JOIN => V::Absent("type"),
        other => other.clone(),
    }
}

fn ints(op: char, a: i64, b: i64) -> Option<i64> {
    match op {
        '+' => a.checked_add(b),
        '-' => a.checked_sub(b),
        '*' => a.checked_mul(b),
        _ => Some(a.wrapping_rem(b)),
    }
}

fn floats(op: char, a: f64, b: f64) -> V {
    if b == 0.0 && "/%".contains(op) {
        return V::Absent("division_by_zero");
    }
    let result = match op {
        '+' => a + b,
        '-' => a - b,
        '*' => a * b,
        '/' => a / b,
        _ => a % b,
    };
    if result.is_finite() { V::Float(result) } else { V::Absent("out_of_range") }
}
