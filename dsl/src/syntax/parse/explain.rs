//! What the grammar did not find, in a person's words.
//!
//! Invariant: no message names a rule of the grammar.

use logmon_grammar::{Mismatch, Rule};

use super::{Parser, recover::STATEMENT_WORDS};
use crate::{
    diagnostic::{Code, Diagnostic, nearest},
    span::Span,
    syntax::{
        scan::{ITEM_WORDS, Kind, Token},
        split::Piece,
    },
};

/// More alternatives than these help nobody.
const MAX_EXPECTED: usize = 6;

/// Describes one mismatch of a piece.
pub(super) fn explain(parser: &Parser<'_>, mismatch: &Mismatch, piece: &Piece) -> Diagnostic {
    let at = piece.bytes.start + mismatch.at;
    if mismatch.too_deep {
        let at = Span::new(parser.file, at, at);
        return Diagnostic::new(Code::E106, at, "this is nested too deeply to be read");
    }
    let tokens = &parser.scan.tokens[..piece.tokens.end];
    let idx = parser.token_at(at).min(tokens.len());
    let found = tokens.get(idx);
    let before = idx.checked_sub(1).filter(|before| piece.tokens.contains(before));
    let before = before.map(|before| &tokens[before]);
    let text = |token: &Token| &parser.text[token.start..token.end];
    let span = |token: &Token| Span::new(parser.file, token.start, token.end);

    if let Some(token) = [found, before].into_iter().flatten().find(|t| t.kind == Kind::Unclosed) {
        return Diagnostic::new(Code::E100, span(token), "this text has no closing quote")
            .label("starts here")
            .note("text ends on its line; `r\"\"\"…\"\"\"` may have several");
    }
    if let Some(token) = found.filter(|token| text(token) == ";") {
        return Diagnostic::new(Code::E100, span(token), "statements need no `;`")
            .label("not a part of the language")
            .fix("remove it", vec![(span(token), String::new())]);
    }

    let expected = spell(&mismatch.expected);
    let is_tried = |symbol: &str| expected.contains(&symbol);
    // What is missing at the end of a line is shown there, not on the line below.
    let ended = found.is_none_or(|token| token.leads);
    let place = match (found, before) {
        (_, Some(before)) if ended => span(before),
        (Some(found), _) => span(found),
        (None, _) => Span::new(parser.file, at, at),
    };
    let wanted = list(&expected);
    let what = found.map_or_else(|| "the end of the text".to_owned(), |token| name(text(token)));
    let mut diagnostic = if wanted.is_empty() {
        Diagnostic::new(Code::E100, place, format!("{what} does not fit here"))
    } else {
        Diagnostic::new(Code::E100, place, format!("expected {wanted}, found {what}"))
    };
    diagnostic = diagnostic.label(match (ended, wanted.is_empty()) {
        (true, false) => format!("expected {wanted} after this"),
        (true, true) => "something is wrong after this".to_owned(),
        (false, _) => "not expected here".to_owned(),
    });

    let Some(found) = found else { return diagnostic };
    let word = text(found);
    if is_reserved(word) && is_tried("a name") && !is_tried("an expression") {
        return diagnostic.note(format!("`{word}` is a word of the language and cannot be a name"));
    }
    if found.kind == Kind::Word && is_tried("a declaration") && !is_tried("an expression") {
        return match nearest(word, ITEM_WORDS.iter().copied()) {
            Some(near) => meant(diagnostic, span(found), near),
            None => {
                diagnostic.note(format!("a declaration starts with {}", list(&quoted(ITEM_WORDS))))
            }
        };
    }
    if found.kind == Kind::Word && (is_tried("a statement") || ended) {
        if let Some(near) = nearest(word, STATEMENT_WORDS.iter().copied())
            && near != word
        {
            return meant(diagnostic, span(found), near);
        }
        let is_path =
            tokens.get(idx + 1).is_some_and(|next| matches!(text(next), "=" | "??=" | "|="));
        if is_path {
            return diagnostic.suggest(
                "a field starts with a dot",
                vec![(span(found).before(), ".".to_owned())],
            );
        }
    }
    if is_search(parser, piece) && before.is_some() && found.kind == Kind::Word {
        return diagnostic.advise("text to search for stands in quotes: \"connection reset\"");
    }
    diagnostic
}

/// Whether the piece is a lone expression.
fn is_search(parser: &Parser<'_>, piece: &Piece) -> bool {
    piece.bytes == (0..parser.text.len())
        && parser
            .scan
            .tokens
            .first()
            .is_some_and(|first| !ITEM_WORDS.contains(&&parser.text[first.start..first.end]))
}

fn meant(diagnostic: Diagnostic, at: Span, near: &str) -> Diagnostic {
    diagnostic.suggest(format!("did you mean `{near}`?"), vec![(at, near.to_owned())])
}

fn quoted(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| format!("`{word}`")).collect()
}

/// Spells what was tried, each spelling once, the most telling ones alone.
fn spell(rules: &[Rule]) -> Vec<&'static str> {
    let mut symbols: Vec<&'static str> = Vec::new();
    for symbol in rules.iter().filter_map(|rule| rule.symbol()) {
        if !symbols.contains(&symbol) {
            symbols.push(symbol);
        }
    }
    if symbols.contains(&"an expression") {
        // Everything that may start one is implied.
        let implied =
            ["a name", "a path such as `.a.b`", "a literal", "`|`", "`[`", "`(`", "a number"];
        symbols.retain(|symbol| !implied.contains(symbol));
    }
    if symbols.contains(&"`and`") {
        symbols.retain(|symbol| *symbol != "`is`");
    }
    symbols
}

/// Joins alternatives: "`a`, `b` or `c`".
fn list(words: &[impl AsRef<str>]) -> String {
    let (head, more) = words.split_at(words.len().min(if words.len() > MAX_EXPECTED {
        MAX_EXPECTED - 1
    } else {
        MAX_EXPECTED
    }));
    let head: Vec<&str> = head.iter().map(AsRef::as_ref).collect();
    if !more.is_empty() {
        return format!("{} …", head.join(", "));
    }
    match head.as_slice() {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// Names a token in a message.
fn name(text: &str) -> String {
    let is_long = 24 < text.chars().count();
    let short: String = text.chars().take(if is_long { 20 } else { 24 }).collect();
    let more = if is_long { "…" } else { "" };
    if text.starts_with('\u{1}') || text.chars().any(char::is_control) {
        return format!("the control character {:?}", text.chars().next().unwrap_or(' '));
    }
    format!("`{short}{more}`")
}

fn is_reserved(word: &str) -> bool {
    const RESERVED: &[&str] = &[
        "and", "or", "not", "in", "is", "if", "else", "let", "rule", "when", "true", "false",
        "null", "match", "fn", "drop", "route", "where",
    ];
    RESERVED.contains(&word)
}
