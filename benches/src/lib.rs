//! What an event costs, stage by stage and end to end.

pub mod events;
