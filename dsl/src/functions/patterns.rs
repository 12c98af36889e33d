//! Functions: regexes and patterns.

use std::{borrow::Cow, ops::Range, sync::Arc};

use super::{
    Family, Function, Kernel, Param, Regex, RowArg, Takes,
    columns::{each_record, each_row, text_of},
    items::{ListText, MapText},
    signature::{
        INT, TEXT, WRONG_TYPE, bool, int_arg, left_out, may, maybe_text, maybe_texts, needs,
        part_of, text, text_arg, text_ref, texts, type_at,
    },
    twin::{STORED, Sql, When, twin},
};
use crate::{
    column::{Absence, Column, Mask, Value, View, blend::Builder, print},
    eval::{CallContext, RowContext},
    plan::Detector,
    types::{Ty, Type},
};

/// Regexes and patterns.
pub const FUNCTIONS: &[Function] = &[
    entry(
        "find",
        &[needs("s", TEXT), needs("re", Takes::Regex)],
        maybe_text,
        "The first match of a regex, or its first group if it has one.",
        &[("find(\"order 42 failed\", re\"order (\\d+)\")", "\"42\"")],
        Kernel::Rows(find),
        twin("nullIf(extract({0}, {1}), '')").note("an empty match is null there"),
    ),
    entry(
        "find_all",
        &[needs("s", TEXT), needs("re", Takes::Regex)],
        texts,
        "All matches of a regex, or of its first group if it has one.",
        &[("find_all(\"a1 b22\", re\"\\d+\")", "[\"1\",\"22\"]")],
        Kernel::Rows(find_all),
        twin("extractAll({0}, {1})"),
    ),
    entry(
        "captures",
        &[needs("s", TEXT), needs("re", Takes::Regex)],
        maybe_texts,
        "The named groups of a regex's first match (by number where none is named); groups that took no part are left out.",
        &[(
            "captures(\"k=v\", re\"(?<key>\\w+)=(?<value>\\w+)\")",
            "{\"key\":\"k\",\"value\":\"v\"}",
        )],
        Kernel::Rows(captures),
        Sql::None(STORED),
    ),
    entry(
        "match_any",
        &[needs("s", TEXT), needs("list", Takes::Detectors(&[]))],
        bool,
        "Whether any of the regexes matches a part of the text.",
        &[("match_any(\"out of memory\", [re\"oom\", re\"memory$\"])", "true")],
        Kernel::Columns(match_any),
        twin("multiMatchAny({0}, {1})"),
    ),
    entry(
        "parse_pattern",
        &[needs("s", TEXT), needs("pattern", Takes::Pattern)],
        |args| match type_at(args, 1) {
            Type::Pattern(shape) => Ty::optional(Type::Record(shape)),
            _ => Ty::optional(Type::Any),
        },
        "The captures of a typed pattern: literals are searched left to right, a leading one must begin the text.",
        &[("parse_pattern(\"GET /x 200\", pat\"<method> <path> <status:int>\").status", "200")],
        Kernel::Columns(parse_pattern),
        Sql::None(STORED),
    ),
    entry(
        "replace",
        &[
            needs("s", TEXT),
            needs("what", Takes::TextOrRegex),
            needs("with", Takes::TextOrLambda),
            may("max", INT),
        ],
        text,
        "The text with all (or the first `max`) occurrences replaced; behind a regex `$1` and `${name}` mean its groups.",
        &[
            ("replace(\"a-b-c\", \"-\", \"+\")", "\"a+b+c\""),
            ("replace(\"id=42\", re\"(\\d+)\", \"<$1>\")", "\"id=<42>\""),
            ("replace(\"a1b2\", re\"[a-z]\", |m| upper(m), max: 1)", "\"A1b2\""),
        ],
        Kernel::Columns(replace),
        twin("replaceAll({0}, {1}, {2})").forms(&[(When::Lambda(2), ""), (When::Given(3), ""), (When::Regex(1), "replaceRegexpAll({0}, {1}, {2})")]).note("groups are written `\\1` there, not `$1`"),
    ),
    entry(
        "split",
        &[needs("s", TEXT), needs("sep", Takes::TextOrRegex), may("max", INT)],
        texts,
        "The parts between separators, empty ones too; with `max` the last part keeps the rest.",
        &[
            ("split(\"a,,b\", \",\")", "[\"a\",\"\",\"b\"]"),
            ("split(\"a b  c\", re\" +\", max: 2)", "[\"a\",\"b  c\"]"),
        ],
        Kernel::Rows(split),
        twin("splitByString({1}, {0})").forms(&[(When::Regex(1), "splitByRegexp({1}, {0})"), (When::Given(2), "splitByString({1}, {0}, {2})")]).note("with `max` the setting splitby_max_substrings_includes_remaining_string must be on"),
    ),
    entry(
        "captures_all",
        &[needs("s", TEXT), needs("re", Takes::Regex)],
        |_| Ty::required(Type::list(Type::map(Type::Text))),
        "The named groups of every match of a regex (by number where none is named), a map a match.",
        &[(
            "captures_all(\"a=1 b=2\", re\"(?<k>\\w+)=(?<v>\\w+)\")",
            "[{\"k\":\"a\",\"v\":\"1\"},{\"k\":\"b\",\"v\":\"2\"}]",
        )],
        Kernel::Rows(captures_all),
        Sql::None(STORED),
    ),
    entry(
        "parse_grok",
        &[needs("s", TEXT), needs("grok", Takes::Grok)],
        |args| match type_at(args, 1) {
            Type::Pattern(shape) => Ty::optional(Type::Record(shape)),
            _ => Ty::optional(Type::Any),
        },
        "The fields that a grok pattern names, with their types: `%{NAME:field}`, `%{NAME:field:int}`, and regexes between them; any part of the text may match.",
        &[(
            "parse_grok(\"GET /x 200\", grok\"%{WORD:method} %{URIPATH:path} %{INT:status:int}\").status",
            "200",
        )],
        Kernel::Columns(parse_grok),
        Sql::None(STORED),
    ),
];

