//! The parts of a URL.

use super::records::{FieldSpec, maybe};
use crate::{
    column::{Absence, Value},
    types::Type,
};

/// What `parse_url` yields.
pub(super) const FIELDS: &[FieldSpec] = &[
    ("scheme", Type::Text, false),
    ("user", Type::Text, true),
    ("password", Type::Text, true),
    ("host", Type::Text, false),
    ("port", Type::Int, true),
    ("path", Type::Text, false),
    ("query", Type::Text, true),
    ("fragment", Type::Text, true),
];

/// Reads a URL with a host.
pub(super) fn parse(text: &str) -> Option<Vec<Value<'_>>> {
    let url = url::Url::parse(text).ok()?;
    let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']').to_owned();
    let user = Some(url.username()).filter(|user| !user.is_empty());
    let port = url.port().map(|port| Value::Int(i64::from(port)));
    Some(vec![
        Value::owned(url.scheme().to_owned()),
        maybe(user).into_static(),
        maybe(url.password()).into_static(),
        Value::owned(host),
        Value::or_absent(port, Absence::Missing),
        Value::owned(url.path().to_owned()),
        maybe(url.query()).into_static(),
        maybe(url.fragment()).into_static(),
    ])
}
