//! The test binary of the engine.

mod clickhouse;
mod config;
mod decode;
mod metrics;
mod tidy;
