//! Escapes in JSON strings: whether they are right, and what they mean.

/// The place behind the escape that starts at `at`, or `None` if it is wrong.
///
/// A lone surrogate is wrong: it has no UTF-8.
pub(super) fn escape(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at + 1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 2),
        b'u' => match unit(bytes, at + 2)? {
            0xD800..=0xDBFF => {
                let low = bytes.get(at + 6..at + 8)? == br"\u"
                    && matches!(unit(bytes, at + 8)?, 0xDC00..=0xDFFF);
                low.then_some(at + 12)
            }
            0xDC00..=0xDFFF => None,
            _ => Some(at + 6),
        },
        _ => None,
    }
}

/// The text that stands between a string's quotes, escapes undone; `None` where an escape is wrong or the rest is not
/// UTF-8.
pub(super) fn unescape(raw: &[u8]) -> Option<String> {
    let mut text = String::with_capacity(raw.len());
    let mut at = 0;
    while let Some(found) = raw[at..].iter().position(|&byte| byte == b'\\') {
        text.push_str(std::str::from_utf8(&raw[at..at + found]).ok()?);
        let start = at + found;
        at = escape(raw, start)?;
        text.push(match raw[start + 1] {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = unit(raw, start + 2)?;
                let code = if at == start + 12 {
                    let second = unit(raw, start + 8)?;
                    0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)
                } else {
                    first
                };
                char::from_u32(code)?
            }
            other => char::from(other),
        });
    }
    text.push_str(std::str::from_utf8(&raw[at..]).ok()?);
    Some(text)
}

/// Four hexadecimal digits.
fn unit(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 4)?;
    digits.iter().try_fold(0, |unit, &digit| Some(unit << 4 | char::from(digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(raw: &str, text: Option<&str>) {
        assert_eq!(unescape(raw.as_bytes()).as_deref(), text, "{raw}");
        let reference = serde_json::from_str::<String>(&format!("\"{raw}\"")).ok();
        assert_eq!(reference.as_deref(), text, "{raw}");
    }

    #[test]
    fn escapes_mean_what_they_mean() {
        check("plain größe", Some("plain größe"));
        check(r#"\" \\ \/ \b \f \n \r \t"#, Some("\" \\ / \u{8} \u{c} \n \r \t"));
        check(r"\u0041\u00e9\u20AC\uD83D\uDE00\u0000", Some("Aé€😀\0"));
        for wrong in [
            r"\x",
            r"\",
            r"\u",
            r"\u12",
            r"\u12g4",
            r"\u+123",
            r"\uD800",
            r"\uD800x",
            r"\uD800\n",
            r"\uD800\u0041",
            r"\uD800\uD800",
            r"\uDC00",
            r"\uD83D\uDE0",
            r"\U0041",
            "\\\u{e9}",
        ] {
            check(wrong, None);
        }
    }
}
