//! Functions: maps with lambdas over their members, and maps put together and taken apart.

use std::{borrow::Cow, ops::Range, sync::Arc};

use super::{
    Function, Kernel, RowArg, Takes,
    columns::each_row,
    items::{self, ListText, MapText, Ordered},
    maps::entry,
    signature::{
        TEXT, WRONG_TYPE, json_ref, left_out, map_of, may, needs, rest, same_map, text_ref,
        type_at, value_arg,
    },
    twin::{STORED, Sql, twin},
};
use crate::{
    column::{Absence, Column, Kind, Mask, Value, View, blend, blend::Builder, json, print},
    eval::{CallContext, RowContext},
    types::{Ty, Type},
};

/// Deepest nesting that is looked into; below it values are taken as they are.
const DEPTH_MAX: usize = 64;

/// The lambda's parameters are a key and a value of the map.
const KEY_AND_VALUE: Takes =
    Takes::Lambda(|args| vec![Ty::required(Type::Text), Ty::required(value_of(args))]);
/// The same the other way round.
const VALUE_AND_KEY: Takes =
    Takes::Lambda(|args| vec![Ty::required(value_of(args)), Ty::required(Type::Text)]);

/// Maps, their members one by one.
pub(super) const FUNCTIONS: &[Function] = &[
    entry(
        "set",
        &[needs("map", Takes::Map), needs("path", TEXT), needs("x", Takes::Any)],
        any_map,
        "The map with a value under a key, or under keys joined by dots, whose maps are made where they are missing.",
        &[("set({ a: { b: 1 } }, \"a.c\", 2)", "{\"a\":{\"b\":1,\"c\":2}}")],
        Kernel::Rows(set),
        twin("mapUpdate({0}, map({1}, {2}))").note("dots are part of the key there"),
    ),
    entry(
        "deep_merge",
        &[needs("a", Takes::Map), needs("b", Takes::Map), rest("more", Takes::Map)],
        any_map,
        "The members of all maps; where both sides of a key are maps they are merged too, otherwise the rightmost wins.",
        &[(
            "deep_merge({ a: { x: 1 }, b: 1 }, { a: { y: 2 } })",
            "{\"a\":{\"x\":1,\"y\":2},\"b\":1}",
        )],
        Kernel::Rows(deep_merge),
        Sql::None(STORED),
    ),
    entry(
        "rename_keys",
        &[needs("map", Takes::Map), needs("f", KEY_AND_VALUE)],
        same_map,
        "The map with the keys that the lambda gives; a key for which it gives none stays, and of equal keys the last wins.",
        &[("rename_keys({ userId: 1 }, |key| recase(key, snake))", "{\"user_id\":1}")],
        Kernel::Columns(rename_keys),
        twin("mapApply({1}, {0})").note("the lambda gives a pair there: `(k, v) -> (…, v)`"),
    ),
    entry(
        "map_values",
        &[needs("map", Takes::Map), needs("f", VALUE_AND_KEY)],
        |args| Ty::required(Type::map(type_at(args, 1))),
        "The map with the values that the lambda gives; absent ones are null.",
        &[("map_values({ a: 1, b: 2 }, |value| value * 10)", "{\"a\":10,\"b\":20}")],
        Kernel::Columns(map_values),
        twin("mapApply({1}, {0})").note("the lambda gives a pair there: `(k, v) -> (k, …)`"),
    ),
    entry(
        "filter_entries",
        &[needs("map", Takes::Map), needs("f", KEY_AND_VALUE)],
        same_map,
        "The members for which the lambda holds.",
        &[(
            "filter_entries({ a: 1, b_ms: 2 }, |key, value| key ends_with \"_ms\")",
            "{\"b_ms\":2}",
        )],
        Kernel::Columns(filter_entries),
        twin("mapFilter({1}, {0})"),
    ),
    entry(
        "unflatten",
        &[needs("map", Takes::Map), may("sep", TEXT)],
        any_map,
        "The map with keys taken apart at dots (or at `sep`), each part a map: what `flatten_map` did, undone.",
        &[("unflatten({ \"a.b\": 1, \"a.c\": 2 })", "{\"a\":{\"b\":1,\"c\":2}}")],
        Kernel::Rows(unflatten),
        Sql::None(STORED),
    ),
    entry(
        "entries",
        &[needs("map", Takes::Map)],
        |_| Ty::required(Type::list(Type::map(Type::Any))),
        "The map's members as a list of `{ key, value }`.",
        &[("entries({ a: 1 })", "[{\"key\":\"a\",\"value\":1}]")],
        Kernel::Rows(entries),
        Sql::None(STORED),
    ),
    entry(
        "from_entries",
        &[needs("list", Takes::List), may("key", TEXT), may("value", TEXT)],
        any_map,
        "The map of a list of `{ key, value }` (or `name` for the key, or the names that are given); elements without a key are left out.",
        &[
            ("from_entries([{ key: \"a\", value: 1 }])", "{\"a\":1}"),
            ("from_entries([{ k: \"a\", v: 1 }], key: \"k\", value: \"v\")", "{\"a\":1}"),
        ],
        Kernel::Rows(from_entries),
        Sql::None(STORED),
    ),
];

