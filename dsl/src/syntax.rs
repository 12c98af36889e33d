//! Text to tree and back: the shape of a program, no meaning.
//!
//! Invariant: nothing here resolves a name or knows a type.

pub mod ast;
mod fmt;
mod parse;
pub(crate) mod scan;
mod split;
pub(crate) mod walk;

pub use self::fmt::format;
pub use parse::{MAX_FILE_BYTES, parse_expr, parse_file};
