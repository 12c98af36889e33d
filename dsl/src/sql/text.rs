//! Names, patterns and regexes as ClickHouse spells them.

use crate::functions::{Glob, Regex};

/// A name in backticks.
pub(super) fn name(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 2);
    out.push('`');
    for c in name.chars() {
        if matches!(c, '`' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('`');
    out
}

/// Text that `LIKE` takes for itself.
pub(super) fn like_literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// A glob as a pattern of `LIKE`.
pub(super) fn like_glob(glob: &Glob) -> String {
    let mut out = String::new();
    for c in glob.source.chars() {
        match c {
            '*' => out.push('%'),
            '?' => out.push('_'),
            c => out.push_str(&like_literal(c.encode_utf8(&mut [0; 4]))),
        }
    }
    out
}

/// A regex as the server's own machine reads it; `None` where it has no word for something.
///
/// Both are linear and share their syntax nearly whole. `.` does not take a line's end here, which is not the server's default.
pub(super) fn regex(regex: &Regex) -> Option<String> {
    if regex.flags.contains('x') || regex.source.contains('\0') {
        return None;
    }
    let source = regex.machine.as_str().replace(r"(?-u:\b)", r"\b").replace(r"(?-u:\B)", r"\B");
    // Set operations of classes, and flags that the server's machine does not know.
    let foreign = ["&&", "--", "~~", "(?-u", "(?u", "(?R", "(?x", r"\b{", r"\<", r"\>"];
    if foreign.iter().any(|piece| source.contains(piece)) {
        return None;
    }
    let mut flags = String::new();
    for flag in ['i', 'm', 's'] {
        if regex.flags.contains(flag) {
            flags.push(flag);
        }
    }
    Some(if regex.flags.contains('s') {
        format!("(?{flags}){source}")
    } else {
        format!("(?{flags}-s){source}")
    })
}

/// The regex for words that stand between characters which belong to none.
pub(super) fn words(words: &str, ignore_case: bool) -> String {
    let parts: Vec<String> =
        words.split(|c: char| !is_word(c)).filter(|w| !w.is_empty()).map(escape).collect();
    // Everything that is no letter, digit or `_` separates.
    let outside = r"[^\p{L}\p{M}\p{N}_]";
    let flag = if ignore_case { "(?i)" } else { "" };
    format!("{flag}(?:^|{outside})(?:{})(?:{outside}|$)", parts.join(&format!("{outside}+")))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn escape(text: &str) -> String {
    regex_syntax::escape(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_like_would_take_for_a_pattern_is_escaped() {
        assert_eq!(like_literal(r"50%_\"), r"50\%\_\\");
        assert_eq!(name("a`b"), r"`a\`b`");
    }

    #[test]
    fn regexes_say_what_a_dot_takes() {
        let of = |source: &str, flags: &str| regex(&Regex::compile(source, flags).unwrap());
        assert_eq!(of(r"a.b", "").as_deref(), Some("(?-s)a.b"));
        assert_eq!(of(r"a.b", "is").as_deref(), Some("(?is)a.b"));
        assert_eq!(of(r"\bx\d", "").as_deref(), Some(r"(?-s)\bx[0-9]"));
        assert_eq!(of(r"[a-z&&[^b]]", ""), None);
        assert_eq!(of(r"a b", "x"), None);
    }
}
