//! Compiled `pat"…"` and `glob"…"` literals.
//!
//! Invariant: a pattern never goes back. Each literal is searched once, from where the last one ended.

use std::{borrow::Cow, ops::Range, sync::Arc};

use memchr::memmem;

use super::{
    read::{self, SeverityScheme},
    regex::LiteralError,
    strptime::TimeFormat,
};
use crate::{
    column::{Absence, Value},
    types::{FieldType, Shape, Ty, Type},
};

/// A typed pattern: literal text between typed captures.
#[derive(Debug)]
pub struct Pattern {
    /// As written.
    pub source: String,
    /// The record it yields: one field a named capture.
    pub shape: Arc<Shape>,
    /// Text that must stand at the start.
    prefix: Box<str>,
    captures: Vec<Capture>,
}

impl PartialEq for Pattern {
    /// Equal text means an equal pattern.
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

/// A capture and the literal behind it.
#[derive(Debug)]
struct Capture {
    /// Its place in the record; `None` for `<_>`.
    field: Option<usize>,
    reads: Reads,
    /// `T?`: what cannot be read is absent; `<name?>`: may be empty.
    optional: bool,
    /// Whether a quoted value may stand here: not where the pattern itself writes the quote.
    unquotes: bool,
    /// What ends it; `None` where it takes the rest of the text.
    end: Option<memmem::Finder<'static>>,
}

/// How a capture's text is read.
#[derive(Debug)]
pub(super) enum Reads {
    Text,
    Int,
    Float,
    Bool,
    Ip,
    Cidr,
    Timestamp,
    TimestampAs(TimeFormat),
    Duration,
    Severity,
}

const TYPES: &str =
    "int, float, string, bool, ip, cidr, timestamp, timestamp(\"…\"), duration, severity";

impl Pattern {
    /// Compiles a pattern literal.
    pub fn compile(source: &str) -> Result<Self, LiteralError> {
        let mut pattern = Self {
            source: source.into(),
            shape: Arc::default(),
            prefix: "".into(),
            captures: Vec::new(),
        };
        let mut shape = Shape::default();
        let mut literal = String::new();
        let mut at = 0;
        let mut last_end = None;
        while let Some(c) = source[at..].chars().next() {
            let next = source[at + c.len_utf8()..].chars().next();
            match (c, next) {
                ('\\', Some('<' | '\\')) => {
                    literal.extend(next);
                    at += 2;
                }
                ('<', Some(first)) if first.is_ascii_alphabetic() || first == '_' => {
                    let end = capture_end(source, at)?;
                    if literal.is_empty() && !pattern.captures.is_empty() {
                        let range = last_end.unwrap_or(at)..end;
                        return Err(LiteralError::at(
                            range,
                            "two captures stand next to each other: nothing says where the first ends",
                        )
                        .help("put the text between them that separates them in the line"));
                    }
                    let text = std::mem::take(&mut literal);
                    let unquotes = !text.ends_with('"');
                    match pattern.captures.last_mut() {
                        Some(before) => before.end = Some(finder(&text)),
                        None => pattern.prefix = text.into(),
                    }
                    let capture = read_capture(source, at + 1..end - 1, unquotes, &mut shape)?;
                    pattern.captures.push(capture);
                    at = end;
                    last_end = Some(at);
                }
                _ => {
                    literal.push(c);
                    at += c.len_utf8();
                }
            }
        }
        match pattern.captures.last_mut() {
            Some(last) if !literal.is_empty() => last.end = Some(finder(&literal)),
            Some(_) => {}
            None => {
                return Err(LiteralError::at(0..source.len(), "the pattern captures nothing")
                    .help("write `<name>` where a value stands, or use `contains`"));
            }
        }
        pattern.shape = Arc::new(shape);
        Ok(pattern)
    }

    /// Reads a text into one value a field of [`Self::shape`]; `why` there is no match otherwise.
    pub fn run<'t>(&self, text: &'t str, fields: &mut Vec<Value<'t>>) -> Result<(), Absence> {
        fields.clear();
        fields.resize(self.shape.fields.len(), Value::Absent(Absence::Missing));
        let mut rest = text.strip_prefix(&*self.prefix).ok_or(Absence::NoMatch)?;
        for capture in &self.captures {
            let (value, behind) = capture.cut(rest).ok_or(Absence::NoMatch)?;
            rest = behind;
            let value = capture.value(value)?;
            if let Some(field) = capture.field {
                fields[field] = value;
            }
        }
        Ok(())
    }
}

fn finder(text: &str) -> memmem::Finder<'static> {
    memmem::Finder::new(text).into_owned()
}

/// Past the `>` of the capture that opens at `start`. A `>` in quotes belongs to a time format.
fn capture_end(source: &str, start: usize) -> Result<usize, LiteralError> {
    let mut quoted = false;
    for (at, byte) in source.bytes().enumerate().skip(start) {
        match byte {
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Ok(at + 1),
            _ => {}
        }
    }
    Err(LiteralError::at(start..source.len(), "this capture has no `>`")
        .help("write `\\<` where the text itself has a `<` before a letter"))
}

