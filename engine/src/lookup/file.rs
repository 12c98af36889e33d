//! A table in a file, held in memory: CSV, JSON or one JSON object a line.

mod csv;

use std::{
    collections::{BTreeMap, HashMap},
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
    types::{Ty, Type},
};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{Fingerprint, Holding, Lookup, OpenError, Reloaded, blocks::Blocks, row};
use crate::{config::FileFormat, error::WorldError};

/// A table of a million rows takes about a tenth of this; larger ones belong into a database.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// What joins the parts of a key.
const KEY_JOINT: &str = "\u{1f}";

/// A file's rows by key.
#[derive(Debug)]
pub(super) struct Table {
    decl: LookupDecl,
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
        decl: &LookupDecl,
        path: &Path,
        key: &str,
        format: FileFormat,
    ) -> Result<Self, OpenError> {
        let key: Vec<String> = key.split(',').map(|part| part.trim().to_owned()).collect();
        // A JSON object key → row names no key column, so its parts cannot be counted.
        if key != [""] && key.len() != decl.keys.len() {
            return Err(OpenError::Config(format!(
                "[lookup.{}] key names {} columns, but the rules declare {} key parts; separate columns with commas",
                decl.name,
                key.len(),
                decl.keys.len()
            )));
        }
        let rows = read(decl, path, &key, format)?;
        Ok(Self {
            decl: decl.clone(),
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
        let rows = read(&self.decl, &self.path, &self.key, self.format)?;
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

fn read(
    decl: &LookupDecl,
    path: &Path,
    key: &[String],
    format: FileFormat,
) -> Result<Rows, WorldError> {
    let (name, at) = (&decl.name, path.display());
    let unreadable = |error: std::io::Error| {
        WorldError::because(format!("[lookup.{name}] path: {at} cannot be read: {error}"), error)
    };
    let fingerprint = Fingerprint::of(path).map_err(unreadable)?;
    if fingerprint.length > FILE_BYTES_MAX {
        return Err(WorldError::new(format!("[lookup.{name}] path: {at} is larger than 256 MiB")));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let rows = match format {
        FileFormat::Csv => csv_rows(decl, text, key),
        FileFormat::Json => json_rows(decl, text, key),
        FileFormat::Ndjson => ndjson_rows(decl, text, key),
    };
    let rows = rows.and_then(|rows| keyed(decl, rows));
    let rows = rows.map_err(|reason| WorldError::new(format!("[lookup.{name}] {at}{reason}")))?;
    Ok(Rows { rows, fingerprint })
}

/// The rows, ready to be asked.
fn keyed(decl: &LookupDecl, rows: RowMap) -> Result<Keyed, String> {
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

fn csv_rows(decl: &LookupDecl, text: &str, key: &[String]) -> Result<RowMap, String> {
    let mut records = csv::records(text);
    let Some(heading) = records.next() else { return Err(": has no heading line".into()) };
    let heading = heading.map_err(|line| format!(":{line}: a quoted cell does not end"))?.1;
    let column = |name: &str| {
        let known = heading.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        heading
            .iter()
            .position(|cell| cell.trim() == name)
            .ok_or_else(|| format!(":1: has no column `{name}`; it has {known}"))
    };
    let keys: Vec<usize> = key.iter().map(|name| column(name)).collect::<Result<_, _>>()?;
    let shape = row::shape(&decl.yields);
    for field in shape.iter().flat_map(|shape| &shape.fields) {
        if !field.ty.optional {
            column(&field.name)?;
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
            ));
        }
        let row_key = key_text(decl, keys.iter().map(|at| cells[*at].as_str()));
        let row = csv_row(decl, &heading, &keys, &cells)
            .map_err(|reason| format!(":{line}: {reason}"))?;
        if let Some(row) = row {
            rows.insert(row_key.into(), row.to_string().into());
        }
    }
    Ok(rows)
}

/// A line's row in the declared types; an empty cell is an absent member.
fn csv_row(
    decl: &LookupDecl,
    heading: &[String],
    keys: &[usize],
    cells: &[String],
) -> Result<Option<Value>, String> {
    let typed = |at: usize, ty: &Type| -> Result<Option<Value>, String> {
        let cell = &cells[at];
        if cell.is_empty() {
            return Ok(None);
        }
        let value = row::fit(&Value::String(cell.clone()), ty);
        value.map(Some).ok_or_else(|| {
            format!("column `{}` holds `{}`, which is no {ty}", heading[at].trim(), shortened(cell))
        })
    };
    if let Some(shape) = row::shape(&decl.yields) {
        let mut members = serde_json::Map::new();
        for (at, name) in heading.iter().enumerate() {
            let name = name.trim();
            let ty = match shape.field(name) {
                Some(field) => &field.ty.base,
                None if shape.open => &Type::Text,
                None => continue,
            };
            if let Some(value) = typed(at, ty)? {
                members.insert(name.to_owned(), value);
            }
        }
        return Ok(Some(Value::Object(members)));
    }
    if let Type::Map(_) | Type::Any = decl.yields.base {
        let of = match &decl.yields.base {
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
        (Some(at), None) => typed(at, &decl.yields.base),
        _ => Err(format!(
            "the lookup yields `{}`, so beside the key there must be one column",
            decl.yields
        )),
    }
}

/// One JSON text: an object key → row, or a list of rows with the key inside.
fn json_rows(decl: &LookupDecl, text: &str, key: &[String]) -> Result<RowMap, String> {
    let place = |error: serde_json::Error| format!(":{}: {error}", error.line());
    let mut rows = RowMap::new();
    if text.trim_start().starts_with('[') {
        let list: Vec<Box<RawValue>> = serde_json::from_str(text).map_err(place)?;
        for (index, raw) in list.iter().enumerate() {
            let (row_key, row) = json_row(decl, raw.get(), key)
                .map_err(|reason| format!(": row {}: {reason}", index + 1))?;
            rows.insert(row_key.into(), row);
        }
    } else {
        let object: Members = serde_json::from_str(text).map_err(place)?;
        for (name, raw) in &object {
            if raw.get() != "null" {
                check_row(&decl.yields, raw.get())
                    .map_err(|reason| format!(": key `{}`: {reason}", shortened(name)))?;
                let row_key = key_text(decl, name.split(KEY_JOINT));
                rows.insert(row_key.into(), raw.get().into());
            }
        }
    }
    Ok(rows)
}

fn ndjson_rows(decl: &LookupDecl, text: &str, key: &[String]) -> Result<RowMap, String> {
    let mut rows = RowMap::new();
    for (index, line) in text.lines().enumerate() {
        if !line.trim().is_empty() {
            let (row_key, row) = json_row(decl, line.trim(), key)
                .map_err(|reason| format!(":{}: {reason}", index + 1))?;
            rows.insert(row_key.into(), row);
        }
    }
    Ok(rows)
}

/// A row that holds its key; its text is kept as it was written.
fn json_row(decl: &LookupDecl, text: &str, key: &[String]) -> Result<(String, Row), String> {
    let members: Members = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut parts = Vec::with_capacity(key.len());
    for name in key {
        let raw = members.get(name).ok_or_else(|| format!("has no member `{name}`, the key"))?;
        parts.push(match serde_json::from_str(raw.get()) {
            Ok(Value::String(text)) => text,
            Ok(Value::Number(_) | Value::Bool(_)) => raw.get().to_owned(),
            _ => return Err(format!("member `{name}` is the key, but no text and no number")),
        });
    }
    check_row(&decl.yields, text)?;
    Ok((key_text(decl, parts.iter().map(String::as_str)), text.into()))
}

/// Refuses rows whose members do not have the declared types, before they replace rows that do.
fn check_row(yields: &Ty, text: &str) -> Result<(), String> {
    let value = Value::deserialize(&mut serde_json::Deserializer::from_str(text))
        .map_err(|error| error.to_string())?;
    let Some(shape) = row::shape(yields) else { return Ok(()) };
    let Value::Object(members) = value else {
        return Err(format!("is no object, but the lookup yields `{yields}`"));
    };
    for field in &shape.fields {
        match members.get(&*field.name) {
            None | Some(Value::Null) if field.ty.optional => {}
            None | Some(Value::Null) => return Err(format!("has no member `{}`", field.name)),
            Some(value) => {
                let fits = row::fit(value, &field.ty.base);
                // A text that only reads as the type would be a fault at every event.
                if fits.as_ref() != Some(value) && !field.coerce && !is_blank(value) {
                    return Err(format!("member `{}` is no {}", field.name, field.ty.base));
                }
            }
        }
    }
    Ok(())
}

fn is_blank(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.trim().is_empty())
}

/// A key as rules ask for it: addresses and blocks in their canonical form, parts joined.
fn key_text<'a>(decl: &LookupDecl, parts: impl Iterator<Item = &'a str>) -> String {
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
