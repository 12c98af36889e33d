//! A table in a file, held in memory: CSV, JSON, one JSON object a line, or Parquet.

mod csv;
#[cfg(feature = "parquet")]
mod parquet;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use logmon_dsl::{
    column::Cidr,
    eval::{Answer, Row},
    plan::LookupDecl,
    types::Type,
};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{Fingerprint, Holding, Lookup, OpenError, Reloaded, blocks::Blocks, row, shape::Bound};
use crate::{config::FileFormat, error::WorldError};

/// A table of a million rows takes about a tenth of this; larger ones belong into a database.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Distinct rows that are looked through for equal ones.
const SHARED_MAX: usize = 1 << 16;

/// What joins the parts of a key.
pub(super) const KEY_JOINT: &str = "\u{1f}";

/// A file's rows by key.
#[derive(Debug)]
pub(super) struct Table {
    bound: Bound,
    path: PathBuf,
    /// Columns that make the key, one a part.
    key: Vec<String>,
    format: FileFormat,
    current: ArcSwap<Rows>,
    version: AtomicU64,
    /// Two reloads at once would read everything twice.
    reloading: Mutex<()>,
}

#[derive(Debug)]
struct Rows {
    rows: Keyed,
    fingerprint: Fingerprint,
}

/// Rows as they are asked for.
#[derive(Debug)]
enum Keyed {
    Text(RowMap),
    /// The key is one address: the table may hold blocks of addresses, and the longest one wins.
    Address(Blocks),
}

/// Rows as JSON text, by key.
type RowMap = HashMap<Box<str>, Row>;

/// Members of a JSON row, still as they were written.
type Members = BTreeMap<String, Box<RawValue>>;

impl Table {
    pub(super) fn open(
        bound: Bound,
        path: &Path,
        key: &str,
        format: FileFormat,
    ) -> Result<Self, OpenError> {
        let key: Vec<String> = key.split(',').map(|part| part.trim().to_owned()).collect();
        // A JSON object key → row names no key column, so its parts cannot be counted.
        if key != [""] {
            bound.check_key(&key)?;
        }
        let rows = read(&bound, path, &key, format).map_err(|wrong| match wrong.field {
            Some(number) => {
                OpenError::Shape(vec![bound.wrong(number, &wrong.sentence, &wrong.has)])
            }
            None => OpenError::World(wrong.into_world(&bound.decl.name)),
        })?;
        Ok(Self {
            bound,
            path: path.to_owned(),
            key,
            format,
            current: ArcSwap::from_pointee(rows),
            version: AtomicU64::new(0),
            reloading: Mutex::default(),
        })
    }
}

impl Lookup for Table {
    fn fetch(&self, keys: &[&str]) -> Vec<Answer> {
        let current = self.current.load();
        let answer = |key: &&str| match &current.rows {
            Keyed::Text(rows) => {
                rows.get(*key).map_or(Answer::Miss, |row| Answer::Found(row.clone()))
            }
            Keyed::Address(blocks) => match key.trim().parse::<IpAddr>() {
                Ok(address) => blocks.find(address.to_canonical()),
                Err(_) => Answer::Miss,
            },
        };
        keys.iter().map(answer).collect()
    }

    fn fetch_addresses(&self, addresses: &[IpAddr]) -> Vec<Answer> {
        let current = self.current.load();
        match &current.rows {
            Keyed::Address(blocks) => {
                addresses.iter().map(|address| blocks.find(*address)).collect()
            }
            Keyed::Text(rows) => {
                let row = |address: &IpAddr| rows.get(address.to_string().as_str());
                let answer = |address| row(address).cloned().map_or(Answer::Miss, Answer::Found);
                addresses.iter().map(answer).collect()
            }
        }
    }

    fn is_local(&self) -> bool {
        true
    }

    fn reload(&self) -> Result<Reloaded, WorldError> {
        let _alone = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.current.load_full();
        if Fingerprint::of(&self.path).is_ok_and(|now| now == current.fingerprint) {
            return Ok(Reloaded::Unchanged);
        }
        let rows = read(&self.bound, &self.path, &self.key, self.format)
            .map_err(|wrong| wrong.into_world(&self.bound.decl.name))?;
        self.current.store(Arc::new(rows));
        self.version.fetch_add(1, Ordering::AcqRel);
        Ok(Reloaded::Replaced)
    }

    fn holds(&self) -> Holding {
        let current = self.current.load();
        Holding {
            rows: Some(match &current.rows {
                Keyed::Text(rows) => rows.len() as u64,
                Keyed::Address(blocks) => blocks.len() as u64,
            }),
            made: current.fingerprint.made(),
            version: self.version.load(Ordering::Acquire),
        }
    }
}

