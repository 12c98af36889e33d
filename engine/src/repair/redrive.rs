//! Dead letters judged once more by the current rules, and what comes of it stored: once, however often it is tried or cut off.
//!
//! Rows keep the place and number of their record. What is there already is left alone, and the book of actions says which letters are done.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::Serialize;

use super::{
    Repair, Trouble,
    actions::{Action, Done},
    compare::{Difference, differences},
    letters::{Bucket, Filter, Letter, Letters},
    mend::Refusal,
    walk::Ask,
};
use crate::{
    config::SinkKind,
    delivery::Position,
    pipeline::replay::{Judged, Place, Replay, Row, Verdict},
    sink::kafka::{Record, TopicSink},
    source::kafka::past::{Entry, Past, pack},
};

/// Bytes of records that are judged together.
const RECORDS_MAX: u64 = 16 << 20;

/// What becomes of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// A sink takes its record, or has it already.
    Delivered,
    /// A rule drops it, or nothing routes it.
    Dropped,
    /// It is still dead.
    DeadAgain,
    /// It cannot be judged, or a table does not take it; it stays as it is.
    Refused,
}

impl Fate {
    /// As people read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Dropped => "dropped",
            Self::DeadAgain => "dead again",
            Self::Refused => "refused",
        }
    }
}

/// What became, or would become, of one letter.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// `topic/partition/offset/emit_ix`.
    pub letter: String,
    /// Why it was dead.
    pub reason: String,
    /// What becomes of it.
    pub fate: Fate,
    /// Where it goes, who drops it, why it is dead again.
    pub how: String,
}

/// The outcome of a redrive.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Whether nothing was sent on purpose.
    pub dry_run: bool,
    /// The rules that judged.
    pub bundle: String,
    /// How many letters, by what became of them.
    pub letters: BTreeMap<&'static str, u64>,
    /// Rows that were stored (or would be), by table or topic.
    pub rows: BTreeMap<String, u64>,
}

/// A source's reader and judge.
struct Desk {
    past: Past,
    replay: Replay,
    /// By partition: from here on the stream is not done yet.
    owed: BTreeMap<Position, i64>,
}

impl Desk {
    fn open(repair: &Repair, source: &Arc<str>) -> Result<Self, Trouble> {
        let past = repair.past(source)?;
        let all = Ask::default();
        let stretches = repair.stretches(&past, source, &all)?;
        let owed = stretches
            .into_iter()
            .map(|stretch| (stretch.standing.position, stretch.asked.end))
            .collect();
        Ok(Self { past, replay: repair.replay(source)?, owed })
    }
}

/// A record to be judged, and the letters about it.
struct Work {
    entry: Entry,
    letters: Vec<Letter>,
}

struct Redrive<'a> {
    repair: &'a Repair,
    letters: &'a Letters,
    desks: BTreeMap<Arc<str>, Desk>,
    topics: BTreeMap<Arc<str>, TopicSink>,
    report: Report,
    say: &'a mut dyn FnMut(&Outcome),
}

impl Repair {
    /// Redrives the open letters that are meant; `say` hears of each.
    pub fn redrive(
        &self,
        letters: &Letters,
        filter: &Filter,
        dry_run: bool,
        say: &mut dyn FnMut(&Outcome),
    ) -> Result<Report, Trouble> {
        let bundle = self.bundle.short().to_owned();
        let filter = Filter { settled: false, ..filter.clone() };
        let mut redrive = Redrive {
            repair: self,
            letters,
            desks: BTreeMap::new(),
            topics: BTreeMap::new(),
            report: Report { dry_run, bundle, ..Report::default() },
            say,
        };
        for bucket in self.wait(letters.buckets(&filter))? {
            redrive.bucket(&filter, &bucket)?;
        }
        Ok(redrive.report)
    }
}

