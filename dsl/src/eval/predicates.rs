//! Predicates: expressions to masks. Two-valued: an absent operand makes them false.

use std::cmp::Ordering;

use memchr::memmem;

use super::{
    analysis::Searcher,
    fields,
    machine::{Machine, Operand, truth},
    order,
};
use crate::{
    column::{Absence, Arena, Column, Kind, Mask, Value, View, blend, json, print},
    plan::{CompareOp, Expr, ExprId, IsTest, LiteralSet, LocalId, Op, TextTest},
    types::Type,
};

impl<'m> Machine<'m> {
    /// Tests a predicate on the rows of `within`. Bits of other rows mean nothing.
    pub(super) fn test(&mut self, expr: &'m Expr, id: ExprId, within: &Mask) -> Mask {
        if within.is_empty() {
            return within.clone();
        }
        match &expr.op {
            Op::And(all) => {
                let mut left = within.clone();
                for operand in self.in_order(all) {
                    if left.is_empty() {
                        break;
                    }
                    left = self.mask(operand, &left);
                }
                left
            }
            Op::Or(all) => {
                let (mut found, mut left) = (Mask::none(within.len()), within.clone());
                for operand in self.in_order(all) {
                    if left.is_empty() {
                        break;
                    }
                    let holds = self.mask(operand, &left);
                    left.remove(&holds);
                    found.add(&holds);
                }
                found
            }
            Op::Not(of) => within.and_not(&self.mask(*of, within)),
            Op::Truth(of) => {
                let column = self.column(*of, within);
                truth(&column, within)
            }
            Op::Compare { op, left, right } => self.compare(*op, *left, *right, within),
            Op::InSet { value, set } => {
                let column = self.column(*value, within);
                let searcher = &self.facts[id.0 as usize].searcher;
                in_set(&self.batch.arena, &column, set, searcher, within)
            }
            Op::In { value, within: list } => self.contained(*value, *list, within),
            Op::TextTest { test, value, needle, ignore_case } => {
                self.text_test(id, (*test, *ignore_case), *value, *needle, within)
            }
            Op::Like { value, glob } => {
                let texts = self.texts(*value, within);
                let arena = &self.batch.arena;
                Mask::filter(within, |row| {
                    texts[row].is_present() && glob.matches(arena.get(texts[row]))
                })
            }
            Op::Matches { value, regex } => {
                let texts = self.texts(*value, within);
                let arena = &self.batch.arena;
                Mask::filter(within, |row| {
                    texts[row].is_present() && regex.matches(arena.get(texts[row]))
                })
            }
            Op::Has { value, words, ignore_case } => {
                let texts = self.texts(*value, within);
                let arena = &self.batch.arena;
                let words: Vec<&str> = tokens(words).collect();
                Mask::filter(within, |row| {
                    texts[row].is_present()
                        && has_words(arena.get(texts[row]), &words, *ignore_case)
                })
            }
            Op::Is { value, test } => self.is(*value, test, within),
            Op::AnyElement { list, element, test } => {
                self.any_element(*list, *element, *test, within)
            }
            Op::Literal(_)
            | Op::Field(_)
            | Op::Meta(_)
            | Op::Local(_)
            | Op::Member { .. }
            | Op::Index { .. }
            | Op::Each { .. }
            | Op::Narrow(_)
            | Op::Call { .. }
            | Op::Lookup { .. }
            | Op::Neg(_)
            | Op::Arith { .. }
            | Op::Coalesce(..)
            | Op::If { .. }
            | Op::Match { .. }
            | Op::Record(_)
            | Op::List(_)
            | Op::Format(_) => {
                let column = self.column(id, within);
                truth(&column, within)
            }
        }
    }

    fn compare(&mut self, op: CompareOp, left: ExprId, right: ExprId, within: &Mask) -> Mask {
        let left = self.operand(left, within);
        let right = self.operand(right, within);
        let arena = &self.batch.arena;
        match (&left, &right) {
            (Operand::Many(column), Operand::One(value)) => {
                order::column_literal(arena, op, column, value, within)
            }
            (Operand::One(value), Operand::Many(column)) => {
                order::column_literal(arena, op.turned(), column, value, within)
            }
            (Operand::Many(a), Operand::Many(b)) => order::columns(arena, op, a, b, within),
            (Operand::One(a), Operand::One(b)) => {
                let holds = match (op, order::compare(a, b)) {
                    (_, None) => false,
                    (CompareOp::Eq, Some(order)) => order == Ordering::Equal,
                    (CompareOp::Lt, Some(order)) => order == Ordering::Less,
                    (CompareOp::Le, Some(order)) => order != Ordering::Greater,
                    (CompareOp::Gt, Some(order)) => order == Ordering::Greater,
                    (CompareOp::Ge, Some(order)) => order != Ordering::Less,
                };
                if holds { within.clone() } else { Mask::none(within.len()) }
            }
        }
    }

