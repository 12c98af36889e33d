//! The test binary of the language.

mod alike;
mod assist;
mod check;
mod diagnostics;
mod dice;
mod editors;
mod eval;
mod fmt;
mod functions;
mod import;
mod literals;
mod manual;
mod naive;
mod parse;
mod plans;
mod programs;
mod recall;
mod recovery;
mod robust;
mod stateful;
mod tools;
