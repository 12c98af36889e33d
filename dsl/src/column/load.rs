//! The plain decoder: events as JSON text into a batch, one after the other, nothing learned.
//!
//! Test blocks and `eval` use it, and the fast scanner is held against it: both must fill a batch alike.

use std::{fmt, sync::Arc};

use super::{
    batch::Batch,
    json::{self, Member},
    layout::{Layout, NameId, Names, NodeId},
    view::View,
};

/// How deep an event may nest, the event itself counted.
pub const MAX_DEPTH: usize = 64;

/// Why an event was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadError {
    /// It is no JSON, or no UTF-8.
    NotJson(String),
    /// It is JSON, but no object.
    NotObject,
    /// It nests deeper than [`MAX_DEPTH`].
    TooDeep,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson(why) => write!(f, "the event is not JSON: {why}"),
            Self::NotObject => f.write_str("the event is JSON, but not an object"),
            Self::TooDeep => write!(f, "the event nests deeper than {MAX_DEPTH} levels"),
        }
    }
}

impl std::error::Error for LoadError {}

/// Appends events to a batch, one row each. At the first one that is refused nothing is changed and its index returned.
///
/// Coordinates ([`Batch::meta`]) are the caller's.
pub fn load(
    batch: &mut Batch,
    layout: &Layout,
    names: &mut Names,
    events: &[&[u8]],
) -> Result<(), (usize, LoadError)> {
    for (index, event) in events.iter().enumerate() {
        check(event).map_err(|why| (index, why))?;
    }
    let rows = batch.rows + events.len();
    let mut columns: Vec<Option<Vec<View>>> = batch
        .fields
        .iter()
        .map(|field| {
            field.raw.as_ref().map(|raw| {
                let mut views = raw.to_vec();
                views.resize(rows, View::MISSING);
                views
            })
        })
        .collect();
    for event in events {
        let base = batch.arena.push(event);
        let mut loader = Loader {
            layout,
            names,
            columns: &mut columns,
            row: batch.rows,
            rows,
            text: event,
            base,
            rest: Vec::new(),
            keys: Vec::new(),
        };
        let start = json::skip_space(event, 0);
        let end = json::value_end(event, start);
        loader.known(NodeId::ROOT, start..end);
        let rest = loader.rest;
        batch.rest.entries.extend(rest.into_iter().flatten());
        batch.rest.ends.push(batch.rest.entries.len() as u32);
        batch.rows += 1;
    }
    batch.arena.pad();
    for (field, views) in batch.fields.iter_mut().zip(columns) {
        field.raw = views.map(Arc::new);
    }
    Ok(())
}

/// Accepts exactly what `serde_json` reads as an object, no deeper than [`MAX_DEPTH`].
fn check(event: &[u8]) -> Result<(), LoadError> {
    let value: serde_json::Value =
        serde_json::from_slice(event).map_err(|why| LoadError::NotJson(why.to_string()))?;
    if !value.is_object() {
        return Err(LoadError::NotObject);
    }
    let (mut depth, mut at) = (0usize, 0);
    while let Some(&byte) = event.get(at) {
        match byte {
            b'"' => at = json::string_end(event, at + 1).0,
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(LoadError::TooDeep);
                }
            }
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

struct Loader<'l> {
    layout: &'l Layout,
    names: &'l mut Names,
    columns: &'l mut [Option<Vec<View>>],
    row: usize,
    rows: usize,
    text: &'l [u8],
    base: usize,
    /// Attributes of this event; `None` where a later duplicate took the place away.
    rest: Vec<Option<(NameId, View)>>,
    /// Keys below the anchor.
    keys: Vec<Box<str>>,
}

