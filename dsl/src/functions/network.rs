//! Functions: network.

use std::net::IpAddr;

use super::{
    Family, Function, Kernel, Param, RowArg,
    signature::{
        IP, TEXT, UNREADABLE, WRONG_TYPE, bool, int, maybe_int, maybe_text, needs, part_of,
        text_arg, value_arg,
    },
    twin::{Sql, twin},
};
use crate::{
    column::{Absence, Value, value::u128_to_ip},
    types::Ty,
};

/// Network.
pub const FUNCTIONS: &[Function] = &[
    entry(
        "is_private",
        &[needs("ip", IP)],
        bool,
        "Whether the address is private: RFC 1918, unique local, or shared (100.64/10).",
        &[("is_private(ip\"10.1.2.3\")", "true"), ("is_private(ip\"8.8.8.8\")", "false")],
        Kernel::Rows(|args, _| on_address(args, |ip| Value::Bool(is_private(ip)))),
        twin(
            "isIPAddressInRange(toString({0}), '::ffff:10.0.0.0/104') OR isIPAddressInRange(toString({0}), '::ffff:172.16.0.0/108') OR isIPAddressInRange(toString({0}), '::ffff:192.168.0.0/112') OR isIPAddressInRange(toString({0}), '::ffff:100.64.0.0/106') OR isIPAddressInRange(toString({0}), 'fc00::/7')",
        ),
    ),
    entry(
        "is_public",
        &[needs("ip", IP)],
        bool,
        "Whether the address is not private, loopback, link-local, multicast, broadcast or unspecified.",
        &[("is_public(ip\"203.0.113.9\")", "true"), ("is_public(ip\"127.0.0.1\")", "false")],
        Kernel::Rows(|args, _| on_address(args, |ip| Value::Bool(is_public(ip)))),
        twin(
            "NOT (isIPAddressInRange(toString({0}), '::ffff:10.0.0.0/104') OR isIPAddressInRange(toString({0}), '::ffff:172.16.0.0/108') OR isIPAddressInRange(toString({0}), '::ffff:192.168.0.0/112') OR isIPAddressInRange(toString({0}), '::ffff:100.64.0.0/106') OR isIPAddressInRange(toString({0}), 'fc00::/7') OR isIPAddressInRange(toString({0}), '::ffff:127.0.0.0/104') OR isIPAddressInRange(toString({0}), '::1/128') OR isIPAddressInRange(toString({0}), '::ffff:169.254.0.0/112') OR isIPAddressInRange(toString({0}), 'fe80::/10') OR isIPAddressInRange(toString({0}), '::ffff:224.0.0.0/100') OR isIPAddressInRange(toString({0}), 'ff00::/8') OR isIPAddressInRange(toString({0}), '::ffff:255.255.255.255/128') OR isIPAddressInRange(toString({0}), '::ffff:0.0.0.0/128') OR isIPAddressInRange(toString({0}), '::/128'))",
        ),
    ),
    entry(
        "is_loopback",
        &[needs("ip", IP)],
        bool,
        "Whether the address means the machine itself.",
        &[("is_loopback(ip\"::1\")", "true")],
        Kernel::Rows(|args, _| on_address(args, |ip| Value::Bool(ip.is_loopback()))),
        twin(
            "isIPAddressInRange(toString({0}), '::ffff:127.0.0.0/104') OR isIPAddressInRange(toString({0}), '::1/128')",
        ),
    ),
    entry(
        "ip_version",
        &[needs("ip", IP)],
        int,
        "4 or 6; an IPv4 address in IPv6 form is 4.",
        &[("ip_version(ip\"2001:db8::1\")", "6")],
        Kernel::Rows(|args, _| on_address(args, |ip| Value::Int(if ip.is_ipv4() { 4 } else { 6 }))),
        twin("if(isIPAddressInRange(toString({0}), '::ffff:0:0/96'), 4, 6)"),
    ),
    entry(
        "host_of",
        &[needs("url", TEXT)],
        maybe_text,
        "The host of a URL or of `host:port`, without port and brackets.",
        &[
            ("host_of(\"https://shop.example:8443/cart\")", "\"shop.example\""),
            ("host_of(\"db-1:5432\")", "\"db-1\""),
        ],
        Kernel::Rows(|args, _| {
            let Some(text) = text_arg(args, 0) else { return WRONG_TYPE };
            match host_and_port(&text) {
                Some((host, _)) => Value::Text(part_of(&text, host)),
                None => UNREADABLE,
            }
        }),
        twin("nullIf(domain({0}), '')").note("`host:port` needs a scheme there"),
    ),
    entry(
        "port_of",
        &[needs("url", TEXT)],
        maybe_int,
        "The port of a URL or of `host:port`; without one the scheme's own.",
        &[("port_of(\"https://shop.example/\")", "443"), ("port_of(\"db-1:5432\")", "5432")],
        Kernel::Rows(|args, _| {
            let Some(text) = text_arg(args, 0) else { return WRONG_TYPE };
            match host_and_port(&text) {
                Some((_, Some(port))) => Value::Int(i64::from(port)),
                Some((_, None)) => Value::Absent(Absence::Missing),
                None => UNREADABLE,
            }
        }),
        twin("nullIf(port({0}), 0)").note("a scheme's own port is not known there"),
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
    sql: Sql,
) -> Function {
    Function { sql, ..Function::new(name, Family::Network, params, returns, doc, examples, kernel) }
}

fn on_address<'a>(args: &[RowArg<'a>], answer: fn(IpAddr) -> Value<'a>) -> Value<'a> {
    match value_arg(args, 0) {
        Some(Value::Ip(address)) => answer(u128_to_ip(*address)),
        _ => WRONG_TYPE,
    }
}

