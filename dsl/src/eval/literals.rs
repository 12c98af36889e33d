//! Many literals asked of one column: which rows hold which, found in one pass however many there are.
//!
//! Invariant: a search decides nothing that comparing each literal would not; what it finds is compared byte by byte.

use std::{collections::BTreeMap, sync::Arc};

use super::machine::Machine;
use crate::{
    column::{Arena, Column, Mask, View},
    plan::{CompareOp, ExprId, Literal, Op, Plan, TextTest},
    types::Type,
};

/// From so many literals on one pass costs less than a search each; measured on messages of a hundred bytes.
const TOGETHER_MIN: usize = 4;
/// The same for short ones, whose pass has to look at every byte.
const SHORT_MIN: usize = 12;
/// How often one batch starts over because the column was written. Beyond it each literal is searched for by itself.
const STARTS_MAX: u32 = 8;
/// Bytes that are looked up together.
const GRAM: usize = 4;

/// Literals that are asked of one expression's value in one way.
#[derive(Debug)]
pub(crate) struct Group {
    /// Its place among the lineups of a batch.
    number: usize,
    /// The expression whose value is searched.
    value: ExprId,
    search: Search,
    literals: usize,
}

/// A literal's place in its group.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    group: Arc<Group>,
    place: usize,
}

#[derive(Debug)]
enum Search {
    /// The text holds the literal.
    Contains(Grams),
    /// The text is the literal.
    Equal(Words),
}

/// What a group found in a batch so far.
#[derive(Debug, Default)]
pub(super) struct Lineup {
    /// The state of the value that was searched.
    stamp: Option<u64>,
    /// Rows that were searched.
    searched: Mask,
    /// By literal the rows that hold it; `None` where none does.
    found: Vec<Option<Mask>>,
    /// The literals that some row holds.
    seen: Vec<usize>,
    starts: u32,
}

impl Lineup {
    /// Forgets the batch.
    pub(super) fn forget(&mut self) {
        self.start(None, 0, 0);
        self.starts = 0;
    }

    fn start(&mut self, stamp: Option<u64>, rows: usize, literals: usize) {
        self.stamp = stamp;
        self.searched = Mask::none(rows);
        for place in self.seen.drain(..) {
            self.found[place] = None;
        }
        self.found.resize(literals.max(self.found.len()), None);
        self.starts += 1;
    }

    fn add(&mut self, place: usize, row: usize) {
        let rows = self.searched.len();
        let seen = &mut self.seen;
        self.found[place]
            .get_or_insert_with(|| {
                seen.push(place);
                Mask::none(rows)
            })
            .set(row);
    }
}

/// The seats of all expressions of a plan that are one of many.
pub(super) fn seats(plan: &Plan, is_costly: impl Fn(ExprId) -> bool) -> BTreeMap<u32, Seat> {
    /// Which way of asking, and of what. Short literals wait for company of their own.
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    enum Asked {
        Contains,
        ContainsShort,
        Equal,
    }
    /// Expressions and their literals.
    type Members<'p> = Vec<(u32, &'p [u8])>;
    let text = |id: ExprId| match &plan.expr(id).op {
        Op::Literal(Literal::Text(text)) => Some(text.as_bytes()),
        _ => None,
    };
    let mut asked: BTreeMap<(ExprId, Asked), Members<'_>> = BTreeMap::new();
    for (number, expr) in plan.exprs.iter().enumerate() {
        let found = match &expr.op {
            Op::TextTest { test: TextTest::Contains, value, needle, ignore_case: false } => {
                text(*needle).and_then(|needle| match needle.len() {
                    0..GRAM => None,
                    GRAM..7 => Some((*value, Asked::ContainsShort, needle)),
                    _ => Some((*value, Asked::Contains, needle)),
                })
            }
            Op::Compare { op: CompareOp::Eq, left, right } => match (text(*left), text(*right)) {
                (None, Some(literal)) => Some((*left, Asked::Equal, literal)),
                (Some(literal), None) => Some((*right, Asked::Equal, literal)),
                _ => None,
            },
            _ => None,
        };
        // What is computed for all rows anyway costs nothing more here.
        if let Some((value, way, literal)) = found
            && plan.expr(value).ty.base == Type::Text
            && !is_costly(value)
        {
            asked.entry((value, way)).or_default().push((number as u32, literal));
        }
    }
    let mut seats = BTreeMap::new();
    let mut number = 0;
    for ((value, way), members) in asked {
        let least = if way == Asked::ContainsShort { SHORT_MIN } else { TOGETHER_MIN };
        if members.len() < least {
            continue;
        }
        let literals: Vec<&[u8]> = members.iter().map(|(_, literal)| *literal).collect();
        let search = match way {
            Asked::Contains => Search::Contains(Grams::new(&literals, 4)),
            Asked::ContainsShort => Search::Contains(Grams::new(&literals, 1)),
            Asked::Equal => Search::Equal(Words::new(&literals)),
        };
        let group = Arc::new(Group { number, value, search, literals: literals.len() });
        number += 1;
        for (place, (expr, _)) in members.into_iter().enumerate() {
            seats.insert(expr, Seat { group: group.clone(), place });
        }
    }
    seats
}

