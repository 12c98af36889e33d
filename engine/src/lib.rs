//! Runs rules over Kafka partitions and delivers the outcome to ClickHouse.

pub mod delivery;
pub mod source;
