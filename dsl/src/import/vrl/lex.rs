//! VRL text as tokens.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name or a word.
    Name,
    /// `.a.b[0]`, `%a`, `.`
    Path,
    /// A number.
    Number,
    /// `"…"`
    Text,
    /// `s'…'`
    Raw,
    /// `r'…'`
    Regex,
    /// `t'…'`
    Time,
    /// `(`, `[`, `{`
    Open,
    /// `)`, `]`, `}`
    Close,
    /// An operator or a comma.
    Mark,
    /// The end of a line, or `;`.
    End,
    /// `# …`
    Comment,
}

/// A token and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Cuts a program into tokens; never fails.
pub(super) fn lex(text: &str) -> Vec<Token> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        let kind = match byte {
            b' ' | b'\t' | b'\r' => {
                at += 1;
                continue;
            }
            b'\n' | b';' => {
                at += 1;
                Kind::End
            }
            b'#' => {
                at = bytes[at..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |n| at + n);
                Kind::Comment
            }
            b'"' => {
                at = quoted(bytes, at, b'"');
                Kind::Text
            }
            b's' | b'r' | b't' if bytes.get(at + 1) == Some(&b'\'') => {
                at = quoted(bytes, at + 1, b'\'');
                match byte {
                    b's' => Kind::Raw,
                    b'r' => Kind::Regex,
                    _ => Kind::Time,
                }
            }
            b'.' | b'%' if byte == b'.' || is_word(bytes.get(at + 1)) => {
                at = path(bytes, at);
                Kind::Path
            }
            b'0'..=b'9' => {
                while is_word(bytes.get(at))
                    || (bytes.get(at) == Some(&b'.')
                        && bytes.get(at + 1).is_some_and(u8::is_ascii_digit))
                {
                    at += 1;
                }
                Kind::Number
            }
            b'(' | b'[' | b'{' => {
                at += 1;
                Kind::Open
            }
            b')' | b']' | b'}' => {
                at += 1;
                Kind::Close
            }
            _ if is_word(Some(&byte)) => {
                while is_word(bytes.get(at)) {
                    at += 1;
                }
                Kind::Name
            }
            _ => {
                const LONG: &[&str] = &["==", "!=", "<=", ">=", "&&", "||", "??", "|=", "->"];
                let long = LONG.iter().find(|mark| text[at..].starts_with(**mark));
                let one = text[at..].chars().next().map_or(1, char::len_utf8);
                at += long.map_or(one, |mark| mark.len());
                Kind::Mark
            }
        };
        out.push(Token { kind, start, end: at });
    }
    out
}

fn is_word(byte: Option<&u8>) -> bool {
    byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// One past the closing quote, or the end of the text.
fn quoted(bytes: &[u8], open: usize, quote: u8) -> usize {
    let mut at = open + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            byte if *byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// One past a path: keys, quoted keys, and indexes that are numbers.
fn path(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    loop {
        if bytes.get(at) == Some(&b'"') {
            at = quoted(bytes, at, b'"');
        } else {
            while is_word(bytes.get(at)) || bytes.get(at) == Some(&b'@') {
                at += 1;
            }
        }
        while bytes.get(at) == Some(&b'[') && at > start + 1 {
            let digits =
                bytes[at + 1..].iter().take_while(|b| b.is_ascii_digit() || **b == b'-').count();
            if digits == 0 || bytes.get(at + 1 + digits) != Some(&b']') {
                return at;
            }
            at += digits + 2;
        }
        let next = bytes.get(at + 1);
        if bytes.get(at) == Some(&b'.') && (is_word(next) || next == Some(&b'"')) {
            at += 1;
            continue;
        }
        return at;
    }
}
