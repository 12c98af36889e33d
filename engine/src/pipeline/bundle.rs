//! A plan bound to this process: its tables read, its lookups open, its counters at hand.

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::Duration,
};

use logmon_dsl::{
    plan::{Plan, SinkId, SinkType},
    program::{LockFile, Program},
    render::render,
};
use rdkafka::ClientConfig;
use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    budget::Budget,
    deliver::{Carrier, Outbox, Post},
    exact::{mode::Candidate, table::ExactTable},
    poison::Office,
    schema,
    sinks::{carrier, options, sentence, world},
};
use crate::{
    clock::SystemClock,
    config::{self, ClickHouseSink, Config, Connection, SinkKind},
    http::Status,
    lookup::{LookupSet, OpenError},
    metrics::{Metrics, RuleMetrics},
    sink::{
        clickhouse::{
            Binding, Class, Classes, Client, Endpoint, Shelf, SinkError, Table, bind::bind_named,
            codes, ddl, dead_letter,
        },
        kafka::TopicSink,
    },
};

/// One part in so many of the configured memory is for what is counted byte by byte. The rest is for what is not: the client's queues,
/// a block's compressed copy beside its columns, decoders, and what the allocator keeps for later.
const COUNTED_SHARE: u64 = 2;

/// One part in so many of the configured memory may lie idle between the blocks of all tables.
const KEPT_SHARE: u64 = 4;

/// How long the world may take to answer at start or reload, for each thing asked.
const ASK: Duration = Duration::from_secs(10);

/// The table for dead letters where the configuration names none: on the first ClickHouse sink's server, made when it is missing.
pub const DEAD_LETTER_TABLE: &str = "logmon_dead_letters";

/// Why a program cannot run here: a decision between exit codes.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// `logmon.toml` lacks something that the rules name.
    #[error("{0}")]
    Config(String),
    /// A server, table or file is not as it should be.
    #[error("{0}")]
    World(String),
}

/// What lives as long as the process, whichever bundle runs.
pub struct World {
    /// The configuration.
    pub config: Config,
    /// Time.
    pub clock: SystemClock,
    /// What the engine says about itself.
    pub status: Arc<Status>,
    /// Every metric.
    pub metrics: Arc<Metrics>,
    /// The memory budget.
    pub budget: Arc<Budget>,
    /// Memory of blocks that were sent, for the next ones.
    pub shelf: Arc<Shelf>,
    /// Where asynchronous work runs.
    pub runtime: Handle,
    /// Tasks that shutdown waits for.
    pub tracker: TaskTracker,
    /// Canceled when the process leaves without waiting any longer.
    pub abandon: CancellationToken,
    /// Chosen at random at start; part of every token and row.
    pub incarnation: u64,
    /// Partitions of each source's topics, as they were at start.
    partitions: Mutex<BTreeMap<Arc<str>, u64>>,
    /// Buries what sinks refuse.
    pub office: Arc<Office>,
    /// Set when a sink says that its table is not what it was.
    pub changed: Arc<AtomicBool>,
    outboxes: Mutex<BTreeMap<Arc<str>, Arc<Outbox>>>,
    /// Tables under exactly-once, by sink and name.
    pub exact_tables: Mutex<BTreeMap<String, Arc<ExactTable>>>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("config", &self.config.path).finish_non_exhaustive()
    }
}

/// Where a sink's rows go, for one bundle.
#[derive(Debug, Clone)]
pub enum Outlet {
    /// Into a table.
    Table {
        /// Which column takes which path.
        binding: Arc<Binding>,
        /// When a block is closed.
        limits: config::Batch,
        /// Takes the blocks.
        outbox: Arc<Outbox>,
        /// The table as exactly-once knows it, where it takes each row once.
        exact: Option<Arc<ExactTable>>,
    },
    /// Into a topic.
    Topic {
        /// Takes the records.
        outbox: Arc<Outbox>,
    },
}

/// Where dead letters go.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    /// The sink that counts as the dead letter when rules route to it.
    pub sink: Option<SinkId>,
    /// The table, and who takes its blocks.
    pub table: Option<(Arc<Table>, Arc<Outbox>)>,
    /// The table as exactly-once knows it, where it takes each row once.
    pub exact: Option<Arc<ExactTable>>,
    /// A topic that gets them too.
    pub topic: Option<Arc<Outbox>>,
}

