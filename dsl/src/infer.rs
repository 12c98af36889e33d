//! What sample events look like: a first draft of their type, and what their values really are.
//!
//! Invariant: memory grows with the shape of the events, not with their number.

mod misfit;
mod write;

use std::collections::BTreeSet;

use crate::column::{Value, decode, json};

pub use misfit::{Misfit, misfits};
pub use write::draft;

/// Members of one object that are looked at. Objects with more are maps.
const MEMBERS_MAX: usize = 400;

/// Distinct keys after which an object may be a map rather than a record.
const KEYS_OF_A_MAP: usize = 24;

/// How deep values are looked into: far deeper than anybody declares a type.
const DEPTH_MAX: usize = 16;

/// What the values at one path were.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// How often there was a value, null included.
    pub total: u64,
    /// JSON null.
    pub nulls: u64,
    /// `true` and `false`.
    pub bools: u64,
    /// Integers that fit 64 bits.
    pub ints: u64,
    /// Other numbers.
    pub floats: u64,
    /// Text.
    pub texts: u64,
    /// Objects.
    pub objects: u64,
    /// Arrays.
    pub lists: u64,
    /// Of the integers: those that look like a time since 1970.
    pub epochs: u64,
    /// Of the texts: those that an `int` coerces.
    pub int_texts: u64,
    /// Of the texts: those that a `float` coerces.
    pub float_texts: u64,
    /// Of the texts: times as RFC 3339 writes them.
    pub time_texts: u64,
    /// Of the texts: addresses.
    pub ip_texts: u64,
    /// Of the texts and integers: names and numbers of severities.
    pub severities: u64,
    /// Members of the objects, in the order in which they were first seen.
    pub members: Vec<(String, Seen)>,
    /// Whether some object had more members than are looked at.
    pub too_many: bool,
    /// The elements of the lists together.
    pub elements: Option<Box<Seen>>,
}

impl Seen {
    /// Looks at one event; otherwise says why it is none.
    pub fn add(&mut self, event: &str) -> Result<(), String> {
        let event = event.trim();
        serde_json::from_str::<serde::de::IgnoredAny>(event).map_err(|error| error.to_string())?;
        if !event.starts_with('{') {
            return Err("it is no object".to_owned());
        }
        self.look(event, 0);
        Ok(())
    }

    /// What was seen at a path below.
    pub fn at<S: AsRef<str>>(&self, path: &[S]) -> Option<&Self> {
        path.iter().try_fold(self, |at, key| at.member(key.as_ref()))
    }

    /// What was seen under a key.
    pub fn member(&self, key: &str) -> Option<&Self> {
        self.members.iter().find(|(name, _)| name == key).map(|(_, seen)| seen)
    }

    /// How often there was a value that is not null.
    pub fn present(&self) -> u64 {
        self.total - self.nulls
    }

    /// The kinds of values that were there, each with how often.
    pub fn kinds(&self) -> [(&'static str, u64); 6] {
        [
            ("text", self.texts),
            ("integers", self.ints),
            ("numbers", self.floats),
            ("booleans", self.bools),
            ("objects", self.objects),
            ("lists", self.lists),
        ]
    }

    fn look(&mut self, text: &str, depth: usize) {
        self.total += 1;
        match json::value(text) {
            Value::Bool(_) => self.bools += 1,
            Value::Int(number) => {
                self.ints += 1;
                self.epochs += u64::from(is_epoch(number));
                self.severities += u64::from((0..=60).contains(&number));
            }
            Value::Float(_) => self.floats += 1,
            Value::Text(text) => self.text(&text),
            Value::Json(text) if text.starts_with('[') => {
                self.lists += 1;
                if depth < DEPTH_MAX {
                    let elements = self.elements.get_or_insert_with(Box::default);
                    json::array(&text).for_each(|item| elements.look(item, depth + 1));
                }
            }
            Value::Json(text) => {
                self.objects += 1;
                if depth < DEPTH_MAX {
                    self.object(&text, depth);
                }
            }
            // Numbers that no 64 bits hold are numbers all the same.
            _ if text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => self.floats += 1,
            _ => self.nulls += 1,
        }
    }

    fn text(&mut self, text: &str) {
        self.texts += 1;
        let trimmed = text.trim();
        self.int_texts += u64::from(trimmed.parse::<i64>().is_ok());
        self.float_texts += u64::from(trimmed.parse::<f64>().is_ok_and(f64::is_finite));
        self.time_texts += u64::from(text.parse::<jiff::Timestamp>().is_ok());
        self.ip_texts += u64::from(text.parse::<std::net::IpAddr>().is_ok());
        self.severities += u64::from(decode::severity(text.as_bytes()).is_some());
    }

    fn object(&mut self, text: &str, depth: usize) {
        for (key, value) in json::object(text) {
            let place = match self.members.iter().position(|(name, _)| *name == key) {
                Some(place) => place,
                None if self.members.len() >= MEMBERS_MAX => {
                    self.too_many = true;
                    continue;
                }
                None => {
                    self.members.push((key.into_owned(), Self::default()));
                    self.members.len() - 1
                }
            };
            self.members[place].1.look(value, depth + 1);
        }
    }

    /// Whether its keys are data rather than names: many of them, each in few objects, all values alike.
    fn is_map(&self) -> bool {
        if self.too_many {
            return true;
        }
        let n = self.members.len() as u64;
        let filled: u64 = self.members.iter().map(|(_, seen)| seen.total).sum();
        let kinds: BTreeSet<&str> = self
            .members
            .iter()
            .flat_map(|(_, seen)| seen.kinds())
            .filter(|(_, count)| *count > 0)
            .map(|(kind, _)| kind)
            .collect();
        n >= KEYS_OF_A_MAP as u64 && kinds.len() <= 1 && filled < self.objects * n / 4
    }
}

/// Seconds, milliseconds, microseconds or nanoseconds between 2001 and 2100.
fn is_epoch(number: i64) -> bool {
    const FROM: i64 = 1_000_000_000;
    const TO: i64 = 4_102_444_800;
    [1, 1_000, 1_000_000, 1_000_000_000]
        .iter()
        .any(|unit| (FROM * unit..TO * unit).contains(&number))
}
