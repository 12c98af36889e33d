//! The rule language: text to plan, and plans over columns of events.
//!
//! Invariant: pure. No IO, no clock, no threads; what the world offers comes in as an argument.

pub mod column;
pub mod diagnostic;
pub mod eval;
pub mod functions;
pub mod plan;
pub mod render;
pub mod span;
pub mod syntax;
pub mod test_block;
pub mod types;
