//! What all lowering shares: from grammar pairs to spans, names and text.
//!
//! Invariant: the grammar decides what fits together; a pair of another shape is our own mistake
//! and asserts.

use logmon_grammar::{Pair, Rule};

use crate::{
    diagnostic::{Code, Diagnostic},
    span::{FileId, Span},
    syntax::{
        ast::{Ident, QName, Text},
        scan::Token,
    },
};

/// Turns the pairs of one piece of a file into a tree.
#[derive(Debug)]
pub(super) struct Lower<'t> {
    /// The file.
    pub(super) file: FileId,
    /// The whole text of the file.
    pub(super) text: &'t str,
    /// The tokens of the whole file.
    pub(super) tokens: &'t [Token],
    /// Where the piece starts.
    pub(super) base: usize,
    /// What is wrong although the grammar took it.
    pub(super) diagnostics: Vec<Diagnostic>,
    /// How deep in the tree the lowering is.
    pub(super) depth: usize,
}

impl Lower<'_> {
    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Reports a literal that says nothing.
    pub(super) fn bad_literal(&mut self, at: Span, message: impl Into<String>, label: &str) {
        self.report(Diagnostic::new(Code::E120, at, message).label(label));
    }

    /// Returns where a pair stands, without the blanks and comments that a rule with an optional
    /// end takes along.
    pub(super) fn span(&self, pair: &Pair<'_>) -> Span {
        let span = pair.as_span();
        let (start, end) = (self.base + span.start(), self.base + span.end());
        let behind = self.tokens.partition_point(|token| token.end <= end);
        let last = behind.checked_sub(1).map_or(start, |last| self.tokens[last].end);
        // A pair may end inside a token: a piece of text in an `f"…"`.
        let inside = self.tokens.get(behind).is_some_and(|token| token.start < end);
        Span::new(self.file, start, if inside { end } else { last.max(start) })
    }

    /// Returns the span from the start of one pair to the end of another.
    pub(super) fn across(&self, first: &Pair<'_>, last: &Pair<'_>) -> Span {
        self.span(first).to(self.span(last))
    }

    pub(super) fn ident(&self, pair: &Pair<'_>) -> Ident {
        Ident { name: pair.as_str().to_owned(), span: self.span(pair) }
    }

    /// Lowers a field's name: bare or in quotes.
    pub(super) fn key(&mut self, pair: &Pair<'_>) -> Ident {
        assert_eq!(pair.as_rule(), Rule::key);
        let inner = pair.clone().into_inner().next().expect("a key holds a name or a string");
        if inner.as_rule() == Rule::string {
            let Text { value, span } = self.string(&inner);
            return Ident { name: value, span };
        }
        self.ident(&inner)
    }

    pub(super) fn qname(&self, pair: &Pair<'_>) -> QName {
        assert_eq!(pair.as_rule(), Rule::qname);
        let span = self.span(pair);
        let mut idents: Vec<Ident> =
            pair.clone().into_inner().map(|ident| self.ident(&ident)).collect();
        let name = idents.pop().expect("a qualified name holds a name");
        QName { space: idents.pop(), name, span }
    }

    /// Lowers `"text"`.
    pub(super) fn string(&mut self, pair: &Pair<'_>) -> Text {
        let body = pair.clone().into_inner().next().expect("a string has a body");
        let value = self.unescape(&body, false);
        Text { value, span: self.span(pair) }
    }

    /// Takes the escapes out of a text; in an `f"…"` also the doubled braces.
    pub(super) fn unescape(&mut self, body: &Pair<'_>, braces: bool) -> String {
        let (text, start) = (body.as_str(), self.base + body.as_span().start());
        let mut value = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(['\\', '{', '}']) {
            let (plain, special) = rest.split_at(at);
            value.push_str(plain);
            let offset = start + text.len() - special.len();
            let (character, len) = if special.starts_with('\\') {
                self.escape(special, offset)
            } else if braces && (special.starts_with("{{") || special.starts_with("}}")) {
                (special.chars().next(), 2)
            } else {
                (special.chars().next(), 1)
            };
            value.extend(character);
            rest = &special[len..];
        }
        value.push_str(rest);
        value
    }

    /// Reads one escape; returns what it stands for and its length.
    fn escape(&mut self, text: &str, offset: usize) -> (Option<char>, usize) {
        let escaped = text[1..].chars().next();
        let simple = match escaped {
            Some('n') => Some('\n'),
            Some('r') => Some('\r'),
            Some('t') => Some('\t'),
            Some('\\') => Some('\\'),
            Some('"') => Some('"'),
            _ => None,
        };
        if simple.is_some() {
            return (simple, 2);
        }
        if let Some(hex) = text.strip_prefix("\\u{")
            && let Some(len) = hex.find('}').filter(|len| (1..=6).contains(len))
            && let Some(character) =
                u32::from_str_radix(&hex[..len], 16).ok().and_then(char::from_u32)
        {
            return (Some(character), len + 4);
        }
        let len = 1 + escaped.map_or(0, char::len_utf8);
        let at = Span::new(self.file, offset, offset + len);
        let diagnostic =
            Diagnostic::new(Code::E120, at, format!("`{}` is no escape", &text[..len]))
                .label("not known")
                .note(r#"text knows \n \r \t \\ \" and \u{1F600}"#)
                .suggest(
                    "double the backslash where one is meant",
                    vec![(at.before(), "\\".to_owned())],
                );
        self.report(diagnostic);
        (escaped, len)
    }
}

/// The parts of a pair that belong into a tree, in order.
pub(super) fn parts<'t>(pair: &Pair<'t>) -> Parts<'t> {
    let mut pairs: Vec<Pair<'t>> =
        pair.clone().into_inner().filter(|pair| !pair.as_rule().is_mark()).collect();
    pairs.reverse();
    Parts { pairs }
}

/// Whether a keyword stands directly in a pair.
pub(super) fn has(pair: &Pair<'_>, keyword: Rule) -> bool {
    pair.clone().into_inner().any(|inner| inner.as_rule() == keyword)
}

/// Parts that are taken one after the other.
#[derive(Debug)]
pub(super) struct Parts<'t> {
    /// Last first.
    pairs: Vec<Pair<'t>>,
}

impl<'t> Parts<'t> {
    /// Takes the next part, which the grammar says is there.
    pub(super) fn need(&mut self) -> Pair<'t> {
        self.pairs.pop().expect("the grammar puts another part here")
    }

    /// Takes the next part if it is of this rule.
    pub(super) fn pick(&mut self, rule: Rule) -> Option<Pair<'t>> {
        self.pairs.pop_if(|pair| pair.as_rule() == rule)
    }
}

impl<'t> Iterator for Parts<'t> {
    type Item = Pair<'t>;

    fn next(&mut self) -> Option<Pair<'t>> {
        self.pairs.pop()
    }
}
