//! A quick look over the text: tokens, brackets, comments.
//!
//! The grammar reads one declaration at a time; this scanner finds out where each one ends, even in
//! text that the grammar refuses, and bounds nesting before the grammar recurses into it.
//!
//! Invariant: never fails, never recurses, and looks at each byte a bounded number of times.

use super::ast::Comment;
use crate::span::{FileId, Span};

/// How deep brackets, `else if` links and lambdas may nest, all together.
///
/// People reach six or seven. At this limit the parser, the checker and the destructors stay far
/// from the end of a thread's 2 MiB stack, also in unoptimized builds.
pub(super) const MAX_NESTING: usize = 64;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Letters, digits and `_`.
    Word,
    /// A text literal, or the part of an `f"…"` up to its next hole.
    Text,
    /// A text literal that does not end.
    Unclosed,
    /// `(`, `[` or `{`.
    Open,
    /// `)`, `]` or `}`.
    Close,
    /// Any other character, or two or three that belong together.
    Mark,
}

/// A token and how deep it lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    /// What it is.
    pub(crate) kind: Kind,
    /// Its first byte.
    pub(crate) start: usize,
    /// One past its last byte.
    pub(crate) end: usize,
    /// How many brackets are open around it; a bracket lies outside itself.
    pub(crate) depth: usize,
    /// Whether it is the first of its line.
    pub(crate) leads: bool,
    /// For a bracket its partner, as an index into the tokens.
    pub(crate) partner: Option<usize>,
}

/// What the scanner found.
#[derive(Debug)]
pub(crate) struct Scan {
    /// The tokens, in order.
    pub(crate) tokens: Vec<Token>,
    /// The comments, in order.
    pub(crate) comments: Vec<Comment>,
    /// Where each run of text that nests too deep starts.
    pub(crate) too_deep: Vec<usize>,
}

/// One open bracket.
#[derive(Debug)]
struct Frame {
    /// The bracket's token.
    open: usize,
    /// Whether its end brings an `f"…"` back.
    hole: bool,
    /// How much nests here without brackets of its own.
    chain: Chain,
}

/// Nesting without brackets: `else if … else if …`, `|x| |y| …`, `list<list<…`.
#[derive(Debug, Default)]
struct Chain {
    links: usize,
    lambdas: usize,
    angles: usize,
}

impl Chain {
    fn len(&self) -> usize {
        self.links + self.lambdas + self.angles
    }
}

/// Cuts a text into tokens and pairs its brackets.
///
/// Brackets that pair are believed. Where some do not, a declaration at the margin ends whatever is
/// still open, so that a forgotten `}` is found in the declaration that forgot it.
pub(crate) fn scan(file: FileId, text: &str) -> Scan {
    let scan = scan_once(file, text, false);
    let bracket = |token: &Token| matches!(token.kind, Kind::Open | Kind::Close);
    if scan.tokens.iter().all(|token| !bracket(token) || token.partner.is_some()) {
        return scan;
    }
    scan_once(file, text, true)
}

fn scan_once(file: FileId, text: &str, resync: bool) -> Scan {
    let mut scanner = Scanner {
        file,
        text,
        bytes: text.as_bytes(),
        at: 0,
        leads: true,
        frames: Vec::new(),
        chain: Chain::default(),
        chained: 0,
        scan: Scan { tokens: Vec::new(), comments: Vec::new(), too_deep: Vec::new() },
        was_deep: false,
        resync,
    };
    while scanner.at < scanner.bytes.len() {
        scanner.next();
    }
    scanner.scan
}

struct Scanner<'t> {
    file: FileId,
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    leads: bool,
    frames: Vec<Frame>,
    /// The chain outside all brackets.
    chain: Chain,
    /// The lengths of all chains, added up.
    chained: usize,
    scan: Scan,
    was_deep: bool,
    /// Whether a declaration at the margin closes what is open.
    resync: bool,
}

