//! What a lookup costs an event: `cargo run --release -p logmon-benches --bin lookups -- --city GeoLite2-City.mmdb --json FILE`.
//!
//! A program and no bench, so that nobody waits for VRL to be built: the crate `vrl` has no enrichment tables (they are part of Vector, and no
//! crate), so what they do for a key is done here by hand, with an index and a map made of the row. Each figure is the CPU time of all rules over an event
//! with the lookup, less that of the same rules without it: what an event pays for the knowledge, spread and typed.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    fs,
    hint::black_box,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, anyhow};
use logmon_benches::{
    arguments::Arguments,
    clock::thread_cpu,
    events::Random,
    figures::{Figure, Summary},
    machine::Machine,
    process::held_mib,
    report::{Table, publish, say},
    service::Service,
};
use logmon_dsl::{
    column::{Batch, Names, View, load},
    eval::{Answer, Evaluator, Lookups as _, NoLookups},
    plan::Plan,
    program::{Mode, Reader, compile},
};
use logmon_engine::{config::Config, lookup::LookupSet, metrics::Metrics};
use maxminddb::geoip2;
use serde::Serialize;
use tokio::runtime::Runtime;

/// A micro-batch, and so many of them a round.
const BATCH: usize = 1_024;
const BATCHES: usize = 200;
const ROUNDS: usize = 7;
/// How many keys of a hundred repeat. Where all do, nothing is left but the cache.
const HITS: [usize; 4] = [100, 99, 90, 0];
/// Keys that repeat, where some do: what a thread meets within some seconds.
const HOT: usize = 2_000;
const USERS: usize = 1_000_000;
const BLOCKS: usize = 300_000;
/// A small cache, and so many batches of keys that come once.
const BOUND_MIB: u32 = 64;
const MEMORY_BATCHES: usize = 1_000;

const WORLD: &str = r#"
source app : { ip: ip?, user: string?, ... }
sink out : { ... }
type Geo = { country: string?, city: string?, latitude: float?, longitude: float? }
type Plan = { plan: string, region: string, is_staff: bool }
type Net = { list: string, score: int }
"#;

/// Only what a rule asks is declared: what is declared must be bound.
const LOOKUPS: [(&str, &str); 3] = [
    ("geo(", "lookup geo(ip) -> Geo?"),
    ("users(", "lookup users(string) -> Plan?"),
    ("nets(", "lookup nets(ip) -> Net?"),
];

#[derive(Serialize)]
struct Results {
    machine: Machine,
    rounds: usize,
    events_per_round: usize,
    /// Nanoseconds an event or a key.
    nanoseconds: BTreeMap<String, Summary>,
    memory: Option<Memory>,
}

/// What a cache holds of a service that knows every key, when no key comes twice.
#[derive(Serialize)]
struct Memory {
    keys: usize,
    /// MiB that the cache may hold.
    bound: f64,
    /// The most that it said it holds.
    counted: f64,
    /// By how much the process grew at most, with all that asking takes.
    grown: f64,
}

impl Memory {
    fn table(&self) -> Table {
        let head = ["memory of a cache, no key twice", "keys", "bound", "counted", "grown by"];
        let mut table = Table::new("MiB", &head);
        let figures = [self.keys as f64, self.bound, self.counted, self.grown];
        table.numbers("cache of a service", 0, &figures);
        table
    }
}

struct Text(String);

impl Reader for Text {
    fn read(&self, _path: &Path) -> Result<String, String> {
        Ok(self.0.clone())
    }
}

/// A folder for the tables, gone at the end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::read(&["city", "json", "table", "only"])?;
    let only = arguments.text("only").unwrap_or("").to_owned();
    let folder = Folder(std::env::temp_dir().join(format!("logmon-bench-{}", std::process::id())));
    fs::create_dir_all(&folder.0)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut bench = Bench { figures: BTreeMap::new(), folder: &folder.0, runtime: &runtime, only };
    let country = logmon_services::geoip_country_mmdb()?;
    bench.database("country", &country)?;
    if let Some(city) = arguments.text("city") {
        bench.database("city", Path::new(city))?;
    }
    bench.users()?;
    bench.blocks()?;
    let memory = bench.memory()?;
    let nanoseconds: BTreeMap<String, Summary> =
        bench.figures.iter().map(|(name, figure)| (name.clone(), figure.summary())).collect();
    let mut table = Table::new("ns an event or a key", &["what", "median", "best", "worst"]);
    for (name, summary) in &nanoseconds {
        table.numbers(name, 0, &[summary.median, summary.least, summary.most]);
    }
    let mut tables = vec![table];
    if let Some(memory) = &memory {
        tables.push(memory.table());
    }
    let machine = Machine::look();
    let results =
        Results { machine, rounds: ROUNDS, events_per_round: BATCH * BATCHES, nanoseconds, memory };
    publish(&arguments, &results, &tables)
}

