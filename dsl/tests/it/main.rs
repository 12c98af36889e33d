//! The test binary of the language.

mod check;
mod diagnostics;
mod parse;
