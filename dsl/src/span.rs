//! Where text came from: files, places in them, and the texts themselves.
//!
//! Invariant: a `Span` is plain data. It names its file by number, so trees and diagnostics carry
//! no text and no lifetime.

use std::{fmt, sync::Arc};

use serde::Serialize;

/// The number of a file in [`Sources`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u32);

/// A range of bytes in one file; `end` is excluded.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// The first byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// Makes a span out of byte offsets.
    ///
    /// Files are refused above 1 MiB, so offsets always fit 32 bits.
    pub fn new(file: FileId, start: usize, end: usize) -> Self {
        let short = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Self { file, start: short(start), end: short(end) }
    }

    /// Returns the smallest span that covers both; they must be in one file.
    pub fn to(self, other: Self) -> Self {
        debug_assert_eq!(self.file, other.file, "a span lies in one file");
        Self { file: self.file, start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// Returns the empty span just before this one.
    pub fn before(self) -> Self {
        Self { end: self.start, ..self }
    }

    /// Returns the empty span just behind this one.
    pub fn behind(self) -> Self {
        Self { start: self.end, ..self }
    }

    /// Returns the bytes as a range that can index the file's text.
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Returns the text of this span out of its file's text, or nothing where they do not fit.
    pub fn of(self, text: &str) -> &str {
        text.get(self.range()).unwrap_or_default()
    }
}

impl fmt::Debug for Span {
    /// Prints `0:12..34` (file, bytes), so that printed trees stay readable.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}..{}", self.file.0, self.start, self.end)
    }
}

/// One file as it was read.
#[derive(Clone, Debug)]
pub struct Source {
    /// The path as it is shown to a person.
    pub path: String,
    /// The whole text.
    pub text: Arc<str>,
}

/// All files of a program, numbered in the order in which they were added.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<Source>,
}

impl Sources {
    /// Starts without files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file and returns its number.
    pub fn add(&mut self, path: impl Into<String>, text: impl Into<Arc<str>>) -> FileId {
        let id = FileId(u32::try_from(self.files.len()).expect("a program has few files"));
        self.files.push(Source { path: path.into(), text: text.into() });
        id
    }

    /// Returns a file by its number.
    pub fn get(&self, file: FileId) -> Option<&Source> {
        self.files.get(file.0 as usize)
    }

    /// Returns every file with its number.
    pub fn iter(&self) -> impl Iterator<Item = (FileId, &Source)> {
        self.files.iter().enumerate().map(|(idx, source)| (FileId(idx as u32), source))
    }

    /// Returns the text of a span, empty where it lies in no file.
    pub fn text(&self, span: Span) -> &str {
        self.get(span.file).map_or("", |source| span.of(&source.text))
    }

    /// Resolves a span to path, line and column, as people and editors count.
    pub fn place(&self, span: Span) -> Place {
        let Some(source) = self.get(span.file) else {
            return Place { path: String::new(), line: 1, column: 1, end_line: 1, end_column: 1 };
        };
        let (line, column) = line_column(&source.text, span.start as usize);
        let (end_line, end_column) = line_column(&source.text, span.end as usize);
        Place { path: source.path.clone(), line, column, end_line, end_column }
    }
}

/// A span as people and editors count: lines and columns from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file's path.
    pub path: String,
    /// The line of the first character.
    pub line: usize,
    /// The column of the first character.
    pub column: usize,
    /// The line of the end.
    pub end_line: usize,
    /// The column one past the last character.
    pub end_column: usize,
}

/// Returns line and column of a byte offset, both from 1.
pub fn line_column(text: &str, offset: usize) -> (usize, usize) {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &text[..offset];
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (line, before[start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters_from_one() {
        let mut sources = Sources::new();
        let file = sources.add("a.rules", "one\nzwölf x\n");
        let place = sources.place(Span::new(file, 11, 12));
        assert_eq!((place.line, place.column), (2, 7));
        assert_eq!(sources.text(Span::new(file, 11, 12)), "x");
        assert_eq!(line_column("ö", 1), (1, 1), "inside a character is at its start");
        assert_eq!(line_column("a\n", 99), (2, 1));
    }
}
