//! A micro-batch: some hundred events of one partition, in columns.

use std::sync::Arc;

use super::{
    cells::Column,
    layout::{Layout, NameId, NodeId},
    mask::Mask,
    view::{Arena, View},
};

/// One known path's values.
///
/// `raw` is what the events brought, `column` what rules read or wrote. For a row in `written` the column holds the truth; for all others the raw
/// view does, and the column (if there) is its decoded form. So a value that nobody wrote leaves exactly as it came.
#[derive(Debug, Clone, Default)]
pub struct Field {
    /// As the events brought it; `None` where no event of the batch has it. For a path with known paths below it an object shows as `Spread`.
    pub raw: Option<Arc<Vec<View>>>,
    /// Decoded by the declared type, or as rules wrote it.
    pub column: Option<Arc<Column>>,
    /// The rows that rules wrote, deletions included (they are missing in `column`).
    pub written: Option<Arc<Mask>>,
    /// Counts writes, so that results computed from an older state are not used again.
    pub version: u32,
}

impl Field {
    /// Whether no row has a value: nothing came and nothing was written.
    pub fn is_empty(&self) -> bool {
        self.raw.is_none() && self.column.is_none()
    }
}

/// Attributes: what events brought under paths that no plan knows.
#[derive(Debug, Clone, Default)]
pub struct Rest {
    /// Name and value, event after event. A name stands at most once an event (the last one wins).
    pub entries: Vec<(NameId, View)>,
    /// Where each event's entries end.
    pub ends: Vec<u32>,
}

impl Rest {
    /// The entries of one event.
    #[inline]
    pub fn of(&self, row: usize) -> &[(NameId, View)] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] as usize };
        &self.entries[start..self.ends[row] as usize]
    }
}

/// One record's payload in the arena, as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payload {
    /// Bytes from the arena's start.
    pub offset: u32,
    /// Length in bytes.
    pub len: u32,
    /// Whether the record's value is null (a tombstone), which is not the same as empty.
    pub null: bool,
}

/// Where the events came from.
#[derive(Debug, Clone)]
pub struct Meta {
    /// The source's number in the plan.
    pub source: usize,
    /// Which stay of the partition here this is: what is remembered of an earlier stay is not what came just before.
    pub lane: u64,
    /// The Kafka topic.
    pub topic: Arc<str>,
    /// The Kafka partition.
    pub partition: i32,
    /// Each event's offset, ascending.
    pub offsets: Vec<i64>,
    /// Each event's Kafka timestamp in nanoseconds: `now()` and `@ingest_time` of that event.
    pub times: Vec<i64>,
    /// Each event's Kafka key as text (absent without one, or where it is not UTF-8).
    pub keys: Vec<View>,
    /// Each event's headers as a JSON object; empty when the plan does not read them.
    pub headers: Vec<View>,
}

impl Default for Meta {
    fn default() -> Self {
        Self {
            source: 0,
            lane: 0,
            topic: "".into(),
            partition: 0,
            offsets: Vec::new(),
            times: Vec::new(),
            keys: Vec::new(),
            headers: Vec::new(),
        }
    }
}

/// A micro-batch.
#[derive(Debug, Default)]
pub struct Batch {
    /// How many events.
    pub rows: usize,
    /// All text of the batch.
    pub arena: Arena,
    /// One field a node of the layout, in the layout's order.
    pub fields: Vec<Field>,
    /// What no field holds.
    pub rest: Rest,
    /// Per node: the rows whose attributes directly anchored there were deleted by rules.
    pub rest_gone: Vec<Option<Arc<Mask>>>,
    /// Where the events came from.
    pub meta: Meta,
}

impl Batch {
    /// An empty batch for that layout.
    pub fn new(layout: &Layout) -> Self {
        let mut batch = Self::default();
        batch.fields.resize_with(layout.len(), Field::default);
        batch.rest_gone.resize(layout.len(), None);
        batch
    }

    /// The field of a node.
    #[inline]
    pub fn field(&self, node: NodeId) -> &Field {
        &self.fields[node.index()]
    }

    /// Takes the memory of an older batch back for a new one. Views that somebody still holds cost their memory, nothing else.
    pub fn reset(&mut self, layout: &Layout) {
        self.rows = 0;
        self.arena.clear();
        self.fields.clear();
        self.fields.resize_with(layout.len(), Field::default);
        self.rest.entries.clear();
        self.rest.ends.clear();
        self.rest_gone.clear();
        self.rest_gone.resize(layout.len(), None);
        self.meta.offsets.clear();
        self.meta.times.clear();
        self.meta.keys.clear();
        self.meta.headers.clear();
    }

    /// The fields and deletions as they are now: what a route sends. Cheap, columns are shared.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { fields: self.fields.clone(), rest_gone: self.rest_gone.clone() }
    }
}

/// The state of a batch's fields at one moment; later writes do not change it.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// As in [`Batch::fields`].
    pub fields: Vec<Field>,
    /// As in [`Batch::rest_gone`].
    pub rest_gone: Vec<Option<Arc<Mask>>>,
}
