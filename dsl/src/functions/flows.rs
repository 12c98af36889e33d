//! Functions: blocks of addresses, registered names, and the id of a flow.

use base64::Engine as _;
use sha1::Digest;

use super::{
    Function, Kernel, RowArg, Takes,
    items::ListText,
    network::entry,
    signature::{
        INT, IP, TEXT, WRONG_TYPE, int_arg, left_out, may, maybe_text, needs, part_of, text_arg,
        value_arg,
    },
    twin::{STORED, Sql, twin},
};
use crate::{
    column::{Absence, Cidr, Value, value::u128_to_ip},
    eval::RowContext,
    types::{Ty, Type},
};

/// Blocks, names and flows.
pub(super) const FUNCTIONS: &[Function] = &[
    entry(
        "cidr_net",
        &[needs("block", Takes::Type(|| Type::Cidr))],
        |_| Ty::required(Type::Ip),
        "The first address of a block.",
        &[("cidr_net(cidr\"10.1.0.0/16\")", "\"10.1.0.0\"")],
        Kernel::Rows(|args, _| match value_arg(args, 0) {
            Some(Value::Cidr(block)) => Value::Ip(block.net),
            _ => WRONG_TYPE,
        }),
        Sql::None("there is no type for a column of address blocks"),
    ),
    entry(
        "ip_range",
        &[needs("from", IP), needs("to", IP)],
        |_| Ty::optional(Type::list(Type::Cidr)),
        "The blocks that together hold exactly the addresses from the first to the second; absent if they are of two kinds or the wrong way round.",
        &[("ip_range(ip\"10.0.0.0\", ip\"10.0.0.5\")", "[\"10.0.0.0/30\",\"10.0.0.4/31\"]")],
        Kernel::Rows(ip_range),
        Sql::None("there is no type for a column of address blocks"),
    ),
    entry(
        "registered_domain",
        &[needs("host", TEXT)],
        maybe_text,
        "The part of a host name that somebody registered, by the list of public suffixes; absent for addresses and for suffixes themselves.",
        &[
            ("registered_domain(\"a.b.shop.co.uk\")", "\"shop.co.uk\""),
            ("registered_domain(\"www.example.com\")", "\"example.com\""),
        ],
        Kernel::Rows(registered_domain),
        twin("nullIf(cutToFirstSignificantSubdomain(concat('http://', {0})), '')")
            .note("by a short list of its own: only com, net, org, co and gov below a country"),
    ),
    entry(
        "community_id",
        &[
            needs("src", IP),
            needs("dst", IP),
            needs("proto", Takes::Any),
            may("src_port", INT),
            may("dst_port", INT),
            may("seed", INT),
        ],
        maybe_text,
        "The Community ID (version 1) of a flow, the same in both directions; `proto` is `tcp`, `udp`, `sctp`, `icmp`, `icmp6` or a number, and for ICMP the ports are type and code.",
        &[(
            "community_id(ip\"128.232.110.120\", ip\"66.35.250.204\", \"tcp\", 34855, 80)",
            "\"1:LQU9qZlK+B5F3KDmev6m5PMibrg=\"",
        )],
        Kernel::Rows(community_id),
        Sql::None(STORED),
    ),
];

fn address(args: &[RowArg<'_>], index: usize) -> Option<u128> {
    match value_arg(args, index) {
        Some(Value::Ip(address)) => Some(*address),
        _ => None,
    }
}

fn ip_range<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some((from, to)) = address(args, 0).zip(address(args, 1)) else { return WRONG_TYPE };
    if from > to || u128_to_ip(from).is_ipv4() != u128_to_ip(to).is_ipv4() {
        return Value::Absent(Absence::OutOfRange);
    }
    let mut list = ListText::new();
    let mut at = from;
    // Each step takes the largest block that begins here: at most two of each size.
    loop {
        let aligned = at.trailing_zeros().min(127);
        let left = (to - at).checked_add(1).map_or(128, |count| count.ilog2());
        let bits = aligned.min(left);
        let whole = at == 0 && left == 128;
        let block = Cidr::new(at, if whole { 0 } else { 128 - bits as u8 });
        list.value(&Value::Cidr(block));
        let last = block.last();
        if last >= to {
            return list.finish();
        }
        at = last + 1;
    }
}

