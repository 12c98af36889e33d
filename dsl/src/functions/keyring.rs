//! Keys that change with time: which of a secret's keys is in force when an event comes.
//!
//! A secret with lines `ID@DATE KEY` is a ring: each key is in force from its date on (00:00 UTC), by the event's own time,
//! so a replay finds the same key. Any other secret is one key without an id.

use crate::column::decode::timestamp;

/// Letters of an id, at most: it stands in front of each pseudonym.
const ID_MAX: usize = 16;
/// Shorter keys can be found by trying.
const KEY_MIN: usize = 16;

/// A key, and the id that its pseudonyms carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key<'a> {
    pub(super) id: Option<&'a str>,
    pub(super) key: &'a str,
}

/// The key in force at a time in nanoseconds since 1970; before the first date the first key.
pub(super) fn in_force(secret: &str, now: i64) -> Key<'_> {
    // Before its date a key ranks lower than every key in force, and earlier ones rank higher.
    let rank = |from: i64| if from <= now { (true, from) } else { (false, from.saturating_neg()) };
    // Of keys with one date the last one counts.
    let best = ring(secret).max_by_key(|(from, _)| rank(*from));
    best.map_or(Key { id: None, key: secret }, |(_, key)| key)
}

/// The key of that id.
pub(super) fn named<'a>(secret: &'a str, id: &str) -> Option<Key<'a>> {
    ring(secret).map(|(_, key)| key).find(|key| key.id == Some(id))
}

/// What is wrong with a secret that is almost a ring, to say it when rules are loaded.
pub(crate) fn problem(secret: &str) -> Option<String> {
    let lines = || secret.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    if !lines().any(|(_, line)| entry(line).is_some()) {
        return None;
    }
    if let Some((index, _)) = lines().find(|(_, line)| entry(line).is_none()) {
        return Some(format!(
            "line {} is not `ID@DATE KEY` as the others are: an id of up to {ID_MAX} letters and digits, a date such as 2026-10-01, a key of {KEY_MIN} letters or more",
            index + 1
        ));
    }
    let mut ids: Vec<&str> = ring(secret).filter_map(|(_, key)| key.id).collect();
    ids.sort_unstable();
    let twice = ids.windows(2).find(|pair| pair[0] == pair[1])?;
    Some(format!("two keys have the id `{}`", twice[0]))
}

/// The keys of a ring with the times from which they are in force; nothing if the secret is none.
fn ring(secret: &str) -> impl Iterator<Item = (i64, Key<'_>)> {
    let is_ring = secret.lines().next().is_some_and(|line| entry(line).is_some());
    secret.lines().filter(move |_| is_ring).filter_map(entry)
}

/// One line: `2026q4@2026-10-01 KEY`.
fn entry(line: &str) -> Option<(i64, Key<'_>)> {
    let (id, rest) = line.trim().split_once('@')?;
    let (date, key) = rest.split_once(' ')?;
    let (date, key) = (<&[u8; 10]>::try_from(date.as_bytes()).ok()?, key.trim());
    let is_id =
        (1..=ID_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_id || key.len() < KEY_MIN || key.contains(char::is_whitespace) {
        return None;
    }
    let mut midnight = *b"0000-00-00T00:00:00Z";
    midnight[..10].copy_from_slice(date);
    Some((timestamp(&midnight).ok()?, Key { id: Some(id), key }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RING: &str = "b@2026-10-01 0123456789abcdef\n\na@2026-07-01 fedcba9876543210\nc@2027-01-01 0000111122223333\n";

    fn at(date: &str) -> Option<&'static str> {
        in_force(RING, timestamp(format!("{date}Z").as_bytes()).unwrap()).id
    }

    #[test]
    fn the_latest_key_that_has_begun_is_in_force() {
        assert_eq!(at("2026-09-30T23:59:59"), Some("a"));
        assert_eq!(at("2026-10-01T00:00:00"), Some("b"));
        assert_eq!(at("2031-01-01T00:00:00"), Some("c"));
        assert_eq!(at("2020-01-01T00:00:00"), Some("a"), "before all of them the first");
        assert_eq!(named(RING, "a").map(|key| key.key), Some("fedcba9876543210"));
        assert_eq!(named(RING, "d"), None);
    }

    #[test]
    fn other_secrets_are_one_key() {
        for secret in ["swordfish", "user@host password", "a@2026-10-01 short", "", "a@b c"] {
            assert_eq!(in_force(secret, 0), Key { id: None, key: secret });
            assert_eq!(problem(secret), None, "{secret}");
        }
    }

    #[test]
    fn rings_with_a_slip_are_named() {
        assert_eq!(problem(RING), None);
        let slip = RING.replace("a@2026-07-01", "a@2026-07");
        assert!(problem(&slip).is_some_and(|why| why.starts_with("line 3 ")));
        let twice = RING.replace("a@", "b@");
        assert_eq!(problem(&twice).as_deref(), Some("two keys have the id `b`"));
    }
}
