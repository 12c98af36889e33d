//! What other programs understand, as rules: as far as it means the same, and with a reason where it does not.

mod grok;
mod vrl;

pub use grok::{Grok, grok};
pub use vrl::{Untranslated, Vrl, vrl};