impl Redrive<'_> {
    fn bucket(&mut self, filter: &Filter, bucket: &Bucket) -> Result<(), Trouble> {
        let repair = self.repair;
        let position = bucket.position();
        let actions = self.letters.actions();
        let mut claim = None;
        if !self.report.dry_run {
            claim = Some(repair.wait(actions.claim(&position, bucket.range()))?);
        }
        // Read under the claim: what another process finished before is settled by now.
        let letters = repair.wait(self.letters.of(filter, bucket))?;
        let mut outcomes = Vec::new();
        if let Some(source) = repair.source_of(&position.topic) {
            let mut desk = match self.desks.remove(&source) {
                Some(desk) => desk,
                None => Desk::open(repair, &source)?,
            };
            if !self.report.dry_run {
                repair.quiesce(&desk.replay, &position)?;
            }
            let mut renew = || match &mut claim {
                Some(claim) => repair.wait(claim.renew(actions)).map_err(Trouble::from),
                None => Ok(()),
            };
            for letters in heaps(letters) {
                let work = self.work(&desk, &position, letters, &mut outcomes)?;
                self.judge(&mut desk, &source, &position, &work, &mut renew, &mut outcomes)?;
            }
            self.desks.insert(source, desk);
        } else {
            let why = format!("no source of the rules reads the topic {}", position.topic);
            outcomes
                .extend(letters.into_iter().map(|letter| (letter, Fate::Refused, why.clone(), 0)));
        }
        let mut done = Vec::new();
        for (letter, fate, how, rows) in outcomes {
            let action = match fate {
                Fate::Delivered | Fate::Dropped => Some(Action::Redriven),
                Fate::DeadAgain => Some(Action::DeadAgain),
                Fate::Refused => None,
            };
            done.extend(action.map(|action| Done {
                action,
                position: position.clone(),
                offset: letter.offset,
                end: letter.offset + 1,
                emit_ix: letter.emit_ix,
                bundle: self.report.bundle.clone(),
                rows,
                outcome: format!("{}: {how}", fate.name()),
            }));
            *self.report.letters.entry(fate.name()).or_default() += 1;
            let outcome = Outcome { letter: letter.place(), reason: letter.reason, fate, how };
            (self.say)(&outcome);
        }
        if let Some(claim) = claim {
            repair.wait(claim.release(actions, done))?;
        }
        Ok(())
    }

    /// The records of letters, as they came; letters whose record nobody has any more are refused.
    fn work(
        &self,
        desk: &Desk,
        position: &Position,
        letters: Vec<Letter>,
        outcomes: &mut Vec<Settled>,
    ) -> Result<Vec<Work>, Trouble> {
        // Before the group has committed past a record, the stream itself may still be storing rows of it.
        let owed = desk.owed.get(position).copied().unwrap_or(i64::MAX);
        let mut by_offset: BTreeMap<i64, Vec<Letter>> = BTreeMap::new();
        for letter in letters {
            if letter.offset < owed {
                by_offset.entry(letter.offset).or_default().push(letter);
            } else {
                let why = format!(
                    "the group has committed up to offset {owed} only: the stream is not done with it"
                );
                outcomes.push((letter, Fate::Refused, why, 0));
            }
        }
        let whole: Vec<&Letter> = by_offset
            .values()
            .filter_map(|letters| letters.iter().find(|letter| letter.has_record()))
            .collect();
        let raws = self.repair.wait(self.letters.raws(&whole))?;
        let mut raws: BTreeMap<i64, Vec<u8>> =
            whole.iter().map(|letter| letter.offset).zip(raws).collect();
        let mut work = Vec::new();
        for (offset, letters) in by_offset {
            let kept = letters.iter().find(|letter| letter.has_record());
            let entry = match (kept, raws.remove(&offset)) {
                (Some(letter), Some(raw)) => Ok(entry(letter, raw)),
                _ => again(&desk.past, position, &letters[0]),
            };
            match entry {
                Ok(entry) => work.push(Work { entry, letters }),
                Err(why) => outcomes.extend(
                    letters.into_iter().map(|letter| (letter, Fate::Refused, why.clone(), 0)),
                ),
            }
        }
        Ok(work)
    }

    /// Judges records together; where the server refuses one of them, halves are tried, down to the one.
    fn judge(
        &mut self,
        desk: &mut Desk,
        source: &Arc<str>,
        position: &Position,
        work: &[Work],
        renew: &mut dyn FnMut() -> Result<(), Trouble>,
        outcomes: &mut Vec<Settled>,
    ) -> Result<(), Trouble> {
        let (Some(first), Some(last)) = (work.first(), work.last()) else { return Ok(()) };
        let range = first.entry.offset..last.entry.offset + 1;
        let entries: Vec<Entry> = work.iter().map(|work| work.entry.clone()).collect();
        let limit = self.repair.world.config.sources[source].max_record_bytes;
        let replay = &mut desk.replay;
        let headers = replay.reads_headers();
        let mut judged = replay.judge(pack(position, &entries, limit, headers));
        let look = self.repair.look(replay, position, &range)?;
        let mut difference = differences(&judged, &look, false);
        let mut topics = for_topics(&judged, work, replay);
        if replay.letters().is_none() {
            // Nobody can ask a topic whether it has a letter: a record that is dead in part waits until all of it can go.
            let dead = |offset: i64| {
                let at = judged.offsets().binary_search(&offset);
                at.is_ok_and(|at| matches!(judged.verdicts[at], Verdict::Dead { .. }))
            };
            difference.missing.retain(|row| !dead(row.id.offset));
            topics.retain(|row| !dead(row.id.offset));
        }
        if !self.report.dry_run {
            let missing = difference.missing.clone();
            match self.repair.store(replay, &mut judged, missing, &mut *renew) {
                Ok(_) => {}
                Err(Refusal::Rows(why)) if work.len() == 1 => {
                    let refused = |letter: &Letter| (letter.clone(), Fate::Refused, why.clone(), 0);
                    outcomes.extend(first.letters.iter().map(refused));
                    return Ok(());
                }
                Err(Refusal::Rows(_)) => {
                    let (left, right) = work.split_at(work.len() / 2);
                    self.judge(desk, source, position, left, renew, outcomes)?;
                    return self.judge(desk, source, position, right, renew, outcomes);
                }
                Err(Refusal::Other(trouble)) => return Err(trouble),
            }
            for (sink, records) in replay.records(&judged, &topics) {
                renew()?;
                self.send(&sink, &records)?;
            }
        }
        for row in difference.missing.iter().chain(&topics) {
            let name = replay.place_name(row.place).to_owned();
            *self.report.rows.entry(name).or_default() += 1;
        }
        for (work, verdict) in work.iter().zip(&judged.verdicts) {
            for letter in &work.letters {
                let settled = settle(letter, verdict, replay, &judged, &difference, &topics);
                outcomes.push(settled);
            }
        }
        Ok(())
    }

    /// Sends records to a topic, until each is acknowledged or given up.
    fn send(&mut self, sink: &Arc<str>, records: &[Record]) -> Result<(), Trouble> {
        let settings = &self.repair.world.config.sinks[sink];
        let SinkKind::Kafka(topic) = &settings.kind else { return Ok(()) };
        if !self.topics.contains_key(sink) {
            let mut client = rdkafka::ClientConfig::new();
            for (key, value) in topic.connection.properties() {
                client.set(key, value.expose());
            }
            let made = TopicSink::new(client, sink, &topic.topic, settings.timeout)
                .map_err(|error| Trouble::World(format!("[sink.{sink}]: {error}")))?;
            self.topics.insert(Arc::clone(sink), made);
        }
        let made = &self.topics[sink];
        let all: Vec<usize> = (0..records.len()).collect();
        let unsent = self.repair.wait(async {
            let begun = made.begin(records, &all).await;
            tokio::time::timeout(settings.timeout, made.end(begun)).await
        });
        let problem = match unsent {
            Err(_) => Some(made.silence()),
            Ok(unsent) if unsent.again.is_empty() && unsent.never.is_empty() => None,
            Ok(unsent) => unsent
                .never
                .first()
                .map(|(_, why)| why.clone())
                .or(unsent.problem)
                .or_else(|| Some("the topic does not take records".to_owned())),
        };
        problem.map_or(Ok(()), |problem| Err(Trouble::World(problem)))
    }
}