/// Reads `name`, `name?`, `name:type`, `name:type?` between `<` and `>`.
fn read_capture(
    source: &str,
    range: Range<usize>,
    unquotes: bool,
    shape: &mut Shape,
) -> Result<Capture, LiteralError> {
    let text = &source[range.clone()];
    let (name, ty) = match text.split_once(':') {
        Some((name, ty)) => (name.trim(), Some(ty.trim())),
        None => (text.trim(), None),
    };
    let (name, empty) = match name.strip_suffix('?') {
        Some(name) => (name, true),
        None => (name, false),
    };
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        let message = format!("`{name}` is no name for a capture");
        return Err(LiteralError::at(range, message)
            .help("names have letters, digits and `_`; write `\\<` for a `<` of the text"));
    }
    let (ty, optional) = match ty.map(|ty| (ty, ty.strip_suffix('?'))) {
        Some((_, Some(ty))) => (Some(ty), true),
        Some((ty, None)) => (Some(ty), empty),
        None => (None, empty),
    };
    let known = ty.map_or(Some(Reads::Text), Reads::named);
    let reads = match (known, ty) {
        (Some(reads), _) => reads,
        (None, None) => Reads::Text,
        (None, Some(other)) => {
            let format = other
                .strip_prefix("timestamp(\"")
                .and_then(|format| format.strip_suffix("\")"))
                .ok_or_else(|| {
                    let message = format!("`{other}` is no type of a capture");
                    LiteralError::at(range.clone(), message).help(format!("there are {TYPES}"))
                })?;
            let format = TimeFormat::compile(format)
                .map_err(|message| LiteralError::at(range.clone(), message))?;
            if !format.has_year() {
                let message = "this time format names no year";
                return Err(LiteralError::at(range, message)
                    .help("take the text as it is and read it with `parse_timestamp`"));
            }
            Reads::TimestampAs(format)
        }
    };
    let field = if name == "_" {
        None
    } else {
        if shape.field(name).is_some() {
            let message = format!("`{name}` is captured twice");
            return Err(LiteralError::at(range, message).help("`<_>` skips a part"));
        }
        let base = reads.ty();
        let absent = optional && base != Type::Text;
        shape.fields.push(FieldType {
            name: name.into(),
            ty: Ty { base, optional: absent },
            coerce: false,
            sensitive: false,
        });
        Some(shape.fields.len() - 1)
    };
    let optional = optional || field.is_none();
    Ok(Capture { field, reads, optional, unquotes, end: None })
}

impl Reads {
    /// The way to read a type by its name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "string" => Self::Text,
            "int" => Self::Int,
            "float" => Self::Float,
            "bool" => Self::Bool,
            "ip" => Self::Ip,
            "cidr" => Self::Cidr,
            "timestamp" => Self::Timestamp,
            "duration" => Self::Duration,
            "severity" => Self::Severity,
            _ => return None,
        })
    }

    /// Whether the text itself is the value.
    pub(super) fn is_text(&self) -> bool {
        matches!(self, Self::Text)
    }

    /// The type of what is read.
    pub(super) fn ty(&self) -> Type {
        match self {
            Self::Text => Type::Text,
            Self::Int => Type::Int,
            Self::Float => Type::Float,
            Self::Bool => Type::Bool,
            Self::Ip => Type::Ip,
            Self::Cidr => Type::Cidr,
            Self::Timestamp | Self::TimestampAs(_) => Type::Timestamp,
            Self::Duration => Type::Duration,
            Self::Severity => Type::Severity,
        }
    }

    /// Reads a text that is not taken as it is.
    pub(super) fn read(&self, text: &str) -> Option<Value<'static>> {
        match self {
            Self::Text => None,
            Self::Int => read::int(text).map(Value::Int),
            Self::Float => read::float(text).map(Value::Float),
            Self::Bool => read::bool(text).map(Value::Bool),
            Self::Ip => read::ip(text).map(Value::Ip),
            Self::Cidr => read::cidr(text).map(Value::Cidr),
            Self::Timestamp => read::timestamp(text).map(Value::Timestamp),
            Self::TimestampAs(format) => format.read(text).map(Value::Timestamp),
            Self::Duration => read::duration(text).map(Value::Duration),
            Self::Severity => read::severity(text, SeverityScheme::Auto).map(Value::Severity),
        }
    }
}