    /// `x in list`, `ip in block`.
    fn contained(&mut self, value: ExprId, list: ExprId, within: &Mask) -> Mask {
        let value = self.operand(value, within);
        let list = self.operand(list, within);
        let arena = &self.batch.arena;
        Mask::filter(within, |row| {
            let value = value.value(arena, row);
            match list.value(arena, row) {
                Value::Json(list) if list.starts_with('[') => order::list_has(&list, &value),
                Value::Cidr(block) => ip_of(&value).is_some_and(|ip| block.contains(ip)),
                Value::Text(text) => match (ip_of(&value), crate::column::Cidr::parse(&text)) {
                    (Some(ip), Some(block)) => block.contains(ip),
                    _ => false,
                },
                _ => false,
            }
        })
    }

    /// The operand as text; rows with anything else are absent.
    fn texts(&mut self, value: ExprId, within: &Mask) -> Vec<View> {
        let column = self.column(value, within);
        match &*blend::narrow(&mut self.batch.arena, &column, &Type::Text) {
            Column::Text(views) => views.clone(),
            other => vec![View::MISSING; other.len()],
        }
    }

    fn text_test(
        &mut self,
        id: ExprId,
        (test, ignore_case): (TextTest, bool),
        value: ExprId,
        needle: ExprId,
        within: &Mask,
    ) -> Mask {
        let column = self.column(value, within);
        let needle = self.operand(needle, within);
        let arena = &self.batch.arena;
        if let (Column::Text(views), Operand::One(Value::Text(literal))) = (&*column, &needle) {
            let with = literal.as_bytes();
            if ignore_case {
                let mut lower = Vec::new();
                return Mask::filter(within, |row| {
                    let view = views[row];
                    view.is_present() && {
                        lower_into(&mut lower, arena.get(view));
                        text_holds(test, &lower, with)
                    }
                });
            }
            return match (test, &self.facts[id.0 as usize].searcher) {
                (TextTest::Contains, Searcher::Finder(finder)) => Mask::filter(within, |row| {
                    views[row].is_present() && finder.find(arena.get(views[row])).is_some()
                }),
                _ => Mask::filter(within, |row| {
                    views[row].is_present() && text_holds(test, arena.get(views[row]), with)
                }),
            };
        }
        let mut lower = Vec::new();
        Mask::filter(within, |row| {
            match (print::value(arena, &column, row), needle.value(arena, row)) {
                (Value::Text(text), Value::Text(with)) => {
                    if ignore_case {
                        lower_into(&mut lower, text.as_bytes());
                        text_holds(test, &lower, with.as_bytes())
                    } else {
                        text_holds(test, text.as_bytes(), with.as_bytes())
                    }
                }
                (Value::Json(list), with)
                    if test == TextTest::Contains && list.starts_with('[') =>
                {
                    if let (true, Value::Text(with)) = (ignore_case, &with) {
                        json::array(&list).any(|element| {
                        matches!(json::value(element), Value::Text(text) if text.to_lowercase() == **with)
                    })
                    } else {
                        order::list_has(&list, &with)
                    }
                }
                _ => false,
            }
        })
    }

    fn is(&mut self, value: ExprId, test: &IsTest, within: &Mask) -> Mask {
        let plan = self.plan;
        let column = match &plan.expr(value).op {
            Op::Field(node) if plan.layout.node(*node).is_interior() && self.frame == 0 => {
                std::sync::Arc::new(fields::outline(self, *node))
            }
            _ => self.column(value, within),
        };
        match test {
            IsTest::Present => column.present().and(within),
            IsTest::Absent => within.and_not(&column.present()),
            IsTest::Missing => {
                Mask::filter(within, |row| column.absence(row) == Some(Absence::Missing))
            }
            IsTest::Null => Mask::filter(within, |row| column.absence(row) == Some(Absence::Null)),
            IsTest::Type(ty) => {
                let read = blend::narrow(&mut self.batch.arena, &column, ty);
                let present = read.present().and(within);
                if *ty != Type::Float {
                    return present;
                }
                // A JSON integer reads as a float, but is none.
                let arena = &self.batch.arena;
                Mask::filter(&present, |row| {
                    matches!(print::value(arena, &column, row), Value::Float(_))
                })
            }
        }
    }

    fn any_element(&mut self, list: ExprId, element: LocalId, test: ExprId, within: &Mask) -> Mask {
        let lists = self.column(list, within);
        let views = blend::to_json(&mut self.batch.arena, &lists);
        let (mut elements, mut parents) = (Vec::new(), Vec::new());
        for row in within.rows() {
            let view = views[row];
            if view.kind() == Kind::Array {
                let text = self.batch.arena.get(view);
                for at in json::elements(text) {
                    elements.push(json::view(text, at, view.offset()));
                    parents.push(row as u32);
                }
            }
        }
        let mut found = Mask::none(within.len());
        if elements.is_empty() {
            return found;
        }
        let mut column = std::sync::Arc::new(Column::Json(elements));
        if let Type::List(of) = &self.plan.expr(list).ty.base {
            column = blend::narrow(&mut self.batch.arena, &column, of);
        }
        let holds = self.with_elements(parents.clone(), [(element, column)], |machine| {
            let all = Mask::all(parents.len());
            machine.mask(test, &all)
        });
        for place in holds.rows() {
            found.set(parents[place] as usize);
        }
        found
    }
}

