//! Servers, topic, tables, files: what the demo's engine finds when it starts.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use logmon_services::{ClickHouse, Kafka, KafkaOptions};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
};

use super::events;
use crate::sink::clickhouse::ddl;

/// The rules we ship, for a binary that stands alone.
const SHIPPED: [(&str, &str); 8] = [
    ("prod.rules", include_str!("../../../../rules/prod.rules")),
    ("10-noise.rules", include_str!("../../../../rules/10-noise.rules")),
    ("20-enrich.rules", include_str!("../../../../rules/20-enrich.rules")),
    ("30-route.rules", include_str!("../../../../rules/30-route.rules")),
    ("lib/types.rules", include_str!("../../../../rules/lib/types.rules")),
    ("lib/world.rules", include_str!("../../../../rules/lib/world.rules")),
    ("lib/http.rules", include_str!("../../../../rules/lib/http.rules")),
    ("lib/lists/bot_agents.txt", include_str!("../../../../rules/lib/lists/bot_agents.txt")),
];

/// The tables that the demo's rules fill.
pub(super) const TABLES: [&str; 3] = ["logs", "errors", "dead_letters"];

/// Where the entry file stands in a checkout.
const CHECKOUT: &str = "rules/prod.rules";

/// Everything around the engine; servers that we started end with it.
pub(in crate::cli) struct Stage {
    pub(super) kafka: Kafka,
    pub(super) clickhouse: ClickHouse,
    pub(super) topic: String,
    pub(super) database: String,
    pub(super) rules: PathBuf,
    pub(super) config: PathBuf,
    /// The demo's own files.
    pub(super) dir: PathBuf,
    pub(super) client: clickhouse::Client,
    pub(super) runtime: tokio::runtime::Runtime,
}

impl Stage {
    /// Starts the servers and makes topic, tables and files.
    pub(super) fn set(partitions: u32, rules: Option<&Path>) -> anyhow::Result<Self> {
        eprintln!("starting Kafka and ClickHouse (fetched once at the first start)");
        let kafka = if std::env::var_os("LOGMON_KAFKA").is_some() {
            Kafka::start()
        } else {
            Kafka::start_own(&KafkaOptions::throughput())
        }?;
        let clickhouse = ClickHouse::start()?;
        let geoip = logmon_services::geoip_country_mmdb()?;
        // On servers of our own all names are free; on others the demo keeps to a corner of its own.
        let ours = kafka.pid().is_some() && clickhouse.pid().is_some();
        let suffix = if ours { String::new() } else { format!("_{}", std::process::id()) };
        let dir = std::env::temp_dir().join(format!("logmon-demo-{}", std::process::id()));
        fs::create_dir_all(&dir).with_context(|| format!("{}", dir.display()))?;
        let rules = match rules {
            Some(rules) => rules.to_owned(),
            None if Path::new(CHECKOUT).is_file() => PathBuf::from(CHECKOUT),
            None => ship(&dir)?,
        };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let client = clickhouse::Client::default()
            .with_url(clickhouse.url())
            .with_user(clickhouse.user())
            .with_password(clickhouse.password());
        let stage = Self {
            topic: format!("logs.app{suffix}"),
            database: format!("logmon_demo{suffix}"),
            config: dir.join("logmon.toml"),
            rules,
            kafka,
            clickhouse,
            client,
            runtime,
            dir,
        };
        stage.make_topic(partitions)?;
        stage.make_tables()?;
        fs::write(stage.dir.join("users.csv"), events::users_csv())?;
        fs::write(&stage.config, stage.configuration(&geoip))?;
        Ok(stage)
    }

    fn make_topic(&self, partitions: u32) -> anyhow::Result<()> {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", self.kafka.brokers()).create()?;
        let topic =
            NewTopic::new(&self.topic, partitions.max(1) as i32, TopicReplication::Fixed(1));
        let made = self.runtime.block_on(admin.create_topics([&topic], &AdminOptions::new()))?;
        for outcome in made {
            outcome.map_err(|(topic, code)| {
                anyhow::anyhow!("the topic {topic} cannot be made: {code}")
            })?;
        }
        Ok(())
    }

    fn make_tables(&self) -> anyhow::Result<()> {
        let statements = [
            format!("CREATE DATABASE IF NOT EXISTS {}", self.database),
            ddl::logs(&self.database, "logs"),
            ddl::logs(&self.database, "errors"),
            ddl::dead_letters(&self.database, "dead_letters"),
        ];
        for statement in statements {
            self.runtime
                .block_on(self.client.query(&statement).execute())
                .with_context(|| statement)?;
        }
        Ok(())
    }

    /// One number out of ClickHouse; `{db}` stands for the demo's database.
    pub(super) fn count(&self, sql: &str) -> anyhow::Result<u64> {
        let sql = sql.replace("{db}", &self.database);
        Ok(self.runtime.block_on(self.client.query(&sql).fetch_one::<u64>())?)
    }

    /// Rows in all tables.
    pub(super) fn rows(&self) -> anyhow::Result<u64> {
        TABLES.iter().map(|table| self.count(&format!("SELECT count() FROM {{db}}.{table}"))).sum()
    }

    fn configuration(&self, geoip: &Path) -> String {
        let sink = |name: &str| {
            format!(
                "[sink.{name}]\nkind = \"clickhouse\"\nurl = \"{}\"\ndatabase = \"{}\"\nuser = \"{}\"\npassword = \"{}\"\n\n",
                self.clickhouse.url(),
                self.database,
                self.clickhouse.user(),
                self.clickhouse.password(),
            )
        };
        format!(
            "# Made by `logmon-engine demo`.\n\n\
             [http]\nlisten = \"127.0.0.1:0\"\n\n\
             [source.app]\nkind = \"kafka\"\nbrokers = [\"{brokers}\"]\ntopics = [\"{topic}\"]\ngroup = \"{database}\"\nstart = \"earliest\"\n\n\
             {logs}{errors}{dlq}\
             [lookup.geo]\nkind = \"maxmind\"\npath = \"{geoip}\"\n\n\
             [lookup.users]\nkind = \"file\"\npath = \"users.csv\"\nkey = \"id\"\n\n\
             [dead_letter]\nsink = \"dlq\"\n",
            brokers = self.kafka.brokers(),
            topic = self.topic,
            database = self.database,
            logs = sink("logs"),
            errors = sink("errors"),
            dlq = sink("dlq"),
            geoip = geoip.display(),
        )
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Edited copies of the rules are the person's work: they stay.
        if !self.rules.starts_with(&self.dir) {
            let _gone = fs::remove_dir_all(&self.dir);
        }
    }
}

/// Writes the shipped rules where a person can edit them.
fn ship(dir: &Path) -> anyhow::Result<PathBuf> {
    let home = dir.join("rules");
    for (path, text) in SHIPPED {
        let path = home.join(path);
        fs::create_dir_all(path.parent().unwrap_or(&home))?;
        fs::write(&path, text).with_context(|| format!("{}", path.display()))?;
    }
    Ok(home.join("prod.rules"))
}
