//! Text to [`RawConfig`]: unknown keys with the nearest known one, `${NAME}`, and lines for every later complaint.

use std::{fs, ops::Range, path::Path};

use schemars::generate::SchemaSettings;
use serde::Deserialize;
use serde_json::Value;
use toml::{
    Spanned,
    de::{DeTable, DeValue, Deserializer},
};

use super::{ConfigError, Problem, raw::RawConfig};

/// Where the keys of a file stand.
#[derive(Debug, Default)]
pub(super) struct Places {
    entries: Vec<Place>,
    /// Keys that a misspelt one was probably meant to be: they are not also reported as missing.
    meant: Vec<Vec<String>>,
}

#[derive(Debug)]
struct Place {
    key: Vec<String>,
    span: Range<usize>,
    line: usize,
}

/// Longest text that `${file:…}` may bring in: a secret, not a book.
const FILE_VALUE_BYTES_MAX: u64 = 64 << 10;

/// Reads a text. Problems that leave the rest readable come back beside it.
pub(super) fn read(
    text: &str,
    path: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<(RawConfig, Places, Vec<Problem>), ConfigError> {
    let problem = |line, message| Problem { path: path.to_owned(), line, message };
    let mut table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map(|span| line_of(text, span.start));
        let first = error.message().lines().next().unwrap_or("not TOML").to_owned();
        ConfigError { problems: vec![problem(line, first)] }
    })?;
    let mut reader = Reader {
        text,
        folder: path.parent().unwrap_or(Path::new("")),
        environment,
        key: Vec::new(),
        places: Places::default(),
        problems: Vec::new(),
        unresolved: false,
    };
    reader.table(table.get_mut(), &schema(true));
    let Reader { places, problems, unresolved, .. } = reader;
    let mut problems: Vec<Problem> =
        problems.into_iter().map(|(line, message)| problem(Some(line), message)).collect();
    problems.sort_by_key(|problem| problem.line);
    // A text whose variable is missing would only lead to more, misleading complaints.
    if unresolved {
        return Err(ConfigError { problems });
    }
    match RawConfig::deserialize(Deserializer::from(table)) {
        Ok(raw) => Ok((raw, places, problems)),
        Err(error) => {
            let place = error.span().and_then(|span| places.around(&span));
            let message = error.message().lines().next().unwrap_or("not understood").to_owned();
            problems.push(match place {
                Some(place) => {
                    problem(Some(place.line), format!("{}: {message}", key_text(&place.key)))
                }
                None => problem(None, message),
            });
            Err(ConfigError { problems })
        }
    }
}

/// JSON Schema of the file; `inline` leaves no references, to walk along.
pub(super) fn schema(inline: bool) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = inline;
    });
    settings.into_generator().into_root_schema_for::<RawConfig>().to_value()
}

/// A key as a person writes it: `` `[source.app] batch.rows` ``.
pub(super) fn key_text<T: AsRef<str>>(key: &[T]) -> String {
    let parts: Vec<&str> = key.iter().map(AsRef::as_ref).collect();
    let named = matches!(parts.first(), Some(&("source" | "sink" | "lookup")));
    let (section, rest) = parts.split_at(parts.len().min(if named { 2 } else { 1 }));
    let gap = if rest.is_empty() { "" } else { " " };
    format!("`[{}]{gap}{}`", section.join("."), rest.join("."))
}

/// The nearest of some names, if one is near enough to be what was meant.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|name| (distance(word, name), name))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}

impl Places {
    /// The line of a key, or of the nearest table around it.
    pub(super) fn line(&self, key: &[&str]) -> Option<usize> {
        (1..=key.len()).rev().find_map(|length| {
            self.entries.iter().find(|place| place.key == key[..length]).map(|place| place.line)
        })
    }

    /// Whether a misspelling of this key was already reported.
    pub(super) fn is_meant(&self, key: &[&str]) -> bool {
        self.meant.iter().any(|meant| *meant == key)
    }

    fn around(&self, span: &Range<usize>) -> Option<&Place> {
        let holds = |place: &&Place| place.span.start <= span.start && span.end <= place.span.end;
        self.entries.iter().filter(holds).min_by_key(|place| place.span.len())
    }
}

struct Reader<'a> {
    text: &'a str,
    folder: &'a Path,
    environment: &'a dyn Fn(&str) -> Option<String>,
    key: Vec<String>,
    places: Places,
    problems: Vec<(usize, String)>,
    unresolved: bool,
}

