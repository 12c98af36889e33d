//! Raw batches in: what Kafka holds, copied once into arenas.

pub mod assignment;
pub mod kafka;

use std::sync::Arc;

use logmon_dsl::column::{Arena, View, batch::Payload};

use crate::delivery::{LaneId, Position, protocol::Commit as Outcome};

/// Records of one partition, next to each other in one arena and not yet decoded.
#[derive(Debug)]
pub struct RawBatch {
    /// The assignment they were read under.
    pub lane: LaneId,
    /// The partition.
    pub position: Position,
    /// Payloads, padding, then keys and headers.
    pub arena: Arena,
    /// Where each record's payload stands.
    pub payloads: Vec<Payload>,
    /// Each record's offset, ascending.
    pub offsets: Vec<i64>,
    /// Each record's Kafka timestamp, nanoseconds since 1970; 0 where it has none.
    pub times: Vec<i64>,
    /// Each record's key; absent where there is none or it is not UTF-8.
    pub keys: Vec<View>,
    /// Each record's headers as a JSON object; empty where nobody asked for headers.
    pub headers: Vec<View>,
    /// BLAKE3 of each record of which only the head was kept, in hex, with its place.
    pub hashes: Vec<(u32, String)>,
    /// Read once more only for what rules remember of it: its fates are settled.
    pub again: bool,
    /// Part of a range that an earlier owner named.
    pub named: bool,
}

impl RawBatch {
    /// One past the last offset.
    pub fn end(&self) -> i64 {
        self.offsets.last().map_or(0, |last| last + 1)
    }
}

/// An offset that is to be committed with a note beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The assignment that asks for it: without it nothing is sent.
    pub lane: LaneId,
    /// The partition.
    pub position: Position,
    /// The offset.
    pub offset: i64,
    /// What stands beside it.
    pub note: String,
}

/// How a partition is read on, by what stands beside its committed offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resume {
    /// Reading begins there, before the committed offset, for what rules remember.
    pub since: Option<i64>,
    /// A range that an earlier owner named ends before this offset: its records come in batches of their own.
    pub ends: Option<i64>,
}

/// What takes raw batches. Called by the one thread that reads a source; only [`Intake::revoking`] may block, and only for its bound.
pub trait Intake: Send + Sync {
    /// A partition was assigned and is read from here on.
    fn assigned(&self, position: Position) -> LaneId;
    /// Partitions are being taken away: stop work on them, wait a bounded while for what is under way, and say what may be committed.
    fn revoking(&self, lanes: &[LaneId]) -> Vec<(Position, i64)>;
    /// They are gone.
    fn revoked(&self, lanes: &[LaneId]);
    /// Whether the lane can take another batch now. When not, the records stay in Kafka.
    fn has_room(&self, lane: LaneId) -> bool;
    /// Memory of a batch that is done, for the next one; `None` where there is none to spare.
    fn spare(&self) -> Option<Arena>;
    /// Takes a batch.
    fn take(&self, batch: RawBatch);
    /// What may be committed and was not yet.
    fn committable(&self) -> Vec<(LaneId, Position, i64)>;
    /// Where a partition must be read from to know what rules remember of it at that offset; `None` where they remember nothing.
    fn since(&self, position: &Position, offset: i64) -> Option<i64>;
    /// That was committed.
    fn committed(&self, lane: LaneId, offset: i64);
    /// What stands beside the committed offset of a partition that was just assigned, raw: it may be anybody's. Says how it is read on.
    fn resume(&self, _lane: LaneId, _offset: i64, _note: &[u8]) -> Resume {
        Resume::default()
    }
    /// Offsets with notes that are to be committed now. Each is answered once.
    fn commits(&self) -> Vec<Commit> {
        Vec::new()
    }
    /// Whether every partition is to be given back and asked for again: one stands still for what may be otherwise by now.
    fn begins_anew(&self) -> bool {
        false
    }
    /// How one of them ended.
    fn answered(&self, _commit: &Commit, _outcome: Outcome) {}
    /// What is committed before partitions are given away, beside what [`Intake::revoking`] says.
    fn last_words(&self, _lanes: &[LaneId]) -> Vec<Commit> {
        Vec::new()
    }
    /// So many offsets of a partition were left out, because their records arrived damaged.
    fn damaged(&self, position: &Position, offsets: u64);
    /// The state of the connection in one sentence for a person; `None` when all is well.
    fn report(&self, problem: Option<String>);
    /// How far a partition reaches: its first offset and one past its last.
    fn watermarks(&self, position: &Position, low: i64, high: i64);
}

/// A shared intake.
pub type SharedIntake = Arc<dyn Intake>;
