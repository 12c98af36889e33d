//! Functions: maps. They keep their order, and members that a function does not touch keep their bytes.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    ops::Range,
    sync::Arc,
};

use super::{
    Family, Function, Kernel, Param, RowArg, Takes,
    conversion::is_empty_json,
    items::{self, ListText, MapText, Ordered},
    lambdas::typed,
    signature::{
        TEXT, TEXTS, WRONG_TYPE, bool, json_ref, left_out, map_of, needs, rest, same_map, text_ref,
        texts, type_at,
    },
    twin::{STORED, Sql, When, twin},
};
use crate::{
    column::{Absence, Column, Kind, Mask, Value, View, json, print},
    eval::{CallContext, RowContext},
    types::{Ty, Type},
};

/// Bytes of a map from which on its keys are looked up in an index.
const LARGE: usize = 1 << 10;

/// Maps.
pub const FUNCTIONS: &[Function] = &[
    entry(
        "keys",
        &[needs("map", Takes::Map)],
        texts,
        "The map's keys, in its order.",
        &[("keys({ b: 1, a: 2 })", "[\"b\",\"a\"]")],
        Kernel::Rows(keys),
        twin("mapKeys({0})").note("of a Map column"),
    ),
    entry(
        "values",
        &[needs("map", Takes::Map)],
        |args| Ty::required(Type::list(value_type(args))),
        "The map's values, in its order.",
        &[("values({ b: 1, a: 2 })", "[1,2]")],
        Kernel::Rows(values),
        twin("mapValues({0})"),
    ),
    entry(
        "has_key",
        &[needs("map", Takes::Map), needs("key", TEXT)],
        bool,
        "Whether the map has that key, also with a null value.",
        &[("has_key({ a: 1 }, \"a\")", "true")],
        Kernel::Rows(has_key),
        twin("mapContains({0}, {1})"),
    ),
    entry(
        "get",
        &[needs("map", Takes::Map), needs("path", TEXT)],
        |args| Ty::optional(value_type(args)),
        "The value under a key, or under keys joined by dots; a key with a dot in it comes first.",
        &[("get({ a: { b: 1 } }, \"a.b\")", "1")],
        Kernel::Columns(get),
        twin("if(mapContains({0}, {1}), {0}[{1}], NULL)").note("dots are part of the key there"),
    ),
    entry(
        "merge",
        &[needs("a", Takes::Map), needs("b", Takes::Map), rest("more", Takes::Map)],
        |args| {
            let mut maps = args.iter().flatten().map(|ty| map_of(&ty.base));
            let first = maps.next().unwrap_or(Type::map(Type::Any));
            let same = maps.all(|other| other == first);
            Ty::required(if same { first } else { Type::map(Type::Any) })
        },
        "The members of all maps; of members with one key the rightmost wins.",
        &[("merge({ a: 1, b: 2 }, { a: 3 })", "{\"a\":3,\"b\":2}")],
        Kernel::Rows(merge),
        twin("mapUpdate({0}, {1})").forms(&[(When::Given(2), "")]),
    ),
    entry(
        "pick",
        &[needs("map", Takes::Map), needs("keys", TEXTS)],
        same_map,
        "Only the members with these keys.",
        &[("pick({ a: 1, b: 2 }, [\"a\"])", "{\"a\":1}")],
        Kernel::Rows(|args, _| filtered(args, true)),
        twin("mapFilter((k, v) -> has({1}, k), {0})"),
    ),
    entry(
        "without",
        &[needs("map", Takes::Map), needs("keys", TEXTS)],
        same_map,
        "All members but those with these keys.",
        &[("without({ a: 1, b: 2 }, [\"a\"])", "{\"b\":2}")],
        Kernel::Rows(|args, _| filtered(args, false)),
        twin("mapFilter((k, v) -> NOT has({1}, k), {0})"),
    ),
    entry(
        "del_keys",
        &[needs("map", Takes::Map), needs("keys", TEXTS)],
        same_map,
        "The same as `without`, for keys that are computed.",
        &[("del_keys({ a: 1, b: 2 }, [\"b\"])", "{\"a\":1}")],
        Kernel::Rows(|args, _| filtered(args, false)),
        twin("mapFilter((k, v) -> NOT has({1}, k), {0})"),
    ),
    entry(
        "compact",
        &[needs("map", Takes::Map)],
        same_map,
        "The map without members that are null, `\"\"`, `[]` or `{}`.",
        &[("compact({ a: \"\", b: 1 })", "{\"b\":1}")],
        Kernel::Rows(compact),
        Sql::None(STORED),
    ),
    entry(
        "flatten_map",
        &[needs("map", Takes::Map), super::signature::may("sep", TEXT)],
        |_| Ty::required(Type::map(Type::Any)),
        "The map with inner maps taken apart: their keys are joined by dots, or by `sep`.",
        &[("flatten_map({ a: { b: 1, c: 2 } })", "{\"a.b\":1,\"a.c\":2}")],
        Kernel::Rows(flatten_map),
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
    Function { sql, ..Function::new(name, Family::Maps, params, returns, doc, examples, kernel) }
}

/// The type of the first argument's values.
fn value_type(args: &[Option<Ty>]) -> Type {
    match type_at(args, 0) {
        Type::Map(of) => (*of).clone(),
        _ => Type::Any,
    }
}

/// The map's text, if the argument is one.
fn map_arg<'x>(args: &'x [RowArg<'_>], index: usize) -> Option<&'x str> {
    json_ref(args, index).filter(|raw| raw.starts_with('{'))
}

fn keys<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(map) = map_arg(args, 0) else { return WRONG_TYPE };
    let mut list = ListText::new();
    items::members(map).for_each(|(key, _)| list.raw(&format!("\"{key}\"")));
    list.finish()
}

fn values<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(map) = map_arg(args, 0) else { return WRONG_TYPE };
    let mut list = ListText::new();
    items::members(map).for_each(|(_, value)| list.raw(value));
    list.finish()
}