impl Reader<'_> {
    fn table(&mut self, table: &mut DeTable<'_>, schema: &Value) {
        let known = members(schema);
        let open = schema_parts(schema)
            .find_map(|part| part.get("additionalProperties").filter(|more| more.is_object()));
        let mut unknown = Vec::new();
        for (key, value) in table.iter_mut() {
            let name = key.get_ref().to_string();
            let line = line_of(self.text, key.span().start);
            let below = known.iter().find(|(known, _)| *known == name).map(|(_, schema)| *schema);
            let Some(below) = below.or(open) else {
                self.unknown(&name, line, &known);
                unknown.push(key.clone());
                continue;
            };
            self.key.push(name);
            self.places.entries.push(Place {
                key: self.key.clone(),
                span: key.span().start..value.span().end,
                line,
            });
            self.value(value, below, line);
            self.key.pop();
        }
        // Without them the rest can still be read, and complained about in the same run.
        for key in unknown {
            table.remove(&key);
        }
    }

    fn value(&mut self, value: &mut Spanned<DeValue<'_>>, schema: &Value, line: usize) {
        match value.get_mut() {
            DeValue::Table(table) => self.table(table, schema),
            DeValue::Array(items) => {
                let none = Value::Null;
                let below = schema_parts(schema).find_map(|part| part.get("items"));
                for item in items.iter_mut() {
                    self.value(item, below.unwrap_or(&none), line);
                }
            }
            DeValue::String(text) => {
                if text.contains("${") {
                    *text = self.substitute(text, line).into();
                }
            }
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => {}
        }
    }

    fn unknown(&mut self, name: &str, line: usize, known: &[(&str, &Value)]) {
        let names = || known.iter().map(|(name, _)| *name);
        let mut key = self.key.clone();
        key.push(name.to_owned());
        let hint = match nearest(name, names()) {
            Some(near) => {
                let meant = self.key.iter().cloned().chain([near.to_owned()]).collect();
                self.places.meant.push(meant);
                format!("did you mean `{near}`?")
            }
            None => format!("known here: {}", names().collect::<Vec<_>>().join(", ")),
        };
        self.problems.push((line, format!("{} is not a known key; {hint}", key_text(&key))));
    }

    /// Puts `${…}` in. Texts stay texts, whatever a variable holds, so it cannot add keys.
    fn substitute(&mut self, text: &str, line: usize) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            if rest[..at].ends_with('$') {
                out.push_str(&rest[..at - 1]);
                out.push_str("${");
                rest = &rest[at + 2..];
                continue;
            }
            out.push_str(&rest[..at]);
            let Some(length) = rest[at..].find('}') else {
                self.fail(line, "has a `${` without a `}`; write `$${` for a plain one");
                return out;
            };
            let name = &rest[at + 2..at + length];
            match self.resolve(name) {
                Ok(value) => out.push_str(&value),
                Err(reason) => self.fail(line, &reason),
            }
            rest = &rest[at + length + 1..];
        }
        out.push_str(rest);
        out
    }

    fn resolve(&self, name: &str) -> Result<String, String> {
        if let Some(file) = name.strip_prefix("file:") {
            let path = self.folder.join(file);
            let unreadable = |error| format!("needs the file {}: {error}", path.display());
            let length = fs::metadata(&path).map_err(unreadable)?.len();
            if length > FILE_VALUE_BYTES_MAX {
                return Err(format!("takes a value from {}, which is over 64 KiB", path.display()));
            }
            let value = fs::read_to_string(&path).map_err(unreadable)?;
            return Ok(value.trim_end_matches(['\r', '\n']).to_owned());
        }
        let variable = name.strip_prefix("env:").unwrap_or(name);
        (self.environment)(variable)
            .ok_or_else(|| format!("needs the environment variable `{variable}`, which is not set"))
    }

    fn fail(&mut self, line: usize, reason: &str) {
        self.unresolved = true;
        self.problems.push((line, format!("{} {reason}", key_text(&self.key))));
    }
}

/// A schema and its alternatives: an optional table is `anyOf` the table and null.
fn schema_parts(schema: &Value) -> impl Iterator<Item = &Value> {
    let alternatives = schema.get("anyOf").and_then(Value::as_array);
    std::iter::once(schema).chain(alternatives.into_iter().flatten())
}

/// The members that a schema knows.
fn members(schema: &Value) -> Vec<(&str, &Value)> {
    schema_parts(schema)
        .filter_map(|part| part.get("properties")?.as_object())
        .flatten()
        .map(|(name, schema)| (name.as_str(), schema))
        .collect()
}

fn line_of(text: &str, offset: usize) -> usize {
    memchr::memchr_iter(b'\n', &text.as_bytes()[..offset.min(text.len())]).count() + 1
}

/// How many letters to insert, delete or exchange to make one word the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let exchange = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = exchange.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
