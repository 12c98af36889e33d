//! Functions: lists.

use std::{borrow::Cow, cmp::Ordering, collections::HashSet};

use super::{
    Family, Function, Kernel, Param, RowArg, Takes, items,
    items::ListText,
    lambdas,
    numbers::{Number, as_number, compare},
    signature::{
        INT, WRONG_TYPE, bool, element, int_arg, json_ref, left_out, may, maybe_element, needs,
        rest, same_list, type_at, value_arg,
    },
    strings::position,
    twin::{Sql, When, twin},
};
use crate::{
    column::{Absence, Value},
    eval::RowContext,
    types::{Ty, Type},
};

/// The lambda's parameter is an element of the list.
const ELEMENT: Takes = Takes::Lambda(|args| vec![Ty::required(element(&type_at(args, 0)))]);

/// Lists.
pub const FUNCTIONS: &[Function] = &[
    entry(
        "first",
        &[needs("list", Takes::List)],
        maybe_element,
        "The first element, absent for an empty list.",
        &[("first([3, 4])", "3")],
        Kernel::Columns(lambdas::first),
        twin("if(empty({0}), NULL, {0}[1])"),
    ),
    entry(
        "last",
        &[needs("list", Takes::List)],
        maybe_element,
        "The last element, absent for an empty list.",
        &[("last([3, 4])", "4")],
        Kernel::Columns(lambdas::last),
        twin("if(empty({0}), NULL, {0}[-1])"),
    ),
    entry(
        "slice",
        &[needs("list", Takes::List), needs("from", INT), may("to", INT)],
        same_list,
        "The elements from one position up to (not including) another; negative ones count from the end.",
        &[("slice([1, 2, 3, 4], 1, -1)", "[2,3]")],
        Kernel::Rows(slice),
        twin("arraySlice({0}, if({1} < 0, {1}, {1} + 1))")
            .forms(&[(When::Given(2), "arraySlice({0}, {1} + 1, {2} - {1})")])
            .note("with `to`, positions must not be negative there"),
    ),
    entry(
        "push",
        &[needs("list", Takes::List), needs("x", Takes::Any)],
        |args| Ty::required(Type::list(shared([element(&type_at(args, 0)), type_at(args, 1)]))),
        "The list with one more element.",
        &[("push([1], 2)", "[1,2]")],
        Kernel::Rows(push),
        twin("arrayPushBack({0}, {1})"),
    ),
    entry(
        "concat",
        &[needs("a", Takes::List), needs("b", Takes::List), rest("more", Takes::List)],
        |args| {
            let elements = args.iter().flatten().map(|ty| element(&ty.base));
            Ty::required(Type::list(shared(elements)))
        },
        "The elements of all lists, one list after the other.",
        &[("concat([1], [2, 3])", "[1,2,3]")],
        Kernel::Rows(concat),
        twin("arrayConcat({*})"),
    ),
    entry(
        "unique",
        &[needs("list", Takes::List)],
        same_list,
        "The list without repeated elements; the first of each stays.",
        &[("unique([1, 2, 1])", "[1,2]")],
        Kernel::Rows(unique),
        twin("arrayDistinct({0})").note("null elements are left out there"),
    ),
    entry(
        "sort",
        &[needs("list", Takes::List)],
        same_list,
        "The elements in ascending order: numbers by value, text by bytes; null last.",
        &[("sort([3, 1, 2])", "[1,2,3]"), ("sort([\"b\", \"a\"])", "[\"a\",\"b\"]")],
        Kernel::Rows(sort),
        twin("arraySort({0})"),
    ),
    entry(
        "flatten",
        &[needs("list", Takes::List)],
        |args| {
            Ty::required(match element(&type_at(args, 0)) {
                Type::List(of) => Type::List(of),
                other => Type::list(other),
            })
        },
        "The list with the elements of inner lists in their place, one level deep.",
        &[("flatten([[1], [2, 3]])", "[1,2,3]")],
        Kernel::Rows(flatten),
        twin("arrayFlatten({0})").note("all levels there, one here"),
    ),
    entry(
        "map",
        &[needs("list", Takes::List), needs("f", ELEMENT)],
        |args| Ty::required(Type::list(type_at(args, 1))),
        "The results of the lambda for each element; absent ones are null.",
        &[("map([1, 2], |x| x * 10)", "[10,20]")],
        Kernel::Columns(lambdas::map),
        twin("arrayMap({1}, {0})"),
    ),
    entry(
        "filter",
        &[needs("list", Takes::List), needs("f", ELEMENT)],
        same_list,
        "The elements for which the lambda holds.",
        &[("filter([1, 2, 3], |x| x > 1)", "[2,3]")],
        Kernel::Columns(lambdas::filter),
        twin("arrayFilter({1}, {0})"),
    ),
    entry(
        "any",
        &[needs("list", Takes::List), needs("f", ELEMENT)],
        bool,
        "Whether the lambda holds for any element.",
        &[("any([1, 2], |x| x > 1)", "true")],
        Kernel::Columns(lambdas::any),
        twin("arrayExists({1}, {0})"),
    ),
    entry(
        "all",
        &[needs("list", Takes::List), needs("f", ELEMENT)],
        bool,
        "Whether the lambda holds for all elements; it does for an empty list.",
        &[("all([1, 2], |x| x > 1)", "false")],
        Kernel::Columns(lambdas::all),
        twin("arrayAll({1}, {0})"),
    ),
    entry(
        "find_first",
        &[needs("list", Takes::List), needs("f", ELEMENT)],
        maybe_element,
        "The first element for which the lambda holds.",
        &[("find_first([1, 2, 3], |x| x > 1)", "2")],
        Kernel::Columns(lambdas::find_first),
        twin("arrayFirstOrNull({1}, {0})"),
    ),
    entry(
        "sum_of",
        &[needs("list", Takes::List)],
        |args| {
            Ty::required(match element(&type_at(args, 0)) {
                known @ (Type::Int | Type::Float) => known,
                _ => Type::Number,
            })
        },
        "The sum of the list's numbers; null elements count nothing.",
        &[("sum_of([1, 2, 3])", "6"), ("sum_of([0.5, 1])", "1.5")],
        Kernel::Rows(sum_of),
        twin("arraySum({0})"),
    ),
    entry(
        "avg_of",
        &[needs("list", Takes::List)],
        |_| Ty::optional(Type::Float),
        "The mean of the list's numbers; absent if it has none.",
        &[("avg_of([1, 2])", "1.5")],
        Kernel::Rows(avg_of),
        twin("if(empty({0}), NULL, arrayAvg({0}))"),
    ),
    entry(
        "zip",
        &[needs("a", Takes::List), needs("b", Takes::List), rest("more", Takes::List)],
        |args| {
            let elements = args.iter().flatten().map(|ty| element(&ty.base));
            Ty::required(Type::list(Type::list(shared(elements))))
        },
        "The first elements of all lists as a list, then the second ones, and so on, as long as all have one.",
        &[("zip([1, 2], [3, 4])", "[[1,3],[2,4]]")],
        Kernel::Rows(zip),
        twin("arrayMap((x, y) -> [x, y], {0}, {1})")
            .forms(&[(When::Given(2), "")])
            .note("the lists must have one length there"),
    ),
    entry(
        "chunk",
        &[needs("list", Takes::List), needs("n", INT)],
        |args| Ty::optional(Type::list(Type::list(element(&type_at(args, 0))))),
        "The elements in lists of `n`, the last one perhaps shorter.",
        &[("chunk([1, 2, 3], 2)", "[[1,2],[3]]")],
        Kernel::Rows(chunk),
        twin(
            "arrayMap(i -> arraySlice({0}, i * {1} + 1, {1}), range(intDiv(length({0}) + {1} - 1, {1})))",
        ),
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
    Function { sql, ..Function::new(name, Family::Lists, params, returns, doc, examples, kernel) }
}

/// The type all have, `any` where they differ.
fn shared(types: impl IntoIterator<Item = Type>) -> Type {
    let mut types = types.into_iter();
    let first = types.next().unwrap_or(Type::Any);
    if types.all(|other| other == first) { first } else { Type::Any }
}

fn slice<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some((list, from)) = json_ref(args, 0).zip(int_arg(args, 1)) else { return WRONG_TYPE };
    let elements: Vec<&str> = items::elements(list).collect();
    let from = position(from, elements.len());
    let to = match int_arg(args, 2) {
        Some(to) => position(to, elements.len()),
        None if left_out(args, 2) => elements.len(),
        None => return WRONG_TYPE,
    };
    let mut out = ListText::new();
    elements.get(from..to).unwrap_or_default().iter().for_each(|raw| out.raw(raw));
    out.finish()
}

