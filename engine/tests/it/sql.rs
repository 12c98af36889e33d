//! The language and its SQL are one: the same expression over the same events, evaluated here and by a real ClickHouse, selects the same rows.
mod events;
mod expressions;
mod surprises;
mod windows;

use std::{collections::HashMap, fmt::Write as _, hash::BuildHasher as _, path::Path, sync::Arc};

use logmon_dsl::{
    column::{Column, Names},
    eval::{Evaluator, NoLookups},
    plan::{ExprId, Plan},
    program::{Mode, Reader, compile},
    render,
    sql::{self, Query, Store},
};

use crate::clickhouse::{Case, batch, server};

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
        let mut case = Case::new(&[]);
        case.events = events;
        let (binding, _) = case.bind(table).unwrap();
        let store = binding.store();
        case.insert(table);
        Self { types, table: table.to_owned(), store, events: case.events }
    }

    /// The expression as a plan has it, or what is wrong with it.
    fn compile(&self, condition: &str) -> Result<(Arc<Plan>, ExprId), String> {
        let (plan, whens) = self.compile_all(&[condition.to_owned()])?;
        let when = whens[0].ok_or("the condition is always true")?;
        Ok((plan, when))
    }

    /// Conditions as one plan has them; nothing where one folds to a constant.
    fn compile_all(
        &self,
        conditions: &[String],
    ) -> Result<(Arc<Plan>, Vec<Option<ExprId>>), String> {
        let mut text = format!("{}\nsource s : Event\nsink out : {{ ... }}\n", self.types);
        for (number, condition) in conditions.iter().enumerate() {
            writeln!(text, "rule r{number} on s when {condition} {{ .seen{number} = true }}")
                .unwrap();
        }
        text.push_str("default route to out\n");
        let compiled = compile(Path::new("main.rules"), &One(text), Mode::Run);
        let drawn = render::render(&compiled.diagnostics, &compiled.sources, false);
        let plan = compiled.program.ok_or(drawn)?.plan;
        let whens = plan.rules.iter().map(|rule| rule.when).collect();
        Ok((Arc::new(plan), whens))
    }

    /// The offsets of the events for which it holds in the stream.
    fn here(&self, plan: &Arc<Plan>, when: ExprId) -> Vec<usize> {
        self.here_all(plan, &[when]).remove(0)
    }

    /// The same of several.
    fn here_all(&self, plan: &Arc<Plan>, whens: &[ExprId]) -> Vec<Vec<usize>> {
        let mut names = Names::default();
        let mut batch = batch(&plan.layout, &mut names, &self.events, 0);
        let mut evaluator = Evaluator::new(Arc::clone(plan));
        let one = |when: &ExprId| {
            let column = evaluator.value(*when, &mut batch, &names, &mut NoLookups);
            let Column::Bool(cells) = &*column else { panic!("a condition is a truth value") };
            (0..batch.rows).filter(|&row| cells.get(row).is_ok_and(|holds| holds)).collect()
        };
        whens.iter().map(one).collect()
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

    /// The offsets that the server finds for several conditions, each a column of one query. The numbers of their parameters must go on.
    fn there_all(&self, queries: &[Query]) -> Result<Vec<Vec<usize>>, String> {
        let columns: Vec<String> = queries
            .iter()
            .map(|query| {
                format!("arraySort(groupArrayIf(kafka_offset, ifNull({}, 0)))", query.text)
            })
            .collect();
        let statement = format!("SELECT {} FROM {} FORMAT TSV", columns.join(",\n"), self.table);
        let params = queries.iter().flat_map(|query| query.params.clone()).collect();
        let whole = Query { text: String::new(), params, notes: Vec::new() };
        Ok(ask(&statement, &whole)?.trim_end().split('\t').map(offsets).collect())
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

/// What random trials came to.
#[derive(Default)]
struct Tally {
    compared: usize,
    /// Refused by name, and how often each.
    refused: HashMap<String, usize>,
    /// Compared although storage was said to change the meaning.
    noted: usize,
}

/// So many conditions go into one query.
const AT_ONCE: usize = 50;

/// Random expressions over random events: thousands of trials. Every tenth condition is asked again alone, behind `WHERE`, as a search asks.
fn trials(stored: &Stored, seed: u64, wanted: usize) -> Tally {
    let mut tally = Tally::default();
    let mut dice = expressions::Dice::new(seed);
    while tally.compared < wanted {
        let all: Vec<String> = (0..AT_ONCE).map(|_| expressions::condition(&mut dice, 4)).collect();
        let (plan, whens) =
            stored.compile_all(&all).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        let (mut asked, mut queries, mut n_params) = (Vec::new(), Vec::new(), 0);
        for (condition, when) in all.iter().zip(whens) {
            // What folds to a constant has no condition left.
            let Some(when) = when else { continue };
            match sql::condition(&plan, when, &stored.store, n_params) {
                Ok(query) if query.notes.is_empty() => {
                    n_params += query.params.len();
                    asked.push((condition, when));
                    queries.push(query);
                }
                Ok(_) => tally.noted += 1,
                Err(why) => *tally.refused.entry(why[0].message.clone()).or_default() += 1,
            }
        }
        let whens: Vec<ExprId> = asked.iter().map(|(_, when)| *when).collect();
        let here = stored.here_all(&plan, &whens);
        let there = stored.there_all(&queries).unwrap_or_else(|why| {
            let conditions: Vec<&str> = asked.iter().map(|(it, _)| it.as_str()).collect();
            panic!("seed {seed}: one of\n{}\n{why}", conditions.join("\n"))
        });
        for (((condition, when), query), (here, there)) in
            asked.iter().zip(&queries).zip(here.iter().zip(&there))
        {
            same(stored, (seed, condition), query, here, there);
            if dice.roll(10) == 0 {
                let alone = sql::condition(&plan, *when, &stored.store, 0).unwrap();
                let there = stored.there(std::slice::from_ref(&alone)).remove(0).unwrap();
                same(stored, (seed, condition), &alone, here, &there);
            }
        }
        tally.compared += asked.len();
    }
    tally
}

#[track_caller]
fn same(
    stored: &Stored,
    (seed, condition): (u64, &str),
    query: &Query,
    here: &[usize],
    there: &[usize],
) {
    if here == there {
        return;
    }
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

fn seed() -> u64 {
    let given = std::env::var("LOGMON_SEED").ok().and_then(|text| text.parse().ok());
    given.unwrap_or_else(|| std::hash::RandomState::new().hash_one("seed"))
}

/// The trials of one table; the environment variable `LOGMON_SQL_TRIALS` asks for more, `LOGMON_SEED` for the same again.
fn run(stored: &Stored) {
    let wanted =
        std::env::var("LOGMON_SQL_TRIALS").ok().and_then(|text| text.parse().ok()).unwrap_or(2000);
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
