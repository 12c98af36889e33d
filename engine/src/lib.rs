//! The engine.

pub mod clock;
pub mod config;
pub mod error;
pub mod http;
pub mod lookup;
pub mod metrics;
pub mod tls;
