//! Lines of the common and combined log formats of web servers.

use std::sync::LazyLock;

use super::{
    pattern::unquote,
    read,
    records::{FieldSpec, maybe},
    strptime::TimeFormat,
};
use crate::{
    column::{Absence, Value},
    types::Type,
};

/// What `parse_clf` yields.
pub(super) const FIELDS: &[FieldSpec] = &[
    ("host", Type::Text, false),
    ("identity", Type::Text, true),
    ("user", Type::Text, true),
    ("timestamp", Type::Timestamp, false),
    ("method", Type::Text, true),
    ("path", Type::Text, true),
    ("protocol", Type::Text, true),
    ("status", Type::Int, false),
    ("bytes", Type::Int, true),
    ("referer", Type::Text, true),
    ("agent", Type::Text, true),
];

static TIME: LazyLock<TimeFormat> = LazyLock::new(|| {
    TimeFormat::compile("%d/%b/%Y:%H:%M:%S %z").expect("the format of web servers compiles")
});

/// Reads a line; `-` means that there is nothing.
pub(super) fn parse(text: &str) -> Option<Vec<Value<'_>>> {
    let (host, rest) = text.trim().split_once(' ')?;
    let (identity, rest) = rest.split_once(' ')?;
    let (user, rest) = rest.split_once(" [")?;
    let (time, rest) = rest.split_once("] ")?;
    let time = TIME.read(time)?;
    let (request, rest) = unquote(rest)?;
    let mut words = rest.trim_start().splitn(3, ' ');
    let status = words.next().and_then(read::int)?;
    let bytes = words.next()?;
    let bytes = if bytes == "-" { None } else { Some(read::int(bytes)?) };
    let mut quoted = Vec::new();
    let mut rest = words.next().unwrap_or("").trim_start();
    while let Some((value, behind)) = unquote(rest) {
        quoted.push(value);
        rest = behind.trim_start();
    }
    let mut quoted = quoted.into_iter().map(|value| match &*value {
        "-" | "" => Value::Absent(Absence::Missing),
        _ => Value::Text(value),
    });
    let mut request = request.split_ascii_whitespace().map(str::to_owned);
    let mut word = || Value::or_absent(request.next().map(Value::owned), Absence::Missing);
    let some = |text| maybe(Some(text).filter(|text| *text != "-"));
    Some(vec![
        Value::text(host),
        some(identity),
        some(user),
        Value::Timestamp(time),
        word(),
        word(),
        word(),
        Value::Int(status),
        Value::or_absent(bytes.map(Value::Int), Absence::Missing),
        quoted.next().unwrap_or(Value::Absent(Absence::Missing)),
        quoted.next().unwrap_or(Value::Absent(Absence::Missing)),
    ])
}
