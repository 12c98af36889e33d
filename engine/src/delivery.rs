//! What was read, what became of it, and how far it is safe to commit.
//!
//! Invariant: pure. No Kafka, no ClickHouse, no clock.

pub mod ledger;
pub mod unit;

pub use ledger::{Fates, LaneId, Ledger, Position};
