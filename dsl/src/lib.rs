//! The rule language, pure.

pub mod diagnostic;
pub mod render;
pub mod span;
pub mod syntax;
