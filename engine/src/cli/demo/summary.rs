//! What the demo did, as one balance.

use std::fmt;

use serde::Serialize;

use super::{
    engine::Engine,
    setup::{Stage, TABLES},
};

/// Events by fate, rows by table, and what it cost.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    read: u64,
    delivered: u64,
    dropped: u64,
    dead_lettered: u64,
    open: i64,
    rows: u64,
    duplicates: u64,
    seconds: f64,
    engine_cpu_seconds: f64,
}

impl Summary {
    /// Counts, and ends the engine.
    pub(super) fn take(stage: &Stage, engine: Engine, seconds: f64) -> anyhow::Result<Self> {
        let events = engine.status()?;
        let engine_cpu_seconds = engine.cpu_seconds();
        engine.stop()?;
        let rows = stage.rows()?;
        let mut duplicates = 0;
        for table in TABLES {
            duplicates += stage.count(&format!(
                "SELECT toUInt64(count() - uniqExact(kafka_topic, kafka_partition, kafka_offset, emit_ix, incarnation)) FROM {{db}}.{table}"
            ))?;
        }
        Ok(Self {
            read: events.read,
            delivered: events.delivered,
            dropped: events.dropped,
            dead_lettered: events.dead_lettered,
            open: events.open,
            rows,
            duplicates,
            seconds: (seconds * 1_000.0).round() / 1_000.0,
            engine_cpu_seconds,
        })
    }

    /// Whether every event has its fate and none is doubled.
    pub(super) fn balances(&self) -> bool {
        self.read == self.delivered + self.dropped + self.dead_lettered
            && self.open == 0
            && self.duplicates == 0
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "read           {:>12}", self.read)?;
        writeln!(f, "delivered      {:>12}", self.delivered)?;
        writeln!(f, "dropped        {:>12}", self.dropped)?;
        writeln!(f, "dead-lettered  {:>12}", self.dead_lettered)?;
        writeln!(f, "open           {:>12}", self.open)?;
        writeln!(f, "rows           {:>12}", self.rows)?;
        writeln!(f, "duplicates     {:>12}", self.duplicates)?;
        writeln!(f, "seconds        {:>12.1}", self.seconds)?;
        writeln!(f, "engine CPU s   {:>12.2}", self.engine_cpu_seconds)?;
        f.write_str(if self.balances() { "the books balance" } else { "THE BOOKS DO NOT BALANCE" })
    }
}
