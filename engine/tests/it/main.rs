//! The test binary of the engine.

mod clickhouse;
mod config;
mod decode;
mod lookup;
mod metrics;
mod mmdb;
mod tidy;
