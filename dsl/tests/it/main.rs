//! The test binary of the language.

mod check;
mod diagnostics;
mod parse;
mod alike;
mod eval;
mod plans;
