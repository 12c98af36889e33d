//! What Kafka holds against what tables and dead letters hold: balanced, or exactly what is missing, there twice, or there for no reason.

use std::{collections::BTreeMap, ops::Range};

use serde::Serialize;

use super::{
    Repair, Trouble,
    compare::{Difference, compare, differences},
    stored::{self, Count},
    walk::{Ask, Stretch},
};
use crate::pipeline::replay::{Judged, Place, Replay, Row, Verdict};

/// How many ranges of a kind are told for a table of a partition; the counts are of all.
const TOLD_MAX: usize = 100;

/// The outcome.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether nothing is missing, twice, or there for no reason.
    pub balanced: bool,
    /// The rules that said what should be there.
    pub bundle: String,
    /// Partition by partition.
    pub partitions: Vec<Partition>,
    /// What was not looked at, and why.
    pub notes: Vec<String>,
}

/// One partition.
#[derive(Debug, Serialize)]
pub struct Partition {
    /// The source.
    pub source: String,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The first offset that was looked at.
    pub from: i64,
    /// One past the last.
    pub to: i64,
    /// The first offset that Kafka holds.
    pub low: i64,
    /// One past the last.
    pub high: i64,
    /// What the group committed.
    pub committed: Option<i64>,
    /// Records that Kafka holds of the range.
    pub records: u64,
    /// Rows that their tables' TTL has deleted by now, or would at once: they are not asked for.
    pub expired: u64,
    /// Offsets without a record: compacted, aborted, or the end of a transaction.
    pub holes: u64,
    /// Records that a sink takes.
    pub delivered: u64,
    /// Records that are dead letters.
    pub dead_lettered: u64,
    /// Records that are dropped, by rule and reason.
    pub dropped: BTreeMap<String, u64>,
    /// Table by table.
    pub tables: Vec<Table>,
    /// What was asked for and Kafka holds no more: only counted.
    pub gone: Option<Gone>,
    /// Why less than what was asked for was looked at.
    pub note: Option<String>,
}

/// One table.
#[derive(Debug, Default, Serialize)]
pub struct Table {
    /// `database.table`.
    pub table: String,
    /// Rows that should be there.
    pub expected: u64,
    /// Of them, those that are.
    pub there: u64,
    /// Of them, those that are not, and nothing says why.
    pub missing: u64,
    /// Of them, those that stand in another table or under another number.
    pub moved: u64,
    /// Of them, those that are not there because of a dead letter.
    pub dead: u64,
    /// Rows that are there more than once.
    pub twice: u64,
    /// Rows that no rule asks for.
    pub unasked: u64,
    /// Letters that today's rules would not write.
    pub older_letters: u64,
    /// Rows of records that Kafka holds no more.
    pub orphans: u64,
    /// Where rows are missing.
    pub missing_at: Vec<Stretches>,
    /// Where rows are there more than once.
    pub twice_at: Vec<Stretches>,
    /// Where rows are that no rule asks for.
    pub unasked_at: Vec<Stretches>,
}

/// Offsets next to each other that have the same fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stretches {
    /// The first offset.
    pub first: i64,
    /// The last offset.
    pub last: i64,
    /// How many rows.
    pub rows: u64,
}

/// A range that Kafka holds no more.
#[derive(Debug, Serialize)]
pub struct Gone {
    /// The first offset.
    pub from: i64,
    /// One past the last.
    pub to: i64,
    /// What each table holds of it.
    pub tables: Vec<GoneTable>,
}

/// What a table holds of a range that Kafka holds no more.
#[derive(Debug, Serialize)]
pub struct GoneTable {
    /// `database.table`.
    pub table: String,
    /// How many rows.
    pub rows: u64,
    /// Of how many records.
    pub records: u64,
    /// How many rows are copies of others.
    pub copies: u64,
}

impl Repair {
    /// Audits what is asked for.
    pub fn audit(&self, ask: &Ask) -> Result<Report, Trouble> {
        let mut report = Report {
            balanced: true,
            bundle: self.bundle.short().to_owned(),
            partitions: Vec::new(),
            notes: Vec::new(),
        };
        for source in self.sources(ask.source.as_deref())? {
            let past = self.past(&source)?;
            let mut replay = self.replay(&source)?;
            if report.notes.is_empty() {
                report.notes = notes(&replay);
            }
            for stretch in self.stretches(&past, &source, ask)? {
                let mut books = Books::new(&replay, &stretch);
                books.gone(self, &replay)?;
                self.walk(&past, &mut replay, &stretch, |replay, range, judged| {
                    books.batch(self, replay, &range, judged.as_ref())
                })?;
                let partition = books.partition;
                report.balanced &= partition.is_balanced();
                report.partitions.push(partition);
            }
        }
        if report.partitions.is_empty() {
            return Err(Trouble::Usage("no partition is meant by that".to_owned()));
        }
        Ok(report)
    }
}

impl Partition {
    /// Whether nothing is missing, twice, or there for no reason.
    pub fn is_balanced(&self) -> bool {
        self.tables.iter().all(|table| table.missing == 0 && table.twice == 0 && table.unasked == 0)
            && self.gone.iter().flat_map(|gone| &gone.tables).all(|table| table.copies == 0)
    }
}

/// What no audit can tell, with these rules.
fn notes(replay: &Replay) -> Vec<String> {
    let mut notes = Vec::new();
    for target in replay.targets.iter().filter(|target| !target.is_known) {
        notes.push(format!(
            "{} is not audited: it lacks one of the columns kafka_topic, kafka_partition, kafka_offset, emit_ix",
            target.name
        ));
    }
    let plan = &replay.bundle().plan;
    for (outlet, sink) in replay.bundle().outlets.iter().zip(&plan.sinks) {
        if matches!(outlet, crate::pipeline::bundle::Outlet::Topic { .. }) {
            notes.push(format!(
                "the topic of the sink `{}` is not audited: its records do not say where they came from",
                sink.name
            ));
        }
    }
    if replay.letters().is_none() {
        notes.push("dead letters go to a topic, which is not audited".to_owned());
    }
    if plan.is_stateful() {
        notes.push(
            "rules that remember were given the records before each range, one million at most"
                .to_owned(),
        );
    }
    notes
}

