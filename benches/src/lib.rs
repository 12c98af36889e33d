//! What an event costs, stage by stage and end to end.

pub mod arguments;
pub mod by_hand;
pub mod clock;
pub mod consume;
pub mod engine;
pub mod events;
pub mod figures;
pub mod ledger;
pub mod literals;
pub mod lookups;
pub mod machine;
pub mod plot;
pub mod printed;
pub mod process;
pub mod producer;
pub mod program;
pub mod report;
pub mod servers;
pub mod service;
pub mod sized;
pub mod stages;