/// Why a file is not taken.
#[derive(Debug)]
struct Wrong {
    sentence: String,
    /// The declared field that it is about.
    field: Option<usize>,
    /// What the file has instead.
    has: String,
    source: Option<std::io::Error>,
}

impl From<String> for Wrong {
    fn from(sentence: String) -> Self {
        Self { sentence, field: None, has: String::new(), source: None }
    }
}

impl Wrong {
    fn into_world(self, name: &str) -> WorldError {
        let sentence = format!("[lookup.{name}] {}", self.sentence);
        match self.source {
            Some(source) => WorldError::because(sentence, source),
            None => WorldError::new(sentence),
        }
    }

    /// The same about a declared field.
    fn about(mut self, field: usize) -> Self {
        self.field = Some(field);
        self
    }

    /// Says first where.
    fn at(mut self, place: impl std::fmt::Display) -> Self {
        self.sentence = format!("{place}{}", self.sentence);
        self
    }
}

fn read(bound: &Bound, path: &Path, key: &[String], format: FileFormat) -> Result<Rows, Wrong> {
    let at = path.display();
    let unreadable = |error: std::io::Error| Wrong {
        source: Some(std::io::Error::from(error.kind())),
        ..format!("path: {at} cannot be read: {error}").into()
    };
    let fingerprint = Fingerprint::of(path).map_err(unreadable)?;
    if fingerprint.length > FILE_BYTES_MAX {
        return Err(format!("path: {at} is larger than 256 MiB").into());
    }
    let rows = if format == FileFormat::Parquet {
        parquet_rows(bound, std::fs::read(path).map_err(unreadable)?, key)
    } else {
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        match format {
            FileFormat::Csv => csv_rows(bound, text, key),
            FileFormat::Json => json_rows(bound, text, key),
            FileFormat::Ndjson | FileFormat::Parquet => ndjson_rows(bound, text, key),
        }
    };
    let rows = rows.and_then(|rows| Ok(keyed(&bound.decl, rows)?));
    Ok(Rows { rows: rows.map_err(|wrong| wrong.at(&at))?, fingerprint })
}

#[cfg(feature = "parquet")]
fn parquet_rows(bound: &Bound, bytes: Vec<u8>, key: &[String]) -> Result<RowMap, Wrong> {
    let mut rows = RowMap::new();
    parquet::each_row(bytes, |number, members| {
        let (row_key, row) = json_row(bound, &Value::Object(members).to_string(), key)
            .map_err(|wrong| wrong.at(format!(": row {number}: ")))?;
        rows.insert(row_key.into(), row);
        Ok(())
    })?;
    Ok(rows)
}

#[cfg(not(feature = "parquet"))]
fn parquet_rows(_: &Bound, _: Vec<u8>, _: &[String]) -> Result<RowMap, Wrong> {
    Err(": this engine was built without Parquet".to_owned().into())
}

/// Rows of one text become one row: a million users have a dozen plans and regions, a threat list some lists and scores. They take
/// the room of those, and what is read of them stays near.
#[expect(
    clippy::mutable_key_type,
    reason = "a row is hashed and compared by its text, which never changes"
)]
fn share(rows: &mut RowMap) {
    // In a table of distinct rows the search for equal ones would only cost memory.
    let mut known: HashSet<Row> = HashSet::new();
    #[expect(
        clippy::iter_over_hash_type,
        reason = "which of equal rows stands for all is the same to everybody"
    )]
    for row in rows.values_mut() {
        match known.get(&**row) {
            Some(one) => *row = one.clone(),
            None if known.len() < SHARED_MAX => {
                known.insert(row.clone());
            }
            None => {}
        }
    }
}

/// The rows, ready to be asked.
fn keyed(decl: &LookupDecl, mut rows: RowMap) -> Result<Keyed, String> {
    share(&mut rows);
    if !matches!(decl.keys.as_slice(), [key] if key.base == Type::Ip) {
        return Ok(Keyed::Text(rows));
    }
    let mut blocks = Vec::with_capacity(rows.len());
    // Which of two wrong keys is named must not depend on the order of a hash table.
    let mut wrong: Option<Box<str>> = None;
    #[expect(clippy::iter_over_hash_type, reason = "blocks are sorted, and keys are distinct")]
    for (key, row) in rows {
        match Cidr::parse(key.trim()) {
            Some(block) => blocks.push((block, row)),
            None => wrong = Some(wrong.map_or(key.clone(), |other| other.min(key))),
        }
    }
    match wrong {
        Some(key) => Err(format!(
            ": the key `{}` is neither an address nor a block of addresses such as 10.0.0.0/8",
            shortened(&key)
        )),
        None => Ok(Keyed::Address(Blocks::new(blocks))),
    }
}

