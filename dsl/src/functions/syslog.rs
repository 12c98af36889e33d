//! Syslog lines: RFC 5424, RFC 3164, and what devices make of them.

use std::sync::LazyLock;

use super::{
    dates::placed,
    read::{self, SeverityScheme},
    records::{FieldSpec, maybe},
    strptime::TimeFormat,
};
use crate::{
    column::{Absence, Value},
    types::Type,
};

/// What `parse_syslog` yields.
pub(super) const FIELDS: &[FieldSpec] = &[
    ("facility", Type::Text, true),
    ("severity", Type::Severity, true),
    ("timestamp", Type::Timestamp, true),
    ("host", Type::Text, true),
    ("app", Type::Text, true),
    ("pid", Type::Text, true),
    ("msgid", Type::Text, true),
    ("data", Type::Text, true),
    ("message", Type::Text, false),
];

const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];

static OLD_TIME: LazyLock<TimeFormat> = LazyLock::new(|| {
    TimeFormat::compile("%b %e %H:%M:%S%.f").expect("the format of old syslog compiles")
});

static OLD_TIME_WITH_YEAR: LazyLock<TimeFormat> = LazyLock::new(|| {
    TimeFormat::compile("%b %e %Y %H:%M:%S").expect("the format of syslog with a year compiles")
});

/// Reads a line. Without a priority or a time it is no syslog.
pub(super) fn parse(text: &str, now: i64) -> Option<Vec<Value<'_>>> {
    let text = text.trim_end_matches(['\n', '\r', '\0']);
    // Over TCP a line may be framed by its length.
    let text = match text.split_once(' ') {
        Some((length, line)) if line.starts_with('<') && read::int(length).is_some() => line,
        _ => text,
    };
    let (priority, rest) = match text.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
        Some((digits, rest)) => (Some(read::int(digits).filter(|it| (0..192).contains(it))?), rest),
        None => (None, text),
    };
    let facility = priority.and_then(|it| FACILITIES.get(it as usize / 8).copied());
    let severity = priority.and_then(|it| read::severity_number(it % 8, SeverityScheme::Syslog));
    let mut fields =
        vec![maybe(facility), Value::or_absent(severity.map(Value::Severity), Absence::Missing)];
    match rest.strip_prefix("1 ") {
        Some(rest) => new_style(&mut fields, rest)?,
        None => old_style(&mut fields, rest, priority.is_some(), now)?,
    }
    Some(fields)
}

/// RFC 5424, behind its version.
fn new_style<'t>(fields: &mut Vec<Value<'t>>, text: &'t str) -> Option<()> {
    let some = |text: &'t str| maybe(Some(text).filter(|text| *text != "-"));
    let mut words = text.splitn(6, ' ');
    let time = words.next()?;
    fields.push(match time {
        "-" => Value::Absent(Absence::Missing),
        time => Value::Timestamp(read::timestamp(time)?),
    });
    for _ in 0..4 {
        fields.push(some(words.next()?));
    }
    let rest = words.next()?;
    let (data, message) = if let Some(message) = rest.strip_prefix('-') {
        ("-", message)
    } else if rest.starts_with('[') {
        rest.split_at(data_end(rest)?)
    } else {
        // Some leave structured data out altogether.
        ("-", rest)
    };
    fields.push(some(data));
    let message = message.strip_prefix(' ').unwrap_or(message);
    fields.push(Value::text(message.strip_prefix('\u{feff}').unwrap_or(message)));
    Some(())
}

/// Past the last `]` of structured data; `]` inside a quoted value is escaped.
fn data_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while bytes.get(at) == Some(&b'[') {
        let mut quoted = false;
        loop {
            at += 1;
            match bytes.get(at)? {
                b'\\' if quoted => at += 1,
                b'"' => quoted = !quoted,
                b']' if !quoted => break,
                _ => {}
            }
        }
        at += 1;
    }
    (at > 0 && text.is_char_boundary(at)).then_some(at)
}

/// RFC 3164, behind its priority: time, host, `app[pid]: message`, the first two perhaps missing.
fn old_style<'t>(
    fields: &mut Vec<Value<'t>>,
    text: &'t str,
    has_priority: bool,
    now: i64,
) -> Option<()> {
    // Cisco counts lines (`45: `) and marks clocks that are not in step (`*`).
    let text = match text.split_once(": ") {
        Some((count, behind)) if read::int(count).is_some() => behind,
        _ => text,
    };
    let (time, rest) = old_time(text.trim_start_matches(['*', '.']), now);
    if time.is_none() && !has_priority {
        return None;
    }
    fields.push(Value::or_absent(time.map(Value::Timestamp), Absence::Missing));
    let (host, rest) = match rest.split_once(' ') {
        // A word that ends with a colon is the app: there is no host.
        Some((word, behind)) if time.is_some() && !word.ends_with(':') => (Some(word), behind),
        _ => (None, rest),
    };
    fields.push(maybe(host));
    let tag_end = rest
        .find(|c: char| !c.is_ascii_alphanumeric() && !"-_./()@%".contains(c))
        .unwrap_or(rest.len());
    let (tag, behind) = rest.split_at(tag_end);
    let (pid, behind) = match behind.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some((pid, behind)) => (Some(pid), behind),
        None => (None, behind),
    };
    match behind.strip_prefix(':') {
        Some(message) if !tag.is_empty() => {
            fields.extend([maybe(Some(tag)), maybe(pid), maybe(None), maybe(None)]);
            fields.push(Value::text(message.strip_prefix(' ').unwrap_or(message)));
        }
        _ => {
            fields.extend([maybe(None), maybe(None), maybe(None), maybe(None)]);
            fields.push(Value::text(rest));
        }
    }
    Some(())
}

/// The time at the start, and what follows it.
fn old_time(text: &str, now: i64) -> (Option<i64>, &str) {
    // `Oct 11 22:14:15` has 15 characters, as the day is padded; `Oct 11 2026 22:14:15` has 20.
    for (length, format) in [(15, &OLD_TIME), (20, &OLD_TIME_WITH_YEAR)] {
        let Some((time, rest)) = text.split_at_checked(length) else { continue };
        let Some(moment) = format.moment(time) else { continue };
        let fraction = rest.strip_prefix('.').map_or(0, |rest| {
            rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len() + 1
        });
        let nanos = match rest.get(1..fraction) {
            Some(digits) if fraction > 0 => {
                read::scaled(&format!("0.{digits}"), 1_000_000_000).unwrap_or(0) as i64
            }
            _ => 0,
        };
        let time = placed(&moment, None, now).and_then(|time| time.checked_add(nanos));
        let rest = &rest[fraction..];
        return (time, rest.strip_prefix(':').unwrap_or(rest).trim_start());
    }
    if let Some((word, rest)) = text.split_once(' ')
        && let Some(time) = read::timestamp(word)
    {
        return (Some(time), rest);
    }
    (None, text)
}