impl<'m> Machine<'m> {
    /// The rows of `within` that hold a literal; `None` where its group cannot tell.
    pub(super) fn seated(&mut self, seat: &'m Seat, within: &Mask) -> Option<Mask> {
        if !self.line_up(&seat.group, within) {
            return None;
        }
        Some(match &self.state.lineups[seat.group.number].found[seat.place] {
            Some(found) => found.and(within),
            None => Mask::none(within.len()),
        })
    }

    /// Whether a condition holds for no row of `within`, as far as groups of literals tell without computing it.
    pub(super) fn is_hopeless(&mut self, id: ExprId, within: &Mask) -> bool {
        let fact = &self.facts[id.0 as usize];
        if !fact.gated || self.frame > 0 {
            return false;
        }
        if let Some(seat) = &fact.seat {
            return self.line_up(&seat.group, within)
                && self.state.lineups[seat.group.number].found[seat.place].is_none();
        }
        let plan = self.plan;
        match &plan.expr(id).op {
            // That a text holds something is rarer than that it is something.
            Op::And(all) => [true, false].into_iter().any(|first| {
                let mut asked = all
                    .iter()
                    .filter(|id| matches!(plan.expr(**id).op, Op::Compare { .. }) != first);
                asked.any(|&operand| self.is_hopeless(operand, within))
            }),
            Op::Or(all) => all.iter().all(|&operand| self.is_hopeless(operand, within)),
            _ => false,
        }
    }

    /// Searches the rows that were not searched yet; `false` if that is not possible.
    fn line_up(&mut self, group: &'m Group, within: &Mask) -> bool {
        let stamp = self.stamp(group.value);
        if self.state.lineups.len() <= group.number {
            self.state.lineups.resize_with(group.number + 1, Lineup::default);
        }
        let lineup = &mut self.state.lineups[group.number];
        if lineup.stamp != Some(stamp) {
            if lineup.starts >= STARTS_MAX {
                return false;
            }
            lineup.start(Some(stamp), within.len(), group.literals);
        } else if lineup.searched.covers(within) {
            return true;
        }
        let column = self.column(group.value, within);
        let lineup = &mut self.state.lineups[group.number];
        let Column::Text(views) = &*column else {
            lineup.stamp = None;
            lineup.starts = STARTS_MAX;
            return false;
        };
        let rows = within.and_not(&lineup.searched);
        lineup.searched.add(&rows);
        group.search(&self.batch.arena, views, &rows, |place, row| lineup.add(place, row));
        true
    }
}

impl Group {
    fn search(
        &self,
        arena: &Arena,
        views: &[View],
        rows: &Mask,
        mut found: impl FnMut(usize, usize),
    ) {
        for row in rows.rows() {
            let view = views[row];
            if view.is_absent() {
                continue;
            }
            let text = arena.get(view);
            match &self.search {
                Search::Contains(grams) => grams.search(text, |place| found(place, row)),
                Search::Equal(words) => words.search(text, |place| found(place, row)),
            }
        }
    }
}

/// Finds literals by four of their bytes at once. Of a literal of seven bytes and more four neighboring grams are known, so
/// that every fourth byte of a text is looked at and one of the four is met.
#[derive(Debug)]
struct Grams {
    stride: usize,
    literals: Vec<Box<[u8]>>,
    /// A bit for each hash of a gram: nearly all of a text ends here.
    bits: Vec<u64>,
    /// Hashes are the highest bits of a product.
    shift: u32,
    /// Each gram and where its `places` start and end; open addressing, at most a fourth full. No places: nothing.
    table: Vec<(u32, u32, u32)>,
    /// A literal, and where in it the gram stands.
    places: Vec<(u32, u32)>,
}

