//! Lines of web servers and proxies: nginx, Apache's error log, HAProxy, W3C extended (IIS).

use std::{borrow::Cow, sync::LazyLock};

use super::words;
use crate::{
    column::{Absence, Value},
    functions::{
        items::{MapText, Ordered},
        pattern::unquote,
        read::{self, SeverityScheme},
        records::{FieldSpec, maybe, maybe_float, maybe_int, unless_dash},
        strptime::TimeFormat,
    },
    types::Type,
};

static ACCESS_TIME: LazyLock<TimeFormat> = LazyLock::new(|| {
    TimeFormat::compile("%d/%b/%Y:%H:%M:%S%.f %z").expect("the format of web servers compiles")
});
static NGINX_TIME: LazyLock<TimeFormat> = LazyLock::new(|| {
    TimeFormat::compile("%Y/%m/%d %H:%M:%S").expect("the format of nginx compiles")
});
static APACHE_TIME: LazyLock<TimeFormat> = LazyLock::new(|| {
    TimeFormat::compile("%a %b %e %H:%M:%S%.f %Y").expect("the format of Apache compiles")
});
static HAPROXY_TIME: LazyLock<TimeFormat> = LazyLock::new(|| {
    TimeFormat::compile("%d/%b/%Y:%H:%M:%S%.f").expect("the format of HAProxy compiles")
});
static W3C_TIME: LazyLock<TimeFormat> = LazyLock::new(|| {
    TimeFormat::compile("%Y-%m-%d %H:%M:%S%.f").expect("the format of W3C logs compiles")
});

/// What `parse_nginx` yields.
pub(super) const NGINX: &[FieldSpec] = &[
    ("timestamp", Type::Timestamp, false),
    ("client", Type::Text, true),
    ("user", Type::Text, true),
    ("method", Type::Text, true),
    ("path", Type::Text, true),
    ("protocol", Type::Text, true),
    ("status", Type::Int, true),
    ("bytes", Type::Int, true),
    ("referer", Type::Text, true),
    ("agent", Type::Text, true),
    ("forwarded_for", Type::Text, true),
    ("request_length", Type::Int, true),
    ("request_time", Type::Float, true),
    ("upstream_name", Type::Text, true),
    ("upstream", Type::Text, true),
    ("upstream_bytes", Type::Int, true),
    ("upstream_time", Type::Float, true),
    ("upstream_status", Type::Int, true),
    ("request_id", Type::Text, true),
    ("severity", Type::Severity, true),
    ("pid", Type::Int, true),
    ("tid", Type::Int, true),
    ("connection", Type::Int, true),
    ("server", Type::Text, true),
    ("host", Type::Text, true),
    ("message", Type::Text, true),
];

/// Words that are looked at: no format has as many, and hostile text has more.
const WORDS_MAX: usize = 256;

/// A record that is filled by name, so that two formats can share one shape.
struct Filled<'t> {
    shape: &'static [FieldSpec],
    values: Vec<Value<'t>>,
}

impl<'t> Filled<'t> {
    fn new(shape: &'static [FieldSpec]) -> Self {
        Self { shape, values: vec![Value::Absent(Absence::Missing); shape.len()] }
    }

    fn set(&mut self, name: &str, value: Value<'t>) {
        if let Some(at) = self.shape.iter().position(|(known, ..)| *known == name) {
            self.values[at] = value;
        }
    }
}

/// Reads a line of the access log (combined, or the ingress controller's) or of the error log.
pub(super) fn nginx(text: &str) -> Option<Vec<Value<'_>>> {
    let text = text.trim();
    if text.as_bytes().first()?.is_ascii_digit() && text.get(4..5) == Some("/") {
        nginx_error(text)
    } else {
        nginx_access(text)
    }
}

/// `GET /x HTTP/1.1`, of which scanners leave out what they like.
fn request<'t>(record: &mut Filled<'t>, line: &str) {
    let mut parts = line.split_ascii_whitespace().map(|part| Value::owned(part.to_owned()));
    if line == "-" {
        return;
    }
    for name in ["method", "path", "protocol"] {
        if let Some(part) = parts.next() {
            record.set(name, part);
        }
    }
}

