//! Whether conditions can hold together: a search through their cases, bounded by a number of steps.
//!
//! Invariant: "impossible" is proved; where the search gives up, everything is possible.

use std::collections::{BTreeMap, BTreeSet};

use super::domain::{Domain, Point, Ranges, TextIs, Texts, Values, is_whole};
use crate::{
    check::Pool,
    plan::{Arg, CompareOp, ExprId, IsTest, Literal, LiteralSet, Op, TextTest},
    types::Type,
};

/// How many cases one question may look at. Conditions that people write need a few dozen.
const STEPS_MAX: usize = 2_000;

/// Larger sets are taken as they are: nobody reads a proof of a thousand members.
const MEMBERS_MAX: usize = 256;

/// Something that is taken to be so.
#[derive(Debug, Clone)]
pub(super) enum Goal {
    /// A predicate holds, or does not.
    Is(ExprId, bool),
    /// Not all of these predicates hold.
    NotAll(Vec<ExprId>),
}

/// What a predicate says of one thing.
struct Said {
    subject: ExprId,
    domain: Domain,
}

/// What is known of each thing.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    known: BTreeMap<ExprId, Domain>,
    /// Predicates whose inside is not looked at, and how they end.
    opaque: BTreeMap<ExprId, bool>,
}

/// What came of a question.
#[derive(Debug)]
pub(super) enum Answer {
    /// It cannot be.
    Impossible,
    /// It can be like this.
    Possible(Facts),
    /// Nobody knows.
    Unknown,
}

impl Answer {
    pub(super) fn is_impossible(&self) -> bool {
        matches!(self, Self::Impossible)
    }
}

/// Asks whether goals can hold together.
pub(super) fn together(pool: &Pool, goals: &[Goal]) -> Answer {
    let mut search = Search { pool, steps: 0 };
    match search.run(Facts::default(), goals.to_vec()) {
        Some(facts) => Answer::Possible(facts),
        None if search.steps > STEPS_MAX => Answer::Unknown,
        None => Answer::Impossible,
    }
}

/// Whether a predicate can hold at all.
pub(super) fn possible(pool: &Pool, id: ExprId, holds: bool) -> bool {
    !together(pool, &[Goal::Is(id, holds)]).is_impossible()
}

/// Whether an expression means the same at another place and time: nothing of it changes but fields.
pub(super) fn is_steady(pool: &Pool, id: ExprId) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![id];
    while let Some(id) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        match pool.op(id) {
            Op::Lookup { .. } | Op::Local(_) | Op::AnyElement { .. } => return false,
            Op::Call { function, args } => {
                let lambda = args.iter().flatten().any(|arg| matches!(arg, Arg::Lambda(_)));
                let moving = ["now", "uuid", "ulid", "random"];
                if lambda || moving.iter().any(|word| function.name.starts_with(word)) {
                    return false;
                }
            }
            _ => {}
        }
        open.extend(pool.op(id).operands());
    }
    true
}

struct Search<'p> {
    pool: &'p Pool,
    steps: usize,
}

