//! Functions: time. Instants are nanoseconds in UTC; a zone is an IANA name (`Europe/Berlin`).

use std::{cell::RefCell, sync::Arc};

use jiff::{Timestamp, Zoned, tz::TimeZone};

use super::{
    Family, Function, Kernel, Param, RowArg,
    read::Unit,
    show,
    signature::{
        DURATION, INT, TEXT, TIMESTAMP, UNITS, WRONG_TYPE, choice_arg, int, int_arg, left_out, may,
        maybe_int, maybe_text, needs, text, text_ref, value_arg,
    },
    twin::{STORED, Sql, When, twin},
};
use crate::{
    column::{Absence, Value},
    eval::RowContext,
    types::{Ty, Type},
};

const DAY: i64 = 86_400_000_000_000;
const WITH_ZONE: &[Param] = &[needs("t", TIMESTAMP), may("tz", TEXT)];

/// Time.
pub const FUNCTIONS: &[Function] = &[
    entry(
        "now",
        &[],
        |_| Ty::required(Type::Timestamp),
        "The Kafka timestamp of the event's record: the same at every replay.",
        &[("now() - now()", "\"0s\"")],
        Kernel::Rows(|_, row| Value::Timestamp(row.now)),
        twin("now64(9)").note("the time of the query, not of the event"),
    ),
    entry(
        "floor_time",
        &[needs("t", TIMESTAMP), needs("step", DURATION), may("tz", TEXT)],
        |_| Ty::optional(Type::Timestamp),
        "The start of the step that the instant lies in, counted from midnight of its zone (weeks from Monday).",
        &[("floor_time(t\"2026-05-01T10:17:42Z\", 5m)", "\"2026-05-01T10:15:00Z\"")],
        Kernel::Rows(floor_time),
        twin("toStartOfInterval({0}, {1})")
            .forms(&[(When::Given(2), "toStartOfInterval({0}, {1}, {2})")])
            .note("the step is an interval there; weeks begin on Monday in both"),
    ),
    entry(
        "format_time",
        &[needs("t", TIMESTAMP), needs("format", TEXT), may("tz", TEXT)],
        maybe_text,
        "The instant as text by a strftime format.",
        &[("format_time(t\"2026-05-01T10:17:42Z\", \"%d/%b/%Y %H:%M\")", "\"01/May/2026 10:17\"")],
        Kernel::Rows(format_time),
        twin("formatDateTime({0}, {1}, {2|'UTC'})")
            .note("letters differ: minutes are `%i` there, `%M` is the name of the month"),
    ),
    entry(
        "unix",
        &[needs("t", TIMESTAMP), may("unit", UNITS)],
        int,
        "The instant as an epoch number, in seconds unless told otherwise.",
        &[("unix(t\"2026-01-01T00:00:00Z\")", "1767225600")],
        Kernel::Rows(|args, _| match value_arg(args, 0) {
            Some(Value::Timestamp(nanos)) => Value::Int(nanos.div_euclid(unit(args, 1).nanos())),
            _ => WRONG_TYPE,
        }),
        twin("toUnixTimestamp64Second({0})")
            .forms(&[
                (When::Choice(1, "ms"), "toUnixTimestamp64Milli({0})"),
                (When::Choice(1, "us"), "toUnixTimestamp64Micro({0})"),
                (When::Choice(1, "ns"), "toUnixTimestamp64Nano({0})"),
            ])
            .note("the column must be a DateTime64"),
    ),
    entry(
        "from_unix",
        &[needs("n", INT), may("unit", UNITS)],
        |_| Ty::optional(Type::Timestamp),
        "The instant of an epoch number, in seconds unless told otherwise.",
        &[("from_unix(1767225600)", "\"2026-01-01T00:00:00Z\"")],
        Kernel::Rows(|args, _| match int_arg(args, 0) {
            Some(number) => Value::or_absent(
                number.checked_mul(unit(args, 1).nanos()).map(Value::Timestamp),
                Absence::OutOfRange,
            ),
            None => WRONG_TYPE,
        }),
        twin("fromUnixTimestamp64Second({0}, 'UTC')").forms(&[
            (When::Choice(1, "ms"), "fromUnixTimestamp64Milli({0}, 'UTC')"),
            (When::Choice(1, "us"), "fromUnixTimestamp64Micro({0}, 'UTC')"),
            (When::Choice(1, "ns"), "fromUnixTimestamp64Nano({0}, 'UTC')"),
        ]),
    ),
    entry(
        "age",
        &[needs("t", TIMESTAMP)],
        |_| Ty::required(Type::Duration),
        "How long before `now()` the instant was.",
        &[("age(now() - 5m)", "\"5m\"")],
        Kernel::Rows(|args, row| match value_arg(args, 0) {
            Some(Value::Timestamp(nanos)) => Value::or_absent(
                row.now.checked_sub(*nanos).map(Value::Duration),
                Absence::Overflow,
            ),
            _ => WRONG_TYPE,
        }),
        twin("toUnixTimestamp64Nano(now64(9)) - toUnixTimestamp64Nano({0})")
            .note("nanoseconds, from the time of the query"),
    ),
    entry(
        "year",
        WITH_ZONE,
        maybe_int,
        "The instant's year.",
        &[("year(t\"2026-05-01T10:17:42Z\")", "2026")],
        Kernel::Rows(|args, _| field(args, |at| at.year)),
        twin("toYear({0}, {1|'UTC'})"),
    ),
    entry(
        "month",
        WITH_ZONE,
        maybe_int,
        "The instant's month, 1 to 12.",
        &[("month(t\"2026-05-01T10:17:42Z\")", "5")],
        Kernel::Rows(|args, _| field(args, |at| at.month)),
        twin("toMonth({0}, {1|'UTC'})"),
    ),
    entry(
        "day",
        WITH_ZONE,
        maybe_int,
        "The instant's day of the month, 1 to 31.",
        &[("day(t\"2026-05-01T10:17:42Z\")", "1")],
        Kernel::Rows(|args, _| field(args, |at| at.day)),
        twin("toDayOfMonth({0}, {1|'UTC'})"),
    ),
    entry(
        "hour",
        WITH_ZONE,
        maybe_int,
        "The instant's hour, 0 to 23.",
        &[("hour(t\"2026-05-01T10:17:42Z\", \"Europe/Berlin\")", "12")],
        Kernel::Rows(|args, _| field(args, |at| at.second_of_day / 3600)),
        twin("toHour({0}, {1|'UTC'})"),
    ),
    entry(
        "minute",
        WITH_ZONE,
        maybe_int,
        "The instant's minute, 0 to 59.",
        &[("minute(t\"2026-05-01T10:17:42Z\")", "17")],
        Kernel::Rows(|args, _| field(args, |at| at.second_of_day / 60 % 60)),
        twin("toMinute({0}, {1|'UTC'})"),
    ),
    entry(
        "weekday",
        WITH_ZONE,
        maybe_int,
        "The instant's day of the week, 1 is Monday and 7 is Sunday.",
        &[("weekday(t\"2026-05-01T10:17:42Z\")", "5")],
        // 1970-01-01 was a Thursday.
        Kernel::Rows(|args, _| field(args, |at| (at.days + 3).rem_euclid(7) + 1)),
        twin("toDayOfWeek({0}, 0, {1|'UTC'})"),
    ),
    entry(
        "is_weekend",
        WITH_ZONE,
        |_| Ty::optional(Type::Bool),
        "Whether the instant lies on a Saturday or Sunday.",
        &[("is_weekend(t\"2026-05-02T10:17:42Z\")", "true")],
        Kernel::Rows(|args, _| {
            match field(args, |at| i64::from((at.days + 3).rem_euclid(7) >= 5)) {
                Value::Int(weekend) => Value::Bool(weekend == 1),
                other => other,
            }
        }),
        twin("toDayOfWeek({0}, 0, {1|'UTC'}) >= 6"),
    ),
    entry(
        "human",
        &[needs("d", DURATION)],
        text,
        "A duration as text for people, its two largest units.",
        &[("human(93784s)", "\"1d 2h\""), ("human(1500ms)", "\"1s 500ms\"")],
        Kernel::Rows(human),
        Sql::None(STORED),
    ),
    entry(
        "is_between_hours",
        &[needs("t", TIMESTAMP), needs("from", TEXT), needs("to", TEXT), may("tz", TEXT)],
        |_| Ty::optional(Type::Bool),
        "Whether the clock of the zone shows a time from `from` up to (not including) `to`; where `from` is the later one, the night between is meant.",
        &[
            ("is_between_hours(t\"2026-05-01T10:17:42Z\", \"08:00\", \"18:00\")", "true"),
            ("is_between_hours(t\"2026-05-01T23:30:00Z\", \"22:00\", \"06:00\")", "true"),
        ],
        Kernel::Rows(is_between_hours),
        twin("if({1} <= {2}, formatDateTime({0}, '%H:%i', {3|'UTC'}) >= {1} AND formatDateTime({0}, '%H:%i', {3|'UTC'}) < {2}, formatDateTime({0}, '%H:%i', {3|'UTC'}) >= {1} OR formatDateTime({0}, '%H:%i', {3|'UTC'}) < {2})")
            .note("hours are written with two digits there"),
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
    Function { sql, ..Function::new(name, Family::Time, params, returns, doc, examples, kernel) }
}

fn unit(args: &[RowArg<'_>], index: usize) -> Unit {
    choice_arg(args, index).and_then(Unit::named).unwrap_or(Unit::Seconds)
}

/// The zone of that name. Zones are few and rows are many, so the last one is kept at hand.
pub(super) fn zone(name: &str) -> Option<TimeZone> {
    thread_local! {
        static LAST: RefCell<Option<(Arc<str>, Option<TimeZone>)>> = const { RefCell::new(None) };
    }
    LAST.with_borrow_mut(|last| match last {
        Some((known, zone)) if &**known == name => zone.clone(),
        _ => {
            let zone = if name == "UTC" || name == "Z" {
                Some(TimeZone::UTC)
            } else {
                jiff::tz::db().get(name).ok()
            };
            *last = Some((name.into(), zone.clone()));
            zone
        }
    })
}

/// An instant by the clock and calendar of a zone.
struct Local {
    days: i64,
    year: i64,
    month: i64,
    day: i64,
    second_of_day: i64,
}

/// Seconds that a zone's clock is ahead of UTC at an instant.
pub(super) fn offset(zone: &TimeZone, nanos: i64) -> Option<i64> {
    let instant = Timestamp::from_nanosecond(i128::from(nanos)).ok()?;
    Some(i64::from(zone.to_offset(instant).seconds()))
}

fn field<'a>(args: &[RowArg<'a>], read: fn(&Local) -> i64) -> Value<'a> {
    let Some(Value::Timestamp(nanos)) = value_arg(args, 0) else { return WRONG_TYPE };
    let ahead = if left_out(args, 1) {
        Some(0)
    } else {
        text_ref(args, 1).and_then(zone).and_then(|zone| offset(&zone, *nanos))
    };
    let Some(ahead) = ahead else { return Value::Absent(Absence::Parse) };
    let seconds = nanos.div_euclid(1_000_000_000) + ahead;
    let days = seconds.div_euclid(86_400);
    let (year, month, day) = show::civil(days);
    Value::Int(read(&Local { days, year, month, day, second_of_day: seconds.rem_euclid(86_400) }))
}

