//! Checks of the program as a whole, when every rule is known.

mod duplicates;
mod routing;
mod unused;

use crate::{check::Checker, program::Mode};

/// Runs every check over a checked program.
pub(crate) fn whole_program(checker: &mut Checker<'_>, mode: Mode) {
    unused::report(checker);
    duplicates::report(checker);
    routing::report(checker, mode);
}
