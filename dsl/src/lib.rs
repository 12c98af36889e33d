//! The rule language: text to plan, and plans over columns of events.
//!
//! Invariant: pure. No IO, no clock, no threads; what the world offers comes in as an argument.

pub mod catalog;
pub mod check;
pub mod column;
pub mod diagnostic;
pub mod eval;
pub mod explain;
pub mod functions;
pub mod lints;
pub mod plan;
pub mod program;
pub mod render;
pub mod schema;
pub mod span;
pub mod syntax;
pub mod test_block;
pub mod types;
