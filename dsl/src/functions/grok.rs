//! Compiled `grok"…"` literals: named patterns put together to one regex of linear time.
//!
//! Invariant: what a literal expands to is bounded, and matching takes time linear in the text.

mod library;

use std::sync::Arc;

use super::{
    pattern::Reads,
    regex::{LiteralError, Regex},
};
use crate::{
    column::{Absence, Value},
    types::{FieldType, Shape, Ty},
};

/// How deep patterns may name patterns: twice what the library has.
const DEPTH_MAX: usize = 16;
/// Longest regex that a literal may become; the library's longest has some 3,000 bytes.
const EXPANDED_MAX: usize = 64 << 10;

/// A grok pattern.
#[derive(Debug)]
pub struct Grok {
    /// As written.
    pub source: String,
    /// The record it yields: one field a name, each perhaps absent.
    pub shape: Arc<Shape>,
    regex: Regex,
    fields: Vec<Field>,
}

impl PartialEq for Grok {
    /// Equal text means an equal pattern.
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

/// A field and the groups that may hold it, as alternatives name it more than once.
#[derive(Debug)]
struct Field {
    name: String,
    reads: Reads,
    groups: Vec<usize>,
}

impl Grok {
    /// Compiles a literal.
    pub fn compile(source: &str) -> Result<Self, LiteralError> {
        let mut expansion =
            Expansion { out: String::new(), fields: Vec::new(), groups: Vec::new() };
        expansion.expand(source, None, 0)?;
        let Expansion { out, mut fields, groups } = expansion;
        let regex = Regex::compile(&out, "").map_err(|error| placed(source, error))?;
        if fields.is_empty() {
            return Err(LiteralError::at(0..source.len(), "the pattern captures nothing")
                .help("name what is wanted: `%{IP:client}`"));
        }
        for (number, name) in regex.groups().enumerate() {
            let ours = name.and_then(|name| name.strip_prefix("_g")?.parse::<usize>().ok());
            if let Some(field) = ours.and_then(|group| groups.get(group)) {
                fields[*field].groups.push(number + 1);
            }
        }
        let shape = fields.iter().map(|field| FieldType {
            name: field.name.as_str().into(),
            ty: Ty::optional(field.reads.ty()),
            coerce: false,
            sensitive: false,
        });
        let shape = Arc::new(Shape { fields: shape.collect(), open: false });
        Ok(Self { source: source.into(), shape, regex, fields })
    }

    /// Reads a text into one value a field of [`Self::shape`].
    pub fn run<'t>(&self, text: &'t str, values: &mut Vec<Value<'t>>) -> Result<(), Absence> {
        if !self.regex.may_match(text.as_bytes()) {
            return Err(Absence::NoMatch);
        }
        let found = self.regex.machine.captures(text.as_bytes()).ok_or(Absence::NoMatch)?;
        for field in &self.fields {
            let part = field.groups.iter().find_map(|group| text.get(found.get(*group)?.range()));
            values.push(match part {
                None => Value::Absent(Absence::Missing),
                Some(part) if field.reads.is_text() => Value::text(part),
                Some(part) => Value::or_absent(field.reads.read(part), Absence::Parse),
            });
        }
        Ok(())
    }
}

/// A mistake in what the literal became, said of the literal.
fn placed(source: &str, error: LiteralError) -> LiteralError {
    // What the author wrote is found again; what the library wrote has no mistakes.
    let mark = ["(?=", "(?!", "(?<=", "(?<!", "(?>", "\\k", "\\1", "\\2"]
        .iter()
        .find_map(|mark| source.find(mark).map(|at| at..at + mark.len()))
        .filter(|_| error.nonlinear);
    LiteralError { range: mark.unwrap_or(0..source.len()), ..error }
}

/// The regex that a literal becomes.
struct Expansion {
    out: String,
    fields: Vec<Field>,
    /// Per group of ours: its field.
    groups: Vec<usize>,
}