impl Scanner<'_> {
    fn next(&mut self) {
        let start = self.at;
        match self.bytes[start] {
            b'\n' => {
                self.at += 1;
                self.leads = true;
            }
            b' ' | b'\t' | b'\r' => self.at += 1,
            b'#' => self.comment(),
            b'"' => self.quoted(start),
            b'\'' => self.single_quoted(),
            b'(' | b'[' | b'{' => self.open(false),
            b')' | b']' | b'}' => self.close(),
            byte if is_word(byte) => self.word(),
            0xef if self.text[start..].starts_with('\u{feff}') => self.at += 3,
            _ => self.mark(),
        }
    }

    fn push(&mut self, kind: Kind, start: usize) {
        let depth = self.frames.len();
        let leads = std::mem::replace(&mut self.leads, false);
        let end = self.at;
        self.scan.tokens.push(Token { kind, start, end, depth, leads, partner: None });
    }

    fn comment(&mut self) {
        let start = self.at;
        self.at = self.line_end();
        let text = self.text[start..self.at].trim_end();
        let span = Span::new(self.file, start, start + text.len());
        self.scan.comments.push(Comment { span, text: text.to_owned() });
    }

    fn word(&mut self) {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(|byte| is_word(*byte)) {
            self.at += 1;
        }
        if self.bytes.get(self.at) == Some(&b'"') {
            match &self.text[start..self.at] {
                "f" => {
                    self.at += 1;
                    return self.interpolated(start);
                }
                "r" | "re" | "pat" | "grok" | "glob" | "ip" | "cidr" | "t" => {
                    return self.raw(start);
                }
                _ => {}
            }
        }
        self.count_word(start);
        self.push(Kind::Word, start);
    }

    /// Reads `"…"` with escapes; the quote is at `self.at`.
    fn quoted(&mut self, start: usize) {
        self.at += 1;
        while let Some(byte) = self.bytes.get(self.at) {
            match byte {
                b'"' => {
                    self.at += 1;
                    return self.end_text(start);
                }
                b'\n' => break,
                b'\\' => self.skip_escape(),
                _ => self.at += 1,
            }
        }
        self.push(Kind::Unclosed, start);
    }

    /// Reads `re"…"` or `r"""…"""`; the first quote is at `self.at`.
    fn raw(&mut self, start: usize) {
        let rest = &self.text[self.at..];
        if let Some(block) = rest.strip_prefix("\"\"\"") {
            if let Some(len) = block.find("\"\"\"") {
                self.at += len + 6;
                return self.end_text(start);
            }
        } else if let Some(len) = rest[1..].find(['"', '\n'])
            && rest[1 + len..].starts_with('"')
        {
            self.at += len + 2;
            return self.end_text(start);
        }
        self.at = self.line_end();
        self.push(Kind::Unclosed, start);
    }

    /// Takes the letters behind a closing quote along.
    fn end_text(&mut self, start: usize) {
        while self.bytes.get(self.at).is_some_and(|byte| is_word(*byte)) {
            self.at += 1;
        }
        self.push(Kind::Text, start);
    }

    /// Reads `'…'`, which is no text here but must not be taken for brackets and comments either.
    fn single_quoted(&mut self) {
        let start = self.at;
        let line = &self.text[start + 1..self.line_end()];
        let Some(len) = line.find('\'') else { return self.mark() };
        self.at += len + 2;
        self.push(Kind::Text, start);
    }

    /// Reads an `f"…"` up to its end or its next hole.
    fn interpolated(&mut self, start: usize) {
        while let Some(byte) = self.bytes.get(self.at) {
            match byte {
                b'"' => {
                    self.at += 1;
                    return self.push(Kind::Text, start);
                }
                b'\n' => break,
                b'\\' => self.skip_escape(),
                b'{' if self.bytes.get(self.at + 1) == Some(&b'{') => self.at += 2,
                b'{' => {
                    self.push(Kind::Text, start);
                    return self.open(true);
                }
                _ => self.at += 1,
            }
        }
        self.push(Kind::Unclosed, start);
    }

    fn skip_escape(&mut self) {
        self.at += 1;
        if let Some(escaped) = self.text[self.at..].chars().next()
            && escaped != '\n'
        {
            self.at += escaped.len_utf8();
        }
    }

    fn open(&mut self, hole: bool) {
        let start = self.at;
        self.at += 1;
        self.push(Kind::Open, start);
        let open = self.scan.tokens.len() - 1;
        // Text this deep is refused anyway; without a bound stray brackets would look through all.
        if self.frames.len() < 2 * MAX_NESTING {
            self.frames.push(Frame { open, hole, chain: Chain::default() });
        }
        self.bound();
    }

    /// Closes the innermost bracket of this kind; those inside it stay without a partner.
    fn close(&mut self) {
        let start = self.at;
        let opener = match self.bytes[start] {
            b')' => b'(',
            b']' => b'[',
            _ => b'{',
        };
        self.at += 1;
        let bracket = |frame: &Frame| self.bytes[self.scan.tokens[frame.open].start];
        // A stray `)` must not reach out of the block it stands in.
        let partner = self
            .frames
            .iter()
            .rposition(|frame| bracket(frame) == opener || bracket(frame) == b'{')
            .filter(|idx| bracket(&self.frames[*idx]) == opener);
        let Some(partner) = partner else { return self.push(Kind::Close, start) };
        let (open, hole) = (self.frames[partner].open, self.frames[partner].hole);
        for frame in self.frames.drain(partner..) {
            self.chained -= frame.chain.len();
        }
        self.push(Kind::Close, start);
        let close = self.scan.tokens.len() - 1;
        self.scan.tokens[open].partner = Some(close);
        self.scan.tokens[close].partner = Some(open);
        self.bound();
        if hole {
            self.interpolated(self.at);
        }
    }

    fn mark(&mut self) {
        const LONG: &[&str] = &[
            "...", "..=", "??=", "==", "!=", "<=", ">=", "&&", "||", "|=", "=~", "!~", "->", "=>",
            "??", "::", "..",
        ];
        let start = self.at;
        let rest = &self.text[start..];
        let first = rest.chars().next().map_or(1, char::len_utf8);
        let len =
            LONG.iter().find(|mark| rest.starts_with(**mark)).map_or(first, |mark| mark.len());
        match &rest[..len] {
            "|" if !self.ends_operand() => self.count(|chain| chain.lambdas += 1),
            "<" if self.last_word().is_some_and(|word| matches!(word, "list" | "map")) => {
                self.count(|chain| chain.angles += 1);
            }
            "," => self.count(|chain| (chain.lambdas, chain.angles) = (0, 0)),
            _ => {}
        }
        self.at += len;
        self.push(Kind::Mark, start);
    }

    fn count_word(&mut self, start: usize) {
        let text = self.text;
        let word = &text[start..self.at];
        if word == "if" {
            let link = self.last_word() == Some("else");
            self.count(|chain| chain.links = if link { chain.links + 1 } else { 0 });
        }
        if !matches!(word, "list" | "map") {
            self.count(|chain| chain.angles = 0);
        }
        let at_margin = start == 0 || self.bytes[start - 1] == b'\n';
        if self.resync && at_margin && is_item_word(word) && !self.in_flat_group() {
            self.frames.clear();
            self.chain = Chain::default();
            self.chained = 0;
        }
    }

    /// Whether this is a group whose rules all start at the margin.
    fn in_flat_group(&self) -> bool {
        let [frame] = self.frames.as_slice() else { return false };
        let first = self.scan.tokens.get(frame.open + 1);
        first.is_none_or(|token| self.bytes[token.start - 1] == b'\n')
            && self.opens_group(frame.open)
    }

    /// Whether the word that leads the bracket's declaration is `group`.
    fn opens_group(&self, open: usize) -> bool {
        let head = self.scan.tokens[..open].iter().rev().find(|token| {
            token.depth == 0 && token.leads && is_item_word(&self.text[token.start..token.end])
        });
        head.is_some_and(|token| &self.text[token.start..token.end] == "group")
    }

    fn count(&mut self, change: impl FnOnce(&mut Chain)) {
        let chain = self.frames.last_mut().map_or(&mut self.chain, |frame| &mut frame.chain);
        let before = chain.len();
        change(chain);
        self.chained = self.chained + chain.len() - before;
        self.bound();
    }

    fn bound(&mut self) {
        let is_deep = MAX_NESTING < self.frames.len() + self.chained;
        if is_deep && !self.was_deep {
            self.scan.too_deep.push(self.at);
        }
        self.was_deep = is_deep;
    }

    fn last_word(&self) -> Option<&str> {
        let last = self.scan.tokens.last()?;
        (last.kind == Kind::Word).then(|| &self.text[last.start..last.end])
    }

    /// Whether an expression may end with the last token.
    fn ends_operand(&self) -> bool {
        self.scan.tokens.last().is_some_and(|last| ends_operand(last, self.text))
    }

    fn line_end(&self) -> usize {
        self.text[self.at..].find('\n').map_or(self.text.len(), |len| self.at + len)
    }
}

