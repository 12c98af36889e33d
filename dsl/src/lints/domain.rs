//! Which values a thing may have: ranges, sets of text, and how it may be absent.

use std::{cmp::Ordering, collections::BTreeSet, sync::Arc};

use crate::{
    functions::{Glob, Regex},
    plan::TextTest,
    types::Type,
};

/// A place on a line of values.
#[derive(Debug, Clone, Copy)]
pub(super) enum Point {
    /// Integers, severities, times, lengths of time, and addresses moved to where they fit.
    Whole(i128),
    /// Floats, never NaN.
    Float(f64),
}

impl Point {
    /// An address, in the order of addresses.
    pub(super) fn address(address: u128) -> Self {
        Self::Whole((address ^ (1 << 127)) as i128)
    }

    fn exact(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => a.cmp(&b),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
            (Self::Whole(a), Self::Float(b)) => {
                // Casts of floats saturate, so what lies far outside compares as it should.
                let floor = b.floor();
                a.cmp(&(floor as i128)).then(if b > floor {
                    Ordering::Less
                } else {
                    Ordering::Equal
                })
            }
            (Self::Float(_), Self::Whole(_)) => other.exact(self).reverse(),
        }
    }
}

/// A cut between values: just before or just behind a point.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Start,
    At(Point, bool),
    End,
}

impl Cut {
    fn order(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Start, Self::Start) | (Self::End, Self::End) => Ordering::Equal,
            (Self::Start, _) | (_, Self::End) => Ordering::Less,
            (_, Self::Start) | (Self::End, _) => Ordering::Greater,
            (Self::At(a, behind_a), Self::At(b, behind_b)) => {
                a.exact(b).then(behind_a.cmp(&behind_b))
            }
        }
    }
}

/// Disjoint stretches of a line, ascending.
#[derive(Debug, Clone)]
pub(super) struct Ranges(Vec<(Cut, Cut)>);

impl Ranges {
    /// Everything.
    pub(super) fn all() -> Self {
        Self(vec![(Cut::Start, Cut::End)])
    }

    /// Nothing.
    pub(super) fn none() -> Self {
        Self(Vec::new())
    }

    /// From one point to another, both inside.
    pub(super) fn between(from: Point, to: Point) -> Self {
        Self(vec![(Cut::At(from, false), Cut::At(to, true))])
    }

    /// Everything below a point; `whole` where only whole numbers lie on the line.
    pub(super) fn below(point: Point, with_it: bool, whole: bool) -> Self {
        Self(vec![(Cut::Start, cut(point, with_it, whole))])
    }

    /// Everything above a point.
    pub(super) fn above(point: Point, with_it: bool, whole: bool) -> Self {
        Self(vec![(cut(point, !with_it, whole), Cut::End)])
    }

    /// One point.
    pub(super) fn only(point: Point, whole: bool) -> Self {
        Self::below(point, true, whole).meet(&Self::above(point, true, whole))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What lies in both.
    pub(super) fn meet(&self, other: &Self) -> Self {
        let (mut a, mut b) = (0, 0);
        let mut out = Vec::new();
        while let (Some(mine), Some(theirs)) = (self.0.get(a), other.0.get(b)) {
            let from = if mine.0.order(theirs.0).is_lt() { theirs.0 } else { mine.0 };
            let to = if mine.1.order(theirs.1).is_lt() { mine.1 } else { theirs.1 };
            if from.order(to).is_lt() {
                out.push((from, to));
            }
            if mine.1.order(theirs.1).is_lt() { a += 1 } else { b += 1 }
        }
        Self(out)
    }

    /// What lies in either; the other one's stretches may come in any order.
    pub(super) fn join(&self, other: &Self) -> Self {
        self.complement().meet(&other.complement()).complement()
    }

    /// What lies in neither stretch.
    pub(super) fn complement(&self) -> Self {
        let mut out = Vec::with_capacity(self.0.len() + 1);
        let mut from = Cut::Start;
        for (start, end) in &self.0 {
            if from.order(*start).is_lt() {
                out.push((from, *start));
            }
            from = *end;
        }
        if from.order(Cut::End).is_lt() {
            out.push((from, Cut::End));
        }
        Self(out)
    }

    /// A whole number that lies in it, the smallest above zero if there is one.
    pub(super) fn sample(&self) -> Option<i128> {
        let inside = self.meet(&Self::above(Point::Whole(0), true, true));
        let whole = if inside.is_empty() { self } else { &inside };
        whole.0.iter().find_map(|(start, end)| match (start, end) {
            (Cut::At(Point::Whole(n), false), _) => Some(*n),
            (Cut::At(Point::Whole(n), true), _) => n.checked_add(1),
            (Cut::Start, Cut::At(Point::Whole(n), behind)) => {
                if *behind {
                    Some(*n)
                } else {
                    n.checked_sub(1)
                }
            }
            _ => None,
        })
    }
}

/// The cut at a point. Between whole numbers there is one cut, however it is written.
fn cut(point: Point, behind: bool, whole: bool) -> Cut {
    match point {
        Point::Whole(n) if whole && behind => {
            n.checked_add(1).map_or(Cut::End, |next| Cut::At(Point::Whole(next), false))
        }
        Point::Float(f) if whole => {
            let floor = f.floor();
            let next = floor as i128;
            let behind = behind || f > floor;
            cut(Point::Whole(next), behind, true)
        }
        point => Cut::At(point, behind),
    }
}

/// A test of a text against a literal.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum TextIs {
    /// `contains` and the like.
    Test(TextTest, Arc<str>, bool),
    Like(Arc<Glob>),
    Matches(Arc<Regex>),
}