fn csv_rows(bound: &Bound, text: &str, key: &[String]) -> Result<RowMap, Wrong> {
    let mut records = csv::records(text);
    let Some(heading) = records.next() else {
        return Err(": has no heading line".to_owned().into());
    };
    let heading = heading.map_err(|line| format!(":{line}: a quoted cell does not end"))?.1;
    let known = || heading.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let column = |name: &str| heading.iter().position(|cell| cell.trim() == name);
    let missing = |name: &str| format!(":1: has no column `{name}`; it has {}", known());
    let keys: Vec<usize> = key
        .iter()
        .map(|name| column(name).ok_or_else(|| missing(name)))
        .collect::<Result<_, _>>()?;
    for (number, field, name) in bound.fields() {
        if !field.ty.optional && column(name).is_none() {
            let sentence = format!(":1: has no column `{name}`");
            return Err(Wrong { has: known(), ..Wrong::from(sentence).about(number) });
        }
    }
    let mut rows = RowMap::new();
    for record in records {
        let (line, cells) =
            record.map_err(|line| format!(":{line}: a quoted cell does not end"))?;
        if cells.len() != heading.len() {
            return Err(format!(
                ":{line}: has {} cells, but the heading has {}",
                cells.len(),
                heading.len()
            )
            .into());
        }
        let row_key = key_text(&bound.decl, keys.iter().map(|at| cells[*at].as_str()));
        let row = csv_row(bound, &heading, &keys, &cells)
            .map_err(|wrong| wrong.at(format!(":{line}: ")))?;
        if let Some(row) = row {
            rows.insert(row_key.into(), row.to_string().into());
        }
    }
    Ok(rows)
}

/// A line's row in the declared types; an empty cell is an absent member.
fn csv_row(
    bound: &Bound,
    heading: &[String],
    keys: &[usize],
    cells: &[String],
) -> Result<Option<Value>, Wrong> {
    let typed = |at: usize, ty: &Type| -> Result<Option<Value>, Wrong> {
        let cell = &cells[at];
        if cell.is_empty() {
            return Ok(None);
        }
        let value = row::fit(&Value::String(cell.clone()), ty);
        value.map(Some).ok_or_else(|| {
            let (column, cell) = (heading[at].trim(), shortened(cell));
            format!("column `{column}` holds `{cell}`, which is no {ty}").into()
        })
    };
    let yields = &bound.decl.yields;
    if let Some(shape) = bound.shape() {
        let mut members = serde_json::Map::new();
        for (at, name) in heading.iter().enumerate() {
            let name = name.trim();
            let field = bound.fields().find(|(_, _, column)| *column == name);
            let value = match field {
                Some((number, field, _)) => {
                    let value = typed(at, &field.ty.base).map_err(|wrong| wrong.about(number))?;
                    value.map(|value| (field.name.to_string(), value))
                }
                None if shape.open => typed(at, &Type::Text)?.map(|value| (name.to_owned(), value)),
                None => continue,
            };
            members.extend(value);
        }
        return Ok(Some(Value::Object(members)));
    }
    if let Type::Map(_) | Type::Any = yields.base {
        let of = match &yields.base {
            Type::Map(of) if **of != Type::Any => of,
            _ => &Type::Text,
        };
        let mut members = serde_json::Map::new();
        for (at, name) in heading.iter().enumerate() {
            if let Some(value) = typed(at, of)? {
                members.insert(name.trim().to_owned(), value);
            }
        }
        return Ok(Some(Value::Object(members)));
    }
    // A single value: the one column beside the key.
    let mut others = (0..heading.len()).filter(|at| !keys.contains(at));
    match (others.next(), others.next()) {
        (Some(at), None) => typed(at, &yields.base),
        _ => {
            Err(format!("the lookup yields `{yields}`, so beside the key there must be one column")
                .into())
        }
    }
}

/// One JSON text: an object key → row, or a list of rows with the key inside.
fn json_rows(bound: &Bound, text: &str, key: &[String]) -> Result<RowMap, Wrong> {
    let place = |error: serde_json::Error| format!(":{}: {error}", error.line());
    let mut rows = RowMap::new();
    if text.trim_start().starts_with('[') {
        let list: Vec<Box<RawValue>> = serde_json::from_str(text).map_err(place)?;
        for (index, raw) in list.iter().enumerate() {
            let (row_key, row) = json_row(bound, raw.get(), key)
                .map_err(|wrong| wrong.at(format!(": row {}: ", index + 1)))?;
            rows.insert(row_key.into(), row);
        }
    } else {
        let object: Members = serde_json::from_str(text).map_err(place)?;
        for (name, raw) in &object {
            if raw.get() != "null" {
                let row = json_value(bound, raw.get())
                    .map_err(|wrong| wrong.at(format!(": key `{}`: ", shortened(name))))?;
                let row_key = key_text(&bound.decl, name.split(KEY_JOINT));
                rows.insert(row_key.into(), row);
            }
        }
    }
    Ok(rows)
}

