//! Lists and maps as JSON text: reading their elements as they are written, and writing new ones.
//!
//! Invariant: what a function does not touch keeps its bytes, and maps keep their order.

use std::{borrow::Cow, collections::HashMap};

use super::show;
use crate::column::{Value, json};

/// The elements of an array as they are written.
pub(super) fn elements(list: &str) -> impl Iterator<Item = &str> {
    json::array(list)
}

/// The members of an object as they are written: the key between its quotes, and the value.
pub(super) fn members(map: &str) -> impl Iterator<Item = (&str, &str)> {
    json::members(map.as_bytes())
        .filter_map(|member| Some((map.get(member.key)?, map.get(member.value)?)))
}

/// Undoes the escapes of a JSON string, given what stands between its quotes.
pub(super) fn unescape(inner: &str) -> Cow<'_, str> {
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Cow::Borrowed(inner);
    }
    let mut out = Vec::with_capacity(inner.len());
    json::unescape(inner.as_bytes(), &mut out);
    Cow::Owned(String::from_utf8(out).unwrap_or_default())
}

/// Reads a JSON value as it is written.
pub(super) fn decode(raw: &str) -> Value<'_> {
    json::value(raw)
}

/// Whether the text is a list.
pub(super) fn is_list(raw: &str) -> bool {
    raw.starts_with('[')
}

/// Appends a value as JSON; an absent one as `null`.
pub(super) fn write(out: &mut String, value: &Value<'_>) {
    match value {
        Value::Absent(_) => out.push_str("null"),
        Value::Float(number) if !number.is_finite() => out.push_str("null"),
        Value::Text(text) => write_text(out, text),
        Value::Json(raw) => out.push_str(raw),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => show::scalar(out, value),
        Value::Bytes(_)
        | Value::Timestamp(_)
        | Value::Duration(_)
        | Value::Ip(_)
        | Value::Cidr(_)
        | Value::Severity(_) => {
            out.push('"');
            show::scalar(out, value);
            out.push('"');
        }
    }
}

/// Appends text as a JSON string.
pub(super) fn write_text(out: &mut String, text: &str) {
    let plain = !text.bytes().any(|byte| byte < 32 || byte == b'"' || byte == b'\\');
    if plain {
        out.push('"');
        out.push_str(text);
        out.push('"');
        return;
    }
    let mut bytes = Vec::with_capacity(text.len() + 8);
    json::write_string(&mut bytes, text.as_bytes());
    out.push_str(&String::from_utf8(bytes).expect("escaped text is text"));
}

/// Writes an array.
#[derive(Debug)]
pub(super) struct ListText {
    out: String,
}

impl ListText {
    /// An empty one.
    pub(super) fn new() -> Self {
        Self { out: "[".into() }
    }

    fn comma(&mut self) {
        if self.out.len() > 1 {
            self.out.push(',');
        }
    }

    /// Appends an element as it is written.
    pub(super) fn raw(&mut self, raw: &str) {
        self.comma();
        self.out.push_str(raw);
    }

    /// Appends text.
    pub(super) fn text(&mut self, text: &str) {
        self.comma();
        write_text(&mut self.out, text);
    }

    /// Appends a value.
    pub(super) fn value(&mut self, value: &Value<'_>) {
        self.comma();
        write(&mut self.out, value);
    }

    /// The list.
    pub(super) fn finish(mut self) -> Value<'static> {
        self.out.push(']');
        Value::Json(Cow::Owned(self.out))
    }
}

/// Writes an object.
#[derive(Debug)]
pub(super) struct MapText {
    out: String,
}

impl MapText {
    /// An empty one.
    pub(super) fn new() -> Self {
        Self { out: "{".into() }
    }

    fn comma(&mut self) {
        if self.out.len() > 1 {
            self.out.push(',');
        }
    }

    /// Appends a member whose key and value are as they are written.
    pub(super) fn raw(&mut self, key: &str, value: &str) {
        self.comma();
        self.out.push('"');
        self.out.push_str(key);
        self.out.push_str("\":");
        self.out.push_str(value);
    }

    /// Appends a member with a plain key.
    pub(super) fn value(&mut self, key: &str, value: &Value<'_>) {
        self.comma();
        write_text(&mut self.out, key);
        self.out.push(':');
        write(&mut self.out, value);
    }

    /// Appends a member whose value is as it is written.
    pub(super) fn member(&mut self, key: &str, raw: &str) {
        self.comma();
        write_text(&mut self.out, key);
        self.out.push(':');
        self.out.push_str(raw);
    }

    /// The map's text.
    pub(super) fn text(mut self) -> String {
        self.out.push('}');
        self.out
    }

    /// The map.
    pub(super) fn finish(self) -> Value<'static> {
        Value::Json(Cow::Owned(self.text()))
    }
}

/// Members in the order in which their keys first came; the last value of a key wins.
#[derive(Debug)]
pub(super) struct Ordered<'t, V> {
    /// Keys and values.
    pub(super) members: Vec<(Cow<'t, str>, V)>,
    /// Where a key stands, once there are many: hostile text has thousands of keys.
    index: HashMap<String, usize>,
}

impl<V> Default for Ordered<'_, V> {
    fn default() -> Self {
        Self { members: Vec::new(), index: HashMap::new() }
    }
}

impl<'t, V> Ordered<'t, V> {
    /// Members that are looked through one by one.
    const FEW: usize = 24;

    fn find(&self, key: &str) -> Option<usize> {
        if self.members.len() <= Self::FEW {
            return self.members.iter().position(|(known, _)| known == key);
        }
        self.index.get(key).copied()
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&V> {
        self.find(key).map(|at| &self.members[at].1)
    }

    /// The value of a key, to be changed.
    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut V> {
        self.find(key).map(|at| &mut self.members[at].1)
    }

    /// Sets a member.
    pub(super) fn put(&mut self, key: Cow<'t, str>, value: V) {
        if let Some(at) = self.find(&key) {
            self.members[at].1 = value;
            return;
        }
        if self.members.len() == Self::FEW {
            let known = self.members.iter().enumerate().map(|(at, (key, _))| (key.to_string(), at));
            self.index = known.collect();
        }
        if self.members.len() >= Self::FEW {
            self.index.insert(key.to_string(), self.members.len());
        }
        self.members.push((key, value));
    }
}
