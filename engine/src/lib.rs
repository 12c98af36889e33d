//! The engine: what the rule language needs of the world around it.

pub mod decode;
