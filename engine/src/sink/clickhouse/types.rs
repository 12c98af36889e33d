//! ClickHouse's column types: read from their names, and how wide their values are.

use std::fmt;

use jiff::tz::TimeZone;

/// A column type that blocks can be built for.
#[derive(Debug, Clone, PartialEq)]
pub enum Type {
    /// Has one value a row.
    Scalar(Scalar),
    /// `Nullable(T)`
    Nullable(Scalar),
    /// `LowCardinality(T)`, and whether T is `Nullable`.
    Low(Scalar, bool),
    /// `Array(T)` where T is none of the types below.
    Array(Box<Self>),
    /// `Map(K, V)`; keys and values are text, perhaps with low cardinality.
    Map {
        /// Whether keys are `LowCardinality`.
        low_keys: bool,
        /// Whether values are `LowCardinality`.
        low_values: bool,
    },
    /// `JSON`, sent as text.
    Json,
}

/// A type of single values.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// `Int8` to `Int64`, `UInt8` to `UInt64`
    Int {
        /// 1, 2, 4 or 8.
        bytes: u8,
        /// Whether it may be negative.
        signed: bool,
    },
    /// `Float32`
    Float32,
    /// `Float64`
    Float64,
    /// `Bool`
    Bool,
    /// `String`
    Text,
    /// `FixedString(N)`
    FixedText(usize),
    /// `Date`: days since 1970 in 16 bits.
    Date,
    /// `Date32`: days since 1970 in 32 bits, signed.
    Date32,
    /// `DateTime`: seconds since 1970 in 32 bits.
    DateTime(Zone),
    /// `DateTime64(precision)`: ticks since 1970.
    DateTime64(u8, Zone),
    /// `Enum8` or `Enum16`.
    Enum(Enum),
    /// `UUID`
    Uuid,
    /// `IPv4`
    Ipv4,
    /// `IPv6`
    Ipv6,
}

/// The time zone of a type, which matters for days and months only.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Zone(pub Option<TimeZone>);

/// Names and numbers of an `Enum8` or `Enum16`.
#[derive(Debug, Clone, PartialEq)]
pub struct Enum {
    /// 1 or 2.
    pub bytes: u8,
    /// Names and numbers, ascending by number.
    pub values: Vec<(Box<str>, i16)>,
}

/// A type that blocks cannot be built for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    /// The type as the server names it.
    pub name: String,
    /// What to do instead.
    pub advice: &'static str,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "type {} cannot be filled: {}", self.name, self.advice)
    }
}

impl Type {
    /// Reads a type's name as `system.columns` has it.
    pub fn parse(text: &str) -> Result<Self, Unsupported> {
        let text = text.trim();
        let (name, args) = call(text);
        let args = args.unwrap_or_default();
        match name {
            "Nullable" => match Self::parse(args)? {
                Self::Scalar(scalar) => Ok(Self::Nullable(scalar)),
                _ => Err(unsupported(text)),
            },
            "LowCardinality" => match Self::parse(args)? {
                Self::Scalar(scalar) => Ok(Self::Low(scalar, false)),
                Self::Nullable(scalar) => Ok(Self::Low(scalar, true)),
                _ => Err(unsupported(text)),
            },
            "Array" => match Self::parse(args)? {
                inner @ (Self::Scalar(_) | Self::Nullable(_) | Self::Low(..)) => {
                    Ok(Self::Array(Box::new(inner)))
                }
                _ => Err(unsupported(text)),
            },
            "Map" => {
                let parts = split(args);
                let [keys, values] = parts.as_slice() else { return Err(unsupported(text)) };
                match (Self::parse(keys)?.low_text(), Self::parse(values)?.low_text()) {
                    (Some(low_keys), Some(low_values)) => Ok(Self::Map { low_keys, low_values }),
                    _ => Err(unsupported(text)),
                }
            }
            "JSON" => Ok(Self::Json),
            _ => scalar(text).map(Self::Scalar),
        }
    }

    /// For text of any kind: whether it has low cardinality.
    fn low_text(&self) -> Option<bool> {
        match self {
            Self::Scalar(Scalar::Text) => Some(false),
            Self::Low(Scalar::Text, false) => Some(true),
            _ => None,
        }
    }

