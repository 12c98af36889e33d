//! What a cursor stands in: read from tokens alone, because text is broken while somebody types.

use crate::{
    span::FileId,
    syntax::{
        ast::SegKind,
        scan::{ITEM_WORDS, Kind, Token, scan},
    },
};

/// What may stand at a cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Nothing that can be guessed: inside text or a comment, or where a new name is made up.
    Nothing,
    /// A field of the event below this path.
    Field(Vec<SegKind>),
    /// A field of a local's value below this path.
    Member(String, Vec<SegKind>),
    /// `@…` in an expression.
    Metadata,
    /// `@…` before a declaration.
    Attribute,
    /// A name of the file that is used under this name.
    Through(String),
    /// A sink.
    Sink,
    /// A source.
    Source,
    /// A lookup.
    Lookup,
    /// A rule.
    Rule,
    /// A type.
    Type,
    /// What `is` asks for.
    Presence,
    /// The start of a declaration.
    Declaration,
    /// The start of a statement.
    Statement,
    /// The start of a step of a test.
    Step,
    /// The start of a clause of a window or an alert.
    Clause,
    /// Behind `expect`.
    Expectation,
    /// A field's name in the event of a `given`, below this path.
    Given(Vec<SegKind>),
    /// A value; a severity if the other side is the field of this path.
    Value(Option<Vec<SegKind>>),
}

/// A cursor in a text.
#[derive(Debug)]
pub(super) struct Cursor<'t> {
    text: &'t str,
    tokens: Vec<Token>,
    /// Tokens before the word at the cursor.
    n_before: usize,
    /// Where the word at the cursor starts.
    pub(super) from: usize,
    offset: usize,
    in_comment: bool,
}

impl<'t> Cursor<'t> {
    pub(super) fn new(file: FileId, text: &'t str, offset: usize) -> Self {
        let found = scan(file, text);
        let in_comment = found.comments.iter().any(|comment| {
            let line_end = text[comment.span.start as usize..]
                .find('\n')
                .map_or(text.len(), |len| comment.span.start as usize + len);
            (comment.span.start as usize) < offset && offset <= line_end
        });
        let n_before = found.tokens.partition_point(|token| token.end < offset);
        let here = found.tokens.get(n_before).filter(|token| {
            token.kind == Kind::Word && token.start < offset && offset <= token.end
        });
        let (n_before, from) = match here {
            Some(word) => (n_before, word.start),
            None => (found.tokens.partition_point(|token| token.start < offset), offset),
        };
        Self { text, tokens: found.tokens, n_before, from, offset, in_comment }
    }