fn nginx_access(text: &str) -> Option<Vec<Value<'_>>> {
    let mut record = Filled::new(NGINX);
    let (client, rest) = text.split_once(' ')?;
    let (who, rest) = rest.split_once('[')?;
    let (time, rest) = rest.split_once(']')?;
    record.set("timestamp", Value::Timestamp(ACCESS_TIME.read(time)?));
    record.set("client", Value::text(client));
    // `- user `, or in old ingress formats `- [client] - user `.
    record.set("user", unless_dash(who.trim().trim_start_matches("- ").trim()));
    let rest = match rest.trim_start().strip_prefix('[') {
        Some(inner) => inner.split_once(']')?.1,
        None => rest,
    };
    let quoted = rest.trim_start();
    let (line, rest) = unquote(quoted)?;
    // Bytes that are no request (TLS on a plain port) are written as `\x16\x03`.
    if !quoted.starts_with("\"\\x") {
        request(&mut record, &line);
    }
    let (status, rest) = rest.trim_start().split_once(' ')?;
    record.set("status", Value::Int(read::int(status)?));
    let words: Vec<Cow<'_, str>> = words(rest).take(WORDS_MAX).collect();
    let word = |at: usize| words.get(at).map_or("", |word| &**word);
    let own = |text: &str| unless_dash(text).into_static();
    record.set("bytes", maybe_int(read::int(word(0))));
    record.set("referer", own(word(1)));
    record.set("agent", own(word(2)));
    if read::int(word(3)).is_none() {
        record.set("forwarded_for", own(word(3)));
        return Some(record.values);
    }
    // What the ingress controller adds. Lists of upstreams are written `a, b`, and the last one answered.
    let mut tail: Vec<String> = Vec::new();
    for word in words.iter().skip(3) {
        match tail.last_mut() {
            Some(open) if open.ends_with(',') => open.push_str(word),
            _ => tail.push(word.clone().into_owned()),
        }
    }
    let mut tail = tail.into_iter().peekable();
    let last = |list: Option<String>| {
        list.map(|list| list.rsplit([',', ':']).next().unwrap_or("").trim().to_owned())
    };
    let int = |list: Option<String>| maybe_int(last(list).and_then(|word| read::int(&word)));
    let float = |list: Option<String>| maybe_float(last(list).and_then(|word| read::float(&word)));
    record.set("request_length", int(tail.next()));
    record.set("request_time", float(tail.next()));
    record.set("upstream_name", own(tail.next().unwrap_or_default().trim_matches(['[', ']'])));
    // The alternative upstream of a canary, in newer versions.
    if tail.peek().is_some_and(|word| word.starts_with('[') && word.ends_with(']')) {
        tail.next();
    }
    record.set("upstream", own(&tail.next().unwrap_or_default()));
    record.set("upstream_bytes", int(tail.next()));
    record.set("upstream_time", float(tail.next()));
    record.set("upstream_status", int(tail.next()));
    record.set("request_id", own(&tail.next().unwrap_or_default()));
    Some(record.values)
}

/// `2026/05/01 10:00:00 [error] 31#7: *12 message, client: …, server: …, request: "…", host: "…"`.
fn nginx_error(text: &str) -> Option<Vec<Value<'_>>> {
    let mut record = Filled::new(NGINX);
    let (time, rest) = text.split_at_checked(19)?;
    record.set("timestamp", Value::Timestamp(NGINX_TIME.read(time)?));
    let (level, rest) = rest.trim_start().strip_prefix('[')?.split_once(']')?;
    let severity = match level {
        "emerg" => read::severity("fatal", SeverityScheme::Auto),
        "alert" | "crit" => read::severity("critical", SeverityScheme::Auto),
        level => read::severity(level, SeverityScheme::Auto),
    };
    record.set("severity", Value::or_absent(severity.map(Value::Severity), Absence::Parse));
    let (ids, rest) = rest.trim_start().split_once(": ")?;
    let (pid, tid) = ids.split_once('#')?;
    record.set("pid", maybe_int(read::int(pid)));
    record.set("tid", maybe_int(read::int(tid)));
    let rest = match rest.strip_prefix('*').and_then(|rest| rest.split_once(' ')) {
        Some((connection, rest)) => {
            record.set("connection", maybe_int(read::int(connection)));
            rest
        }
        None => rest,
    };
    // The message may hold commas, so it is what stands before the first part that is known.
    let parts = ["client", "server", "request", "upstream", "host", "referrer"];
    let mut starts: Vec<(usize, &str)> = parts
        .iter()
        .filter_map(|name| {
            let mark = format!(", {name}: ");
            rest.find(&mark).map(|at| (at, *name))
        })
        .collect();
    starts.sort_unstable();
    let end = starts.first().map_or(rest.len(), |(at, _)| *at);
    record.set("message", Value::text(&rest[..end]));
    for (index, (at, name)) in starts.iter().enumerate() {
        let until = starts.get(index + 1).map_or(rest.len(), |(next, _)| *next);
        let value = rest[at + name.len() + 4..until].trim();
        let value = value.strip_prefix('"').and_then(|it| it.strip_suffix('"')).unwrap_or(value);
        match *name {
            "request" => request(&mut record, value),
            "referrer" => record.set("referer", unless_dash(value)),
            name => record.set(name, unless_dash(value)),
        }
    }
    Some(record.values)
}

