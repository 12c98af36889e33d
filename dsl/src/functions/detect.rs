//! What `redact` knows by name: patterns with the checks that tell them from look-alikes.

use std::{net::Ipv4Addr, ops::Range, sync::LazyLock};

use base64::Engine as _;

use super::Regex;

/// Names of the built-in detectors.
pub(super) const NAMES: &[&str] = &["email", "card", "iban", "ipv4", "jwt", "aws_key"];

/// A built-in detector.
#[derive(Debug)]
pub(super) struct Builtin {
    name: &'static str,
    regex: Regex,
    /// Whether a match is what it looks like.
    check: fn(&str) -> bool,
}

static BUILTINS: LazyLock<Vec<Builtin>> = LazyLock::new(|| {
    type Row = (&'static str, &'static str, fn(&str) -> bool);
    const TABLE: [Row; 6] = [
        ("email", r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}", |_| true),
        ("card", r"\b\d(?:[ -]?\d){12,18}\b", is_luhn),
        ("iban", r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}\b", is_iban),
        ("ipv4", r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b", |text| {
            text.parse::<Ipv4Addr>().is_ok()
        }),
        ("jwt", r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*", is_jwt),
        ("aws_key", r"\b(?:AKIA|ASIA|AGPA|AIDA|AROA|ANPA|ANVA|ABIA|ACCA)[A-Z0-9]{16}\b", |_| true),
    ];
    TABLE
        .iter()
        .map(|&(name, regex, check)| Builtin {
            name,
            regex: Regex::compile(regex, "").expect("a built-in regex compiles"),
            check,
        })
        .collect()
});

/// The detector of that name.
pub(super) fn builtin(name: &str) -> Option<&'static Builtin> {
    BUILTINS.iter().find(|builtin| builtin.name == name)
}

impl Builtin {
    /// Where it stands in the text.
    pub(super) fn find(&self, text: &str, mut found: impl FnMut(Range<usize>)) {
        self.regex.secrets(text, |range| {
            if text.get(range.clone()).is_some_and(self.check) {
                found(range);
            }
        });
    }
}

/// Whether the digits have a right Luhn check digit. At least two digits; only blanks and dashes between them.
pub(super) fn is_luhn(text: &str) -> bool {
    let mut sum = 0_u32;
    let mut count = 0_u32;
    for c in text.chars().rev() {
        match c.to_digit(10) {
            Some(digit) => {
                let doubled = digit * 2;
                let folded = if doubled > 9 { doubled - 9 } else { doubled };
                sum = (sum + if count % 2 == 1 { folded } else { digit }) % 10;
                count += 1;
            }
            None if c == ' ' || c == '-' => {}
            None => return false,
        }
    }
    count >= 2 && sum == 0
}

/// The check of ISO 13616: the rearranged number is 1 modulo 97.
fn is_iban(text: &str) -> bool {
    let letters: Vec<u8> = text.bytes().filter(|byte| *byte != b' ').collect();
    if !(15..=34).contains(&letters.len()) {
        return false;
    }
    let rest = letters[4..].iter().chain(&letters[..4]).try_fold(0_u32, |sum, &byte| {
        let value = char::from(byte).to_digit(36)?;
        Some((sum * if value > 9 { 100 } else { 10 } + value) % 97)
    });
    rest == Some(1)
}

/// Whether the first part is a JSON object in Base64.
fn is_jwt(text: &str) -> bool {
    let head = text.split('.').next().unwrap_or("");
    base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(head)
        .is_ok_and(|json| json.starts_with(b"{") && json.ends_with(b"}"))
}