/// Letters in heaps whose records fit into memory together; letters of one record stay together.
fn heaps(letters: Vec<Letter>) -> Vec<Vec<Letter>> {
    let mut heaps: Vec<Vec<Letter>> = Vec::new();
    let mut bytes = 0;
    let mut last = None;
    for letter in letters {
        if last != Some(letter.offset) {
            bytes += letter.raw_bytes;
            if heaps.is_empty() || bytes > RECORDS_MAX {
                bytes = letter.raw_bytes;
                heaps.push(Vec::new());
            }
        }
        last = Some(letter.offset);
        if let Some(heap) = heaps.last_mut() {
            heap.push(letter);
        }
    }
    heaps
}

/// A letter, what becomes of it, how, and how many rows were stored for its record.
type Settled = (Letter, Fate, String, u64);

/// Rows for topics that were not sent before: all of a record of which nothing was delivered, otherwise the letter's own.
fn for_topics(judged: &Judged, work: &[Work], replay: &Replay) -> BTreeSet<Row> {
    let letters: BTreeMap<i64, &Work> = work.iter().map(|work| (work.entry.offset, work)).collect();
    let is_owed = |row: &&Row| {
        matches!(row.place, Place::Topic(_))
            && letters.get(&row.id.offset).is_some_and(|work| {
                work.letters.iter().any(|letter| {
                    letter.is_whole()
                        || (letter.emit_ix == row.id.emit_ix
                            && letter.sink == replay.place_name(row.place))
                })
            })
    };
    judged.rows.iter().filter(is_owed).copied().collect()
}

