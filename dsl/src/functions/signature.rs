//! Short words for the tables of functions: parameters, result types, and reading arguments.

use std::borrow::Cow;

use super::{Param, RowArg, Takes};
use crate::{
    column::{Absence, Value},
    types::{Ty, Type},
};

/// The answer where an argument has another type than the function works on.
pub(super) const WRONG_TYPE: Value<'static> = Value::Absent(Absence::Type);
/// The answer where text cannot be read.
pub(super) const UNREADABLE: Value<'static> = Value::Absent(Absence::Parse);

pub(super) const TEXT: Takes = Takes::Type(|| Type::Text);
/// Text, whose bytes are those of UTF-8, or bytes.
pub(super) const BLOB: Takes = Takes::TextOrBytes;
pub(super) const INT: Takes = Takes::Type(|| Type::Int);
pub(super) const BOOL: Takes = Takes::Type(|| Type::Bool);
pub(super) const IP: Takes = Takes::Type(|| Type::Ip);
pub(super) const TIMESTAMP: Takes = Takes::Type(|| Type::Timestamp);
pub(super) const DURATION: Takes = Takes::Type(|| Type::Duration);
pub(super) const TEXTS: Takes = Takes::Type(|| Type::list(Type::Text));
/// Time units of epoch numbers.
pub(super) const UNITS: Takes = Takes::Choice(&["s", "ms", "us", "ns"]);

/// A parameter that must be given.
pub(super) const fn needs(name: &'static str, takes: Takes) -> Param {
    Param { name, takes, optional: false, rest: false }
}

/// A parameter that may be left out.
pub(super) const fn may(name: &'static str, takes: Takes) -> Param {
    Param { name, takes, optional: true, rest: false }
}

/// A last parameter that takes any number of arguments.
pub(super) const fn rest(name: &'static str, takes: Takes) -> Param {
    Param { name, takes, optional: true, rest: true }
}

pub(super) fn bool(_: &[Option<Ty>]) -> Ty {
    Ty::required(Type::Bool)
}

pub(super) fn int(_: &[Option<Ty>]) -> Ty {
    Ty::required(Type::Int)
}

pub(super) fn text(_: &[Option<Ty>]) -> Ty {
    Ty::required(Type::Text)
}

pub(super) fn texts(_: &[Option<Ty>]) -> Ty {
    Ty::required(Type::list(Type::Text))
}

pub(super) fn maybe_int(_: &[Option<Ty>]) -> Ty {
    Ty::optional(Type::Int)
}

pub(super) fn maybe_text(_: &[Option<Ty>]) -> Ty {
    Ty::optional(Type::Text)
}

pub(super) fn maybe_texts(_: &[Option<Ty>]) -> Ty {
    Ty::optional(Type::map(Type::Text))
}

pub(super) fn maybe_any(_: &[Option<Ty>]) -> Ty {
    Ty::optional(Type::Any)
}

/// The type of the argument at that place, `any` where it is not known.
pub(super) fn type_at(args: &[Option<Ty>], index: usize) -> Type {
    args.get(index).and_then(Option::as_ref).map_or(Type::Any, |ty| ty.base.clone())
}

/// The same type as the first argument.
pub(super) fn same(args: &[Option<Ty>]) -> Ty {
    Ty::required(type_at(args, 0))
}

/// The type of a list's elements.
pub(super) fn element(list: &Type) -> Type {
    match list {
        Type::List(of) => (**of).clone(),
        _ => Type::Any,
    }
}

/// A list like the first argument.
pub(super) fn same_list(args: &[Option<Ty>]) -> Ty {
    Ty::required(Type::list(element(&type_at(args, 0))))
}

/// An element of the first argument, perhaps absent.
pub(super) fn maybe_element(args: &[Option<Ty>]) -> Ty {
    Ty::optional(element(&type_at(args, 0)))
}

/// What a map's values have in common: its declared type, `any` for records.
pub(super) fn map_of(map: &Type) -> Type {
    match map {
        Type::Map(of) => Type::Map(of.clone()),
        _ => Type::map(Type::Any),
    }
}

/// A map like the first argument.
pub(super) fn same_map(args: &[Option<Ty>]) -> Ty {
    Ty::required(map_of(&type_at(args, 0)))
}

/// The argument's text.
pub(super) fn text_arg<'a>(args: &[RowArg<'a>], index: usize) -> Option<Cow<'a, str>> {
    match args.get(index) {
        Some(RowArg::Value(Value::Text(text))) => Some(text.clone()),
        _ => None,
    }
}

/// The argument's text to look at only; nothing is copied.
pub(super) fn text_ref<'x>(args: &'x [RowArg<'_>], index: usize) -> Option<&'x str> {
    match args.get(index) {
        Some(RowArg::Value(Value::Text(text))) => Some(text),
        _ => None,
    }
}

/// The argument's bytes: those of a text are UTF-8.
pub(super) fn bytes_ref<'x>(args: &'x [RowArg<'_>], index: usize) -> Option<&'x [u8]> {
    match args.get(index) {
        Some(RowArg::Value(Value::Text(text))) => Some(text.as_bytes()),
        Some(RowArg::Value(Value::Bytes(bytes))) => Some(bytes),
        _ => None,
    }
}

/// The argument's integer.
pub(super) fn int_arg(args: &[RowArg<'_>], index: usize) -> Option<i64> {
    match args.get(index) {
        Some(RowArg::Value(Value::Int(number))) => Some(*number),
        _ => None,
    }
}

/// The argument's list or map as JSON text, to look at only.
pub(super) fn json_ref<'x>(args: &'x [RowArg<'_>], index: usize) -> Option<&'x str> {
    match args.get(index) {
        Some(RowArg::Value(Value::Json(text))) => Some(text),
        _ => None,
    }
}

/// The argument's value.
pub(super) fn value_arg<'x, 'a>(args: &'x [RowArg<'a>], index: usize) -> Option<&'x Value<'a>> {
    match args.get(index) {
        Some(RowArg::Value(value)) => Some(value),
        _ => None,
    }
}

/// The argument's bare name.
pub(super) fn choice_arg<'a>(args: &[RowArg<'a>], index: usize) -> Option<&'a str> {
    match args.get(index) {
        Some(RowArg::Choice(name)) => Some(name),
        _ => None,
    }
}

/// The argument's secret.
pub(super) fn secret_arg<'a>(args: &[RowArg<'a>], index: usize) -> Option<&'a str> {
    match args.get(index) {
        Some(RowArg::Secret(secret)) => Some(secret.expose()),
        _ => None,
    }
}

/// Whether the argument was left out.
pub(super) fn left_out(args: &[RowArg<'_>], index: usize) -> bool {
    matches!(args.get(index), None | Some(RowArg::None))
}

/// A part of a text, borrowed where the text is.
pub(super) fn part<'a>(text: &Cow<'a, str>, range: std::ops::Range<usize>) -> Cow<'a, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(range).unwrap_or("")),
        Cow::Owned(text) => Cow::Owned(text.get(range).unwrap_or("").to_owned()),
    }
}

/// A part of a text that was found by looking at it.
pub(super) fn part_of<'a>(text: &Cow<'a, str>, found: &str) -> Cow<'a, str> {
    let start = (found.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
    if start <= text.len() && found.len() <= text.len() - start {
        part(text, start..start + found.len())
    } else {
        Cow::Owned(found.to_owned())
    }
}
