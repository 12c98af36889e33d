//! The types of the language.

use std::{fmt, sync::Arc};

/// A type without the question mark.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Type {
    /// `bool`
    Bool,
    /// `int`, 64 bits signed
    Int,
    /// `float`, 64 bits, never NaN
    Float,
    /// A number of either kind, decided per row: arithmetic over `any`
    Number,
    /// `string`, UTF-8
    Text,
    /// `bytes`: as JSON and for sinks Base64 text
    Bytes,
    /// `timestamp`, nanoseconds since 1970 in UTC
    Timestamp,
    /// `duration`, nanoseconds
    Duration,
    /// `ip`
    Ip,
    /// `cidr`
    Cidr,
    /// `severity`
    Severity,
    /// A declared `enum`: text that is one of its members
    Enum(Arc<Members>),
    /// `list<T>`
    List(Arc<Type>),
    /// `map<T>`, keys are text
    Map(Arc<Type>),
    /// `{ a: int, b: string?, … }`
    Record(Arc<Shape>),
    /// `any`: a JSON value that nobody declared
    Any,
    /// A `re"…"` literal
    Regex,
    /// A `pat"…"` literal, with the record it yields
    Pattern(Arc<Shape>),
    /// A `glob"…"` literal
    Glob,
    /// The type of `null` and of what can never be present
    Null,
}

/// The members of a declared `enum`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Members {
    /// The enum's name.
    pub name: Arc<str>,
    /// Whether they compare with `<`, in their order.
    pub ordered: bool,
    /// The members.
    pub names: Vec<Arc<str>>,
}

impl Members {
    /// The member that a text is; `coerce` takes it in any case.
    pub fn find(&self, text: &str, coerce: bool) -> Option<&Arc<str>> {
        self.names.iter().find(|name| ***name == *text || coerce && name.eq_ignore_ascii_case(text))
    }
}

/// A type, and whether the value may be absent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ty {
    /// What the value is when it is there.
    pub base: Type,
    /// Whether it may be absent (`T?`).
    pub optional: bool,
}

/// The fields of a record.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape {
    /// In declared order.
    pub fields: Vec<FieldType>,
    /// Whether more fields may exist (`...`).
    pub open: bool,
}

/// One declared field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FieldType {
    /// Its key, unquoted.
    pub name: Arc<str>,
    /// What it holds.
    pub ty: Ty,
    /// `coerce`: text and numbers are read as the declared type.
    pub coerce: bool,
    /// `sensitive`: must not reach a sink that does not accept it.
    pub sensitive: bool,
}

impl Ty {
    /// Always there.
    pub fn required(base: Type) -> Self {
        Self { base, optional: false }
    }

    /// Perhaps absent.
    pub fn optional(base: Type) -> Self {
        Self { base, optional: true }
    }

    /// The same type, perhaps absent if `may`.
    pub fn or_optional(self, may: bool) -> Self {
        Self { optional: self.optional || may, ..self }
    }
}

impl Shape {
    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&FieldType> {
        self.fields.iter().find(|field| &*field.name == name)
    }

    /// A closed shape of plain fields.
    pub fn closed(fields: impl IntoIterator<Item = (&'static str, Ty)>) -> Self {
        let fields = fields
            .into_iter()
            .map(|(name, ty)| FieldType { name: name.into(), ty, coerce: false, sensitive: false })
            .collect();
        Self { fields, open: false }
    }

    /// The built-in shape `Log`: the agent's envelope, open.
    pub fn log() -> Self {
        let field = |name: &str, ty: Ty, coerce: bool| FieldType {
            name: name.into(),
            ty,
            coerce,
            sensitive: false,
        };
        let text = |name| field(name, Ty::optional(Type::Text), false);
        let map = || Ty::optional(Type::Map(Arc::new(Type::Any)));
        let fields = vec![
            field("timestamp", Ty::required(Type::Timestamp), true),
            field("severity", Ty::optional(Type::Severity), true),
            text("service"),
            text("environment"),
            text("host"),
            text("message"),
            text("trace_id"),
            text("span_id"),
            field("attributes", map(), false),
            field("resource", map(), false),
            field("tags", Ty::optional(Type::List(Arc::new(Type::Text))), false),
        ];
        Self { fields, open: true }
    }
}

impl Shape {
    /// The built-in shape `Geo`: what databases of places know, each only of some addresses.
    pub fn geo() -> Self {
        Self::closed([
            ("country", Ty::optional(Type::Text)),
            ("city", Ty::optional(Type::Text)),
            ("asn", Ty::optional(Type::Int)),
            ("org", Ty::optional(Type::Text)),
            ("latitude", Ty::optional(Type::Float)),
            ("longitude", Ty::optional(Type::Float)),
        ])
    }

    /// The shape that a name has without a declaration.
    pub fn built_in(name: &str) -> Option<Self> {
        match name {
            "Log" => Some(Self::log()),
            "Geo" => Some(Self::geo()),
            _ => None,
        }
    }
}

impl Type {
    /// `list<T>`
    pub fn list(of: Self) -> Self {
        Self::List(Arc::new(of))
    }

    /// `map<T>`
    pub fn map(of: Self) -> Self {
        Self::Map(Arc::new(of))
    }

    /// Whether it is `int`, `float` or decided per row.
    pub fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Float | Self::Number)
    }
}

impl fmt::Display for Ty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.base, if self.optional { "?" } else { "" })
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Float => "float",
            Self::Number => "number",
            Self::Text => "string",
            Self::Bytes => "bytes",
            Self::Timestamp => "timestamp",
            Self::Duration => "duration",
            Self::Ip => "ip",
            Self::Cidr => "cidr",
            Self::Severity => "severity",
            Self::Enum(members) => &members.name,
            Self::List(of) => return write!(f, "list<{of}>"),
            Self::Map(of) => return write!(f, "map<{of}>"),
            Self::Record(shape) => return write!(f, "{shape}"),
            Self::Any => "any",
            Self::Regex => "regex",
            Self::Pattern(_) => "pattern",
            Self::Glob => "glob",
            Self::Null => "null",
        })
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{ ")?;
        for (index, field) in self.fields.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{}: {}", field.name, field.ty)?;
        }
        match (self.open, self.fields.is_empty()) {
            (true, true) => f.write_str("... }"),
            (true, false) => f.write_str(", ... }"),
            (false, _) => f.write_str(" }"),
        }
    }
}
