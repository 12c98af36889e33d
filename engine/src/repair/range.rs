//! Where a look back begins and ends, as people say it: an offset, a moment, a stretch of time ago, `A..B`.

use std::ops::Range;

use crate::{
    delivery::Position,
    source::kafka::past::{Past, Standing},
};

/// A place in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// That offset.
    Offset(i64),
    /// The first record at or after that moment, nanoseconds since 1970.
    Time(i64),
}

impl Point {
    /// Reads an offset, a moment such as `2026-05-01T10:00:00Z`, or a stretch of time before `now` such as `90m`.
    pub fn parse(text: &str, now: i64) -> Result<Self, String> {
        if let Ok(offset) = text.parse::<u64>() {
            let offset = i64::try_from(offset).map_err(|_| format!("`{text}` is no offset"))?;
            return Ok(Self::Offset(offset));
        }
        moment(text, now).map(Self::Time).map_err(|_| {
            format!(
                "`{text}` is neither an offset nor a time; write 1200, 2026-05-01T10:00:00Z or 90m (ago)"
            )
        })
    }

    /// Its offset in a partition; a moment after the last record is the end.
    pub fn offset(self, past: &Past, standing: &Standing) -> Result<i64, String> {
        match self {
            Self::Offset(offset) => Ok(offset),
            Self::Time(time) => {
                Ok(past.offset_at(&standing.position, time)?.unwrap_or(standing.high))
            }
        }
    }
}

/// Reads a moment, or a stretch of time before `now`: nanoseconds since 1970.
pub fn moment(text: &str, now: i64) -> Result<i64, String> {
    let complain = || format!("`{text}` is no time; write 2026-05-01T10:00:00Z or 90m (ago)");
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return i64::try_from(time.as_nanosecond()).map_err(|_| complain());
    }
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(complain)?;
    let (number, unit) = text.split_at(split);
    let seconds: i64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(complain()),
    };
    let number: i64 = number.parse().map_err(|_| complain())?;
    number
        .checked_mul(seconds)
        .and_then(|seconds| seconds.checked_mul(1_000_000_000))
        .and_then(|ago| now.checked_sub(ago))
        .ok_or_else(complain)
}

/// Reads `A..B` (without B) or one offset.
pub fn offsets(text: &str) -> Result<Range<i64>, String> {
    let complain = || format!("`{text}` is no range of offsets; write 1200..1300 or 1200");
    let number = |text: &str| {
        text.parse::<u64>()
            .ok()
            .and_then(|number| i64::try_from(number).ok())
            .filter(|number| *number < i64::MAX)
            .ok_or_else(complain)
    };
    match text.split_once("..") {
        None => number(text).map(|one| one..one + 1),
        Some((first, end)) => {
            let range = number(first)?..number(end)?;
            if range.is_empty() { Err(complain()) } else { Ok(range) }
        }
    }
}

/// Reads `TOPIC/PARTITION/OFFSET`, perhaps with `/EMIT_IX` behind it.
pub fn position(text: &str) -> Result<(Position, i64, Option<u16>), String> {
    let complain = || {
        format!(
            "`{text}` names no dead letter; write TOPIC/PARTITION/OFFSET, or TOPIC/PARTITION/OFFSET/EMIT_IX"
        )
    };
    let parts: Vec<&str> = text.split('/').collect();
    let [topic, partition, offset, rest @ ..] = &*parts else { return Err(complain()) };
    let emit_ix = match rest {
        [] => None,
        [one] => Some(one.parse().map_err(|_| complain())?),
        _ => return Err(complain()),
    };
    let partition = partition.parse::<i32>().ok().filter(|partition| *partition >= 0);
    let offset = offset.parse::<i64>().ok().filter(|offset| *offset >= 0);
    let (Some(partition), Some(offset)) = (partition, offset) else { return Err(complain()) };
    Ok((Position { topic: (*topic).into(), partition }, offset, emit_ix))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_777_629_600_000_000_000;

    #[test]
    fn points_are_offsets_or_times() {
        assert_eq!(Point::parse("1200", NOW), Ok(Point::Offset(1200)));
        assert_eq!(Point::parse("2026-05-01T10:00:00Z", 0), Ok(Point::Time(NOW)));
        assert_eq!(Point::parse("90m", NOW), Ok(Point::Time(NOW - 5_400_000_000_000)));
        for wrong in ["", "m", "-1", "yesterday", "99999999999999999999", "9223372036854775807d"] {
            assert!(Point::parse(wrong, NOW).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ranges_end_before_their_second_number() {
        assert_eq!(offsets("12..20"), Ok(12..20));
        assert_eq!(offsets("12"), Ok(12..13));
        for wrong in ["20..12", "12..12", "..", "a..b", "-1..2", "9223372036854775807"] {
            assert!(offsets(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn letters_are_named_by_their_place() {
        let (at, offset, emit_ix) = position("logs.in/3/77/1").expect("a place");
        assert_eq!((&*at.topic, at.partition, offset, emit_ix), ("logs.in", 3, 77, Some(1)));
        assert_eq!(position("t/0/5").map(|(_, offset, emit_ix)| (offset, emit_ix)), Ok((5, None)));
        for wrong in ["t/0", "t/-1/5", "t/0/x", "t/0/5/6/7", "t/0/5/99999"] {
            assert!(position(wrong).is_err(), "{wrong}");
        }
    }
}
