//! The test binary of the language.

mod alike;
mod diagnostics;
mod eval;
mod fmt;
mod functions;
mod parse;
mod plans;
mod robust;