impl TextIs {
    fn holds(&self, text: &str) -> bool {
        match self {
            Self::Test(test, needle, fold) => {
                let folded;
                let text = if *fold {
                    folded = text.to_lowercase();
                    folded.as_str()
                } else {
                    text
                };
                match test {
                    TextTest::Contains => text.contains(&**needle),
                    TextTest::StartsWith => text.starts_with(&**needle),
                    TextTest::EndsWith => text.ends_with(&**needle),
                }
            }
            Self::Like(glob) => glob.matches(text.as_bytes()),
            Self::Matches(regex) => regex.matches(text.as_bytes()),
        }
    }

    /// Whether a text that passes this one certainly passes the other.
    fn implies(&self, other: &Self) -> bool {
        use TextTest::{Contains, EndsWith, StartsWith};
        if self == other {
            return true;
        }
        let (Self::Test(test, needle, fold), Self::Test(wanted, part, folded)) = (self, other)
        else {
            return false;
        };
        // What holds exactly need not hold for other letters, and the other way round only by folding.
        if fold != folded {
            return false;
        }
        match (test, wanted) {
            (_, Contains) => needle.contains(&**part),
            (StartsWith, StartsWith) => needle.starts_with(&**part),
            (EndsWith, EndsWith) => needle.ends_with(&**part),
            (Contains | EndsWith, StartsWith) | (Contains | StartsWith, EndsWith) => false,
        }
    }

    /// Whether no text passes both.
    fn excludes(&self, other: &Self) -> bool {
        let (Self::Test(a, one, fold), Self::Test(b, two, folded)) = (self, other) else {
            return false;
        };
        if fold != folded || a != b {
            return false;
        }
        match a {
            TextTest::StartsWith => !one.starts_with(&**two) && !two.starts_with(&**one),
            TextTest::EndsWith => !one.ends_with(&**two) && !two.ends_with(&**one),
            TextTest::Contains => false,
        }
    }
}

/// Which texts.
#[derive(Debug, Clone, Default)]
pub(super) struct Texts {
    /// One of these, if that is known.
    pub(super) only: Option<BTreeSet<Arc<str>>>,
    /// None of these.
    pub(super) never: BTreeSet<Arc<str>>,
    /// Tests and how they end.
    pub(super) tests: Vec<(TextIs, bool)>,
}

/// More tests of one text than anybody writes; each is compared with each.
const TESTS_MAX: usize = 64;

impl Texts {
    /// Takes the other's knowledge as well.
    fn meet(&mut self, other: &Self) {
        match (&mut self.only, &other.only) {
            (Some(mine), Some(theirs)) => mine.retain(|text| theirs.contains(text)),
            (None, Some(theirs)) => self.only = Some(theirs.clone()),
            (_, None) => {}
        }
        self.never.extend(other.never.iter().cloned());
        for test in &other.tests {
            if self.tests.len() < TESTS_MAX && !self.tests.contains(test) {
                self.tests.push(test.clone());
            }
        }
    }

    /// Whether there may be such a text: `false` is certain.
    fn is_possible(&self) -> bool {
        if let Some(only) = &self.only {
            return only.iter().any(|text| {
                !self.never.contains(text)
                    && self.tests.iter().all(|(test, holds)| test.holds(text) == *holds)
            });
        }
        self.tests.iter().enumerate().all(|(index, (a, a_holds))| {
            self.tests[index + 1..].iter().all(|(b, b_holds)| match (a_holds, b_holds) {
                (true, true) => !a.excludes(b),
                (true, false) => !a.implies(b),
                (false, true) => !b.implies(a),
                (false, false) => true,
            })
        })
    }
}

/// Which values.
#[derive(Debug, Clone)]
pub(super) enum Values {
    /// Nothing is known but whether there is one.
    Some(bool),
    /// Numbers and what orders like them.
    Ranges(Ranges),
    /// `true` and `false`, each whether it may be.
    Bools(bool, bool),
    /// Text.
    Texts(Texts),
}