/// What `parse_apache_error` yields.
pub(super) const APACHE: &[FieldSpec] = &[
    ("timestamp", Type::Timestamp, false),
    ("module", Type::Text, true),
    ("severity", Type::Severity, true),
    ("pid", Type::Int, true),
    ("tid", Type::Int, true),
    ("client", Type::Text, true),
    ("port", Type::Int, true),
    ("code", Type::Text, true),
    ("message", Type::Text, false),
];

/// Reads a line of Apache's error log, of 2.2 or 2.4.
pub(super) fn apache(text: &str) -> Option<Vec<Value<'_>>> {
    let mut record = Filled::new(APACHE);
    let (time, mut rest) = text.trim().strip_prefix('[')?.split_once(']')?;
    record.set("timestamp", Value::Timestamp(APACHE_TIME.read(time)?));
    while let Some((part, behind)) =
        rest.trim_start().strip_prefix('[').and_then(|part| part.split_once(']'))
    {
        if let Some(pids) = part.strip_prefix("pid ") {
            let (pid, tid) = match pids.split_once(":tid ") {
                Some((pid, tid)) => (pid, Some(tid)),
                None => (pids, None),
            };
            record.set("pid", maybe_int(read::int(pid)));
            record.set("tid", maybe_int(tid.and_then(read::int)));
        } else if let Some(client) =
            part.strip_prefix("client ").or_else(|| part.strip_prefix("remote "))
        {
            let (host, port) = match client.rsplit_once(':') {
                Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                    (host, read::int(port))
                }
                _ => (client, None),
            };
            record.set("client", unless_dash(host.trim_matches(['[', ']'])));
            record.set("port", maybe_int(port));
        } else if let Some(level) = severity_of(part.rsplit(':').next().unwrap_or(part)) {
            let module = part.rsplit_once(':').map(|(module, _)| module);
            record.set("module", maybe(module.filter(|module| !module.is_empty())));
            record.set("severity", Value::Severity(level));
        } else {
            break;
        }
        rest = behind;
    }
    let message = rest.trim_start();
    let code = message.split_once(": ").map(|(code, _)| code).filter(|code| {
        code.len() > 4 && code.starts_with("AH") && code[2..].bytes().all(|it| it.is_ascii_digit())
    });
    record.set("code", maybe(code));
    let message = code.map_or(message, |code| message[code.len() + 1..].trim_start());
    record.set("message", Value::text(message));
    Some(record.values)
}

/// Apache's levels: `trace1` to `trace8` are one.
fn severity_of(level: &str) -> Option<crate::column::Severity> {
    let level = level.trim_end_matches(|c: char| c.is_ascii_digit());
    match level {
        "emerg" => read::severity("fatal", SeverityScheme::Auto),
        "alert" | "crit" => read::severity("critical", SeverityScheme::Auto),
        "" => None,
        level => read::severity(level, SeverityScheme::Auto),
    }
}

/// What `parse_haproxy` yields. Times are milliseconds, -1 where the connection ended before.
pub(super) const HAPROXY: &[FieldSpec] = &[
    ("timestamp", Type::Timestamp, false),
    ("client", Type::Text, false),
    ("port", Type::Int, true),
    ("frontend", Type::Text, false),
    ("backend", Type::Text, true),
    ("server", Type::Text, true),
    ("request_ms", Type::Int, true),
    ("queue_ms", Type::Int, true),
    ("connect_ms", Type::Int, true),
    ("response_ms", Type::Int, true),
    ("total_ms", Type::Int, true),
    ("status", Type::Int, true),
    ("bytes", Type::Int, true),
    ("termination", Type::Text, true),
    ("connections", Type::Int, true),
    ("retries", Type::Int, true),
    ("server_queue", Type::Int, true),
    ("backend_queue", Type::Int, true),
    ("request_headers", Type::Text, true),
    ("response_headers", Type::Text, true),
    ("method", Type::Text, true),
    ("path", Type::Text, true),
    ("protocol", Type::Text, true),
];

