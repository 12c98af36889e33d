//! A table in `ClickHouse` as a lookup: one query a call, over HTTP.

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use hyper::{Method, StatusCode, Uri};
use logmon_dsl::{eval::Answer, plan::LookupDecl, types::Type};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use tokio::runtime::Handle;

use super::{
    OpenError,
    http::HttpClient,
    remote::{Asked, Asker, Met, Remote, Trouble, Unmet},
    row,
    shape::{Bound, Column, Kind, list},
    table::{self, KeyKind},
};
use crate::config::{Authorization, ClickHouseLookup, KeyedTable};

/// Rows of one call.
const BODY_BYTES_MAX: usize = 16 << 20;

/// A table.
#[derive(Debug)]
struct ClickHouse {
    bound: Bound,
    table: KeyedTable,
    address: String,
    /// `db.table`, quoted.
    from: String,
    client: HttpClient,
    /// What is asked, known since the table was first seen.
    question: OnceLock<Question>,
}

#[derive(Debug)]
struct Question {
    keys: Vec<KeyKind>,
    /// Whether a key's part is written in quotes.
    is_quoted: Vec<bool>,
    statement: String,
    columns: Vec<String>,
    is_single: bool,
}

/// A table as a lookup.
pub(super) fn open(
    decl: &LookupDecl,
    bound: Bound,
    settings: &ClickHouseLookup,
    runtime: &Handle,
) -> Result<Asker, OpenError> {
    let key = format!("[lookup.{}]", decl.name);
    bound.check_key(&settings.table.key)?;
    let login =
        Authorization::Basic { user: settings.user.clone(), password: settings.password.clone() };
    let client = HttpClient::open(
        &key,
        &settings.url,
        &settings.trust,
        Some(&login),
        settings.asking.concurrency,
    )?;
    let parts: Vec<String> = settings.table.table.split('.').map(quoted).collect();
    let from = if parts.len() > 1 {
        parts.join(".")
    } else {
        format!("{}.{}", quoted(&settings.database), parts.join("."))
    };
    let back = ClickHouse {
        bound,
        table: settings.table.clone(),
        address: settings.url.clone(),
        from,
        client,
        question: OnceLock::new(),
    };
    Asker::open(decl, back, settings.asking, runtime)
}

impl Remote for ClickHouse {
    fn server(&self) -> &'static str {
        "ClickHouse"
    }

    fn meet(&self) -> Met<'_> {
        Box::pin(async { self.question().await.map(drop) })
    }

    fn ask<'a>(&'a self, keys: &'a [Arc<str>]) -> Asked<'a> {
        Box::pin(async move {
            let question = self.question().await.map_err(Unmet::trouble)?;
            let parts: Vec<Option<Vec<String>>> =
                keys.iter().map(|key| table::parts(&question.keys, key)).collect();
            let mut answers = vec![Answer::Miss; keys.len()];
            // Keys of one form are one key there.
            let mut places: HashMap<&[String], Vec<usize>> = HashMap::new();
            for (place, parts) in parts.iter().enumerate() {
                if let Some(parts) = parts {
                    places.entry(parts.as_slice()).or_default().push(place);
                }
            }
            let known: Vec<&[String]> = parts.iter().flatten().map(Vec::as_slice).collect();
            // An address holds no more than 64 KiB: what does not fit is asked in halves.
            let mut open = vec![known.as_slice()];
            while let Some(some) = open.pop() {
                if some.is_empty() {
                    continue;
                }
                let Some(address) = self.address(question, some) else {
                    let (left, right) = some.split_at(some.len() / 2);
                    if !left.is_empty() {
                        open.extend([left, right]);
                    }
                    continue;
                };
                for row in self.rows(address, &question.statement).await? {
                    question.take(&self.bound, row, &places, &mut answers);
                }
            }
            Ok(answers)
        })
    }
}

impl Question {
    /// A row is its key's parts, then the columns.
    fn take(
        &self,
        bound: &Bound,
        row: Vec<Value>,
        places: &HashMap<&[String], Vec<usize>>,
        answers: &mut [Answer],
    ) {
        let mut cells = row.into_iter();
        let mut parts = Vec::with_capacity(self.keys.len());
        for kind in &self.keys {
            let Some(Value::String(part)) = cells.next() else { return };
            let Some(part) = kind.canonical(&part) else { return };
            parts.push(part);
        }
        let Some(places) = places.get(parts.as_slice()) else { return };
        let answer = if self.is_single {
            row::single(bound, &cells.next().unwrap_or(Value::Null))
        } else {
            let members: Map<String, Value> = self.columns.iter().cloned().zip(cells).collect();
            row::answer(bound, members)
        };
        for &place in places {
            answers[place] = answer.clone();
        }
    }
}

