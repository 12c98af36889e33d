//! The rule language, pure.

pub mod diagnostic;
pub mod span;
pub mod syntax;