struct Bench<'a> {
    figures: BTreeMap<String, Figure>,
    folder: &'a Path,
    runtime: &'a Runtime,
    only: String,
}

impl Bench<'_> {
    /// Whether any figure of that name is asked for, before its tables are made.
    fn wants(&self, name: &str) -> bool {
        let first = self.only.split(':').next().unwrap_or_default();
        name.contains(first)
    }

    fn database(&mut self, name: &str, path: &Path) -> anyhow::Result<()> {
        if !self.wants(name) {
            return Ok(());
        }
        let config = format!("[lookup.geo]\nkind = \"maxmind\"\npath = {path:?}\n");
        let rule = "rule r on app when .ip is present { let place = geo(.ip) else { return } .country = place.country }";
        let bare = "rule r on app when .ip is present { .country = \"US\" }";
        for hits in HITS {
            let what = format!("{name}: event, {hits} % of keys repeat");
            self.program(&what, &config, rule, bare, &mut |random, hot| {
                format!("{{\"ip\":\"{}\"}}", repeated(random, hot, hits, address))
            })?;
        }
        // Keys alone, none of them twice: the way of the data, without the spreading.
        let what = format!("{name}: key, none repeats");
        let plan = plan(rule)?;
        let mut set = self.open(&plan, &config)?;
        let lookup = number(&plan, "geo")?;
        let mut random = Random::new(1);
        let mut ours = || {
            let keys: Vec<Vec<u128>> = (0..BATCHES)
                .map(|_| (0..BATCH).map(|_| mapped(address(&mut random))).collect())
                .collect();
            let start = thread_cpu();
            for keys in &keys {
                black_box(set.resolve_addresses(lookup, keys));
            }
            thread_cpu() - start
        };
        self.times(&what, &mut ours);
        let bytes = fs::read(path)?;
        let reader = maxminddb::Reader::from_source(bytes)?;
        let city = name == "city";
        self.times(&format!("{name}: key, bare maxminddb into a struct"), &mut || {
            bare_keys(2, |address| {
                let found = reader.lookup(address).expect("the database is sound");
                if city {
                    let record = found.decode::<geoip2::City<'_>>();
                    black_box(record.expect("records have that shape").is_some());
                } else {
                    let record = found.decode::<BTreeMap<&str, &str>>();
                    black_box(record.expect("records have that shape").is_some());
                }
            })
        });
        self.times(
            &format!("{name}: key, maxminddb into a map, as enrichment tables hand it over"),
            &mut || {
                bare_keys(3, |address| {
                    let found = reader.lookup(address).expect("the database is sound");
                    let record = found.decode::<serde_json::Value>();
                    black_box(record.expect("records are data").is_some());
                })
            },
        );
        Ok(())
    }

    fn users(&mut self) -> anyhow::Result<()> {
        if !self.wants("users") {
            return Ok(());
        }
        let mut text = String::from("id,plan,region,is_staff\n");
        for user in 0..USERS {
            let plan = ["free", "pro", "enterprise"][user % 3];
            let region = ["eu-west", "us-east", "ap-south", "sa-east"][user % 4];
            writeln!(text, "u-{user},{plan},{region},{}", user % 100 == 0)?;
        }
        fs::write(self.folder.join("users.csv"), &text)?;
        let config = "[lookup.users]\nkind = \"file\"\npath = \"users.csv\"\nkey = \"id\"\n";
        let rule = "rule r on app { let who = users(.user) else { return } .plan = who.plan .staff = who.is_staff }";
        let bare = "rule r on app { .plan = \"pro\" .staff = false }";
        for hits in HITS {
            let what = format!("users: event, {hits} % of keys repeat");
            self.program(&what, config, rule, bare, &mut |random, hot| {
                let user =
                    repeated(random, hot, hits, |random| format!("u-{}", random.below(USERS)));
                format!("{{\"user\":\"{user}\"}}")
            })?;
        }
        // As enrichment tables do it: an index over a hash of the field, and a map made of the row.
        let rows: Vec<Vec<&str>> =
            text.lines().skip(1).map(|line| line.split(',').collect()).collect();
        let index: HashMap<&str, usize> =
            rows.iter().enumerate().map(|(at, row)| (row[0], at)).collect();
        let mut random = Random::new(4);
        self.times(
            "users: key, an index and a map made of the row, as enrichment tables do",
            &mut || {
                let keys: Vec<String> =
                    (0..BATCH * BATCHES).map(|_| format!("u-{}", random.below(USERS))).collect();
                let start = thread_cpu();
                for key in &keys {
                    let row = index.get(key.as_str()).map(|at| {
                        let cells = ["id", "plan", "region", "is_staff"].iter().zip(&rows[*at]);
                        let member = |(name, cell): (&&str, &&str)| {
                            ((*name).to_owned(), serde_json::Value::from(*cell))
                        };
                        cells.map(member).collect::<BTreeMap<String, serde_json::Value>>()
                    });
                    black_box(row);
                }
                thread_cpu() - start
            },
        );
        Ok(())
    }

    fn blocks(&mut self) -> anyhow::Result<()> {
        if !self.wants("blocks") {
            return Ok(());
        }
        let mut random = Random::new(5);
        let mut text = String::from("net,list,score\n");
        for number in 0..BLOCKS {
            let bits = 14 + random.below(19);
            writeln!(
                text,
                "{}/{bits},list-{},{}",
                address(&mut random),
                number % 50,
                number % 100
            )?;
        }
        fs::write(self.folder.join("nets.csv"), &text)?;
        let config = "[lookup.nets]\nkind = \"file\"\npath = \"nets.csv\"\nkey = \"net\"\n";
        let rule = "rule r on app when .ip is present { let net = nets(.ip) else { return } .list = net.list .score = net.score }";
        let bare = "rule r on app when .ip is present { .list = \"list-1\" .score = 1 }";
        for hits in HITS {
            let what = format!("blocks: event, {hits} % of keys repeat");
            self.program(&what, config, rule, bare, &mut |random, hot| {
                format!("{{\"ip\":\"{}\"}}", repeated(random, hot, hits, address))
            })?;
        }
        let plan = plan(rule)?;
        let mut set = self.open(&plan, config)?;
        let lookup = number(&plan, "nets")?;
        let mut found = 0;
        let mut random = Random::new(6);
        self.times("blocks: key, none repeats", &mut || {
            let keys: Vec<Vec<u128>> = (0..BATCHES)
                .map(|_| (0..BATCH).map(|_| mapped(address(&mut random))).collect())
                .collect();
            let start = thread_cpu();
            for keys in &keys {
                let answers = set.resolve_addresses(lookup, keys);
                found += answers.iter().filter(|one| matches!(one, Answer::Found(_))).count();
            }
            thread_cpu() - start
        });
        say(&format!("blocks held {found} of the addresses"))
    }

    /// A program over events of which no two ask for the same, in front of a service that has a row for everyone.
    fn memory(&self) -> anyhow::Result<Option<Memory>> {
        if !self.wants("memory") {
            return Ok(None);
        }
        let row = r#"{"plan":"pro","region":"eu-west","is_staff":false}"#;
        let port = Service::Answers.start(row)?;
        let config = format!(
            "[lookup.users]\nkind = \"http\"\nurl = \"http://127.0.0.1:{port}/\"\nbatch = 500\ntimeout = \"30s\"\ncache = {{ bytes = \"{BOUND_MIB}MiB\" }}\n"
        );
        let plan = Arc::new(plan(
            "rule r on app { let who = users(.user) else { return } .plan = who.plan .staff = who.is_staff }",
        )?);
        let metrics = Metrics::new();
        let mut set = self.open_counted(&plan, &config, &metrics)?;
        let mut evaluator = Evaluator::new(Arc::clone(&plan));
        let (process, mut before) = (std::process::id(), 0.0);
        let (mut counted, mut grown) = (0.0_f64, 0.0_f64);
        for number in 0..MEMORY_BATCHES {
            let event = |row: usize| format!("{{\"user\":\"u-{}\"}}", number * BATCH + row);
            let events: Vec<String> = (0..BATCH).map(event).collect();
            let (mut batch, names) = loaded(evaluator.plan(), &events)?;
            black_box(evaluator.run(&mut batch, &names, &mut set, false));
            if number == 0 {
                before = held_mib(process);
            }
            grown = grown.max(held_mib(process) - before);
            let text = metrics.text();
            let bytes = text.lines().find_map(|line| {
                line.strip_prefix("logmon_lookup_bytes{")?.split(' ').nth(1)?.parse().ok()
            });
            let bytes: f64 = bytes.context("the cache says what it holds")?;
            counted = counted.max(bytes / f64::from(1 << 20));
        }
        let keys = MEMORY_BATCHES * BATCH;
        Ok(Some(Memory { keys, bound: f64::from(BOUND_MIB), counted, grown }))
    }

    fn open(&self, plan: &Plan, config: &str) -> anyhow::Result<LookupSet> {
        self.open_counted(plan, config, &Metrics::new())
    }

    fn open_counted(
        &self,
        plan: &Plan,
        config: &str,
        metrics: &Metrics,
    ) -> anyhow::Result<LookupSet> {
        let config = Config::parse(config, &self.folder.join("logmon.toml"), &|_| None)
            .map_err(|error| anyhow!("{error}"))?;
        LookupSet::open(&plan.lookups, &config, self.runtime.handle(), metrics, None).map_err(
            |errors| {
                let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
                anyhow!("{}", errors.join("; "))
            },
        )
    }

    /// Rules with a lookup, less rules without it, over the same events.
    fn program(
        &mut self,
        what: &str,
        config: &str,
        rule: &str,
        bare: &str,
        event: &mut dyn FnMut(&mut Random, &mut Vec<String>) -> String,
    ) -> anyhow::Result<()> {
        if !what.contains(&self.only) {
            return Ok(());
        }
        let (with, without) = (Arc::new(plan(rule)?), Arc::new(plan(bare)?));
        let mut set = self.open(&with, config)?;
        let mut evaluators =
            [Evaluator::new(Arc::clone(&with)), Evaluator::new(Arc::clone(&without))];
        let (mut random, mut hot) = (Random::new(7), Vec::new());
        let figure = self.figures.entry(what.to_owned()).or_default();
        // The first round warms what days of running have warmed.
        for round in 0..=ROUNDS {
            let mut spent = [0; 2];
            for _ in 0..BATCHES {
                let events: Vec<String> =
                    (0..BATCH).map(|_| event(&mut random, &mut hot)).collect();
                for (way, evaluator) in evaluators.iter_mut().enumerate() {
                    let (mut batch, names) = loaded(evaluator.plan(), &events)?;
                    let start = thread_cpu();
                    if way == 0 {
                        black_box(evaluator.run(&mut batch, &names, &mut set, false));
                    } else {
                        black_box(evaluator.run(&mut batch, &names, &mut NoLookups, false));
                    }
                    spent[way] += thread_cpu() - start;
                }
            }
            if round > 0 {
                figure.add((spent[0] as f64 - spent[1] as f64) / (BATCH * BATCHES) as f64);
            }
        }
        Ok(())
    }

    fn times(&mut self, what: &str, round: &mut dyn FnMut() -> u64) {
        if !what.contains(&self.only) {
            return;
        }
        round();
        let figure = self.figures.entry(what.to_owned()).or_default();
        for _ in 0..ROUNDS {
            figure.add(round() as f64 / (BATCH * BATCHES) as f64);
        }
    }
}

