//! Instants and durations in the forms that logs write them.

use std::{cell::RefCell, sync::LazyLock};

use jiff::tz::TimeZone;

use super::{
    RowArg,
    conversion::timestamp_from_text,
    items, read,
    signature::{UNREADABLE, WRONG_TYPE, json_ref, left_out, text_ref, value_arg},
    strptime::{Moment, TimeFormat},
    time::{offset, zone},
};
use crate::{
    column::{Absence, Value},
    eval::RowContext,
};

const DAY: i64 = 86_400_000_000_000;

/// Formats that logs use, the frequent ones first.
static USUAL: LazyLock<Vec<TimeFormat>> = LazyLock::new(|| {
    [
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M:%S%.f %z",
        "%Y-%m-%dT%H:%M:%S%.f%z",
        "%d/%b/%Y:%H:%M:%S %z",
        "%Y/%m/%d %H:%M:%S%.f",
        "%b %e %H:%M:%S",
        "%a, %d %b %Y %H:%M:%S %z",
        "%a, %d %b %Y %H:%M:%S %Z",
        "%a %b %e %H:%M:%S %Y",
        "%a %b %e %H:%M:%S%.f %Y",
        "%d %b %Y %H:%M:%S%.f",
        "%Y-%m-%d %H:%M:%S%.f %Z",
        "%d/%b/%Y %H:%M:%S%.f",
        "%d-%b-%Y %H:%M:%S%.f",
        "%d.%m.%Y %H:%M:%S%.f",
        "%b %e %Y %H:%M:%S%.f",
        "%b %e, %Y %I:%M:%S %p",
        "%b %e %H:%M:%S%.f",
        "%e %b %H:%M:%S%.f",
        "%a %b %e %H:%M:%S %Z %Y",
        "%Y%m%d %H:%M:%S%.f",
        "%Y%m%dT%H%M%S%.f%z",
        "%Y-%m-%d",
        "%Y/%m/%d",
    ]
    .iter()
    .map(|format| TimeFormat::compile(format).expect("a usual format compiles"))
    .collect()
});

/// `parse_timestamp(x, formats, tz)`
pub(super) fn parse_timestamp<'a>(args: &[RowArg<'a>], row: &RowContext<'a>) -> Value<'a> {
    let zone = if left_out(args, 2) {
        None
    } else {
        match text_ref(args, 2).and_then(zone) {
            Some(zone) => Some(zone),
            None => return UNREADABLE,
        }
    };
    let place = |moment: Moment| placed(&moment, zone.as_ref(), row.now);
    let (read, why) = match value_arg(args, 0) {
        Some(Value::Timestamp(nanos)) => (Some(*nanos), Absence::Type),
        Some(Value::Int(number)) => (read::epoch_int(*number, None), Absence::OutOfRange),
        Some(Value::Float(number)) => (read::epoch_float(*number, None), Absence::OutOfRange),
        Some(Value::Text(text)) => {
            let text = text.trim();
            let read = match json_ref(args, 1) {
                Some(formats) => with_formats(formats, |formats| {
                    formats.iter().find_map(|format| format.moment(text)).and_then(place)
                }),
                None => usual(text, zone.as_ref(), row.now),
            };
            (read, Absence::Parse)
        }
        _ => (None, Absence::Type),
    };
    Value::or_absent(read.map(Value::Timestamp), why)
}

/// The instant of a text in RFC 3339, an epoch number or a format that logs use.
pub(super) fn usual(text: &str, zone: Option<&TimeZone>, now: i64) -> Option<i64> {
    timestamp_from_text(text, None).or_else(|| {
        let moment = USUAL.iter().find_map(|format| format.moment(text))?;
        placed(&moment, zone, now)
    })
}

/// The instant of what a text said, by a zone's clock where it named no offset, in the latest year that is not ahead of `now` where it named none.
pub(super) fn placed(moment: &Moment, zone: Option<&TimeZone>, now: i64) -> Option<i64> {
    let at = |year: i64| {
        let local = moment.nanos(year, 0)?;
        match zone {
            Some(zone) if moment.offset.is_none() && moment.epoch.is_none() => {
                // Twice, as the offset is asked for by an instant that is only known with it.
                let guess = local.checked_sub(offset(zone, local)? * 1_000_000_000)?;
                local.checked_sub(offset(zone, guess)? * 1_000_000_000)
            }
            _ => Some(local),
        }
    };
    if moment.year.is_some() || moment.epoch.is_some() {
        return at(1970);
    }
    let (year, _, _) = super::show::civil(now.div_euclid(DAY));
    // A line of 31 December that is read on 1 January is not of this year; clocks may be a day apart.
    [year + 1, year, year - 1]
        .into_iter()
        .filter_map(at)
        .find(|nanos| *nanos <= now.saturating_add(DAY))
}

/// Formats of a JSON list, compiled. Rows of one call share the list, so the last one is kept at hand.
fn with_formats<R>(list: &str, use_formats: impl FnOnce(&[TimeFormat]) -> R) -> R {
    thread_local! {
        static LAST: RefCell<(String, Vec<TimeFormat>)> = const { RefCell::new((String::new(), Vec::new())) };
    }
    LAST.with_borrow_mut(|(known, formats)| {
        if known != list {
            list.clone_into(known);
            *formats = items::elements(list)
                .filter_map(|raw| match items::decode(raw) {
                    Value::Text(format) => TimeFormat::compile(&format).ok(),
                    _ => None,
                })
                .collect();
        }
        use_formats(formats)
    })
}

/// `parse_duration(s)`
pub(super) fn parse_duration<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    const LONGEST: usize = 128;
    let Some(text) = text_ref(args, 0).map(str::trim) else { return WRONG_TYPE };
    if text.len() > LONGEST {
        return UNREADABLE;
    }
    let solid: String = text.chars().filter(|c| *c != ' ').collect();
    let read = read::duration(&solid).or_else(|| {
        let parsed: jiff::SignedDuration = text.parse().ok()?;
        i64::try_from(parsed.as_nanos()).ok()
    });
    Value::or_absent(read.map(Value::Duration), Absence::Parse)
}
