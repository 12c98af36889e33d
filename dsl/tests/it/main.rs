//! The test binary of the language.

mod alike;
mod check;
mod diagnostics;
mod eval;
mod fmt;
mod functions;
mod literals;
mod manual;
mod parse;
mod plans;
mod programs;
mod recovery;
mod robust;
mod stateful;
