//! Tree to canonical text: one style, no options.
//!
//! Formatting what was formatted changes nothing, no comment is lost, and the text reads back as
//! the same tree. Literals are copied as they stand; what was on several lines stays so, since
//! whoever wrote it wanted it; what does not fit 100 columns is broken.

use self::{
    comments::Comments,
    doc::{Doc, concat, group, text},
};
use super::{
    ast::{Expr, Item},
    parse_file,
};
use crate::{
    diagnostic::Diagnostic,
    span::{FileId, Span},
};

mod comments;
mod doc;
mod exprs;
mod items;
mod stmts;
mod test;
mod types;

/// How wide a line may be.
const WIDTH: usize = 100;

/// Formats a file; a file with errors is left alone, and the errors are the answer.
pub fn format(file: FileId, text: &str) -> Result<String, Vec<Diagnostic>> {
    let (tree, diagnostics) = parse_file(file, text);
    if !diagnostics.is_empty() {
        return Err(diagnostics);
    }
    let mut printer = Printer { text, comments: Comments::new(tree.comments) };
    let lines = printer.lines(0, text.len(), &tree.items, Item::span, Printer::item);
    let mut formatted = concat(lines).print(WIDTH);
    if !formatted.is_empty() {
        formatted.push('\n');
    }
    Ok(formatted)
}

/// Turns a tree into a document.
#[derive(Debug)]
struct Printer<'t> {
    /// The text the tree was read from.
    text: &'t str,
    /// The comments that are not in the document yet.
    comments: Comments,
}

impl Printer<'_> {
    /// Copies what stands in the text, with the comments inside it.
    fn copy(&mut self, span: Span) -> Doc {
        self.comments.drop_inside(span);
        text(span.of(self.text))
    }

    /// Prints things that stand on lines of their own, with the comments around them.
    ///
    /// `start` and `end` are the bytes between which they stand.
    fn lines<T>(
        &mut self,
        start: usize,
        end: usize,
        things: &[T],
        span: impl Fn(&T) -> Span,
        print: impl Fn(&mut Self, &T) -> Doc,
    ) -> Vec<Doc> {
        let mut lines = Lines { docs: Vec::new(), last: start };
        for thing in things {
            let range = span(thing).range();
            for comment in self.comments.before(range.start) {
                lines.push(self.text, comment.span.range(), Doc::Comment(comment.text));
            }
            let mut doc = print(self, thing);
            let mut last = range.end;
            if let Some(comment) = self.comments.beside(self.text, range.end) {
                last = comment.span.range().end;
                doc = concat([doc, Doc::Trailing(comment.text)]);
            }
            lines.push(self.text, range, doc);
            lines.last = lines.last.max(last);
        }
        for comment in self.comments.before(end) {
            lines.push(self.text, comment.span.range(), Doc::Comment(comment.text));
        }
        lines.docs
    }

    /// Prints things between brackets: on one line, or each on its own.
    fn elements<T>(
        &mut self,
        brackets: Brackets,
        things: &[T],
        span: impl Fn(&T) -> Span,
        print: impl Fn(&mut Self, &T) -> Doc,
    ) -> Doc {
        let Brackets { open, close, span: whole, pad, comma } = brackets;
        let range = whole.range();
        let first = things.first().map(|thing| span(thing).range().start);
        let head = first.map_or("", |first| &self.text[range.start.min(first)..first]);
        let mut is_broken = head.contains('\n');
        let mut inside = Vec::new();
        if let Some(comment) = self.comments.beside(self.text, range.start + open.len()) {
            inside.push(Doc::Trailing(comment.text));
        }
        for (idx, thing) in things.iter().enumerate() {
            let at = span(thing).range();
            inside.push(if idx == 0 && !pad { Doc::SoftLine } else { Doc::Line });
            for comment in self.comments.before(at.start) {
                inside.extend([Doc::Comment(comment.text), Doc::HardLine]);
            }
            inside.push(print(self, thing));
            let is_last = idx + 1 == things.len();
            match (is_last, comma) {
                (false, _) => inside.push(text(",")),
                (true, true) => inside.push(Doc::IfBroken(",")),
                (true, false) => {}
            }
            if let Some(comment) = self.comments.beside(self.text, at.end) {
                inside.push(Doc::Trailing(comment.text));
            }
        }
        for comment in self.comments.before(range.end.saturating_sub(close.len())) {
            inside.extend([Doc::HardLine, Doc::Comment(comment.text)]);
        }
        is_broken |= inside.iter().any(Doc::forces);
        if inside.is_empty() {
            return text(format!("{open}{close}"));
        }
        let end = if pad { Doc::Line } else { Doc::SoftLine };
        let doc = concat([text(open), Doc::indent(concat(inside)), end, text(close)]);
        Doc::Group(Box::new(doc), is_broken)
    }

    /// Puts a value behind `=`: on the same line, or where that helps on the next.
    fn value(&mut self, head: Doc, value: &Expr) -> Doc {
        let doc = self.expr(value);
        if exprs::is_chain(value) {
            return group([head, Doc::indent(concat([Doc::Line, doc]))]);
        }
        concat([head, text(" "), doc])
    }
}

/// What surrounds a list of things.
#[derive(Clone, Copy, Debug)]
struct Brackets {
    open: &'static str,
    close: &'static str,
    /// Where both stand with all between them.
    span: Span,
    /// Whether blanks stand inside: `{ a }`, but `[a]`.
    pad: bool,
    /// Whether a comma may follow the last.
    comma: bool,
}

/// Lines as they are collected.
#[derive(Debug)]
struct Lines {
    docs: Vec<Doc>,
    /// Where the last one ends in the text.
    last: usize,
}

impl Lines {
    /// Adds a line, and an empty one before it where the text has any.
    fn push(&mut self, source: &str, at: std::ops::Range<usize>, doc: Doc) {
        if !self.docs.is_empty() {
            self.docs.push(Doc::HardLine);
            if has_blank_line(source.get(self.last..at.start).unwrap_or_default()) {
                self.docs.push(Doc::HardLine);
            }
        }
        self.docs.push(doc);
        self.last = self.last.max(at.end);
    }
}

fn has_blank_line(between: &str) -> bool {
    let mut lines = between.split('\n');
    // What stands before the first newline and behind the last shares its line with text.
    lines.next();
    lines.next_back();
    lines.any(|line| line.trim().is_empty())
}
