//! Text to tree: one declaration at a time, so that one mistake hides no other.
//!
//! Invariant: never panics, never recurses deeper than the scanner's bound, and says something
//! about everything that is missing from the tree.

use logmon_grammar::{Mismatch, Rule};

use self::lower::Lower;
use super::{
    ast::{Expr, ExprKind, File, Item},
    scan::{self, Kind, MAX_NESTING, Scan, scan},
    split::{Piece, split},
};
use crate::{
    diagnostic::{Code, Diagnostic},
    span::{FileId, Span},
};

mod compare;
mod explain;
mod exprs;
mod items;
mod literals;
mod lower;
mod recover;
mod stmts;

/// The largest file that is read. Ten thousand rules are half of it.
pub const MAX_FILE_BYTES: usize = 1 << 20;

/// How many mistakes of one declaration are looked for; more are noise.
const MAX_MISTAKES: usize = 20;

/// How many mistakes of one file are explained. Nobody reads more, and explaining is what costs.
const MAX_DIAGNOSTICS: usize = 100;

/// Reads a file.
///
/// The tree holds everything that could be read; `Error` nodes stand where a diagnostic explains
/// what could not. Diagnostics come in the order of the text.
pub fn parse_file(file: FileId, text: &str) -> (File, Vec<Diagnostic>) {
    let mut tree = File { id: file, items: Vec::new(), comments: Vec::new() };
    if let Some(refusal) = refuse_size(file, text) {
        return (tree, vec![refusal]);
    }
    let scan = scan(file, text);
    let pieces = split(text, &scan);
    let mut parser = Parser { file, text, scan: &scan, diagnostics: Vec::new() };
    for piece in &pieces {
        parser.piece(piece, &mut tree.items);
    }
    let mut diagnostics = parser.diagnostics;
    diagnostics.sort_by_key(|diagnostic| (diagnostic.at.start, diagnostic.at.end));
    tree.comments = scan.comments;
    (tree, diagnostics)
}

/// Reads one expression: of the search bar, of a dashboard filter, of `eval`.
///
/// There is always an expression; where diagnostics hold an error it is not the whole text.
pub fn parse_expr(file: FileId, text: &str) -> (Expr, Vec<Diagnostic>) {
    let nothing = Expr { kind: ExprKind::Error, span: Span::new(file, 0, text.len()) };
    if let Some(refusal) = refuse_size(file, text) {
        return (nothing, vec![refusal]);
    }
    let scan = scan(file, text);
    let mut parser = Parser { file, text, scan: &scan, diagnostics: Vec::new() };
    let whole = Piece { bytes: 0..text.len(), tokens: 0..scan.tokens.len() };
    if !parser.nesting(&whole) {
        return (nothing, parser.diagnostics);
    }
    if let Some(lone) = parser.lone_brackets(&whole).first() {
        let diagnostic = parser.lone_bracket(&whole, *lone);
        return (nothing, vec![diagnostic]);
    }
    match logmon_grammar::parse(Rule::expression, text) {
        Ok(mut pairs) => {
            let mut lower = parser.lower(0);
            let expression = pairs.next().expect("the grammar puts an expression here");
            let expr = lower.expr(&lower::parts(&expression).need());
            (expr, lower.diagnostics)
        }
        Err(mismatch) => {
            let diagnostic = parser.explain(&mismatch, &whole);
            (nothing, vec![diagnostic])
        }
    }
}

fn refuse_size(file: FileId, text: &str) -> Option<Diagnostic> {
    let is_large = MAX_FILE_BYTES < text.len();
    is_large.then(|| {
        Diagnostic::new(Code::E106, Span::new(file, 0, 0), "the file is larger than 1 MiB")
            .label(format!("{} bytes", text.len()))
            .advise("split it and `include` the parts; lists of constants belong in `lines(…)`")
    })
}

/// What reading one file needs.
#[derive(Debug)]
struct Parser<'t> {
    file: FileId,
    text: &'t str,
    scan: &'t Scan,
    diagnostics: Vec<Diagnostic>,
}

impl<'t> Parser<'t> {
    /// Reads one declaration, or several where they stand on one line.
    fn piece(&mut self, piece: &Piece, items: &mut Vec<Item>) {
        let start = piece.bytes.start;
        let failed = Item::Error(Span::new(self.file, start, piece.bytes.end));
        if MAX_DIAGNOSTICS <= self.diagnostics.len() || !self.nesting(piece) {
            items.push(failed);
            return;
        }
        let mut masked = recover::Masked::new(&self.text[piece.bytes.clone()]);
        let lone_brackets = self.lone_brackets(piece);
        for lone in lone_brackets.iter().take(MAX_MISTAKES).copied() {
            let (token, is_inside) = (self.scan.tokens[lone], self.is_inside(piece, lone));
            if token.kind == Kind::Close && is_inside {
                // The grammar says better what should stand in its place.
                continue;
            }
            let diagnostic = self.lone_bracket(piece, lone);
            self.diagnostics.push(diagnostic);
            let bracket = token.start - start..token.end - start;
            let is_brace = self.text[token.start..].starts_with('{');
            if token.kind == Kind::Close {
                masked.blank_out(bracket);
            } else if is_brace || !is_inside || !self.mask_at(&mut masked, piece, lone) {
                items.push(failed);
                return;
            }
        }
        for _ in 0..MAX_MISTAKES {
            match logmon_grammar::parse(Rule::items, masked.text()) {
                Ok(pairs) => {
                    let mut lower = self.lower(start);
                    let declarations =
                        pairs.flat_map(|items| lower::parts(&items)).map(|item| lower.item(&item));
                    items.extend(declarations);
                    let found = lower.diagnostics;
                    self.diagnostics.extend(found);
                    return;
                }
                Err(mismatch) => {
                    let diagnostic = self.explain(&mismatch, piece);
                    self.diagnostics.push(diagnostic);
                    if mismatch.too_deep || !self.mask(&mut masked, piece, &mismatch) {
                        break;
                    }
                }
            }
        }
        items.push(failed);
    }

