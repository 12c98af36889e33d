//! Functions: strings. Positions and lengths count characters from 0.

use super::{
    Family, Function, Kernel, Param, RowArg, Takes, items,
    items::ListText,
    needles, recase,
    signature::{
        BLOB, INT, TEXT, TEXTS, WRONG_TYPE, bool, bytes_ref, int, int_arg, json_ref, left_out, may,
        maybe_int, needs, part_of, same, text, text_arg, text_ref, texts, value_arg,
    },
    twin::{STORED, Sql, When, twin},
};
use crate::{
    column::{Absence, Value},
    eval::RowContext,
    types::Ty,
};

/// The longest text that a function makes out of a short one.
///
/// `repeat` and padding are the only ways to write a few characters and get a lot of memory.
pub(super) const LONGEST: usize = 1 << 20;

/// Strings.
pub const FUNCTIONS: &[Function] = &[
    entry(
        "len",
        &[needs("x", Takes::Countable)],
        int,
        "How many characters a text has, how many bytes, or how many elements a list or map.",
        &[("len(\"Grüße\")", "5"), ("len([1, 2])", "2")],
        Kernel::Rows(len),
        twin("lengthUTF8({0})")
            .forms(&[(When::List(0), "length({0})"), (When::Map(0), "length({0})")]),
    ),
    entry(
        "byte_len",
        &[needs("s", BLOB)],
        int,
        "How many bytes the text has in UTF-8.",
        &[("byte_len(\"Grüße\")", "7")],
        Kernel::Rows(|args, _| {
            bytes_ref(args, 0).map_or(WRONG_TYPE, |bytes| Value::Int(bytes.len() as i64))
        }),
        twin("length({0})"),
    ),
    entry(
        "lower",
        &[needs("s", TEXT)],
        text,
        "The text in lower case, by full Unicode and no locale.",
        &[("lower(\"ÄB\")", "\"äb\"")],
        Kernel::Rows(lower),
        twin("lowerUTF8({0})"),
    ),
    entry(
        "upper",
        &[needs("s", TEXT)],
        text,
        "The text in upper case, by full Unicode and no locale.",
        &[("upper(\"straße\")", "\"STRASSE\"")],
        Kernel::Rows(upper),
        twin("upperUTF8({0})").note("a letter whose upper case is two letters stays there"),
    ),
    entry(
        "trim",
        &[needs("s", TEXT)],
        text,
        "The text without white space at its ends.",
        &[("trim(\" a b \")", "\"a b\"")],
        Kernel::Rows(|args, _| within(args, str::trim)),
        twin(r"replaceRegexpAll({0}, '^\\s+|\\s+$', '')")
            .note("trimmed white space is ASCII there"),
    ),
    entry(
        "trim_start",
        &[needs("s", TEXT)],
        text,
        "The text without white space at its start.",
        &[("trim_start(\" a \")", "\"a \"")],
        Kernel::Rows(|args, _| within(args, str::trim_start)),
        twin(r"replaceRegexpOne({0}, '^\\s+', '')").note("trimmed white space is ASCII there"),
    ),
    entry(
        "trim_end",
        &[needs("s", TEXT)],
        text,
        "The text without white space at its end.",
        &[("trim_end(\" a \")", "\" a\"")],
        Kernel::Rows(|args, _| within(args, str::trim_end)),
        twin(r"replaceRegexpOne({0}, '\\s+$', '')").note("trimmed white space is ASCII there"),
    ),
    entry(
        "trim_prefix",
        &[needs("s", TEXT), needs("prefix", TEXT)],
        text,
        "The text without that prefix, where it has it.",
        &[("trim_prefix(\"/api/x\", \"/api\")", "\"/x\"")],
        Kernel::Rows(|args, _| {
            let Some(prefix) = text_ref(args, 1) else { return WRONG_TYPE };
            within(args, |text| text.strip_prefix(prefix).unwrap_or(text))
        }),
        twin("if(startsWith({0}, {1}), substring({0}, length({1}) + 1), {0})"),
    ),
    entry(
        "trim_suffix",
        &[needs("s", TEXT), needs("suffix", TEXT)],
        text,
        "The text without that suffix, where it has it.",
        &[("trim_suffix(\"a.log\", \".log\")", "\"a\"")],
        Kernel::Rows(|args, _| {
            let Some(suffix) = text_ref(args, 1) else { return WRONG_TYPE };
            within(args, |text| text.strip_suffix(suffix).unwrap_or(text))
        }),
        twin("if(endsWith({0}, {1}), substring({0}, 1, length({0}) - length({1})), {0})"),
    ),
    entry(
        "join",
        &[needs("list", Takes::List), needs("sep", TEXT)],
        text,
        "The list's elements as one text; elements that are null are left out.",
        &[("join([\"a\", \"b\"], \", \")", "\"a, b\""), ("join([1, 2], \"-\")", "\"1-2\"")],
        Kernel::Rows(join),
        twin("arrayStringConcat({0}, {1})").note("elements must be text there"),
    ),
    entry(
        "substr",
        &[needs("s", TEXT), needs("from", INT), may("len", INT)],
        text,
        "The characters from a position on, at most `len`; a negative position counts from the end.",
        &[("substr(\"connection\", 0, 4)", "\"conn\""), ("substr(\"abc\", -2)", "\"bc\"")],
        Kernel::Rows(substr),
        twin("substringUTF8({0}, if({1} < 0, {1}, {1} + 1))")
            .forms(&[(When::Given(2), "substringUTF8({0}, if({1} < 0, {1}, {1} + 1), {2})")]),
    ),
    entry(
        "truncate",
        &[needs("s", TEXT), needs("n", INT), may("suffix", TEXT)],
        text,
        "The first `n` characters, and the suffix (`…`) if something was cut.",
        &[("truncate(\"connection\", 4)", "\"conn…\""), ("truncate(\"abc\", 4)", "\"abc\"")],
        Kernel::Rows(truncate),
        twin("if(lengthUTF8({0}) > {1}, concat(substringUTF8({0}, 1, {1}), {2|'…'}), {0})"),
    ),
    entry(
        "contains_any",
        &[needs("s", TEXT), needs("list", TEXTS)],
        bool,
        "Whether any of the texts stands in `s`.",
        &[("contains_any(\"curl/8\", [\"bot\", \"curl\"])", "true")],
        Kernel::Columns(needles::contains_any),
        twin("multiSearchAny({0}, {1})"),
    ),
    entry(
        "contains_all",
        &[needs("s", TEXT), needs("list", TEXTS)],
        bool,
        "Whether all of the texts stand in `s`.",
        &[("contains_all(\"a b c\", [\"a\", \"c\"])", "true")],
        Kernel::Columns(needles::contains_all),
        twin("arrayAll(t -> position({0}, t) > 0, {1})"),
    ),
    entry(
        "index_of",
        &[needs("s", TEXT), needs("t", TEXT)],
        maybe_int,
        "Where the other text first stands in `s`, absent where it does not.",
        &[("index_of(\"Grüße\", \"ß\")", "3")],
        Kernel::Rows(|args, _| {
            let Some((text, other)) = text_ref(args, 0).zip(text_ref(args, 1)) else {
                return WRONG_TYPE;
            };
            let found = text.find(other).map(|at| Value::Int(text[..at].chars().count() as i64));
            Value::or_absent(found, Absence::NoMatch)
        }),
        twin("nullIf(positionUTF8({0}, {1}), 0) - 1"),
    ),
    entry(
        "count_of",
        &[needs("s", TEXT), needs("t", TEXT)],
        int,
        "How often the other text stands in `s`, not overlapping; an empty text never does.",
        &[("count_of(\"banana\", \"an\")", "2")],
        Kernel::Rows(|args, _| {
            let Some((text, other)) = text_ref(args, 0).zip(text_ref(args, 1)) else {
                return WRONG_TYPE;
            };
            let count = if other.is_empty() { 0 } else { text.matches(other).count() };
            Value::Int(count as i64)
        }),
        twin("if({1} = '', 0, countSubstrings({0}, {1}))"),
    ),
    entry(
        "repeat",
        &[needs("s", TEXT), needs("n", INT)],
        text,
        "The text `n` times, up to 1 MiB.",
        &[("repeat(\"ab\", 3)", "\"ababab\"")],
        Kernel::Rows(|args, _| {
            let Some((text, n)) = text_ref(args, 0).zip(int_arg(args, 1)) else {
                return WRONG_TYPE;
            };
            let n = usize::try_from(n.max(0)).unwrap_or(usize::MAX);
            match text.len().checked_mul(n) {
                Some(bytes) if bytes <= LONGEST => Value::owned(text.repeat(n)),
                _ => Value::Absent(Absence::OutOfRange),
            }
        }),
        twin("repeat({0}, {1})"),
    ),
    entry(
        "pad_start",
        &[needs("s", TEXT), needs("n", INT), may("with", TEXT)],
        text,
        "The text with blanks (or the given text) before it, `n` characters long.",
        &[("pad_start(\"7\", 3, \"0\")", "\"007\"")],
        Kernel::Rows(|args, _| pad(args, |filling, text| filling + text)),
        twin("if(lengthUTF8({0}) >= {1}, {0}, leftPadUTF8({0}, {1}, {2|' '}))"),
    ),
    entry(
        "pad_end",
        &[needs("s", TEXT), needs("n", INT), may("with", TEXT)],
        text,
        "The text with blanks (or the given text) behind it, `n` characters long.",
        &[("pad_end(\"7\", 3, \"0\")", "\"700\"")],
        Kernel::Rows(|args, _| pad(args, |filling, text| text.to_owned() + &filling)),
        twin("if(lengthUTF8({0}) >= {1}, {0}, rightPadUTF8({0}, {1}, {2|' '}))"),
    ),
    entry(
        "reverse",
        &[needs("x", Takes::Sized)],
        same,
        "The characters of a text, or the elements of a list, backwards.",
        &[("reverse(\"abc\")", "\"cba\""), ("reverse([1, 2])", "[2,1]")],
        Kernel::Rows(reverse),
        twin("reverseUTF8({0})").forms(&[(When::List(0), "arrayReverse({0})")]),
    ),
    entry(
        "recase",
        &[needs("s", TEXT), needs("style", Takes::Choice(recase::STYLES))],
        text,
        "The words of a name in another style.",
        &[("recase(\"userAgent\", snake)", "\"user_agent\"")],
        Kernel::Rows(recase::kernel),
        Sql::None(STORED),
    ),
    entry(
        "lines_of",
        &[needs("s", TEXT)],
        texts,
        "The lines of a text, without their ends.",
        &[("lines_of(\"a\\r\\nb\\n\")", "[\"a\",\"b\"]")],
        Kernel::Rows(|args, _| {
            let Some(text) = text_ref(args, 0) else { return WRONG_TYPE };
            let mut list = ListText::new();
            text.lines().for_each(|line| list.text(line));
            list.finish()
        }),
        Sql::None(STORED),
    ),
    entry(
        "strip_ansi",
        &[needs("s", TEXT)],
        text,
        "The text without the escape sequences that color terminals.",
        &[("strip_ansi(\"\\u{1B}[31mred\\u{1B}[0m\")", "\"red\"")],
        Kernel::Rows(strip_ansi),
        Sql::None(STORED),
    ),
    entry(
        "squeeze",
        &[needs("s", TEXT)],
        text,
        "The text with every run of white space as one blank.",
        &[("squeeze(\"a  b\\t c\")", "\"a b c\"")],
        Kernel::Rows(squeeze),
        Sql::None(STORED),
    ),
    entry(
        "basename",
        &[needs("path", TEXT)],
        text,
        "What stands behind the last `/` or `\\` of a path.",
        &[("basename(\"/var/log/app.log\")", "\"app.log\"")],
        Kernel::Rows(|args, _| {
            within(args, |path| {
                let path = path.trim_end_matches(['/', '\\']);
                path.rfind(['/', '\\']).map_or(path, |at| &path[at + 1..])
            })
        }),
        Sql::None(STORED),
    ),
    entry(
        "dirname",
        &[needs("path", TEXT)],
        text,
        "What stands before the last `/` or `\\` of a path.",
        &[("dirname(\"/var/log/app.log\")", "\"/var/log\"")],
        Kernel::Rows(|args, _| {
            within(args, |path| {
                let trimmed = path.trim_end_matches(['/', '\\']);
                match trimmed.rfind(['/', '\\']) {
                    Some(0) => &path[..1],
                    Some(at) => &path[..at],
                    None => "",
                }
            })
        }),
        Sql::None(STORED),
    ),
];

