//! `fmt`: rules files in the one style.

use std::path::PathBuf;

use logmon_dsl::{program::Reader as _, span::Sources, syntax};

use super::{FileSystem, draw};
use crate::error::Exit;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The files
    #[arg(required = true)]
    rules: Vec<PathBuf>,
    /// Write nothing; exit with 1 if a file is not in the style
    #[arg(long)]
    check: bool,
}

pub(super) fn fmt(arguments: &Arguments) -> Exit {
    let mut exit = Exit::Fine;
    for path in &arguments.rules {
        let text = match FileSystem.read(path) {
            Ok(text) => text,
            Err(why) => {
                eprintln!("{}: {why}", path.display());
                return Exit::Usage;
            }
        };
        let mut sources = Sources::default();
        let file = sources.add(path.to_string_lossy(), text.as_str());
        match syntax::format(file, &text) {
            Err(diagnostics) => {
                draw(&diagnostics, &sources);
                exit = Exit::Rules;
            }
            Ok(styled) if styled == text => {}
            Ok(_) if arguments.check => {
                eprintln!("{}: not in the style; `logmon-engine fmt` writes it", path.display());
                exit = Exit::Rules;
            }
            Ok(styled) => {
                if let Err(why) = std::fs::write(path, styled) {
                    eprintln!("{}: {why}", path.display());
                    return Exit::World;
                }
            }
        }
    }
    exit
}
