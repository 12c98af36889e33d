//! `contains_any` and `contains_all`: many texts looked for in one.
//!
//! The list is nearly always a constant, and may come from a file with thousands of lines: one automaton finds them all in one pass.

use std::{cell::RefCell, sync::Arc};

use aho_corasick::AhoCorasick;

use super::{
    columns::{each_row, text_of},
    items,
};
use crate::{
    column::{Absence, Arena, Column, Kind, Mask, Value},
    eval::CallContext,
    types::Type,
};

/// Lists that a thread keeps compiled. Rules name few; the oldest makes way.
const KEPT: usize = 16;

/// The compiled texts of a list.
struct Needles {
    /// The list as JSON.
    list: Box<[u8]>,
    machine: Option<AhoCorasick>,
    count: usize,
}

thread_local! {
    static COMPILED: RefCell<Vec<Arc<Needles>>> = const { RefCell::new(Vec::new()) };
}

impl Needles {
    fn compile(list: &[u8]) -> Self {
        let texts: Vec<String> = items::elements(std::str::from_utf8(list).unwrap_or("[]"))
            .filter_map(|raw| match items::decode(raw) {
                Value::Text(text) => Some(text.into_owned()),
                _ => None,
            })
            .collect();
        // Refused only beyond what its state numbers can say: then nothing is found rather than everything.
        let machine = AhoCorasick::new(&texts).ok();
        Self { list: list.into(), machine, count: texts.len() }
    }

    /// The compiled form of a list, made once a thread.
    fn of(list: &[u8]) -> Arc<Self> {
        COMPILED.with_borrow_mut(|kept| {
            if let Some(at) = kept.iter().position(|needles| *needles.list == *list) {
                return kept[at].clone();
            }
            if kept.len() == KEPT {
                kept.remove(0);
            }
            let needles = Arc::new(Self::compile(list));
            kept.push(needles.clone());
            needles
        })
    }

    fn any(&self, text: &str) -> bool {
        self.machine.as_ref().is_some_and(|machine| machine.is_match(text))
    }

    fn all(&self, text: &str) -> bool {
        let Some(machine) = &self.machine else { return false };
        let mut found = vec![false; self.count];
        for one in machine.find_overlapping_iter(text) {
            found[one.pattern().as_usize()] = true;
        }
        found.into_iter().all(|found| found)
    }
}

/// `contains_any(s, list)`
pub(super) fn contains_any(context: &mut CallContext<'_, '_>, mask: &Mask) -> Arc<Column> {
    contains(context, mask, Needles::any)
}

/// `contains_all(s, list)`
pub(super) fn contains_all(context: &mut CallContext<'_, '_>, mask: &Mask) -> Arc<Column> {
    contains(context, mask, Needles::all)
}

fn contains(
    context: &mut CallContext<'_, '_>,
    mask: &Mask,
    test: fn(&Needles, &str) -> bool,
) -> Arc<Column> {
    let (Some(texts), Some(lists)) = (context.value(0), context.value(1)) else {
        return Arc::new(Column::missing(context.rows()));
    };
    let mut last = None;
    each_row(context, mask, &Type::Bool, |arena, row| {
        let text = match text_of(arena, &texts, row) {
            Ok(text) => text,
            Err(why) => return Value::Absent(why),
        };
        match list_at(arena, &lists, row) {
            Ok((view, list)) => {
                // A constant has the same view in every row.
                let needles = match &last {
                    Some((known, needles)) if *known == view => needles,
                    _ => &last.insert((view, Needles::of(list))).1,
                };
                Value::Bool(test(needles, &text))
            }
            Err(why) => Value::Absent(why),
        }
    })
}

fn list_at<'x>(
    arena: &'x Arena,
    lists: &Column,
    row: usize,
) -> Result<(crate::column::View, &'x [u8]), Absence> {
    let Column::Json(views) = lists else {
        return Err(lists.absence(row).unwrap_or(Absence::Type));
    };
    match views[row].kind() {
        Kind::Array => Ok((views[row], arena.get(views[row]))),
        Kind::Absent => Err(views[row].absence().unwrap_or(Absence::Missing)),
        _ => Err(Absence::Type),
    }
}
