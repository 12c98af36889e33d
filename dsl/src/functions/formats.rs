//! Functions: lines that products write and transports wrap. What does not fit is absent with the cause `parse`.

mod cef;
mod cloud;
mod containers;
mod postgres;
mod web;

use std::borrow::Cow;

use super::{
    Family, Function, Kernel, Param, RowArg, Takes, items,
    pattern::unquote,
    records::{record_type, records, records_at},
    signature::{TEXT, UNREADABLE, WRONG_TYPE, may, needs, text_ref},
};
use crate::{
    column::{Value, json},
    eval::RowContext,
    types::{Ty, Type},
};

const LINE: &[Param] = &[needs("s", TEXT)];

/// Most members of a JSON object that an envelope has.
const MEMBERS_MAX: usize = 1_000;

/// Transports and products.
pub(super) const FUNCTIONS: &[Function] = &[
    entry(
        "parse_cef",
        LINE,
        |_| record_type(cef::CEF),
        "An event in the Common Event Format, a syslog header before it or not.",
        &[(
            "parse_cef(\"CEF:0|Acme|Wall|1.0|100|blocked|8|src=10.0.0.1 msg=no way in\").extension.msg",
            "\"no way in\"",
        )],
        Kernel::Columns(|context, mask| records(context, mask, cef::CEF, cef::cef)),
    ),
    entry(
        "parse_leef",
        LINE,
        |_| record_type(cef::LEEF),
        "An event in the Log Event Extended Format, version 1 or 2.",
        &[(
            "parse_leef(\"LEEF:2.0|Acme|Wall|1.0|100|^|src=10.0.0.1^usr=bob\").attributes.usr",
            "\"bob\"",
        )],
        Kernel::Columns(|context, mask| records(context, mask, cef::LEEF, cef::leef)),
    ),
    entry(
        "parse_gelf",
        LINE,
        |_| record_type(containers::GELF),
        "A message of Graylog's GELF; additional fields lose their underscore and stand in `fields`.",
        &[(
            "parse_gelf(\"{\\\"version\\\":\\\"1.1\\\",\\\"host\\\":\\\"web\\\",\\\"short_message\\\":\\\"x\\\",\\\"level\\\":3}\").severity",
            "\"error\"",
        )],
        Kernel::Columns(|context, mask| records(context, mask, containers::GELF, containers::gelf)),
    ),
    entry(
        "parse_cri",
        LINE,
        |_| record_type(containers::CRI),
        "A line that a container runtime of Kubernetes wrote: time, stream, whether the line goes on, message.",
        &[("parse_cri(\"2026-05-01T10:00:00.5Z stderr F boom\").message", "\"boom\"")],
        Kernel::Columns(|context, mask| records(context, mask, containers::CRI, containers::cri)),
    ),
    entry(
        "parse_docker_json",
        LINE,
        |_| record_type(containers::DOCKER),
        "A line of Docker's `json-file` driver, without the line end of its message; one that has none goes on.",
        &[(
            "parse_docker_json(\"{\\\"log\\\":\\\"boom\\\\n\\\",\\\"stream\\\":\\\"stderr\\\",\\\"time\\\":\\\"2026-05-01T10:00:00Z\\\"}\").message",
            "\"boom\"",
        )],
        Kernel::Columns(|context, mask| {
            records(context, mask, containers::DOCKER, containers::docker)
        }),
    ),
    entry(
        "parse_journald",
        LINE,
        |_| record_type(containers::JOURNALD),
        "An entry of `journalctl -o json`; what has no field of its own stands in `fields`.",
        &[(
            "parse_journald(\"{\\\"MESSAGE\\\":\\\"up\\\",\\\"PRIORITY\\\":\\\"6\\\",\\\"_PID\\\":\\\"1\\\"}\").severity",
            "\"info\"",
        )],
        Kernel::Columns(|context, mask| {
            records(context, mask, containers::JOURNALD, containers::journald)
        }),
    ),
    entry(
        "parse_klog",
        LINE,
        |_| record_type(containers::KLOG),
        "A line of Kubernetes' components; its missing year is that of `now()`.",
        &[("parse_klog(\"E1201 10:00:00.123456    12 pod.go:55] boom\").file", "\"pod.go\"")],
        Kernel::Columns(|context, mask| {
            records_at(context, mask, containers::KLOG, containers::klog)
        }),
    ),
    entry(
        "parse_glog",
        LINE,
        |_| record_type(containers::KLOG),
        "A line of Google's C++ logging, with a year (since 0.6) or without one.",
        &[("parse_glog(\"W20260501 10:00:00.123456 12 main.cc:7] low\").severity", "\"warn\"")],
        Kernel::Columns(|context, mask| {
            records_at(context, mask, containers::KLOG, containers::klog)
        }),
    ),
    entry(
        "parse_traceparent",
        LINE,
        |_| record_type(containers::TRACEPARENT),
        "The W3C header that carries a trace.",
        &[(
            "parse_traceparent(\"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\").sampled",
            "true",
        )],
        Kernel::Columns(|context, mask| {
            records(context, mask, containers::TRACEPARENT, containers::traceparent)
        }),
    ),
    entry(
        "parse_nginx",
        &[needs("s", TEXT), may("format", Takes::Choice(&["auto", "access", "error", "ingress"]))],
        |_| record_type(web::NGINX),
        "A line of nginx: access log (combined), ingress controller or error log, told apart by their look.",
        &[(
            "parse_nginx(\"2026/05/01 10:00:00 [error] 31#7: *12 open() failed, client: 10.0.0.1, server: x\").client",
            "\"10.0.0.1\"",
        )],
        Kernel::Columns(|context, mask| records(context, mask, web::NGINX, web::nginx)),
    ),
    entry(
        "parse_apache_error",
        LINE,
        |_| record_type(web::APACHE),
        "A line of Apache's error log, of 2.2 or 2.4.",
        &[(
            "parse_apache_error(\"[Fri May 01 10:00:00.5 2026] [core:error] [pid 7:tid 8] [client 10.0.0.1:99] AH00128: File does not exist\").code",
            "\"AH00128\"",
        )],
        Kernel::Columns(|context, mask| records(context, mask, web::APACHE, web::apache)),
    ),
    entry(
        "parse_haproxy",
        LINE,
        |_| record_type(web::HAPROXY),
        "A line of HAProxy's HTTP or TCP log; times are milliseconds.",
        &[(
            "parse_haproxy(\"10.0.1.2:33317 [06/Feb/2026:12:14:14.655] http-in static/srv1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 \\\"GET / HTTP/1.1\\\"\").total_ms",
            "109",
        )],
        Kernel::Columns(|context, mask| records(context, mask, web::HAPROXY, web::haproxy)),
    ),
    entry(
        "parse_w3c",
        &[needs("s", TEXT), may("fields", TEXT)],
        |_| Ty::optional(Type::map(Type::Any)),
        "A line of the W3C extended format by the names in `fields` (its `#Fields:` line; that of IIS unless told otherwise), with a `timestamp` made of date and time.",
        &[(
            "parse_w3c(\"2026-05-01 10:00:00 GET 200\", \"date time cs-method sc-status\")",
            "{\"timestamp\":\"2026-05-01T10:00:00Z\",\"cs-method\":\"GET\",\"sc-status\":200}",
        )],
        Kernel::Rows(w3c),
    ),
    entry(
        "parse_aws_alb",
        LINE,
        |_| record_type(cloud::ALB),
        "A line of an application load balancer of Amazon.",
        &[(
            "parse_aws_alb(\"http 2026-05-01T10:00:00.186641Z app/lb/50 192.168.131.39:2817 10.0.0.1:80 0.000 0.001 0.000 200 200 34 366 \\\"GET http://www.example.com:80/ HTTP/1.1\\\" \\\"curl/7.46.0\\\" - - arn:x\").status",
            "200",
        )],
        Kernel::Columns(|context, mask| records(context, mask, cloud::ALB, cloud::alb)),
    ),
    entry(
        "parse_aws_vpc",
        LINE,
        |_| record_type(cloud::VPC),
        "A flow of Amazon's VPC in the default format.",
        &[(
            "parse_aws_vpc(\"2 123456789010 eni-1 172.31.16.139 172.31.16.21 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK\").dst_port",
            "22",
        )],
        Kernel::Columns(|context, mask| records(context, mask, cloud::VPC, cloud::vpc)),
    ),
    entry(
        "parse_cloudfront",
        LINE,
        |_| record_type(cloud::CLOUDFRONT),
        "A line of CloudFront's standard log.",
        &[(
            "parse_cloudfront(\"2026-05-01\\t10:00:00\\tFRA2\\t392\\t10.0.0.1\\tGET\\td1.cloudfront.net\\t/x\\t200\\t-\\tcurl%2520/8\\t-\").status",
            "200",
        )],
        Kernel::Columns(|context, mask| {
            records(context, mask, cloud::CLOUDFRONT, cloud::cloudfront)
        }),
    ),
    entry(
        "parse_postgres",
        LINE,
        |_| record_type(postgres::FIELDS),
        "A line of PostgreSQL's server log with one of the usual prefixes.",
        &[(
            "parse_postgres(\"2026-05-01 10:00:00.123 UTC [1234] bob@shop LOG:  duration: 12.5 ms  statement: SELECT 1\").duration",
            "\"12ms500us\"",
        )],
        Kernel::Columns(|context, mask| records(context, mask, postgres::FIELDS, postgres::parse)),
    ),
];

