//! What an event costs, stage by stage and end to end.

pub mod arguments;
pub mod clock;
pub mod engine;
pub mod events;
pub mod figures;
pub mod ledger;
pub mod machine;
pub mod many_rules;
pub mod process;
pub mod program;
pub mod report;
pub mod servers;
pub mod stages;
