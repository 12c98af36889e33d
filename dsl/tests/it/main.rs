//! The test binary of the language.

mod alike;
mod eval;
mod plans;
