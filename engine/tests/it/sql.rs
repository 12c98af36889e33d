//! The language and its SQL are one: the same expression over the same events, evaluated here and by a real ClickHouse, selects the same rows.
mod events;
mod expressions;
mod surprises;

use std::{
    collections::HashMap,
    hash::BuildHasher as _,
    path::Path,
    sync::{Arc, OnceLock},
    time::Instant,
};

use logmon_dsl::{
    column::{Batch, Column, Layout, Names, batch::Meta, load::load},
    eval::{Evaluator, NoLookups, Routed},
    plan::{ExprId, Plan, SinkId},
    program::{Mode, Reader, compile},
    render,
    sql::{self, Query, Store},
};
use logmon_engine::sink::clickhouse::{
    Binding, Client, Compression, Context, Endpoint, Inserter, Options, Table, TableBuilder,
    bind::bind_named,
};
use logmon_services::ClickHouse;

/// 2026-11-21T12:00:00Z
const NOON: i64 = 1_795_262_400_000_000_000;

fn server() -> &'static ClickHouse {
    static SERVER: OnceLock<ClickHouse> = OnceLock::new();
    SERVER.get_or_init(|| ClickHouse::start().unwrap())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Events as they are, and the same events as a table keeps them.
struct Stored {
    /// The declarations that every expression is checked under.
    types: &'static str,
    table: String,
    store: Store,
    events: Vec<String>,
}

impl Stored {
    /// Makes the table and puts the events into it, through the sink that the engine has.
    fn new(table: &str, columns: &str, types: &'static str, events: Vec<String>) -> Self {
        let statement = format!(
            "CREATE TABLE {table} ({columns}, kafka_offset UInt64) ENGINE = MergeTree ORDER BY kafka_offset"
        );
        server().query(&statement).unwrap();
        let endpoint = Endpoint {
            sink: "logs".into(),
            url: server().url().into(),
            database: "default".into(),
            user: server().user().into(),
            password: server().password().into(),
            ..Endpoint::default()
        };
        let client = Arc::new(Client::new(endpoint).unwrap());
        let read = Arc::new(runtime().block_on(Table::read(&client, table)).unwrap());
        let mut layout = Layout::new();
        let mut binding =
            bind_named(&mut layout, &"logs".into(), &read, &Options::default()).unwrap();
        binding.seal(&layout);
        let store = binding.store();
        insert(client, table, binding, &layout, &events);
        Self { types, table: table.to_owned(), store, events }
    }

    /// The expression as a plan has it, or what is wrong with it.
    fn compile(&self, condition: &str) -> Result<(Arc<Plan>, ExprId), String> {
        let text = format!(
            "{}\nsource s : Event\nsink out : {{ ... }}\nrule r on s when {condition} {{ tag \"x\" }}\ndefault route to out\n",
            self.types
        );
        let compiled = compile(Path::new("main.rules"), &One(text), Mode::Run);
        let drawn = render::render(&compiled.diagnostics, &compiled.sources, false);
        let plan = compiled.program.ok_or(drawn)?.plan;
        let when = plan.rules[0].when.ok_or("the condition is always true")?;
        Ok((Arc::new(plan), when))
    }

    /// The offsets of the events for which it holds in the stream.
    fn here(&self, plan: &Arc<Plan>, when: ExprId) -> Vec<usize> {
        let mut batch = Batch::new(&plan.layout);
        let mut names = Names::default();
        let bytes: Vec<&[u8]> = self.events.iter().map(String::as_bytes).collect();
        load(&mut batch, &plan.layout, &mut names, &bytes).unwrap();
        batch.meta = meta(batch.rows, 0);
        let mut evaluator = Evaluator::new(Arc::clone(plan));
        let column = evaluator.value(when, &mut batch, &names, &mut NoLookups);
        let Column::Bool(cells) = &*column else { panic!("a condition is a truth value") };
        (0..batch.rows).filter(|&row| cells.get(row).is_ok_and(|holds| holds)).collect()
    }

    /// The offsets that the server finds, one list a query.
    fn there(&self, queries: &[Query]) -> Vec<Result<Vec<usize>, String>> {
        let mut found = Vec::new();
        for query in queries {
            let statement = format!(
                "SELECT arraySort(groupArray(kafka_offset)) FROM {} WHERE {} FORMAT TSV",
                self.table, query.text
            );
            found.push(ask(&statement, query).map(|text| offsets(&text)));
        }
        found
    }
}

fn offsets(text: &str) -> Vec<usize> {
    let inner = text.trim().trim_start_matches('[').trim_end_matches(']');
    inner.split(',').filter(|part| !part.is_empty()).map(|part| part.parse().unwrap()).collect()
}

/// One answer of the server, with the query's parameters.
fn ask(statement: &str, query: &Query) -> Result<String, String> {
    let params: Vec<(String, String)> = query
        .params
        .iter()
        .enumerate()
        .map(|(at, param)| (format!("param_p{}", at + 1), param.escaped()))
        .collect();
    server().query_with(statement, &params).map_err(|why| why.to_string())
}

struct One(String);

impl Reader for One {
    fn read(&self, _: &Path) -> Result<String, String> {
        Ok(self.0.clone())
    }
}

