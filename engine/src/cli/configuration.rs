//! `config`: what logmon.toml may say.

use crate::{config::Config, error::Exit};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Print the JSON Schema of logmon.toml, for editors
    Schema,
}

pub(super) fn configuration(command: &Command) -> Exit {
    match command {
        Command::Schema => {
            let text =
                serde_json::to_string_pretty(&Config::schema()).expect("a schema is plain data");
            super::say(text);
            Exit::Fine
        }
    }
}
