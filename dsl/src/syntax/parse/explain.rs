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
        return unclosed(span(token));
    }
    if let Some(token) = found.filter(|token| text(token) == ";") {
        return Diagnostic::new(Code::E100, span(token), "statements need no `;`")
            .label("not a part of the language")
            .fix("remove it", vec![(span(token), String::new())]);
    }

    let mut expected = spell(&mismatch.expected);
    if expected.is_empty() && mismatch.expected.contains(&Rule::short_unit) {
        expected.push("a unit of time such as `m`");
    }
    // What is missing at the end of a line is shown there, not on the line below.
    let mut ended = before.is_some() && found.is_none_or(|token| token.leads);
    if let Some(whole) = expected.iter().find(|symbol| STARTS.contains(symbol)).copied()
        && found.is_some_and(|token| token.leads && token.kind != Kind::Close)
    {
        // The line above is complete: what it might go on with does not matter.
        expected = vec![whole];
        ended = false;
    }
    let place = match (found, before) {
        (_, Some(before)) if ended => span(before),
        (Some(found), _) => span(found),
        (None, _) => Span::new(parser.file, at, at),
    };
    let wanted = list(&expected);
    let what = match found {
        Some(found) => name(text(found)),
        None if piece.tokens.end < parser.scan.tokens.len() => "the next declaration".to_owned(),
        None => "the end of the text".to_owned(),
    };
    let message = if wanted.is_empty() {
        format!("{what} does not fit here")
    } else {
        format!("expected {wanted}, found {what}")
    };
    let label = if ended { "something is missing after this" } else { "not expected here" };
    let diagnostic = Diagnostic::new(Code::E100, place, message).label(label);
    let Some(found) = found else { return diagnostic };
    let next = tokens.get(idx + 1).map(text);
    let found_here = Found { word: text(found), kind: found.kind, at: span(found), next };
    let diagnostic = advise(diagnostic, &expected, found_here);
    let is_prose = is_search(parser, piece)
        && found.depth == 0
        && found.kind == Kind::Word
        && before.is_some_and(|before| before.kind == Kind::Word);
    if is_prose && diagnostic.help.is_none() {
        return diagnostic.advise("text to search for stands in quotes: \"connection reset\"");
    }
    diagnostic
}

/// Describes a text that its line does not end.
pub(super) fn unclosed(at: Span) -> Diagnostic {
    Diagnostic::new(Code::E100, at, "this text has no closing quote")
        .label("starts here")
        .note("text ends on its line; `r\"\"\"…\"\"\"` may have several")
}

/// What stands for a whole line.
const STARTS: &[&str] = &["a statement", "a clause", "a step", "a declaration"];

/// The token that did not fit.
#[derive(Clone, Copy, Debug)]
struct Found<'t> {
    word: &'t str,
    kind: Kind,
    at: Span,
    next: Option<&'t str>,
}

/// Guesses what was meant.
fn advise(diagnostic: Diagnostic, expected: &[&str], found: Found<'_>) -> Diagnostic {
    let is_tried = |symbol: &str| expected.contains(&symbol);
    let Found { word, kind, at, next } = found;
    if kind == Kind::Text && is_tried("`as`") {
        return diagnostic
            .suggest("a reason stands behind `as`", vec![(at.before(), "as ".to_owned())]);
    }
    if kind != Kind::Word {
        return diagnostic;
    }
    if is_tried("`when`") && matches!(word, "if" | "where") {
        return meant(diagnostic, at, "when");
    }
    if RESERVED.contains(&word) && is_tried("a name") {
        let note = format!("`{word}` is a word of the language and cannot be a name");
        return diagnostic.note(note);
    }
    if is_tried("a declaration") {
        if let Some(near) = nearest(word, ITEM_WORDS.iter().copied()) {
            return meant(diagnostic, at, near);
        }
        let words: Vec<String> = ITEM_WORDS.iter().map(|word| format!("`{word}`")).collect();
        return diagnostic.note(format!("a declaration starts with {}", alternatives(&words)));
    }
    if !STARTS.iter().any(|start| is_tried(start)) {
        return diagnostic;
    }
    if matches!(next, Some("=" | "??=" | "|=")) && !STATEMENT_WORDS.contains(&word) {
        let edits = vec![(at.before(), ".".to_owned())];
        return diagnostic.suggest("a field starts with a dot", edits);
    }
    match nearest(word, STATEMENT_WORDS.iter().copied()) {
        Some(near) if near != word => meant(diagnostic, at, near),
        _ => diagnostic,
    }
}

/// Whether the piece is a lone expression.
fn is_search(parser: &Parser<'_>, piece: &Piece) -> bool {
    let tokens = &parser.scan.tokens;
    let first = tokens.first().map(|first| &parser.text[first.start..first.end]);
    piece.bytes == (0..parser.text.len()) && first.is_none_or(|first| !ITEM_WORDS.contains(&first))
}

fn meant(diagnostic: Diagnostic, at: Span, near: &str) -> Diagnostic {
    diagnostic.suggest(format!("did you mean `{near}`?"), vec![(at, near.to_owned())])
}

