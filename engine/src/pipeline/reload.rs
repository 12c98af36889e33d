//! New rules, lists and databases while the stream runs.
//!
//! Invariant: what does not compile, fails its tests or cannot be bound never replaces what runs; the refusal is seen in the log, in a metric
//! and in the status.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use logmon_dsl::{
    diagnostic::{Resolved, has_errors},
    plan::Plan,
    program::{self, Compilation, Mode, Options, Program, Reader},
    render::render,
    test_block,
};
use notify::{RecursiveMode, Watcher as _};
use tokio_util::sync::CancellationToken;

use super::{
    bundle::{Bundle, World},
    schema::sink_settings,
};
use crate::{
    http::Part,
    lookup::{self, Reloaded},
    metrics::ReloadOutcome,
};

/// Files are looked at this often even if nothing was heard: some file systems tell nobody, and a `ConfigMap` swaps a link two levels up.
const LOOK: Duration = Duration::from_secs(2);

/// After the first word of a change, so long is waited for its other files.
const SETTLE: Duration = Duration::from_millis(150);

/// Watches the files of a running program.
pub struct Reloader {
    world: Arc<World>,
    bundle: Arc<ArcSwap<Bundle>>,
    entry: PathBuf,
    reader: &'static (dyn Reader + Sync),
    seen: BTreeMap<PathBuf, Stamp>,
}

/// What tells one version of a file from another without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    /// Where the path leads in the end: links are swapped to replace what they point at.
    target: Option<PathBuf>,
    changed: Option<std::time::SystemTime>,
    bytes: u64,
}

impl Stamp {
    fn of(path: &Path) -> Self {
        let metadata = std::fs::metadata(path).ok();
        Self {
            target: path.canonicalize().ok(),
            changed: metadata.as_ref().and_then(|metadata| metadata.modified().ok()),
            bytes: metadata.map_or(0, |metadata| metadata.len()),
        }
    }
}

impl fmt::Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader").field("entry", &self.entry).finish_non_exhaustive()
    }
}

impl Reloader {
    /// Watches what the bundle was made of, and the files of its lookups.
    pub fn new(
        world: Arc<World>,
        bundle: Arc<ArcSwap<Bundle>>,
        entry: &Path,
        reader: &'static (dyn Reader + Sync),
    ) -> Self {
        let mut reloader =
            Self { world, bundle, entry: entry.to_owned(), reader, seen: BTreeMap::new() };
        reloader.seen = reloader.stamps();
        reloader
    }

    /// Looks whenever something changes, until canceled. Blocks its thread.
    pub fn run(&mut self, cancel: &CancellationToken) {
        let (sender, heard) = mpsc::sync_channel::<()>(1);
        let mut watcher = notify::recommended_watcher(move |_event| {
            // One word is enough: the files themselves are looked at.
            let _full = sender.try_send(());
        })
        .inspect_err(|error| tracing::info!(%error, "files are looked at by the clock only"))
        .ok();
        let mut watched: Vec<PathBuf> = Vec::new();
        while !cancel.is_cancelled() {
            if let Some(watcher) = &mut watcher {
                for folder in self.folders() {
                    if !watched.contains(&folder)
                        && watcher.watch(&folder, RecursiveMode::NonRecursive).is_ok()
                    {
                        watched.push(folder);
                    }
                }
            }
            let start = Instant::now();
            while start.elapsed() < LOOK && !cancel.is_cancelled() {
                if heard.recv_timeout(Duration::from_millis(100)).is_ok() {
                    // A saved file is often several changes: wait until it is quiet.
                    while start.elapsed() < LOOK && heard.recv_timeout(SETTLE).is_ok() {}
                    break;
                }
            }
            self.look();
        }
    }

    /// Compares the files with what was seen and takes what is new.
    fn look(&mut self) {
        let stamps = self.stamps();
        if stamps == self.seen {
            return;
        }
        let databases = lookup::files(&self.world.config);
        let changed = |path: &PathBuf| stamps.get(path) != self.seen.get(path);
        let data = databases.iter().any(changed);
        let rules = stamps
            .keys()
            .chain(self.seen.keys())
            .any(|path| !databases.contains(path) && changed(path));
        self.seen = stamps;
        if data {
            self.reload_lookups();
        }
        if rules {
            self.reload_rules();
            // A new program may be made of other files. What was seen before it was compiled stays, so that a
            // change during the reload is one for the next look.
            let now = self.stamps();
            self.seen.retain(|path, _| now.contains_key(path));
            for (path, stamp) in now {
                self.seen.entry(path).or_insert(stamp);
            }
        }
    }