/// A program that can run.
pub struct Bundle {
    /// Names it: 64 hex digits.
    pub hash: String,
    /// What runs, with the sinks' columns in its layout.
    pub plan: Arc<Plan>,
    /// The files it was made of.
    pub files: Vec<PathBuf>,
    /// By sink number.
    pub outlets: Vec<Outlet>,
    /// Where what cannot be delivered goes.
    pub dead_letters: DeadLetters,
    /// Outside knowledge; a worker clones it.
    pub lookups: LookupSet,
    /// Counters by rule.
    pub rules: RuleMetrics,
}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bundle").field("hash", &self.hash).finish_non_exhaustive()
    }
}

impl Bundle {
    /// The first eight digits of the hash: what people and tokens call it.
    pub fn short(&self) -> &str {
        &self.hash[..8]
    }
}

impl World {
    /// A world for that configuration.
    pub fn new(
        config: Config,
        status: Arc<Status>,
        runtime: Handle,
        incarnation: u64,
    ) -> Arc<Self> {
        let share = |part| usize::try_from(config.engine.memory / part).unwrap_or(usize::MAX);
        let (budget, shelf) = (Budget::new(share(COUNTED_SHARE)), Shelf::new(share(KEPT_SHARE)));
        let clock = SystemClock::new();
        let metrics = Arc::clone(status.metrics());
        let office = Office::new(clock, Arc::clone(&budget), metrics, incarnation);
        Arc::new(Self {
            config,
            clock,
            metrics: Arc::clone(status.metrics()),
            status,
            budget,
            shelf,
            runtime,
            tracker: TaskTracker::new(),
            abandon: CancellationToken::new(),
            incarnation,
            partitions: Mutex::default(),
            outboxes: Mutex::default(),
            exact_tables: Mutex::default(),
            office: Arc::new(office),
            changed: Arc::default(),
        })
    }

    /// Notes how many partitions a source's topics have.
    pub fn note_partitions(&self, source: &Arc<str>, partitions: u64) {
        self.partitions
            .lock()
            .expect("no thread panics while it holds numbers")
            .insert(Arc::clone(source), partitions);
    }

    /// How many partitions a source's topics had at start; none where nobody knows.
    pub fn partitions(&self, source: &str) -> u64 {
        let partitions = self.partitions.lock().expect("no thread panics while it holds numbers");
        partitions.get(source).copied().unwrap_or(0)
    }

    /// Binds a program: reads tables, opens lookups, takes counters. Reports everything that is missing at once.
    pub fn bind(
        self: &Arc<Self>,
        program: Program,
        previous: Option<&Bundle>,
    ) -> Result<Bundle, Vec<BindError>> {
        let Program { mut plan, files, hash, lock, sources, .. } = program;
        let mut errors = self.names(&plan);
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut bound = Vec::with_capacity(plan.sinks.len());
        for index in 0..plan.sinks.len() {
            match self.outlet(&mut plan, SinkId(index as u32), lock.as_deref()) {
                Ok(outlet) => bound.push(outlet),
                Err(error) => errors.push(error),
            }
        }
        let dead_letters = self.dead_letters(&plan).map_err(|error| errors.push(error)).ok();
        let previous = previous.map(|bundle| &bundle.lookups);
        let lookups =
            LookupSet::open(&plan.lookups, &self.config, &self.runtime, &self.metrics, previous)
                .map_err(|failed| {
                    errors.extend(failed.into_iter().map(|error| match error {
                        OpenError::Config(message) => BindError::Config(message),
                        OpenError::Shape(wrong) => {
                            BindError::World(render(&wrong, &sources, false))
                        }
                        OpenError::World(error) => BindError::World(sentence(&error)),
                    }));
                })
                .ok();
        let (Some(dead_letters), Some(lookups), true) = (dead_letters, lookups, errors.is_empty())
        else {
            return Err(errors);
        };
        let mut outlets: Vec<Outlet> = bound
            .into_iter()
            .map(|outlet| match outlet {
                Unsealed::Table { mut binding, limits, outbox, exact } => {
                    binding.seal(&plan.layout);
                    if !binding.cuts_partitions() {
                        tracing::info!(sink = %binding.sink, "the table's partition expression is computed by the server: at least once");
                    }
                    Outlet::Table { binding: Arc::from(binding), limits, outbox, exact }
                }
                Unsealed::Topic { outbox } => Outlet::Topic { outbox },
            })
            .collect();
        let alerts = plan.windows.iter().filter(|window| window.alert.is_some()).count();
        if alerts > 0 {
            tracing::info!(
                alerts,
                "alerts are checked and tested; this version tells nobody of them"
            );
        }
        self.office.open(dead_letters.table.as_ref(), dead_letters.topic.as_ref());
        let plan = Arc::new(plan);
        self.keep(&plan, &hash, &files, &mut outlets).map_err(|error| vec![error])?;
        Ok(Bundle {
            hash: hash.to_hex().to_string(),
            rules: self.metrics.rules(&plan),
            files: files.into_iter().map(|(path, _)| path).collect(),
            plan,
            outlets,
            dead_letters,
            lookups,
        })
    }