fn registered_domain<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    /// Longest name that DNS has.
    const NAME_MAX: usize = 255;
    let Some(text) = text_arg(args, 0) else { return WRONG_TYPE };
    let host = text.trim_end_matches('.');
    let is_address = host.parse::<std::net::IpAddr>().is_ok();
    if host.len() > NAME_MAX || is_address {
        return Value::Absent(Absence::NoMatch);
    }
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        let lower = host.to_lowercase();
        let found = psl::domain_str(&lower).map(|name| Value::owned(name.to_owned()));
        return Value::or_absent(found, Absence::NoMatch);
    }
    let found = psl::domain_str(host).map(|name| Value::Text(part_of(&text, name)));
    Value::or_absent(found, Absence::NoMatch)
}

/// ICMP types that answer each other.
const ICMP: [(u16, u16); 5] = [(8, 0), (13, 14), (15, 16), (17, 18), (10, 9)];
/// The same for ICMP of IPv6.
const ICMP6: [(u16, u16); 6] =
    [(128, 129), (133, 134), (135, 136), (130, 131), (144, 145), (139, 140)];

fn community_id<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some((src, dst)) = address(args, 0).zip(address(args, 1)) else { return WRONG_TYPE };
    let proto = match value_arg(args, 2) {
        Some(Value::Int(number)) => u8::try_from(*number).ok(),
        Some(Value::Text(name)) => protocol(name),
        _ => return WRONG_TYPE,
    };
    let port = |index: usize| match int_arg(args, index) {
        Some(port) => u16::try_from(port).map(Some).map_err(|_| Absence::OutOfRange),
        None if left_out(args, index) => Ok(None),
        None => Err(Absence::Type),
    };
    let Some(proto) = proto else { return Value::Absent(Absence::Parse) };
    let (src_port, dst_port, seed) = match (port(3), port(4), port(5)) {
        (Ok(src_port), Ok(dst_port), Ok(seed)) => (src_port, dst_port, seed.unwrap_or(0)),
        (Err(why), ..) | (_, Err(why), _) | (.., Err(why)) => return Value::Absent(why),
    };
    let has_ports = matches!(proto, 1 | 6 | 17 | 58 | 132);
    if has_ports && (src_port.is_none() || dst_port.is_none()) {
        return Value::Absent(Absence::Missing);
    }
    let (mut a, mut b) = ((src, src_port.unwrap_or(0)), (dst, dst_port.unwrap_or(0)));
    let mut one_way = false;
    if let 1 | 58 = proto {
        let pairs: &[(u16, u16)] = if proto == 1 { &ICMP } else { &ICMP6 };
        let answer = pairs.iter().find_map(|(x, y)| match a.1 {
            it if it == *x => Some(*y),
            it if it == *y => Some(*x),
            _ => None,
        });
        match answer {
            Some(answer) => b.1 = answer,
            None => one_way = true,
        }
    }
    if !one_way && a > b {
        std::mem::swap(&mut a, &mut b);
    }
    let mut hash = sha1::Sha1::new();
    hash.update(seed.to_be_bytes());
    for (address, _) in [a, b] {
        match u128_to_ip(address) {
            std::net::IpAddr::V4(v4) => hash.update(v4.octets()),
            std::net::IpAddr::V6(v6) => hash.update(v6.octets()),
        }
    }
    hash.update([proto, 0]);
    if has_ports {
        hash.update(a.1.to_be_bytes());
        hash.update(b.1.to_be_bytes());
    }
    let sum = base64::engine::general_purpose::STANDARD.encode(hash.finalize());
    Value::owned(format!("1:{sum}"))
}

/// The number of a protocol.
fn protocol(name: &str) -> Option<u8> {
    const NAMES: [(&str, u8); 8] = [
        ("icmp", 1),
        ("tcp", 6),
        ("udp", 17),
        ("gre", 47),
        ("icmp6", 58),
        ("icmpv6", 58),
        ("ipv6-icmp", 58),
        ("sctp", 132),
    ];
    NAMES
        .iter()
        .find(|(known, _)| name.eq_ignore_ascii_case(known))
        .map(|(_, number)| *number)
        .or_else(|| name.parse().ok())
}
