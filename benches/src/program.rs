//! The ten rules, bound to tables of 19 columns that no server needs to hold.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use jiff::tz::TimeZone;
use logmon_dsl::{
    plan::Plan,
    program::{Mode, Reader, compile},
    render::render,
};
use logmon_engine::sink::clickhouse::{
    Binding, Options, Table, bind::bind_named, schema::Column, types::Type,
};

/// The columns of both tables: what a table of logs needs, in types that such tables have.
pub const COLUMNS: [(&str, &str); 19] = [
    ("timestamp", "DateTime64(9, 'UTC')"),
    (
        "severity",
        "Enum8('unset' = 0, 'trace' = 1, 'debug' = 5, 'info' = 9, 'notice' = 10, 'warn' = 13, 'error' = 17, 'critical' = 18, 'fatal' = 21)",
    ),
    ("service", "LowCardinality(String)"),
    ("environment", "LowCardinality(String)"),
    ("host", "LowCardinality(String)"),
    ("message", "String"),
    ("trace_id", "String"),
    ("span_id", "String"),
    ("http_method", "LowCardinality(String)"),
    ("http_path", "String"),
    ("http_status", "UInt16"),
    ("http_duration_ms", "Float64"),
    ("http_class", "LowCardinality(String)"),
    ("http_slow", "Bool"),
    ("client_ip", "IPv6"),
    ("user_id", "String"),
    ("tags", "Array(LowCardinality(String))"),
    ("attributes", "Map(LowCardinality(String), String)"),
    ("kafka_offset", "UInt64"),
];

/// A plan and where its sinks' rows go.
#[derive(Debug, Clone)]
pub struct Bound {
    /// What runs, with the tables' columns in its layout.
    pub plan: Arc<Plan>,
    /// By sink number.
    pub bindings: Vec<Arc<Binding>>,
}

/// The rules that are measured.
pub fn ten_rules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/ten.rules")
}

/// The program with more rules: in front of its routes, so that what they write reaches the tables.
pub fn with_rules(program: &str, more: &str) -> anyhow::Result<String> {
    let (head, routes) =
        program.split_once(ROUTES).context("the rules route last, with `copy_errors` first")?;
    Ok(format!("{head}{more}\n{ROUTES}{routes}"))
}

/// One rule more, that leaves 0.71 rows an event instead of 0.875: what people keep of their logs. [`crate::ledger::Keeping::Fewer`] says the same.
pub const FEWER: &str = r#"rule drop_canary on app when .environment == "canary" and .severity == info and .http.status < 400 {
  drop as "canary"
}"#;

/// Where the routes of the ten rules begin.
const ROUTES: &str = "rule copy_errors";

/// Compiles a file of rules and binds each sink to a table of [`COLUMNS`].
pub fn bound(entry: &Path) -> anyhow::Result<Bound> {
    bound_to(entry, table)
}

/// The same with tables that the caller finds by the sinks' names.
pub fn bound_to(
    entry: &Path,
    table: impl FnMut(&str) -> anyhow::Result<Table>,
) -> anyhow::Result<Bound> {
    bind(&fs::read_to_string(entry)?, table)
}

/// The same of rules that stand in no file, with tables of [`COLUMNS`].
pub fn bound_text(rules: &str) -> anyhow::Result<Bound> {
    bind(rules, table)
}

fn bind(
    rules: &str,
    mut table: impl FnMut(&str) -> anyhow::Result<Table>,
) -> anyhow::Result<Bound> {
    let compiled = compile(Path::new("bench.rules"), &One(rules), Mode::Run);
    let Some(program) = compiled.program else {
        bail!("{}", render(&compiled.diagnostics, &compiled.sources, false));
    };
    let mut plan = program.plan;
    let mut bindings = Vec::with_capacity(plan.sinks.len());
    for sink in &plan.sinks {
        let table = Arc::new(table(&sink.name)?);
        bindings.push(bind_named(&mut plan.layout, &sink.name, &table, &Options::default())?);
    }
    // Every sink's columns are in the layout before the first binding is fixed to it.
    for binding in &mut bindings {
        binding.seal(&plan.layout);
    }
    Ok(Bound { plan: Arc::new(plan), bindings: bindings.into_iter().map(Arc::new).collect() })
}

/// A table as a server would describe it.
fn table(name: &str) -> anyhow::Result<Table> {
    let columns = COLUMNS.iter().map(|&(column, ty)| {
        let parsed = Type::parse(ty);
        if let Err(unsupported) = &parsed {
            bail!("{column} {ty}: {unsupported}");
        }
        Ok(Column {
            name: column.to_owned(),
            type_name: ty.to_owned(),
            ty: parsed,
            default: None,
            in_partition_key: column == "timestamp",
        })
    });
    Ok(Table {
        ttl: Vec::new(),
        ttl_unknown: Vec::new(),
        database: "bench".to_owned(),
        name: name.to_owned(),
        columns: columns.collect::<anyhow::Result<_>>()?,
        engine: "MergeTree".to_owned(),
        partition_key: "toDate(timestamp)".to_owned(),
        sorting_key: "service, timestamp".to_owned(),
        deduplication_window: 10_000,
        queues_inserts: false,
        version: "26.7".to_owned(),
        timezone: TimeZone::UTC,
    })
}

/// Reads one text, whatever it is asked for: these programs use no other files.
#[derive(Debug, Clone, Copy)]
struct One<'a>(&'a str);

impl Reader for One<'_> {
    fn read(&self, path: &Path) -> Result<String, String> {
        match path.file_name() {
            Some(name) if name == "bench.rules" => Ok(self.0.to_owned()),
            _ => Err("a measured program stands in one text".to_owned()),
        }
    }
}
