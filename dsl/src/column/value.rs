//! One value at a time: what a function sees of a row, and why a value may be absent.

use std::{borrow::Cow, fmt, net::IpAddr};

/// Why there is no value. The code is what columns and views store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Absence {
    /// The event has no such field.
    Missing = 1,
    /// The field is JSON null.
    Null = 2,
    /// The value has another type than the place expects.
    Type = 3,
    /// Text could not be read as what it should be.
    Parse = 4,
    /// A number or position lies outside what the place can hold.
    OutOfRange = 5,
    /// Integer arithmetic left 64 bits.
    Overflow = 6,
    /// Division or `%` by zero.
    DivisionByZero = 7,
    /// The lookup knows no such key.
    LookupMiss = 8,
    /// The lookup failed or took too long.
    LookupFailed = 9,
    /// A write below a place that holds no record.
    NotARecord = 10,
    /// No pattern, regex or `match` arm fitted.
    NoMatch = 11,
}

impl Absence {
    /// Every cause, in order of its code.
    pub const ALL: [Self; 11] = [
        Self::Missing,
        Self::Null,
        Self::Type,
        Self::Parse,
        Self::OutOfRange,
        Self::Overflow,
        Self::DivisionByZero,
        Self::LookupMiss,
        Self::LookupFailed,
        Self::NotARecord,
        Self::NoMatch,
    ];

    /// The cause with this code (`as u8`); 0 means present and gives `None`.
    #[inline]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).wrapping_sub(1)).copied()
    }

    /// The word that `fault(x)`, metrics and `eval` use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Null => "null",
            Self::Type => "type",
            Self::Parse => "parse",
            Self::OutOfRange => "out_of_range",
            Self::Overflow => "overflow",
            Self::DivisionByZero => "division_by_zero",
            Self::LookupMiss => "lookup_miss",
            Self::LookupFailed => "lookup_failed",
            Self::NotARecord => "not_a_record",
            Self::NoMatch => "no_match",
        }
    }

    /// Whether this is a fault (something went wrong) rather than a field that is simply not there.
    pub fn is_fault(self) -> bool {
        !matches!(self, Self::Missing | Self::Null)
    }
}

/// How grave an event is: OpenTelemetry's numbers, 1 to 24, ordered.
///
/// The default, 0, is no severity: it stands where a column has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Severity(pub u8);

impl Severity {
    /// The named severities, ascending.
    pub const NAMED: [(&'static str, Self); 8] = [
        ("trace", Self(1)),
        ("debug", Self(5)),
        ("info", Self(9)),
        ("notice", Self(10)),
        ("warn", Self(13)),
        ("error", Self(17)),
        ("critical", Self(18)),
        ("fatal", Self(21)),
    ];

    /// The severity of that exact name.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMED.iter().find(|(known, _)| *known == name).map(|(_, severity)| *severity)
    }

    /// The name of this severity. Numbers between two names take the lower one.
    pub fn name(self) -> &'static str {
        Self::NAMED.iter().rev().find(|(_, known)| *known <= self).map_or("trace", |(name, _)| name)
    }
}

/// A block of addresses. IPv4 blocks are kept as IPv6-mapped ones (prefix + 96).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Cidr {
    /// The first address, host bits zero.
    pub net: u128,
    /// Leading bits that are fixed, 0 to 128.
    pub prefix: u8,
}

impl Cidr {
    /// The block around an address; host bits are cleared. `prefix` counts in the IPv6 form.
    pub fn new(address: u128, prefix: u8) -> Self {
        Self { net: address & Self::bits(prefix), prefix }
    }

    /// Reads `10.0.0.0/8`, `2001:db8::/32` or a single address. Host bits are cleared, not refused.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().ok()?;
        let (shift, max) = if address.is_ipv4() { (96, 32) } else { (0, 128) };
        let prefix = match prefix {
            Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse::<u8>().ok()?
            }
            Some(_) => return None,
            None => max,
        };
        (prefix <= max).then(|| Self::new(ip_to_u128(address), prefix + shift))
    }

    /// Whether the address lies inside.
    #[inline]
    pub fn contains(self, address: u128) -> bool {
        address & Self::bits(self.prefix) == self.net
    }

    /// The last address.
    pub fn last(self) -> u128 {
        self.net | !Self::bits(self.prefix)
    }

    fn bits(prefix: u8) -> u128 {
        if prefix == 0 { 0 } else { u128::MAX << (128 - u32::from(prefix)) }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = u128_to_ip(self.net);
        let prefix =
            if address.is_ipv4() && self.prefix >= 96 { self.prefix - 96 } else { self.prefix };
        write!(f, "{address}/{prefix}")
    }
}

