//! Functions: documents in other notations, and what stands in fields: numbers, tokens, traces, addresses.

use super::{
    Function, Kernel, RowArg, Takes, csv, documents,
    formats::entry,
    items::{self, ListText},
    read,
    records::{FieldSpec, maybe, record_type, records},
    signature::{TEXT, TEXTS, UNREADABLE, WRONG_TYPE, choice_arg, may, maybe_any, needs, text_ref},
    stacktrace,
    xml::parse_xml,
    yaml::parse_yaml,
};
use crate::{
    column::{Absence, Value},
    eval::RowContext,
    types::{Ty, Type},
};

/// Words that are cut from one text.
const TOKENS_MAX: usize = 10_000;

/// Documents and fields.
pub(super) const FUNCTIONS: &[Function] = &[
    entry(
        "parse_csv",
        &[needs("s", TEXT), may("sep", TEXT), may("columns", TEXTS)],
        |args| {
            let named = args.get(2).is_some_and(Option::is_some);
            Ty::optional(if named { Type::map(Type::Text) } else { Type::list(Type::Text) })
        },
        "The values of a line of CSV as a list, or as a map where `columns` names them; `sep` (a comma) is one character.",
        &[
            ("parse_csv(\"a,\\\"b,c\\\",\")", "[\"a\",\"b,c\",\"\"]"),
            (
                "parse_csv(\"1;2\", sep: \";\", columns: [\"x\", \"y\"])",
                "{\"x\":\"1\",\"y\":\"2\"}",
            ),
        ],
        Kernel::Rows(csv::parse_csv),
    ),
    entry(
        "parse_xml",
        &[needs("s", TEXT)],
        |_| Ty::optional(Type::map(Type::Any)),
        "The element that the text is: attributes as `@name`, children by name (a list where there are several), text beside them as `text`.",
        &[(
            "parse_xml(\"<a x='1'><b>2</b><b>3</b></a>\")",
            "{\"a\":{\"@x\":\"1\",\"b\":[\"2\",\"3\"]}}",
        )],
        Kernel::Rows(parse_xml),
    ),
    entry(
        "parse_yaml",
        &[needs("s", TEXT)],
        maybe_any,
        "The first YAML document of the text; absent if it nests deeper than 64 levels or its aliases make more than 1 MiB of it.",
        &[("parse_yaml(\"a: 1\\nb: [x, true]\")", "{\"a\":1,\"b\":[\"x\",true]}")],
        Kernel::Rows(parse_yaml),
    ),
    entry(
        "parse_tokens",
        &[needs("s", TEXT)],
        |_| Ty::required(Type::list(Type::Text)),
        "The words of a text; what stands in quotes or in square brackets is one word, without them.",
        &[("parse_tokens(\"a \\\"b c\\\" [d e] f\")", "[\"a\",\"b c\",\"d e\",\"f\"]")],
        Kernel::Rows(parse_tokens),
    ),
    entry(
        "parse_number",
        &[needs("s", TEXT), may("locale", Takes::Choice(&["en", "de", "fr", "ch"]))],
        |_| Ty::optional(Type::Number),
        "The number of a text as people write it, with groups of thousands: `1,234.5` (en), `1.234,5` (de), `1 234,5` (fr), `1'234.5` (ch).",
        &[
            ("parse_number(\"1,234.5\")", "1234.5"),
            ("parse_number(\"-1.234\", locale: de)", "-1234"),
        ],
        Kernel::Rows(parse_number),
    ),
    entry(
        "parse_stacktrace",
        &[needs("s", TEXT), may("language", Takes::Choice(stacktrace::LANGUAGES))],
        |_| record_type(stacktrace::FIELDS),
        "What was thrown, and the frames, the innermost first, as a list of `{ function, file, line }`: Java (and Kotlin, Scala), Python, Go, Node.",
        &[(
            "parse_stacktrace(\"java.io.IOException: gone\\n\\tat a.B.c(B.java:7)\").frames",
            "[{\"function\":\"a.B.c\",\"file\":\"B.java\",\"line\":7}]",
        )],
        Kernel::Columns(|context, mask| {
            let parse: for<'t> fn(&'t str) -> Option<Vec<Value<'t>>> = match context.choice(1) {
                Some("java") => stacktrace::java,
                Some("python") => stacktrace::python,
                Some("go") => stacktrace::go,
                Some("node") => stacktrace::node,
                _ => stacktrace::auto,
            };
            records(context, mask, stacktrace::FIELDS, parse)
        }),
    ),
    entry(
        "parse_jwt",
        &[needs("s", TEXT)],
        |_| Ty::optional(Type::map(Type::Any)),
        "The claims of a JSON Web Token, a `Bearer` before it or not. Nothing is verified: it says what the token says.",
        &[("parse_jwt(\"eyJhbGciOiJub25lIn0.eyJzdWIiOiJib2IifQ.\").sub", "\"bob\"")],
        Kernel::Rows(parse_jwt),
    ),
    entry(
        "parse_email_address",
        &[needs("s", TEXT)],
        |_| record_type(EMAIL),
        "The parts of a mail address, a name and angle brackets around it or not; the domain in lower case.",
        &[("parse_email_address(\"Bob B <bob@Example.com>\").domain", "\"example.com\"")],
        Kernel::Columns(|context, mask| records(context, mask, EMAIL, email)),
    ),
];