fn plan(rule: &str) -> anyhow::Result<Plan> {
    let asked = LOOKUPS.iter().filter(|(call, _)| rule.contains(call));
    let asked: String = asked.map(|(_, declared)| format!("{declared}\n")).collect();
    let text = format!("{WORLD}\n{asked}\n{rule}\nrule home on app {{ route to out }}\n");
    let compiled = compile(Path::new("bench.rules"), &Text(text), Mode::Run);
    let program = compiled.program.with_context(|| format!("{:?}", compiled.diagnostics))?;
    Ok(program.plan)
}

fn number(plan: &Plan, name: &str) -> anyhow::Result<usize> {
    plan.lookups.iter().position(|lookup| &*lookup.name == name).context("a declared lookup")
}

fn loaded(plan: &Plan, events: &[String]) -> anyhow::Result<(Batch, Names)> {
    let mut names = Names::default();
    let mut batch = Batch::new(&plan.layout);
    let payloads: Vec<&[u8]> = events.iter().map(|event| event.as_bytes()).collect();
    load::load(&mut batch, &plan.layout, &mut names, &payloads)
        .map_err(|(event, error)| anyhow!("event {event} was refused: {error}"))?;
    batch.meta.offsets = (0..events.len() as i64).collect();
    batch.meta.times = vec![0; events.len()];
    batch.meta.keys = vec![View::MISSING; events.len()];
    Ok((batch, names))
}

/// One of some keys that repeat, `hits` times in a hundred; else a new one.
fn repeated<T: ToString>(
    random: &mut Random,
    hot: &mut Vec<String>,
    hits: usize,
    new: impl Fn(&mut Random) -> T,
) -> String {
    while hot.len() < HOT {
        hot.push(new(random).to_string());
    }
    if random.below(100) < hits { hot[random.below(HOT)].clone() } else { new(random).to_string() }
}

fn address(random: &mut Random) -> IpAddr {
    let (a, b) = (1 + random.below(222) as u8, random.below(256) as u8);
    IpAddr::V4(Ipv4Addr::new(a, b, random.below(256) as u8, random.below(256) as u8))
}

fn mapped(address: IpAddr) -> u128 {
    logmon_dsl::column::value::ip_to_u128(address)
}

fn bare_keys(seed: u64, mut ask: impl FnMut(IpAddr)) -> u64 {
    let mut random = Random::new(seed);
    let keys: Vec<IpAddr> = (0..BATCH * BATCHES).map(|_| address(&mut random)).collect();
    let start = thread_cpu();
    for key in keys {
        ask(key);
    }
    thread_cpu() - start
}
