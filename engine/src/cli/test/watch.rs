//! `test --watch`: another round whenever a file of the program changes.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::mpsc,
    time::Duration,
};

use logmon_dsl::program::{self, Mode};
use notify::{RecursiveMode, Watcher as _};

use super::{Arguments, round};
use crate::{
    cli::{FileSystem, say},
    error::Exit,
};

/// Editors write a file in several steps: so long nothing must happen before it is read.
const QUIET: Duration = Duration::from_millis(100);

/// Runs the tests until the process is interrupted, or the files cannot be watched.
pub(super) fn watch(arguments: &Arguments) -> Exit {
    let (sender, changes) = mpsc::channel();
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading a file is an event, too.
        if event.is_ok_and(|event| !event.kind.is_access()) {
            let _ended = sender.send(());
        }
    });
    let mut watcher = match watcher {
        Ok(watcher) => watcher,
        Err(error) => {
            eprintln!("files cannot be watched: {error}");
            return Exit::World;
        }
    };
    let mut watched: BTreeSet<PathBuf> = BTreeSet::new();
    loop {
        // Watched before they are read, so that no change is missed.
        for folder in folders(&arguments.entry.rules) {
            if watched.insert(folder.clone())
                && let Err(error) = watcher.watch(&folder, RecursiveMode::NonRecursive)
            {
                eprintln!("{} cannot be watched: {error}", folder.display());
            }
        }
        round(arguments);
        say("\nwaiting for changes; Ctrl-C ends it");
        if changes.recv().is_err() {
            return Exit::World;
        }
        while changes.recv_timeout(QUIET).is_ok() {}
    }
}

/// The folders of a program's files, lists included. Folders and not files: editors write a new file and rename it.
fn folders(entry: &Path) -> BTreeSet<PathBuf> {
    let compilation = program::compile(entry, &FileSystem, Mode::Test);
    let texts = compilation.sources.iter().map(|(_, source)| PathBuf::from(&source.path));
    let lists = compilation.program.into_iter().flat_map(|program| program.files);
    let files = texts.chain(lists.map(|(path, _)| path));
    let folder = |file: PathBuf| match file.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    files.map(folder).collect()
}