const fn entry(
    name: &'static str,
    params: &'static [Param],
    returns: fn(&[Option<Ty>]) -> Ty,
    doc: &'static str,
    examples: &'static [(&'static str, &'static str)],
    kernel: Kernel,
    sql: Sql,
) -> Function {
    Function {
        sql,
        ..Function::new(name, Family::Patterns, params, returns, doc, examples, kernel)
    }
}

fn regex_arg<'a>(args: &[RowArg<'a>], index: usize) -> Option<&'a Regex> {
    match args.get(index) {
        Some(RowArg::Regex(regex)) => Some(regex),
        _ => None,
    }
}

fn find<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some((text, regex)) = text_arg(args, 0).zip(regex_arg(args, 1)) else { return WRONG_TYPE };
    if !regex.may_match(text.as_bytes()) {
        return Value::Absent(Absence::NoMatch);
    }
    let found = regex.found(&text, 0).and_then(|(group, _)| text.get(group?));
    Value::or_absent(found.map(|found| Value::Text(part_of(&text, found))), Absence::NoMatch)
}

fn find_all<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some((text, regex)) = text_ref(args, 0).zip(regex_arg(args, 1)) else { return WRONG_TYPE };
    let mut list = ListText::new();
    if regex.may_match(text.as_bytes()) {
        let group = usize::from(regex.machine.captures_len() > 1);
        let ranges = regex.machine.captures_iter(text.as_bytes());
        for range in ranges.filter_map(|one| Some(one.get(group)?.range())) {
            list.text(text.get(range).unwrap_or(""));
        }
    }
    list.finish()
}

fn captures<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some((text, regex)) = text_ref(args, 0).zip(regex_arg(args, 1)) else { return WRONG_TYPE };
    if !regex.may_match(text.as_bytes()) {
        return Value::Absent(Absence::NoMatch);
    }
    let Some(found) = regex.machine.captures(text.as_bytes()) else {
        return Value::Absent(Absence::NoMatch);
    };
    groups(text, regex, &found)
}