fn push<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some((list, value)) = json_ref(args, 0).zip(value_arg(args, 1)) else { return WRONG_TYPE };
    let mut out = ListText::new();
    items::elements(list).for_each(|raw| out.raw(raw));
    out.value(value);
    out.finish()
}

fn concat<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let mut out = ListText::new();
    for index in 0..args.len() {
        if left_out(args, index) {
            continue;
        }
        let Some(list) = json_ref(args, index) else { return WRONG_TYPE };
        items::elements(list).for_each(|raw| out.raw(raw));
    }
    out.finish()
}

fn unique<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(list) = json_ref(args, 0) else { return WRONG_TYPE };
    // Text by what it means, so that `"a"` and `"\u0061"` are one; everything else as it is written.
    let mut seen: HashSet<(bool, Cow<'_, str>)> = HashSet::new();
    let mut out = ListText::new();
    for raw in items::elements(list) {
        let key = match items::decode(raw) {
            Value::Text(text) => (true, text),
            _ => (false, Cow::Borrowed(raw)),
        };
        if seen.insert(key) {
            out.raw(raw);
        }
    }
    out.finish()
}

fn sort<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    fn rank(value: &Value<'_>) -> u8 {
        match value {
            Value::Bool(_) => 0,
            Value::Int(_) | Value::Float(_) => 1,
            Value::Text(_) => 2,
            Value::Absent(_) => 4,
            _ => 3,
        }
    }
    let Some(list) = json_ref(args, 0) else { return WRONG_TYPE };
    let mut elements: Vec<(Value<'_>, &str)> =
        items::elements(list).map(|raw| (items::decode(raw), raw)).collect();
    elements.sort_by(|(a, raw_a), (b, raw_b)| {
        rank(a).cmp(&rank(b)).then_with(|| match (a, b) {
            (Value::Json(_), Value::Json(_)) => raw_a.cmp(raw_b),
            _ => compare(a, b).unwrap_or(Ordering::Equal),
        })
    });
    let mut out = ListText::new();
    for (_, raw) in elements {
        out.raw(raw);
    }
    out.finish()
}

