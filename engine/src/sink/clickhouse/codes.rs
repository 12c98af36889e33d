//! The server's error codes, all of them, and what each asks of us: a table of data.
//!
//! The table is `codes.tsv` beside this file: number, name, class, the setting to look at, a sentence. A test on a real server holds its
//! numbers and names to what the server knows.

use std::sync::LazyLock;

use super::errors::Class;

/// "Too many parts" or "too many partitions", by its words.
pub(super) const TOO_MANY_PARTS: u32 = 252;

/// Whether the server says that a block is more than its memory takes.
pub fn is_memory(number: u32) -> bool {
    matches!(number, 173 | 241 | 777 | 778)
}

/// Whether the server says that blocks come too often.
pub fn is_parts(number: u32) -> bool {
    matches!(number, TOO_MANY_PARTS | 202 | 745)
}

/// One code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// Its number.
    pub number: u32,
    /// Its name, as the server writes it.
    pub name: &'static str,
    /// What it asks of us.
    pub class: Class,
    /// The setting of the sink to look at.
    pub setting: &'static str,
    /// What happened, for a person.
    pub sentence: &'static str,
}

static CODES: LazyLock<Vec<Code>> = LazyLock::new(|| {
    let rows = include_str!("codes.tsv").lines().filter_map(row);
    rows.collect()
});

/// All codes, ascending.
pub fn all() -> &'static [Code] {
    &CODES
}

/// The code with that number.
pub fn find(number: u32) -> Option<&'static Code> {
    let at = CODES.binary_search_by_key(&number, |code| code.number).ok()?;
    Some(&CODES[at])
}

/// The code of that name or number, as people write it in a configuration.
pub fn named(text: &str) -> Option<&'static Code> {
    match text.parse() {
        Ok(number) => find(number),
        Err(_) => CODES.iter().find(|code| code.name.eq_ignore_ascii_case(text)),
    }
}

fn row(line: &'static str) -> Option<Code> {
    let mut cells = line.split('\t');
    Some(Code {
        number: cells.next()?.parse().ok()?,
        name: cells.next()?,
        class: Class::named(cells.next()?)?,
        setting: cells.next()?,
        sentence: cells.next()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_code_and_they_ascend() {
        assert_eq!(all().len(), include_str!("codes.tsv").lines().count());
        assert!(all().is_sorted_by(|a, b| a.number < b.number));
        for code in all() {
            assert!(
                ["url", "user", "password", "database", "table"].contains(&code.setting),
                "{code:?}"
            );
            assert!(code.sentence.len() > 10 && !code.sentence.ends_with('.'), "{code:?}");
        }
    }

    #[test]
    fn codes_are_found_by_number_and_name() {
        assert_eq!(find(60).map(|code| code.name), Some("UNKNOWN_TABLE"));
        assert_eq!(named("60"), find(60));
        assert_eq!(named("Unknown_Table"), find(60));
        assert_eq!((find(5), named("nonsense"), named("-1")), (None, None, None));
    }

    #[test]
    fn what_decides_over_rows_is_as_we_mean_it() {
        let class = |number| find(number).map(|code| code.class);
        let all = |numbers: &[u32], meant: Class| {
            for &number in numbers {
                assert_eq!(class(number), Some(meant), "{number}");
            }
        };
        all(&[202, 241, 242, 243, 252, 159, 999], Class::Wait);
        all(&[209, 210, 216, 236, 319, 394], Class::Resolve);
        all(&[8, 10, 16, 20, 47, 53], Class::Refresh);
        all(&[6, 27, 38, 41, 72, 117, 321, 349, 469], Class::Bisect);
        all(&[60, 81, 164, 193, 497, 516], Class::Stop);
    }
}