impl ClickHouse {
    fn address(&self, question: &Question, keys: &[&[String]]) -> Option<Uri> {
        let mut array = String::from("[");
        for (at, parts) in keys.iter().enumerate() {
            if at > 0 {
                array.push(',');
            }
            let tuple = parts.len() > 1;
            if tuple {
                array.push('(');
            }
            for (at, (part, is_quoted)) in parts.iter().zip(&question.is_quoted).enumerate() {
                if at > 0 {
                    array.push(',');
                }
                if *is_quoted {
                    let escaped = part
                        .replace('\\', "\\\\")
                        .replace('\'', "\\'")
                        .replace('\t', "\\t")
                        .replace('\n', "\\n");
                    // Writing to a text cannot fail.
                    let _ = write!(array, "'{escaped}'");
                } else {
                    array.push_str(part);
                }
            }
            if tuple {
                array.push(')');
            }
        }
        array.push(']');
        let array = utf8_percent_encode(&array, NON_ALPHANUMERIC);
        format!("{}/?param_keys={array}", self.address).parse().ok()
    }

    async fn rows(&self, address: Uri, statement: &str) -> Result<Vec<Vec<Value>>, Trouble> {
        let body = Bytes::copy_from_slice(statement.as_bytes());
        let (status, body) = self.client.send(Method::POST, address, body, BODY_BYTES_MAX).await?;
        if status != StatusCode::OK {
            let said = String::from_utf8_lossy(&body);
            let first = said.lines().next().unwrap_or_default();
            return Err(Trouble::Refused(format!("ClickHouse says {status}: {first}")));
        }
        let rows = serde_json::Deserializer::from_slice(&body).into_iter::<Vec<Value>>();
        rows.collect::<Result<_, _>>()
            .map_err(|error| Trouble::Refused(format!("ClickHouse answers no JSON: {error}")))
    }

    async fn question(&self) -> Result<&Question, Unmet> {
        if let Some(known) = self.question.get() {
            return Ok(known);
        }
        let question = self.look().await?;
        Ok(self.question.get_or_init(|| question))
    }

    /// Holds the table against the rules, and makes the statement.
    async fn look(&self) -> Result<Question, Unmet> {
        let address = format!("{}/", self.address).parse::<Uri>();
        let address = address.map_err(|_| Unmet::refused("url is no address"))?;
        let statement = format!("DESCRIBE TABLE {} FORMAT JSONCompactEachRow", self.from);
        let rows = self.rows(address, &statement).await?;
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let columns: Vec<Column> = rows
            .iter()
            .filter_map(|row| {
                let (name, ty) = (text(row.first())?, text(row.get(1))?);
                let kind = kind(&ty);
                Some(Column { name, ty, kind })
            })
            .collect();
        let at = format!("the table `{}`", self.table.table);
        self.bound.check(&at, &columns).map_err(Unmet::Shape)?;
        let mut keys = Vec::new();
        let mut types = Vec::new();
        for name in &self.table.key {
            let Some(column) = columns.iter().find(|column| column.name == *name) else {
                let known = list(columns.iter().map(|column| column.name.clone()));
                return Err(Unmet::refused(format!(
                    "key: {at} has no column `{name}`; it has {known}"
                )));
            };
            let ty = bare(&column.ty);
            let Some(kind) = key_kind(ty) else {
                return Err(Unmet::refused(format!(
                    "key: the column `{name}` of {at} is `{}`; a key is text, a whole number, a UUID or an address",
                    column.ty
                )));
            };
            keys.push(kind);
            types.push(ty.to_owned());
        }
        let is_single = self.bound.shape().is_none()
            && (self.table.value.is_some()
                || !matches!(self.bound.decl.yields.base, Type::Map(_) | Type::Any));
        let selected: Vec<String> = if is_single {
            vec![row::value_column(&self.bound, &self.table, &columns).map_err(Unmet::Shape)?]
        } else {
            let all = columns.iter().map(|column| column.name.as_str());
            table::selected(&self.bound, all).into_iter().map(str::to_owned).collect()
        };
        let wanted = |name: &str| {
            if is_single {
                return Some(&self.bound.decl.yields.base);
            }
            self.bound
                .fields()
                .find(|(_, _, column)| *column == name)
                .map(|(_, field, _)| &field.ty.base)
        };
        let expressions = selected.iter().filter_map(|name| {
            let column = columns.iter().find(|column| column.name == *name)?;
            Some(expression(column, wanted(name)))
        });
        let items: Vec<String> = self
            .table
            .key
            .iter()
            .map(|name| format!("toString({})", quoted(name)))
            .chain(expressions)
            .collect();
        let key: Vec<String> = self.table.key.iter().map(|name| quoted(name)).collect();
        let (of, key) = if types.len() == 1 {
            (types[0].clone(), key[0].clone())
        } else {
            (format!("Tuple({})", types.join(", ")), format!("({})", key.join(", ")))
        };
        let array = format!("Array({of})");
        let statement = format!(
            "SELECT {} FROM {} WHERE {key} IN {{keys:{array}}} FORMAT JSONCompactEachRow",
            items.join(", "),
            self.from
        );
        let is_quoted = keys.iter().map(|kind| !matches!(kind, KeyKind::Int(..))).collect();
        Ok(Question { keys, is_quoted, statement, columns: selected, is_single })
    }
}

