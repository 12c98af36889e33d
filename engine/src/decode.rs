//! Payloads to events in columns: one pass over the bytes, strict where JSON is, with a memory for the order of keys.
//!
//! Invariant: an event is accepted exactly when `serde_json` accepts it as an object (and it keeps the limits), whatever
//! was decoded before it and whatever bytes stand behind it.

mod event;
mod paths;
mod reject;
mod rows;
mod scan;
mod text;
mod value;

use std::sync::Arc;

use logmon_dsl::column::{Batch, Layout, Names, batch::Payload, view::PADDING};

pub use self::reject::Reject;
use self::{
    event::{Reader, Repeats},
    paths::Paths,
    rows::Rows,
    scan::{Lanes, Work, with_widest},
    value::{Bounds, DEEPEST},
};

/// Payloads cannot be larger than this, whatever the limits say: a view has 28 bits for a length.
const LARGEST: usize = (1 << 28) - 1;

/// What an event may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a payload; never more than a view can say.
    pub max_bytes: usize,
    /// Levels of objects and arrays, the event itself counted; never more than 127.
    pub max_depth: usize,
    /// Members of all objects together.
    pub max_keys: usize,
}

impl Default for Limits {
    /// Kafka's own default for a record; deeper and wider than any log event that was meant to be one.
    fn default() -> Self {
        Self { max_bytes: 1 << 20, max_depth: 64, max_keys: 10_000 }
    }
}

/// Which payloads became events.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decoded {
    /// For each row of the batch, the payload it came from.
    pub kept: Vec<u32>,
    /// The payloads that are no events, and why, ascending.
    pub rejected: Vec<(u32, Reject)>,
}

/// Decodes batches for one plan, and learns from each what the next will look like.
#[derive(Debug)]
pub struct Decoder {
    layout: Arc<Layout>,
    names: Names,
    paths: Paths,
    rows: Rows,
    repeats: Repeats,
    /// The names that `paths` speaks of; others may restart them.
    generation: u64,
    /// Numbers the events, so that a key knows whether this event had it already. When the numbers start over an old
    /// one may look like that, which costs a second look and changes nothing.
    event: u32,
}

impl Decoder {
    /// A decoder that knows only the layout.
    pub fn new(layout: Arc<Layout>) -> Self {
        let paths = Paths::new(&layout);
        let names = Names::default();
        let generation = names.generation;
        Self {
            layout,
            names,
            paths,
            rows: Rows::default(),
            repeats: Repeats::default(),
            generation,
            event: 0,
        }
    }

    /// The layout it decodes for.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// The names of the attributes in the batch that was decoded last. The next batch may start them afresh, which
    /// their generation tells.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The same, for whoever adds names.
    pub fn names_mut(&mut self) -> &mut Names {
        &mut self.names
    }

    /// Takes back the memory of a batch that is done with.
    pub fn recycle(&mut self, batch: &mut Batch) {
        self.rows.recycle(batch);
    }

    /// Reads the payloads of a fresh batch, whose arena holds them and was padded, into its fields and attributes.
    pub fn decode(&mut self, batch: &mut Batch, payloads: &[Payload], limits: &Limits) -> Decoded {
        // Of a payload over the limit only the head may be there: it is refused by its length alone.
        let end = payloads
            .iter()
            .filter(|payload| payload.len as usize <= limits.max_bytes)
            .map(|payload| payload.offset as usize + payload.len as usize)
            .max();
        assert!(
            batch.arena.len() >= end.unwrap_or(0) + PADDING,
            "an arena is padded behind its last payload"
        );
        self.restart_when_full();
        self.rows.begin(self.layout.len(), payloads.len(), batch);
        let mut decoded = Decoded::default();
        decoded.kept.reserve(payloads.len());
        self.event = with_widest(DecodeAll {
            reader: Reader {
                bytes: batch.arena.bytes(),
                layout: &self.layout,
                names: &mut self.names,
                paths: &mut self.paths,
                rows: &mut self.rows,
                repeats: &mut self.repeats,
                around: [event::Around::default(); DEEPEST + 1],
                event: self.event,
            },
            payloads,
            limits,
            decoded: &mut decoded,
        });
        self.rows.finish(batch);
        decoded
    }

    /// Forgets what was learned when producers sent too many different keys. Only here, since ids live for a batch.
    fn restart_when_full(&mut self) {
        if self.names.is_full() || self.paths.is_full() {
            self.names.restart();
        }
        if self.names.generation != self.generation {
            self.generation = self.names.generation;
            self.paths = Paths::new(&self.layout);
            self.repeats = Repeats::default();
        }
    }
}

/// All payloads of a batch, one after the other.
struct DecodeAll<'a> {
    reader: Reader<'a>,
    payloads: &'a [Payload],
    limits: &'a Limits,
    decoded: &'a mut Decoded,
}

impl Work for DecodeAll<'_> {
    /// The last event's number.
    type Output = u32;

    #[inline(always)]
    fn run<L: Lanes>(mut self) -> u32 {
        for (index, payload) in self.payloads.iter().enumerate() {
            let index = index as u32;
            let (start, len) = (payload.offset as usize, payload.len as usize);
            let refused = if payload.null {
                Some(Reject::Tombstone)
            } else if len == 0 {
                Some(Reject::Empty)
            } else if len > self.limits.max_bytes.min(LARGEST) {
                Some(Reject::TooLarge)
            } else {
                None
            };
            if let Some(reject) = refused {
                self.decoded.rejected.push((index, reject));
                continue;
            }
            self.reader.event = self.reader.event.wrapping_add(1);
            let bounds = Bounds {
                end: start + len,
                max_depth: self.limits.max_depth.min(DEEPEST),
                members: self.limits.max_keys,
                high: 0,
            };
            match self.reader.event::<L>(start, bounds) {
                Ok(()) => {
                    self.reader.rows.keep();
                    self.decoded.kept.push(index);
                }
                Err(cause) => {
                    self.reader.rows.take_back();
                    let payload = &self.reader.bytes[start..start + len];
                    self.decoded.rejected.push((index, Reject::explain(payload, cause)));
                }
            }
        }
        self.reader.event
    }
}