fn parse_tokens<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(text) = text_ref(args, 0) else { return WRONG_TYPE };
    let mut list = ListText::new();
    let mut rest = text.trim_start();
    // Once no bracket closes, none later does.
    let mut closes = true;
    for _ in 0..TOKENS_MAX {
        if rest.is_empty() {
            break;
        }
        let inner = rest.strip_prefix('[').filter(|_| closes);
        let bracketed = inner.and_then(|inner| inner.split_once(']'));
        closes &= inner.is_none() || bracketed.is_some();
        rest = if let Some((inside, behind)) = super::pattern::unquote(rest) {
            list.text(&inside);
            behind
        } else if let Some((inside, behind)) = bracketed {
            list.text(inside);
            behind
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            list.text(&rest[..end]);
            &rest[end..]
        }
        .trim_start();
    }
    list.finish()
}

fn parse_number<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    /// Longest number that a person writes.
    const LONGEST: usize = 64;
    let Some(text) = text_ref(args, 0).map(str::trim) else { return WRONG_TYPE };
    let (point, groups): (char, &[char]) = match choice_arg(args, 1) {
        Some("de") => (',', &['.']),
        Some("fr") => (',', &[' ', '\u{a0}', '\u{202f}']),
        Some("ch") => ('.', &['\'', '’']),
        _ => ('.', &[',']),
    };
    if text.len() > LONGEST {
        return UNREADABLE;
    }
    let (whole, fraction) = match text.split_once(point) {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let digits = whole.trim_start_matches(['-', '+']);
    let mut parts = digits.split(groups);
    let first = parts.next().unwrap_or("");
    let grouped = digits.contains(groups);
    // Groups have three digits, in India two but for the last; the first may be shorter.
    let parts: Vec<&str> = parts.collect();
    let fits = parts.iter().enumerate().all(|(at, part)| {
        part.len() == 3
            || part.len() == 2
                && at + 1 < parts.len()
                && choice_arg(args, 1).is_none_or(|it| it == "en")
    });
    if whole.len() - digits.len() > 1 || grouped && (!fits || first.is_empty() || first.len() > 3) {
        return UNREADABLE;
    }
    let mut plain: String = whole.chars().filter(|c| !groups.contains(c)).collect();
    let Some(fraction) = fraction else {
        let integer = read::int(&plain).map(Value::Int);
        return Value::or_absent(
            integer.or_else(|| read::float(&plain).map(Value::Float)),
            Absence::Parse,
        );
    };
    plain.push('.');
    plain.push_str(fraction);
    Value::or_absent(read::float(&plain).map(Value::Float), Absence::Parse)
}

fn parse_jwt<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let Some(text) = text_ref(args, 0).map(str::trim) else { return WRONG_TYPE };
    let token = match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => text,
    };
    let mut parts = token.split('.');
    let (Some(header), Some(claims), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return UNREADABLE;
    };
    let json = |part: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        (text.trim_start().starts_with('{') && documents::is_json(&text)).then_some(text)
    };
    match (json(header), json(claims)) {
        (Some(_), Some(claims)) => items::decode(&documents::minified(claims.trim())).into_static(),
        _ => UNREADABLE,
    }
}

/// What `parse_email_address` yields.
const EMAIL: &[FieldSpec] =
    &[("name", Type::Text, true), ("local", Type::Text, false), ("domain", Type::Text, false)];

fn email(text: &str) -> Option<Vec<Value<'_>>> {
    /// RFC 5321's limit, and room for a name.
    const LONGEST: usize = 1_000;
    let text = text.trim();
    if text.len() > LONGEST {
        return None;
    }
    let (name, address) = match text.strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
        Some((name, address)) => (Some(name.trim().trim_matches('"')), address),
        None => (None, text),
    };
    let (local, domain) = address.trim().rsplit_once('@')?;
    let quoted = local.len() > 2 && local.starts_with('"') && local.ends_with('"');
    let plain = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    let local_fits = quoted
        || !local.is_empty()
            && local.chars().all(plain)
            && !local.starts_with('.')
            && !local.ends_with('.')
            && !local.contains("..");
    let label = |label: &str| {
        !label.is_empty()
            && label.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let literal = domain.starts_with('[') && domain.ends_with(']');
    if !local_fits
        || local.len() > 64
        || domain.len() > 255
        || !literal && !domain.split('.').all(label)
    {
        return None;
    }
    Some(vec![
        maybe(name.filter(|name| !name.is_empty())),
        Value::text(local),
        Value::owned(domain.to_lowercase()),
    ])
}