/// Whether an expression may end with this token.
pub(super) fn ends_operand(token: &Token, text: &str) -> bool {
    match token.kind {
        Kind::Text | Kind::Unclosed | Kind::Close => true,
        Kind::Open => false,
        Kind::Word => !INFIX_WORDS.contains(&&text[token.start..token.end]),
        // A lone dot is the event.
        Kind::Mark => matches!(&text[token.start..token.end], "." | "?" | "%" | "*" | "..."),
    }
}

/// Whether a declaration starts with this word.
pub(super) fn is_item_word(word: &str) -> bool {
    ITEM_WORDS.contains(&word)
}

/// The words that start a declaration.
pub(crate) const ITEM_WORDS: &[&str] = &[
    "use", "include", "default", "const", "enum", "type", "source", "lookup", "sink", "fn", "rule",
    "group", "window", "alert", "test",
];

/// The words after which an expression or a block must go on.
pub(super) const INFIX_WORDS: &[&str] = &[
    "and",
    "or",
    "not",
    "in",
    "is",
    "contains",
    "starts_with",
    "ends_with",
    "matches",
    "like",
    "has",
    "when",
    "on",
    "by",
    "where",
    "with",
    "else",
    "within",
    "if",
    "match",
    "let",
];

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<&str> {
        let scan = scan(FileId(0), text);
        scan.tokens.iter().map(|token| &text[token.start..token.end]).collect()
    }

    #[test]
    fn strings_hide_brackets_and_comments() {
        assert_eq!(tokens(r#"a "}#" b # c"#), ["a", r#""}#""#, "b"]);
        assert_eq!(tokens(r#"re""{" x"#), [r#"re"""#, "{", r#"" x"#]);
        assert_eq!(tokens("r\"\"\"a \" }\"\"\" b"), ["r\"\"\"a \" }\"\"\"", "b"]);
        assert_eq!(tokens("'}' x"), ["'}'", "x"]);
        assert_eq!(
            tokens(r#"f"a{b(", ")}c{{" d"#),
            [r#"f"a"#, "{", "b", "(", r#"", ""#, ")", "}", r#"c{{""#, "d"]
        );
    }

    #[test]
    fn brackets_find_their_partners() {
        let scan = scan(FileId(0), "{ ( ] ) [ }");
        let partners: Vec<_> = scan.tokens.iter().map(|token| token.partner).collect();
        assert_eq!(partners, [Some(5), Some(3), None, Some(1), None, Some(0)]);
    }

    #[test]
    fn declarations_at_the_margin_end_an_open_block() {
        let scan = scan(FileId(0), "rule a {\n if .x {\n }\nrule b { }");
        let last = scan.tokens.last().expect("a token");
        assert_eq!(last.depth, 0);
        assert!(last.partner.is_some());
    }

    #[test]
    fn every_way_to_nest_is_bounded() {
        for (open, deep) in [
            ("(", true),
            ("{ else if x ", true),
            ("f(|x| ", true),
            ("|x| ", true),
            ("f\"{", true),
            ("list<", true),
            ("else if a { } ", true),
            ("if a { } ", false),
            ("f(|x| x) ", false),
            ("a | ", false),
        ] {
            let text = open.repeat(MAX_NESTING + 1);
            assert_eq!(!scan(FileId(0), &text).too_deep.is_empty(), deep, "{open}");
        }
    }
}
