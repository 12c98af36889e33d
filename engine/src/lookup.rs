//! Outside knowledge by key: declared in the rules, bound in `logmon.toml`, fetched a batch at a time.
//!
//! Invariant: a lookup never stops a batch. What cannot be answered in time is `Failed`, and counted.

mod cache;
mod clickhouse;
mod file;
mod front;
mod geoip;
mod http;
mod postgres;
mod remote;
mod row;
mod shape;
mod table;
mod topic;
mod valkey;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use logmon_dsl::{
    diagnostic::Diagnostic,
    eval::{Answer, Lookups},
    plan::LookupDecl,
};
use serde::Serialize;
use tokio::runtime::Handle;

use crate::{
    config::{self, Config, FileFormat, LookupKind},
    error::WorldError,
    metrics::{LookupMetrics, Metrics},
};
use cache::AnswerCache;
use front::Front;
use shape::Bound;

/// How long a server may take to be there when lookups are opened.
const CONNECT: Duration = Duration::from_secs(10);

/// Where answers come from.
pub trait Lookup: fmt::Debug + Send + Sync {
    /// Answers for distinct keys, in their order. May block up to the lookup's timeout.
    fn fetch(&self, keys: &[&str]) -> Vec<Answer>;

    /// What it learned that nobody waits for. Asked before every batch, so cheap where there is none.
    fn news(&self) -> News {
        News::None
    }

    /// Looks whether the data behind it changed, and takes the new data if they are sound.
    fn reload(&self) -> Result<Reloaded, WorldError>;

    /// What it holds now.
    fn holds(&self) -> Holding;
}

/// What a lookup learned that nobody waits for.
#[derive(Debug)]
pub enum News {
    /// Nothing.
    None,
    /// Answers that came after their batch had gone on, or that changed.
    Answers(Vec<(Arc<str>, Answer)>),
    /// So much changed that nothing said before counts.
    Everything,
}

/// What a reload found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reloaded {
    /// New data answer from now on.
    Replaced,
    /// Nothing changed.
    Unchanged,
}

/// What a lookup holds, for status pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Holding {
    /// Rows of a table; unknown for databases and services.
    pub rows: Option<u64>,
    /// When the data were made: seconds since 1970.
    pub made: Option<i64>,
    /// How often the data were replaced since the start.
    pub version: u64,
}

/// A lookup on a status page.
#[derive(Debug, Clone, Serialize)]
pub struct LookupState {
    /// Its name in the rules.
    pub name: Arc<str>,
    /// Answers in the cache.
    pub cached: u64,
    /// What it holds.
    #[serde(flatten)]
    pub holding: Holding,
}

/// Why lookups could not be opened: a decision between two exit codes.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration lacks it, or does not fit what the rules declare.
    #[error("{0}")]
    Config(String),
    /// The back end does not have what the rules declare: a mistake each, drawn where it is declared.
    #[error("{}", .0.iter().map(|wrong| wrong.message.as_str()).collect::<Vec<_>>().join("\n"))]
    Shape(Vec<Diagnostic>),
    /// The file or service is not as it should be.
    #[error(transparent)]
    World(#[from] WorldError),
}

impl OpenError {
    /// The same, where nothing is drawn: at a reload of data.
    fn into_world(self) -> WorldError {
        match self {
            Self::World(error) => error,
            error @ (Self::Config(_) | Self::Shape(_)) => WorldError::new(error.to_string()),
        }
    }
}

/// Every lookup of a plan, by number. Clones share caches and data; one a thread.
#[derive(Debug, Clone, Default)]
pub struct LookupSet {
    lookups: Vec<Arc<OpenLookup>>,
    fronts: Vec<Front>,
}

#[derive(Debug)]
struct OpenLookup {
    decl: LookupDecl,
    source: Box<dyn Lookup>,
    cache: AnswerCache,
    metrics: LookupMetrics,
}

/// Answers nothing: stands for a lookup that `eval` was given no file for.
#[derive(Debug)]
struct Silent;

