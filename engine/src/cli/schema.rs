//! `schema`: what events and tables look like.

use super::infer;
use crate::error::Exit;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Draft the type of sample events, one JSON object a line
    Infer(infer::Arguments),
}

pub(super) fn schema(command: &Command) -> Exit {
    match command {
        Command::Infer(arguments) => infer::infer(arguments),
    }
}