/// An entry of this family: its functions stand in two files.
pub(super) const fn entry(
    name: &'static str,
    params: &'static [Param],
    returns: fn(&[Option<Ty>]) -> Ty,
    doc: &'static str,
    examples: &'static [(&'static str, &'static str)],
    kernel: Kernel,
    sql: Sql,
) -> Function {
    Function { sql, ..Function::new(name, Family::Strings, params, returns, doc, examples, kernel) }
}

/// A part of the first argument.
fn within<'a>(args: &[RowArg<'a>], find: impl Fn(&str) -> &str) -> Value<'a> {
    let Some(text) = text_arg(args, 0) else { return WRONG_TYPE };
    let found = find(&text);
    Value::Text(part_of(&text, found))
}

fn len<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let count = match value_arg(args, 0) {
        Some(Value::Text(text)) if text.is_ascii() => text.len(),
        Some(Value::Text(text)) => text.chars().count(),
        Some(Value::Bytes(bytes)) => bytes.len(),
        Some(Value::Json(raw)) if raw.starts_with('[') => items::elements(raw).count(),
        Some(Value::Json(raw)) => items::members(raw).count(),
        _ => return WRONG_TYPE,
    };
    Value::Int(count as i64)
}

fn lower<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(text) = text_arg(args, 0) else { return WRONG_TYPE };
    if text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return Value::Text(text);
    }
    Value::owned(if text.is_ascii() { text.to_ascii_lowercase() } else { text.to_lowercase() })
}

