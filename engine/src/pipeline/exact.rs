//! Exactly-once: the ranges of each partition, built by workers, named beside the offset, and brought into their tables once.
//!
//! The protocol itself is `delivery::protocol`; here stands what carries out its effects.

pub mod bundles;
pub mod growing;
pub mod mode;
pub mod ranges;
pub mod refused;
pub mod repair;
pub mod runner;
pub mod table;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use super::bundle::Bundle;
use crate::delivery::{LaneId, Position, ledger::BatchId};

/// A range on its way: what its batches, its blocks and its intent have in common.
#[derive(Debug)]
pub struct Tag {
    /// Its number in this process.
    pub id: u64,
    /// The assignment.
    pub lane: LaneId,
    /// The partition.
    pub position: Position,
    /// Its first offset.
    pub start: i64,
    /// The partition's incarnation.
    pub inc: u64,
    /// The wall clock when it was begun, or what an earlier owner's intent says it was.
    pub t0: i64,
    /// The rules, from its first record to its last.
    pub bundle: Arc<Bundle>,
    /// Whether an earlier owner named it.
    pub named: bool,
    /// Batches that wait for it.
    pub batches: Mutex<Vec<BatchId>>,
    /// Set by the worker when one of its blocks has grown enough.
    pub full: AtomicBool,
    _under_way: UnderWay,
}

/// Counts one range of a lane, until the last who knows it is done with it.
#[derive(Debug)]
struct UnderWay(Arc<AtomicUsize>);

impl UnderWay {
    fn one(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