fn has_key<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some((map, key)) = map_arg(args, 0).zip(text_ref(args, 1)) else { return WRONG_TYPE };
    Value::Bool(json::member(map.as_bytes(), key.as_bytes()).is_some())
}

/// The place of a value under a path: the key as it is first, then its first part and the rest below it.
fn below(map: &[u8], path: &[u8]) -> Option<std::ops::Range<usize>> {
    let mut map_at = 0;
    let mut left = path;
    loop {
        let here = map.get(map_at..)?;
        if let Some(found) = json::member(here, left) {
            return Some(map_at + found.start..map_at + found.end);
        }
        let dot = memchr::memchr(b'.', left)?;
        let found = json::member(here, &left[..dot])?;
        map_at += found.start;
        left = &left[dot + 1..];
    }
}

fn get(context: &mut CallContext<'_, '_>, mask: &Mask) -> Arc<Column> {
    let (Some(maps), Some(paths)) = (context.value(0), context.value(1)) else {
        return Arc::new(Column::missing(context.rows()));
    };
    // Records of known shape have no text yet.
    let maps = crate::column::blend::to_json(&mut context.batch.arena, &maps);
    let arena = &context.batch.arena;
    // A constant table is one large map for all rows: it is walked once a batch.
    let first = (0..context.rows()).find(|row| mask.has(*row)).map(|row| maps[row]);
    let large = first.filter(|view| view.kind() == Kind::Object && arena.get(*view).len() > LARGE);
    let index: HashMap<Cow<'_, [u8]>, Range<usize>> = large.map_or_else(HashMap::new, |view| {
        let text = arena.get(view);
        json::members(text).map(|member| (member.key(text), member.value.clone())).collect()
    });
    let views = (0..context.rows())
        .map(|row| {
            if !mask.has(row) {
                return View::MISSING;
            }
            let map = maps[row];
            match (map.kind(), print::value(arena, &paths, row)) {
                (Kind::Absent, _) => map,
                (_, Value::Absent(why)) => View::absent(why),
                (Kind::Object, Value::Text(path)) => {
                    let text = arena.get(map);
                    let known = index.get(path.as_bytes()).filter(|_| large == Some(map)).cloned();
                    let dotted = large != Some(map) || path.contains('.');
                    known
                        .or_else(|| if dotted { below(text, path.as_bytes()) } else { None })
                        .map_or(View::MISSING, |range| json::view(text, range, map.offset()))
                }
                _ => View::absent(Absence::Type),
            }
        })
        .collect();
    typed(context, views)
}

fn merge<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    // Keys keep the spelling in which they first came.
    let mut all: Ordered<'_, (&str, &str)> = Ordered::default();
    for index in (0..args.len()).filter(|index| !left_out(args, *index)) {
        let Some(map) = map_arg(args, index) else { return WRONG_TYPE };
        for (key, value) in items::members(map) {
            let meant = items::unescape(key);
            match all.get_mut(&meant) {
                Some(member) => member.1 = value,
                None => all.put(meant, (key, value)),
            }
        }
    }
    let mut out = MapText::new();
    for (_, (key, value)) in all.members {
        out.raw(key, value);
    }
    out.finish()
}

fn filtered<'a>(args: &[RowArg<'a>], keep: bool) -> Value<'a> {
    let Some((map, list)) = map_arg(args, 0).zip(json_ref(args, 1)) else { return WRONG_TYPE };
    let keys: HashSet<Cow<'_, str>> = items::elements(list)
        .filter_map(|raw| match items::decode(raw) {
            Value::Text(key) => Some(key),
            _ => None,
        })
        .collect();
    let mut out = MapText::new();
    for (key, value) in items::members(map) {
        if keys.contains(&items::unescape(key)) == keep {
            out.raw(key, value);
        }
    }
    out.finish()
}

fn compact<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(map) = map_arg(args, 0) else { return WRONG_TYPE };
    let mut out = MapText::new();
    for (key, raw) in items::members(map) {
        let empty = match items::decode(raw) {
            Value::Absent(_) => true,
            Value::Text(text) => text.is_empty(),
            Value::Json(raw) => is_empty_json(&raw),
            _ => false,
        };
        if !empty {
            out.raw(key, raw);
        }
    }
    out.finish()
}

fn flatten_map<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(map) = map_arg(args, 0) else { return WRONG_TYPE };
    let sep = text_ref(args, 1).unwrap_or(".");
    let mut escaped = String::new();
    items::write_text(&mut escaped, sep);
    let sep = escaped.get(1..escaped.len() - 1).unwrap_or(".");
    let mut out = MapText::new();
    // A stack of its own: how deep text nests must not matter.
    let mut stack: Vec<(String, &str)> = vec![(String::new(), map)];
    while let Some((path, raw)) = stack.pop() {
        if !raw.starts_with('{') || (!path.is_empty() && is_empty_json(raw)) {
            out.raw(&path, raw);
            continue;
        }
        let at = stack.len();
        for (key, value) in items::members(raw) {
            let below = if path.is_empty() { key.to_owned() } else { [&*path, sep, key].concat() };
            stack.push((below, value));
        }
        stack[at..].reverse();
    }
    out.finish()
}
