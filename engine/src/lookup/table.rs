//! Tables in databases: how keys become values of their columns, and rows become answers.

use std::net::IpAddr;

use super::{file::KEY_JOINT, shape::Bound};

/// What a key's column holds. A key that is no such value is in no row, and must not spoil the others' query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KeyKind {
    Text,
    /// Whole numbers from, to.
    Int(i128, i128),
    Uuid,
    Address,
    /// An address where no IPv6 can stand.
    Address4,
}

impl KeyKind {
    /// The one way that a value of this kind is written, if the text is one.
    pub(super) fn canonical(&self, part: &str) -> Option<String> {
        match self {
            // No database has it in text.
            Self::Text => (!part.contains('\0')).then(|| part.to_owned()),
            Self::Int(from, to) => {
                let number: i128 = part.trim().parse().ok()?;
                (*from..=*to).contains(&number).then(|| number.to_string())
            }
            Self::Uuid => {
                let part = part.trim();
                let dashes = [8, 13, 18, 23];
                let fits = part.len() == 36
                    && part.bytes().enumerate().all(|(at, byte)| {
                        if dashes.contains(&at) { byte == b'-' } else { byte.is_ascii_hexdigit() }
                    });
                fits.then(|| part.to_ascii_lowercase())
            }
            Self::Address | Self::Address4 => {
                let address = part.trim().parse::<IpAddr>().ok()?.to_canonical();
                (address.is_ipv4() || *self == Self::Address).then(|| address.to_string())
            }
        }
    }
}

/// The parts of a key in their canonical form.
pub(super) fn parts(kinds: &[KeyKind], key: &str) -> Option<Vec<String>> {
    let parts: Vec<&str> = key.split(KEY_JOINT).collect();
    if parts.len() != kinds.len() {
        return None;
    }
    kinds.iter().zip(parts).map(|(kind, part)| kind.canonical(part)).collect()
}

/// The columns that a query selects: the declared ones, or all of them where the rules take what there is.
pub(super) fn selected<'a>(bound: &'a Bound, all: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    match bound.shape() {
        Some(shape) if !shape.open => {
            let all: Vec<&str> = all.collect();
            let mut columns: Vec<&str> = bound.columns.iter().map(String::as_str).collect();
            // Optional fields may be missing in the table.
            columns.retain(|column| all.contains(column));
            columns.sort_unstable();
            columns.dedup();
            columns
        }
        _ => all.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_one_form_or_none() {
        let int = KeyKind::Int(0, 255);
        assert_eq!(int.canonical(" 007").as_deref(), Some("7"));
        for no in ["256", "-1", "1.0", "", "x", "99999999999999999999999999999999999999999999"] {
            assert_eq!(int.canonical(no), None, "{no}");
        }
        let uuid = "0E8400E2-9b41-d4a7-1644-665544000000";
        assert_eq!(KeyKind::Uuid.canonical(uuid), Some(uuid.to_ascii_lowercase()));
        assert_eq!(KeyKind::Uuid.canonical("0e8400e29b41d4a71644665544000000"), None);
        assert_eq!(KeyKind::Address.canonical("::ffff:1.2.3.4").as_deref(), Some("1.2.3.4"));
        assert_eq!(KeyKind::Text.canonical("a\0"), None);
        let kinds = [KeyKind::Text, int];
        assert_eq!(parts(&kinds, "a\u{1f}7"), Some(vec!["a".to_owned(), "7".to_owned()]));
        assert_eq!(parts(&kinds, "a"), None);
    }
}
