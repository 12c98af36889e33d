//! XML as maps: attributes as `@name`, text beside children as `text`, children of one name as a list.
//!
//! Invariant: depth and size are bounded, and no entity but the five of XML itself is expanded.

use std::borrow::Cow;

use quick_xml::{Reader, XmlVersion, events::BytesStart, events::Event};

use super::{
    RowArg,
    items::{self, ListText, MapText, Ordered},
    signature::{UNREADABLE, WRONG_TYPE, text_ref},
};
use crate::{
    column::{Absence, Value},
    eval::RowContext,
};

/// Deepest nesting.
const DEPTH_MAX: usize = 64;
/// Longest text that is read.
const TEXT_MAX: usize = 1 << 20;

/// An element that is not closed yet.
struct Element {
    name: String,
    attributes: Ordered<'static, String>,
    children: Ordered<'static, Vec<String>>,
    text: String,
}

/// `parse_xml(s)`
pub(super) fn parse_xml<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(text) = text_ref(args, 0) else { return WRONG_TYPE };
    if text.len() > TEXT_MAX {
        return Value::Absent(Absence::OutOfRange);
    }
    let mut reader = Reader::from_str(text.trim());
    let root = Element {
        name: String::new(),
        attributes: Ordered::default(),
        children: Ordered::default(),
        text: String::new(),
    };
    let mut open = vec![root];
    loop {
        let Ok(event) = reader.read_event() else { return UNREADABLE };
        match event {
            Event::Start(start) => {
                if open.len() > DEPTH_MAX {
                    return Value::Absent(Absence::OutOfRange);
                }
                let Some(element) = element(&start) else { return UNREADABLE };
                open.push(element);
            }
            Event::Empty(start) => {
                let Some(element) = element(&start) else { return UNREADABLE };
                if let Some(parent) = open.last_mut() {
                    close(parent, element);
                }
            }
            Event::End(_) => {
                let (Some(element), Some(parent)) = (open.pop(), open.last_mut()) else {
                    return UNREADABLE;
                };
                close(parent, element);
            }
            Event::Text(inside) => append(&mut open, &inside),
            Event::CData(inside) => append(&mut open, &inside),
            Event::GeneralRef(reference) => {
                match reference.resolve_char_ref() {
                    Ok(Some(c)) => append(&mut open, c.encode_utf8(&mut [0; 4])),
                    _ => match quick_xml::escape::resolve_predefined_entity(&reference) {
                        Some(text) => append(&mut open, text),
                        // What a document type would have to say stays as it is written.
                        None => append(&mut open, &["&", &*reference, ";"].concat()),
                    },
                }
            }
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            Event::Eof => break,
        }
    }
    match (open.pop(), open.is_empty()) {
        (Some(root), true) if root.children.members.len() == 1 && root.text.trim().is_empty() => {
            let mut map = MapText::new();
            for (name, values) in &root.children.members {
                // Two roots are no document.
                if let [value] = values.as_slice() {
                    map.member(name, value);
                } else {
                    return UNREADABLE;
                }
            }
            map.finish()
        }
        _ => UNREADABLE,
    }
}

fn append(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

fn element(start: &BytesStart<'_>) -> Option<Element> {
    let name = start.name().as_ref().to_owned();
    let mut attributes = Ordered::default();
    for attribute in start.attributes() {
        let attribute = attribute.ok()?;
        let key = attribute.key.as_ref().to_owned();
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).ok()?.into_owned();
        attributes.put(Cow::Owned(key), value);
    }
    Some(Element { name, attributes, children: Ordered::default(), text: String::new() })
}

/// Puts a closed element among its parent's children.
fn close(parent: &mut Element, element: Element) {
    let mut raw = String::new();
    let text = element.text.trim();
    if element.attributes.members.is_empty() && element.children.members.is_empty() {
        items::write_text(&mut raw, text);
    } else {
        let mut map = MapText::new();
        for (key, value) in &element.attributes.members {
            map.value(&format!("@{key}"), &Value::text(value));
        }
        for (name, values) in &element.children.members {
            match values.as_slice() {
                [value] => map.member(name, value),
                values => {
                    let mut list = ListText::new();
                    values.iter().for_each(|value| list.raw(value));
                    if let Value::Json(list) = list.finish() {
                        map.member(name, &list);
                    }
                }
            }
        }
        if !text.is_empty() {
            map.value("text", &Value::text(text));
        }
        raw = map.text();
    }
    match parent.children.get_mut(&element.name) {
        Some(values) => values.push(raw),
        None => parent.children.put(Cow::Owned(element.name), vec![raw]),
    }
}
