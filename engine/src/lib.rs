//! The engine.

pub mod sink;
