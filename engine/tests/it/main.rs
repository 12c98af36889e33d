//! The test binary of the engine.

mod config;
mod decode;
mod metrics;
mod tidy;