fn ndjson_rows(bound: &Bound, text: &str, key: &[String]) -> Result<RowMap, Wrong> {
    let mut rows = RowMap::new();
    for (index, line) in text.lines().enumerate() {
        if !line.trim().is_empty() {
            let (row_key, row) = json_row(bound, line.trim(), key)
                .map_err(|wrong| wrong.at(format!(":{}: ", index + 1)))?;
            rows.insert(row_key.into(), row);
        }
    }
    Ok(rows)
}

/// A row that holds its key; its text is kept as it was written.
fn json_row(bound: &Bound, text: &str, key: &[String]) -> Result<(String, Row), Wrong> {
    let members: Members = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut parts = Vec::with_capacity(key.len());
    for name in key {
        let raw = members.get(name).ok_or_else(|| format!("has no member `{name}`, the key"))?;
        parts.push(match serde_json::from_str(raw.get()) {
            Ok(Value::String(text)) => text,
            Ok(Value::Number(_) | Value::Bool(_)) => raw.get().to_owned(),
            _ => {
                return Err(format!("member `{name}` is the key, but no text and no number").into());
            }
        });
    }
    let row = json_value(bound, text)?;
    Ok((key_text(&bound.decl, parts.iter().map(String::as_str)), row))
}

/// A row under the declared names: its text as it was written where those are its own.
fn json_value(bound: &Bound, text: &str) -> Result<Row, Wrong> {
    let row = match row::json_answer(bound, text)? {
        Answer::Found(row) => row,
        Answer::Miss | Answer::Failed => text.into(),
    };
    check_row(bound, &row)?;
    Ok(row)
}

/// Refuses rows whose members do not have the declared types, before they replace rows that do.
fn check_row(bound: &Bound, text: &str) -> Result<(), Wrong> {
    let value = Value::deserialize(&mut serde_json::Deserializer::from_str(text))
        .map_err(|error| error.to_string())?;
    if bound.shape().is_none() {
        return Ok(());
    }
    let Value::Object(members) = value else {
        let yields = &bound.decl.yields;
        return Err(format!("is no object, but the lookup yields `{yields}`").into());
    };
    for (number, field, column) in bound.fields() {
        let wrong = |sentence: String| Wrong {
            has: super::shape::members(std::slice::from_ref(&members)),
            ..Wrong::from(sentence).about(number)
        };
        match members.get(&*field.name) {
            None | Some(Value::Null) if field.ty.optional => {}
            None | Some(Value::Null) => return Err(wrong(format!("has no member `{column}`"))),
            Some(value) => {
                let fits = row::fit(value, &field.ty.base);
                // A text that only reads as the type would be a fault at every event.
                if fits.as_ref() != Some(value) && !field.coerce && !is_blank(value) {
                    return Err(wrong(format!("member `{column}` is no {}", field.ty.base)));
                }
            }
        }
    }
    Ok(())
}

/// Whether a row is as the rules declare, in a sentence where not.
pub(super) fn is_row(bound: &Bound, text: &str) -> Result<(), String> {
    check_row(bound, text).map_err(|wrong| wrong.sentence)
}

fn is_blank(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.trim().is_empty())
}

/// A key as rules ask for it: addresses and blocks in their canonical form, parts joined.
pub(super) fn key_text<'a>(decl: &LookupDecl, parts: impl Iterator<Item = &'a str>) -> String {
    let mut key = String::new();
    for (index, part) in parts.enumerate() {
        if index > 0 {
            key.push_str(KEY_JOINT);
        }
        let ty = decl.keys.get(index).map(|ty| &ty.base);
        match (ty, part.trim().parse::<IpAddr>(), Cidr::parse(part.trim())) {
            (Some(Type::Ip), Ok(address), _) => {
                key.push_str(&address.to_canonical().to_string());
            }
            (Some(Type::Ip | Type::Cidr), Err(_), Some(block))
            | (Some(Type::Cidr), Ok(_), Some(block)) => key.push_str(&block.to_string()),
            _ => key.push_str(part),
        }
    }
    key
}

fn shortened(text: &str) -> String {
    let end = text.char_indices().nth(40).map_or(text.len(), |(at, _)| at);
    if end < text.len() { format!("{}…", &text[..end]) } else { text.to_owned() }
}
