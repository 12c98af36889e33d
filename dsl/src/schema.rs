//! The lock file: which columns the sinks' tables have, as they were pulled from the server.
//!
//! Invariant: what stands in the file is all that is known; a type that is not known here fits everything.

use std::fmt::Write as _;

use serde::Deserialize;
use toml::Spanned;

use crate::types::Type;

/// Where the file lies, as seen from the entry's folder or the one above.
pub const FILE: &str = "schemas/clickhouse.lock";

/// A lock file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lock {
    /// The tables, in the order of the file.
    pub tables: Vec<Table>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name, as the rules or the configuration write it.
    pub name: String,
    /// The columns that can be inserted, in the table's order.
    pub columns: Vec<Column>,
    /// Where the name stands in the file, in bytes.
    pub at: std::ops::Range<usize>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, as the server prints it.
    pub ty: String,
    /// Its `DEFAULT` expression.
    pub default: Option<String>,
    /// Where the type stands in the file, in bytes.
    pub at: std::ops::Range<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLock {
    #[serde(default, rename = "table")]
    tables: Vec<RawTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTable {
    name: Spanned<String>,
    columns: Vec<RawColumn>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawColumn {
    name: String,
    #[serde(rename = "type")]
    ty: Spanned<String>,
    default: Option<String>,
}

impl Lock {
    /// Reads the text of a lock file; a sentence where it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let raw: RawLock = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        let tables = raw.tables.into_iter().map(|table| Table {
            at: table.name.span(),
            name: table.name.into_inner(),
            columns: table
                .columns
                .into_iter()
                .map(|column| Column {
                    name: column.name,
                    at: column.ty.span(),
                    ty: column.ty.into_inner(),
                    default: column.default,
                })
                .collect(),
        });
        Ok(Self { tables: tables.collect() })
    }

    /// The table of that name; with or without its database.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }

    /// The text of the file.
    pub fn print(&self) -> String {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let mut out = String::from(
            "# Columns of the tables that the rules write into. `logmon-engine schema pull` writes this file; commit it.\n",
        );
        for table in &self.tables {
            let _infallible =
                write!(out, "\n[[table]]\nname = {}\ncolumns = [\n", quoted(&table.name));
            for column in &table.columns {
                let _infallible = write!(
                    out,
                    "  {{ name = {}, type = {}",
                    quoted(&column.name),
                    quoted(&column.ty)
                );
                if let Some(default) = &column.default {
                    let _infallible = write!(out, ", default = {}", quoted(default));
                }
                out.push_str(" },\n");
            }
            out.push_str("]\n");
        }
        out
    }
}

impl Table {
    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// What a column can hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `Bool`
    Bool,
    /// `Int8` … `UInt256`
    Int,
    /// `Float32`, `Float64`, `Decimal…`
    Float,
    /// `String`, `FixedString`
    Text,
    /// `Date…`, `DateTime…`
    Time,
    /// `IPv4`, `IPv6`
    Ip,
    /// `UUID`
    Uuid,
    /// `Enum8`, `Enum16`: the numbers of the members.
    Enum(Vec<i64>),
    /// `Array(…)`
    Array,
    /// `Map(…)`, `JSON`
    Map,
    /// Anything else.
    Other,
}

impl Column {
    /// Whether it can be NULL.
    pub fn is_nullable(&self) -> bool {
        self.ty.contains("Nullable(") || self.ty.starts_with("JSON")
    }

    /// What it can hold.
    pub fn kind(&self) -> Kind {
        let mut ty = self.ty.trim();
        for wrapper in ["LowCardinality(", "Nullable("] {
            if let Some(inner) = ty.strip_prefix(wrapper).and_then(|ty| ty.strip_suffix(')')) {
                ty = inner;
            }
        }
        let name = ty.split('(').next().unwrap_or(ty);
        match name {
            "Bool" => Kind::Bool,
            "Float32" | "Float64" => Kind::Float,
            "String" | "FixedString" => Kind::Text,
            "IPv4" | "IPv6" => Kind::Ip,
            "UUID" => Kind::Uuid,
            "Array" => Kind::Array,
            "Map" | "JSON" => Kind::Map,
            "Enum8" | "Enum16" => Kind::Enum(enum_numbers(ty)),
            name if name.starts_with("Date") => Kind::Time,
            name if name.starts_with("Decimal") => Kind::Float,
            name if name.starts_with("Int") || name.starts_with("UInt") => Kind::Int,
            _ => Kind::Other,
        }
    }

