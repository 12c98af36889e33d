//! Numbers of payment cards: an issuer's range and length, and the check digit.
//!
//! Cards stand among other numbers ("order 20261121 4111 1111 1111 1111"), so every run of digit groups is tried from each
//! group on. A pattern would take the first sixteen digits, find them wrong, and go on behind them.

use std::ops::Range;

/// Digits of a card, least and most.
const DIGITS: Range<usize> = 12..20;

/// Tells where cards stand in the text.
pub(super) fn find(text: &str, found: &mut dyn FnMut(Range<usize>)) {
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut groups: Vec<Range<usize>> = Vec::new();
    while let Some(skipped) = bytes[at..].iter().position(u8::is_ascii_digit) {
        let start = at + skipped;
        at = start;
        groups.clear();
        // Groups of digits with one blank or dash between them.
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            groups.push(at..at + digits);
            at += digits;
            let joined = matches!(bytes.get(at), Some(b' ' | b'-'))
                && bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
            if !joined {
                break;
            }
            at += 1;
        }
        // A run that is part of a word or of a decimal number has no card at that end.
        let glued = |byte: Option<&u8>| {
            byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        };
        let decimal = start > 1 && bytes[start - 1] == b'.' && bytes[start - 2].is_ascii_digit();
        if decimal || glued(start.checked_sub(1).and_then(|before| bytes.get(before))) {
            groups.remove(0);
        }
        if glued(bytes.get(at)) {
            groups.pop();
        }
        cards(bytes, &groups, found);
    }
}

fn cards(bytes: &[u8], groups: &[Range<usize>], found: &mut dyn FnMut(Range<usize>)) {
    let mut first = 0;
    while first < groups.len() {
        // The longest card that begins here.
        let (mut digits, mut longest) = (Vec::with_capacity(DIGITS.end), None);
        for last in first..groups.len() {
            let group = &bytes[groups[last].clone()];
            if digits.len() + group.len() >= DIGITS.end {
                break;
            }
            digits.extend(group.iter().map(|byte| byte - b'0'));
            if digits.len() >= DIGITS.start && has_issuer(&digits) && has_check_digit(&digits) {
                longest = Some(last);
            }
        }
        if let Some(last) = longest {
            found(groups[first].start..groups[last].end);
        }
        first = longest.unwrap_or(first) + 1;
    }
}

/// Whether some issuer gives out numbers that begin so and are so long.
fn has_issuer(digits: &[u8]) -> bool {
    let first = |count: usize| {
        digits[..count].iter().fold(0_u32, |number, digit| number * 10 + u32::from(*digit))
    };
    let (one, two, three, four) = (first(1), first(2), first(3), first(4));
    match digits.len() {
        // Visa
        13 | 16 | 19 if one == 4 => true,
        // American Express
        15 if matches!(two, 34 | 37) => true,
        // Mastercard, RuPay, Troy
        16 if matches!(two, 51..=55 | 81 | 82) || matches!(four, 2221..=2720 | 9792) => true,
        // Diners Club
        14..=19 if matches!(two, 36 | 38 | 39) || matches!(three, 300..=305) => true,
        // JCB, Mir
        16..=19 if matches!(four, 3528..=3589 | 2200..=2204) => true,
        // Maestro; Discover, UnionPay and others begin with a 6 too.
        12..=19 => one == 6 || matches!(two, 50 | 56..=58),
        _ => false,
    }
}

/// Whether the digits have a right Luhn check digit. At least two digits; only blanks and dashes between them.
pub(in crate::functions) fn is_luhn(text: &str) -> bool {
    let mut digits = Vec::new();
    for c in text.chars() {
        match c.to_digit(10) {
            Some(digit) => digits.push(digit as u8),
            None if c == ' ' || c == '-' => {}
            None => return false,
        }
    }
    digits.len() >= 2 && has_check_digit(&digits)
}

fn has_check_digit(digits: &[u8]) -> bool {
    let folded = |(place, digit): (usize, &u8)| match (place % 2, digit * 2) {
        (0, _) => u32::from(*digit),
        (_, doubled) => u32::from(if doubled > 9 { doubled - 9 } else { doubled }),
    };
    digits.iter().rev().enumerate().map(folded).sum::<u32>() % 10 == 0
}
