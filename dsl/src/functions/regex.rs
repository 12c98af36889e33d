//! Compiled `re"…"` literals.

/// A regex of linear time. Text is matched as bytes; `\d \w \s \b` are ASCII.
#[derive(Debug)]
pub struct Regex {
    /// As written, without the tag and quotes.
    pub source: String,
    /// Flags behind the closing quote.
    pub flags: String,
    /// The machine.
    pub machine: regex::bytes::Regex,
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
    pub range: std::ops::Range<usize>,
    /// Whether this is a feature outside linear time (E121) rather than a bad literal (E120).
    pub nonlinear: bool,
    /// What to write instead, if known.
    pub help: Option<String>,
}

impl Regex {
    /// Compiles a regex literal; `flags` are letters of `imsx`.
    pub fn compile(source: &str, flags: &str) -> Result<Self, LiteralError> {
        let error = |message: String| LiteralError {
            message,
            range: 0..source.len(),
            nonlinear: false,
            help: None,
        };
        let machine = regex::bytes::RegexBuilder::new(source)
            .case_insensitive(flags.contains('i'))
            .multi_line(flags.contains('m'))
            .dot_matches_new_line(flags.contains('s'))
            .ignore_whitespace(flags.contains('x'))
            .build()
            .map_err(|why| error(why.to_string()))?;
        Ok(Self { source: source.into(), flags: flags.into(), machine })
    }
}