/// One partition's account.
struct Books<'a> {
    stretch: &'a Stretch,
    partition: Partition,
}

impl<'a> Books<'a> {
    fn new(replay: &Replay, stretch: &'a Stretch) -> Self {
        let standing = &stretch.standing;
        let table = |name: &str| Table { table: name.to_owned(), ..Table::default() };
        let partition = Partition {
            source: stretch.source.to_string(),
            topic: standing.position.topic.to_string(),
            partition: standing.position.partition,
            from: stretch.asked.start,
            to: stretch.asked.end,
            low: standing.low,
            high: standing.high,
            committed: standing.committed,
            records: 0,
            holes: 0,
            expired: 0,
            delivered: 0,
            dead_lettered: 0,
            dropped: BTreeMap::new(),
            tables: replay.targets.iter().map(|target| table(&target.name)).collect(),
            gone: None,
            note: stretch.note.clone(),
        };
        Self { stretch, partition }
    }

    /// Counts what tables hold of records that Kafka holds no more.
    fn gone(&mut self, repair: &Repair, replay: &Replay) -> Result<(), Trouble> {
        let asked = &self.stretch.asked;
        let gone = asked.start..asked.end.min(self.stretch.standing.low);
        if gone.is_empty() {
            return Ok(());
        }
        let mut tables = Vec::new();
        for target in replay.targets.iter().filter(|target| target.is_known) {
            let position = &self.stretch.standing.position;
            let Count { rows, known, offsets } =
                repair.wait(stored::count(target, position, &gone))?;
            let table = target.name.clone();
            tables.push(GoneTable { table, rows, records: offsets, copies: rows - known });
        }
        self.partition.gone = Some(Gone { from: gone.start, to: gone.end, tables });
        Ok(())
    }

    fn batch(
        &mut self,
        repair: &Repair,
        replay: &Replay,
        range: &Range<i64>,
        judged: Option<&Judged>,
    ) -> Result<(), Trouble> {
        let look = repair.look(replay, &self.stretch.standing.position, range)?;
        let none = std::collections::BTreeSet::new();
        let (records, wanted): (&[i64], _) =
            judged.map_or((&[], &none), |judged| (judged.offsets(), &judged.rows));
        self.partition.records += records.len() as u64;
        self.partition.holes += (range.end - range.start) as u64 - records.len() as u64;
        self.partition.expired += judged.map_or(0, |judged| judged.expired.len() as u64);
        for verdict in judged.iter().flat_map(|judged| &judged.verdicts) {
            match verdict {
                Verdict::Delivered => self.partition.delivered += 1,
                Verdict::Dead { .. } => self.partition.dead_lettered += 1,
                Verdict::Dropped { by, reason } => {
                    let name =
                        if by == reason { by.to_string() } else { format!("{by}: {reason}") };
                    *self.partition.dropped.entry(name).or_default() += 1;
                }
            }
        }
        let difference = match judged {
            Some(judged) => differences(judged, &look, true),
            None => compare(records, wanted, &look, true),
        };
        for row in wanted {
            let Place::Table(table) = row.place else { continue };
            if look.unknown.contains(&table) {
                continue;
            }
            self.partition.tables[table].expected += 1;
            if look.tables[table].contains_key(&row.id) {
                self.partition.tables[table].there += 1;
            }
        }
        self.note(&difference);
        Ok(())
    }

    fn note(&mut self, difference: &Difference) {
        let tables = &mut self.partition.tables;
        let Difference { missing, moved, dead, twice, unasked, older_letters, orphans } =
            difference;
        for row in missing {
            let table = &mut tables[number(row)];
            table.missing += 1;
            add(&mut table.missing_at, row.id.offset);
        }
        for row in twice.keys() {
            let table = &mut tables[number(row)];
            table.twice += 1;
            add(&mut table.twice_at, row.id.offset);
        }
        for row in unasked {
            let table = &mut tables[number(row)];
            table.unasked += 1;
            add(&mut table.unasked_at, row.id.offset);
        }
        for row in moved {
            tables[number(row)].moved += 1;
        }
        for row in dead {
            tables[number(row)].dead += 1;
        }
        for row in older_letters {
            tables[number(row)].older_letters += 1;
        }
        for row in orphans {
            tables[number(row)].orphans += 1;
        }
    }
}

fn number(row: &Row) -> usize {
    match row.place {
        Place::Table(table) => table,
        Place::Topic(_) => unreachable!("only rows of tables are compared"),
    }
}

/// Adds one row, in ascending order.
fn add(stretches: &mut Vec<Stretches>, offset: i64) {
    let is_full = stretches.len() >= TOLD_MAX;
    match stretches.last_mut() {
        Some(last) if offset <= last.last + 1 => {
            last.last = offset;
            last.rows += 1;
        }
        _ if is_full => {}
        _ => stretches.push(Stretches { first: offset, last: offset, rows: 1 }),
    }
}

impl Report {
    /// Rows that are missing, there more than once, there for no reason.
    pub fn faults(&self) -> (u64, u64, u64) {
        let tables = || self.partitions.iter().flat_map(|partition| &partition.tables);
        (
            tables().map(|table| table.missing).sum(),
            tables().map(|table| table.twice).sum(),
            tables().map(|table| table.unasked).sum(),
        )
    }
}