    /// What the rules name and the configuration lacks.
    fn names(&self, plan: &Plan) -> Vec<BindError> {
        let path = self.config.path.display();
        let lacks = |kind: &str, name: &str| {
            BindError::Config(format!(
                "{path}: the rules declare the {kind} `{name}`, but there is no [{kind}.{name}]"
            ))
        };
        let sources =
            plan.sources.iter().filter(|source| !self.config.sources.contains_key(&source.name));
        let sinks = plan.sinks.iter().filter(|sink| !self.config.sinks.contains_key(&sink.name));
        sources
            .map(|source| lacks("source", &source.name))
            .chain(sinks.map(|sink| lacks("sink", &sink.name)))
            .collect()
    }

    fn outlet(
        self: &Arc<Self>,
        plan: &mut Plan,
        sink: SinkId,
        lock: Option<&LockFile>,
    ) -> Result<Unsealed, BindError> {
        let decl = &plan.sinks[sink.0 as usize];
        let name = Arc::clone(&decl.name);
        let settings = &self.config.sinks[&name];
        match &settings.kind {
            SinkKind::ClickHouse(table) => {
                let declared = match &decl.ty {
                    SinkType::Table(name) => Some(&**name),
                    SinkType::Record(_) => None,
                };
                let Some(at) = table.table.as_deref().or(declared) else {
                    return Err(BindError::Config(format!(
                        "[sink.{name}] needs `table`: the rules do not name one"
                    )));
                };
                let clients = clients(settings, table)?;
                if self.config.dead_letter.as_ref().is_some_and(|dead| dead.sink == name) {
                    self.make_dead_letter_table(&clients, at)?;
                }
                let read = self.read_table(&clients, at)?;
                for limit in &read.ttl_unknown {
                    tracing::info!(sink = %name, limit, "this part of the table's TTL is not understood: rows past it are stored, and deleted by the server");
                }
                if let Some(lock) = lock {
                    schema::compare(lock, at, &read)?;
                }
                let read = Arc::new(read);
                let binding =
                    bind_named(&mut plan.layout, &name, &read, &options(table)).map_err(world)?;
                let exact = self.exact(&Candidate {
                    name: &name,
                    delivery: settings.delivery,
                    clients: &clients,
                    table: &read,
                    binding: &binding,
                    limits: table.batch,
                    compression: settings.compression,
                })?;
                let outbox = self.outbox(&name, || Ok(carrier(clients, settings.compression)))?;
                let limits = table.batch;
                Ok(Unsealed::Table { binding: Box::new(binding), limits, outbox, exact })
            }
            SinkKind::Kafka(topic) => {
                let outbox =
                    self.topic(&name, &topic.connection, &topic.topic, settings.timeout)?;
                Ok(Unsealed::Topic { outbox })
            }
        }
    }