impl Grams {
    /// Literals have at least `stride + 3` bytes.
    fn new(literals: &[&[u8]], stride: usize) -> Self {
        let gram = |literal: &[u8], at: usize| {
            literal[at..].first_chunk::<GRAM>().map_or(0, |gram| u32::from_le_bytes(*gram))
        };
        let mut known: BTreeMap<u32, Vec<(u32, u32)>> = BTreeMap::new();
        for (number, literal) in literals.iter().enumerate() {
            // Literals that share words are told apart by what they do not share: the fewer know a gram, the fewer are compared.
            let crowd = |start: usize| {
                (start..start + stride)
                    .map(|at| {
                        // Texts are full of numbers.
                        let common = literal[at..at + GRAM]
                            .iter()
                            .filter(|byte| !byte.is_ascii_alphabetic());
                        let common = if common.count() > 2 { 8 } else { 0 };
                        known.get(&gram(literal, at)).map_or(0, Vec::len) + common
                    })
                    .max()
            };
            let starts = 0..=literal.len() - GRAM - (stride - 1);
            let start = starts.min_by_key(|&start| crowd(start)).unwrap_or(0);
            for at in start..start + stride {
                known.entry(gram(literal, at)).or_default().push((number as u32, at as u32));
            }
        }
        // One bit in 32 is set, so that chance rarely leads to a look-up.
        let size = (known.len() * 32).next_power_of_two().clamp(1 << 10, 1 << 18);
        let mut grams = Self {
            stride,
            literals: literals.iter().map(|literal| (*literal).into()).collect(),
            bits: vec![0; size / 64],
            shift: 32 - size.trailing_zeros(),
            table: vec![(0, 0, 0); (known.len() * 4).next_power_of_two()],
            places: Vec::new(),
        };
        for (gram, places) in known {
            let hash = grams.hash(gram);
            grams.bits[hash / 64] |= 1 << (hash % 64);
            let start = grams.places.len() as u32;
            grams.places.extend(places);
            let mut at = hash & (grams.table.len() - 1);
            while grams.table[at].1 != grams.table[at].2 {
                at = (at + 1) & (grams.table.len() - 1);
            }
            grams.table[at] = (gram, start, grams.places.len() as u32);
        }
        grams
    }

    #[inline(always)]
    fn hash(&self, gram: u32) -> usize {
        (gram.wrapping_mul(0x9E37_79B1) >> self.shift) as usize
    }

    /// 1 if the gram may be known.
    #[inline(always)]
    fn bit(&self, gram: [u8; GRAM]) -> u64 {
        let hash = self.hash(u32::from_le_bytes(gram));
        self.bits[hash / 64] >> (hash % 64) & 1
    }

    fn search(&self, text: &[u8], mut found: impl FnMut(usize)) {
        if self.stride == 1 {
            for (at, gram) in text.windows(GRAM).enumerate() {
                if let Some(gram) = gram.first_chunk()
                    && self.bit(*gram) == 1
                {
                    self.compare(text, at, &mut found);
                }
            }
            return;
        }
        // Eight look-ups that wait for nothing, then one question.
        let (blocks, rest) = text.as_chunks::<32>();
        for (block_idx, block) in blocks.iter().enumerate() {
            let (grams, _) = block.as_chunks::<GRAM>();
            let mut hits =
                grams.iter().enumerate().fold(0, |hits, (at, gram)| hits | self.bit(*gram) << at);
            while hits != 0 {
                let at = block_idx * 32 + hits.trailing_zeros() as usize * GRAM;
                self.compare(text, at, &mut found);
                hits &= hits - 1;
            }
        }
        let (grams, _) = rest.as_chunks::<GRAM>();
        for (at, gram) in grams.iter().enumerate() {
            if self.bit(*gram) == 1 {
                self.compare(text, blocks.len() * 32 + at * GRAM, &mut found);
            }
        }
    }

    /// Compares the literals whose gram stands at that place of the text.
    #[inline(never)]
    fn compare(&self, text: &[u8], at: usize, found: &mut impl FnMut(usize)) {
        let Some(gram) = text[at..].first_chunk::<GRAM>() else { return };
        let gram = u32::from_le_bytes(*gram);
        let mut known = self.hash(gram) & (self.table.len() - 1);
        let places = loop {
            let (found, start, end) = self.table[known];
            if found == gram || start == end {
                break start as usize..end as usize;
            }
            known = (known + 1) & (self.table.len() - 1);
        };
        for &(number, before) in &self.places[places] {
            let literal = &self.literals[number as usize];
            if let Some(start) = at.checked_sub(before as usize)
                && text[start..].first_chunk::<GRAM>() == literal.first_chunk::<GRAM>()
                && text[start..].starts_with(literal)
            {
                found(number as usize);
            }
        }
    }
}

