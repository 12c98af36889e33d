//! One event in the hands of the rules: reading, writing, and what expressions make of it.

use std::{collections::HashMap, net::IpAddr};

use super::{
    program::{E, Path, Pattern},
    value::{Declared, V, arith, order, read},
};

/// One event on its way, or one of those that `emit each` made of it.
#[derive(Clone)]
pub(super) struct Row {
    pub(super) event: V,
    /// Fields that a rule wrote, deleted or moved: their values are what was written.
    pub(super) written: Vec<Path>,
    pub(super) locals: HashMap<String, V>,
    pub(super) routed: bool,
    /// Whether it is the event itself, or its first element: an event that ends in pieces has the fate of its first.
    pub(super) first: bool,
}

/// Writes into an event. What stands in the way and is no record refuses.
pub(super) fn put(event: &mut V, path: &[&str], value: V) -> bool {
    let V::Map(members) = event else { return false };
    let known = members.iter().position(|(key, _)| key == path[0]);
    let place = known.unwrap_or_else(|| {
        members.push((path[0].to_owned(), V::Absent("missing")));
        members.len() - 1
    });
    if path.len() == 1 {
        members[place].1 = value;
        return true;
    }
    let next = &mut members[place].1;
    if next.is_absent() {
        *next = V::Map(vec![]);
    }
    put(next, &path[1..], value)
}

/// Of a record above a kept path only the way down stays; what is no record there goes.
pub(super) fn keep(event: &mut V, paths: &[&[&str]]) {
    let V::Map(members) = event else { return };
    members.retain_mut(|(key, value)| {
        let below: Vec<&[&str]> = paths
            .iter()
            .filter(|path| path.first() == Some(&key.as_str()))
            .map(|path| &path[1..])
            .collect();
        if below.iter().any(|path| path.is_empty()) {
            return true;
        }
        if below.is_empty() || !matches!(value, V::Map(_)) {
            return false;
        }
        keep(value, &below);
        true
    });
}

/// An absent list element is null.
fn element_of(value: V) -> V {
    if value.is_absent() { V::Absent("null") } else { value }
}

fn declared(path: &[&str]) -> Declared {
    match path {
        ["n"] | ["r", "a"] => Declared::Int,
        ["c"] => Declared::IntCoerced,
        ["f"] => Declared::Float,
        ["s"] | ["r", "b"] => Declared::Text,
        ["v"] => Declared::Severity,
        ["b"] => Declared::Bool,
        ["t"] => Declared::Time,
        ["d"] => Declared::Span,
        ["ip"] => Declared::Ip,
        ["l" | "tags"] => Declared::List,
        _ => Declared::Any,
    }
}

impl V {
    pub(super) fn member(&self, key: &str) -> Self {
        match self {
            Self::Absent(why) => Self::Absent(why),
            Self::Map(members) => members
                .iter()
                .find(|(known, _)| known == key)
                .map_or(Self::Absent("missing"), |(_, value)| value.clone()),
            _ => Self::Absent("type"),
        }
    }

    pub(super) fn nth(&self, place: i64) -> Self {
        match self {
            Self::Absent(why) => Self::Absent(why),
            Self::List(list) => {
                let place = if place < 0 { place + list.len() as i64 } else { place };
                let found = usize::try_from(place).ok().and_then(|place| list.get(place));
                found.cloned().unwrap_or(Self::Absent("out_of_range"))
            }
            _ => Self::Absent("type"),
        }
    }
}

impl Row {
    /// The value of a field: what a rule wrote, or what the event brought, read as declared.
    pub(super) fn read(&self, path: &Path) -> V {
        let mut at = &self.event;
        for key in path {
            let V::Map(members) = at else { return V::Absent("missing") };
            let Some((_, value)) = members.iter().find(|(known, _)| known == key) else {
                return V::Absent("missing");
            };
            at = value;
        }
        if *path == ["r"] && !matches!(at, V::Map(_) | V::Absent(_)) {
            return V::Absent("type");
        }
        if self.written.iter().any(|written| path.starts_with(written)) {
            return at.clone();
        }
        read(declared(path), at)
    }

    pub(super) fn write(&mut self, path: &Path, value: V) -> bool {
        let done = put(&mut self.event, path, value);
        if done {
            self.written.push(path.clone());
        }
        done
    }

