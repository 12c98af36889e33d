//! Lookups to measure with: a real GeoIP database and a table of 50,000 users, through the engine's own caches, with a clock around them.

use std::{fmt::Write as _, fs, path::PathBuf};

use anyhow::{Context as _, anyhow};
use logmon_dsl::{
    eval::{Answer, Holds, Lookups},
    plan::Plan,
};
use logmon_engine::{config::Config, lookup::LookupSet, metrics::Metrics};
use tokio::runtime::Runtime;

use crate::{clock::thread_cpu, events::Random};

/// Two rules for the program of the stages bench: where an address is, and who a user is.
pub const RULES: &str = r#"
type Geo  = { country: string? }
type Tier = { tier: string, staff: bool }

lookup geo(ip) -> Geo?
lookup users(string) -> Tier?

rule place on app when .client.ip is present {
  let place = geo(.client.ip) else { return }
  .client.country = place.country ?? "unknown"
}

rule person on app when .user.id is present {
  let { tier, staff } = users(.user.id) else { return }
  .user.tier = tier
  .user.staff = staff
}
"#;

/// As many as the events name.
const USERS: usize = 50_000;

/// Both lookups, open. The folder with their files goes when this does.
#[derive(Debug)]
pub struct Opened {
    config: Config,
    folder: PathBuf,
    runtime: Runtime,
}

impl Opened {
    /// Fetches the GeoIP database if need be, and writes the table.
    pub fn new() -> anyhow::Result<Self> {
        let database = logmon_services::geoip_country_mmdb()?;
        let folder = std::env::temp_dir().join(format!("logmon-lookups-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let mut table = String::from("id,tier,staff\n");
        for user in 0..USERS {
            let tier = ["free", "pro", "enterprise"][user % 3];
            writeln!(table, "u-{user},{tier},{}", user % 100 == 0)?;
        }
        fs::write(folder.join("users.csv"), table)?;
        let text = format!(
            "[lookup.geo]\nkind = \"maxmind\"\npath = \"{}\"\n\n[lookup.users]\nkind = \"file\"\npath = \"users.csv\"\nkey = \"id\"\n",
            database.display()
        );
        let config = Config::parse(&text, &folder.join("logmon.toml"), &|_| None)
            .map_err(|error| anyhow!("{error}"))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { config, folder, runtime })
    }

    /// Caches of its own over the same data.
    pub fn set(&self, plan: &Plan) -> anyhow::Result<LookupSet> {
        let metrics = Metrics::new();
        LookupSet::open(&plan.lookups, &self.config, self.runtime.handle(), &metrics, None).map_err(
            |errors| {
                let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
                anyhow!("{}", errors.join("; "))
            },
        )
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.folder);
    }
}

/// Lookups with a clock around them.
#[derive(Debug, Default)]
pub struct Clocked {
    set: LookupSet,
    /// CPU nanoseconds inside so far.
    pub spent: u64,
    /// Keys that were answered with a row so far.
    pub found: usize,
}

impl Clocked {
    /// Puts a clock around them.
    pub fn new(set: LookupSet) -> Self {
        Self { set, spent: 0, found: 0 }
    }
}

impl Lookups for Clocked {
    fn resolve(&mut self, lookup: usize, keys: &[&str]) -> Vec<Answer> {
        let start = thread_cpu();
        let answers = self.set.resolve(lookup, keys);
        self.spent += thread_cpu() - start;
        self.found += answers.iter().filter(|answer| matches!(answer, Answer::Found(_))).count();
        answers
    }

    fn resolve_addresses(&mut self, lookup: usize, keys: &[u128]) -> Vec<Answer> {
        let start = thread_cpu();
        let answers = self.set.resolve_addresses(lookup, keys);
        self.spent += thread_cpu() - start;
        self.found += answers.iter().filter(|answer| matches!(answer, Answer::Found(_))).count();
        answers
    }

    fn holds(&mut self, lookup: usize) -> Holds {
        self.set.holds(lookup)
    }

    fn recalled(&mut self, lookup: usize, found: usize, missed: usize) {
        self.found += found;
        self.set.recalled(lookup, found, missed);
    }
}

/// The same events, but their clients are that many addresses instead of a new one each.
pub fn with_clients(events: &[String], clients: usize) -> anyhow::Result<Vec<String>> {
    let mut random = Random::new(1);
    let addresses: Vec<String> = (0..clients)
        .map(|_| {
            let (a, b) = (1 + random.below(222), random.below(256));
            format!("{a}.{b}.{}.{}", random.below(256), random.below(256))
        })
        .collect();
    let change = |event: &String| {
        let key = event.find("\"ip\":").context("events have clients")?;
        let start = key + 5 + event[key + 5..].find('"').context("addresses are text")? + 1;
        let end = start + event[start..].find('"').context("texts end")?;
        let address = &addresses[random.below(clients)];
        Ok(format!("{}{address}{}", &event[..start], &event[end..]))
    };
    events.iter().map(change).collect()
}
