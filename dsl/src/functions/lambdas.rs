//! Functions that run a lambda over the elements of lists, and those that pick one element.
//!
//! The elements of all lists of a batch go through the lambda together, as one column.

use std::sync::Arc;

use super::{columns::each_row, items::ListText, signature::element};
use crate::{
    column::{Absence, Arena, Column, Kind, Mask, Value, View, blend, json, print},
    eval::CallContext,
    types::Type,
};

/// The lists of a batch and their elements.
struct Lists {
    /// Per row: which elements are its own, or why it has no list.
    rows: Vec<Result<std::ops::Range<usize>, Absence>>,
    /// All elements.
    elements: Vec<View>,
    /// Per element: its row.
    parents: Vec<u32>,
}

fn lists(context: &mut CallContext<'_, '_>, mask: &Mask) -> Lists {
    let n_rows = context.rows();
    let mut lists =
        Lists { rows: Vec::with_capacity(n_rows), elements: Vec::new(), parents: Vec::new() };
    let Some(column) = context.value(0) else {
        lists.rows.resize(n_rows, Err(Absence::Missing));
        return lists;
    };
    let arena = &context.batch.arena;
    for row in 0..n_rows {
        if !mask.has(row) {
            lists.rows.push(Err(Absence::Missing));
            continue;
        }
        let view = match &*column {
            Column::Json(views) => views[row],
            other => View::absent(other.absence(row).unwrap_or(Absence::Type)),
        };
        lists.rows.push(match view.kind() {
            Kind::Array => {
                let start = lists.elements.len();
                let text = arena.get(view);
                for range in json::elements(text) {
                    lists.elements.push(json::view(text, range, view.offset()));
                    lists.parents.push(row as u32);
                }
                Ok(start..lists.elements.len())
            }
            Kind::Absent => Err(view.absence().unwrap_or(Absence::Missing)),
            _ => Err(Absence::Type),
        });
    }
    lists
}

/// What the lambda gives for every element.
fn results(context: &mut CallContext<'_, '_>, lists: &Lists) -> Arc<Column> {
    if lists.parents.is_empty() {
        return Arc::new(Column::Json(Vec::new()));
    }
    let elements = Arc::new(Column::Json(lists.elements.clone()));
    // The lambda's body was checked against the type of the list's elements.
    let ty = context.arg_type(0).map_or(Type::Any, |ty| element(&ty.base));
    let elements = blend::narrow(&mut context.batch.arena, &elements, &ty);
    context.lambda(1, vec![elements], &lists.parents)
}

fn holds(arena: &Arena, results: &Column, element: usize) -> bool {
    matches!(print::value(arena, results, element), Value::Bool(true))
}

/// `map(list, |x| …)`
pub(super) fn map(context: &mut CallContext<'_, '_>, mask: &Mask) -> Arc<Column> {
    let lists = lists(context, mask);
    let results = results(context, &lists);
    each_row(context, mask, &Type::Any, |arena, row| match &lists.rows[row] {
        Err(why) => Value::Absent(*why),
        Ok(elements) => {
            let mut out = ListText::new();
            for element in elements.clone() {
                out.value(&print::value(arena, &results, element));
            }
            out.finish()
        }
    })
}

/// `filter(list, |x| …)`
pub(super) fn filter(context: &mut CallContext<'_, '_>, mask: &Mask) -> Arc<Column> {
    let lists = lists(context, mask);
    let results = results(context, &lists);
    each_row(context, mask, &Type::Any, |arena, row| match &lists.rows[row] {
        Err(why) => Value::Absent(*why),
        Ok(elements) => {
            let mut out = ListText::new();
            let mut raw = Vec::new();
            for element in elements.clone().filter(|&it| holds(arena, &results, it)) {
                raw.clear();
                print::view(&mut raw, arena, lists.elements[element]);
                out.raw(std::str::from_utf8(&raw).unwrap_or("null"));
            }
            out.finish()
        }
    })
}

/// `any(list, |x| …)`
pub(super) fn any(context: &mut CallContext<'_, '_>, mask: &Mask) -> Arc<Column> {
    let lists = lists(context, mask);
    let results = results(context, &lists);
    each_row(context, mask, &Type::Bool, |arena, row| match &lists.rows[row] {
        Err(why) => Value::Absent(*why),
        Ok(elements) => Value::Bool(elements.clone().any(|it| holds(arena, &results, it))),
    })
}

/// `all(list, |x| …)`
pub(super) fn all(context: &mut CallContext<'_, '_>, mask: &Mask) -> Arc<Column> {
    let lists = lists(context, mask);
    let results = results(context, &lists);
    each_row(context, mask, &Type::Bool, |arena, row| match &lists.rows[row] {
        Err(why) => Value::Absent(*why),
        Ok(elements) => Value::Bool(elements.clone().all(|it| holds(arena, &results, it))),
    })
}

/// `find_first(list, |x| …)`
pub(super) fn find_first(context: &mut CallContext<'_, '_>, mask: &Mask) -> Arc<Column> {
    let lists = lists(context, mask);
    let results = results(context, &lists);
    let arena = &context.batch.arena;
    let views = pick(&lists, |elements| elements.clone().find(|&it| holds(arena, &results, it)));
    typed(context, views)
}

/// `first(list)`
pub(super) fn first(context: &mut CallContext<'_, '_>, mask: &Mask) -> Arc<Column> {
    let lists = lists(context, mask);
    let views = pick(&lists, |elements| elements.clone().next());
    typed(context, views)
}

/// `last(list)`
pub(super) fn last(context: &mut CallContext<'_, '_>, mask: &Mask) -> Arc<Column> {
    let lists = lists(context, mask);
    let views = pick(&lists, |elements| elements.clone().last());
    typed(context, views)
}

/// One element of each list.
fn pick(lists: &Lists, choose: impl Fn(&std::ops::Range<usize>) -> Option<usize>) -> Vec<View> {
    let pick = |row: &Result<_, Absence>| match row {
        Err(why) => View::absent(*why),
        Ok(elements) => choose(elements).map_or(View::MISSING, |element| lists.elements[element]),
    };
    lists.rows.iter().map(pick).collect()
}

/// Views as the static type of the call's result.
pub(super) fn typed(context: &mut CallContext<'_, '_>, views: Vec<View>) -> Arc<Column> {
    let column = Arc::new(Column::Json(views));
    blend::narrow(&mut context.batch.arena, &column, &context.ty.base)
}