impl Loader<'_> {
    /// A value at a known path. Recurses no deeper than [`MAX_DEPTH`].
    fn known(&mut self, node: NodeId, at: std::ops::Range<usize>) {
        let interior = self.layout.node(node).is_interior();
        if interior && self.text[at.start] == b'{' {
            self.set(node, View::SPREAD);
            let text = &self.text[at.clone()];
            for member in json::members(text) {
                let member = shifted(&member, at.start);
                let key = member.key(self.text);
                let key = String::from_utf8_lossy(&key);
                if let Some(child) = self.layout.child(node, &key) {
                    self.forget_known(child);
                    self.known(child, member.value);
                } else {
                    self.forget_unknown(node, &key);
                    self.keys.push(key.as_ref().into());
                    self.unknown(node, member.value);
                    self.keys.pop();
                }
            }
            return;
        }
        let view = json::view(self.text, at, self.base);
        self.set(node, view);
    }

    /// A value at a path that nobody knows: objects leaf by leaf where names may be that long.
    fn unknown(&mut self, anchor: NodeId, at: std::ops::Range<usize>) {
        let text = &self.text[at.clone()];
        let mut empty = true;
        let path = self.layout.path(anchor).into_iter().chain(self.keys.iter().map(|key| &**key));
        if text.first() == Some(&b'{') && Names::spreads(path) {
            for member in json::members(text) {
                empty = false;
                let member = shifted(&member, at.start);
                let key = member.key(self.text);
                self.keys.push(String::from_utf8_lossy(&key).into());
                self.forget_below(anchor);
                self.unknown(anchor, member.value);
                self.keys.pop();
            }
            if !empty {
                return;
            }
        }
        let view = json::view(self.text, at, self.base);
        let name = self.names.id(self.layout, anchor, &self.keys);
        self.rest.push(Some((name, view)));
    }

    fn set(&mut self, node: NodeId, view: View) {
        // The root is an object in every event and has no field of its own.
        if node == NodeId::ROOT {
            return;
        }
        let rows = self.rows;
        let views = self.columns[node.index()].get_or_insert_with(|| vec![View::MISSING; rows]);
        views[self.row] = view;
    }

    /// Before a duplicate of a known key: whatever the earlier one brought is void.
    fn forget_known(&mut self, node: NodeId) {
        for below in self.layout.subtree(node) {
            if let Some(views) = &mut self.columns[below.index()] {
                views[self.row] = View::MISSING;
            }
            for place in 0..self.rest.len() {
                if let Some((name, _)) = self.rest[place]
                    && self.names.get(name).anchor == below
                {
                    self.rest[place] = None;
                }
            }
        }
    }

    fn forget_unknown(&mut self, anchor: NodeId, key: &str) {
        self.keys.push(key.into());
        self.forget_below(anchor);
        self.keys.pop();
    }

    /// Before a duplicate of an unknown key: all attributes at or below `keys`.
    fn forget_below(&mut self, anchor: NodeId) {
        for place in 0..self.rest.len() {
            let Some((name, _)) = self.rest[place] else { continue };
            let known = self.names.get(name);
            if known.anchor == anchor && known.keys.starts_with(&self.keys) {
                self.rest[place] = None;
            }
        }
    }
}

fn shifted(member: &Member, by: usize) -> Member {
    let shift = |range: &std::ops::Range<usize>| range.start + by..range.end + by;
    Member { key: shift(&member.key), escaped: member.escaped, value: shift(&member.value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(event: &str, expected: &str) {
        let mut layout = Layout::new();
        layout.add(&["a", "b"]);
        layout.add(&["x"]);
        let mut names = Names::default();
        let mut batch = Batch::new(&layout);
        load(&mut batch, &layout, &mut names, &[b"{}", event.as_bytes()]).unwrap();
        let mut got = String::new();
        let mut show = |path: &str, view: View| {
            let mut out = Vec::new();
            crate::column::print::view(&mut out, &batch.arena, view);
            got.extend([path, "=", &String::from_utf8(out).unwrap(), " "]);
        };
        for (node, _) in layout.nodes() {
            if let Some(raw) = &batch.field(node).raw
                && raw[1] != View::MISSING
            {
                show(&layout.display(node), raw[1]);
            }
        }
        for &(name, view) in batch.rest.of(1) {
            let name = names.get(name);
            show(&format!("{}|{}", layout.display(name.anchor), name.keys.join("/")), view);
        }
        assert_eq!(got.trim_end(), expected, "{event}");
    }

    #[test]
    fn known_paths_have_fields_and_the_rest_has_names() {
        check(r#"{"x":1,"y":{"z":[1, 2],"e":{}},"n":null}"#, ".x=1 .|y/z=[1, 2] .|y/e={} .|n=null");
        check(
            r#"{"a":{"b":{"c":1},"d":"q\"",  "a.b":true}}"#,
            r#".a={} .a.b={"c":1} .a|d="q\"" .a|a.b=true"#,
        );
        check(r#"{"a":"s","x":{"y":1}}"#, r#".a="s" .x={"y":1}"#);
        check("{}", "");
    }

    #[test]
    fn the_last_of_duplicate_keys_wins() {
        check(r#"{"x":1,"x":null}"#, ".x=null");
        check(r#"{"a":{"b":1,"c":2},"a":3}"#, ".a=3");
        check(r#"{"a":3,"a":{"c":2},"a":{"b":1}}"#, ".a={} .a.b=1");
        check(r#"{"y":{"z":1,"w":2},"y":{"z":3}}"#, ".|y/z=3");
        check(r#"{"y":{"z":{"q":1},"z":4},"x":1}"#, ".x=1 .|y/z=4");
        check(r#"{"y":1,"\u0079":2}"#, ".|y=2");
    }

    #[test]
    fn refuses_what_is_no_event() {
        let layout = Layout::new();
        let (mut names, mut batch) = (Names::default(), Batch::new(&layout));
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(64), "]".repeat(64));
        for bad in ["", "[]", "null", "{", "{\"a\":1e999}", "{} x", "{\"a\":\"\\ud800\"}", &deep] {
            let (index, _) =
                load(&mut batch, &layout, &mut names, &[b"{}", bad.as_bytes()]).unwrap_err();
            assert_eq!((index, batch.rows), (1, 0), "{bad}");
        }
    }
}
