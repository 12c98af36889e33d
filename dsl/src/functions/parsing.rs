//! Functions: parsing. Text that does not fit gives an absent value with the cause `parse` or `no_match`.

use super::{
    Family, Function, Kernel, Param, RowArg, Takes, access, dates, documents,
    items::{MapText, Ordered},
    read,
    records::{record_type, records, records_at},
    signature::{
        INT, TEXT, UNREADABLE, WRONG_TYPE, may, maybe_any, maybe_int, maybe_texts, needs, text_ref,
    },
    syslog,
    twin::{STORED, Sql},
    urls, user_agent,
};
use crate::{
    column::{Absence, Value},
    eval::RowContext,
    types::{Ty, Type},
};

/// Parsing.
pub const FUNCTIONS: &[Function] = &[
    entry(
        "parse_json",
        &[needs("s", TEXT), may("max_depth", INT)],
        maybe_any,
        "The JSON value that the whole text is; deeper than 64 levels (or `max_depth`) it is refused.",
        &[("parse_json(\"{\\\"a\\\":[1]}\")", "{\"a\":[1]}")],
        Kernel::Rows(documents::parse_json),
        Sql::None(STORED),
    ),
    entry(
        "parse_logfmt",
        &[needs("s", TEXT)],
        maybe_texts,
        "The `key=value` pairs of a line; values may be quoted, a key alone is `true`.",
        &[(
            "parse_logfmt(\"level=info msg=\\\"a b\\\" ok\")",
            "{\"level\":\"info\",\"msg\":\"a b\",\"ok\":\"true\"}",
        )],
        Kernel::Rows(documents::parse_logfmt),
        Sql::None(STORED),
    ),
    entry(
        "parse_kv",
        &[needs("s", TEXT), may("kv", TEXT), may("sep", TEXT), may("quote", TEXT)],
        maybe_texts,
        "Pairs of key and value (`=` between them, blanks between pairs, unless told otherwise); what is no pair is passed over.",
        &[("parse_kv(\"a:1;b:2\", kv: \":\", sep: \";\")", "{\"a\":\"1\",\"b\":\"2\"}")],
        Kernel::Rows(documents::parse_kv),
        Sql::None(STORED),
    ),
    entry(
        "parse_url",
        &[needs("s", TEXT)],
        |_| record_type(urls::FIELDS),
        "The parts of a URL by the rules of browsers; the host comes without port, a scheme's own port is left out.",
        &[("parse_url(\"https://shop.example:8443/cart?id=4\").port", "8443")],
        Kernel::Columns(|context, mask| records(context, mask, urls::FIELDS, urls::parse)),
        Sql::None(STORED),
    ),
    entry(
        "parse_query",
        &[needs("s", TEXT)],
        maybe_texts,
        "The parameters of a query, decoded; of repeated ones the last wins.",
        &[("parse_query(\"?a=1&b=x+y\")", "{\"a\":\"1\",\"b\":\"x y\"}")],
        Kernel::Rows(parse_query),
        Sql::None(STORED),
    ),
    entry(
        "parse_timestamp",
        &[needs("x", Takes::Any), may("formats", Takes::Formats), may("tz", TEXT)],
        |_| Ty::optional(Type::Timestamp),
        "The instant of a text in RFC 3339, a usual log format, an epoch number, or one of the given strptime formats; without an offset it is in `tz` (UTC).",
        &[
            ("parse_timestamp(\"01/May/2026:10:00:00 +0200\")", "\"2026-05-01T08:00:00Z\""),
            ("parse_timestamp(\"1.5.2026\", formats: [\"%d.%m.%Y\"])", "\"2026-05-01T00:00:00Z\""),
        ],
        Kernel::Rows(dates::parse_timestamp),
        Sql::None(STORED),
    ),
    entry(
        "parse_duration",
        &[needs("s", TEXT)],
        |_| Ty::optional(Type::Duration),
        "The duration of a text such as `1h30m`, `250 ms`, `PT1M` or `2 minutes`.",
        &[
            ("parse_duration(\"250 ms\")", "\"250ms\""),
            ("parse_duration(\"PT1M30S\")", "\"1m30s\""),
        ],
        Kernel::Rows(dates::parse_duration),
        Sql::None(STORED),
    ),
    entry(
        "parse_bytes",
        &[needs("s", TEXT)],
        maybe_int,
        "The number of bytes of a text such as `10KiB` (1024) or `1.5 MB` (1000).",
        &[("parse_bytes(\"10KiB\")", "10240"), ("parse_bytes(\"1.5 MB\")", "1500000")],
        Kernel::Rows(parse_bytes),
        Sql::None(STORED),
    ),
    entry(
        "parse_user_agent",
        &[needs("s", TEXT), may("mode", Takes::Choice(&["fast", "full"]))],
        |_| record_type(user_agent::FIELDS),
        "Browser, operating system and kind of device by the names that a user agent gives itself; `full` asks a database, which knows more names and takes longer.",
        &[
            ("parse_user_agent(\"curl/8.5.0\").browser", "\"curl\""),
            (
                "parse_user_agent(\"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)\", full).device",
                "\"bot\"",
            ),
        ],
        Kernel::Columns(|context, mask| {
            let full = context.choice(1) == Some("full");
            let parse = if full { user_agent::parse_full } else { user_agent::parse };
            records(context, mask, user_agent::FIELDS, parse)
        }),
        Sql::None(STORED),
    ),
    entry(
        "parse_clf",
        &[needs("s", TEXT)],
        |_| record_type(access::FIELDS),
        "A line of the common or combined log format of web servers.",
        &[(
            "parse_clf(\"10.0.0.1 - bob [01/May/2026:10:00:00 +0000] \\\"GET /x HTTP/1.1\\\" 200 17\").status",
            "200",
        )],
        Kernel::Columns(|context, mask| records(context, mask, access::FIELDS, access::parse)),
        Sql::None(STORED),
    ),
    entry(
        "parse_syslog",
        &[needs("s", TEXT)],
        |_| record_type(syslog::FIELDS),
        "A syslog line by RFC 5424 or RFC 3164, whose missing year is that of `now()`.",
        &[("parse_syslog(\"<34>Oct 11 22:14:15 web su[7]: failed\").app", "\"su\"")],
        Kernel::Columns(|context, mask| records_at(context, mask, syslog::FIELDS, syslog::parse)),
        Sql::None(STORED),
    ),
];

