//! What was read, what became of it, and how far it is safe to commit.
//!
//! Invariant: pure. No Kafka, no ClickHouse, no clock.

pub mod failpoint;
pub mod intent;
pub mod ledger;
pub mod protocol;
pub mod range;
pub mod unit;

pub use ledger::{Fates, LaneId, Ledger, Position};
