//! The judge of every run with faults: what was produced against what the tables hold, row by row.

use std::fs;

use super::stage::Stage;
use crate::e2e::{engine_process::Engine, ledger::Fate, ledger::entry};

/// What must hold at the end, beside that nothing is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Promise {
    /// Every row stands once.
    Once,
    /// Rows may repeat.
    AtLeastOnce,
}

impl Promise {
    /// What is asked for unless a test is about one of them; `LOGMON_DELIVERY` names the other one.
    pub(crate) fn usual() -> Self {
        match std::env::var("LOGMON_DELIVERY").as_deref() {
            Ok("exactly-once") | Err(_) => Self::Once,
            Ok("at-least-once") => Self::AtLeastOnce,
            Ok(other) => panic!("LOGMON_DELIVERY={other}: write exactly-once or at-least-once"),
        }
    }

    /// What `logmon.toml` calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Once => "exactly-once",
            Self::AtLeastOnce => "at-least-once",
        }
    }
}

/// A table, and which events have a row in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    takes: fn(Fate) -> bool,
}

/// All tables of a stage.
pub(crate) const TABLES: [Table; 3] = [
    Table { name: "logs", takes: |fate| matches!(fate, Fate::Home | Fate::Both) },
    Table { name: "errors", takes: |fate| fate == Fate::Both },
    Table { name: "dead_letters", takes: |fate| matches!(fate, Fate::Dead(_)) },
];

/// Fates repeat after so many events.
const CYCLE: u64 = 100;

impl Table {
    /// How many of the first events have a row here.
    pub(crate) fn expected(&self, events: u64) -> u64 {
        let of =
            |ids: std::ops::Range<u64>| ids.filter(|id| (self.takes)(entry(*id).1)).count() as u64;
        of(0..CYCLE) * (events / CYCLE) + of(0..events % CYCLE)
    }

    /// The condition on an event's number that it has a row here.
    fn condition(&self, id: &str) -> String {
        let kinds: Vec<String> = (0..CYCLE)
            .filter(|kind| (self.takes)(entry(*kind).1))
            .map(|kind| kind.to_string())
            .collect();
        format!("({id}) % {CYCLE} IN ({})", kinds.join(","))
    }
}

/// What a run came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Events produced.
    pub(crate) events: u64,
    /// Rows that should stand, over all tables.
    pub(crate) rows: u64,
    /// Rows that are not there.
    pub(crate) lost: u64,
    /// Rows that should not be there.
    pub(crate) strange: u64,
    /// Rows beyond the first of their identity.
    pub(crate) repeated: u64,
    /// Rows of a second attempt.
    pub(crate) attempts: u64,
    /// The first words about what is wrong.
    pub(crate) words: String,
}

/// Compares the tables with the first `events` events.
pub(crate) fn judge(stage: &Stage<'_>, events: u64) -> Verdict {
    let mut verdict = Verdict { events, ..Verdict::default() };
    let id = format!("kafka_offset * {} + kafka_partition", stage.partitions);
    for table in TABLES {
        let name = table.name;
        let numbers = |sql: &str| -> Vec<u64> {
            let text = stage.sql(sql);
            text.split_whitespace().map(|number| number.parse().unwrap()).collect()
        };
        let missing = numbers(&format!(
            "SELECT count(), min(number), max(number) FROM numbers({events}) WHERE {} AND number NOT IN (SELECT {id} FROM {{db}}.{name})",
            table.condition("number")
        ));
        let found = numbers(&format!(
            "SELECT countIf({id} >= {events} OR NOT ({})), count() - uniqExact(kafka_topic, kafka_partition, kafka_offset, emit_ix), countIf(attempt > 0) FROM {{db}}.{name}",
            table.condition(&id)
        ));
        // A row is the event that its place says, not only one of the same place.
        let other = if name == "dead_letters" {
            0
        } else {
            numbers(&format!(
                "SELECT countIf(attributes['id'] != toString({id})) FROM {{db}}.{name}"
            ))[0]
        };
        verdict.rows += table.expected(events);
        verdict.lost += missing[0];
        verdict.strange += found[0] + other;
        verdict.repeated += found[1];
        verdict.attempts += found[2];
        if missing[0] > 0 {
            verdict.words.push_str(&format!(
                "{name} lacks {} rows between the events {} and {}; ",
                missing[0], missing[1], missing[2]
            ));
        }
        if found[1] > 0 {
            verdict.words.push_str(&format!("{name} repeats {} rows; ", found[1]));
        }
    }
    verdict
}

impl Verdict {
    /// Asserts that no row repeats, whatever was promised: the token alone sees to that while engine and server live.
    pub(crate) fn stands_once(&self) {
        self.holds(Promise::Once);
    }

    /// Asserts the promise.
    pub(crate) fn holds(&self, promise: Promise) {
        assert_eq!((self.lost, self.strange), (0, 0), "lost and strange rows: {self:?}");
        if promise == Promise::Once {
            assert_eq!(self.repeated, 0, "repeated rows: {self:?}");
        }
    }
}

/// Asserts that an engine ran clean: no panic, and never more memory than its budget allows.
pub(crate) fn clean(engine: &Engine, budget_mib: u64) {
    let log = engine.log();
    assert!(!log.contains("panicked"), "{log}");
    let peak = memory(engine.pid(), "VmHWM");
    let cap = budget_mib * 2 + FIXED_MIB;
    assert!(peak <= cap, "{peak} MiB of memory with a budget of {budget_mib} MiB, at most {cap}");
}

/// What a process holds beside its budget: its code as the debug build has it (58 MB), the client of Kafka, the threads' stacks, and what the
/// allocator keeps. Whether memory grows is asked where it matters, by how much it does.
const FIXED_MIB: u64 = 128;

/// A figure of the kernel's page about a process, in MiB; zero when it is gone.
pub(crate) fn memory(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

/// How many files and sockets a process holds.
pub(crate) fn files(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}
