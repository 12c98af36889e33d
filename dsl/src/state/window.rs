//! Windows: sums by key and stretch of event time, and when a window is closed.
//!
//! A window is made of panes as long as the distance between two ends, so that windows that overlap share what they add up.
//! The watermark is the latest time of an event; a window closes when it is `late` past the window's end.

use std::collections::BTreeMap;

use super::{
    aggregate::{Input, Sum},
    alarm::Alarm,
};
use crate::{
    column::Value,
    plan::{AggregateKind, Spans},
};

/// How many keys a window follows at a time. Events of further ones are counted as crowded out.
pub const KEYS_MAX: usize = 10_000;

/// How many windows without any event follow each other in rows of a window without keys; of a longer silence the end is told.
const EMPTY_MAX: i64 = 1_000;

/// Times are kept far from the ends of their numbers, so that adding lengths never wraps.
const TIME_MAX: i64 = i64::MAX / 4;

/// The open windows of one partition.
#[derive(Debug)]
pub struct Sums {
    spans: Spans,
    kinds: Vec<AggregateKind>,
    /// The time of the first event, and the latest one.
    seen: Option<(i64, i64)>,
    /// The end of the next window to be closed.
    next_end: i64,
    keys: BTreeMap<Box<[u8]>, Key>,
    /// In how many keys each pane stands.
    panes: BTreeMap<i64, usize>,
    /// The alert's own memory.
    pub alarm: Alarm,
}

#[derive(Debug)]
struct Key {
    values: Vec<Value<'static>>,
    panes: BTreeMap<i64, Vec<Sum>>,
}

/// A window that is over.
#[derive(Debug)]
pub struct Closed {
    /// When it began.
    pub start: i64,
    /// When it ended.
    pub end: i64,
    /// The key as text.
    pub key: Box<[u8]>,
    /// The values of the key.
    pub values: Vec<Value<'static>>,
    /// What the aggregates came to.
    pub results: Vec<Value<'static>>,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It counts.
    Counted,
    /// All its windows are closed.
    Late,
    /// There are too many keys.
    Crowded,
}

impl Sums {
    /// Nothing happened yet.
    pub fn new(spans: Spans, kinds: Vec<AggregateKind>) -> Self {
        Self {
            spans,
            kinds,
            seen: None,
            next_end: 0,
            keys: BTreeMap::new(),
            panes: BTreeMap::new(),
            alarm: Alarm::default(),
        }
    }

    /// Begins at that time, unless it has begun.
    pub fn open(&mut self, time: i64) {
        if self.seen.is_some() {
            return;
        }
        let time = bounded(time);
        self.seen = Some((time, time));
        self.next_end = self.end_after(time.saturating_sub(self.spans.late));
        if !self.spans.grouped {
            let key = Key { values: Vec::new(), panes: BTreeMap::new() };
            self.keys.insert(Box::default(), key);
        }
    }

    /// Moves the watermark and closes what ended `wait` before it. At most `room` windows are closed now, the others with the next event.
    pub fn advance(&mut self, time: i64, wait: i64, room: usize) -> Vec<Closed> {
        self.open(time);
        let (first, latest) = self.seen.unwrap_or_default();
        let latest = latest.max(bounded(time));
        self.seen = Some((first, latest));
        let limit = latest.saturating_sub(wait);
        let mut closed = Vec::new();
        while self.next_end <= limit {
            let pending = self.end_after(limit);
            match self.panes.first_key_value() {
                None if self.spans.grouped => {
                    self.next_end = pending;
                    break;
                }
                None => {
                    let silent = pending - self.spans.every.saturating_mul(EMPTY_MAX);
                    self.next_end = self.next_end.max(silent);
                }
                Some((pane, _))
                    if self.spans.grouped && pane + self.spans.every > self.next_end =>
                {
                    self.next_end = (pane + self.spans.every).min(pending);
                    continue;
                }
                Some(_) => {}
            }
            let before = closed.len();
            if !self.close(self.next_end, room - before, first, &mut closed) {
                break;
            }
            self.forget(self.next_end);
            self.next_end += self.spans.every;
        }
        closed
    }

    /// Closes the windows that end there; `false` if there is no room for all of them.
    fn close(&self, end: i64, room: usize, first: i64, closed: &mut Vec<Closed>) -> bool {
        let start = end - self.spans.over;
        let seconds = self.spans.over as f64 / 1e9;
        let concerned = |key: &Key| {
            // Before the first event there was no window that nothing came into.
            let empty = key.panes.range(start..end).next().is_none();
            !empty || !self.spans.grouped && end > first
        };
        if self.keys.values().filter(|key| concerned(key)).count() > room {
            return false;
        }
        for (text, key) in self.keys.iter().filter(|(_, key)| concerned(key)) {
            let mut sums: Vec<Sum> = self.kinds.iter().map(|kind| Sum::new(*kind)).collect();
            for pane in key.panes.range(start..end).map(|(_, pane)| pane) {
                for ((sum, kind), more) in sums.iter_mut().zip(&self.kinds).zip(pane) {
                    sum.merge(*kind, more);
                }
            }
            closed.push(Closed {
                start,
                end,
                key: text.clone(),
                values: key.values.clone(),
                results: sums
                    .iter()
                    .zip(&self.kinds)
                    .map(|(sum, kind)| sum.result(*kind, seconds))
                    .collect(),
            });
        }
        true
    }

    /// Lets go of panes that no later window has.
    fn forget(&mut self, end: i64) {
        let gone = end - self.spans.over + self.spans.every;
        let old = self.panes.range(..gone).next().is_some();
        if !old {
            return;
        }
        for key in self.keys.values_mut() {
            key.panes = key.panes.split_off(&gone);
        }
        self.panes = self.panes.split_off(&gone);
        if self.spans.grouped {
            self.keys.retain(|_, key| !key.panes.is_empty());
        }
    }