/// Finds the literal that a text is, by a table.
#[derive(Debug)]
struct Words {
    /// Each distinct literal and its places in the group.
    words: Vec<(Box<[u8]>, Vec<usize>)>,
    /// Places in `words`, open addressing, at most half full.
    table: Vec<u32>,
}

impl Words {
    fn new(literals: &[&[u8]]) -> Self {
        let mut places: BTreeMap<&[u8], Vec<usize>> = BTreeMap::new();
        for (place, literal) in literals.iter().enumerate() {
            places.entry(literal).or_default().push(place);
        }
        let mut table = vec![u32::MAX; (places.len() * 4).next_power_of_two()];
        let words: Vec<_> = places.into_iter().map(|(word, at)| (Box::from(word), at)).collect();
        for (number, (word, _)) in words.iter().enumerate() {
            let mut at = hash(word) & (table.len() - 1);
            while table[at] != u32::MAX {
                at = (at + 1) & (table.len() - 1);
            }
            table[at] = number as u32;
        }
        Self { words, table }
    }

    fn search(&self, text: &[u8], mut found: impl FnMut(usize)) {
        let mut at = hash(text) & (self.table.len() - 1);
        while let Some((word, places)) = self.words.get(self.table[at] as usize) {
            if **word == *text {
                for &place in places {
                    found(place);
                }
                return;
            }
            at = (at + 1) & (self.table.len() - 1);
        }
    }
}

/// A hash of a text's length and ends: names differ there, and what collides is compared.
#[inline(always)]
fn hash(text: &[u8]) -> usize {
    let (head, tail) = match (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        (Some(&head), Some(&tail)) => (u64::from_le_bytes(head), u64::from_le_bytes(tail)),
        _ => (text.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)), 0),
    };
    let mixed = (head ^ tail.rotate_left(29)).wrapping_add(text.len() as u64);
    (mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every literal in every text, against the plain search.
    #[track_caller]
    fn check(literals: &[&str], texts: &[&str]) {
        let bytes: Vec<&[u8]> = literals.iter().map(|literal| literal.as_bytes()).collect();
        let words = Words::new(&bytes);
        for stride in [1, 4] {
            if bytes.iter().any(|literal| literal.len() < stride + 3) {
                continue;
            }
            let grams = Grams::new(&bytes, stride);
            for text in texts {
                let (mut held, mut equal) =
                    (vec![false; literals.len()], vec![false; literals.len()]);
                grams.search(text.as_bytes(), |place| held[place] = true);
                words.search(text.as_bytes(), |place| equal[place] = true);
                let plain: Vec<bool> = literals.iter().map(|one| text.contains(one)).collect();
                assert_eq!(held, plain, "{text} by {stride}");
                let plain: Vec<bool> = literals.iter().map(|one| text == one).collect();
                assert_eq!(equal, plain, "{text}");
            }
        }
    }

    #[test]
    fn a_pass_finds_what_single_searches_find() {
        let literals = [
            "connection reset",
            "connection refused",
            "timeout",
            "reset by peer",
            "on reset",
            "größe 12",
        ];
        let long = format!("{}connection reset by peer{}", "x".repeat(61), "timeou".repeat(9));
        let mut texts: Vec<String> = vec![String::new(), "time".into(), long];
        // A literal at every place of a text, at its very end too.
        for literal in literals {
            for before in 0..40 {
                texts.push(format!("{}{literal}", "-".repeat(before)));
                texts.push(format!("{}{literal}!", "ti".repeat(before)));
                texts.push(format!("{}{}", "-".repeat(before), &literal[1..]));
            }
        }
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        check(&literals, &texts);
        check(&["abcd", "bcda", "abcdabc", "abcd"], &["abcd", "xabcdabcdx", "abcdabc", "abc", ""]);
        check(
            &["same start one", "same start two", "same start"],
            &["same start two", "same start"],
        );
        check(&["a", "b", "", "aa"], &["a", "", "ab"]);
    }
}
