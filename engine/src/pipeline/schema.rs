//! The tables as they were pulled, and as they are: `schema pull`, and the look at start and reload.
//!
//! Invariant: a table that is not what the rules were checked against takes no row.

use std::collections::BTreeMap;

use logmon_dsl::{
    diagnostic::{Code, Diagnostic},
    plan::{Plan, SinkType},
    program::{LockFile, SinkSettings},
    render::render,
    schema::{self, Lock},
    span::{Sources, Span},
};
use tokio::runtime::Handle;

use super::{
    bundle::{BindError, clients},
    sinks::world,
};
use crate::{
    config::{Config, OnAbsent, SinkKind},
    sink::clickhouse::Table,
};

/// What the configuration says of sinks, for the checks of routes.
pub fn sink_settings(config: &Config) -> BTreeMap<String, SinkSettings> {
    let mut all = BTreeMap::new();
    for (name, sink) in &config.sinks {
        if let SinkKind::ClickHouse(table) = &sink.kind {
            let settings = SinkSettings {
                table: table.table.clone(),
                columns: table.columns.clone().into_iter().collect(),
                rest: table.rest.clone(),
                absent_is_error: table.on_absent == Some(OnAbsent::Error),
            };
            all.insert(name.to_string(), settings);
        }
    }
    all
}

/// Reads the tables of all ClickHouse sinks.
pub fn pull(config: &Config, plan: &Plan, runtime: &Handle) -> Result<Lock, Vec<BindError>> {
    let mut tables: BTreeMap<String, schema::Table> = BTreeMap::new();
    let mut errors = Vec::new();
    for sink in &plan.sinks {
        let SinkType::Table(declared) = &sink.ty else { continue };
        let Some(settings) = config.sinks.get(&sink.name) else {
            errors.push(BindError::Config(format!(
                "{}: the rules declare the sink `{}`, but there is no [sink.{1}]",
                config.path.display(),
                sink.name
            )));
            continue;
        };
        let SinkKind::ClickHouse(table) = &settings.kind else { continue };
        let name = table.table.as_deref().unwrap_or(declared);
        let read = clients(settings, table)
            .and_then(|all| runtime.block_on(Table::read(&all[0], name)).map_err(world));
        match read {
            Ok(read) => {
                let columns = columns(&read);
                tables.insert(
                    name.to_owned(),
                    schema::Table { name: name.to_owned(), columns, at: 0..0 },
                );
            }
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() {
        Ok(Lock { tables: tables.into_values().collect() })
    } else {
        Err(errors)
    }
}

/// Compares a table with what was pulled of it; a table that was never pulled is not looked at.
pub(super) fn compare(lock: &LockFile, name: &str, live: &Table) -> Result<(), BindError> {
    let Some(locked) = lock.lock.table(name) else { return Ok(()) };
    let differences = schema::differences(locked, &columns(live));
    let Some((first, rest)) = differences.split_first() else { return Ok(()) };
    let mut sources = Sources::new();
    let file = sources.add(lock.path.to_string_lossy(), lock.text.as_ref());
    let at = |range: &std::ops::Range<usize>| Span::new(file, range.start, range.end);
    let message =
        format!("the table {}.{} differs from the pulled schema", live.database, live.name);
    let mut diagnostic = Diagnostic::new(Code::E403, at(&first.0), message).label(first.1.clone());
    for (range, text) in rest {
        diagnostic = diagnostic.related(at(range), text.clone());
    }
    let diagnostic = diagnostic.advise(
        "`logmon-engine schema pull` takes the server's columns; `check` then says what they mean for the rules",
    );
    Err(BindError::World(render(&[diagnostic], &sources, false)))
}

fn columns(table: &Table) -> Vec<schema::Column> {
    let columns = table.columns.iter().map(|column| schema::Column {
        name: column.name.clone(),
        ty: column.type_name.clone(),
        default: column.default.clone(),
        at: 0..0,
    });
    columns.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::tz::TimeZone;

    use super::*;
    use crate::sink::clickhouse::{schema::Column, types::Type};

    #[test]
    fn a_table_that_changed_is_drawn() {
        let text = "[[table]]\nname = \"logs\"\ncolumns = [\n  { name = \"status\", type = \"UInt16\" },\n  { name = \"gone\", type = \"String\" },\n]\n";
        let lock = LockFile {
            path: "schemas/clickhouse.lock".into(),
            text: Arc::from(text),
            lock: Lock::parse(text).expect("a lock file"),
        };
        let column = |name: &str, ty: &str| Column {
            name: name.to_owned(),
            type_name: ty.to_owned(),
            ty: Type::parse(ty),
            default: None,
            in_partition_key: false,
        };
        let mut live = Table {
            ttl: Vec::new(),
            ttl_unknown: Vec::new(),
            database: "default".to_owned(),
            name: "logs".to_owned(),
            columns: vec![column("status", "UInt16"), column("gone", "String")],
            engine: "MergeTree".to_owned(),
            partition_key: String::new(),
            sorting_key: String::new(),
            deduplication_window: 0,
            queues_inserts: false,
            version: String::new(),
            timezone: TimeZone::UTC,
        };
        assert!(compare(&lock, "logs", &live).is_ok());
        assert!(compare(&lock, "another", &live).is_ok(), "never pulled, never compared");
        live.columns = vec![column("status", "UInt32"), column("new", "String")];
        let said = compare(&lock, "logs", &live).expect_err("it differs").to_string();
        for part in [
            "error[E403]: the table default.logs differs from the pulled schema",
            "schemas/clickhouse.lock:4:29",
            "the server says `UInt32` for `status`",
            "the server's table has no column `gone`",
            "the server has a column `new String` more",
        ] {
            assert!(said.contains(part), "{part} in\n{said}");
        }
    }
}