fn meta(rows: usize, first: usize) -> Meta {
    Meta {
        topic: "app".into(),
        partition: 3,
        offsets: (0..rows).map(|row| (first + row) as i64).collect(),
        times: vec![NOON; rows],
        ..Meta::default()
    }
}

fn insert(client: Arc<Client>, table: &str, binding: Binding, layout: &Layout, events: &[String]) {
    let mut builder = TableBuilder::new(Arc::new(binding));
    let mut names = Names::default();
    for (ticket, events) in events.chunks(512).enumerate() {
        let mut batch = Batch::new(layout);
        let bytes: Vec<&[u8]> = events.iter().map(String::as_bytes).collect();
        load(&mut batch, layout, &mut names, &bytes).unwrap();
        batch.meta = meta(batch.rows, ticket * 512);
        let routed = Routed {
            sink: SinkId(0),
            rows: (0..batch.rows as u32).collect(),
            emit_ix: vec![0; batch.rows],
            snapshot: Arc::new(batch.snapshot()),
            args: Vec::new(),
            rule: None,
        };
        let context = Context {
            names_table: 0,
            source: "events",
            wall: NOON,
            now: Instant::now(),
            ticket: ticket as u64,
            attempt: 0,
            incarnation: 7,
        };
        builder.append(&mut batch, &names, &routed, &context);
    }
    let inserter = Inserter::new(client);
    let runtime = runtime();
    for (number, finished) in builder.finish().iter().enumerate() {
        let block = finished.encode(Compression::None);
        runtime.block_on(inserter.insert(&block, &format!("{table}/{number}"))).unwrap();
    }
}

/// What random trials came to.
#[derive(Default)]
struct Tally {
    compared: usize,
    /// Refused by name, and how often each.
    refused: HashMap<String, usize>,
    /// Compared although storage was said to change the meaning.
    noted: usize,
}

/// Random expressions over random events: thousands of trials.
fn trials(stored: &Stored, seed: u64, wanted: usize) -> Tally {
    let mut tally = Tally::default();
    let mut dice = expressions::Dice::new(seed);
    while tally.compared < wanted {
        let condition = expressions::condition(&mut dice, 4);
        let (plan, when) = match stored.compile(&condition) {
            Ok(compiled) => compiled,
            // What folds to a constant has no condition left.
            Err(why) if why.starts_with("the condition") => continue,
            Err(why) => panic!("seed {seed}: {condition}\n{why}"),
        };
        let query = match sql::condition(&plan, when, &stored.store, 0) {
            Ok(query) => query,
            Err(why) => {
                *tally.refused.entry(why[0].message.clone()).or_default() += 1;
                continue;
            }
        };
        if !query.notes.is_empty() {
            tally.noted += 1;
            continue;
        }
        let here = stored.here(&plan, when);
        let there = stored.there(std::slice::from_ref(&query)).remove(0);
        let there = there.unwrap_or_else(|why| {
            panic!("seed {seed}: {condition}\n{}\n{:?}\n{why}", query.text, query.params)
        });
        if here != there {
            let odd = here
                .iter()
                .find(|row| !there.contains(row))
                .or_else(|| there.iter().find(|row| !here.contains(row)));
            panic!(
                "seed {seed}: {condition}\nhere {here:?}\nthere {there:?}\n{}\n{:?}\nfor example {}",
                query.text,
                query.params,
                stored.events[*odd.unwrap()]
            );
        }
        tally.compared += 1;
    }
    tally
}

fn seed() -> u64 {
    let given = std::env::var("LOGMON_SEED").ok().and_then(|text| text.parse().ok());
    given.unwrap_or_else(|| std::hash::RandomState::new().hash_one("seed"))
}

/// The trials of one table; the environment variable `LOGMON_SQL_TRIALS` asks for more, `LOGMON_SEED` for the same again.
fn run(stored: &Stored) {
    let wanted =
        std::env::var("LOGMON_SQL_TRIALS").ok().and_then(|text| text.parse().ok()).unwrap_or(700);
    let seed = seed();
    let tally = trials(stored, seed, wanted);
    println!(
        "seed {seed}: {} compared, {} noted, refused: {:?}",
        tally.compared, tally.noted, tally.refused
    );
    assert!(tally.compared >= wanted);
}

#[test]
fn columns_that_take_null_select_what_the_stream_selects() {
    run(&Stored::new(
        "sql_columns",
        "severity Enum8('unset' = 0, 'trace' = 1, 'debug' = 5, 'info' = 9, 'notice' = 10, 'warn' = 13, 'error' = 17, 'critical' = 18, 'fatal' = 21), \
         timestamp DateTime64(9, 'UTC'), service LowCardinality(String), host Nullable(String), message String, \
         n Nullable(Int64), f Nullable(Float64), flag Nullable(Bool), ip Nullable(IPv6), tags Array(String), attributes JSON",
        events::TYPES,
        events::some(600, 1),
    ));
}

#[test]
fn a_json_column_selects_what_the_stream_selects() {
    run(&Stored::new("sql_json", "attributes JSON", events::TYPES, events::some(600, 2)));
}

#[test]
fn a_map_selects_what_the_stream_selects() {
    run(&Stored::new(
        "sql_map",
        "timestamp DateTime64(9, 'UTC'), service LowCardinality(String), message String, n Nullable(Int64), attributes Map(LowCardinality(String), String)",
        events::TYPES,
        events::tame(600, 3),
    ));
}
