//! What an event holds, read from a batch, and read by `serde_json`: two ways to the same picture.

use std::{collections::BTreeMap, fmt};

use logmon_dsl::column::{Absence, Batch, Kind, Layout, Names, NodeId, View, load::load};
use serde_json::{Map, Value};

/// A value as a person would write it down.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Seen {
    /// An object whose members stand elsewhere.
    Spread,
    /// Anything else; `text` is how it was written, where that is known.
    Value { value: Value, text: Option<String> },
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spread => f.write_str("spread"),
            Self::Value { text: Some(text), .. } => f.write_str(text),
            Self::Value { value, text: None } => write!(f, "{value}"),
        }
    }
}

/// An attribute's anchor and keys.
pub(super) type Name = (NodeId, Vec<String>);

/// All that an event holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Content {
    pub(super) fields: BTreeMap<NodeId, Seen>,
    pub(super) rest: BTreeMap<Name, Seen>,
}

impl Content {
    /// The same without how values were written.
    pub(super) fn plain(mut self) -> Self {
        for seen in self.fields.values_mut().chain(self.rest.values_mut()) {
            if let Seen::Value { text, .. } = seen {
                *text = None;
            }
        }
        self
    }
}

/// What a row of a batch holds.
pub(super) fn content(batch: &Batch, names: &Names, row: usize) -> Content {
    let mut content = Content::default();
    for (index, field) in batch.fields.iter().enumerate() {
        assert!(field.column.is_none() && field.written.is_none());
        let Some(raw) = &field.raw else { continue };
        assert_eq!(raw.len(), batch.rows);
        if let Some(seen) = seen(batch, raw[row]) {
            content.fields.insert(NodeId(index as u32), seen);
        }
    }
    for &(id, view) in batch.rest.of(row) {
        let name = names.get(id);
        let keys = name.keys.iter().map(|key| String::from(&**key)).collect();
        let seen = seen(batch, view).expect("an attribute is never missing");
        assert_ne!(seen, Seen::Spread);
        let twice = content.rest.insert((name.anchor, keys), seen);
        assert_eq!(twice, None, "{} stands there twice", name.dotted);
    }
    content
}

fn seen(batch: &Batch, view: View) -> Option<Seen> {
    let bytes = batch.arena.get(view);
    let raw = std::str::from_utf8(bytes).expect("views are UTF-8");
    let text = match view.kind() {
        Kind::Absent => match view.absence() {
            Some(Absence::Missing) => return None,
            absence => {
                assert_eq!(absence, Some(Absence::Null));
                "null".into()
            }
        },
        Kind::Spread => return Some(Seen::Spread),
        Kind::Bool => String::from(if view.truth() == Some(true) { "true" } else { "false" }),
        Kind::Text => {
            assert!(!raw.contains(['"', '\\']));
            format!("\"{raw}\"")
        }
        Kind::Escaped => {
            assert!(raw.contains('\\'));
            format!("\"{raw}\"")
        }
        Kind::Number | Kind::Array | Kind::Object => raw.into(),
    };
    let value: Value = serde_json::from_str(&text).expect("views are JSON");
    let fits = match view.kind() {
        Kind::Absent => value.is_null(),
        Kind::Text | Kind::Escaped => value.is_string(),
        Kind::Number => value.is_number(),
        Kind::Bool => value.is_boolean(),
        Kind::Array => value.is_array(),
        Kind::Object => value.is_object(),
        Kind::Spread => false,
    };
    assert!(fits, "{:?} is not {text}", view.kind());
    Some(Seen::Value { value, text: Some(text) })
}

/// What an event holds for the plain decoder, which learns nothing.
pub(super) fn loaded(layout: &Layout, payload: &[u8]) -> Option<Content> {
    let (mut batch, mut names) = (Batch::new(layout), Names::default());
    load(&mut batch, layout, &mut names, &[payload]).ok()?;
    Some(content(&batch, &names, 0))
}

/// What an event should hold, by `serde_json`. `None` if that refuses it, or if it goes beyond the default limits.
pub(super) fn expected(layout: &Layout, payload: &[u8]) -> Option<Content> {
    let event: Map<String, Value> = serde_json::from_slice(payload).ok()?;
    let (depth, keys) = extent(payload);
    if depth > 64 || keys > 10_000 {
        return None;
    }
    let mut content = Content::default();
    spread(layout, NodeId::ROOT, &event, &mut content);
    Some(content)
}

fn spread(layout: &Layout, at: NodeId, object: &Map<String, Value>, content: &mut Content) {
    for (key, value) in object {
        let Some(child) = layout.child(at, key) else {
            scatter(layout, (at, vec![key.clone()]), value, content);
            continue;
        };
        let seen = match value {
            Value::Object(members) if layout.node(child).is_interior() => {
                spread(layout, child, members, content);
                Seen::Spread
            }
            value => Seen::Value { value: value.clone(), text: None },
        };
        content.fields.insert(child, seen);
    }
}

fn scatter(layout: &Layout, name: Name, value: &Value, content: &mut Content) {
    let path = layout.path(name.0).into_iter().chain(name.1.iter().map(String::as_str));
    match value {
        Value::Object(members) if !members.is_empty() && Names::spreads(path) => {
            for (key, value) in members {
                let keys = name.1.iter().chain([key]).cloned().collect();
                scatter(layout, (name.0, keys), value, content);
            }
        }
        value => {
            content.rest.insert(name, Seen::Value { value: value.clone(), text: None });
        }
    }
}

/// Levels and members of valid JSON text, those that a later key replaces too.
fn extent(json: &[u8]) -> (usize, usize) {
    let (mut depth, mut deepest, mut keys) = (0_usize, 0, 0);
    let (mut inside, mut escaped) = (false, false);
    for &byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => inside = !inside,
            _ if inside => {}
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth -= 1,
            b':' => keys += 1,
            _ => {}
        }
    }
    (deepest, keys)
}
