//! `schema`: what events and tables look like.

use super::{infer, pull};
use crate::error::Exit;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Draft the type of sample events, one JSON object a line
    Infer(infer::Arguments),
    /// Read the columns of every sink's table from the server into schemas/clickhouse.lock
    Pull(pull::Arguments),
}

pub(super) fn schema(command: &Command) -> Exit {
    match command {
        Command::Infer(arguments) => infer::infer(arguments),
        Command::Pull(arguments) => pull::pull(arguments),
    }
}
