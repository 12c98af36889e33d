//! The test binary of the language.

mod alike;
mod diagnostics;
mod eval;
mod parse;
mod plans;