    /// The type of single values inside, where there is one.
    pub fn scalar(&self) -> Option<&Scalar> {
        match self {
            Self::Scalar(scalar) | Self::Nullable(scalar) | Self::Low(scalar, _) => Some(scalar),
            Self::Array(_) | Self::Map { .. } | Self::Json => None,
        }
    }

    /// Whether NULL can be stored.
    pub fn is_nullable(&self) -> bool {
        matches!(self, Self::Nullable(_) | Self::Low(_, true))
    }
}

impl Scalar {
    /// Bytes a value; `None` for `String`.
    pub fn width(&self) -> Option<usize> {
        match self {
            Self::Int { bytes, .. } => Some(usize::from(*bytes)),
            Self::Bool => Some(1),
            Self::Text => None,
            Self::FixedText(width) => Some(*width),
            Self::Date => Some(2),
            Self::Float32 | Self::Date32 | Self::DateTime(_) | Self::Ipv4 => Some(4),
            Self::Float64 | Self::DateTime64(..) => Some(8),
            Self::Enum(values) => Some(usize::from(values.bytes)),
            Self::Uuid | Self::Ipv6 => Some(16),
        }
    }

    /// Whether it is an integer of eight bytes.
    pub fn is_widest(&self) -> bool {
        matches!(self, Self::Int { bytes: 8, .. })
    }

    /// Whether it is a moment or a day.
    pub fn is_time(&self) -> bool {
        matches!(self, Self::Date | Self::Date32 | Self::DateTime(_) | Self::DateTime64(..))
    }
}

impl Enum {
    /// The number of a name.
    pub fn number(&self, name: &[u8]) -> Option<i16> {
        self.values.iter().find(|(known, _)| known.as_bytes() == name).map(|&(_, number)| number)
    }

    /// Whether a number has a name.
    pub fn has(&self, number: i64) -> bool {
        self.values.iter().any(|&(_, known)| i64::from(known) == number)
    }

    /// What the server stores when nothing is said: the first one.
    pub fn first(&self) -> i16 {
        self.values.first().map_or(0, |&(_, number)| number)
    }
}

fn scalar(text: &str) -> Result<Scalar, Unsupported> {
    let (name, args) = call(text);
    let parts = split(args.unwrap_or_default());
    let zone = |at: usize| match parts.get(at) {
        None => Ok(Zone(None)),
        Some(quoted) => {
            let name = unquote(quoted).unwrap_or_default();
            TimeZone::get(&name).map(|zone| Zone(Some(zone))).map_err(|_| unsupported(text))
        }
    };
    let int = |bytes, signed| Ok(Scalar::Int { bytes, signed });
    match name {
        "Int8" => int(1, true),
        "Int16" => int(2, true),
        "Int32" => int(4, true),
        "Int64" => int(8, true),
        "UInt8" => int(1, false),
        "UInt16" => int(2, false),
        "UInt32" => int(4, false),
        "UInt64" => int(8, false),
        "Float32" => Ok(Scalar::Float32),
        "Float64" => Ok(Scalar::Float64),
        "Bool" => Ok(Scalar::Bool),
        "String" => Ok(Scalar::Text),
        "FixedString" => args
            .and_then(|width| width.trim().parse().ok())
            .filter(|&width| width > 0)
            .map(Scalar::FixedText)
            .ok_or_else(|| unsupported(text)),
        "Date" => Ok(Scalar::Date),
        "Date32" => Ok(Scalar::Date32),
        "DateTime" => Ok(Scalar::DateTime(zone(0)?)),
        "DateTime64" => {
            let precision = parts.first().and_then(|p| p.trim().parse().ok()).unwrap_or(3);
            if precision > 9 {
                return Err(unsupported(text));
            }
            Ok(Scalar::DateTime64(precision, zone(1)?))
        }
        "Enum8" => Ok(Scalar::Enum(enumeration(text, &parts, 1)?)),
        "Enum16" => Ok(Scalar::Enum(enumeration(text, &parts, 2)?)),
        "UUID" => Ok(Scalar::Uuid),
        "IPv4" => Ok(Scalar::Ipv4),
        "IPv6" => Ok(Scalar::Ipv6),
        _ => Err(unsupported(text)),
    }
}

