//! Lines around container and Kubernetes logs: CRI, Docker's JSON, klog and glog.

use std::sync::LazyLock;

use super::json_members;
use crate::{
    column::{Absence, Severity, Value},
    functions::{
        dates::placed,
        items::MapText,
        read,
        records::{FieldSpec, maybe, maybe_int},
        strptime::TimeFormat,
    },
    types::Type,
};

/// What `parse_cri` yields.
pub(super) const CRI: &[FieldSpec] = &[
    ("timestamp", Type::Timestamp, false),
    ("stream", Type::Text, false),
    ("partial", Type::Bool, false),
    ("message", Type::Text, false),
];

/// What `parse_docker_json` yields.
pub(super) const DOCKER: &[FieldSpec] = &[
    ("timestamp", Type::Timestamp, true),
    ("stream", Type::Text, true),
    ("partial", Type::Bool, false),
    ("message", Type::Text, false),
    ("attrs", Type::Any, true),
];

/// What `parse_klog` and `parse_glog` yield.
pub(super) const KLOG: &[FieldSpec] = &[
    ("severity", Type::Severity, false),
    ("timestamp", Type::Timestamp, false),
    ("thread", Type::Int, false),
    ("file", Type::Text, false),
    ("line", Type::Int, true),
    ("message", Type::Text, false),
];

/// Reads `2026-05-01T10:00:00.123456789Z stdout F message`; a `P` marks the first parts of a long line.
pub(super) fn cri(text: &str) -> Option<Vec<Value<'_>>> {
    let text = text.trim_end_matches(['\n', '\r']);
    let (time, rest) = text.split_once(' ')?;
    let (stream, rest) = rest.split_once(' ')?;
    if !matches!(stream, "stdout" | "stderr") {
        return None;
    }
    let (tags, message) = rest.split_once(' ').unwrap_or((rest, ""));
    let partial = match tags.split(':').next()? {
        "F" => false,
        "P" => true,
        _ => return None,
    };
    Some(vec![
        Value::Timestamp(read::timestamp(time)?),
        Value::text(stream),
        Value::Bool(partial),
        Value::text(message),
    ])
}

/// Reads `{"log":"…\n","stream":"stdout","time":"…"}`; a log without a line end at its end goes on.
pub(super) fn docker(text: &str) -> Option<Vec<Value<'_>>> {
    let (mut log, mut stream, mut time) = (None, None, None);
    let mut attrs = None;
    for (key, value) in json_members(text)? {
        match (&*key, value) {
            ("log", Value::Text(text)) => log = Some(text.into_owned()),
            ("stream", Value::Text(text)) => stream = Some(text),
            ("time", Value::Text(text)) => time = read::timestamp(&text),
            ("attrs", value @ Value::Json(_)) => attrs = Some(value),
            _ => {}
        }
    }
    let log = log?;
    let partial = !log.ends_with('\n');
    let message = log.trim_end_matches('\n').trim_end_matches('\r').to_owned();
    Some(vec![
        Value::or_absent(time.map(Value::Timestamp), Absence::Missing),
        Value::or_absent(stream.map(Value::Text), Absence::Missing),
        Value::Bool(partial),
        Value::owned(message),
        attrs.unwrap_or(Value::Absent(Absence::Missing)),
    ])
}

static WITHOUT_YEAR: LazyLock<TimeFormat> =
    LazyLock::new(|| TimeFormat::compile("%m%d %H:%M:%S%.f").expect("the format of klog compiles"));
static WITH_YEAR: LazyLock<TimeFormat> = LazyLock::new(|| {
    TimeFormat::compile("%Y%m%d %H:%M:%S%.f").expect("the format of glog compiles")
});