    pub(super) fn delete(&mut self, path: &[&'static str]) {
        let (last, above) = path.split_last().expect("a path");
        let mut at = &mut self.event;
        for key in above {
            let V::Map(members) = at else { return };
            let Some((_, next)) = members.iter_mut().find(|(known, _)| known == key) else {
                return;
            };
            at = next;
        }
        if let V::Map(members) = at {
            members.retain(|(known, _)| known != last);
        }
        self.written.push(path.to_vec());
    }

    /// What makes two events the same.
    pub(super) fn key(&self, by: &E) -> String {
        match self.value(by) {
            V::Absent(_) => "\0\x1f".to_owned(),
            value => format!("\x01{}\x1f", value.plain()),
        }
    }

    fn with(&self, name: &str, value: V) -> Self {
        let mut row = self.clone();
        row.locals.insert(name.to_owned(), value);
        row
    }

    pub(super) fn value(&self, it: &E) -> V {
        match it {
            E::Value(value) => value.clone(),
            E::Path(path) => self.read(path),
            E::Nth(path, place) => match self.read(path).nth(*place) {
                // An element of `list<int>`.
                value if *path == ["l"] => read(Declared::Int, &value),
                value => value,
            },
            E::Each(path, keys) => match self.read(path) {
                V::List(list) => {
                    let found = list.iter().map(|element| {
                        keys.iter().fold(element.clone(), |value, key| value.member(key))
                    });
                    V::List(found.filter(|value| *value != V::Absent("missing")).collect())
                }
                V::Absent(why) => V::Absent(why),
                _ => V::Absent("type"),
            },
            E::Local(name) => self.locals.get(name).cloned().unwrap_or(V::Absent("missing")),
            E::Member(of, key) => self.value(of).member(key),
            E::Arith(op, a, b) => arith(*op, &self.value(a), &self.value(b)),
            E::Negative(of) => match self.value(of) {
                V::Int(number) => number.checked_neg().map_or(V::Absent("overflow"), V::Int),
                V::Float(number) => V::Float(-number),
                other => other,
            },
            E::Coalesce(a, b) => match self.value(a) {
                V::Absent(_) => self.value(b),
                value => value,
            },
            E::If(condition, a, b) => self.value(if self.holds(condition) { a } else { b }),
            E::Match(on, arms) => {
                let on = self.value(on);
                let fits = |pattern: &Pattern| match pattern {
                    Pattern::Rest => true,
                    Pattern::Is(value) => order(&on, value).is_some_and(std::cmp::Ordering::is_eq),
                    Pattern::Range(from, to, inclusive) => {
                        let above =
                            order(&on, &V::Int(*from)).is_some_and(std::cmp::Ordering::is_ge);
                        let below = order(&on, &V::Int(*to))
                            .is_some_and(|it| it.is_lt() || *inclusive && it.is_eq());
                        above && below
                    }
                };
                let arm = arms.iter().find(|(patterns, _)| patterns.iter().any(fits));
                arm.map_or(V::Absent("no_match"), |(_, value)| self.value(value))
            }
            E::Record(members) => {
                let members = members.iter().map(|(key, it)| ((*key).to_owned(), self.value(it)));
                V::Map(members.filter(|(_, value)| !value.is_absent()).collect())
            }
            E::List(elements) => {
                V::List(elements.iter().map(|it| element_of(self.value(it))).collect())
            }
            E::Format(holes) => {
                let mut text = String::new();
                for hole in holes {
                    match self.value(hole) {
                        V::Absent(why) => return V::Absent(why),
                        value => text.push_str(&format!("<{}>", value.plain())),
                    }
                }
                V::Text(text)
            }
            E::Call(name, args) => self.call(name, args),
            E::Over(name, list, element, body) => match self.value(list) {
                V::Absent(why) => V::Absent(why),
                V::List(list) => {
                    let with = |value: &V| self.with(element, read(Declared::Int, value));
                    let rows = list.iter().map(with);
                    match *name {
                        "map" => V::List(rows.map(|row| element_of(row.value(body))).collect()),
                        // What is kept stays as it came.
                        "filter" => {
                            let kept = list.iter().filter(|value| with(value).holds(body));
                            V::List(kept.cloned().collect())
                        }
                        "any" => V::Bool(rows.into_iter().any(|row| row.holds(body))),
                        _ => V::Bool(rows.into_iter().all(|row| row.holds(body))),
                    }
                }
                _ => V::Absent("type"),
            },
            _ => V::Bool(self.holds(it)),
        }
    }

    fn call(&self, name: &str, args: &[E]) -> V {
        let value = self.value(&args[0]);
        match (name, value) {
            (_, V::Absent(why)) => V::Absent(why),
            ("len", V::Text(text)) => V::Int(text.chars().count() as i64),
            ("upper", V::Text(text)) => V::Text(text.to_uppercase()),
            ("lower", V::Text(text)) => V::Text(text.to_lowercase()),
            ("int", V::Text(text)) => text.parse().map_or(V::Absent("parse"), V::Int),
            ("string", value) => V::Text(value.plain()),
            _ => V::Absent("type"),
        }
    }

    /// Two-valued: what is absent fails every positive test.
    pub(super) fn holds(&self, it: &E) -> bool {
        match it {
            E::And(a, b) => self.holds(a) && self.holds(b),
            E::Or(a, b) => self.holds(a) || self.holds(b),
            E::Not(of) => !self.holds(of),
            E::Compare("!=", a, b) => !self.holds(&E::Compare("==", a.clone(), b.clone())),
            E::Compare(op, a, b) => {
                let with = self.value(b);
                let one = |value: &V| {
                    order(value, &with).is_some_and(|it| match *op {
                        "==" => it.is_eq(),
                        "<" => it.is_lt(),
                        "<=" => it.is_le(),
                        ">" => it.is_gt(),
                        _ => it.is_ge(),
                    })
                };
                match (&**a, self.value(a)) {
                    (E::Each(..), V::List(list)) => list.iter().any(one),
                    (E::Each(..), _) => false,
                    (_, value) => one(&value),
                }
            }
            E::In(value, set, negated) => {
                let value = self.value(value);
                let found =
                    set.iter().any(|it| order(&value, it).is_some_and(std::cmp::Ordering::is_eq));
                found != *negated
            }
            E::InBlock(value, _) => {
                matches!(self.value(value), V::Ip(IpAddr::V4(ip)) if ip.octets()[0] == 10)
            }
            E::Test(op, value, text, ignore_case) => match self.value(value) {
                V::Text(value) => test(op, &value, text, *ignore_case),
                V::List(list) if *op == "contains" => list.iter().any(|element| match element {
                    V::Text(value) if *ignore_case => value.to_lowercase() == *text,
                    V::Text(value) => value == text,
                    _ => false,
                }),
                _ => false,
            },
            E::Holds(list, value) => {
                let value = self.value(value);
                match self.value(list) {
                    V::List(list) => list.iter().any(|element| {
                        order(element, &value).is_some_and(std::cmp::Ordering::is_eq)
                    }),
                    _ => false,
                }
            }
            E::Is(value, what, negated) => {
                let value = self.value(value);
                let holds = match *what {
                    "present" => !value.is_absent(),
                    "absent" => value.is_absent(),
                    "missing" | "null" => value == V::Absent(what),
                    ty => value.is_type(ty),
                };
                holds != *negated
            }
            other => self.value(other) == V::Bool(true),
        }
    }
}

fn test(op: &str, value: &str, text: &str, ignore_case: bool) -> bool {
    if op == "matches" {
        let flags = if ignore_case { "(?i)" } else { "" };
        return regex::Regex::new(&format!("{flags}{text}")).expect("a regex").is_match(value);
    }
    let value = if ignore_case { value.to_lowercase() } else { value.to_owned() };
    match op {
        "contains" => value.contains(text),
        "starts_with" => value.starts_with(text),
        "ends_with" => value.ends_with(text),
        "has" => value.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == text),
        _ => {
            let chars: Vec<char> = value.chars().collect();
            like(&chars, &text.chars().collect::<Vec<_>>())
        }
    }
}

fn like(text: &[char], glob: &[char]) -> bool {
    match glob.split_first() {
        None => text.is_empty(),
        Some(('*', rest)) => (0..=text.len()).any(|skip| like(&text[skip..], rest)),
        Some((c, rest)) => text
            .split_first()
            .is_some_and(|(first, tail)| (*c == '?' || c == first) && like(tail, rest)),
    }
}
