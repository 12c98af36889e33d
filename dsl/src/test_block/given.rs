//! Events of `given`: what the source's shape requires and the test left out is filled in.

use crate::{
    column::{json, print},
    types::{Shape, Type},
};

/// Returns the event with missing required fields filled by their types: the test clock, `info`, a text that is the field's own name.
///
/// Fields that are given, null included, stay as they are; records that are given are filled inside.
pub(super) fn fill(event: &str, shape: &Shape, now: i64) -> String {
    let mut out = Vec::new();
    object(&mut out, Some(event), shape, now);
    String::from_utf8(out).unwrap_or_default()
}

fn object(out: &mut Vec<u8>, given: Option<&str>, shape: &Shape, now: i64) {
    let text = given.unwrap_or("{}");
    let given: Vec<_> = json::object(text).collect();
    let start = out.len();
    out.push(b'{');
    let key = |out: &mut Vec<u8>, key: &str| {
        if out.len() > start + 1 {
            out.push(b',');
        }
        json::write_string(out, key.as_bytes());
        out.push(b':');
    };
    for (name, value) in &given {
        key(out, name);
        match shape.field(name).map(|field| &field.ty.base) {
            Some(Type::Record(inner)) if value.starts_with('{') => {
                object(out, Some(value), inner, now);
            }
            _ => out.extend_from_slice(value.as_bytes()),
        }
    }
    for field in &shape.fields {
        let known = given.iter().any(|(name, _)| *name == *field.name);
        if known || field.ty.optional {
            continue;
        }
        let before = out.len();
        key(out, &field.name);
        if !placeholder(out, &field.name, &field.ty.base, now) {
            out.truncate(before);
        }
    }
    out.push(b'}');
}

/// Appends a value of the type; `false` where there is none to make up.
fn placeholder(out: &mut Vec<u8>, name: &str, ty: &Type, now: i64) -> bool {
    match ty {
        Type::Bool => out.extend_from_slice(b"false"),
        Type::Int | Type::Number => out.push(b'0'),
        Type::Float => out.extend_from_slice(b"0.0"),
        Type::Text => json::write_string(out, name.as_bytes()),
        Type::Timestamp => {
            out.push(b'"');
            print::timestamp(out, now);
            out.push(b'"');
        }
        Type::Duration => out.extend_from_slice(b"\"0s\""),
        // An address of the block that is kept for documentation.
        Type::Ip => out.extend_from_slice(b"\"192.0.2.1\""),
        Type::Bytes => out.extend_from_slice(b"\"\""),
        Type::Cidr => out.extend_from_slice(b"\"192.0.2.0/24\""),
        Type::Severity => out.extend_from_slice(b"\"info\""),
        Type::Enum(members) => {
            let first = members.names.first().map_or("", |name| name);
            json::write_string(out, first.as_bytes());
        }
        Type::List(_) => out.extend_from_slice(b"[]"),
        Type::Map(_) => out.extend_from_slice(b"{}"),
        Type::Record(shape) => object(out, None, shape, now),
        Type::Any | Type::Regex | Type::Pattern(_) | Type::Glob | Type::Null => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Ty;
    use std::sync::Arc;

    #[test]
    fn required_fields_are_filled_and_given_ones_stay() {
        let inner = Shape::closed([
            ("pod", Ty::required(Type::Text)),
            ("node", Ty::optional(Type::Text)),
            ("labels", Ty::required(Type::map(Type::Text))),
        ]);
        let shape = Shape::closed([
            ("timestamp", Ty::required(Type::Timestamp)),
            ("severity", Ty::required(Type::Severity)),
            ("service", Ty::required(Type::Text)),
            ("k8s", Ty::required(Type::Record(Arc::new(inner)))),
        ]);
        let now = 1_767_225_600_000_000_000;
        assert_eq!(
            fill(r#"{"x":1.0,"service":null}"#, &shape, now),
            r#"{"x":1.0,"service":null,"timestamp":"2026-01-01T00:00:00Z","severity":"info","k8s":{"pod":"pod","labels":{}}}"#
        );
        assert_eq!(
            fill(r#"{"k8s":{"pod":"p"},"timestamp":1,"severity":2,"service":"s"}"#, &shape, now),
            r#"{"k8s":{"pod":"p","labels":{}},"timestamp":1,"severity":2,"service":"s"}"#
        );
    }
}