fn any_map(_: &[Option<Ty>]) -> Ty {
    Ty::optional(Type::map(Type::Any))
}

/// The type of the first argument's values.
fn value_of(args: &[Option<Ty>]) -> Type {
    match map_of(&type_at(args, 0)) {
        Type::Map(of) => (*of).clone(),
        _ => Type::Any,
    }
}

/// The map's text, if the argument is one.
fn map_arg<'x>(args: &'x [RowArg<'_>], index: usize) -> Option<&'x str> {
    json_ref(args, index).filter(|raw| raw.starts_with('{'))
}

/// The members of a map, in order, the last of equal keys.
fn ordered(map: &str) -> Ordered<'_, Cow<'_, str>> {
    let mut all = Ordered::default();
    for (key, value) in items::members(map) {
        all.put(items::unescape(key), Cow::Borrowed(value));
    }
    all
}

fn written(members: Ordered<'_, Cow<'_, str>>) -> String {
    let mut out = MapText::new();
    for (key, value) in members.members {
        out.member(&key, &value);
    }
    out.text()
}

fn set<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some((map, path)) = map_arg(args, 0).zip(text_ref(args, 1)) else { return WRONG_TYPE };
    let Some(value) = value_arg(args, 2) else { return WRONG_TYPE };
    let mut raw = String::new();
    items::write(&mut raw, value);
    if path.split('.').count() > DEPTH_MAX {
        return Value::Absent(Absence::OutOfRange);
    }
    match with_value(map, path, &raw) {
        Some(map) => Value::Json(Cow::Owned(map)),
        None => Value::Absent(Absence::NotARecord),
    }
}

/// The map with that value; nothing if a part of the path holds no map.
fn with_value(map: &str, path: &str, raw: &str) -> Option<String> {
    let mut members = ordered(map);
    let split = if members.get(path).is_some() { None } else { path.split_once('.') };
    match split {
        None => members.put(Cow::Borrowed(path), Cow::Borrowed(raw)),
        Some((first, rest)) => {
            let inner = match members.get(first) {
                Some(inner) if inner.starts_with('{') => with_value(inner, rest, raw)?,
                Some(inner) if &**inner != "null" => return None,
                _ => with_value("{}", rest, raw)?,
            };
            members.put(Cow::Borrowed(first), Cow::Owned(inner));
        }
    }
    Some(written(members))
}

fn deep_merge<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(first) = map_arg(args, 0) else { return WRONG_TYPE };
    let mut merged = first.to_owned();
    for index in (1..args.len()).filter(|index| !left_out(args, *index)) {
        let Some(map) = map_arg(args, index) else { return WRONG_TYPE };
        merged = merge(&merged, map, 0);
    }
    Value::Json(Cow::Owned(merged))
}

fn merge(a: &str, b: &str, depth: usize) -> String {
    let mut members = ordered(a);
    for (key, value) in items::members(b) {
        let key = items::unescape(key);
        let merged = match members.get(&key) {
            Some(known)
                if depth < DEPTH_MAX && known.starts_with('{') && value.starts_with('{') =>
            {
                Cow::Owned(merge(known, value, depth + 1))
            }
            _ => Cow::Borrowed(value),
        };
        members.put(key, merged);
    }
    written(members)
}

