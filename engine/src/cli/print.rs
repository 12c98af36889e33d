//! Text of strangers on a terminal: what would move the cursor or hide is spelled out.

use std::fmt::Write as _;

use super::say;

/// Text without anything that a terminal would act on.
pub(super) fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| push(&mut out, c));
    out
}

/// The same of bytes: what is no UTF-8 is shown as `\xff`.
pub(super) fn safe_bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|c| push(&mut out, c));
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

fn push(out: &mut String, c: char) {
    match c {
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\t' => out.push_str("\\t"),
        '\r' => out.push_str("\\r"),
        c if c.is_control() && c.is_ascii() => {
            let _ = write!(out, "\\x{:02x}", c as u32);
        }
        // Marks that turn the direction of text, join or hide.
        c if c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}') =>
        {
            let _ = write!(out, "\\u{{{:x}}}", c as u32);
        }
        c => out.push(c),
    }
}

/// The beginning of a text, safe, on one line.
pub(super) fn short(text: &str, most: usize) -> String {
    let text = safe(text);
    if text.chars().count() <= most {
        return text;
    }
    let mut cut: String = text.chars().take(most - 1).collect();
    cut.push('…');
    cut
}

/// A moment, to the millisecond.
pub(super) fn moment(nanoseconds: i64) -> String {
    match jiff::Timestamp::from_nanosecond(i128::from(nanoseconds)) {
        Ok(time) if nanoseconds != 0 => time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
        _ => "-".to_owned(),
    }
}

/// Rows in columns; the first is their names. Columns of nothing are left out.
pub(super) fn table<const N: usize>(rows: &[[String; N]]) {
    let wide: Vec<usize> = (0..N)
        .map(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0))
        .collect();
    let is_empty = |at: usize| rows.iter().skip(1).all(|row| row[at].is_empty());
    let shown: Vec<usize> = (0..N).filter(|&at| !is_empty(at)).collect();
    for row in rows {
        let mut line = String::new();
        for &at in &shown {
            let pad = wide[at] - row[at].chars().count();
            line.push_str(&row[at]);
            line.extend(std::iter::repeat_n(' ', pad + 2));
        }
        say(line.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_a_terminal_that_it_would_act_on() {
        assert_eq!(
            safe_bytes(b"{\"a\":\"\x1b[2J\xff\xe2\x80\xae\"}\n"),
            "{\"a\":\"\\x1b[2J\\xff\\u{202e}\"}\\n"
        );
        assert_eq!(safe("c:\\temp\tü\u{9b}"), "c:\\\\temp\\tü\\u{9b}");
        assert_eq!(short("abcdef", 4), "abc…");
        assert_eq!(moment(0), "-");
        assert_eq!(moment(1_777_629_600_123_000_000), "2026-05-01T10:00:00.123Z");
    }
}
