//! The test binary of the language.

mod alike;
mod eval;
mod functions;
mod plans;
