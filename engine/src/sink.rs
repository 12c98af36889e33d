//! Where events go: blocks of rows for ClickHouse, and how often to try again.
//!
//! Invariant: knows no source and no Kafka; what a row came from arrives as plain columns.

pub mod clickhouse;
pub mod kafka;
pub mod retry;
