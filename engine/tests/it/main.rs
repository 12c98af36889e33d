//! The test binary of the engine.

mod clickhouse;
mod config;
mod decode;
mod http;
mod lookup;
mod metrics;
mod mmdb;
mod tidy;
mod tls;