/// The named groups of a match, or all by number where none is named.
fn groups(text: &str, regex: &Regex, found: &regex::bytes::Captures<'_>) -> Value<'static> {
    let named = regex.groups().any(|name| name.is_some());
    let mut map = MapText::new();
    for (number, name) in regex.groups().enumerate().map(|(index, name)| (index + 1, name)) {
        let Some(group) = found.get(number) else { continue };
        let value = Value::text(text.get(group.range()).unwrap_or(""));
        match name {
            Some(name) => map.value(name, &value),
            None if !named => map.value(&number.to_string(), &value),
            None => {}
        }
    }
    map.finish()
}

fn match_any(context: &mut CallContext<'_, '_>, mask: &Mask) -> Arc<Column> {
    let regexes: Vec<Arc<Regex>> = context
        .detectors(1)
        .unwrap_or_default()
        .iter()
        .filter_map(|detector| match detector {
            Detector::Regex(regex) => Some(regex.clone()),
            Detector::Builtin(_) => None,
        })
        .collect();
    let Some(column) = context.value(0) else { return Arc::new(Column::missing(context.rows())) };
    each_row(context, mask, &Type::Bool, |arena, row| match text_of(arena, &column, row) {
        Ok(text) => Value::Bool(regexes.iter().any(|regex| regex.matches(text.as_bytes()))),
        Err(why) => Value::Absent(why),
    })
}

fn parse_pattern(context: &mut CallContext<'_, '_>, mask: &Mask) -> Arc<Column> {
    let (Some(column), Some(pattern)) = (context.value(0), context.pattern(1)) else {
        return Arc::new(Column::missing(context.rows()));
    };
    each_record(context, mask, &pattern.shape, |arena, row, values| {
        match text_of(arena, &column, row)? {
            Cow::Borrowed(text) => pattern.run(text, values),
            Cow::Owned(text) => {
                let mut owned = Vec::new();
                pattern.run(&text, &mut owned)?;
                for value in owned {
                    values.push(value.into_static());
                }
                Ok(())
            }
        }
    })
}

fn split<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(text) = text_ref(args, 0) else { return WRONG_TYPE };
    let max = match int_arg(args, 2) {
        Some(max) if max < 1 => return Value::Absent(Absence::OutOfRange),
        Some(max) => usize::try_from(max).unwrap_or(usize::MAX),
        None if left_out(args, 2) => usize::MAX,
        None => return WRONG_TYPE,
    };
    let mut list = ListText::new();
    match (regex_arg(args, 1), text_ref(args, 1)) {
        (Some(regex), _) => {
            let (mut from, mut parts) = (0, 1);
            for range in regex.machine.find_iter(text.as_bytes()).map(|one| one.range()) {
                // Between any two characters there is an empty match; it separates nothing at the ends.
                if parts >= max || range.end == 0 || range.start >= text.len() && range.is_empty() {
                    continue;
                }
                list.text(text.get(from..range.start).unwrap_or(""));
                (from, parts) = (range.end, parts + 1);
            }
            list.text(text.get(from..).unwrap_or(""));
        }
        (None, Some("")) => {
            let mut rest = text;
            for _ in 1..max.min(text.chars().count().max(1)) {
                let Some(c) = rest.chars().next() else { break };
                let (one, behind) = rest.split_at(c.len_utf8());
                list.text(one);
                rest = behind;
            }
            list.text(rest);
        }
        (None, Some(sep)) => text.splitn(max, sep).for_each(|part| list.text(part)),
        (None, None) => return WRONG_TYPE,
    }
    list.finish()
}

/// What `replace` looks for.
enum What {
    Regex(Arc<Regex>),
    Text(Arc<Column>),
}

fn replace(context: &mut CallContext<'_, '_>, mask: &Mask) -> Arc<Column> {
    let what = match (context.regex(1), context.value(1)) {
        (Some(regex), _) => Some(What::Regex(regex)),
        (None, Some(column)) => Some(What::Text(column)),
        (None, None) => None,
    };
    let (Some(texts), Some(what)) = (context.value(0), what) else {
        return Arc::new(Column::missing(context.rows()));
    };
    let max = context.value(3);
    let hits = |context: &CallContext<'_, '_>, row: usize, text: &str| {
        let arena = &context.batch.arena;
        let max = match max.as_ref().map(|max| print::value(arena, max, row)) {
            None => usize::MAX,
            Some(Value::Int(max)) => usize::try_from(max).unwrap_or(0),
            Some(Value::Absent(why)) => return Err(why),
            Some(_) => return Err(Absence::Type),
        };
        occurrences(context, &what, row, text, max)
    };
    if context.is_lambda(2) {
        return replace_by_lambda(context, mask, &texts, hits);
    }
    let Some(with) = context.value(2) else { return Arc::new(Column::missing(context.rows())) };
    let rows = context.rows();
    let mut builder = Builder::new(&context.batch.arena, &Type::Text, rows);
    for row in 0..rows {
        if !mask.has(row) {
            builder.push_absent(&context.batch.arena, Absence::Missing);
            continue;
        }
        let arena = &context.batch.arena;
        let replaced = text_of(arena, &texts, row).and_then(|text| {
            let with = text_of(arena, &with, row)?;
            let hits = hits(context, row, &text)?;
            if hits.is_empty() {
                return Ok(Value::Text(text));
            }
            let expands = match &what {
                What::Regex(regex) if with.contains('$') => Some(&regex.machine),
                What::Regex(_) | What::Text(_) => None,
            };
            Ok(Value::owned(spliced(&text, &hits, |out, range| match expands {
                None => out.push_str(&with),
                Some(machine) => {
                    let mut expanded = Vec::new();
                    if let Some(groups) = machine.captures_at(text.as_bytes(), range.start) {
                        groups.expand(with.as_bytes(), &mut expanded);
                    }
                    out.push_str(&String::from_utf8_lossy(&expanded));
                }
            })))
        });
        builder.push(arena, replaced.unwrap_or_else(Value::Absent));
    }
    Arc::new(builder.finish(&mut context.batch.arena))
}

