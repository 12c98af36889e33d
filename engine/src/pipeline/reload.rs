//! New rules, lists and databases while the stream runs.
//!
//! Invariant: what does not compile, fails its tests or cannot be bound never replaces what runs; the refusal is seen in the log, in a metric
//! and in the status.

use std::{
    collections::BTreeMap,
    fmt,
    fs::Metadata,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering, mpsc},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use logmon_dsl::{
    diagnostic::{Resolved, has_errors},
    plan::{Plan, Rule},
    program::{self, Compilation, Mode, Options, Program, Reader},
    render::render,
    state, test_block,
};
use notify::{RecursiveMode, Watcher as _};
use tokio_util::sync::CancellationToken;

use super::{
    bundle::{Bundle, World},
    crew::Crew,
    schema::sink_settings,
};
use crate::{
    delivery::failpoint::{self, Place},
    http::Part,
    lookup::{self, Reloaded},
    metrics::ReloadOutcome,
};

/// Files are looked at this often even if nothing was heard: some file systems tell nobody, and a `ConfigMap` swaps a link two levels up.
const LOOK: Duration = Duration::from_secs(2);

/// After the first word of a change, so long is waited for its other files.
const SETTLE: Duration = Duration::from_millis(150);

/// How long new rules that keep state wait for batches that anybody may compute: milliseconds, unless a sink stands still.
const ORDER_WAIT: Duration = Duration::from_secs(30);

/// Watches the files of a running program.
pub struct Reloader {
    world: Arc<World>,
    bundle: Arc<ArcSwap<Bundle>>,
    entry: PathBuf,
    reader: &'static (dyn Reader + Sync),
    seen: BTreeMap<PathBuf, Stamp>,
    crew: Arc<Crew>,
}

/// What tells one version of a file from another without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    /// Where the path leads in the end: links are swapped to replace what they point at.
    target: Option<PathBuf>,
    changed: Option<std::time::SystemTime>,
    bytes: u64,
    /// A rename may bring a file of the same length and time.
    inode: u64,
}

