//! Access logs of Amazon: load balancers, flows, CloudFront.

use std::{borrow::Cow, sync::LazyLock};

use super::words;
use crate::{
    column::{Absence, Value},
    functions::{
        read,
        records::{FieldSpec, maybe_float, maybe_int, unless_dash},
        strptime::TimeFormat,
    },
    types::Type,
};

/// What `parse_aws_alb` yields.
pub(super) const ALB: &[FieldSpec] = &[
    ("type", Type::Text, false),
    ("timestamp", Type::Timestamp, false),
    ("elb", Type::Text, false),
    ("client", Type::Text, true),
    ("client_port", Type::Int, true),
    ("target", Type::Text, true),
    ("target_port", Type::Int, true),
    ("request_time", Type::Float, true),
    ("target_time", Type::Float, true),
    ("response_time", Type::Float, true),
    ("status", Type::Int, true),
    ("target_status", Type::Int, true),
    ("received_bytes", Type::Int, true),
    ("sent_bytes", Type::Int, true),
    ("method", Type::Text, true),
    ("url", Type::Text, true),
    ("protocol", Type::Text, true),
    ("agent", Type::Text, true),
    ("ssl_cipher", Type::Text, true),
    ("ssl_protocol", Type::Text, true),
    ("target_group", Type::Text, true),
    ("trace_id", Type::Text, true),
    ("domain", Type::Text, true),
    ("certificate", Type::Text, true),
    ("rule_priority", Type::Int, true),
    ("created", Type::Timestamp, true),
    ("actions", Type::Text, true),
    ("redirect_url", Type::Text, true),
    ("error_reason", Type::Text, true),
    ("targets", Type::Text, true),
    ("target_statuses", Type::Text, true),
    ("classification", Type::Text, true),
    ("classification_reason", Type::Text, true),
];

fn own(word: &str) -> Value<'static> {
    unless_dash(word).into_static()
}

/// A number that is -1 where there was nothing to measure.
fn seconds(word: &str) -> Value<'static> {
    maybe_float(read::float(word).filter(|number| *number >= 0.0))
}

/// Reads a line of an application load balancer, of any of its versions.
pub(super) fn alb(text: &str) -> Option<Vec<Value<'_>>> {
    let words: Vec<Cow<'_, str>> = words(text.trim()).take(64).collect();
    let word = |at: usize| words.get(at).map_or("-", |word| &**word);
    if words.len() < 17 || !matches!(word(0), "http" | "https" | "h2" | "grpcs" | "ws" | "wss") {
        return None;
    }
    let mut values = vec![own(word(0)), Value::Timestamp(read::timestamp(word(1))?), own(word(2))];
    for at in [3, 4] {
        match word(at).rsplit_once(':') {
            Some((host, port)) => values.extend([own(host), maybe_int(read::int(port))]),
            None => values.extend([own(word(at)), maybe_int(None)]),
        }
    }
    values.extend([5, 6, 7].map(|at| seconds(word(at))));
    values.extend([8, 9, 10, 11].map(|at| maybe_int(read::int(word(at)))));
    let mut request = word(12).splitn(2, ' ');
    let method = request.next().unwrap_or("-");
    let (url, protocol) =
        request.next().and_then(|rest| rest.rsplit_once(' ')).unwrap_or(("-", "-"));
    values.extend([own(method), own(url), own(protocol.trim())]);
    values.extend((13..20).map(|at| own(word(at))));
    values.push(maybe_int(read::int(word(20))));
    let created = read::timestamp(word(21)).map(Value::Timestamp);
    values.push(Value::or_absent(created, Absence::Missing));
    values.extend((22..29).map(|at| own(word(at))));
    Some(values)
}

/// What `parse_aws_vpc` yields.
pub(super) const VPC: &[FieldSpec] = &[
    ("version", Type::Int, false),
    ("account_id", Type::Text, true),
    ("interface_id", Type::Text, true),
    ("src", Type::Ip, true),
    ("dst", Type::Ip, true),
    ("src_port", Type::Int, true),
    ("dst_port", Type::Int, true),
    ("protocol", Type::Int, true),
    ("packets", Type::Int, true),
    ("bytes", Type::Int, true),
    ("start", Type::Timestamp, true),
    ("end", Type::Timestamp, true),
    ("action", Type::Text, true),
    ("log_status", Type::Text, true),
];