impl LookupSet {
    /// Opens what the rules declare. Lookups that `previous` has already and that are declared alike keep their data and caches.
    pub fn open(
        declared: &[LookupDecl],
        config: &Config,
        runtime: &Handle,
        metrics: &Metrics,
        previous: Option<&Self>,
    ) -> Result<Self, Vec<OpenError>> {
        let open = |decl: &LookupDecl| {
            let kept = previous.and_then(|set| {
                set.lookups.iter().find(|lookup| {
                    let old = &lookup.decl;
                    old.name == decl.name && old.keys == decl.keys && old.yields == decl.yields
                })
            });
            if let Some(kept) = kept {
                return Ok(Arc::clone(kept));
            }
            let name = &decl.name;
            let Some(bound) = config.lookups.get(name) else {
                return Err(OpenError::Config(format!(
                    "{}: the rules declare the lookup `{name}`, but there is no [lookup.{name}]",
                    config.path.display()
                )));
            };
            let source = connect(decl, bound, runtime)?;
            Ok(OpenLookup::new(decl, source, &bound.cache, metrics))
        };
        collect(declared.iter().map(open))
    }

    /// Binds lookups to JSON files, key → row, as `eval --lookup NAME=FILE` does. Those without a file know no key.
    pub fn of_files(
        declared: &[LookupDecl],
        files: &BTreeMap<String, PathBuf>,
    ) -> Result<Self, Vec<OpenError>> {
        let metrics = Metrics::new();
        let open = |decl: &LookupDecl| {
            let source: Box<dyn Lookup> = match files.get(&*decl.name) {
                Some(path) => {
                    let bound = Bound::new(decl, &BTreeMap::new()).map_err(OpenError::Shape)?;
                    Box::new(file::Table::open(bound, path, "", FileFormat::Json)?)
                }
                None => Box::new(Silent),
            };
            Ok(OpenLookup::new(decl, source, &config::Cache::default(), &metrics))
        };
        collect(declared.iter().map(open))
    }

    /// Takes new data where files changed. Each lookup answers with what it had until its new data are sound.
    pub fn reload(&self) -> Vec<(Arc<str>, Result<Reloaded, WorldError>)> {
        let reload = |lookup: &Arc<OpenLookup>| {
            let outcome = lookup.source.reload();
            if matches!(outcome, Ok(Reloaded::Replaced)) {
                lookup.cache.forget();
                lookup.gauge();
            }
            (Arc::clone(&lookup.decl.name), outcome)
        };
        self.lookups.iter().map(reload).collect()
    }

    /// What each lookup holds.
    pub fn states(&self) -> Vec<LookupState> {
        let state = |lookup: &Arc<OpenLookup>| LookupState {
            name: Arc::clone(&lookup.decl.name),
            cached: lookup.cache.entries(),
            holding: lookup.source.holds(),
        };
        self.lookups.iter().map(state).collect()
    }
}

/// The files that lookups read, to watch them.
pub fn files(config: &Config) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for lookup in config.lookups.values() {
        match &lookup.kind {
            LookupKind::MaxMind { paths } => files.extend(paths.iter().cloned()),
            LookupKind::File { path, .. } => files.push(path.clone()),
            LookupKind::Http(_)
            | LookupKind::Postgres(_)
            | LookupKind::ClickHouse(_)
            | LookupKind::Redis(_)
            | LookupKind::Kafka(_) => {}
        }
    }
    files
}

impl Lookups for LookupSet {
    fn resolve(&mut self, lookup: usize, keys: &[&str]) -> Vec<Answer> {
        self.lookups[lookup].resolve(keys, &mut self.fronts[lookup])
    }
}

impl OpenLookup {
    fn new(
        decl: &LookupDecl,
        source: Box<dyn Lookup>,
        cache: &config::Cache,
        metrics: &Metrics,
    ) -> Arc<Self> {
        let cache = AnswerCache::new(cache);
        let metrics = metrics.lookup(&decl.name);
        let lookup = Self { decl: decl.clone(), source, cache, metrics };
        lookup.gauge();
        Arc::new(lookup)
    }