    /// Why values of a type never fit, if they do not. Text is read by most columns, so it is left to the run.
    pub fn refuses(&self, ty: &Type) -> Option<String> {
        let kind = self.kind();
        let scalar = !matches!(kind, Kind::Array | Kind::Map | Kind::Other);
        let misfit = match ty {
            Type::Bool => matches!(
                kind,
                Kind::Float | Kind::Time | Kind::Ip | Kind::Uuid | Kind::Array | Kind::Map
            ),
            Type::Int | Type::Float | Type::Number => {
                matches!(kind, Kind::Ip | Kind::Uuid | Kind::Array | Kind::Map)
            }
            Type::Text | Type::Bytes => matches!(kind, Kind::Array | Kind::Map),
            Type::Timestamp => !matches!(kind, Kind::Time | Kind::Text | Kind::Other),
            Type::Duration => !matches!(kind, Kind::Int | Kind::Float | Kind::Text | Kind::Other),
            Type::Ip => !matches!(kind, Kind::Ip | Kind::Text | Kind::Other),
            Type::Cidr => !matches!(kind, Kind::Text | Kind::Other),
            Type::Severity => {
                matches!(kind, Kind::Time | Kind::Ip | Kind::Uuid | Kind::Array | Kind::Map)
            }
            Type::List(_) => (scalar && kind != Kind::Text) || kind == Kind::Map,
            Type::Map(_) => (scalar && kind != Kind::Text) || kind == Kind::Array,
            _ => false,
        };
        misfit.then(|| format!("the column is `{}`, the value is `{ty}`", self.ty))
    }

    /// Severities that a column of an enum has no member for, by name.
    pub fn missing_severities(&self) -> Vec<&'static str> {
        let Kind::Enum(numbers) = self.kind() else { return Vec::new() };
        crate::column::Severity::NAMED
            .iter()
            .filter(|(_, severity)| !numbers.contains(&i64::from(severity.0)))
            .map(|(name, _)| *name)
            .collect()
    }
}

/// The numbers in `Enum8('a' = 1, 'b' = 2)`.
fn enum_numbers(ty: &str) -> Vec<i64> {
    let mut numbers = Vec::new();
    let mut in_text = false;
    let mut escaped = false;
    let mut digits = String::new();
    let mut after_equals = false;
    for c in ty.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_text => escaped = true,
            '\'' => in_text = !in_text,
            _ if in_text => {}
            '=' => after_equals = true,
            ',' | ')' => {
                numbers.extend(digits.trim().parse::<i64>());
                digits.clear();
                after_equals = false;
            }
            _ if after_equals => digits.push(c),
            _ => {}
        }
    }
    numbers
}

/// What differs between a locked table and the one that is there: the place in the file, and a sentence.
pub fn differences(locked: &Table, live: &[Column]) -> Vec<(std::ops::Range<usize>, String)> {
    let mut found = Vec::new();
    for column in &locked.columns {
        match live.iter().find(|one| one.name == column.name) {
            None => found.push((
                column.at.clone(),
                format!("the server's table has no column `{}`", column.name),
            )),
            Some(there) if there.ty != column.ty => found.push((
                column.at.clone(),
                format!("the server says `{}` for `{}`", there.ty, column.name),
            )),
            Some(there) if there.default.is_some() != column.default.is_some() => found.push((
                column.at.clone(),
                match &there.default {
                    Some(default) => {
                        format!("on the server `{}` has the default `{default}`", column.name)
                    }
                    None => format!("on the server `{}` has no default", column.name),
                },
            )),
            Some(_) => {}
        }
    }
    for column in live {
        if locked.column(&column.name).is_none() {
            found.push((
                locked.at.clone(),
                format!("the server has a column `{} {}` more", column.name, column.ty),
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_again() {
        let column = |name: &str, ty: &str, default: Option<&str>| Column {
            name: name.to_owned(),
            ty: ty.to_owned(),
            default: default.map(ToOwned::to_owned),
            at: 0..0,
        };
        let lock = Lock {
            tables: vec![Table {
                name: "logs.app".to_owned(),
                columns: vec![
                    column("severity", "Enum8('it\\'s, = 7' = 1, 'warn' = 13)", None),
                    column("at", "DateTime64(3, 'UTC')", Some("now64(3)")),
                ],
                at: 0..0,
            }],
        };
        let mut read = Lock::parse(&lock.print()).expect("our own file");
        let table = &mut read.tables[0];
        assert_eq!(table.columns[0].kind(), Kind::Enum(vec![1, 13]));
        assert!(table.columns[0].at.start > 0);
        table.at = 0..0;
        table.columns.iter_mut().for_each(|column| column.at = 0..0);
        assert_eq!(read, lock);
    }

    #[test]
    fn differences_are_named() {
        let text = "[[table]]\nname = \"logs\"\ncolumns = [{ name = \"a\", type = \"Int8\" }, { name = \"b\", type = \"String\" }]\n";
        let lock = Lock::parse(text).expect("a lock file");
        let live = [
            Column { name: "a".into(), ty: "UInt8".into(), default: None, at: 0..0 },
            Column { name: "c".into(), ty: "String".into(), default: None, at: 0..0 },
        ];
        let found = differences(&lock.tables[0], &live);
        let said: Vec<&str> = found.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(said.len(), 3, "{said:?}");
        assert_eq!(&text[found[0].0.clone()], "\"Int8\"");
    }
}