fn enumeration(text: &str, parts: &[&str], bytes: u8) -> Result<Enum, Unsupported> {
    let mut values = Vec::with_capacity(parts.len());
    for part in parts {
        let (name, number) = part.rsplit_once('=').ok_or_else(|| unsupported(text))?;
        let name = unquote(name.trim()).ok_or_else(|| unsupported(text))?;
        let number = number.trim().parse().map_err(|_| unsupported(text))?;
        values.push((name.into_boxed_str(), number));
    }
    values.sort_by_key(|&(_, number)| number);
    Ok(Enum { bytes, values })
}

fn unsupported(name: &str) -> Unsupported {
    let advice = match call(name).0 {
        "Decimal" | "Decimal32" | "Decimal64" | "Decimal128" | "Decimal256" => {
            "use Float64, or Int64 of the smallest unit, or give the column a DEFAULT expression over a String column"
        }
        "Int128" | "Int256" | "UInt128" | "UInt256" => "use UInt64, Int64 or String",
        "DateTime64" | "DateTime" => "its precision or time zone is not known here",
        "Map" => "use Map(LowCardinality(String), String)",
        "Array" => "use an Array of plain values, or String for the JSON text",
        _ => "use String, or give the column a DEFAULT expression over a String column",
    };
    Unsupported { name: name.to_owned(), advice }
}

/// `name(args)` as name and args; args are `None` without parentheses.
pub(super) fn call(text: &str) -> (&str, Option<&str>) {
    let text = text.trim();
    match text.split_once('(') {
        Some((name, rest)) if rest.ends_with(')') => (name.trim(), Some(&rest[..rest.len() - 1])),
        _ => (text, None),
    }
}

/// Splits at the commas outside of parentheses and quotes; empty text has no parts.
pub(super) fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut quoted, mut escaped, mut start) = (0_i32, false, false, 0);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'\'' => quoted = !quoted,
            _ if quoted => {}
            b'(' => depth += 1,
            b')' => depth -= 1,
            b',' if depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    if !text[start..].trim().is_empty() {
        parts.push(text[start..].trim());
    }
    parts
}

/// The text of a literal in single quotes.
pub(super) fn unquote(text: &str) -> Option<String> {
    let inner = text.trim().strip_prefix('\'')?.strip_suffix('\'')?;
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.push(match chars.next()? {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                '0' => '\0',
                other => other,
            }),
            '\'' if chars.peek() == Some(&'\'') => {
                chars.next();
                out.push('\'');
            }
            other => out.push(other),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read() {
        let utc = || Zone(Some(TimeZone::get("UTC").unwrap()));
        let check = |text: &str, ty: Type| assert_eq!(Type::parse(text), Ok(ty), "{text}");
        check("UInt16", Type::Scalar(Scalar::Int { bytes: 2, signed: false }));
        check("DateTime64(9, 'UTC')", Type::Scalar(Scalar::DateTime64(9, utc())));
        check("DateTime", Type::Scalar(Scalar::DateTime(Zone(None))));
        check("Nullable(FixedString(16))", Type::Nullable(Scalar::FixedText(16)));
        check("LowCardinality(Nullable(String))", Type::Low(Scalar::Text, true));
        check(
            "Array(LowCardinality(String))",
            Type::Array(Box::new(Type::Low(Scalar::Text, false))),
        );
        check(
            "Map(LowCardinality(String), String)",
            Type::Map { low_keys: true, low_values: false },
        );
        check("JSON(max_dynamic_paths=10)", Type::Json);
        let values = vec![("it's, (a)".into(), -1), ("b".into(), 5)];
        check(
            r"Enum8('b' = 5, 'it\'s, (a)' = -1)",
            Type::Scalar(Scalar::Enum(Enum { bytes: 1, values })),
        );
    }

    #[test]
    fn refused_types_are_named_with_advice() {
        for text in [
            "Decimal(18, 4)",
            "Tuple(a String)",
            "Array(Array(String))",
            "Int128",
            "Map(String, UInt8)",
        ] {
            let refused = Type::parse(text).unwrap_err();
            assert!(refused.name.contains(call(text).0), "{refused}");
        }
        let sentence = Type::parse("Nullable(Decimal(18, 4))").unwrap_err().to_string();
        assert!(sentence.starts_with("type Decimal(18, 4) cannot be filled: use Float64"));
    }
}
