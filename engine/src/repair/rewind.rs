//! A range read once more, and only the rows that are missing of it stored.
//!
//! The group's committed offsets stay as they are, and a row that is there is left alone.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Repair, Trouble,
    actions::{Action, Actions, Done},
    compare::differences,
    mend::Refusal,
    walk::{Ask, Stretch},
};
use crate::{
    pipeline::replay::{Place, Replay, Row},
    source::kafka::past::Past,
};

/// What a rewind did, or would do.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether nothing was stored on purpose.
    pub dry_run: bool,
    /// The rules that said what should be there.
    pub bundle: String,
    /// Partition by partition.
    pub partitions: Vec<Partition>,
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
    /// The first offset that was read.
    pub from: i64,
    /// One past the last.
    pub to: i64,
    /// Records that Kafka held of it.
    pub records: u64,
    /// Rows that should be there.
    pub expected: u64,
    /// Rows that were missing, by table.
    pub missing: BTreeMap<String, u64>,
    /// Rows that were stored, by table.
    pub stored: BTreeMap<String, u64>,
    /// Offsets that were asked for and that Kafka holds no more.
    pub gone: u64,
    /// Where the group goes on that had no offset.
    pub resumes_at: Option<i64>,
    /// Why less than what was asked for was read.
    pub note: Option<String>,
}

impl Repair {
    /// Reads what is asked for once more and stores what is missing. With `resume`, a group without offsets goes on where this ended.
    pub fn rewind(&self, ask: &Ask, dry_run: bool, resume: bool) -> Result<Report, Trouble> {
        let mut report =
            Report { dry_run, bundle: self.bundle.short().to_owned(), partitions: Vec::new() };
        let actions = if dry_run { None } else { Some(self.actions()?) };
        for source in self.sources(ask.source.as_deref())? {
            let past = self.past(&source)?;
            let mut replay = self.replay(&source)?;
            let mut resumed = Vec::new();
            for stretch in self.stretches(&past, &source, ask)? {
                let mut partition = self.rewind_stretch(&past, &mut replay, &stretch, actions)?;
                if resume && !dry_run && stretch.standing.committed.is_none() {
                    partition.resumes_at = Some(stretch.asked.end);
                    resumed.push((stretch.standing.position, stretch.asked.end));
                }
                report.partitions.push(partition);
            }
            if !resumed.is_empty() {
                past.begin_at(&resumed)?;
            }
        }
        if report.partitions.is_empty() {
            return Err(Trouble::Usage("no partition is meant by that".to_owned()));
        }
        Ok(report)
    }

    fn rewind_stretch(
        &self,
        past: &Past,
        replay: &mut Replay,
        stretch: &Stretch,
        actions: Option<&Actions>,
    ) -> Result<Partition, Trouble> {
        let position = &stretch.standing.position;
        let mut partition = Partition {
            source: stretch.source.to_string(),
            topic: position.topic.to_string(),
            partition: position.partition,
            from: stretch.asked.start,
            to: stretch.asked.end,
            records: 0,
            expected: 0,
            missing: BTreeMap::new(),
            stored: BTreeMap::new(),
            gone: (stretch.asked.end.min(stretch.standing.low) - stretch.asked.start).max(0) as u64,
            resumes_at: None,
            note: stretch.note.clone(),
        };
        self.walk(past, replay, stretch, |replay, range, judged| {
            let Some(mut judged) = judged else { return Ok(()) };
            partition.records += judged.offsets().len() as u64;
            let is_known = |row: &&Row| match row.place {
                Place::Table(table) => replay.targets[table].is_known,
                Place::Topic(_) => false,
            };
            partition.expected += judged.rows.iter().filter(is_known).count() as u64;
            let claim = match actions {
                None => None,
                Some(actions) => Some(self.wait(actions.claim(position, range.clone()))?),
            };
            self.quiesce(replay, position)?;
            let look = self.look(replay, position, &range)?;
            let missing = differences(&judged, &look, true).missing;
            for row in &missing {
                *partition.missing.entry(replay.place_name(row.place).to_owned()).or_default() += 1;
            }
            let (Some(actions), Some(mut claim)) = (actions, claim) else { return Ok(()) };
            let stored = if missing.is_empty() {
                BTreeMap::new()
            } else {
                let renew = || self.wait(claim.renew(actions)).map_err(Trouble::from);
                self.store(replay, &mut judged, missing, renew).map_err(
                    |refusal| match refusal {
                        Refusal::Rows(sentence) => Trouble::World(sentence),
                        Refusal::Other(trouble) => trouble,
                    },
                )?
            };
            let rows: u64 = stored.values().sum();
            for (table, rows) in stored {
                *partition.stored.entry(replay.targets[table].name.clone()).or_default() += rows;
            }
            let mut done = Vec::new();
            if rows > 0 {
                done.push(Done {
                    action: Action::Rewind,
                    position: position.clone(),
                    offset: range.start,
                    end: range.end,
                    emit_ix: 0,
                    bundle: self.bundle.short().to_owned(),
                    rows,
                    outcome: format!("{rows} missing rows stored"),
                });
            }
            self.wait(claim.release(actions, done))?;
            Ok(())
        })?;
        Ok(partition)
    }
}