const fn entry(
    name: &'static str,
    params: &'static [Param],
    returns: fn(&[Option<Ty>]) -> Ty,
    doc: &'static str,
    examples: &'static [(&'static str, &'static str)],
    kernel: Kernel,
    sql: Sql,
) -> Function {
    Function { sql, ..Function::new(name, Family::Parsing, params, returns, doc, examples, kernel) }
}

fn parse_query<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(text) = text_ref(args, 0) else { return WRONG_TYPE };
    let query = text.strip_prefix('?').unwrap_or(text);
    let mut pairs = Ordered::default();
    for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
        pairs.put(key, value);
    }
    let mut map = MapText::new();
    for (key, value) in pairs.members {
        map.value(&key, &Value::Text(value));
    }
    map.finish()
}

fn parse_bytes<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(text) = text_ref(args, 0).map(str::trim) else { return WRONG_TYPE };
    let letters = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(letters);
    let Some(size) = unit_size(unit.trim()) else { return UNREADABLE };
    if number.is_empty() {
        return UNREADABLE;
    }
    match read::scaled(number, size) {
        Some(bytes) => {
            Value::or_absent(i64::try_from(bytes).ok().map(Value::Int), Absence::OutOfRange)
        }
        None => UNREADABLE,
    }
}

/// Bytes in a unit, in any case: `k` is 1000, `Ki` is 1024.
fn unit_size(unit: &str) -> Option<i128> {
    let unit = unit.to_ascii_lowercase();
    let letters = unit.strip_suffix('b').or_else(|| unit.strip_suffix("bytes")).unwrap_or(&unit);
    let (prefix, step) = match letters.strip_suffix('i') {
        Some(prefix) => (prefix, 1024_i128),
        None => (letters, 1000),
    };
    let power = match prefix {
        "" if step == 1000 => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        "e" => 6,
        _ => return None,
    };
    Some(step.pow(power))
}
