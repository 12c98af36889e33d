//! YAML as JSON: the first document, with the types of YAML 1.2's core schema.
//!
//! Invariant: what aliases repeat is counted, so no text grows beyond a bound.

use std::{borrow::Cow, collections::HashMap};

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::{
    RowArg,
    items::{self, ListText, MapText, Ordered},
    read,
    signature::{WRONG_TYPE, text_ref},
};
use crate::{
    column::{Absence, Value},
    eval::RowContext,
};

/// Deepest nesting.
const DEPTH_MAX: usize = 64;
/// Longest text that is read, and most that may come of it.
const TEXT_MAX: usize = 1 << 20;

/// A list or map that is not closed yet.
enum Open {
    List(ListText, usize),
    Map(Ordered<'static, String>, Option<String>, usize),
}

/// `parse_yaml(s)`
pub(super) fn parse_yaml<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(text) = text_ref(args, 0) else { return WRONG_TYPE };
    if text.len() > TEXT_MAX {
        return Value::Absent(Absence::OutOfRange);
    }
    match document(text) {
        Ok(Some(raw)) => items::decode(&raw).into_static(),
        Ok(None) => Value::Absent(Absence::Missing),
        Err(why) => Value::Absent(why),
    }
}

fn document(text: &str) -> Result<Option<String>, Absence> {
    let mut open: Vec<Open> = Vec::new();
    let mut anchors: HashMap<usize, String> = HashMap::new();
    let mut written = 0;
    for event in Parser::new_from_str(text) {
        let (event, _) = event.map_err(|_| Absence::Parse)?;
        let (raw, anchor) = match event {
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => continue,
            Event::SequenceStart(anchor, _) => {
                open.push(Open::List(ListText::new(), anchor));
                if open.len() > DEPTH_MAX {
                    return Err(Absence::OutOfRange);
                }
                continue;
            }
            Event::MappingStart(anchor, _) => {
                open.push(Open::Map(Ordered::default(), None, anchor));
                if open.len() > DEPTH_MAX {
                    return Err(Absence::OutOfRange);
                }
                continue;
            }
            Event::SequenceEnd => match open.pop() {
                Some(Open::List(list, anchor)) => match list.finish() {
                    Value::Json(raw) => (raw.into_owned(), anchor),
                    _ => return Err(Absence::Parse),
                },
                _ => return Err(Absence::Parse),
            },
            Event::MappingEnd => match open.pop() {
                Some(Open::Map(members, _, anchor)) => {
                    let mut map = MapText::new();
                    for (key, value) in members.members {
                        map.member(&key, &value);
                    }
                    (map.text(), anchor)
                }
                _ => return Err(Absence::Parse),
            },
            Event::Alias(anchor) => (anchors.get(&anchor).cloned().ok_or(Absence::Parse)?, 0),
            Event::Scalar(text, style, anchor, tag) => {
                let forced = tag.is_some_and(|tag| tag.suffix == "str");
                (scalar(&text, style == ScalarStyle::Plain && !forced), anchor)
            }
        };
        written += raw.len();
        // Every level writes its parts once more.
        if written > TEXT_MAX * 4 {
            return Err(Absence::OutOfRange);
        }
        if anchor > 0 {
            anchors.insert(anchor, raw.clone());
        }
        match open.last_mut() {
            None => return Ok(Some(raw)),
            Some(Open::List(list, _)) => list.raw(&raw),
            Some(Open::Map(members, key, _)) => match key.take() {
                None => *key = Some(key_text(&raw)),
                Some(key) if key == "<<" && raw.starts_with(['{', '[']) => spread(members, &raw),
                Some(key) => members.put(Cow::Owned(key), raw),
            },
        }
    }
    Ok(None)
}

/// A key as text: what it says where it is a scalar, its JSON otherwise.
fn key_text(raw: &str) -> String {
    match items::decode(raw) {
        Value::Text(text) => text.into_owned(),
        _ => raw.to_owned(),
    }
}

/// What `<<` brings in: members that are not there yet.
fn spread(members: &mut Ordered<'static, String>, raw: &str) {
    if raw.starts_with('[') {
        for element in items::elements(raw).filter(|element| element.starts_with('{')) {
            spread(members, element);
        }
        return;
    }
    for (key, value) in items::members(raw) {
        let key = items::unescape(key);
        if members.get(&key).is_none() {
            members.put(Cow::Owned(key.into_owned()), value.to_owned());
        }
    }
}

/// A scalar as JSON; plain ones may be null, truth values and numbers.
fn scalar(text: &str, plain: bool) -> String {
    let mut out = String::new();
    if plain {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return "null".to_owned(),
            "true" | "True" | "TRUE" => return "true".to_owned(),
            "false" | "False" | "FALSE" => return "false".to_owned(),
            _ => {}
        }
        let radix = |prefix: &str, radix: u32| {
            let digits = text.strip_prefix(prefix)?;
            i64::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with(['+', '-']))
        };
        let number = read::int(text).or_else(|| radix("0x", 16)).or_else(|| radix("0o", 8));
        if let Some(number) = number {
            return number.to_string();
        }
        if let Some(number) = read::float(text) {
            items::write(&mut out, &Value::Float(number));
            return out;
        }
    }
    items::write_text(&mut out, text);
    out
}