/// The number columns hold for an address: IPv4 in its IPv6-mapped form.
pub fn ip_to_u128(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_ipv6_mapped()),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

/// The address for a column's number; mapped IPv4 comes back as IPv4.
pub fn u128_to_ip(number: u128) -> IpAddr {
    let v6 = std::net::Ipv6Addr::from(number);
    v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4)
}

/// One value of one row.
///
/// Lists, maps and undecoded values are JSON text that is known to be valid; what a list of timestamps holds is therefore RFC 3339
/// text, read back as a timestamp where one is expected.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// No value, and why.
    Absent(Absence),
    /// `true` or `false`.
    Bool(bool),
    /// 64 bits, signed.
    Int(i64),
    /// Never NaN.
    Float(f64),
    /// UTF-8 text.
    Text(Cow<'a, str>),
    /// Bytes, whatever they say.
    Bytes(Cow<'a, [u8]>),
    /// Nanoseconds since 1970, UTC.
    Timestamp(i64),
    /// Nanoseconds.
    Duration(i64),
    /// IPv4 in mapped form.
    Ip(u128),
    /// A block of addresses.
    Cidr(Cidr),
    /// How grave.
    Severity(Severity),
    /// A JSON array or object as text; scalars never stand here.
    Json(Cow<'a, str>),
}

impl<'a> Value<'a> {
    /// Text that borrows.
    pub fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// Text that owns.
    pub fn owned(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }

    /// A float, absent where it would be NaN.
    pub fn float(number: f64) -> Self {
        if number.is_nan() { Self::Absent(Absence::OutOfRange) } else { Self::Float(number) }
    }

    /// The value, or absent for this reason.
    pub fn or_absent(value: Option<Self>, why: Absence) -> Self {
        value.unwrap_or(Self::Absent(why))
    }

    /// Whether there is a value.
    pub fn is_present(&self) -> bool {
        !matches!(self, Self::Absent(_))
    }

    /// The same value, owning its text.
    pub fn into_static(self) -> Value<'static> {
        match self {
            Self::Absent(why) => Value::Absent(why),
            Self::Bool(v) => Value::Bool(v),
            Self::Int(v) => Value::Int(v),
            Self::Float(v) => Value::Float(v),
            Self::Text(v) => Value::Text(Cow::Owned(v.into_owned())),
            Self::Bytes(v) => Value::Bytes(Cow::Owned(v.into_owned())),
            Self::Timestamp(v) => Value::Timestamp(v),
            Self::Duration(v) => Value::Duration(v),
            Self::Ip(v) => Value::Ip(v),
            Self::Cidr(v) => Value::Cidr(v),
            Self::Severity(v) => Value::Severity(v),
            Self::Json(v) => Value::Json(Cow::Owned(v.into_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_have_codes_and_names() {
        for why in Absence::ALL {
            assert_eq!(Absence::from_code(why as u8), Some(why));
        }
        assert_eq!((Absence::from_code(0), Absence::from_code(12)), (None, None));
    }

    #[test]
    fn blocks_of_addresses() {
        let ten = Cidr::parse("10.1.2.3/8").unwrap();
        assert_eq!(ten.to_string(), "10.0.0.0/8");
        assert!(ten.contains(ip_to_u128("10.255.0.1".parse().unwrap())));
        assert!(!ten.contains(ip_to_u128("11.0.0.1".parse().unwrap())));
        assert_eq!(Cidr::parse("2001:db8::/32").unwrap().to_string(), "2001:db8::/32");
        assert_eq!(Cidr::parse("192.0.2.1").unwrap().to_string(), "192.0.2.1/32");
        for bad in ["10.0.0.0/33", "x/8", "10.0.0.0/", "10.0.0.0/+8", "", "::/129"] {
            assert_eq!(Cidr::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn severities_are_ordered_and_named() {
        assert!(Severity::named("warn") > Severity::named("info"));
        assert_eq!(
            (Severity(13).name(), Severity(15).name(), Severity(24).name()),
            ("warn", "warn", "fatal")
        );
    }
}