    fn reload_lookups(&self) {
        for (name, outcome) in self.bundle.load().lookups.reload() {
            match outcome {
                Ok(Reloaded::Unchanged) => {}
                Ok(Reloaded::Replaced) => {
                    self.world.status.well(Part::Lookup, &name);
                    self.note(
                        ReloadOutcome::Applied,
                        format!("new data for the lookup {name}"),
                        &[],
                    );
                }
                Err(error) => {
                    let message = format!("the lookup {name} keeps its old data: {error}");
                    self.world.status.trouble(Part::Lookup, &name, message.clone());
                    self.note(ReloadOutcome::Refused, message, &[]);
                }
            }
        }
    }

    fn reload_rules(&self) {
        let started = Instant::now();
        let options = Options { sinks: sink_settings(&self.world.config), ..Options::default() };
        let Compilation { sources, diagnostics, program } =
            program::compile_with(&self.entry, self.reader, Mode::Test, &options);
        let resolved: Vec<Resolved> =
            diagnostics.iter().map(|diagnostic| diagnostic.resolve(&sources)).collect();
        let refuse = |message: String| {
            self.note(ReloadOutcome::Refused, message + "; the rules that run go on", &resolved);
        };
        let Some(tested) = program else {
            let drawn = render(&diagnostics, &sources, false);
            let n = diagnostics.iter().filter(|one| has_errors(std::slice::from_ref(one))).count();
            let errors = if n == 1 { "error" } else { "errors" };
            let message = format!("{n} {errors} in the rules; those that run go on\n{drawn}");
            return self.note(ReloadOutcome::Refused, message, &resolved);
        };
        if tested.hash.to_hex().as_str() == self.bundle.load().hash {
            return self.note(ReloadOutcome::Unchanged, "the rules are the same".to_owned(), &[]);
        }
        if let Some(failure) = first_failure(&tested) {
            return refuse(failure);
        }
        // Only what was tested may run.
        let again = program::compile_with(&self.entry, self.reader, Mode::Run, &options).program;
        let Some(program) = again.filter(|program| program.hash == tested.hash) else {
            return refuse("the files changed again while they were read".to_owned());
        };
        let old = self.bundle.load_full();
        let names = |plan: &Plan| {
            plan.sources.iter().map(|source| Arc::clone(&source.name)).collect::<Vec<_>>()
        };
        if names(&program.plan) != names(&old.plan) {
            return refuse(
                "sources were added, removed or moved, which needs a restart".to_owned(),
            );
        }
        match self.world.bind(program, Some(&old)) {
            Ok(bundle) => {
                let message = format!(
                    "bundle {} runs, compiled and bound in {} ms",
                    bundle.short(),
                    started.elapsed().as_millis()
                );
                self.world.status.bundle(
                    &bundle.hash,
                    self.entry.clone(),
                    Arc::clone(&bundle.plan),
                    bundle.lookups.clone(),
                );
                self.bundle.store(Arc::new(bundle));
                self.note(ReloadOutcome::Applied, message, &resolved);
            }
            Err(errors) => {
                let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
                refuse(lines.join("; "));
            }
        }
    }

    fn note(&self, outcome: ReloadOutcome, message: String, diagnostics: &[Resolved]) {
        match outcome {
            ReloadOutcome::Refused => tracing::error!("reload refused: {message}"),
            ReloadOutcome::Applied | ReloadOutcome::Unchanged => {
                tracing::info!("reload: {message}");
            }
        }
        let diagnostics = diagnostics
            .iter()
            .map(|diagnostic| serde_json::to_value(diagnostic).expect("a diagnostic is plain data"))
            .collect();
        self.world.status.reloaded(outcome, diagnostics, message);
    }

    fn stamps(&self) -> BTreeMap<PathBuf, Stamp> {
        let bundle = self.bundle.load();
        let rules = bundle.files.iter().cloned().chain([self.entry.clone()]);
        rules
            .chain(lookup::files(&self.world.config))
            .map(|path| (path.clone(), Stamp::of(&path)))
            .collect()
    }

    /// The folders that hold a watched file or what a link leads to.
    fn folders(&self) -> Vec<PathBuf> {
        let mut folders: Vec<PathBuf> = self
            .seen
            .iter()
            .flat_map(|(path, stamp)| [Some(path.clone()), stamp.target.clone()])
            .flatten()
            .filter_map(|path| path.parent().map(Path::to_owned))
            .map(|folder| if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder })
            .collect();
        folders.sort();
        folders.dedup();
        folders
    }
}

/// The first test that fails, in one sentence.
pub fn first_failure(program: &Program) -> Option<String> {
    let plan = Arc::new(program.plan.clone());
    program.tests.iter().find_map(|test| {
        let result = test_block::run_test(&plan, test);
        let failure = result.failures.first()?;
        Some(format!("the test \"{}\" fails: {}", test.name, failure.message))
    })
}