/// Reads `I0501 10:00:00.123456    1234 file.go:55] message`; newer versions of glog write the year.
pub(super) fn klog(text: &str, now: i64) -> Option<Vec<Value<'_>>> {
    let text = text.trim_end_matches(['\n', '\r']);
    let severity = Severity(match text.as_bytes().first()? {
        b'I' => 9,
        b'W' => 13,
        b'E' => 17,
        b'F' => 21,
        b'D' => 5,
        b'V' => 1,
        _ => return None,
    });
    let rest = &text[1..];
    let (date, behind) = rest.split_once(' ')?;
    let (clock, behind) = behind.trim_start().split_once(' ')?;
    let time = format!("{date} {clock}");
    let moment = if date.len() == 4 { WITHOUT_YEAR.moment(&time) } else { WITH_YEAR.moment(&time) };
    let time = placed(&moment?, None, now)?;
    let (thread, behind) = behind.trim_start().split_once(' ')?;
    let thread = read::int(thread)?;
    let (place, message) = behind.split_once(']')?;
    let (file, line) = match place.trim().rsplit_once(':') {
        Some((file, line)) => (file, Some(read::int(line)?)),
        None => (place.trim(), None),
    };
    Some(vec![
        Value::Severity(severity),
        Value::Timestamp(time),
        Value::Int(thread),
        Value::text(file),
        maybe_int(line),
        Value::text(message.strip_prefix(' ').unwrap_or(message)),
    ])
}

/// What `parse_gelf` yields.
pub(super) const GELF: &[FieldSpec] = &[
    ("host", Type::Text, false),
    ("message", Type::Text, false),
    ("full_message", Type::Text, true),
    ("timestamp", Type::Timestamp, true),
    ("severity", Type::Severity, true),
    ("facility", Type::Text, true),
    ("file", Type::Text, true),
    ("line", Type::Int, true),
    ("fields", Type::Any, false),
];

/// Reads Graylog's JSON. Additional fields lose their underscore.
pub(super) fn gelf(text: &str) -> Option<Vec<Value<'_>>> {
    let mut fields = MapText::new();
    let (mut host, mut message, mut full) = (None, None, None);
    let (mut time, mut severity, mut facility, mut file, mut line) = (None, None, None, None, None);
    for (key, value) in json_members(text)? {
        match (&*key, value) {
            ("host", Value::Text(text)) => host = Some(text),
            ("short_message", Value::Text(text)) => message = Some(text),
            ("full_message", Value::Text(text)) => full = Some(text),
            ("timestamp", Value::Int(seconds)) => {
                time = read::epoch_int(seconds, Some(read::Unit::Seconds));
            }
            ("timestamp", Value::Float(seconds)) => {
                time = read::epoch_float(seconds, Some(read::Unit::Seconds));
            }
            // Some libraries write the number as text.
            ("timestamp", Value::Text(seconds)) => {
                time = read::float(&seconds)
                    .and_then(|seconds| read::epoch_float(seconds, Some(read::Unit::Seconds)));
            }
            ("level", Value::Int(level)) => {
                severity = read::severity_number(level, read::SeverityScheme::Syslog);
            }
            ("facility", Value::Text(text)) => facility = Some(text),
            ("file", Value::Text(text)) => file = Some(text),
            ("line", Value::Int(number)) => line = Some(number),
            ("version", _) => {}
            (key, value) => fields.value(key.strip_prefix('_').unwrap_or(key), &value),
        }
    }
    let text = |text: Option<_>| Value::or_absent(text.map(Value::Text), Absence::Missing);
    Some(vec![
        Value::Text(host?),
        Value::Text(message?),
        text(full),
        Value::or_absent(time.map(Value::Timestamp), Absence::Missing),
        Value::or_absent(severity.map(Value::Severity), Absence::Missing),
        text(facility),
        text(file),
        maybe_int(line),
        fields.finish(),
    ])
}

/// What `parse_journald` yields.
pub(super) const JOURNALD: &[FieldSpec] = &[
    ("message", Type::Text, true),
    ("timestamp", Type::Timestamp, true),
    ("severity", Type::Severity, true),
    ("host", Type::Text, true),
    ("unit", Type::Text, true),
    ("app", Type::Text, true),
    ("pid", Type::Int, true),
    ("transport", Type::Text, true),
    ("boot_id", Type::Text, true),
    ("fields", Type::Any, false),
];