    /// Where dead letters go: the configured sink, else a table of our own on the first ClickHouse sink's server.
    fn dead_letters(self: &Arc<Self>, plan: &Plan) -> Result<DeadLetters, BindError> {
        let Some(settings) = &self.config.dead_letter else {
            let first = self.config.sinks.values().find_map(|sink| match &sink.kind {
                SinkKind::ClickHouse(table) => Some((sink, table)),
                SinkKind::Kafka(_) => None,
            });
            let Some((sink, table)) = first else {
                return Err(BindError::Config(
                    "records that are no events need a place: set `sink` in [dead_letter]"
                        .to_owned(),
                ));
            };
            let (table, exact) = self.dead_table(sink, table, DEAD_LETTER_TABLE)?;
            return Ok(DeadLetters { sink: None, table: Some(table), exact, topic: None });
        };
        let sink = &self.config.sinks[&settings.sink];
        let declared = plan.sink(&settings.sink);
        let (table, own_topic) = match &sink.kind {
            SinkKind::ClickHouse(table) => {
                let named = declared.and_then(|id| match &plan.sinks[id.0 as usize].ty {
                    SinkType::Table(name) => Some(&**name),
                    SinkType::Record(_) => None,
                });
                let name = table.table.as_deref().or(named).unwrap_or(DEAD_LETTER_TABLE);
                (Some(self.dead_table(sink, table, name)?), None)
            }
            SinkKind::Kafka(topic) => {
                (None, Some(self.topic(&sink.name, &topic.connection, &topic.topic, sink.timeout)?))
            }
        };
        let topic = match (&settings.topic, own_topic) {
            (None, own) => own,
            (Some(topic), _) => {
                // The topic lives where the events come from.
                let Some(source) = plan.sources.first() else {
                    return Err(BindError::Config("no source".into()));
                };
                let connection = &self.config.sources[&source.name].connection;
                Some(self.topic(&"dead_letter".into(), connection, topic, sink.timeout)?)
            }
        };
        let (table, exact) = table.unzip();
        Ok(DeadLetters { sink: declared, table, exact: exact.flatten(), topic })
    }

    fn dead_table(
        self: &Arc<Self>,
        sink: &config::Sink,
        table: &ClickHouseSink,
        at: &str,
    ) -> Result<DeadTable, BindError> {
        let (name, compression) = (&sink.name, sink.compression);
        let clients = clients(sink, table)?;
        self.make_dead_letter_table(&clients, at)?;
        let read = self.read_table(&clients, at)?;
        // Looked at once here, so that a table without the columns is said at start.
        let read = Arc::new(read);
        let letters = dead_letter::DeadLetters::new(name, &read).map_err(world)?;
        let exact = self.exact(&Candidate {
            name,
            delivery: sink.delivery,
            clients: &clients,
            table: &read,
            binding: letters.builder().binding(),
            limits: config::Batch::default(),
            compression,
        })?;
        let outbox = self
            .outbox(&format!("{name}/dead_letter").into(), || Ok(carrier(clients, compression)))?;
        Ok(((read, outbox), exact))
    }

    fn make_dead_letter_table(&self, clients: &[Arc<Client>], name: &str) -> Result<(), BindError> {
        let make = async |client: &Client| {
            let statement = ddl::dead_letters(&client.endpoint().database, name);
            client.query(&statement, &[]).await
        };
        self.ask_all(clients, &make).map(drop)
    }

    /// Reads a table, which must be the same on every server.
    fn read_table(&self, clients: &[Arc<Client>], at: &str) -> Result<Table, BindError> {
        let mut read =
            self.ask_all(clients, &async |client: &Client| Table::read(client, at).await)?;
        let (first, others) = read.split_first().expect("at least one server answered");
        if others.iter().any(|other| {
            (&other.columns, &other.partition_key) != (&first.columns, &first.partition_key)
        }) {
            let sink = &clients[0].endpoint().sink;
            return Err(BindError::World(format!(
                "[sink.{sink}] urls: the table {at} is not the same on every server; give it the same columns and partition key"
            )));
        }
        Ok(read.swap_remove(0))
    }

    /// Asks every server of a sink; those that cannot be reached may come later, as long as one answers.
    fn ask_all<T>(
        &self,
        clients: &[Arc<Client>],
        ask: &impl AsyncFn(&Client) -> Result<T, SinkError>,
    ) -> Result<Vec<T>, BindError> {
        let mut answers = Vec::new();
        let mut unreachable = Vec::new();
        for client in clients {
            match self.runtime.block_on(ask(client)) {
                Ok(answer) => answers.push(answer),
                Err(error) if error.class.is_transient() => unreachable.push(error),
                Err(error) => return Err(world(error)),
            }
        }
        if answers.is_empty() {
            return Err(world(unreachable.swap_remove(0)));
        }
        for error in unreachable {
            tracing::warn!("{error}; the sink's other servers are used meanwhile");
        }
        Ok(answers)
    }

