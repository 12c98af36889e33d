//! Outside knowledge by key: declared in the rules, bound in `logmon.toml`, fetched a batch at a time.
//!
//! Invariant: a lookup never stops a batch. What cannot be answered in time is `Failed`, and counted.

mod blocks;
mod cache;
mod clickhouse;
mod file;
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
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use logmon_dsl::{
    column::value::u128_to_ip,
    diagnostic::Diagnostic,
    eval::{Answer, Holds, Lookups},
    plan::LookupDecl,
    types::Type,
};
use serde::Serialize;
use tokio::runtime::Handle;

use crate::{
    config::{self, Config, FileFormat, LookupKind},
    error::WorldError,
    metrics::{LookupMetrics, Metrics},
};
use cache::{AnswerCache, Life, Renewal};
use shape::Bound;

/// How long a server may take to be there when lookups are opened.
const CONNECT: Duration = Duration::from_secs(10);

/// A thread remembers an answer at most this much longer than the shared cache.
const REMEMBERED_MS: u64 = 1_000;

/// Calls at once that renew old answers of one lookup: enough for all keys of a batch, and no stampede after an outage.
const RENEWALS_MAX: usize = 4;
/// Keys that are asked for together at the start.
const WARM_KEYS: usize = 500;
/// A list of keys to start with; more would be a table.
const WARM_BYTES_MAX: u64 = 16 << 20;

/// Where answers come from.
pub trait Lookup: fmt::Debug + Send + Sync {
    /// Answers for distinct keys, in their order. May block up to the lookup's timeout.
    fn fetch(&self, keys: &[&str]) -> Vec<Answer>;

    /// What it learned that nobody waits for. Asked before every batch, so cheap where there is none.
    fn news(&self) -> News {
        News::None
    }

    /// The same for keys that are addresses, IPv4 never in mapped form.
    fn fetch_addresses(&self, addresses: &[IpAddr]) -> Vec<Answer> {
        let keys: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        self.fetch(&keys)
    }

    /// Whether its data are in memory: asking costs less than a cache, and an answer holds until a reload.
    fn is_local(&self) -> bool {
        false
    }

    /// Whether keys would be asked for now. Otherwise they fail at once.
    fn would_ask(&self) -> bool {
        true
    }

    /// Whether the back end is left alone for now, because it did not answer.
    fn is_paused(&self) -> bool {
        false
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
    clock: Clock,
}

/// Milliseconds since the set was opened.
#[derive(Debug, Clone)]
struct Clock(Instant);

#[derive(Debug)]
struct OpenLookup {
    decl: LookupDecl,
    source: Box<dyn Lookup>,
    cache: AnswerCache,
    metrics: LookupMetrics,
    /// Where work goes on that no batch waits for.
    runtime: Option<Handle>,
    /// Calls that renew answers.
    renewing: AtomicUsize,
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
            let warm = bound.cache.warm.as_deref().map(|path| keys_in(decl, path)).transpose()?;
            let source = connect(decl, bound, runtime)?;
            let lookup = OpenLookup::new(decl, source, &bound.cache, metrics, Some(runtime));
            lookup.warm(warm.unwrap_or_default());
            Ok(lookup)
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
            Ok(OpenLookup::new(decl, source, &config::Cache::default(), &metrics, None))
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
        self.lookups[lookup].resolve(keys)
    }

    fn resolve_addresses(&mut self, lookup: usize, keys: &[u128]) -> Vec<Answer> {
        let keys: Vec<IpAddr> = keys.iter().map(|key| u128_to_ip(*key)).collect();
        self.lookups[lookup].resolve_addresses(&keys)
    }

    fn holds(&mut self, lookup: usize) -> Holds {
        let lookup = &self.lookups[lookup];
        let version = lookup.cache.version();
        // From 1 on: a slot of time 0 holds nothing.
        let now = self.clock.0.elapsed().as_millis() as u64 + 1;
        if lookup.source.is_local() {
            return Holds { version, now, found: u64::MAX, missed: u64::MAX };
        }
        let life = |answer| (lookup.cache.life(answer).as_millis() as u64).min(REMEMBERED_MS);
        Holds { version, now, found: life(Life::Found), missed: life(Life::Missed) }
    }

    fn recalled(&mut self, lookup: usize, found: usize, missed: usize) {
        let metrics = &self.lookups[lookup].metrics;
        metrics.hits.inc_by((found + missed) as u64);
        metrics.negative.inc_by(missed as u64);
    }
}

impl OpenLookup {
    fn new(
        decl: &LookupDecl,
        source: Box<dyn Lookup>,
        cache: &config::Cache,
        metrics: &Metrics,
        runtime: Option<&Handle>,
    ) -> Arc<Self> {
        let lookup = Self {
            decl: decl.clone(),
            source,
            cache: AnswerCache::new(cache),
            metrics: metrics.lookup(&decl.name),
            runtime: runtime.cloned(),
            renewing: AtomicUsize::new(0),
        };
        lookup.gauge();
        Arc::new(lookup)
    }