impl Values {
    /// All values of a type.
    pub(super) fn of(ty: &Type) -> Self {
        match ty {
            Type::Int => Self::Ranges(Ranges::between(
                Point::Whole(i64::MIN.into()),
                Point::Whole(i64::MAX.into()),
            )),
            Type::Severity => Self::Ranges(Ranges::between(Point::Whole(1), Point::Whole(24))),
            Type::Float | Type::Number | Type::Timestamp | Type::Duration | Type::Ip => {
                Self::Ranges(Ranges::all())
            }
            Type::Bool => Self::Bools(true, true),
            Type::Text => Self::Texts(Texts::default()),
            Type::Enum(members) => {
                let only = Some(members.names.iter().cloned().collect());
                Self::Texts(Texts { only, ..Texts::default() })
            }
            _ => Self::Some(true),
        }
    }

    pub(super) fn is_possible(&self) -> bool {
        match self {
            Self::Some(possible) => *possible,
            Self::Ranges(ranges) => !ranges.is_empty(),
            Self::Bools(yes, no) => *yes || *no,
            Self::Texts(texts) => texts.is_possible(),
        }
    }

    fn meet(&mut self, other: &Self) {
        match (&mut *self, other) {
            (_, Self::Some(false)) => *self = Self::Some(false),
            (Self::Some(false), _) | (_, Self::Some(true)) => {}
            (Self::Some(true), other) => *self = other.clone(),
            (Self::Ranges(mine), Self::Ranges(theirs)) => *mine = mine.meet(theirs),
            (Self::Bools(yes, no), Self::Bools(other_yes, other_no)) => {
                *yes &= other_yes;
                *no &= other_no;
            }
            (Self::Texts(mine), Self::Texts(theirs)) => mine.meet(theirs),
            // Two ways of looking at one value: what the second says is left out, which claims less.
            (Self::Ranges(_) | Self::Bools(..) | Self::Texts(_), _) => {}
        }
    }
}

/// Whether whole numbers alone lie on the line of a type.
pub(super) fn is_whole(ty: &Type) -> bool {
    matches!(ty, Type::Int | Type::Severity | Type::Timestamp | Type::Duration | Type::Ip)
}

/// How a thing may be.
#[derive(Debug, Clone)]
pub(super) struct Domain {
    /// Whether it may be missing, null, or absent by a fault.
    pub(super) absent: [bool; 3],
    /// Which values it may have.
    pub(super) values: Values,
}

impl Domain {
    /// Anything of that type, or nothing.
    pub(super) fn of(ty: &Type) -> Self {
        Self { absent: [true; 3], values: Values::of(ty) }
    }

    /// Takes both.
    pub(super) fn meet(&mut self, other: &Self) {
        for (mine, theirs) in self.absent.iter_mut().zip(other.absent) {
            *mine &= theirs;
        }
        self.values.meet(&other.values);
    }

    pub(super) fn may_be_absent(&self) -> bool {
        self.absent.contains(&true)
    }

    pub(super) fn is_possible(&self) -> bool {
        self.may_be_absent() || self.values.is_possible()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_meet_and_turn_around() {
        let seven = Point::Whole(7);
        let below = Ranges::below(seven, false, true);
        assert!(below.meet(&Ranges::above(Point::Whole(6), false, true)).is_empty());
        assert!(!below.meet(&Ranges::above(Point::Whole(6), true, true)).is_empty());
        assert!(below.join(&Ranges::above(seven, true, true)).complement().is_empty());
        // Between 6 and 7 there are floats.
        assert!(
            !Ranges::below(seven, false, false)
                .meet(&Ranges::above(Point::Whole(6), false, false))
                .is_empty()
        );
        assert!(
            Ranges::above(Point::Float(6.2), true, true)
                .meet(&Ranges::below(Point::Float(6.8), true, true))
                .is_empty()
        );
    }

    #[test]
    fn texts_exclude_each_other() {
        let starts = |needle: &str| TextIs::Test(TextTest::StartsWith, needle.into(), false);
        let contains = |needle: &str| TextIs::Test(TextTest::Contains, needle.into(), false);
        let possible = |tests: &[(TextIs, bool)]| {
            Texts { tests: tests.to_vec(), ..Texts::default() }.is_possible()
        };
        assert!(!possible(&[(starts("ab"), true), (starts("b"), true)]));
        assert!(possible(&[(starts("ab"), true), (starts("a"), true)]));
        assert!(!possible(&[(starts("abc"), true), (contains("b"), false)]));
        assert!(possible(&[(starts("abc"), false), (contains("b"), true)]));
    }
}
