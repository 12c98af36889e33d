//! The rule language: text to plan, and plans over columns of events.
//!
//! Invariant: pure. No IO, no clock, no threads; what the world offers comes in as an argument.

pub mod accept;
pub mod assist;
pub mod catalog;
pub mod check;
pub mod column;
pub mod cost;
pub mod coverage;
pub mod diagnostic;
pub mod eval;
pub mod explain;
pub mod functions;
pub mod import;
pub mod infer;
pub mod lints;
pub mod plan;
pub mod program;
pub mod render;
pub mod schema;
pub mod search;
pub mod span;
pub mod sql;
pub mod state;
pub mod syntax;
pub mod test_block;
pub mod trace;
pub mod types;
