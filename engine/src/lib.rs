//! Runs rules over Kafka partitions and delivers the outcome to ClickHouse.

pub mod cli;
pub mod clock;
pub mod config;
pub mod decode;
pub mod delivery;
pub mod error;
pub mod http;
pub mod lookup;
pub mod lsp;
pub mod metrics;
pub mod pipeline;
pub mod repair;
pub mod sink;
pub mod source;
pub mod tls;
