//! The way through a source's partitions that audit and rewind share: which ranges are meant, and a visit to each batch of them.

use std::{ops::Range, sync::Arc};

use super::{Repair, Trouble, range::Point};
use crate::{
    pipeline::replay::{Judged, Replay},
    source::kafka::past::{Past, Standing, pack},
};

/// What rules remember is built from at most so many records before a range: as many as the stream reads again.
const MEMORY: i64 = 1_000_000;

/// Which records are meant.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// One source; all of them if left out.
    pub source: Option<String>,
    /// One topic of theirs.
    pub topic: Option<String>,
    /// One partition.
    pub partition: Option<i32>,
    /// Where to begin; the first offset that Kafka holds if left out.
    pub from: Option<Point>,
    /// Where to end; at what the group committed if left out.
    pub to: Option<Point>,
}

/// A partition, and which of its offsets are meant.
#[derive(Debug, Clone)]
pub struct Stretch {
    /// The source.
    pub source: Arc<str>,
    /// How the partition stands.
    pub standing: Standing,
    /// The offsets that were asked for.
    pub asked: Range<i64>,
    /// Those of them that Kafka may still hold.
    pub held: Range<i64>,
    /// Why this is less than what was asked for.
    pub note: Option<String>,
}

impl Repair {
    /// Finds the partitions of a source that are meant, with their offsets. Nothing behind what the group committed is meant: the stream is not
    /// done with it. Where nothing is committed, everything is meant if nobody reads.
    pub fn stretches(
        &self,
        past: &Past,
        source: &Arc<str>,
        ask: &Ask,
    ) -> Result<Vec<Stretch>, Trouble> {
        let settings = &self.world.config.sources[source];
        let mut standings = past.standings(&settings.topics)?;
        standings.retain(|standing| {
            ask.topic.as_ref().is_none_or(|topic| **topic == *standing.position.topic)
                && ask.partition.is_none_or(|partition| partition == standing.position.partition)
        });
        let nobody_reads = if standings.iter().all(|standing| standing.committed.is_some()) {
            false
        } else {
            past.members(&settings.group)? == 0
        };
        let mut stretches = Vec::new();
        for standing in standings {
            let from = match ask.from {
                None => standing.low,
                Some(point) => point.offset(past, &standing)?,
            };
            let (owed, why) = match standing.committed {
                // The topic was made anew, with fewer records than the group had read of the old one.
                Some(committed) if committed > standing.high => {
                    (standing.high, "Kafka holds no more, though the group committed more")
                }
                Some(committed) => (committed, "the group has come no further"),
                None if nobody_reads => (standing.high, "Kafka holds no more"),
                None => (from, "the group has committed nothing yet and is reading"),
            };
            let to = match ask.to {
                None => owed,
                Some(point) => point.offset(past, &standing)?,
            };
            let is_anew = standing.committed.is_some_and(|committed| committed > standing.high);
            let note =
                (to > owed || is_anew).then(|| format!("looked at up to {owed} only: {why}"));
            let asked = from..to.min(owed).max(from);
            let held = asked.start.max(standing.low)..asked.end.min(standing.high);
            let held = if held.is_empty() { held.start..held.start } else { held };
            stretches.push(Stretch { source: Arc::clone(source), standing, asked, held, note });
        }
        Ok(stretches)
    }

    /// Judges what Kafka holds of a stretch, batch by batch; a visit is told the batch and the offsets that it covers, holes included.
    pub fn walk(
        &self,
        past: &Past,
        replay: &mut Replay,
        stretch: &Stretch,
        mut visit: impl FnMut(&Replay, Range<i64>, Option<Judged>) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        let position = &stretch.standing.position;
        let limit = self.world.config.sources[&stretch.source].max_record_bytes;
        let with_headers = replay.reads_headers();
        let held = stretch.held.clone();
        if held.is_empty() {
            return Ok(());
        }
        if replay.bundle().plan.is_stateful() {
            let since = stretch.standing.low.max(held.start - MEMORY);
            past.read(position, since..held.start, |entries| {
                replay.judge(pack(position, &entries, limit, with_headers));
                Ok::<(), Trouble>(())
            })?;
        }
        let mut next = held.start;
        past.read(position, held.clone(), |entries| {
            let judged = replay.judge(pack(position, &entries, limit, with_headers));
            let end = entries.last().map_or(next, |last| last.offset + 1);
            let range = next..end;
            next = end;
            visit(replay, range, Some(judged))
        })?;
        // What came to nothing at the end: holes, where rows may stand all the same.
        if next < held.end { visit(replay, next..held.end, None) } else { Ok(()) }
    }
}
