//! Compiled `re"…"` literals.
//!
//! Invariant: matching takes time linear in the text, and memory is bounded when the literal is compiled.

use std::ops::Range;

use memchr::memmem;
use regex_syntax::{
    ast::{self, Ast},
    hir::{Hir, HirKind},
};

/// Most memory that one compiled regex may take.
///
/// A regex of a rule takes some ten KiB; a repeat of a repeat of a large class reaches this and is refused.
const SIZE_MAX: usize = 4 << 20;
/// Most memory for the states that matching finds on the way. Below it caches thrash on regexes that begin with a wide class.
const CACHE_MAX: usize = 16 << 20;
/// Shortest required text that is worth a search of its own.
const GATE_MIN: usize = 3;

/// A regex of linear time. Text is matched as bytes; `\d \w \s \b` are ASCII, `.` is a character.
#[derive(Debug)]
pub struct Regex {
    /// As written, without the tag and quotes.
    pub source: String,
    /// Flags behind the closing quote.
    pub flags: String,
    /// The machine.
    pub machine: regex::bytes::Regex,
    /// Text that every match holds: where it is not, the machine need not run.
    gate: Option<memmem::Finder<'static>>,
    /// The group named `secret`.
    secret: Option<usize>,
}

impl PartialEq for Regex {
    /// Equal text means an equal machine.
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source && self.flags == other.flags
    }
}

/// What is wrong with a tagged literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiteralError {
    /// A sentence without a capital or full stop.
    pub message: String,
    /// The bytes of the literal's text it is about.
    pub range: Range<usize>,
    /// Whether this is a feature outside linear time (E121) rather than a bad literal (E120).
    pub nonlinear: bool,
    /// What to write instead, if known.
    pub help: Option<String>,
}

impl LiteralError {
    /// A mistake at this place.
    pub(super) fn at(range: Range<usize>, message: impl Into<String>) -> Self {
        Self { message: message.into(), range, nonlinear: false, help: None }
    }

    /// The same with advice.
    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

impl Regex {
    /// Compiles a regex literal; `flags` are letters of `imsx`.
    pub fn compile(source: &str, flags: &str) -> Result<Self, LiteralError> {
        let everything = 0..source.len();
        if let Some(letter) = flags.chars().find(|letter| !"imsx".contains(*letter)) {
            let message = format!("`{letter}` is no regex flag: there are i, m, s and x");
            return Err(LiteralError::at(everything, message));
        }
        let ast = ast::parse::ParserBuilder::new()
            .ignore_whitespace(flags.contains('x'))
            .build()
            .parse(source)
            .map_err(|why| syntax_error(source, &why))?;
        let ascii = ascii_classes(source, &ast);
        let hir = regex_syntax::ParserBuilder::new()
            .case_insensitive(flags.contains('i'))
            .multi_line(flags.contains('m'))
            .dot_matches_new_line(flags.contains('s'))
            .ignore_whitespace(flags.contains('x'))
            .utf8(false)
            .build()
            .parse(&ascii)
            .map_err(|why| LiteralError::at(everything.clone(), first_line(&why.to_string())))?;
        let machine = regex::bytes::RegexBuilder::new(&ascii)
            .case_insensitive(flags.contains('i'))
            .multi_line(flags.contains('m'))
            .dot_matches_new_line(flags.contains('s'))
            .ignore_whitespace(flags.contains('x'))
            .size_limit(SIZE_MAX)
            .dfa_size_limit(CACHE_MAX)
            .build()
            .map_err(|why| match why {
                regex::Error::CompiledTooBig(_) => {
                    LiteralError::at(everything, "the regex takes too much memory")
                        .help("make bounded repeats such as `{1,500}` smaller")
                }
                other => LiteralError::at(everything, first_line(&other.to_string())),
            })?;
        let gate = required(&hir)
            .filter(|text| text.len() >= GATE_MIN)
            .map(|text| memmem::Finder::new(&text).into_owned());
        let secret = machine.capture_names().position(|name| name == Some("secret"));
        Ok(Self { source: source.into(), flags: flags.into(), machine, gate, secret })
    }

    /// Whether a match is possible, told by one search for required text.
    #[inline]
    pub fn may_match(&self, text: &[u8]) -> bool {
        self.gate.as_ref().is_none_or(|gate| gate.find(text).is_some())
    }