/// A part of a map that is being put together.
enum Part<'t> {
    Raw(&'t str),
    Map(Ordered<'t, Part<'t>>),
}

fn unflatten<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(map) = map_arg(args, 0) else { return WRONG_TYPE };
    let sep = text_ref(args, 1).unwrap_or(".");
    if sep.is_empty() {
        return Value::Absent(Absence::OutOfRange);
    }
    let mut root = Ordered::default();
    for (key, value) in items::members(map) {
        put_at(&mut root, &items::unescape(key), sep, value, 0);
    }
    let mut out = String::new();
    write_parts(&mut out, &root);
    Value::Json(Cow::Owned(out))
}

fn put_at<'t>(
    into: &mut Ordered<'t, Part<'t>>,
    path: &str,
    sep: &str,
    value: &'t str,
    depth: usize,
) {
    let split = if depth < DEPTH_MAX { path.split_once(sep) } else { None };
    match split {
        Some((first, rest)) if !first.is_empty() && !rest.is_empty() => {
            if !matches!(into.get(first), Some(Part::Map(_))) {
                into.put(Cow::Owned(first.to_owned()), Part::Map(Ordered::default()));
            }
            if let Some(Part::Map(inner)) = into.get_mut(first) {
                put_at(inner, rest, sep, value, depth + 1);
            }
        }
        _ => into.put(Cow::Owned(path.to_owned()), Part::Raw(value)),
    }
}

fn write_parts(out: &mut String, parts: &Ordered<'_, Part<'_>>) {
    out.push('{');
    for (index, (key, part)) in parts.members.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        items::write_text(out, key);
        out.push(':');
        match part {
            Part::Raw(raw) => out.push_str(raw),
            Part::Map(inner) => write_parts(out, inner),
        }
    }
    out.push('}');
}

fn entries<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(map) = map_arg(args, 0) else { return WRONG_TYPE };
    let mut list = ListText::new();
    for (key, value) in items::members(map) {
        list.raw(&format!("{{\"key\":\"{key}\",\"value\":{value}}}"));
    }
    list.finish()
}

fn from_entries<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(list) = json_ref(args, 0).filter(|raw| items::is_list(raw)) else {
        return WRONG_TYPE;
    };
    let value_name = text_ref(args, 2).unwrap_or("value");
    let mut members: Ordered<'_, Cow<'_, str>> = Ordered::default();
    for element in items::elements(list) {
        let find = |name: &str| {
            json::member(element.as_bytes(), name.as_bytes()).and_then(|at| element.get(at))
        };
        let key = match text_ref(args, 1) {
            Some(name) => find(name),
            None => find("key").or_else(|| find("name")),
        };
        let mut name = String::new();
        match key.map(items::decode) {
            Some(Value::Text(text)) => name.push_str(&text),
            Some(Value::Absent(_) | Value::Json(_)) | None => continue,
            Some(scalar) => super::show::scalar(&mut name, &scalar),
        }
        members.put(Cow::Owned(name), Cow::Borrowed(find(value_name).unwrap_or("null")));
    }
    Value::Json(Cow::Owned(written(members)))
}

/// The maps of a batch and their members.
struct Maps {
    /// Per row: which members are its own, or why it has no map.
    rows: Vec<Result<Range<usize>, Absence>>,
    /// Per member: where its key stands in the arena, as it is written between its quotes.
    keys: Vec<Range<usize>>,
    /// Per member: its value.
    values: Vec<View>,
    /// Per member: its row.
    parents: Vec<u32>,
}

fn maps(context: &mut CallContext<'_, '_>, mask: &Mask) -> Maps {
    let n_rows = context.rows();
    let mut maps = Maps {
        rows: Vec::with_capacity(n_rows),
        keys: Vec::new(),
        values: Vec::new(),
        parents: Vec::new(),
    };
    let Some(column) = context.value(0) else {
        maps.rows.resize(n_rows, Err(Absence::Missing));
        return maps;
    };
    // Records of known shape have no text yet.
    let views = blend::to_json(&mut context.batch.arena, &column);
    let arena = &context.batch.arena;
    for (row, view) in views.iter().enumerate().take(n_rows) {
        if !mask.has(row) {
            maps.rows.push(Err(Absence::Missing));
            continue;
        }
        maps.rows.push(match view.kind() {
            Kind::Object => {
                let start = maps.values.len();
                let text = arena.get(*view);
                for member in json::members(text) {
                    maps.keys
                        .push(view.offset() + member.key.start..view.offset() + member.key.end);
                    maps.values.push(json::view(text, member.value, view.offset()));
                    maps.parents.push(row as u32);
                }
                Ok(start..maps.values.len())
            }
            Kind::Absent => Err(view.absence().unwrap_or(Absence::Missing)),
            _ => Err(Absence::Type),
        });
    }
    maps
}