    fn resolve(self: &Arc<Self>, keys: &[&str]) -> Vec<Answer> {
        if self.source.is_local() {
            return self.fetch(keys.len(), || self.source.fetch(keys));
        }
        match self.source.news() {
            News::None => {}
            News::Answers(answers) => {
                self.metrics.late.inc_by(answers.len() as u64);
                self.cache.learn(answers);
            }
            News::Everything => self.cache.forget(),
        }
        let would_ask = self.source.would_ask();
        let resolved = self.cache.resolve(keys, would_ask, |missing| self.fetch_timed(missing));
        if !would_ask {
            self.metrics.paused.set(1);
        }
        self.count(&resolved.answers, resolved.fetched);
        self.metrics.stale.inc_by(resolved.stale as u64);
        self.metrics.refused.inc_by(resolved.refused as u64);
        if let Some(renewal) = resolved.renewal {
            self.renew(renewal);
        }
        resolved.answers
    }

    /// Renews old answers while batches go on with them. What finds no room is tried again by the next batch that sees it.
    fn renew(self: &Arc<Self>, renewal: Renewal) {
        let Some(runtime) = &self.runtime else { return };
        if self.renewing.fetch_add(1, Ordering::AcqRel) >= RENEWALS_MAX {
            self.renewing.fetch_sub(1, Ordering::AcqRel);
            return;
        }
        let lookup = Arc::clone(self);
        runtime.spawn_blocking(move || {
            lookup.cache.renew(renewal, |keys| lookup.fetch_timed(keys));
            lookup.renewing.fetch_sub(1, Ordering::AcqRel);
        });
    }

    /// Asks for keys ahead of their first event, beside everything else.
    fn warm(self: &Arc<Self>, keys: Vec<String>) {
        let Some(runtime) = self.runtime.as_ref().filter(|_| !keys.is_empty()) else { return };
        let lookup = Arc::clone(self);
        runtime.spawn_blocking(move || {
            for keys in keys.chunks(WARM_KEYS) {
                let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
                lookup.cache.warm(&keys, |missing| lookup.fetch_timed(missing));
            }
            tracing::info!(lookup = &*lookup.decl.name, keys = keys.len(), "the cache is warm");
        });
    }

    fn fetch_timed(&self, keys: &[&str]) -> Vec<Answer> {
        let started = Instant::now();
        let answers = self.source.fetch(keys);
        self.metrics.seconds.observe(started.elapsed().as_secs_f64());
        self.metrics.paused.set(i64::from(self.source.is_paused()));
        answers
    }

    fn resolve_addresses(self: &Arc<Self>, addresses: &[IpAddr]) -> Vec<Answer> {
        if self.source.is_local() {
            return self.fetch(addresses.len(), || self.source.fetch_addresses(addresses));
        }
        let keys: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        self.resolve(&keys)
    }

    /// Asks data in memory: no cache could be faster.
    fn fetch(&self, keys: usize, fetch: impl FnOnce() -> Vec<Answer>) -> Vec<Answer> {
        let started = Instant::now();
        let answers = fetch();
        self.metrics.seconds.observe(started.elapsed().as_secs_f64());
        self.count(&answers, keys);
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
        if !self.source.is_local() {
            self.metrics.flights.set(self.cache.flights() as i64);
            if fetched > 0 {
                self.metrics.entries.set(self.cache.entries() as i64);
                self.metrics.bytes.set(self.cache.bytes() as i64);
                self.metrics.evicted.inc_by(self.cache.take_evicted());
            }
        }
    }

    fn gauge(&self) {
        let holding = self.source.holds();
        self.metrics.data_version.set(holding.version as i64);
        if let Some(made) = holding.made {
            self.metrics.data_timestamp.set(made as f64);
        }
        self.metrics.entries.set(holding.rows.unwrap_or_else(|| self.cache.entries()) as i64);
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Lookup for Silent {
    fn fetch(&self, keys: &[&str]) -> Vec<Answer> {
        vec![Answer::Miss; keys.len()]
    }

    fn is_local(&self) -> bool {
        true
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

/// The keys to start with, a line each, as rules would ask for them.
fn keys_in(decl: &LookupDecl, path: &Path) -> Result<Vec<String>, WorldError> {
    let (name, at) = (&decl.name, path.display());
    let unreadable = |error: std::io::Error| {
        let sentence = format!("[lookup.{name}] cache.warm: {at} cannot be read: {error}");
        WorldError::because(sentence, error)
    };
    if std::fs::metadata(path).map_err(unreadable)?.len() > WARM_BYTES_MAX {
        let sentence = format!("[lookup.{name}] cache.warm: {at} is larger than 16 MiB");
        return Err(WorldError::new(sentence));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let mut keys: Vec<String> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| match line.parse::<IpAddr>() {
            Ok(address) if matches!(decl.keys.as_slice(), [key] if key.base == Type::Ip) => {
                address.to_canonical().to_string()
            }
            _ => line.to_owned(),
        })
        .collect();
    // A flight has each key once.
    keys.sort_unstable();
    keys.dedup();
    Ok(keys)
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
    Ok(LookupSet { lookups, clock: Clock::default() })
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