fn upper<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(text) = text_arg(args, 0) else { return WRONG_TYPE };
    if text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_lowercase()) {
        return Value::Text(text);
    }
    Value::owned(if text.is_ascii() { text.to_ascii_uppercase() } else { text.to_uppercase() })
}

fn join<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some((list, sep)) = json_ref(args, 0).zip(text_ref(args, 1)) else { return WRONG_TYPE };
    let mut out = String::new();
    let mut first = true;
    for raw in items::elements(list) {
        let value = items::decode(raw);
        if !value.is_present() {
            continue;
        }
        if !first {
            out.push_str(sep);
        }
        first = false;
        match &value {
            Value::Json(raw) => out.push_str(raw),
            value => super::show::scalar(&mut out, value),
        }
    }
    Value::owned(out)
}

/// Where the character of that number begins; the end if there are fewer.
fn byte_at(text: &str, position: usize) -> usize {
    if text.is_ascii() {
        return position.min(text.len());
    }
    text.char_indices().nth(position).map_or(text.len(), |(at, _)| at)
}

/// A position as written, as a place among `len`: negative ones count from the end.
pub(super) fn position(from: i64, len: usize) -> usize {
    if from < 0 {
        len.saturating_sub(usize::try_from(from.unsigned_abs()).unwrap_or(usize::MAX))
    } else {
        usize::try_from(from).unwrap_or(usize::MAX).min(len)
    }
}