    fn lower(&self, base: usize) -> Lower<'t> {
        Lower {
            file: self.file,
            text: self.text,
            tokens: &self.scan.tokens,
            base,
            diagnostics: Vec::new(),
            depth: 0,
        }
    }

    /// Looks at the nesting before the grammar does; whether it may.
    fn nesting(&mut self, piece: &Piece) -> bool {
        let deep = self.scan.too_deep.iter();
        let mut deep = deep.filter(|at| piece.bytes.contains(at) || **at == piece.bytes.end);
        let Some(at) = deep.next() else { return true };
        let at = Span::new(self.file, at.saturating_sub(1), *at);
        self.diagnostics.push(
            Diagnostic::new(Code::E106, at, "this is nested too deeply")
                .label(format!("more than {MAX_NESTING} levels"))
                .note("brackets, `else if` and lambdas count")
                .advise("give the inner parts names with `let` or `fn`"),
        );
        false
    }

    /// Finds the brackets of a piece that have no partner.
    fn lone_brackets(&self, piece: &Piece) -> Vec<usize> {
        let is_lone = |idx: &usize| {
            let token = &self.scan.tokens[*idx];
            matches!(token.kind, Kind::Open | Kind::Close) && token.partner.is_none()
        };
        piece.tokens.clone().filter(is_lone).collect()
    }

    /// Whether a token lies in braces that are closed.
    fn is_inside(&self, piece: &Piece, idx: usize) -> bool {
        piece.tokens.clone().take_while(|open| *open < idx).any(|open| {
            let token = &self.scan.tokens[open];
            token.kind == Kind::Open
                && token.partner.is_some_and(|close| idx < close)
                && self.text[token.start..].starts_with('{')
        })
    }

    fn lone_bracket(&self, piece: &Piece, idx: usize) -> Diagnostic {
        let token = self.scan.tokens[idx];
        let bracket = &self.text[token.start..token.end];
        let at = Span::new(self.file, token.start, token.end);
        if token.kind == Kind::Close {
            return Diagnostic::new(Code::E100, at, format!("this `{bracket}` closes nothing"))
                .label("no bracket is open here");
        }
        let inside = &self.scan.tokens[idx..piece.tokens.end];
        if let Some(text) = inside.iter().find(|token| token.kind == Kind::Unclosed) {
            // It took the closing bracket in.
            return explain::unclosed(Span::new(self.file, text.start, text.end));
        }
        let mut diagnostic =
            Diagnostic::new(Code::E100, at, format!("this `{bracket}` is never closed"))
                .label("opened here");
        if let Some(head) = self.head(piece) {
            let word = head.of(self.text);
            diagnostic = diagnostic.related(head, format!("in this `{word}`"));
        }
        if bracket == "{"
            && let Some((open, close)) = self.crooked(piece)
        {
            diagnostic = diagnostic
                .related(open, "perhaps it is this one that is open")
                .related(close, "this stands too far left for it");
        }
        diagnostic
    }

    /// Returns the word that says what a piece declares.
    fn head(&self, piece: &Piece) -> Option<Span> {
        let tokens = &self.scan.tokens[piece.tokens.clone()];
        let head = tokens.iter().find(|token| {
            token.kind == Kind::Word && scan::is_item_word(&self.text[token.start..token.end])
        })?;
        Some(Span::new(self.file, head.start, head.end))
    }

    /// Finds a pair of braces whose lines are indented differently: people indent what they mean.
    fn crooked(&self, piece: &Piece) -> Option<(Span, Span)> {
        let tokens = &self.scan.tokens;
        let indent = |at: usize| {
            let line = self.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
            self.text[line..].len() - self.text[line..].trim_start_matches(' ').len()
        };
        piece.tokens.clone().find_map(|idx| {
            let (open, close) = (tokens[idx], tokens[tokens[idx].partner?]);
            let is_crooked = open.kind == Kind::Open
                && close.leads
                && indent(close.start) < indent(open.start)
                && self.text[open.start..].starts_with('{');
            let span = |at: usize| Span::new(self.file, at, at + 1);
            is_crooked.then(|| (span(open.start), span(close.start)))
        })
    }

    /// Finds the token at a place, or the first one behind it.
    fn token_at(&self, at: usize) -> usize {
        self.scan.tokens.partition_point(|token| token.end <= at)
    }

    /// Says in a person's words what the grammar did not find.
    fn explain(&self, mismatch: &Mismatch, piece: &Piece) -> Diagnostic {
        explain::explain(self, mismatch, piece)
    }
}