/// Reads a line of HAProxy's HTTP or TCP log, a syslog header before it or not.
pub(super) fn haproxy(text: &str) -> Option<Vec<Value<'_>>> {
    let mut record = Filled::new(HAPROXY);
    // The time in brackets is the first that looks like one; `haproxy[123]:` may come before.
    let text = text.trim();
    let (at, time) = text.match_indices('[').find_map(|(at, _)| {
        // A time has some 25 bytes: a bracket that stays open must not be searched to the end.
        let near = &text.as_bytes()[at + 1..text.len().min(at + 40)];
        let inside = text.get(at + 1..at + 1 + memchr::memchr(b']', near)?)?;
        Some((at, HAPROXY_TIME.read(inside)?))
    })?;
    record.set("timestamp", Value::Timestamp(time));
    let client = text[..at].split_ascii_whitespace().next_back()?;
    let (client, port) = client.rsplit_once(':')?;
    record.set("client", Value::text(client));
    record.set("port", maybe_int(read::int(port)));
    let (_, rest) = text[at..].split_once(']')?;
    let mut parts = rest.split_ascii_whitespace();
    record.set("frontend", Value::text(parts.next()?.trim_end_matches('~')));
    let (backend, server) = parts.next()?.split_once('/')?;
    record.set("backend", unless_dash(backend));
    record.set("server", unless_dash(server));
    // A `+` marks what had not ended when it was logged.
    let int = |text: &str| read::int(text.trim_start_matches('+'));
    let timers: Vec<Option<i64>> = parts.next()?.split('/').map(int).collect();
    let names: &[&str] = match timers.len() {
        5 => &["request_ms", "queue_ms", "connect_ms", "response_ms", "total_ms"],
        3 => &["queue_ms", "connect_ms", "total_ms"],
        _ => return None,
    };
    for (name, timer) in names.iter().zip(&timers) {
        record.set(name, maybe_int(*timer));
    }
    let http = timers.len() == 5;
    if http {
        record.set("status", maybe_int(parts.next().and_then(int).filter(|status| *status > 0)));
    }
    record.set("bytes", maybe_int(parts.next().and_then(int)));
    if http {
        // Captured cookies.
        parts.next()?;
        parts.next()?;
    }
    record.set("termination", Value::text(parts.next()?));
    let mut counts = parts.next()?.split('/');
    record.set("connections", maybe_int(counts.next().and_then(int)));
    record.set("retries", maybe_int(counts.nth(3).and_then(int)));
    let mut queues = parts.next()?.split('/');
    record.set("server_queue", maybe_int(queues.next().and_then(int)));
    record.set("backend_queue", maybe_int(queues.next().and_then(int)));
    let mut left = rest;
    if let Some(quote) = rest.find('"') {
        request(&mut record, rest[quote + 1..].trim_end_matches('"'));
        left = &rest[..quote];
    }
    let headers = left
        .match_indices('{')
        .filter_map(|(at, _)| left[at + 1..].split_once('}').map(|(inside, _)| inside));
    for (name, inside) in ["request_headers", "response_headers"].into_iter().zip(headers) {
        record.set(name, unless_dash(inside));
    }
    Some(record.values)
}

/// The fields of IIS where nobody said otherwise.
const IIS: &str = "date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Referer) sc-status sc-substatus sc-win32-status time-taken";

/// Reads a line of the W3C extended format by the names of its `#Fields:` line; `timestamp` is made of date and time.
pub(super) fn w3c(text: &str, names: Option<&str>) -> Option<Value<'static>> {
    let names = names.unwrap_or(IIS);
    let names = names.trim().trim_start_matches("#Fields:").split_ascii_whitespace();
    if text.starts_with('#') {
        return None;
    }
    let mut all: Ordered<'_, Value<'_>> = Ordered::default();
    let mut values = words(text.trim());
    let (mut date, mut time) = (None, None);
    for name in names.take(WORDS_MAX) {
        let value = values.next()?;
        match name {
            "date" => date = Some(value.clone().into_owned()),
            "time" => time = Some(value.clone().into_owned()),
            _ => {}
        }
        let value = match read::int(&value) {
            _ if value == "-" => Value::Absent(Absence::Null),
            Some(number) => Value::Int(number),
            // Blanks are written as plus signs.
            None if name.starts_with("cs(") => Value::owned(value.replace('+', " ")),
            None => Value::Text(value),
        };
        all.put(Cow::Borrowed(name), value);
    }
    if values.next().is_some() {
        return None;
    }
    let mut out = MapText::new();
    if let Some((date, time)) = date.zip(time) {
        let moment = W3C_TIME.read(&format!("{date} {time}"))?;
        out.value("timestamp", &Value::Timestamp(moment));
    }
    for (name, value) in all.members {
        if !matches!(&*name, "date" | "time") {
            out.value(&name, &value);
        }
    }
    Some(out.finish())
}