    /// Adds what an event of that time gives. The watermark must have been moved by it before.
    pub fn add(
        &mut self,
        time: i64,
        text: &[u8],
        values: impl FnOnce() -> Vec<Value<'static>>,
        inputs: &[Input<'_>],
    ) -> Added {
        let time = bounded(time);
        let pane = self.end_after(time) - self.spans.every;
        if pane + self.spans.over < self.next_end {
            return Added::Late;
        }
        if !self.keys.contains_key(text) {
            if self.keys.len() >= KEYS_MAX {
                return Added::Crowded;
            }
            let key = Key { values: values(), panes: BTreeMap::new() };
            self.keys.insert(text.into(), key);
        }
        let Some(key) = self.keys.get_mut(text) else { return Added::Crowded };
        let sums = key.panes.entry(pane).or_insert_with(|| {
            *self.panes.entry(pane).or_default() += 1;
            self.kinds.iter().map(|kind| Sum::new(*kind)).collect()
        });
        for ((sum, kind), input) in sums.iter_mut().zip(&self.kinds).zip(inputs) {
            sum.add(*kind, time, input);
        }
        Added::Counted
    }

    /// The first end of a window after that time.
    fn end_after(&self, time: i64) -> i64 {
        (time.div_euclid(self.spans.every) + 1) * self.spans.every
    }
}

fn bounded(time: i64) -> i64 {
    time.clamp(-TIME_MAX, TIME_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(over: i64, every: i64, late: i64, grouped: bool) -> Sums {
        Sums::new(Spans { over, every, late, grouped }, vec![AggregateKind::Count])
    }

    fn add(sums: &mut Sums, time: i64, key: &str) -> Added {
        let input = Input { value: None, weight: 1.0, counts: true };
        sums.add(time, key.as_bytes(), || vec![Value::owned(key.to_owned())], &[input])
    }

    /// An event of that time and key, and the windows that it closes: end, key, count.
    fn event(sums: &mut Sums, time: i64, key: &str) -> Vec<(i64, String, i64)> {
        let late = sums.spans.late;
        let closed = told(sums.advance(time, late, usize::MAX));
        add(sums, time, key);
        closed
    }

    fn told(closed: Vec<Closed>) -> Vec<(i64, String, i64)> {
        let one = |closed: Closed| {
            let Value::Int(count) = closed.results[0] else { panic!("a count") };
            (closed.end, String::from_utf8_lossy(&closed.key).into_owned(), count)
        };
        closed.into_iter().map(one).collect()
    }

    #[test]
    fn a_window_closes_when_the_watermark_is_late_past_its_end() {
        let mut sums = sums(60, 60, 30, true);
        assert_eq!(event(&mut sums, 10, "a"), []);
        assert_eq!(event(&mut sums, 70, "b"), []);
        assert_eq!(event(&mut sums, 50, "a"), [], "late, and waited for");
        assert_eq!(event(&mut sums, 90, "a"), [(60, "a".into(), 2)]);
        assert_eq!(add(&mut sums, 59, "a"), Added::Late);
        let far = event(&mut sums, 1_000_000, "z");
        assert_eq!(far, [(120, "a".into(), 1), (120, "b".into(), 1)]);
        assert_eq!((sums.keys.len(), sums.panes.len()), (1, 1), "old keys are gone");
    }

    #[test]
    fn overlapping_windows_share_their_panes() {
        let mut sums = sums(60, 20, 0, true);
        event(&mut sums, 5, "a");
        event(&mut sums, 25, "a");
        let closed = event(&mut sums, 200, "a");
        let ends: Vec<_> = closed.iter().map(|(end, _, count)| (*end, *count)).collect();
        assert_eq!(ends, [(40, 2), (60, 2), (80, 1)]);
        let mut first = self::sums(60, 20, 0, true);
        event(&mut first, 5, "a");
        assert_eq!(event(&mut first, 20, "a"), [(20, "a".into(), 1)]);
    }

    #[test]
    fn a_window_without_keys_tells_of_silence_too() {
        let mut sums = sums(10, 10, 0, false);
        assert_eq!(event(&mut sums, 5, ""), []);
        let counts: Vec<_> = event(&mut sums, 45, "").into_iter().map(|it| (it.0, it.2)).collect();
        assert_eq!(counts, [(10, 1), (20, 0), (30, 0), (40, 0)]);
        let long = told(sums.advance(10_000_000, 0, usize::MAX));
        assert_eq!(long.len() as i64, EMPTY_MAX + 1);
    }

    #[test]
    fn what_finds_no_room_is_told_later_and_keys_are_bounded() {
        let mut sums = sums(10, 10, 0, true);
        sums.advance(0, 0, 10);
        for key in 0..KEYS_MAX {
            assert_eq!(add(&mut sums, 1, &key.to_string()), Added::Counted);
        }
        assert_eq!(add(&mut sums, 1, "more"), Added::Crowded);
        assert_eq!(add(&mut sums, 1, "7"), Added::Counted);
        assert!(sums.advance(20, 0, KEYS_MAX - 1).is_empty());
        assert_eq!(sums.advance(20, 0, KEYS_MAX).len(), KEYS_MAX);
    }

    #[test]
    fn times_at_the_ends_of_their_range_do_no_harm() {
        for grouped in [true, false] {
            let mut sums = sums(60, 20, 5, grouped);
            for time in [i64::MIN, 0, i64::MAX, i64::MIN, -1] {
                assert!(sums.advance(time, 5, usize::MAX).len() <= EMPTY_MAX as usize + 10);
                add(&mut sums, time, if grouped { "a" } else { "" });
            }
        }
    }
}