fn floor_time<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let (Some(Value::Timestamp(nanos)), Some(Value::Duration(step))) =
        (value_arg(args, 0), value_arg(args, 1))
    else {
        return WRONG_TYPE;
    };
    if *step <= 0 {
        return Value::Absent(Absence::OutOfRange);
    }
    let zone = if left_out(args, 2) {
        None
    } else {
        match text_ref(args, 2).and_then(zone) {
            Some(zone) => Some(zone),
            None => return Value::Absent(Absence::Parse),
        }
    };
    // Weeks begin on Monday, and 1970-01-05 was the first one; everything else counts from midnight.
    let origin = if step % (7 * DAY) == 0 { show::days_from_civil(1970, 1, 5) * DAY } else { 0 };
    let floored = match zone {
        None => floor(*nanos, *step, origin),
        Some(zone) => offset(&zone, *nanos).and_then(|ahead| {
            let shift = ahead * 1_000_000_000;
            let start = floor(nanos.checked_add(shift)?, *step, origin)?;
            // The step may have begun before the clock was changed: take the offset of its start.
            let guess = start.checked_sub(shift)?;
            let then = offset(&zone, guess)? * 1_000_000_000;
            if *step >= DAY { start.checked_sub(then) } else { Some(guess) }
        }),
    };
    Value::or_absent(floored.map(Value::Timestamp), Absence::OutOfRange)
}