/// What the lambda gives for every member.
fn results(context: &mut CallContext<'_, '_>, maps: &Maps, value_first: bool) -> Arc<Column> {
    if maps.parents.is_empty() {
        return Arc::new(Column::Json(Vec::new()));
    }
    let ty = context.arg_type(0).map_or(Type::Any, |ty| value_of(&[Some(ty.clone())]));
    let arena = &mut context.batch.arena;
    let mut keys = Builder::new(arena, &Type::Text, maps.keys.len());
    for key in &maps.keys {
        keys.push(arena, Value::Text(items::unescape(key_text(arena.bytes(), key))));
    }
    let keys = Arc::new(keys.finish(arena));
    let values = Arc::new(Column::Json(maps.values.clone()));
    let values = blend::narrow(arena, &values, &ty);
    let params = if value_first { vec![values, keys] } else { vec![keys, values] };
    context.lambda(1, params, &maps.parents)
}

fn key_text<'x>(bytes: &'x [u8], key: &Range<usize>) -> &'x str {
    bytes.get(key.clone()).and_then(|key| std::str::from_utf8(key).ok()).unwrap_or("")
}

/// A map a row, written member by member.
fn each_map(
    context: &mut CallContext<'_, '_>,
    mask: &Mask,
    maps: &Maps,
    mut write: impl FnMut(&crate::column::Arena, usize, &str, &mut Ordered<'_, String>),
) -> Arc<Column> {
    each_row(context, mask, &Type::Any, |arena, row| match &maps.rows[row] {
        Err(why) => Value::Absent(*why),
        Ok(members) => {
            let mut all: Ordered<'_, String> = Ordered::default();
            for member in members.clone() {
                let key = items::unescape(key_text(arena.bytes(), &maps.keys[member])).into_owned();
                write(arena, member, &key, &mut all);
            }
            let mut out = MapText::new();
            for (key, value) in all.members {
                out.member(&key, &value);
            }
            out.finish()
        }
    })
}

/// The member's value as it is written.
fn raw_value(arena: &crate::column::Arena, maps: &Maps, member: usize) -> String {
    let mut raw = Vec::new();
    print::view(&mut raw, arena, maps.values[member]);
    String::from_utf8(raw).unwrap_or_default()
}

fn rename_keys(context: &mut CallContext<'_, '_>, mask: &Mask) -> Arc<Column> {
    let maps = maps(context, mask);
    let results = results(context, &maps, false);
    each_map(context, mask, &maps, |arena, member, key, all| {
        let name = match print::value(arena, &results, member) {
            Value::Text(name) => name.into_owned(),
            Value::Absent(_) | Value::Json(_) => key.to_owned(),
            scalar => {
                let mut name = String::new();
                super::show::scalar(&mut name, &scalar);
                name
            }
        };
        all.put(Cow::Owned(name), raw_value(arena, &maps, member));
    })
}

fn map_values(context: &mut CallContext<'_, '_>, mask: &Mask) -> Arc<Column> {
    let maps = maps(context, mask);
    let results = results(context, &maps, true);
    each_map(context, mask, &maps, |arena, member, key, all| {
        let mut raw = String::new();
        items::write(&mut raw, &print::value(arena, &results, member));
        all.put(Cow::Owned(key.to_owned()), raw);
    })
}

fn filter_entries(context: &mut CallContext<'_, '_>, mask: &Mask) -> Arc<Column> {
    let maps = maps(context, mask);
    let results = results(context, &maps, false);
    each_map(context, mask, &maps, |arena, member, key, all| {
        if matches!(print::value(arena, &results, member), Value::Bool(true)) {
            all.put(Cow::Owned(key.to_owned()), raw_value(arena, &maps, member));
        }
    })
}