fn substr<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some((text, from)) = text_arg(args, 0).zip(int_arg(args, 1)) else { return WRONG_TYPE };
    let from =
        if from < 0 { position(from, text.chars().count()) } else { position(from, text.len()) };
    let start = byte_at(&text, from);
    let end = match int_arg(args, 2) {
        Some(len) => {
            start + byte_at(&text[start..], usize::try_from(len.max(0)).unwrap_or(usize::MAX))
        }
        None if left_out(args, 2) => text.len(),
        None => return WRONG_TYPE,
    };
    let found = &text[start..end];
    Value::Text(part_of(&text, found))
}

fn truncate<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some((text, n)) = text_arg(args, 0).zip(int_arg(args, 1)) else { return WRONG_TYPE };
    let end = byte_at(&text, usize::try_from(n.max(0)).unwrap_or(usize::MAX));
    if end == text.len() {
        return Value::Text(text);
    }
    let suffix = text_ref(args, 2).unwrap_or("…");
    let found = &text[..end];
    if suffix.is_empty() {
        return Value::Text(part_of(&text, found));
    }
    Value::owned([found, suffix].concat())
}

fn pad<'a>(args: &[RowArg<'a>], place: impl Fn(String, &str) -> String) -> Value<'a> {
    let Some((text, n)) = text_arg(args, 0).zip(int_arg(args, 1)) else { return WRONG_TYPE };
    let with = text_ref(args, 2).unwrap_or(" ");
    let n = usize::try_from(n.max(0)).unwrap_or(usize::MAX);
    if n > LONGEST {
        return Value::Absent(Absence::OutOfRange);
    }
    let missing = n.saturating_sub(text.chars().count());
    if missing == 0 || with.is_empty() {
        return Value::Text(text);
    }
    let filling: String = with.chars().cycle().take(missing).collect();
    Value::owned(place(filling, &text))
}

fn reverse<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    match value_arg(args, 0) {
        Some(Value::Text(text)) => Value::owned(text.chars().rev().collect()),
        Some(Value::Json(raw)) if raw.starts_with('[') => {
            let elements: Vec<&str> = items::elements(raw).collect();
            let mut list = ListText::new();
            elements.iter().rev().for_each(|raw| list.raw(raw));
            list.finish()
        }
        _ => WRONG_TYPE,
    }
}

fn strip_ansi<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    const ESCAPE: char = '\u{1B}';
    let Some(text) = text_arg(args, 0) else { return WRONG_TYPE };
    let Some(first) = text.find(ESCAPE) else { return Value::Text(text) };
    let mut out = text[..first].to_owned();
    let mut chars = text[first..].chars();
    while let Some(c) = chars.next() {
        if c != ESCAPE {
            out.push(c);
            continue;
        }
        match chars.next() {
            // CSI: parameters, then one final byte.
            Some('[') => {
                chars.find(|c| ('@'..='~').contains(c));
            }
            // OSC: up to BEL or ESC \.
            Some(']') => {
                let mut before = ' ';
                chars.find(|&c| {
                    let ends = c == '\u{7}' || (before == ESCAPE && c == '\\');
                    before = c;
                    ends
                });
            }
            _ => {}
        }
    }
    Value::owned(out)
}

fn squeeze<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(text) = text_ref(args, 0) else { return WRONG_TYPE };
    let mut out = String::with_capacity(text.len());
    let mut blank = false;
    for c in text.chars() {
        if !c.is_whitespace() {
            out.push(c);
        } else if !blank {
            out.push(' ');
        }
        blank = c.is_whitespace();
    }
    Value::owned(out)
}
