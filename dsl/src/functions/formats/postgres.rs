//! Lines of PostgreSQL's server log, with the prefixes that are in use.

use crate::{
    column::{Absence, Severity, Value},
    functions::{
        dates, read,
        records::{FieldSpec, maybe, maybe_int},
    },
    types::Type,
};

/// What `parse_postgres` yields.
pub(super) const FIELDS: &[FieldSpec] = &[
    ("timestamp", Type::Timestamp, true),
    ("pid", Type::Int, true),
    ("user", Type::Text, true),
    ("database", Type::Text, true),
    ("app", Type::Text, true),
    ("client", Type::Text, true),
    ("level", Type::Text, false),
    ("severity", Type::Severity, false),
    ("duration", Type::Duration, true),
    ("statement", Type::Text, true),
    ("message", Type::Text, false),
];

/// PostgreSQL's levels; those that only go with another line have its rank.
const LEVELS: [(&str, u8); 15] = [
    ("DEBUG5", 5),
    ("DEBUG4", 5),
    ("DEBUG3", 5),
    ("DEBUG2", 5),
    ("DEBUG1", 5),
    ("LOG", 9),
    ("INFO", 9),
    ("NOTICE", 10),
    ("WARNING", 13),
    ("ERROR", 17),
    ("FATAL", 18),
    ("PANIC", 21),
    ("DETAIL", 9),
    ("HINT", 9),
    ("STATEMENT", 9),
];

/// Reads `2026-05-01 10:00:00.123 UTC [1234] user@database LOG:  message` and its relatives.
pub(super) fn parse(text: &str) -> Option<Vec<Value<'_>>> {
    let text = text.trim();
    // The level is the first of its kind that a colon and two blanks (or one) follow.
    let (at, level, rank) = LEVELS
        .iter()
        .filter_map(|(level, rank)| {
            let mark = format!("{level}: ");
            let at = text.find(&mark)?;
            let whole = !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
            whole.then_some((at, *level, *rank))
        })
        .min_by_key(|(at, ..)| *at)?;
    let prefix = &text[..at];
    let message = text[at + level.len() + 1..].trim_start();
    let time = leading_time(prefix);
    let pid = prefix.split('[').skip(1).find_map(|part| {
        let (digits, _) = part.split_once([']', '-'])?;
        read::int(digits)
    });
    let (mut user, mut database, mut app, mut client) = (None, None, None, None);
    for word in prefix.split([' ', ',']) {
        match word.trim_end_matches(':').split_once('=') {
            Some(("user", value)) => user = Some(value),
            Some(("db" | "database", value)) => database = Some(value),
            Some(("app" | "application", value)) => app = Some(value),
            Some(("client" | "host", value)) => client = Some(value),
            Some(_) => {}
            None => {
                if let Some((name, place)) = word.split_once('@')
                    && !name.is_empty()
                {
                    (user, database) = (Some(name), Some(place.trim_end_matches(':')));
                }
            }
        }
    }
    let (duration, statement) = timing(message);
    Some(vec![
        Value::or_absent(time.map(Value::Timestamp), Absence::Missing),
        maybe_int(pid),
        known(user),
        known(database),
        known(app),
        known(client),
        Value::text(level),
        Value::Severity(Severity(rank)),
        Value::or_absent(duration.map(Value::Duration), Absence::Missing),
        maybe(statement),
        Value::text(message),
    ])
}

/// What the prefix says, unless it says that nothing is known.
fn known(text: Option<&str>) -> Value<'_> {
    maybe(text.filter(|text| !matches!(*text, "" | "[unknown]" | "-")))
}

/// The time at the start: a date, a clock, perhaps a zone.
fn leading_time(prefix: &str) -> Option<i64> {
    let ends = prefix.match_indices([' ', '[']).map(|(at, _)| at);
    let mut ends: Vec<usize> = ends.take(4).chain([prefix.trim_end().len()]).collect();
    ends.reverse();
    ends.into_iter().find_map(|end| dates::usual(prefix.get(..end)?.trim(), None, 0))
}

/// `duration: 12.3 ms  statement: SELECT …`.
fn timing(message: &str) -> (Option<i64>, Option<&str>) {
    let Some(rest) = message.strip_prefix("duration: ") else {
        return (None, message.strip_prefix("statement: "));
    };
    let Some((number, rest)) = rest.split_once(" ms") else { return (None, None) };
    let nanos = read::scaled(number, 1_000_000).and_then(|nanos| i64::try_from(nanos).ok());
    let statement = rest.split_once(": ").map(|(_, statement)| statement.trim());
    (nanos, statement)
}
