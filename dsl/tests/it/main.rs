//! The test binary of the language.

mod diagnostics;
mod parse;