fn flatten<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(list) = json_ref(args, 0) else { return WRONG_TYPE };
    let mut out = ListText::new();
    for raw in items::elements(list) {
        if items::is_list(raw) {
            items::elements(raw).for_each(|raw| out.raw(raw));
        } else {
            out.raw(raw);
        }
    }
    out.finish()
}

/// The sum of a list's numbers and how many there are, or why there is none.
fn sum(list: &str) -> Result<(Number, usize), Absence> {
    let mut sum = Number::Int(0);
    let mut count = 0;
    for raw in items::elements(list) {
        let value = items::decode(raw);
        if !value.is_present() {
            continue;
        }
        let number = as_number(&value).ok_or(Absence::Type)?;
        count += 1;
        sum = match (sum, number) {
            (Number::Int(a), Number::Int(b)) => {
                Number::Int(a.checked_add(b).ok_or(Absence::Overflow)?)
            }
            (a, b) => Number::Float(a.as_float() + b.as_float()),
        };
    }
    Ok((sum, count))
}

fn sum_of<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    match json_ref(args, 0).map(sum) {
        Some(Ok((Number::Int(sum), _))) => Value::Int(sum),
        Some(Ok((Number::Float(sum), _))) => Value::float(sum),
        Some(Err(why)) => Value::Absent(why),
        None => WRONG_TYPE,
    }
}

fn avg_of<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(list) = json_ref(args, 0) else { return WRONG_TYPE };
    let mut sum = 0.0;
    let mut count = 0_u32;
    for raw in items::elements(list) {
        match items::decode(raw) {
            Value::Absent(_) => {}
            value => match as_number(&value) {
                Some(number) => {
                    sum += number.as_float();
                    count += 1;
                }
                None => return WRONG_TYPE,
            },
        }
    }
    if count == 0 { Value::Absent(Absence::Missing) } else { Value::float(sum / f64::from(count)) }
}

fn zip<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let mut lists = Vec::with_capacity(args.len());
    for index in (0..args.len()).filter(|index| !left_out(args, *index)) {
        let Some(list) = json_ref(args, index).filter(|raw| items::is_list(raw)) else {
            return WRONG_TYPE;
        };
        lists.push(items::elements(list));
    }
    if lists.len() < 2 {
        return WRONG_TYPE;
    }
    let mut out = ListText::new();
    loop {
        let row: Option<Vec<&str>> = lists.iter_mut().map(Iterator::next).collect();
        let Some(row) = row else { return out.finish() };
        out.raw(&format!("[{}]", row.join(",")));
    }
}

fn chunk<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some((list, n)) = json_ref(args, 0).filter(|raw| items::is_list(raw)).zip(int_arg(args, 1))
    else {
        return WRONG_TYPE;
    };
    let Some(n) = usize::try_from(n).ok().filter(|n| *n > 0) else {
        return Value::Absent(Absence::OutOfRange);
    };
    let elements: Vec<&str> = items::elements(list).collect();
    let mut out = ListText::new();
    for part in elements.chunks(n) {
        out.raw(&format!("[{}]", part.join(",")));
    }
    out.finish()
}
