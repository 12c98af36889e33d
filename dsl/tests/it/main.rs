//! The test binary of the language.

mod diagnostics;
mod fmt;
mod parse;
mod recovery;
mod robust;
