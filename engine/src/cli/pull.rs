//! `schema pull`: the columns of the tables that rules write into, as the server has them.

use std::path::{Path, PathBuf};

use logmon_dsl::{
    program::{self, Compilation, Mode, Reader},
    schema::FILE,
};

use super::{
    FileSystem, draw,
    place::{Place, fail},
    refused, say,
};
use crate::{
    error::Exit,
    pipeline::{bundle::BindError, schema},
    repair::runtime,
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Write nothing; exit with 1 if the file is not what the server says
    #[arg(long)]
    check: bool,
}

pub(super) fn pull(arguments: &Arguments) -> Exit {
    match run(arguments) {
        Ok(exit) | Err(exit) => exit,
    }
}

/// The file system without the old lock: rules that do not fit it, or a file that is none, are no reason not to look at the server.
struct WithoutLock;

impl Reader for WithoutLock {
    fn read(&self, path: &Path) -> Result<String, String> {
        FileSystem.read(path)
    }

    fn secret(&self, name: &str) -> Result<String, String> {
        FileSystem.secret(name)
    }
}

fn run(arguments: &Arguments) -> Result<Exit, Exit> {
    let (config, rules) = (arguments.place.config()?, arguments.place.rules());
    let Compilation { sources, diagnostics, program } =
        program::compile(rules, &WithoutLock, Mode::Test);
    let Some(program) = program else {
        draw(&diagnostics, &sources);
        return Err(refused(rules));
    };
    let runtime = runtime().map_err(|trouble| fail(&trouble))?;
    let lock = schema::pull(&config, &program.plan, runtime.handle()).map_err(|errors| {
        let mut exit = Exit::Usage;
        for error in errors {
            eprintln!("{error}");
            if matches!(error, BindError::World(_)) {
                exit = Exit::World;
            }
        }
        exit
    })?;
    let text = lock.print();
    let path = file(rules);
    let same = std::fs::read_to_string(&path).is_ok_and(|old| old == text);
    if arguments.check {
        if same {
            return Ok(Exit::Fine);
        }
        eprintln!("{} is not what the server says; `schema pull` writes it", path.display());
        return Ok(Exit::Rules);
    }
    if !same {
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, text)).map_err(
            |why| {
                eprintln!("{}: {why}", path.display());
                Exit::World
            },
        )?;
    }
    let n_columns: usize = lock.tables.iter().map(|table| table.columns.len()).sum();
    say(format_args!("{}: {} tables, {n_columns} columns", path.display(), lock.tables.len()));
    Ok(Exit::Fine)
}

/// The lock file: where there is one already, else beside the configuration's idea of a project: one folder above the entry if that has
/// a `schemas` folder, otherwise in the entry's own.
fn file(entry: &Path) -> PathBuf {
    let own = entry.parent().unwrap_or(Path::new("")).join(FILE);
    let above = entry.parent().unwrap_or(Path::new("")).join("..").join(FILE);
    let has_folder = |path: &Path| path.parent().is_some_and(Path::is_dir);
    if !own.exists() && (above.exists() || (!has_folder(&own) && has_folder(&above))) {
        above
    } else {
        own
    }
}
