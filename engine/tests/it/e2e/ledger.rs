//! The producer's ledger: what was produced, what must become of it, and the comparison with what is there.

use std::collections::BTreeMap;

use super::project::Project;

/// What must become of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    /// One row in `logs`.
    Home,
    /// One row in `logs` and one in `errors`.
    Both,
    /// No row: dropped by a rule.
    Dropped,
    /// One row in the dead letter, for this reason.
    Dead(&'static str),
}

/// What was produced.
pub(crate) struct Ledger {
    /// Payload and fate, by number.
    pub(crate) entries: Vec<(Option<Vec<u8>>, Fate)>,
}

impl Ledger {
    /// That many events, of every kind of fate, in a fixed order of kinds.
    pub(crate) fn new(count: usize) -> Self {
        let entries = (0..count).map(|id| entry(id as u64)).collect();
        Self { entries }
    }

    /// Payloads in order.
    pub(crate) fn payloads(&self) -> impl Iterator<Item = Option<&[u8]>> {
        self.entries.iter().map(|(payload, _)| payload.as_deref())
    }

    /// How many events have which fate.
    pub(crate) fn totals(&self) -> BTreeMap<Fate, u64> {
        let mut totals = BTreeMap::new();
        for (_, fate) in &self.entries {
            *totals.entry(*fate).or_default() += 1;
        }
        totals
    }

    /// How many must have a row in a table.
    pub(crate) fn expected(&self, table: &str) -> u64 {
        self.entries
            .iter()
            .filter(|(_, fate)| match table {
                "errors" => *fate == Fate::Both,
                _ => matches!(fate, Fate::Home | Fate::Both),
            })
            .count() as u64
    }

    /// Dead letters that are expected.
    pub(crate) fn dead(&self) -> u64 {
        self.entries.iter().filter(|(_, fate)| matches!(fate, Fate::Dead(_))).count() as u64
    }

    /// Asserts that every id has its fate: present where it must be, absent everywhere else. Repeated rows are counted apart.
    pub(crate) fn check(&self, project: &Project) {
        for (table, wanted) in [("logs", "home or both"), ("errors", "both")] {
            let expected: Vec<u64> = self
                .entries
                .iter()
                .enumerate()
                .filter(|(_, (_, fate))| match table {
                    "errors" => *fate == Fate::Both,
                    _ => matches!(fate, Fate::Home | Fate::Both),
                })
                .map(|(id, _)| id as u64)
                .collect();
            let text = project.sql(&format!(
                "SELECT DISTINCT toUInt64(attributes['id']) AS id FROM {{db}}.{table} ORDER BY id FORMAT TSV"
            ));
            let found: Vec<u64> = text.lines().map(|line| line.parse().unwrap()).collect();
            let lost: Vec<&u64> =
                expected.iter().filter(|id| found.binary_search(id).is_err()).take(5).collect();
            let extra: Vec<&u64> =
                found.iter().filter(|id| expected.binary_search(id).is_err()).take(5).collect();
            assert!(
                lost.is_empty() && extra.is_empty(),
                "{table} ({wanted}): lost {lost:?}, should not be there {extra:?}"
            );
        }
        let by_reason = project.sql(
            "SELECT reason, uniqExact(kafka_partition, kafka_offset) FROM {db}.dead_letters GROUP BY reason ORDER BY reason FORMAT TSV",
        );
        let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
        for (_, fate) in &self.entries {
            if let Fate::Dead(reason) = fate {
                *expected.entry(reason).or_default() += 1;
            }
        }
        let found: BTreeMap<&str, u64> = by_reason
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .map(|(reason, count)| (reason, count.parse().unwrap()))
            .collect();
        assert_eq!(found, expected, "dead letters by reason");
    }

    /// Rows that stand more than once, over all tables.
    pub(crate) fn duplicates(project: &Project) -> u64 {
        ["logs", "errors", "dead_letters"]
            .iter()
            .map(|table| {
                project.count(&format!(
                    "SELECT count() - uniqExact(kafka_topic, kafka_partition, kafka_offset, emit_ix) FROM {{db}}.{table}"
                ))
            })
            .sum()
    }
}

/// Of a hundred events: 10 debug (dropped), 5 health checks (dropped), 6 errors (both), one each of six broken kinds, the rest at home.
pub(crate) fn entry(id: u64) -> (Option<Vec<u8>>, Fate) {
    let event = |severity: &str, path: &str, message: &str| {
        format!(
            "{{\"timestamp\":\"2026-11-0{}T10:00:00.{:06}Z\",\"severity\":\"{severity}\",\"service\":\"svc-{}\",\"id\":{id},\"message\":\"{message}\",\"http\":{{\"path\":\"{path}\",\"status\":200}}}}",
            id % 3 + 1,
            id % 1_000_000,
            id % 17,
        )
        .into_bytes()
    };
    match id % 100 {
        0..10 => (Some(event("debug", "/", "noise")), Fate::Dropped),
        10..15 => (Some(event("info", "/healthz", "fine")), Fate::Dropped),
        15..21 => (Some(event("error", "/pay", "declined")), Fate::Both),
        21 => (Some(format!("{{\"id\":{id},").into_bytes()), Fate::Dead("not_json")),
        22 => (Some(format!("[{id}]").into_bytes()), Fate::Dead("not_object")),
        23 => (Some(Vec::new()), Fate::Dead("empty")),
        24 => (None, Fate::Dead("tombstone")),
        25 => (
            Some([b"{\"message\":\"\xff\xfe", id.to_string().as_bytes(), b"\"}"].concat()),
            Fate::Dead("not_utf8"),
        ),
        26 => {
            let deep = format!("{{\"id\":{id},\"a\":{}{}}}", "[".repeat(80), "]".repeat(80));
            (Some(deep.into_bytes()), Fate::Dead("too_deep"))
        }
        _ => (Some(event("info", "/cart", "an ordinary line")), Fate::Home),
    }
}
