//! The test binary of the engine.

mod clickhouse;
mod config;
mod decode;
mod docker;
mod http;
mod lookup;
mod manual;
mod metrics;
mod mmdb;
mod pages;
mod tidy;
mod tls;