fn settle(
    letter: &Letter,
    verdict: &Verdict,
    replay: &Replay,
    judged: &Judged,
    difference: &Difference,
    topics: &BTreeSet<Row>,
) -> Settled {
    let rows: Vec<&Row> = judged.rows.iter().filter(|row| row.id.offset == letter.offset).collect();
    let is_letter = |row: &Row| match row.place {
        Place::Table(table) => Some(table) == replay.letters(),
        Place::Topic(_) => false,
    };
    let is_dead = rows.iter().any(|row| is_letter(row) && row.id.emit_ix == letter.emit_ix);
    let new = rows
        .iter()
        .filter(|row| difference.missing.contains(**row) || topics.contains(**row))
        .count() as u64;
    let why = |verdict: &Verdict| match verdict {
        Verdict::Dead { reason, cause } if cause.is_empty() => {
            format!("{reason}: a rule sends it there")
        }
        Verdict::Dead { reason, cause } => format!("{reason}: {cause}"),
        _ => String::new(),
    };
    let settled = |fate, how| (letter.clone(), fate, how, new);
    match verdict {
        _ if is_dead => settled(Fate::DeadAgain, why(verdict)),
        Verdict::Dead { .. } if new == 0 => settled(Fate::DeadAgain, why(verdict)),
        Verdict::Dropped { by, reason } => settled(Fate::Dropped, format!("{by}: {reason}")),
        Verdict::Delivered | Verdict::Dead { .. } => {
            let mut parts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
            for row in rows {
                let what = if difference.missing.contains(row) || topics.contains(row) {
                    ""
                } else if difference.moved.contains(row) {
                    " stored elsewhere before"
                } else {
                    " there before"
                };
                *parts.entry((replay.place_name(row.place), what)).or_default() += 1;
            }
            let text = |((name, what), n): ((&str, &str), u64)| {
                if n == 1 { format!("{name}{what}") } else { format!("{name} {n} rows{what}") }
            };
            let how: Vec<String> = parts.into_iter().map(text).collect();
            settled(Fate::Delivered, how.join(", "))
        }
    }
}

/// The record of a letter that has it.
fn entry(letter: &Letter, raw: Vec<u8>) -> Entry {
    let text = |text: &String| (!text.is_empty()).then(|| text.clone().into_bytes());
    Entry {
        offset: letter.offset,
        time: letter.time,
        payload: (letter.reason != "tombstone").then_some(raw),
        key: text(&letter.key),
        headers: letter
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), Some(value.clone().into_bytes())))
            .collect(),
    }
}

/// The record of a letter that holds only a part of it, from Kafka; or why it cannot be had.
fn again(past: &Past, position: &Position, letter: &Letter) -> Result<Entry, String> {
    let mut found = None;
    let offset = letter.offset;
    let read = past.read(position, offset..offset + 1, |entries| {
        found = entries.into_iter().next();
        Ok::<(), Trouble>(())
    });
    let what = if letter.raw_hash.is_empty() {
        "it was sent by a rule and holds what the rule put into it".to_owned()
    } else {
        format!("only {} of its {} bytes were kept", letter.kept, letter.raw_bytes)
    };
    let Some(entry) = found else {
        let why = match read {
            Err(trouble) => trouble.to_string(),
            Ok(()) => "Kafka no longer holds its record".to_owned(),
        };
        return Err(format!("{what}, and {why}"));
    };
    let payload = entry.payload.as_deref().unwrap_or_default();
    let head = &payload[..payload.len().min(usize::try_from(letter.kept).unwrap_or(usize::MAX))];
    let is_same = letter.raw_hash.is_empty()
        || [payload, head]
            .iter()
            .any(|bytes| blake3::hash(bytes).to_hex().as_str() == letter.raw_hash);
    if is_same {
        Ok(entry)
    } else {
        Err(format!("{what}, and Kafka holds another record in its place now"))
    }
}