/// Reads a flow in the default format; what a custom format adds behind it is passed over.
pub(super) fn vpc(text: &str) -> Option<Vec<Value<'_>>> {
    let words: Vec<&str> = text.split_ascii_whitespace().take(64).collect();
    let [version, account, interface, src, dst, ports @ ..] = words.as_slice() else { return None };
    let [src_port, dst_port, protocol, packets, bytes, start, end, action, status, ..] = ports
    else {
        return None;
    };
    if !matches!(*action, "ACCEPT" | "REJECT" | "-") {
        return None;
    }
    let int = |word: &str| maybe_int(read::int(word));
    let ip = |word: &str| Value::or_absent(read::ip(word).map(Value::Ip), Absence::Missing);
    let time = |word: &str| {
        let nanos =
            read::int(word).and_then(|seconds| read::epoch_int(seconds, Some(read::Unit::Seconds)));
        Value::or_absent(nanos.map(Value::Timestamp), Absence::Missing)
    };
    Some(vec![
        Value::Int(read::int(version)?),
        unless_dash(account),
        unless_dash(interface),
        ip(src),
        ip(dst),
        int(src_port),
        int(dst_port),
        int(protocol),
        int(packets),
        int(bytes),
        time(start),
        time(end),
        unless_dash(action),
        unless_dash(status),
    ])
}

/// What `parse_cloudfront` yields, in the order of the columns behind date and time.
pub(super) const CLOUDFRONT: &[FieldSpec] = &[
    ("timestamp", Type::Timestamp, false),
    ("edge_location", Type::Text, true),
    ("bytes", Type::Int, true),
    ("client", Type::Text, true),
    ("method", Type::Text, true),
    ("distribution", Type::Text, true),
    ("path", Type::Text, true),
    ("status", Type::Int, true),
    ("referer", Type::Text, true),
    ("agent", Type::Text, true),
    ("query", Type::Text, true),
    ("cookie", Type::Text, true),
    ("result", Type::Text, true),
    ("request_id", Type::Text, true),
    ("host", Type::Text, true),
    ("scheme", Type::Text, true),
    ("received_bytes", Type::Int, true),
    ("time_taken", Type::Float, true),
    ("forwarded_for", Type::Text, true),
    ("ssl_protocol", Type::Text, true),
    ("ssl_cipher", Type::Text, true),
    ("response_result", Type::Text, true),
    ("protocol", Type::Text, true),
    ("fle_status", Type::Text, true),
    ("fle_fields", Type::Int, true),
    ("client_port", Type::Int, true),
    ("first_byte_time", Type::Float, true),
    ("detailed_result", Type::Text, true),
    ("content_type", Type::Text, true),
    ("content_length", Type::Int, true),
    ("range_start", Type::Int, true),
    ("range_end", Type::Int, true),
];

static CLOUDFRONT_TIME: LazyLock<TimeFormat> = LazyLock::new(|| {
    TimeFormat::compile("%Y-%m-%d %H:%M:%S").expect("the format of CloudFront compiles")
});

/// Reads a line of CloudFront's standard log; older lines have fewer columns.
pub(super) fn cloudfront(text: &str) -> Option<Vec<Value<'_>>> {
    if text.starts_with('#') {
        return None;
    }
    let mut columns = text.trim_end_matches(['\n', '\r']).split('\t');
    let (date, time) = (columns.next()?, columns.next()?);
    let moment = CLOUDFRONT_TIME.read(&format!("{date} {time}"))?;
    let mut values = vec![Value::Timestamp(moment)];
    let mut n_columns = 0;
    for (name, ty, _) in &CLOUDFRONT[1..] {
        let column = columns.next();
        n_columns += usize::from(column.is_some());
        let word = column.unwrap_or("-");
        values.push(match ty {
            Type::Int => maybe_int(read::int(word)),
            Type::Float => maybe_float(read::float(word)),
            _ if *name == "agent" && word.contains('%') => own(
                // Blanks are escaped once, percent signs of the client twice.
                &percent_encoding::percent_decode_str(word).decode_utf8_lossy(),
            ),
            _ => unless_dash(word),
        });
    }
    (n_columns >= 10).then_some(values)
}
