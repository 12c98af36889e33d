//! How long a table keeps a row, read out of its statement: a row that is older would vanish as soon as it was stored.

use std::time::Duration;

use super::{
    columns::Values,
    types::{Scalar, Type, call, split},
};

/// One limit: rows go when this column's time is so long ago.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ttl {
    /// The column.
    pub column: String,
    /// For how long rows are kept. A month counts 31 days, a year 366: what the server may still keep is not refused.
    pub keeps: Duration,
}

/// Reads the limits out of `MergeTree … TTL a, b SETTINGS …`. What is not understood comes back as text.
pub(super) fn read(engine: &str) -> (Vec<Ttl>, Vec<String>) {
    let Some((_, clause)) = engine.split_once(" TTL ") else { return Default::default() };
    let clause = clause.rsplit_once(" SETTINGS ").map_or(clause, |(clause, _)| clause);
    let (mut limits, mut others) = (Vec::new(), Vec::new());
    for one in split(clause) {
        // Rows that move or are packed tighter stay.
        if [" TO DISK ", " TO VOLUME ", " RECOMPRESS "].iter().any(|word| one.contains(word)) {
            continue;
        }
        match limit(one.strip_suffix(" DELETE").unwrap_or(one)) {
            Some(limit) => limits.push(limit),
            None => others.push(one.to_owned()),
        }
    }
    (limits, others)
}

fn limit(text: &str) -> Option<Ttl> {
    let (time, interval) = text.split_once(" + ")?;
    let column = match call(time) {
        ("toDateTime" | "toDate", Some(inner)) => inner.trim(),
        (name, None) => name,
        _ => return None,
    };
    let column = column.trim_matches('`');
    let is_name =
        !column.is_empty() && column.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.'));
    if !is_name {
        return None;
    }
    let (unit, count) = match call(interval) {
        (name, Some(count)) => (name.strip_prefix("toInterval")?, count.trim()),
        (text, None) => {
            let (count, unit) = text.strip_prefix("INTERVAL ")?.trim().split_once(' ')?;
            (unit, count)
        }
    };
    let hours = match unit.trim().to_ascii_lowercase().as_str() {
        "hour" => 1,
        "day" => 24,
        "week" => 24 * 7,
        "month" => 24 * 31,
        "quarter" => 24 * 92,
        "year" => 24 * 366,
        _ => return None,
    };
    let hours = count.trim_matches('\'').parse::<u64>().ok()?.checked_mul(hours)?;
    let keeps = Duration::from_secs(hours.checked_mul(3600)?);
    Some(Ttl { column: column.to_owned(), keeps })
}

/// Rows go when this column's time is so long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limit {
    /// The column's place.
    pub(super) column: usize,
    /// Nanoseconds.
    pub(super) keeps: i64,
    /// Bytes a value.
    width: usize,
    /// Nanoseconds in what the column counts.
    tick: i64,
}

impl Limit {
    pub(super) fn new(column: usize, ty: &Type, keeps: Duration) -> Option<Self> {
        const SECOND: i64 = 1_000_000_000;
        let tick = match ty.scalar()? {
            Scalar::Date | Scalar::Date32 => 86_400 * SECOND,
            Scalar::DateTime(_) => SECOND,
            Scalar::DateTime64(precision, _) => SECOND / 10_i64.pow(u32::from(*precision)),
            _ => return None,
        };
        let keeps = i64::try_from(keeps.as_nanos()).ok()?;
        Some(Self { column, keeps, width: ty.scalar()?.width()?, tick })
    }

    /// A row's moment, nanoseconds since 1970.
    pub(super) fn moment(&self, values: &Values, row: usize) -> Option<i64> {
        let Values::Fixed(bytes) = values else { return None };
        let bytes = bytes.get(row * self.width..(row + 1) * self.width)?;
        let ticks = match *bytes {
            [a, b] => i64::from(u16::from_le_bytes([a, b])),
            // Days may lie before 1970, seconds do not.
            [a, b, c, d] if self.tick > 1_000_000_000 => {
                i64::from(i32::from_le_bytes([a, b, c, d]))
            }
            [a, b, c, d] => i64::from(u32::from_le_bytes([a, b, c, d])),
            _ => i64::from_le_bytes(bytes.try_into().ok()?),
        };
        Some(ticks.saturating_mul(self.tick))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(clause: &str, limits: &[(&str, u64)], others: &[&str]) {
        let engine =
            format!("MergeTree PARTITION BY toDate(t) ORDER BY (a, b) TTL {clause} SETTINGS x = 1");
        let (found, unknown) = read(&engine);
        let found: Vec<(&str, u64)> =
            found.iter().map(|ttl| (&*ttl.column, ttl.keeps.as_secs() / 86_400)).collect();
        assert_eq!(
            (found.as_slice(), unknown),
            (limits, others.iter().map(|&text| text.to_owned()).collect())
        );
    }

    #[test]
    fn limits_are_read() {
        check("t + toIntervalDay(30)", &[("t", 30)], &[]);
        check("toDateTime(`t.x`) + INTERVAL 2 WEEK DELETE", &[("t.x", 14)], &[]);
        check(
            "toDate(t) + toIntervalMonth(3), b + toIntervalYear(1)",
            &[("t", 93), ("b", 366)],
            &[],
        );
        check(
            "t + toIntervalDay(1) RECOMPRESS CODEC(ZSTD(9)), t + toIntervalDay(2) TO VOLUME 'cold', t + toIntervalDay(3)",
            &[("t", 3)],
            &[],
        );
        check("t + toIntervalDay(1) WHERE a = 'x'", &[], &["t + toIntervalDay(1) WHERE a = 'x'"]);
        check("addDays(t, 3)", &[], &["addDays(t, 3)"]);
        check(
            "t + toIntervalDay(99999999999999999999)",
            &[],
            &["t + toIntervalDay(99999999999999999999)"],
        );
        assert_eq!(read("MergeTree ORDER BY t"), Default::default());
    }
}