impl Search<'_> {
    /// Facts under which all goals hold, if there are any. Also nothing where the search gave up: `steps` tells.
    fn run(&mut self, mut facts: Facts, mut goals: Vec<Goal>) -> Option<Facts> {
        let mut cases: Vec<Vec<Goal>> = Vec::new();
        while let Some(goal) = goals.pop() {
            self.steps += 1;
            if self.steps > STEPS_MAX {
                return None;
            }
            match goal {
                Goal::NotAll(ids) => {
                    cases.push(ids.into_iter().map(|id| Goal::Is(id, false)).collect());
                }
                Goal::Is(id, holds) => match (self.pool.op(id), holds) {
                    (Op::Not(inner), _) => goals.push(Goal::Is(*inner, !holds)),
                    (Op::And(ids), true) | (Op::Or(ids), false) => {
                        goals.extend(ids.iter().map(|id| Goal::Is(*id, holds)));
                    }
                    (Op::And(ids), false) | (Op::Or(ids), true) => {
                        cases.push(ids.iter().map(|id| Goal::Is(*id, holds)).collect());
                    }
                    _ => {
                        if !facts.assume(self.pool, id, holds) {
                            return None;
                        }
                    }
                },
            }
        }
        self.choose(facts, cases)
    }

    /// Goes through the cases of what has several ways to be.
    fn choose(&mut self, facts: Facts, mut cases: Vec<Vec<Goal>>) -> Option<Facts> {
        // A way that the facts rule out at once need not be walked.
        for ways in &mut cases {
            ways.retain(|way| match way {
                Goal::Is(id, holds) if self.is_atom(*id) => {
                    self.steps += 1;
                    facts.clone().assume(self.pool, *id, *holds)
                }
                Goal::Is(..) | Goal::NotAll(_) => true,
            });
        }
        let next = (0..cases.len()).min_by_key(|index| cases[*index].len());
        let Some(next) = next else { return Some(facts) };
        let ways = cases.swap_remove(next);
        let rest: Vec<Vec<Goal>> = cases;
        for way in ways {
            if self.steps > STEPS_MAX {
                return None;
            }
            let mut inner = facts.clone();
            let found = match &way {
                Goal::Is(id, holds) if self.is_atom(*id) => {
                    self.steps += 1;
                    if inner.assume(self.pool, *id, *holds) {
                        self.choose(inner, rest.clone())
                    } else {
                        None
                    }
                }
                _ => {
                    let mut goals = vec![way.clone()];
                    // The other cases are goals again: one of their ways.
                    let mut opened = Vec::new();
                    if self.open(&mut goals, &mut inner, &mut opened) {
                        opened.extend(rest.iter().cloned());
                        self.choose(inner, opened)
                    } else {
                        None
                    }
                }
            };
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Takes goals apart: what is certain goes to the facts, what has several ways to the cases.
    fn open(
        &mut self,
        goals: &mut Vec<Goal>,
        facts: &mut Facts,
        cases: &mut Vec<Vec<Goal>>,
    ) -> bool {
        while let Some(goal) = goals.pop() {
            self.steps += 1;
            if self.steps > STEPS_MAX {
                return false;
            }
            let Goal::Is(id, holds) = goal else { continue };
            match (self.pool.op(id), holds) {
                (Op::Not(inner), _) => goals.push(Goal::Is(*inner, !holds)),
                (Op::And(ids), true) | (Op::Or(ids), false) => {
                    goals.extend(ids.iter().map(|id| Goal::Is(*id, holds)));
                }
                (Op::And(ids), false) | (Op::Or(ids), true) => {
                    cases.push(ids.iter().map(|id| Goal::Is(*id, holds)).collect());
                }
                _ => {
                    if !facts.assume(self.pool, id, holds) {
                        return false;
                    }
                }
            }
        }
        true
    }

    fn is_atom(&self, id: ExprId) -> bool {
        !matches!(self.pool.op(id), Op::And(_) | Op::Or(_) | Op::Not(_))
    }
}

impl Facts {
    /// Takes a predicate to end like this. `false`: it cannot.
    fn assume(&mut self, pool: &Pool, id: ExprId, holds: bool) -> bool {
        if let Op::Not(inner) = pool.op(id) {
            return self.assume(pool, *inner, !holds);
        }
        if let Some(constant) = constant(pool, id) {
            return constant == holds;
        }
        let Some(said) = said(pool, id, holds) else {
            if *self.opaque.entry(id).or_insert(holds) != holds {
                return false;
            }
            // What holds has operands that are there.
            return !holds
                || present_operands(pool, id).into_iter().all(|id| self.present(pool, id));
        };
        self.narrow(pool, said.subject, &said.domain)
    }

    fn present(&mut self, pool: &Pool, id: ExprId) -> bool {
        let domain = Domain { absent: [false; 3], values: Values::Some(true) };
        self.narrow(pool, id, &domain)
    }

    fn narrow(&mut self, pool: &Pool, subject: ExprId, domain: &Domain) -> bool {
        let known =
            self.known.entry(subject).or_insert_with(|| Domain::of(&pool.get(subject).ty.base));
        known.meet(domain);
        if !known.is_possible() {
            return false;
        }
        let there = !known.may_be_absent();
        let gone = !known.values.is_possible();
        let base = pool.below_narrow(subject);
        if base != subject {
            // A value that can be read as something is there.
            if there && !self.present(pool, base) {
                return false;
            }
            return !there || self.agrees(pool, subject, base);
        }
        if gone {
            let views: Vec<ExprId> = self
                .known
                .keys()
                .copied()
                .filter(|view| *view != subject && pool.below_narrow(*view) == subject)
                .collect();
            let nothing = Domain { absent: [true; 3], values: Values::Some(false) };
            return views.into_iter().all(|view| {
                let known = self.known.get_mut(&view);
                known.is_none_or(|known| {
                    known.meet(&nothing);
                    known.is_possible()
                })
            });
        }
        true
    }

    /// One JSON value is not both a number and a text.
    fn agrees(&self, pool: &Pool, subject: ExprId, base: ExprId) -> bool {
        let kind = |id: ExprId| match pool.get(id).ty.base {
            Type::Int | Type::Float | Type::Number => Some(0),
            Type::Text => Some(1),
            Type::Bool => Some(2),
            _ => None,
        };
        let mine = kind(subject);
        mine.is_none()
            || self.known.iter().all(|(other, domain)| {
                *other == subject
                    || pool.below_narrow(*other) != base
                    || domain.may_be_absent()
                    || kind(*other).is_none_or(|theirs| Some(theirs) == mine)
            })
    }

    /// What is known, thing by thing.
    pub(super) fn known(&self) -> impl Iterator<Item = (ExprId, &Domain)> {
        self.known.iter().map(|(id, domain)| (*id, domain))
    }

    /// Whether something was taken as it is, so that the picture may lack something.
    pub(super) fn is_exact(&self) -> bool {
        self.opaque.is_empty()
    }
}

/// A predicate that no event changes.
pub(super) fn constant(pool: &Pool, id: ExprId) -> Option<bool> {
    match pool.op(id) {
        Op::Truth(of) => match pool.literal(*of)? {
            Literal::Bool(value) => Some(*value),
            Literal::Absent(_) => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// Operands that must be there for a predicate to hold.
fn present_operands(pool: &Pool, id: ExprId) -> Vec<ExprId> {
    match pool.op(id) {
        Op::Truth(value)
        | Op::Is { value, test: IsTest::Present | IsTest::Type(_) }
        | Op::InSet { value, .. }
        | Op::Like { value, .. }
        | Op::Matches { value, .. }
        | Op::Has { value, .. }
        | Op::TextTest { value, .. }
        | Op::In { value, .. } => vec![*value],
        Op::Compare { left, right, .. } => vec![*left, *right],
        _ => Vec::new(),
    }
}

/// What a predicate's outcome says of one thing, where it speaks of one thing and constants.
fn said(pool: &Pool, id: ExprId, holds: bool) -> Option<Said> {
    let (subject, mut domain) = held(pool, id)?;
    if !holds {
        domain = turned(domain);
    }
    Some(Said { subject, domain })
}

/// The thing that a predicate speaks of.
pub(super) fn subject(pool: &Pool, id: ExprId) -> Option<ExprId> {
    held(pool, id).map(|(subject, _)| subject)
}

/// The few texts one of which a thing must be for a predicate to hold.
pub(super) fn wanted_texts(pool: &Pool, id: ExprId) -> Option<(ExprId, Vec<std::sync::Arc<str>>)> {
    match held(pool, id)? {
        (subject, Domain { absent: [false, false, false], values: Values::Texts(texts) }) => {
            texts.only.map(|only| (subject, only.into_iter().collect()))
        }
        _ => None,
    }
}

/// How a thing is where a predicate holds.
fn held(pool: &Pool, id: ExprId) -> Option<(ExprId, Domain)> {
    let there = |values: Values| Domain { absent: [false; 3], values };
    let ty = |id: ExprId| &pool.get(id).ty.base;
    Some(match pool.op(id) {
        Op::Is { value, test } => {
            let domain = match test {
                IsTest::Absent => Domain { absent: [true; 3], values: Values::Some(false) },
                IsTest::Missing => {
                    Domain { absent: [true, false, false], values: Values::Some(false) }
                }
                IsTest::Null => {
                    Domain { absent: [false, true, false], values: Values::Some(false) }
                }
                IsTest::Present => there(Values::Some(true)),
                IsTest::Type(asked) if asked == ty(*value) => there(Values::Some(true)),
                IsTest::Type(_) => return None,
            };
            (*value, domain)
        }
        Op::Truth(value) if *ty(*value) == Type::Bool && pool.literal(*value).is_none() => {
            (*value, there(Values::Bools(true, false)))
        }
        Op::Compare { op, left, right } => {
            let (value, op, literal) = match (pool.literal(*left), pool.literal(*right)) {
                (None, Some(literal)) => (*left, *op, literal),
                (Some(literal), None) => (*right, op.turned(), literal),
                _ => return None,
            };
            (value, there(compared(ty(value), op, literal)?))
        }
        Op::InSet { value, set } => (*value, there(members(ty(*value), set)?)),
        Op::TextTest { test, value, needle, ignore_case } => {
            let Some(Literal::Text(needle)) = pool.literal(*needle) else { return None };
            text_test(ty(*value), TextIs::Test(*test, needle.clone(), *ignore_case))
                .map(|values| (*value, there(values)))?
        }
        Op::Like { value, glob } => {
            (*value, there(text_test(ty(*value), TextIs::Like(glob.clone()))?))
        }
        Op::Matches { value, regex } => {
            (*value, there(text_test(ty(*value), TextIs::Matches(regex.clone()))?))
        }
        _ => return None,
    })
}

fn text_test(ty: &Type, test: TextIs) -> Option<Values> {
    // An empty needle is in every text.
    let empty = matches!(&test, TextIs::Test(TextTest::Contains | TextTest::StartsWith | TextTest::EndsWith, needle, _) if needle.is_empty());
    (*ty == Type::Text && !empty)
        .then(|| Values::Texts(Texts { tests: vec![(test, true)], ..Texts::default() }))
}

/// The values that compare so with a literal.
fn compared(ty: &Type, op: CompareOp, literal: &Literal) -> Option<Values> {
    let point = match (ty, literal) {
        (Type::Text | Type::Enum(_), Literal::Text(text)) if op == CompareOp::Eq => {
            let only = Some(BTreeSet::from([text.clone()]));
            return Some(Values::Texts(Texts { only, ..Texts::default() }));
        }
        (Type::Bool, Literal::Bool(value)) if op == CompareOp::Eq => {
            return Some(Values::Bools(*value, !*value));
        }
        (Type::Int | Type::Float | Type::Number, Literal::Int(n))
        | (Type::Timestamp, Literal::Timestamp(n))
        | (Type::Duration, Literal::Duration(n)) => Point::Whole((*n).into()),
        (Type::Int | Type::Float | Type::Number, Literal::Float(f)) => Point::Float(*f),
        (Type::Severity, Literal::Severity(severity)) => Point::Whole(severity.0.into()),
        (Type::Ip, Literal::Ip(address)) => Point::address(*address),
        _ => return None,
    };
    let whole = is_whole(ty);
    Some(Values::Ranges(match op {
        CompareOp::Eq => Ranges::only(point, whole),
        CompareOp::Lt => Ranges::below(point, false, whole),
        CompareOp::Le => Ranges::below(point, true, whole),
        CompareOp::Gt => Ranges::above(point, false, whole),
        CompareOp::Ge => Ranges::above(point, true, whole),
    }))
}

/// The values that a set holds.
fn members(ty: &Type, set: &LiteralSet) -> Option<Values> {
    let n = set.texts.len() + set.ints.len() + set.floats.len() + set.cidrs.len();
    // A list that is empty today comes from a file that may be filled tomorrow.
    if n > MEMBERS_MAX || (n == 0 && set.bools.is_empty()) {
        return None;
    }
    let whole = is_whole(ty);
    Some(match ty {
        Type::Text | Type::Enum(_) => Values::Texts(Texts {
            only: Some(set.texts.iter().cloned().collect()),
            ..Texts::default()
        }),
        Type::Bool => Values::Bools(set.bools.contains(&true), set.bools.contains(&false)),
        Type::Int
        | Type::Float
        | Type::Number
        | Type::Severity
        | Type::Timestamp
        | Type::Duration => {
            let ints = set.ints.iter().map(|n| Point::Whole((*n).into()));
            let floats = set.floats.iter().map(|f| Point::Float(*f));
            Values::Ranges(
                ints.chain(floats)
                    .fold(Ranges::none(), |all, point| all.join(&Ranges::only(point, whole))),
            )
        }
        Type::Ip => Values::Ranges(set.cidrs.iter().fold(Ranges::none(), |all, block| {
            let (first, last) = (Point::address(block.net), Point::address(block.last()));
            let block = Ranges::above(first, true, true).meet(&Ranges::below(last, true, true));
            all.join(&block)
        })),
        _ => return None,
    })
}

/// How a thing is where the predicate does not hold that holds for these.
fn turned(domain: Domain) -> Domain {
    let absent = domain.absent.map(|may| !may);
    let values = match domain.values {
        Values::Some(possible) => Values::Some(!possible),
        Values::Ranges(ranges) => Values::Ranges(ranges.complement()),
        Values::Bools(yes, no) => Values::Bools(!yes, !no),
        Values::Texts(Texts { only: Some(only), .. }) => {
            Values::Texts(Texts { never: only, ..Texts::default() })
        }
        Values::Texts(Texts { mut tests, .. }) => {
            for (_, holds) in &mut tests {
                *holds = !*holds;
            }
            Values::Texts(Texts { tests, ..Texts::default() })
        }
    };
    Domain { absent, values }
}