/// RFC 1918, unique local, shared address space.
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private() || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}

/// Everything that is not set apart; documentation ranges count as public.
pub fn is_public(address: IpAddr) -> bool {
    let apart = is_private(address)
        || address.is_loopback()
        || address.is_multicast()
        || address.is_unspecified();
    !apart
        && match address {
            IpAddr::V4(v4) => !v4.is_link_local() && !v4.is_broadcast(),
            IpAddr::V6(v6) => !v6.is_unicast_link_local(),
        }
}

/// The port a scheme stands for.
pub(super) fn default_port(scheme: &str) -> Option<u16> {
    const PORTS: [(&str, u16); 14] = [
        ("http", 80),
        ("https", 443),
        ("ws", 80),
        ("wss", 443),
        ("ftp", 21),
        ("ssh", 22),
        ("postgres", 5432),
        ("postgresql", 5432),
        ("mysql", 3306),
        ("redis", 6379),
        ("amqp", 5672),
        ("mongodb", 27017),
        ("ldap", 389),
        ("kafka", 9092),
    ];
    PORTS.iter().find(|(known, _)| scheme.eq_ignore_ascii_case(known)).map(|(_, port)| *port)
}

/// The host, and the port if one is written or the scheme has one.
fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, text.strip_prefix("//").unwrap_or(text)),
    };
    let authority = &rest[..rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len())];
    let authority = authority.rfind('@').map_or(authority, |at| &authority[at + 1..]);
    let (host, port) = if let Some(inner) = authority.strip_prefix('[') {
        let (host, behind) = inner.split_once(']')?;
        (host, behind.strip_prefix(':'))
    } else if authority.matches(':').count() > 1 {
        // A bare IPv6 address has no port.
        (authority, None)
    } else {
        match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    if host.is_empty() || host.contains(char::is_whitespace) {
        return None;
    }
    let port = match port {
        Some(digits) if !digits.is_empty() => {
            if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            Some(digits.parse().ok()?)
        }
        _ => scheme.and_then(default_port),
    };
    Some((host, port))
}