    fn resolve(&self, keys: &[&str], front: &mut Front) -> Vec<Answer> {
        match self.source.news() {
            News::None => {}
            News::Answers(answers) => self.cache.learn(answers),
            News::Everything => self.cache.forget(),
        }
        let (version, now) = (self.cache.version(), Instant::now());
        let mut answers: Vec<Option<Answer>> =
            keys.iter().map(|key| front.get(key, version, now)).collect();
        let open: Vec<usize> = (0..keys.len()).filter(|at| answers[*at].is_none()).collect();
        let mut fetched = 0;
        if !open.is_empty() {
            let wanted: Vec<&str> = open.iter().map(|at| keys[*at]).collect();
            let found = self.cache.resolve(&wanted, |missing| {
                fetched = missing.len();
                let started = Instant::now();
                let answers = self.source.fetch(missing);
                self.metrics.seconds.observe(started.elapsed().as_secs_f64());
                answers
            });
            for (at, answer) in open.into_iter().zip(found) {
                front.put(keys[at], &answer, version, now, self.cache.life(&answer));
                answers[at] = Some(answer);
            }
        }
        let answers: Vec<Answer> =
            answers.into_iter().map(|answer| answer.unwrap_or(Answer::Failed)).collect();
        self.count(&answers, fetched);
        answers
    }

    fn count(&self, answers: &[Answer], fetched: usize) {
        let count = |wanted: fn(&Answer) -> bool| {
            answers.iter().filter(|answer| wanted(answer)).count() as u64
        };
        self.metrics.misses.inc_by(fetched as u64);
        self.metrics.hits.inc_by((answers.len() - fetched) as u64);
        self.metrics.negative.inc_by(count(|answer| matches!(answer, Answer::Miss)));
        self.metrics.errors.inc_by(count(|answer| matches!(answer, Answer::Failed)));
        if fetched > 0 {
            self.metrics.entries.set(self.cache.entries() as i64);
        }
    }

    fn gauge(&self) {
        if let Some(made) = self.source.holds().made {
            self.metrics.data_timestamp.set(made as f64);
        }
        self.metrics.entries.set(self.cache.entries() as i64);
    }
}

impl Lookup for Silent {
    fn fetch(&self, keys: &[&str]) -> Vec<Answer> {
        vec![Answer::Miss; keys.len()]
    }

    fn reload(&self) -> Result<Reloaded, WorldError> {
        Ok(Reloaded::Unchanged)
    }

    fn holds(&self) -> Holding {
        Holding::default()
    }
}

fn connect(
    decl: &LookupDecl,
    bound: &config::Lookup,
    runtime: &Handle,
) -> Result<Box<dyn Lookup>, OpenError> {
    let fitted = || Bound::new(decl, &bound.fields).map_err(OpenError::Shape);
    Ok(match &bound.kind {
        LookupKind::MaxMind { paths } => Box::new(geoip::Databases::open(decl, fitted()?, paths)?),
        LookupKind::File { path, key, format } => {
            Box::new(file::Table::open(fitted()?, path, key, *format)?)
        }
        LookupKind::Http(service) => Box::new(http::open(decl, service, runtime)?),
        LookupKind::Postgres(table) => Box::new(postgres::open(decl, fitted()?, table, runtime)?),
        LookupKind::ClickHouse(table) => {
            Box::new(clickhouse::open(decl, fitted()?, table, runtime)?)
        }
        LookupKind::Redis(server) => Box::new(valkey::open(decl, fitted()?, server, runtime)?),
        LookupKind::Kafka(topic) => Box::new(topic::Topic::open(decl, fitted()?, topic)?),
    })
}

fn collect(
    opened: impl Iterator<Item = Result<Arc<OpenLookup>, OpenError>>,
) -> Result<LookupSet, Vec<OpenError>> {
    let mut lookups = Vec::new();
    let mut errors = Vec::new();
    for outcome in opened {
        match outcome {
            Ok(lookup) => lookups.push(lookup),
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let fronts = vec![Front::default(); lookups.len()];
    Ok(LookupSet { lookups, fronts })
}

/// What tells that a file was replaced, without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fingerprint {
    modified: Option<std::time::SystemTime>,
    length: u64,
    inode: u64,
}

impl Fingerprint {
    fn of(path: &Path) -> std::io::Result<Self> {
        use std::os::unix::fs::MetadataExt;
        let data = std::fs::metadata(path)?;
        Ok(Self { modified: data.modified().ok(), length: data.len(), inode: data.ino() })
    }

    /// Seconds since 1970.
    fn made(&self) -> Option<i64> {
        let since = self.modified?.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(since.as_secs() as i64)
    }
}