impl Expansion {
    /// Appends a pattern; `at` is the place in the literal that named it, `None` for the literal itself.
    fn expand(
        &mut self,
        pattern: &str,
        at: Option<std::ops::Range<usize>>,
        depth: usize,
    ) -> Result<(), LiteralError> {
        let place = |range: std::ops::Range<usize>| at.clone().unwrap_or(range);
        if depth > DEPTH_MAX {
            return Err(LiteralError::at(place(0..pattern.len()), "patterns nest too deeply"));
        }
        let mut rest = 0;
        while let Some(c) = pattern[rest..].chars().next() {
            if self.out.len() > EXPANDED_MAX {
                return Err(LiteralError::at(
                    place(0..pattern.len()),
                    "the pattern becomes too long a regex",
                ));
            }
            let here = &pattern[rest..];
            if c == '\\' {
                let length = 1 + here[1..].chars().next().map_or(0, char::len_utf8);
                self.out.push_str(&here[..length]);
                rest += length;
            } else if let Some(inner) = here.strip_prefix("%{") {
                let Some(end) = inner.find('}') else {
                    let range = place(rest..pattern.len());
                    return Err(LiteralError::at(range, "this `%{` has no `}`"));
                };
                self.named(&inner[..end], place(rest..rest + end + 3), depth)?;
                rest += end + 3;
            } else if let Some(name) = group_name(here) {
                let length = here.find('>').map_or(here.len(), |end| end + 1);
                self.open(name, "string", place(rest..rest + length))?;
                rest += length;
            } else {
                self.out.push(c);
                rest += c.len_utf8();
            }
        }
        Ok(())
    }

    /// `NAME`, `NAME:field`, `NAME:field:type`.
    fn named(
        &mut self,
        inner: &str,
        at: std::ops::Range<usize>,
        depth: usize,
    ) -> Result<(), LiteralError> {
        let mut parts = inner.splitn(3, ':');
        let name = parts.next().unwrap_or("").trim();
        let Some(pattern) = library::find(name) else {
            let message = format!("there is no pattern `{name}`");
            let error = LiteralError::at(at, message);
            return Err(match library::nearest(name) {
                Some(near) => error.help(format!("a pattern with a similar name exists: `{near}`")),
                None => error.help("write its regex in its place: `(?<field>…)`"),
            });
        };
        match parts.next().map(str::trim) {
            Some(field) if !field.is_empty() => {
                self.open(field, parts.next().map_or("string", str::trim), at.clone())?;
            }
            _ => self.out.push_str("(?:"),
        }
        self.expand(pattern, Some(at), depth + 1)?;
        self.out.push(')');
        Ok(())
    }

    /// Opens the group of a field.
    fn open(
        &mut self,
        name: &str,
        ty: &str,
        at: std::ops::Range<usize>,
    ) -> Result<(), LiteralError> {
        // `[http][status]`, as some write it, is `http.status`.
        let name = name.trim_matches(['[', ']']).replace("][", ".");
        let plain =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'@' | b'-');
        if name.is_empty() || !name.bytes().all(plain) {
            let message = format!("`{name}` is no name for a field");
            return Err(
                LiteralError::at(at, message).help("names have letters, digits, `_` and `.`")
            );
        }
        let Some(reads) = Reads::named(match ty {
            "long" | "integer" | "number" => "int",
            "double" => "float",
            "boolean" => "bool",
            other => other,
        }) else {
            let message = format!("`{ty}` is no type of a field");
            return Err(LiteralError::at(at, message).help(
                "there are int, float, string, bool, ip, cidr, timestamp, duration, severity",
            ));
        };
        let field = self.fields.iter().position(|field| field.name == name).unwrap_or_else(|| {
            self.fields.push(Field { name, reads, groups: Vec::new() });
            self.fields.len() - 1
        });
        self.out.push_str(&format!("(?<_g{}>", self.groups.len()));
        self.groups.push(field);
        Ok(())
    }
}

/// The name of a group that opens here.
fn group_name(here: &str) -> Option<&str> {
    let inner = here.strip_prefix("(?<").or_else(|| here.strip_prefix("(?P<"))?;
    if inner.starts_with(['=', '!']) {
        return None;
    }
    inner.split_once('>').map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_library_compiles() {
        for (name, _) in library::PATTERNS {
            let grok = Grok::compile(&format!("%{{{name}:it}}"));
            assert!(grok.is_ok(), "{name}: {:?}", grok.unwrap_err());
        }
    }

    #[test]
    fn mistakes_have_a_place_and_advice() {
        let error = |source: &str| Grok::compile(source).unwrap_err();
        let unknown = error("a %{NUMBR:n}");
        assert_eq!((unknown.range, unknown.nonlinear), (2..12, false));
        assert!(unknown.help.unwrap().contains("`NUMBER`"));
        let ahead = error("%{WORD:w}(?=x)");
        assert_eq!((ahead.range, ahead.nonlinear), (9..12, true));
        assert!(error("%{WORD}").message.contains("captures nothing"));
        assert!(error("%{WORD:a:color}").message.contains("`color`"));
        assert!(error("%{WORD:a").message.contains("no `}`"));
        assert!(error("%{WORD:a b}").message.contains("no name"));
    }
}