impl Capture {
    /// The captured text, and what stands behind the literal that ends it.
    fn cut<'t>(&self, rest: &'t str) -> Option<(Cow<'t, str>, &'t str)> {
        if self.unquotes
            && rest.starts_with('"')
            && let Some((inner, behind)) = unquote(rest)
        {
            let behind = match &self.end {
                None => behind.is_empty().then_some(""),
                Some(end) => behind
                    .as_bytes()
                    .strip_prefix(end.needle())
                    .and_then(|after| behind.get(behind.len() - after.len()..)),
            };
            if let Some(behind) = behind {
                return Some((inner, behind));
            }
        }
        match &self.end {
            None => Some((Cow::Borrowed(rest), "")),
            Some(end) => {
                let found = end.find(rest.as_bytes())?;
                let behind = found + end.needle().len();
                Some((Cow::Borrowed(rest.get(..found)?), rest.get(behind..)?))
            }
        }
    }

    /// The captured text as its type; the cause where there is no match.
    fn value<'t>(&self, text: Cow<'t, str>) -> Result<Value<'t>, Absence> {
        if let Reads::Text = self.reads {
            if text.is_empty() && !self.optional {
                return Err(Absence::NoMatch);
            }
            return Ok(Value::Text(text));
        }
        match self.reads.read(&text) {
            Some(value) => Ok(value),
            None if self.optional => Ok(Value::Absent(match &*text {
                "" | "-" => Absence::Missing,
                _ => Absence::Parse,
            })),
            None => Err(Absence::NoMatch),
        }
    }
}

/// The inside of a quoted text (`\"` and `\\` undone), and what follows the closing quote.
pub(super) fn unquote(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let inner = text.strip_prefix('"')?;
    let mut escaped = false;
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', inner.get(at..)?.as_bytes())?;
        if inner.as_bytes()[at] == b'"' {
            break;
        }
        escaped = true;
        at += 2;
        // The escaped character may be longer than a byte.
        while at < inner.len() && !inner.is_char_boundary(at) {
            at += 1;
        }
    }
    let (value, behind) = (&inner[..at], &inner[at + 1..]);
    Some(if escaped {
        (super::items::unescape(value), behind)
    } else {
        (Cow::Borrowed(value), behind)
    })
}

/// A glob over the whole text: `*` any run, `?` one character.
#[derive(Debug)]
pub struct Glob {
    /// As written.
    pub source: String,
    /// What stands between the `*`.
    pieces: Vec<Piece>,
}

/// A run of characters and `?`.
#[derive(Debug)]
struct Piece {
    text: Box<[u8]>,
    /// `None` where the piece has a `?` in it.
    finder: Option<memmem::Finder<'static>>,
}

impl PartialEq for Glob {
    /// Equal text means an equal glob.
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Glob {
    /// Compiles a glob literal.
    pub fn compile(source: &str) -> Result<Self, LiteralError> {
        // Pieces with `?` are compared place by place: the product of lengths is the cost.
        const LONGEST: usize = 1024;
        if source.len() > LONGEST {
            return Err(LiteralError::at(LONGEST..source.len(), "a glob has at most 1,024 bytes"));
        }
        let pieces = source
            .split('*')
            .map(|text| Piece {
                text: text.as_bytes().into(),
                finder: (!text.contains('?')).then(|| finder(text)),
            })
            .collect();
        Ok(Self { source: source.into(), pieces })
    }

    /// Whether the whole text fits.
    pub fn matches(&self, text: &[u8]) -> bool {
        let [first, middle @ .., last] = &*self.pieces else {
            return self.pieces[0].length_at(text) == Some(text.len());
        };
        let Some(mut at) = first.length_at(text) else { return false };
        // The first place is the best one for every piece but the last, which must end with the text.
        for piece in middle {
            let Some((start, length)) = piece.find(&text[at..]) else { return false };
            at += start + length;
        }
        last.ends(&text[at..])
    }
}

impl Piece {
    /// How many bytes of the text's start it fits.
    fn length_at(&self, text: &[u8]) -> Option<usize> {
        let mut at = 0;
        for &byte in &self.text {
            let first = *text.get(at)?;
            if byte == b'?' {
                at += character_len(first).min(text.len() - at);
            } else if byte == first {
                at += 1;
            } else {
                return None;
            }
        }
        Some(at)
    }

    /// The first place where it fits, and how many bytes it takes there.
    fn find(&self, text: &[u8]) -> Option<(usize, usize)> {
        if let Some(finder) = &self.finder {
            return finder.find(text).map(|at| (at, self.text.len()));
        }
        (0..=text.len())
            .filter(|at| text.get(*at).is_none_or(|byte| byte & 0xC0 != 0x80))
            .find_map(|at| Some((at, self.length_at(&text[at..])?)))
    }

    /// Whether the text ends with it.
    fn ends(&self, text: &[u8]) -> bool {
        if self.finder.is_some() {
            return text.ends_with(&self.text);
        }
        // Backwards character by character: `?` may be up to four bytes long.
        let mut end = text.len();
        for &byte in self.text.iter().rev() {
            if end == 0 {
                return false;
            }
            let mut start = end - 1;
            if byte == b'?' {
                while start > 0 && text[start] & 0xC0 == 0x80 {
                    start -= 1;
                }
            } else if text[start] != byte {
                return false;
            }
            end = start;
        }
        true
    }
}

/// How many bytes the character with this first byte has.
fn character_len(first: u8) -> usize {
    match first {
        0..0xC0 => 1,
        0xC0..0xE0 => 2,
        0xE0..0xF0 => 3,
        0xF0.. => 4,
    }
}