/// An entry of this family: its functions stand in two files.
pub(super) const fn entry(
    name: &'static str,
    params: &'static [Param],
    returns: fn(&[Option<Ty>]) -> Ty,
    doc: &'static str,
    examples: &'static [(&'static str, &'static str)],
    kernel: Kernel,
) -> Function {
    Function::new(name, Family::Parsing, params, returns, doc, examples, kernel)
}

fn w3c<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(text) = text_ref(args, 0) else { return WRONG_TYPE };
    web::w3c(text, text_ref(args, 1)).unwrap_or(UNREADABLE)
}

/// Words between blanks; quoted ones lose their quotes.
fn words(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        if rest.is_empty() {
            return None;
        }
        if let Some((inside, behind)) = unquote(rest) {
            rest = behind;
            return Some(inside);
        }
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        rest = behind;
        Some(Cow::Borrowed(word))
    })
}

/// The members of a text that is a JSON object.
fn json_members(text: &str) -> Option<Vec<(Cow<'_, str>, Value<'_>)>> {
    let text = text.trim();
    if !text.starts_with('{') || !super::documents::is_json(text) {
        return None;
    }
    let members: Vec<_> =
        json::object(text).take(MEMBERS_MAX).map(|(key, raw)| (key, items::decode(raw))).collect();
    Some(members)
}
