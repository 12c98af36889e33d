//! What a command begins with that works on the real servers: the rules and their configuration.

use std::path::{Path, PathBuf};

use logmon_dsl::{
    program::{Compilation, Mode, Program},
    span::Sources,
};

use super::{Entry, compilation, draw, refused};
use crate::{
    config::{self, Config},
    error::Exit,
    repair::Trouble,
};

/// The rules and their configuration.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    #[command(flatten)]
    entry: Entry,
    /// The configuration; logmon.toml beside the folder of the rules if left out
    #[arg(long)]
    config: Option<PathBuf>,
}

/// What both say.
pub(super) struct Opened {
    pub(super) config: Config,
    pub(super) program: Program,
    pub(super) sources: Sources,
}

impl Place {
    /// Where the rules stand.
    pub(super) fn rules(&self) -> &Path {
        &self.entry.rules
    }

    /// Finds and reads the configuration; says what is wrong with it.
    pub(super) fn config(&self) -> Result<Config, Exit> {
        let rules = self.rules();
        let Some(path) = config::find(rules, self.config.as_deref()) else {
            eprintln!(
                "there is no {} beside the folder of {}; write one or name it with --config",
                config::FILE_NAME,
                rules.display()
            );
            return Err(Exit::Usage);
        };
        Config::load(&path).map_err(|error| {
            eprintln!("{error}");
            Exit::Usage
        })
    }

    /// Reads configuration and rules; says what is wrong with them.
    pub(super) fn open(&self) -> Result<Opened, Exit> {
        let config = self.config()?;
        let rules = self.rules();
        let Compilation { sources, mut diagnostics, program } = compilation(rules, Mode::Run);
        if program.is_some() {
            // Warnings are for `check`: here they would stand between a person and the answer.
            diagnostics.clear();
        }
        draw(&diagnostics, &sources);
        let program = program.ok_or_else(|| refused(rules))?;
        Ok(Opened { config, program, sources })
    }
}

/// Says what went wrong, and how a process ends after that.
pub(super) fn fail(trouble: &Trouble) -> Exit {
    eprintln!("{trouble}");
    match trouble {
        Trouble::Usage(_) => Exit::Usage,
        Trouble::World(_) => Exit::World,
    }
}

/// Says everything that went wrong.
pub(super) fn fail_all(troubles: &[Trouble]) -> Exit {
    let mut exit = Exit::World;
    for trouble in troubles {
        if fail(trouble) == Exit::Usage {
            exit = Exit::Usage;
        }
    }
    exit
}