    fn topic(
        &self,
        name: &Arc<str>,
        connection: &Connection,
        topic: &str,
        timeout: Duration,
    ) -> Result<Arc<Outbox>, BindError> {
        self.outbox(name, || {
            let mut client = ClientConfig::new();
            for (key, value) in connection.properties() {
                client.set(key, value.expose());
            }
            let fails =
                |error: &dyn fmt::Display| BindError::World(format!("[sink.{name}]: {error}"));
            let sink =
                TopicSink::new(client, name, topic, timeout).map_err(|error| fails(&error))?;
            match sink.check(ASK) {
                Ok(true) => Ok(Carrier::Topic(sink)),
                Ok(false) => Err(BindError::World(format!(
                    "the topic {topic} does not exist: see `topic` in [sink.{name}]"
                ))),
                Err(error) => Err(BindError::World(format!(
                    "no broker answers ({error}): see `brokers` in [sink.{name}]"
                ))),
            }
        })
    }

    /// The queue of a sink, started at first use. It outlives bundles: what is under way is not interrupted by a reload.
    fn outbox(
        &self,
        name: &Arc<str>,
        carrier: impl FnOnce() -> Result<Carrier, BindError>,
    ) -> Result<Arc<Outbox>, BindError> {
        let known = self
            .outboxes
            .lock()
            .expect("no thread panics while it holds the outboxes")
            .get(name)
            .cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let post = Post {
            status: Arc::clone(&self.status),
            office: Arc::clone(&self.office),
            changed: Arc::clone(&self.changed),
            tracker: self.tracker.clone(),
            handle: self.runtime.clone(),
            abandon: self.abandon.clone(),
        };
        let outbox = Outbox::start(name, carrier()?, self.metrics.sink(name), &post);
        self.outboxes
            .lock()
            .expect("no thread panics while it holds the outboxes")
            .insert(Arc::clone(name), Arc::clone(&outbox));
        Ok(outbox)
    }
}

/// The table of dead letters with its queue, and as exactly-once knows it.
type DeadTable = ((Arc<Table>, Arc<Outbox>), Option<Arc<ExactTable>>);

/// An outlet whose layout may still grow.
enum Unsealed {
    Table {
        binding: Box<Binding>,
        limits: config::Batch,
        outbox: Arc<Outbox>,
        exact: Option<Arc<ExactTable>>,
    },
    Topic {
        outbox: Arc<Outbox>,
    },
}

/// A client for each of a sink's servers.
pub(crate) fn clients(
    sink: &config::Sink,
    table: &ClickHouseSink,
) -> Result<Vec<Arc<Client>>, BindError> {
    let name = &sink.name;
    let mut classes = BTreeMap::new();
    for (code, &on_error) in &table.errors {
        let Some(known) = codes::named(code) else {
            return Err(BindError::Config(format!(
                "[sink.{name}.errors] names {code}, which is no error of ClickHouse: write a number, or a name such as TOO_MANY_PARTS"
            )));
        };
        let class = match on_error {
            config::OnError::Wait => Class::Wait,
            config::OnError::Retry => Class::Retry,
            config::OnError::Resolve => Class::Resolve,
            config::OnError::Refresh => Class::Refresh,
            config::OnError::Bisect => Class::Bisect,
            config::OnError::Stop => Class::Stop,
        };
        classes.insert(known.number, class);
    }
    let classes = Classes::new(classes);
    let client = |url: &String| {
        let endpoint = Endpoint {
            sink: name.to_string(),
            url: url.clone(),
            database: table.database.clone(),
            user: table.user.clone(),
            password: table.password.expose().to_owned(),
            ca: table.ca.clone(),
            timeout: sink.timeout,
            classes: classes.clone(),
        };
        Client::new(endpoint).map(Arc::new).map_err(world)
    };
    table.urls.iter().map(client).collect()
}