/// Reads an entry of `journalctl -o json`. Messages that are no text come as lists of bytes.
pub(super) fn journald(text: &str) -> Option<Vec<Value<'_>>> {
    let mut rest = MapText::new();
    let mut known: [Option<String>; 10] = Default::default();
    const NAMES: [&str; 10] = [
        "MESSAGE",
        "__REALTIME_TIMESTAMP",
        "_SOURCE_REALTIME_TIMESTAMP",
        "PRIORITY",
        "_HOSTNAME",
        "_SYSTEMD_UNIT",
        "SYSLOG_IDENTIFIER",
        "_COMM",
        "_PID",
        "_TRANSPORT",
    ];
    let mut boot = None;
    let mut any = false;
    for (key, value) in json_members(text)? {
        let text = match &value {
            Value::Text(text) => Some(text.clone().into_owned()),
            Value::Int(number) => Some(number.to_string()),
            Value::Json(list) if list.starts_with('[') => bytes_of(list),
            _ => None,
        };
        any |= key == "MESSAGE" || key.starts_with('_');
        match NAMES.iter().position(|name| *name == key) {
            Some(at) => known[at] = text,
            None if key == "_BOOT_ID" => boot = text,
            None if key.starts_with("__") => {}
            None => rest.value(key.trim_start_matches('_'), &value),
        }
    }
    if !any {
        return None;
    }
    let [message, stamp, source_stamp, priority, host, unit, app, comm, pid, transport] = known;
    let micros = source_stamp.or(stamp).and_then(|text| read::int(&text));
    let time = micros.and_then(|micros| micros.checked_mul(1_000));
    let severity = priority
        .and_then(|text| read::int(&text))
        .and_then(|number| read::severity_number(number, read::SeverityScheme::Syslog));
    let text = |text: Option<String>| Value::or_absent(text.map(Value::owned), Absence::Missing);
    Some(vec![
        text(message),
        Value::or_absent(time.map(Value::Timestamp), Absence::Missing),
        Value::or_absent(severity.map(Value::Severity), Absence::Missing),
        text(host),
        text(unit),
        text(app.or(comm)),
        maybe_int(pid.and_then(|text| read::int(&text))),
        text(transport),
        text(boot),
        rest.finish(),
    ])
}

/// A list of bytes as text; the last of a list of texts, as fields may come several times.
fn bytes_of(list: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut last = None;
    for element in crate::functions::items::elements(list) {
        match crate::functions::items::decode(element) {
            Value::Int(byte) => bytes.push(u8::try_from(byte).ok()?),
            Value::Text(text) => last = Some(text.into_owned()),
            _ => return None,
        }
    }
    last.or_else(|| Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// What `parse_traceparent` yields.
pub(super) const TRACEPARENT: &[FieldSpec] = &[
    ("version", Type::Text, false),
    ("trace_id", Type::Text, false),
    ("parent_id", Type::Text, false),
    ("sampled", Type::Bool, false),
];

/// Reads the W3C header `00-<trace id>-<parent id>-<flags>`.
pub(super) fn traceparent(text: &str) -> Option<Vec<Value<'_>>> {
    let mut parts = text.trim().split('-');
    let hex = |part: Option<&'_ str>, length: usize| {
        part.is_some_and(|part| {
            part.len() == length
                && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        })
    };
    let (version, trace, parent, flags) = (parts.next(), parts.next(), parts.next(), parts.next());
    let fits = hex(version, 2) && hex(trace, 32) && hex(parent, 16) && hex(flags, 2);
    let zero = |part: Option<&str>| part.is_some_and(|part| part.bytes().all(|byte| byte == b'0'));
    let more = parts.next().is_some() && version == Some("00");
    if !fits || version == Some("ff") || zero(trace) || zero(parent) || more {
        return None;
    }
    let sampled = u8::from_str_radix(flags?, 16).ok()? & 1 == 1;
    Some(vec![maybe(version), maybe(trace), maybe(parent), Value::Bool(sampled)])
}