/// A column as the declared type reads it, whatever settings the user has: it may not be allowed to change them.
fn expression(column: &Column, wanted: Option<&Type>) -> String {
    let name = quoted(&column.name);
    match (wanted, &column.kind) {
        (Some(Type::Text), Kind::Text) => name,
        (Some(Type::Text), _) => format!("toString({name})"),
        (_, Kind::Time) if bare(&column.ty).starts_with("DateTime") => {
            format!("concat(replaceOne(toString(toTimeZone({name}, 'UTC')), ' ', 'T'), 'Z')")
        }
        (_, Kind::Time) => format!("concat(toString({name}), 'T00:00:00Z')"),
        _ => name,
    }
}

/// A type without what says how it is stored.
fn bare(ty: &str) -> &str {
    for wrapper in ["LowCardinality(", "Nullable("] {
        if let Some(inner) = ty.strip_prefix(wrapper).and_then(|rest| rest.strip_suffix(')')) {
            return bare(inner);
        }
    }
    ty
}

fn kind(ty: &str) -> Kind {
    let ty = bare(ty);
    let name = ty.split('(').next().unwrap_or(ty);
    match name {
        "String" | "FixedString" | "UUID" | "Enum8" | "Enum16" => Kind::Text,
        "Bool" => Kind::Bool,
        "Float32" | "Float64" | "BFloat16" | "Decimal" => Kind::Float,
        "Date" | "Date32" | "DateTime" | "DateTime64" => Kind::Time,
        "IPv4" | "IPv6" => Kind::Address,
        "Array" => {
            let of = ty.strip_prefix("Array(").and_then(|rest| rest.strip_suffix(')'));
            Kind::List(Box::new(of.map_or(Kind::Any, kind)))
        }
        "Map" | "Tuple" | "JSON" | "Object" | "Nested" => Kind::Object,
        _ if name.starts_with("UInt") || name.starts_with("Int") => Kind::Int,
        _ => Kind::Any,
    }
}

fn key_kind(ty: &str) -> Option<KeyKind> {
    if let Some(bits) = ty.strip_prefix("UInt").and_then(|bits| bits.parse::<u32>().ok()) {
        return (bits <= 64).then(|| KeyKind::Int(0, (1_i128 << bits) - 1));
    }
    if let Some(bits) = ty.strip_prefix("Int").and_then(|bits| bits.parse::<u32>().ok()) {
        return (bits <= 64)
            .then(|| KeyKind::Int(-(1_i128 << (bits - 1)), (1_i128 << (bits - 1)) - 1));
    }
    match ty {
        "String" => Some(KeyKind::Text),
        "UUID" => Some(KeyKind::Uuid),
        "IPv6" => Some(KeyKind::Address),
        "IPv4" => Some(KeyKind::Address4),
        _ => None,
    }
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}
