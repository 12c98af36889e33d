//! The engine.

pub mod clock;
pub mod config;
pub mod error;
pub mod metrics;
