//! The language server: what editors ask over standard input and output.
//!
//! Invariant: answers about the text as it is in the editor, saved or not, and never ends because of a text.

mod answers;
mod convert;
mod server;
mod workspace;

pub use server::serve;