impl Stamp {
    fn of(path: &Path) -> Self {
        let metadata = std::fs::metadata(path).ok();
        Self {
            target: path.canonicalize().ok(),
            changed: metadata.as_ref().and_then(|metadata| metadata.modified().ok()),
            bytes: metadata.as_ref().map_or(0, Metadata::len),
            inode: metadata.as_ref().map_or(0, Metadata::ino),
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
        crew: Arc<Crew>,
        bundle: Arc<ArcSwap<Bundle>>,
        entry: &Path,
        reader: &'static (dyn Reader + Sync),
    ) -> Self {
        let mut reloader =
            Self { crew, world, bundle, entry: entry.to_owned(), reader, seen: BTreeMap::new() };
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
            if self.world.changed.swap(false, Ordering::AcqRel) {
                self.rebind();
            }
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
        if let Some(lost) = unpinned(&old.plan, &program.plan) {
            return refuse(lost);
        }
        match self.world.bind(program, Some(&old)) {
            // Rules that keep state see each partition's batches in order from their first one on.
            Ok(bundle) if bundle.plan.is_stateful() && !self.crew.keep_order(ORDER_WAIT) => {
                if !old.plan.is_stateful() {
                    self.crew.loosen();
                }
                refuse(format!(
                    "the new rules keep state, and what was read before them is not computed within {} s",
                    ORDER_WAIT.as_secs()
                ));
            }
            Ok(bundle) => {
                let mut message = format!(
                    "bundle {} runs, compiled and bound in {} ms",
                    bundle.short(),
                    started.elapsed().as_millis()
                );
                let resets = state::resets(&old.plan, &bundle.plan);
                if !resets.is_empty() {
                    let names = resets.join(", ");
                    message += "; what these remembered begins anew: ";
                    message += &names;
                }
                self.world.status.bundle(
                    &bundle.hash,
                    self.entry.clone(),
                    Arc::clone(&bundle.plan),
                    bundle.lookups.clone(),
                );
                let is_stateful = bundle.plan.is_stateful();
                self.bundle.store(Arc::new(bundle));
                failpoint::pass(Place::Reloaded);
                if !is_stateful {
                    self.crew.loosen();
                }
                self.note(ReloadOutcome::Applied, message, &resolved);
            }
            Err(errors) => {
                let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
                refuse(lines.join("; "));
            }
        }
    }

    /// Reads the tables again under the rules that run: a sink says that its table is not what it was.
    fn rebind(&self) {
        let old = self.bundle.load_full();
        let options = Options { sinks: sink_settings(&self.world.config), ..Options::default() };
        let program = program::compile_with(&self.entry, self.reader, Mode::Run, &options).program;
        // Rules that changed meanwhile are a reload of their own, which reads the tables too.
        let Some(program) = program.filter(|program| program.hash.to_hex().as_str() == old.hash)
        else {
            return;
        };
        match self.world.bind(program, Some(&old)) {
            Ok(bundle) => {
                self.bundle.store(Arc::new(bundle));
                tracing::info!("the tables were read again");
            }
            Err(errors) => {
                let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
                tracing::error!("the tables cannot be used as they are now: {}", lines.join("; "));
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

/// What a reload would do to a rule with `@pin`, in one sentence: take it away, switch it off, or let others pass it.
pub fn unpinned(old: &Plan, new: &Plan) -> Option<String> {
    let place = |plan: &Plan, rule: &Rule| {
        plan.rules.iter().position(|other| {
            let was = other.was.as_ref().map(|was| rule.label.ends_with(&format!("/{was}")));
            other.label == rule.label || was == Some(true)
        })
    };
    let mut last = None;
    for rule in old.rules.iter().filter(|rule| rule.pinned) {
        let Some(at) = place(new, rule) else {
            return Some(format!("the rule {} is pinned and would be gone", rule.label));
        };
        let now = &new.rules[at];
        if !now.pinned || now.shadow || now.canary.is_some() {
            return Some(format!("the rule {} is pinned and would be switched off", rule.label));
        }
        if last.is_some_and(|last| last > at) {
            return Some(format!("the rule {} is pinned and would be moved", rule.label));
        }
        last = Some(at);
        // What ran behind it must not run before it.
        let behind = old.rules.iter().skip_while(|other| other.label != rule.label).skip(1);
        for other in behind {
            if place(new, other).is_some_and(|other| other < at) {
                return Some(format!(
                    "the rule {} is pinned and would come behind {}",
                    rule.label, other.label
                ));
            }
        }
    }
    None
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

#[cfg(test)]
mod tests {
    use super::*;

    struct Text(String);

    impl Reader for Text {
        fn read(&self, _path: &Path) -> Result<String, String> {
            Ok(self.0.clone())
        }
    }

    fn plan(rules: &str) -> Plan {
        let text = format!("source app\nsink a : {{ ... }}\n{rules}\ndefault route to a\n");
        let compiled = program::compile(Path::new("r.rules"), &Text(text), Mode::Test);
        let said = render(&compiled.diagnostics, &compiled.sources, false);
        compiled.program.unwrap_or_else(|| panic!("{said}")).plan
    }

    #[test]
    fn a_pinned_rule_stays_where_it_is() {
        let old = plan("rule a { .a = 1 } @pin rule p { del .secret } rule z { .z = 1 }");
        let sentence = |rules: &str| unpinned(&old, &plan(rules)).unwrap_or_default();
        assert_eq!(sentence("rule n { .n = 1 } @pin rule p { del .secret } rule z { .z = 2 }"), "");
        assert_eq!(sentence("@pin @was(\"p\") rule q { del .secret } rule z { .z = 2 }"), "");
        assert_eq!(sentence("rule a { .a = 1 }"), "the rule r/p is pinned and would be gone");
        assert_eq!(
            sentence("rule a { .a = 1 } rule p { del .secret }"),
            "the rule r/p is pinned and would be switched off"
        );
        assert_eq!(
            sentence("rule z { .z = 1 } @pin rule p { del .secret }"),
            "the rule r/p is pinned and would come behind r/z"
        );
    }
}
