//! The test binary of the engine.

mod config;
mod metrics;
mod tidy;