fn floor(nanos: i64, step: i64, origin: i64) -> Option<i64> {
    let from_origin = nanos.checked_sub(origin)?;
    nanos.checked_sub(from_origin.rem_euclid(step))
}

fn format_time<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let (Some(Value::Timestamp(nanos)), Some(format)) = (value_arg(args, 0), text_ref(args, 1))
    else {
        return WRONG_TYPE;
    };
    let zone =
        if left_out(args, 2) { Some(TimeZone::UTC) } else { text_ref(args, 2).and_then(zone) };
    let formatted = zone.and_then(|zone| {
        let instant = Timestamp::from_nanosecond(i128::from(*nanos)).ok()?;
        jiff::fmt::strtime::format(format, &Zoned::new(instant, zone)).ok()
    });
    Value::or_absent(formatted.map(Value::owned), Absence::Parse)
}

fn human<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(Value::Duration(nanos)) = value_arg(args, 0) else { return WRONG_TYPE };
    if *nanos == 0 {
        return Value::text("0s");
    }
    let mut out = String::from(if *nanos < 0 { "-" } else { "" });
    let mut left = nanos.unsigned_abs();
    let mut units = show::DURATION_UNITS
        .iter()
        .skip_while(|(size, _)| nanos.unsigned_abs() < size.unsigned_abs());
    for (size, unit) in units.by_ref().take(2) {
        let count = left / size.unsigned_abs();
        left %= size.unsigned_abs();
        if count > 0 {
            if out.len() > 1 {
                out.push(' ');
            }
            out.push_str(&count.to_string());
            out.push_str(unit);
        }
    }
    Value::owned(out)
}

/// Seconds since midnight of `8:30`, `08:30` or `08:30:15`; `24:00` ends the day.
fn clock(text: &str) -> Option<i64> {
    let mut parts = text.trim().split(':');
    let mut seconds = 0;
    for limit in [24, 59, 59] {
        let part = match parts.next() {
            Some(digits) if digits.len() <= 2 => super::read::int(digits)?,
            Some(_) => return None,
            None => 0,
        };
        if !(0..=limit).contains(&part) {
            return None;
        }
        seconds = seconds * 60 + part;
    }
    (parts.next().is_none() && seconds <= 86_400).then_some(seconds)
}

fn is_between_hours<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some((from, to)) = text_ref(args, 1).zip(text_ref(args, 2)) else { return WRONG_TYPE };
    let Some((from, to)) = clock(from).zip(clock(to)) else {
        return Value::Absent(Absence::Parse);
    };
    // The zone stands where `field` looks for it.
    let at = [args.first(), args.get(3)].map(|arg| arg.cloned().unwrap_or(RowArg::None));
    match field(&at, |at| at.second_of_day) {
        Value::Int(now) if from <= to => Value::Bool(from <= now && now < to),
        Value::Int(now) => Value::Bool(now >= from || now < to),
        other => other,
    }
}