    fn word(&self, token: &Token) -> &'t str {
        &self.text[token.start..token.end]
    }

    /// The token so many before the cursor's word.
    fn back(&self, n: usize) -> Option<&Token> {
        self.n_before.checked_sub(n).and_then(|at| self.tokens.get(at))
    }

    fn back_word(&self, n: usize) -> &'t str {
        self.back(n).map_or("", |token| self.word(token))
    }

    /// What may stand here.
    pub(super) fn wanted(&self) -> Wanted {
        let inside_text = self.tokens.iter().any(|token| {
            matches!(token.kind, Kind::Text | Kind::Unclosed)
                && token.start < self.offset
                && (self.offset < token.end
                    || token.kind == Kind::Unclosed && self.offset <= token.end)
        });
        if self.in_comment || inside_text {
            return Wanted::Nothing;
        }
        let Some(last) = self.back(1) else { return Wanted::Declaration };
        let touches = last.end == self.from;
        match self.word(last) {
            "." if touches => return self.path(self.n_before - 1),
            "@" if touches => {
                let leads = last.leads && self.enclosing().is_none();
                return if leads { Wanted::Attribute } else { Wanted::Metadata };
            }
            "::" if touches => return Wanted::Through(self.back_word(2).to_owned()),
            "on" => return Wanted::Source,
            "mock" => return Wanted::Lookup,
            "expect" => return Wanted::Expectation,
            "is" => return Wanted::Presence,
            "not" if self.back_word(2) == "is" => return Wanted::Presence,
            "by" if matches!(self.back_word(2), "dropped" | "fired" | "silent") => {
                return Wanted::Rule;
            }
            "->" | "<" if self.is_type_place(last) => return Wanted::Type,
            ":" if self.is_type_place(last) => return Wanted::Type,
            "let" | "rule" | "group" | "window" | "alert" | "const" | "enum" | "type"
            | "source" | "lookup" | "sink" | "fn" | "as" | "use" | "include" | "test" => {
                return Wanted::Nothing;
            }
            _ => {}
        }
        if self.in_route() {
            return Wanted::Sink;
        }
        if let Some(keys) = self.in_given() {
            return Wanted::Given(keys);
        }
        let starts_line = !self.text[..self.from]
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .contains(|c: char| !c.is_whitespace());
        if (starts_line || matches!(self.word(last), "{" | "}")) && !continues(self.word(last)) {
            return self.start();
        }
        Wanted::Value(self.compared_path())
    }

    /// The innermost bracket that is open at the cursor.
    fn enclosing(&self) -> Option<usize> {
        self.open_brackets().next()
    }

    /// Brackets that are open at the cursor, innermost first.
    fn open_brackets(&self) -> impl Iterator<Item = usize> {
        let n_before = self.n_before;
        (0..n_before).rev().filter(move |at| {
            let token = &self.tokens[*at];
            token.kind == Kind::Open && token.partner.is_none_or(|partner| partner >= n_before)
        })
    }

    /// The word that starts the declaration around the cursor.
    pub(super) fn declaration(&self) -> &'t str {
        let found = self.tokens[..self.n_before].iter().rev().find(|token| {
            let margin = token.start == 0 || self.text.as_bytes()[token.start - 1] == b'\n';
            let starts = token.depth == 0 || margin;
            starts && token.leads && ITEM_WORDS.contains(&self.word(token))
        });
        // Attributes stand before the word.
        let behind_attribute = || {
            let mut tokens = self.tokens[..self.n_before].iter().rev();
            tokens.find(|token| token.depth == 0 && ITEM_WORDS.contains(&self.word(token)))
        };
        found.or_else(behind_attribute).map_or("", |token| self.word(token))
    }

    /// What starts here, at the start of a line or behind a brace.
    fn start(&self) -> Wanted {
        let braces: Vec<usize> =
            self.open_brackets().filter(|at| self.word(&self.tokens[*at]) == "{").collect();
        let (Some(&innermost), n) = (braces.first(), braces.len()) else {
            return Wanted::Declaration;
        };
        if self.enclosing() != Some(innermost) {
            return Wanted::Value(None);
        }
        let before = innermost.checked_sub(1).map_or("", |at| self.word(&self.tokens[at]));
        match self.declaration() {
            "rule" => Wanted::Statement,
            "group" if n == 1 => Wanted::Declaration,
            "group" => Wanted::Statement,
            "test" if n == 1 => Wanted::Step,
            "window" | "alert" if n == 1 => Wanted::Clause,
            _ if before == "=" => Wanted::Nothing,
            _ => Wanted::Value(None),
        }
    }

    /// Whether a type stands behind this `:`, `->` or `<`.
    fn is_type_place(&self, mark: &Token) -> bool {
        match self.word(mark) {
            "->" => matches!(self.declaration(), "fn" | "lookup"),
            "<" => matches!(self.back_word(2), "list" | "map"),
            _ => {
                matches!(self.declaration(), "source" | "sink" | "type" | "lookup")
                    || (matches!(self.declaration(), "fn" | "const")
                        && !self.tokens[..self.n_before]
                            .iter()
                            .rev()
                            .take_while(|token| {
                                !(token.leads && ITEM_WORDS.contains(&self.word(token)))
                            })
                            .any(|token| self.word(token) == "="))
            }
        }
    }

    /// Whether the cursor stands among the sinks of a `route to`.
    fn in_route(&self) -> bool {
        let mut at = self.n_before;
        loop {
            match self.word_at(at, 1) {
                "to" => return matches!(self.word_at(at, 2), "route" | "routed"),
                // The name of a sink and perhaps its arguments stand before a comma.
                "," => {
                    let mut before = at - 1;
                    let Some(close) = before.checked_sub(1).map(|at| &self.tokens[at]) else {
                        return false;
                    };
                    if self.word(close) == ")" {
                        let Some(open) = close.partner else { return false };
                        before = open;
                    }
                    let Some(name) = before.checked_sub(1) else { return false };
                    if self.tokens[name].kind != Kind::Word {
                        return false;
                    }
                    at = name;
                    if self.word_at(at, 1) == "::" {
                        at = at.saturating_sub(2);
                    }
                }
                _ => return false,
            }
        }
    }

    fn word_at(&self, at: usize, n: usize) -> &'t str {
        at.checked_sub(n).map_or("", |at| self.word(&self.tokens[at]))
    }

    /// The path of the record in a `given` that the cursor stands in, where a key is wanted.
    fn in_given(&self) -> Option<Vec<SegKind>> {
        if !matches!(self.back_word(1), "{" | ",") {
            return None;
        }
        let mut keys = Vec::new();
        for open in self.open_brackets() {
            if self.word(&self.tokens[open]) != "{" {
                return None;
            }
            if self.word_at(open, 1) == ":" {
                keys.push(SegKind::Field(self.word_at(open, 2).trim_matches('"').to_owned()));
                continue;
            }
            // `given`, `given x5`, `given on s`, `given x5 on s`.
            let given = (1..=4).any(|n| self.word_at(open, n) == "given");
            keys.reverse();
            return given.then_some(keys);
        }
        None
    }

    /// The steps of the path that ends with the dot at this token.
    fn path(&self, dot: usize) -> Wanted {
        let mut keys = Vec::new();
        let mut at = dot;
        loop {
            let start = self.tokens[at].start;
            let before = at.checked_sub(1).map(|before| (before, &self.tokens[before]));
            let Some((index, token)) = before.filter(|(_, token)| token.end == start) else {
                keys.reverse();
                return Wanted::Field(keys);
            };
            match (token.kind, self.word(token)) {
                (Kind::Word | Kind::Text, key) => {
                    let dotted = index
                        .checked_sub(1)
                        .filter(|dot| self.word(&self.tokens[*dot]) == ".")
                        .filter(|dot| self.tokens[*dot].end == token.start);
                    let Some(dotted) = dotted else {
                        if token.kind == Kind::Text {
                            return Wanted::Nothing;
                        }
                        keys.reverse();
                        return Wanted::Member(key.to_owned(), keys);
                    };
                    keys.push(SegKind::Field(key.trim_matches('"').to_owned()));
                    at = dotted;
                }
                (Kind::Close, "]") => {
                    let Some(open) = token.partner else { return Wanted::Nothing };
                    keys.push(SegKind::Each);
                    // What is indexed ends right before the bracket: its name stands where a key stands.
                    let Some(name) = open.checked_sub(1) else { return Wanted::Nothing };
                    let Some(dot) = name.checked_sub(1) else { return Wanted::Nothing };
                    if self.word(&self.tokens[dot]) == "." {
                        keys.push(SegKind::Field(
                            self.word(&self.tokens[name]).trim_matches('"').to_owned(),
                        ));
                        at = dot;
                    } else {
                        return Wanted::Nothing;
                    }
                }
                _ => {
                    keys.reverse();
                    return if token.kind == Kind::Close {
                        Wanted::Nothing
                    } else {
                        Wanted::Field(keys)
                    };
                }
            }
        }
    }

    /// The path on the left side of a comparison whose right side is wanted.
    fn compared_path(&self) -> Option<Vec<SegKind>> {
        let operator = |word: &str| matches!(word, "==" | "!=" | "<" | "<=" | ">" | ">=");
        let mut at = self.n_before;
        // `in [a, b` as well.
        if let Some(open) = self.enclosing().filter(|open| self.word(&self.tokens[*open]) == "[")
            && self.word_at(open, 1) == "in"
        {
            at = open - 1;
        } else if operator(self.back_word(1)) {
            at -= 1;
        } else {
            return None;
        }
        if self.word_at(at, 1) == "not" {
            at -= 1;
        }
        let name = at.checked_sub(1)?;
        let dot = name.checked_sub(1)?;
        if self.word(&self.tokens[dot]) != "." {
            return None;
        }
        match self.path(dot) {
            Wanted::Field(mut keys) => {
                let name = self.word(&self.tokens[name]).trim_matches('"').to_owned();
                keys.push(SegKind::Field(name));
                Some(keys)
            }
            _ => None,
        }
    }

    /// The call that the cursor stands in: the function's name, and which argument.
    pub(super) fn call(&self) -> Option<(&'t str, usize, Option<&'t str>)> {
        let open = self.open_brackets().find(|at| self.word(&self.tokens[*at]) == "(")?;
        let name = self.tokens.get(open.checked_sub(1)?)?;
        if name.kind != Kind::Word || name.end != self.tokens[open].start {
            return None;
        }
        let depth = self.tokens[open].depth + 1;
        let inside = &self.tokens[open + 1..self.n_before];
        let commas = inside.iter().filter(|token| token.depth == depth && self.word(token) == ",");
        // `name: ` right before the cursor's argument.
        let last_comma =
            inside.iter().rposition(|token| token.depth == depth && self.word(token) == ",");
        let argument = &inside[last_comma.map_or(0, |at| at + 1)..];
        let named = match argument {
            [name, colon, ..] if self.word(colon) == ":" => Some(self.word(name)),
            _ => None,
        };
        Some((self.word(name), commas.count(), named))
    }
}

/// Whether an expression goes on behind this word, also on the next line.
fn continues(word: &str) -> bool {
    matches!(
        word,
        "and"
            | "or"
            | "not"
            | "when"
            | "if"
            | "in"
            | "="
            | "??"
            | "+"
            | "-"
            | "*"
            | "/"
            | "%"
            | "=="
            | "!="
            | "<"
            | "<="
            | ">"
            | ">="
            | "("
            | "["
            | ","
            | "contains"
            | "starts_with"
            | "ends_with"
            | "matches"
            | "like"
            | "has"
            | "??="
            | "|="
            | "=>"
            | ":"
    )
}
