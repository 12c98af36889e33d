//! Views as text, and text as ClickHouse counts it.

use logmon_dsl::column::{Kind, View, json};

/// Appends a length as ClickHouse's variable-length number.
#[inline(always)]
pub(super) fn put_varint(out: &mut Vec<u8>, mut number: usize) {
    while number >= 128 {
        out.push(number as u8 | 128);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends text with its length in front.
#[inline(always)]
pub(super) fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put_varint(out, text.len());
    out.extend_from_slice(text);
}

/// Gives the text of a view to `take`: text without its escapes, everything else as JSON. Absent values have none.
#[inline]
pub(super) fn with_text<R>(view: View, arena: &[u8], take: impl FnOnce(&[u8]) -> R) -> R {
    match view.kind() {
        Kind::Absent | Kind::Spread => take(b""),
        Kind::Bool => take(if view.len() == 1 { b"true" } else { b"false" }),
        Kind::Text | Kind::Number | Kind::Array | Kind::Object => take(slice(view, arena)),
        Kind::Escaped => {
            let raw = slice(view, arena);
            let mut text = Vec::with_capacity(raw.len());
            json::unescape(raw, &mut text);
            take(&text)
        }
    }
}

/// The bytes that a view points at.
#[inline(always)]
pub(super) fn slice(view: View, arena: &[u8]) -> &[u8] {
    &arena[view.offset()..view.offset() + view.len()]
}

/// Appends a view as JSON.
pub(super) fn put_json(view: View, arena: &[u8], out: &mut Vec<u8>) {
    match view.kind() {
        Kind::Absent => out.extend_from_slice(b"null"),
        Kind::Spread => out.extend_from_slice(b"{}"),
        Kind::Bool => out.extend_from_slice(if view.len() == 1 { b"true" } else { b"false" }),
        Kind::Text => json::write_string(out, slice(view, arena)),
        Kind::Escaped => {
            out.push(b'"');
            out.extend_from_slice(slice(view, arena));
            out.push(b'"');
        }
        Kind::Number | Kind::Array | Kind::Object => out.extend_from_slice(slice(view, arena)),
    }
}

/// Gives every member of the object that a view points at to `take`: the key without escapes, and the value.
pub(super) fn members(object: View, arena: &[u8], mut take: impl FnMut(&[u8], View)) {
    let text = slice(object, arena);
    for member in json::members(text) {
        take(&member.key(text), json::view(text, member.value.clone(), object.offset()));
    }
}

/// Gives every element of the array that a view points at to `take`.
pub(super) fn elements(array: View, arena: &[u8], mut take: impl FnMut(View)) {
    let text = slice(array, arena);
    for element in json::elements(text) {
        take(json::view(text, element, array.offset()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_elements_are_walked() {
        let text = br#"..{ "a" : [1, {"x":"]"}, "y\""] , "b\n":{}, "c": -1.5e3 }"#;
        let mut seen = Vec::new();
        let mut array = View::MISSING;
        members(View::new(Kind::Object, 2, text.len() - 2), text, |key, value| {
            if key == b"a" {
                array = value;
            }
            seen.push((key.to_vec(), value.kind(), slice(value, text).to_vec()));
        });
        assert_eq!(seen.len(), 3);
        assert_eq!(seen[1], (b"b\n".to_vec(), Kind::Object, b"{}".to_vec()));
        assert_eq!(seen[2], (b"c".to_vec(), Kind::Number, b"-1.5e3".to_vec()));
        let mut kinds = Vec::new();
        elements(array, text, |value| kinds.push(value.kind()));
        assert_eq!(kinds, [Kind::Number, Kind::Object, Kind::Escaped]);
    }

    #[test]
    fn lengths_take_seven_bits_a_byte() {
        let mut out = Vec::new();
        put_varint(&mut out, 127);
        put_varint(&mut out, 300);
        assert_eq!(out, [127, 0xac, 2]);
    }
}