    /// Whether any part of the text matches.
    #[inline]
    pub fn matches(&self, text: &[u8]) -> bool {
        self.may_match(text) && self.machine.is_match(text)
    }

    /// Text that every match holds, if there is any of use.
    pub fn required(&self) -> Option<&[u8]> {
        self.gate.as_ref().map(memmem::Finder::needle)
    }

    /// Names of the groups, in order, the whole match left out.
    pub fn groups(&self) -> impl Iterator<Item = Option<&str>> {
        self.machine.capture_names().skip(1)
    }

    /// What `find` means: the whole match, or the first group if there is one. `None` where the group took no part.
    pub fn found(&self, text: &str, from: usize) -> Option<(Option<Range<usize>>, Range<usize>)> {
        if self.machine.captures_len() == 1 {
            let range = self.machine.find_at(text.as_bytes(), from)?.range();
            return Some((Some(range.clone()), range));
        }
        let captures = self.machine.captures_at(text.as_bytes(), from)?;
        let whole = captures.get(0)?.range();
        Some((captures.get(1).map(|group| group.range()), whole))
    }

    /// Where the text matches; for a regex with a group named `secret` where that group does.
    pub fn secrets(&self, text: &str, mut found: impl FnMut(Range<usize>)) {
        if !self.may_match(text.as_bytes()) {
            return;
        }
        match self.secret {
            None => self.machine.find_iter(text.as_bytes()).for_each(|one| found(one.range())),
            Some(group) => self
                .machine
                .captures_iter(text.as_bytes())
                .filter_map(|one| one.get(group))
                .for_each(|one| found(one.range())),
        }
    }
}

fn first_line(text: &str) -> String {
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or(text);
    line.trim().trim_start_matches("error: ").to_owned()
}

/// Turns the parser's complaint into ours, and names what no linear-time machine can do.
fn syntax_error(source: &str, why: &ast::Error) -> LiteralError {
    let range = why.span().start.offset..why.span().end.offset;
    let nonlinear = |range: Range<usize>, message: &str, help: &str| LiteralError {
        message: message.into(),
        range,
        nonlinear: true,
        help: Some(help.into()),
    };
    let behind = source.get(range.start..).unwrap_or("");
    match why.kind() {
        ast::ErrorKind::UnsupportedLookAround => {
            let help = if behind.starts_with("(?<") {
                "match what stands before as well, and put a group around the wanted part"
            } else if behind.starts_with("(?!") {
                "leave it out and add a second condition: `and not (x matches re\"…\")`"
            } else {
                "match what follows as well, and put a group around the wanted part"
            };
            nonlinear(range, "look-around is not supported: regexes run in linear time", help)
        }
        ast::ErrorKind::UnsupportedBackreference => nonlinear(
            range,
            "back-references are not supported: regexes run in linear time",
            "take both parts with groups and compare them: `captures(x, re\"…\")`",
        ),
        ast::ErrorKind::EscapeUnrecognized if behind.starts_with("\\k") => nonlinear(
            range,
            "back-references are not supported: regexes run in linear time",
            "take both parts with groups and compare them: `captures(x, re\"…\")`",
        ),
        ast::ErrorKind::FlagUnrecognized
            if source.get(..range.start).is_some_and(|before| before.ends_with("(?"))
                && behind.starts_with('>') =>
        {
            nonlinear(
                range.start - 2..range.end,
                "atomic groups are not supported: regexes run in linear time",
                "write `(?:…)`: these regexes never go back anyway",
            )
        }
        kind => LiteralError::at(range, kind.to_string()),
    }
}

/// The regex with `\d \w \s \b` spelled out as ASCII.
///
/// Unicode mode stays on, so that `.` and negated classes take whole characters.
fn ascii_classes(source: &str, ast: &Ast) -> String {
    struct Collect(Vec<(Range<usize>, &'static str)>);
    impl Collect {
        fn class(&mut self, class: &ast::ClassPerl) {
            use ast::ClassPerlKind::{Digit, Space, Word};
            let ascii = match (&class.kind, class.negated) {
                (Digit, false) => "[0-9]",
                (Digit, true) => "[^0-9]",
                (Space, false) => r"[\t\n\x0B\x0C\r\x20]",
                (Space, true) => r"[^\t\n\x0B\x0C\r\x20]",
                (Word, false) => "[0-9A-Za-z_]",
                (Word, true) => "[^0-9A-Za-z_]",
            };
            self.0.push((class.span.start.offset..class.span.end.offset, ascii));
        }
    }
    impl ast::Visitor for Collect {
        type Output = Vec<(Range<usize>, &'static str)>;
        type Err = std::convert::Infallible;

        fn finish(self) -> Result<Self::Output, Self::Err> {
            Ok(self.0)
        }

        fn visit_pre(&mut self, ast: &Ast) -> Result<(), Self::Err> {
            match ast {
                Ast::ClassPerl(class) => self.class(class),
                Ast::Assertion(assertion) => {
                    use ast::AssertionKind::{NotWordBoundary, WordBoundary};
                    let ascii = match assertion.kind {
                        WordBoundary => r"(?-u:\b)",
                        NotWordBoundary => r"(?-u:\B)",
                        _ => return Ok(()),
                    };
                    let span = assertion.span;
                    self.0.push((span.start.offset..span.end.offset, ascii));
                }
                _ => {}
            }
            Ok(())
        }

        fn visit_class_set_item_pre(&mut self, item: &ast::ClassSetItem) -> Result<(), Self::Err> {
            if let ast::ClassSetItem::Perl(class) = item {
                self.class(class);
            }
            Ok(())
        }
    }
    let Ok(mut changes) = ast::visit(ast, Collect(Vec::new()));
    changes.sort_by_key(|(range, _)| range.start);
    let mut out = String::with_capacity(source.len() + changes.len() * 8);
    let mut from = 0;
    for (range, ascii) in changes {
        out.push_str(&source[from..range.start]);
        out.push_str(ascii);
        from = range.end;
    }
    out.push_str(&source[from..]);
    out
}

/// The longest text that every match must hold.
fn required(hir: &Hir) -> Option<Vec<u8>> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(literal.0.to_vec()),
        HirKind::Capture(capture) => required(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => required(&repetition.sub),
        HirKind::Concat(parts) => parts.iter().filter_map(required).max_by_key(Vec::len),
        HirKind::Empty
        | HirKind::Class(_)
        | HirKind::Look(_)
        | HirKind::Repetition(_)
        | HirKind::Alternation(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_ascii_and_dots_are_characters() {
        let check = |source: &str, text: &str, expected: bool| {
            let regex = Regex::compile(source, "").unwrap();
            assert_eq!(regex.matches(text.as_bytes()), expected, "{source} on {text}");
        };
        check(r"^\d+$", "१२", false);
        check(r"^\w$", "ä", false);
        check(r"^\W$", "ä", true);
        check(r"^.$", "ä", true);
        check(r"^[^\s\d]$", "ä", true);
        check(r"\bfoo\b", "äfooä", true);
        check(r"order (?<id>\d+) failed", "the order 12 failed", true);
        check(r"order (?<id>\d+) failed", "the order x failed", false);
    }

    #[test]
    fn required_text_is_found() {
        let gate = |source: &str, flags: &str| {
            let regex = Regex::compile(source, flags).unwrap();
            regex.required().map(|text| String::from_utf8(text.to_vec()).unwrap())
        };
        assert_eq!(gate(r"\w+ timeout after \d+", ""), Some(" timeout after ".into()));
        assert_eq!(gate("timeout", "i"), None);
        assert_eq!(gate("(abc|def)", ""), None);
        assert_eq!(gate("(?:abcd)?ef", ""), None);
    }

    #[test]
    fn mistakes_have_a_place_and_advice() {
        let error = |source: &str| Regex::compile(source, "").unwrap_err();
        let ahead = error("a(?=b)");
        assert!(ahead.nonlinear && ahead.help.is_some());
        assert_eq!(ahead.range.start, 1);
        assert!(error(r"(a)\1").nonlinear);
        assert!(error("(?>a)b").nonlinear);
        let open = error("ab(c");
        assert!(!open.nonlinear);
        assert_eq!(open.range.start, 2);
        assert!(error("((a{1,1000}){1,1000}){1,1000}").message.contains("memory"));
        assert!(Regex::compile("a", "iq").is_err());
    }
}
