//! What people do about what was not delivered, and the proof of what was: dead letters, audit, rewind.
//!
//! Invariant: nothing here commits an offset or joins a group, and no row is stored before somebody looked that it is not there.

pub mod actions;
pub mod audit;
pub mod compare;
pub mod letters;
pub mod mend;
pub mod range;
pub mod redrive;
pub mod rewind;
pub mod stored;
pub mod walk;

use std::{cell::OnceCell, future::Future, sync::Arc};

use logmon_dsl::program::Program;

use self::actions::Actions;
use crate::{
    clock::{Clock as _, SystemClock},
    config::{Config, SinkKind, Topics},
    http::Status,
    metrics::Metrics,
    pipeline::{
        self,
        bundle::{BindError, Bundle, DEAD_LETTER_TABLE, World},
        replay::{Places, Replay, letters_table, places},
    },
    sink::clickhouse::{Client, SinkError},
    source::kafka::past::Past,
};

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// What was asked for cannot be.
    #[error("{0}")]
    Usage(String),
    /// A server does not do as it should.
    #[error("{0}")]
    World(String),
}

impl From<String> for Trouble {
    fn from(sentence: String) -> Self {
        Self::World(sentence)
    }
}

impl From<SinkError> for Trouble {
    fn from(error: SinkError) -> Self {
        Self::World(error.sentence)
    }
}

impl From<BindError> for Trouble {
    fn from(error: BindError) -> Self {
        match error {
            BindError::Config(sentence) => Self::Usage(sentence),
            BindError::World(sentence) => Self::World(sentence),
        }
    }
}

/// Threads that drive connections; computing has its own.
const IO_THREADS: usize = 2;

/// Threads for sending, asking and serving.
pub fn runtime() -> Result<tokio::runtime::Runtime, Trouble> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(IO_THREADS)
        .enable_all()
        .thread_name("io")
        .build()
        .map_err(|error| Trouble::World(format!("no threads for the network: {error}")))
}

/// The current rules, bound to the tables as they are, and what is needed to look back with them.
pub struct Repair {
    runtime: tokio::runtime::Runtime,
    /// What the rules run in.
    pub world: Arc<World>,
    /// The rules.
    pub bundle: Arc<Bundle>,
    places: Places,
    actions: OnceCell<Actions>,
    /// Names what this process does.
    pub run: String,
}

impl std::fmt::Debug for Repair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repair").field("run", &self.run).finish_non_exhaustive()
    }
}

impl Repair {
    /// Binds the rules as `run` would, and reads nothing.
    pub fn open(config: Config, program: Program) -> Result<Self, Vec<Trouble>> {
        let runtime = runtime().map_err(|trouble| vec![trouble])?;
        let incarnation = incarnation();
        let status = Status::new(Metrics::new(), Arc::new(SystemClock::new()));
        let world = World::new(config, status, runtime.handle().clone(), incarnation);
        let bundle = world
            .bind(program, None)
            .map_err(|errors| errors.into_iter().map(Trouble::from).collect::<Vec<_>>())?;
        let places = places(&world, &bundle).map_err(|error| vec![error.into()])?;
        let run = format!("{incarnation:016x}");
        Ok(Self { runtime, world, bundle: Arc::new(bundle), places, actions: OnceCell::new(), run })
    }

    /// Waits for an answer of a server.
    pub fn wait<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// The rules, ready to judge records of a source.
    pub fn replay(&self, source: &str) -> Result<Replay, Trouble> {
        Ok(Replay::new(&self.world, &self.bundle, source, &self.places)?)
    }

    /// A reader of the source's partitions, outside its group.
    pub fn past(&self, source: &str) -> Result<Past, Trouble> {
        let settings = self
            .world
            .config
            .sources
            .get(source)
            .ok_or_else(|| Trouble::Usage(format!("there is no [source.{source}]")))?;
        Ok(Past::open(pipeline::client(settings, CLIENT_BYTES, 1), source)?)
    }

    /// The sources that are meant: the named one, or all.
    pub fn sources(&self, named: Option<&str>) -> Result<Vec<Arc<str>>, Trouble> {
        let all: Vec<Arc<str>> =
            self.bundle.plan.sources.iter().map(|source| Arc::clone(&source.name)).collect();
        let Some(named) = named else { return Ok(all) };
        let known: Vec<&str> = all.iter().map(|name| &**name).collect();
        let found = all.iter().find(|name| &***name == named).cloned();
        found.map(|found| vec![found]).ok_or_else(|| {
            Trouble::Usage(format!(
                "no source is called `{named}`; there are: {}",
                known.join(", ")
            ))
        })
    }

    /// The source that reads a topic.
    pub fn source_of(&self, topic: &str) -> Option<Arc<str>> {
        let reads = |topics: &Topics| match topics {
            Topics::Names(names) => names.iter().any(|name| name == topic),
            Topics::Pattern(pattern) => {
                regex::Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(topic))
            }
        };
        let names = self.bundle.plan.sources.iter().map(|source| &source.name);
        let mut names = names.filter(|name| {
            self.world.config.sources.get(&***name).is_some_and(|one| reads(&one.topics))
        });
        names.next().cloned()
    }

    /// The table of dead letters.
    pub fn letters(&self) -> Result<letters::Letters, Trouble> {
        let (config, plan) = (&self.world.config, &self.bundle.plan);
        letters::Letters::open(config, plan, &self.runtime, self.open_actions()?)
    }

    /// The book of what people did, made if it is missing.
    pub fn actions(&self) -> Result<&Actions, Trouble> {
        if let Some(known) = self.actions.get() {
            return Ok(known);
        }
        let opened = self.open_actions()?;
        Ok(self.actions.get_or_init(|| opened))
    }

    fn open_actions(&self) -> Result<Actions, Trouble> {
        actions(&self.world.config, &self.bundle.plan, &self.runtime, &self.run)
    }
}

/// What librdkafka may hold of a partition that is read back.
const CLIENT_BYTES: u64 = 64 << 20;

/// The book of what people did: beside the dead letters, or on the first ClickHouse sink's server where those are in a topic.
pub fn actions(
    config: &Config,
    plan: &logmon_dsl::plan::Plan,
    runtime: &tokio::runtime::Runtime,
    run: &str,
) -> Result<Actions, Trouble> {
    let place = letters_table(config, plan).or_else(|| {
        let first =
            config.sinks.values().find(|sink| matches!(sink.kind, SinkKind::ClickHouse(_)))?;
        Some((Arc::clone(&first.name), DEAD_LETTER_TABLE.to_owned()))
    });
    let Some((sink, table)) = place else {
        return Err(Trouble::Usage(
            "what was done is written down in a ClickHouse table, and no sink of the configuration is one"
                .to_owned(),
        ));
    };
    let client = server(config, &sink)?;
    Ok(runtime.block_on(Actions::open(client, &table, run))?)
}

/// The server of a sink that is a table; the first of several.
fn server(config: &Config, sink: &str) -> Result<Arc<Client>, Trouble> {
    let no_table = || Trouble::Usage(format!("[sink.{sink}] is no table"));
    let settings = config.sinks.get(sink).ok_or_else(no_table)?;
    let SinkKind::ClickHouse(table) = &settings.kind else { return Err(no_table()) };
    pipeline::bundle::clients(settings, table)?.into_iter().next().ok_or_else(no_table)
}

/// A number that no earlier process had.
pub fn incarnation() -> u64 {
    let seed = format!("repair/{}/{}", SystemClock::new().now(), std::process::id());
    xxhash_rust::xxh3::xxh3_64(seed.as_bytes())
}
