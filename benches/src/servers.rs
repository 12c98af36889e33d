//! A real Kafka and a real ClickHouse with a topic, tables, and a folder with rules and configuration.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use logmon_engine::sink::clickhouse::ddl;
use logmon_services::{ClickHouse, Kafka, KafkaOptions};
use rdkafka::{
    ClientConfig, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer},
};

use crate::{
    events::{Random, event},
    ledger::{Ledger, is_kept},
    program::ten_rules,
};

const DATABASE: &str = "bench";
const GROUP: &str = "bench";
const TOPIC: &str = "bench.events";
const SEED: u64 = 20_261_121;
/// How long the broker may take to take what is still on its way.
const FLUSH: Duration = Duration::from_mins(2);

/// What a run is made of.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Partitions of the topic.
    pub partitions: usize,
    /// How producers compress: `none`, `lz4`, `zstd`.
    pub codec: String,
    /// How the engine compresses blocks.
    pub compression: String,
    /// `[engine]` lines.
    pub engine: String,
    /// Whether rows are stored. Otherwise only their places are, so that the engine is what limits.
    pub store: bool,
}

/// Servers of our own; they end when this is dropped.
#[derive(Debug)]
pub struct Servers {
    /// The broker.
    pub kafka: Kafka,
    /// The database server.
    pub clickhouse: ClickHouse,
    setting: Setting,
    folder: PathBuf,
}

impl Servers {
    /// Starts both, makes topic, tables, rules and configuration.
    pub fn start(setting: Setting) -> anyhow::Result<Self> {
        let kafka = Kafka::start_own(&KafkaOptions::throughput())?;
        let clickhouse = ClickHouse::start_own()?;
        let folder = std::env::temp_dir().join(format!("logmon-bench-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let servers = Self { kafka, clickhouse, setting, folder };
        servers.topic()?;
        servers.sql(&format!("CREATE DATABASE {DATABASE}"))?;
        for table in ["logs", "errors"] {
            servers.table(table)?;
        }
        servers.rules(&fs::read_to_string(ten_rules())?)?;
        fs::write(servers.config(), servers.configuration())?;
        Ok(servers)
    }

    /// The entry file of the rules.
    pub fn entry(&self) -> PathBuf {
        self.folder.join("bench.rules")
    }

    /// `logmon.toml`.
    pub fn config(&self) -> PathBuf {
        self.folder.join("logmon.toml")
    }

    /// Where files of the run go.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Puts rules in place, as editors and deployments do: a new file takes the old one's place at once.
    pub fn rules(&self, text: &str) -> anyhow::Result<()> {
        let fresh = self.folder.join("bench.rules.fresh");
        fs::write(&fresh, text)?;
        Ok(fs::rename(&fresh, self.entry())?)
    }

    /// Runs a statement.
    pub fn sql(&self, statement: &str) -> anyhow::Result<String> {
        self.clickhouse.query(statement).with_context(|| statement.to_owned())
    }

    /// The places of a table's rows, one `partition<tab>offset` line each.
    pub fn places(&self, table: &str) -> anyhow::Result<String> {
        let table = if self.setting.store { table.to_owned() } else { format!("{table}_places") };
        self.sql(&format!(
            "SELECT kafka_partition, kafka_offset FROM {DATABASE}.{table} FORMAT TSV"
        ))
    }

    /// How many merges run.
    pub fn merges(&self) -> anyhow::Result<u64> {
        Ok(self.sql("SELECT count() FROM system.merges FORMAT TSV")?.trim().parse()?)
    }

    /// How many records the engine's group has committed, over all partitions.
    pub fn committed(&self) -> anyhow::Result<i64> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.kafka.brokers())
            .set("group.id", GROUP)
            .create()?;
        let mut list = TopicPartitionList::new();
        list.add_partition_range(TOPIC, 0, self.setting.partitions as i32 - 1);
        let list = consumer.committed_offsets(list, FLUSH)?;
        Ok(list
            .elements()
            .iter()
            .filter_map(|one| one.offset().to_raw())
            .filter(|offset| *offset > 0)
            .sum())
    }

    /// Produces events round the partitions and notes what must come of each; `go_on` is asked before every event. Returns when the broker has all.
    pub fn produce(&self, mut go_on: impl FnMut(usize) -> bool) -> anyhow::Result<Ledger> {
        let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
            .set("bootstrap.servers", self.kafka.brokers())
            .set("enable.idempotence", "true")
            .set("compression.type", &self.setting.codec)
            .set("linger.ms", "20")
            .set("batch.size", "262144")
            .set("queue.buffering.max.messages", "200000")
            .create()?;
        let mut ledger = Ledger::new(self.setting.partitions);
        let mut random = Random::new(SEED);
        let mut index = 0;
        while go_on(index) {
            let text = event(&mut random, index);
            let partition = index % self.setting.partitions;
            send(&producer, partition as i32, text.as_bytes())?;
            ledger.note(partition, is_kept(&text)?);
            index += 1;
        }
        producer.flush(FLUSH)?;
        Ok(ledger)
    }

    fn table(&self, name: &str) -> anyhow::Result<()> {
        let shipped = ddl::logs(DATABASE, name);
        if self.setting.store {
            return self.sql(&shipped).map(drop);
        }
        let (columns, _) =
            shipped.split_once("  INDEX").context("the shipped table has its indexes last")?;
        self.sql(&format!("{}) ENGINE = Null", columns.trim_end().trim_end_matches(',')))?;
        self.sql(&format!(
            "CREATE MATERIALIZED VIEW {DATABASE}.{name}_places ENGINE = MergeTree ORDER BY tuple() \
             AS SELECT kafka_partition, kafka_offset FROM {DATABASE}.{name}"
        ))?;
        Ok(())
    }

    fn topic(&self) -> anyhow::Result<()> {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", self.kafka.brokers()).create()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let topic =
            NewTopic::new(TOPIC, self.setting.partitions as i32, TopicReplication::Fixed(1));
        for outcome in runtime.block_on(admin.create_topics([&topic], &AdminOptions::new()))? {
            ensure!(outcome.is_ok(), "the topic cannot be made: {outcome:?}");
        }
        Ok(())
    }

    fn configuration(&self) -> String {
        // The events carry one day's times: they are taken whatever the clock says.
        let sink = |name: &str| {
            format!(
                "[sink.{name}]\nkind = \"clickhouse\"\nurl = \"{}\"\ndatabase = \"{DATABASE}\"\nuser = \"{}\"\npassword = \"{}\"\n\
                 compression = \"{}\"\naccept_time = {{ past = \"9000d\", future = \"9000d\" }}\n\n",
                self.clickhouse.url(),
                self.clickhouse.user(),
                self.clickhouse.password(),
                self.setting.compression,
            )
        };
        format!(
            "[engine]\n{}\n\n[http]\nlisten = \"127.0.0.1:0\"\n\n\
             [source.app]\nkind = \"kafka\"\nbrokers = [\"{}\"]\ntopics = [\"{TOPIC}\"]\ngroup = \"{GROUP}\"\nstart = \"earliest\"\n\n{}{}",
            self.setting.engine,
            self.kafka.brokers(),
            sink("logs"),
            sink("errors"),
        )
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.folder);
    }
}

fn send(
    producer: &ThreadedProducer<DefaultProducerContext>,
    partition: i32,
    payload: &[u8],
) -> anyhow::Result<()> {
    loop {
        match producer.send(BaseRecord::<(), [u8]>::to(TOPIC).partition(partition).payload(payload))
        {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                std::thread::park_timeout(Duration::from_millis(2));
            }
            Err((error, _)) => return Err(error.into()),
        }
    }
}
