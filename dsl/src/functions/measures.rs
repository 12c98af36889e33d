//! Functions: what a text measures, and text that is fit to be kept.

use std::{borrow::Cow, collections::BTreeMap};

use super::{
    Function, Kernel, RowArg,
    signature::{BLOB, TEXT, WRONG_TYPE, needs, text, text_ref, value_arg},
    strings::entry,
    twin::{STORED, Sql, twin},
};
use crate::{
    column::{Absence, Value},
    eval::RowContext,
    types::{Ty, Type},
};

/// Longest text that is compared: the work grows with the product of both lengths.
const COMPARED_MAX: usize = 1_000;

/// What a text measures.
pub(super) const FUNCTIONS: &[Function] = &[
    entry(
        "entropy",
        &[needs("s", TEXT)],
        |_| Ty::required(Type::Float),
        "How evenly the characters of the text are spread, in bits a character (Shannon): random keys are above 4, words below 3.5.",
        &[("entropy(\"aaaa\")", "0.0"), ("entropy(\"abcd\")", "2.0")],
        Kernel::Rows(entropy),
        Sql::None(STORED),
    ),
    entry(
        "similarity",
        &[needs("a", TEXT), needs("b", TEXT)],
        |_| Ty::optional(Type::Float),
        "How much of two texts is the same, from 0 to 1: the share of characters that need no edit (Levenshtein); absent where one has more than 1,000 characters.",
        &[
            ("similarity(\"kitten\", \"kittens\") > 0.85", "true"),
            ("similarity(\"a\", \"b\")", "0.0"),
        ],
        Kernel::Rows(similarity),
        twin("1 - editDistanceUTF8({0}, {1}) / greatest(lengthUTF8({0}), lengthUTF8({1}), 1)"),
    ),
    entry(
        "sanitize_utf8",
        &[needs("s", BLOB)],
        text,
        "The text, or that of bytes, without what broken encodings leave behind: bytes that are no UTF-8, replacement characters, byte order marks, and control characters other than tab and line ends.",
        &[
            ("sanitize_utf8(\"a\\u{FFFD}b\\u{0}c\")", "\"abc\""),
            ("sanitize_utf8(bytes(\"61ff62\", from: hex))", "\"ab\""),
        ],
        Kernel::Rows(sanitize),
        Sql::None(STORED),
    ),
];

fn entropy<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(text) = text_ref(args, 0) else { return WRONG_TYPE };
    let mut counts: BTreeMap<char, u32> = BTreeMap::new();
    let mut all = 0_u32;
    for c in text.chars() {
        *counts.entry(c).or_default() += 1;
        all += 1;
    }
    let bits = counts.values().map(|count| {
        let share = f64::from(*count) / f64::from(all);
        -share * share.log2()
    });
    // One character alone gives a negative zero.
    Value::float(bits.sum::<f64>().abs())
}

fn similarity<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some((a, b)) = text_ref(args, 0).zip(text_ref(args, 1)) else { return WRONG_TYPE };
    let (a, b): (Vec<char>, Vec<char>) =
        (a.chars().take(COMPARED_MAX + 1).collect(), b.chars().take(COMPARED_MAX + 1).collect());
    let longest = a.len().max(b.len());
    if longest > COMPARED_MAX {
        return Value::Absent(Absence::OutOfRange);
    }
    if longest == 0 {
        return Value::Float(1.0);
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = replaced.min(corner + 1).min(row[j] + 1);
        }
    }
    Value::Float(1.0 - row[b.len()] as f64 / longest as f64)
}

fn sanitize<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let text = match value_arg(args, 0) {
        Some(Value::Text(text)) => text.clone(),
        Some(Value::Bytes(bytes)) => Cow::Owned(String::from_utf8_lossy(bytes).into_owned()),
        _ => return WRONG_TYPE,
    };
    let keeps = |c: char| {
        !matches!(c, '\u{fffd}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
            && (!c.is_control() || matches!(c, '\t' | '\n' | '\r'))
    };
    if text.chars().all(keeps) {
        return Value::Text(text);
    }
    Value::owned(text.chars().filter(|c| keeps(*c)).collect())
}
