//! The engine's tests, one binary.

mod config;
mod metrics;
