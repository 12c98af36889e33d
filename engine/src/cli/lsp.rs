//! `lsp`: the language server for editors.

use super::dead_letter;
use crate::{error::Exit, lsp};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Accepted because many editors pass it; there is no other way to talk
    #[arg(long)]
    stdio: bool,
}

pub(super) fn lsp(_arguments: &Arguments) -> Exit {
    match lsp::serve(dead_letter) {
        Ok(()) => Exit::Fine,
        Err(error) => {
            eprintln!("{error}");
            Exit::World
        }
    }
}