/// Where the searched text stands, at most `max` times, not overlapping.
fn occurrences(
    context: &CallContext<'_, '_>,
    what: &What,
    row: usize,
    text: &str,
    max: usize,
) -> Result<Vec<Range<usize>>, Absence> {
    match what {
        What::Regex(regex) if !regex.may_match(text.as_bytes()) => Ok(Vec::new()),
        What::Regex(regex) => {
            let found = regex.machine.find_iter(text.as_bytes()).map(|one| one.range());
            Ok(found.filter(|range| text.get(range.clone()).is_some()).take(max).collect())
        }
        What::Text(column) => {
            let needle = text_of(&context.batch.arena, column, row)?;
            if needle.is_empty() {
                return Ok(Vec::new());
            }
            let found = text.match_indices(&*needle).take(max);
            Ok(found.map(|(at, found)| at..at + found.len()).collect())
        }
    }
}

/// The text with these parts written anew.
pub(super) fn spliced(
    text: &str,
    hits: &[Range<usize>],
    mut write: impl FnMut(&mut String, &Range<usize>),
) -> String {
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for hit in hits {
        out.push_str(text.get(from..hit.start).unwrap_or(""));
        write(&mut out, hit);
        from = hit.end;
    }
    out.push_str(text.get(from..).unwrap_or(""));
    out
}

fn replace_by_lambda(
    context: &mut CallContext<'_, '_>,
    mask: &Mask,
    texts: &Column,
    hits: impl Fn(&CallContext<'_, '_>, usize, &str) -> Result<Vec<Range<usize>>, Absence>,
) -> Arc<Column> {
    let rows = context.rows();
    let mut outcomes: Vec<Result<Vec<Range<usize>>, Absence>> = Vec::with_capacity(rows);
    let mut parents = Vec::new();
    let mut found = Builder::new(&context.batch.arena, &Type::Text, rows);
    for row in 0..rows {
        if !mask.has(row) {
            outcomes.push(Err(Absence::Missing));
            continue;
        }
        let arena = &context.batch.arena;
        let outcome = text_of(arena, texts, row).and_then(|text| {
            let hits = hits(context, row, &text)?;
            for hit in &hits {
                found.push(arena, Value::text(&text[hit.clone()]));
                parents.push(row as u32);
            }
            Ok(hits)
        });
        outcomes.push(outcome);
    }
    let found = Arc::new(found.finish(&mut context.batch.arena));
    let with = if parents.is_empty() {
        Arc::new(Column::Text(Vec::<View>::new()))
    } else {
        context.lambda(2, vec![found], &parents)
    };
    let mut next = 0;
    let mut builder = Builder::new(&context.batch.arena, &Type::Text, rows);
    let arena = &context.batch.arena;
    for (row, outcome) in outcomes.into_iter().enumerate() {
        let first = next;
        next += outcome.as_ref().map_or(0, Vec::len);
        let value = outcome.and_then(|hits| {
            let text = text_of(arena, texts, row)?;
            if hits.is_empty() {
                return Ok(Value::Text(text));
            }
            let with: Result<Vec<Cow<'_, str>>, Absence> =
                (first..next).map(|element| text_of(arena, &with, element)).collect();
            let mut with = with?.into_iter();
            Ok(Value::owned(spliced(&text, &hits, |out, _| {
                out.push_str(&with.next().unwrap_or_default());
            })))
        });
        builder.push(arena, value.unwrap_or_else(Value::Absent));
    }
    Arc::new(builder.finish(&mut context.batch.arena))
}

fn captures_all<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some((text, regex)) = text_ref(args, 0).zip(regex_arg(args, 1)) else { return WRONG_TYPE };
    let mut list = ListText::new();
    if regex.may_match(text.as_bytes()) {
        for found in regex.machine.captures_iter(text.as_bytes()) {
            list.value(&groups(text, regex, &found));
        }
    }
    list.finish()
}

fn parse_grok(context: &mut CallContext<'_, '_>, mask: &Mask) -> Arc<Column> {
    let (Some(column), Some(grok)) = (context.value(0), context.grok(1)) else {
        return Arc::new(Column::missing(context.rows()));
    };
    each_record(context, mask, &grok.shape, |arena, row, values| {
        match text_of(arena, &column, row)? {
            Cow::Borrowed(text) => grok.run(text, values),
            Cow::Owned(text) => {
                let mut owned = Vec::new();
                grok.run(&text, &mut owned)?;
                for value in owned {
                    values.push(value.into_static());
                }
                Ok(())
            }
        }
    })
}