fn ip_of(value: &Value<'_>) -> Option<u128> {
    match value {
        Value::Ip(ip) => Some(*ip),
        Value::Text(text) => crate::column::decode::ip(text.as_bytes()),
        _ => None,
    }
}

fn text_holds(test: TextTest, text: &[u8], with: &[u8]) -> bool {
    match test {
        TextTest::Contains => memmem::find(text, with).is_some(),
        TextTest::StartsWith => text.starts_with(with),
        TextTest::EndsWith => text.ends_with(with),
    }
}

/// Lower-cases text into a buffer that is used again for the next row.
fn lower_into(out: &mut Vec<u8>, text: &[u8]) {
    out.clear();
    if text.is_ascii() {
        out.extend_from_slice(text);
        out.make_ascii_lowercase();
    } else {
        out.extend_from_slice(String::from_utf8_lossy(text).to_lowercase().as_bytes());
    }
}

fn tokens(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|token| !token.is_empty())
}

/// Whether the words stand in the text in this order, next to each other.
fn has_words(text: &[u8], words: &[&str], ignore_case: bool) -> bool {
    let Some(&first) = words.first() else { return false };
    if !ignore_case && memmem::find(text, first.as_bytes()).is_none() {
        return false;
    }
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let lower;
    let text = if ignore_case {
        lower = text.to_lowercase();
        &lower
    } else {
        text
    };
    let all: Vec<&str> = tokens(text).collect();
    all.windows(words.len()).any(|window| window == words)
}

fn in_set(
    arena: &Arena,
    column: &Column,
    set: &LiteralSet,
    searcher: &Searcher,
    within: &Mask,
) -> Mask {
    let in_ranges = |address: u128| match searcher {
        Searcher::Ranges(ranges) => {
            let at = ranges.partition_point(|&(first, _)| first <= address);
            at > 0 && address <= ranges[at - 1].1
        }
        Searcher::None | Searcher::Finder(_) => false,
    };
    let has_int = |number: i64| set.ints.binary_search(&number).is_ok();
    let has_text = |text: &[u8]| {
        // A few texts are told apart by their length faster than by halving.
        if set.texts.len() <= 8 {
            set.texts.iter().any(|known| known.len() == text.len() && known.as_bytes() == text)
        } else {
            set.texts.binary_search_by(|known| known.as_bytes().cmp(text)).is_ok()
        }
    };
    let number = |value: Value<'_>| {
        set.ints.iter().any(|&n| order::compare(&Value::Int(n), &value) == Some(Ordering::Equal))
            || set
                .floats
                .iter()
                .any(|&n| order::compare(&Value::Float(n), &value) == Some(Ordering::Equal))
    };
    match column {
        Column::Text(views) => Mask::filter(within, |row| {
            let view = views[row];
            view.is_present()
                && (has_text(arena.get(view))
                    || !set.cidrs.is_empty()
                        && crate::column::decode::ip(arena.get(view)).is_some_and(in_ranges))
        }),
        Column::Int(cells) => Mask::filter(within, |row| {
            cells.state[row] == 0
                && (has_int(cells.values[row])
                    || !set.floats.is_empty() && number(Value::Int(cells.values[row])))
        }),
        Column::Timestamp(cells) | Column::Duration(cells) => {
            Mask::filter(within, |row| cells.state[row] == 0 && has_int(cells.values[row]))
        }
        Column::Severity(cells) => Mask::filter(within, |row| {
            cells.state[row] == 0 && has_int(order::severity_number(cells.values[row]))
        }),
        Column::Float(cells) => Mask::filter(within, |row| {
            cells.state[row] == 0 && number(Value::Float(cells.values[row]))
        }),
        Column::Bool(cells) => Mask::filter(within, |row| {
            cells.state[row] == 0 && set.bools.contains(&cells.values[row])
        }),
        Column::Ip(cells) => {
            Mask::filter(within, |row| cells.state[row] == 0 && in_ranges(cells.values[row]))
        }
        Column::Cidr(cells) => Mask::filter(within, |row| {
            cells.state[row] == 0 && set.cidrs.contains(&cells.values[row])
        }),
        Column::Json(_) => Mask::filter(within, |row| match print::value(arena, column, row) {
            Value::Text(text) => {
                has_text(text.as_bytes())
                    || !set.cidrs.is_empty()
                        && crate::column::decode::ip(text.as_bytes()).is_some_and(in_ranges)
            }
            Value::Bool(value) => set.bools.contains(&value),
            value @ (Value::Int(_) | Value::Float(_)) => number(value),
            _ => false,
        }),
        Column::Bytes(_) | Column::Record(_) => Mask::none(within.len()),
    }
}