/// Spells what was tried, each spelling once, the most telling ones alone.
fn spell(rules: &[Rule]) -> Vec<&'static str> {
    let mut symbols: Vec<&'static str> = Vec::new();
    for symbol in rules.iter().filter_map(|rule| rule.symbol()) {
        if !symbols.contains(&symbol) {
            symbols.push(symbol);
        }
    }
    // Two words that only stand together where any line of this kind may start.
    for (whole, first, second) in [
        ("a declaration", Rule::k_use, Rule::k_const),
        ("a statement", Rule::k_del, Rule::k_tag),
        ("a clause", Rule::k_over, Rule::k_fire),
        ("a step", Rule::k_given, Rule::k_expect),
    ] {
        if rules.contains(&first) && rules.contains(&second) || symbols.contains(&whole) {
            symbols.retain(|symbol| {
                let word = symbol.trim_matches('`');
                let starts = STATEMENT_WORDS.contains(&word) || ITEM_WORDS.contains(&word);
                !starts && *symbol != "a path such as `.a.b`" && *symbol != whole
            });
            symbols.insert(0, whole);
        }
    }
    if symbols.contains(&"an expression") {
        // Everything that may start one is implied.
        let implied =
            ["a name", "a path such as `.a.b`", "a literal", "`|`", "`[`", "`(`", "a number"];
        symbols.retain(|symbol| !implied.contains(symbol));
    }
    if symbols.contains(&"`and`") {
        symbols.retain(|symbol| !matches!(*symbol, "`is`" | "`:`"));
    }
    if symbols.contains(&"`,`") {
        symbols.retain(|symbol| *symbol != "`where`");
    }
    symbols.sort_by_key(|symbol| match *symbol {
        "`and`" => 0,
        "`or`" => 1,
        "the end of the text" => 3,
        _ => 2,
    });
    symbols
}

/// Joins what may stand somewhere, as far as it helps.
fn list(words: &[&str]) -> String {
    if words.len() <= MAX_EXPECTED {
        return alternatives(words);
    }
    format!("{} …", words[..MAX_EXPECTED - 1].join(", "))
}

/// Joins alternatives: "`a`, `b` or `c`".
fn alternatives<W: AsRef<str>>(words: &[W]) -> String {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    match words.as_slice() {
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

/// The words that cannot be names.
const RESERVED: &[&str] = &[
    "and", "or", "not", "in", "is", "if", "else", "let", "rule", "when", "true", "false", "null",
    "match", "fn", "drop", "route", "where",
];

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::syntax::scan::INFIX_WORDS;

    type Grammar = BTreeMap<&'static str, String>;

    /// The grammar's rules by name: a definition starts at the margin, and what goes on is indented.
    fn grammar() -> Grammar {
        let mut rules = Grammar::new();
        let mut name = "";
        for line in include_str!("../../../../grammar/src/rules.pest").lines() {
            let body = match line.split_once('=') {
                _ if line.starts_with("//") => continue,
                Some((head, body)) if !line.starts_with(' ') => {
                    name = head.trim();
                    body
                }
                _ => line,
            };
            rules.entry(name).or_default().push_str(body);
        }
        rules
    }

    fn names(body: &str) -> impl Iterator<Item = &str> {
        body.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(|name| !matches!(*name, "" | "_" | "attrs"))
    }

    /// The words that what a rule offers may start with.
    fn starts<'g>(grammar: &'g Grammar, rule: &str) -> BTreeSet<&'g str> {
        names(&grammar[rule])
            .flat_map(|offered| match names(&grammar[offered]).next() {
                Some(first) if first.starts_with("k_") => vec![first],
                Some(first) => grammar.get(first).map_or_else(Vec::new, |it| names(it).collect()),
                None => Vec::new(),
            })
            .filter_map(|name| name.strip_prefix("k_"))
            .collect()
    }

    fn set<'w>(words: &[&'w str]) -> BTreeSet<&'w str> {
        words.iter().copied().collect()
    }

    #[test]
    fn words_are_those_of_the_grammar() {
        let grammar = grammar();
        let quoted: BTreeSet<_> = grammar["reserved"].split('"').skip(1).step_by(2).collect();
        assert_eq!(set(RESERVED), quoted);
        assert_eq!(set(ITEM_WORDS), starts(&grammar, "item"));
        let mut lines: BTreeSet<_> = ["stmt", "clause", "test_step"]
            .iter()
            .flat_map(|rule| starts(&grammar, rule))
            .collect();
        lines.insert("rule");
        assert_eq!(set(STATEMENT_WORDS), lines);
        let operators = ["or_op", "and_op", "not_expr", "is_tail", "word_op"];
        for rule in operators {
            for word in names(&grammar[rule]).filter_map(|name| name.strip_prefix("k_")) {
                assert!(INFIX_WORDS.contains(&word), "`{word}` goes on");
            }
        }
        for word in INFIX_WORDS {
            assert!(grammar.contains_key(format!("k_{word}").as_str()), "`{word}` is a word");
        }
    }
}
