//! `search`: what a search asks of the stored events, as SQL with parameters.
//!
//! The table's columns are those of the lock file, so no server is asked.

use std::{path::Path, sync::Arc};

use jiff::tz::TimeZone;
use logmon_dsl::{
    column::Layout,
    plan::SinkType,
    program::Reader as _,
    schema::{self, FILE, Lock},
    search::{Refused, Search, compile_search},
    sql::{self, Query, Store},
};

use super::{Entry, FileSystem, color, configuration_of, draw, say};
use crate::{
    config::{Config, SinkKind},
    error::Exit,
    pipeline::schema::sink_settings,
    sink::clickhouse::{Options, Table, bind::bind_named, schema::Column, types::Type},
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    entry: Entry,
    /// What the search bar would say, as `severity >= error and service == "web"`
    search: String,
    /// Print the SQL and its parameters
    #[arg(long, required = true)]
    print_sql: bool,
    /// The sink whose table is asked; the first table if left out
    #[arg(long)]
    sink: Option<String>,
}

pub(super) fn search(arguments: &Arguments) -> Exit {
    let rules = &arguments.entry.rules;
    let search = match compile_search(rules, &FileSystem, &arguments.search) {
        Ok(search) => search,
        Err(Refused { diagnostics, sources }) => {
            draw(&diagnostics, &sources);
            return Exit::Rules;
        }
    };
    let config = configuration_of(rules);
    let asked = match asked(arguments, &search, rules, config.as_ref()) {
        Ok(asked) => asked,
        Err(message) => {
            eprintln!("{message}");
            return Exit::Usage;
        }
    };
    match sql::condition(&search.plan, search.condition, &asked.store, 0) {
        Ok(query) => {
            if !query.notes.is_empty() {
                eprintln!("{}", search.draw(&query.notes, color()));
            }
            print(&search, &asked.table, &query);
            Exit::Fine
        }
        Err(refusals) => {
            eprintln!("{}", search.draw(&refusals, color()));
            Exit::Rules
        }
    }
}

fn print(search: &Search, table: &str, query: &Query) {
    say(format_args!("-- {}", search.dotted.replace('\n', "\n-- ")));
    say(format_args!("SELECT * FROM {table}\nWHERE {}", query.text));
    for (at, param) in query.params.iter().enumerate() {
        say(format_args!("-- param_p{} = {}", at + 1, param.escaped()));
    }
}

/// The table that is asked, and how it stores events.
struct Asked {
    table: String,
    store: Store,
}

fn asked(
    arguments: &Arguments,
    search: &Search,
    rules: &Path,
    config: Option<&Config>,
) -> Result<Asked, String> {
    let wanted = arguments.sink.as_deref();
    let declared = search.plan.sinks.iter().find_map(|sink| match &sink.ty {
        SinkType::Table(table) if wanted.is_none_or(|name| name == &*sink.name) => {
            Some((sink.name.clone(), table.clone()))
        }
        SinkType::Table(_) | SinkType::Record(_) => None,
    });
    let Some((sink, declared)) = declared else {
        return Err(match wanted {
            Some(name) => format!("no sink `{name}` is a table"),
            None => "the rules write into no table".to_owned(),
        });
    };
    let settings =
        config.map(sink_settings).and_then(|mut all| all.remove(&*sink)).unwrap_or_default();
    let name = settings.table.unwrap_or_else(|| declared.to_string());
    let Some((path, text)) = FileSystem.lock(rules) else {
        return Err(format!(
            "there is no {FILE}: `logmon-engine schema pull` writes the tables' columns into it"
        ));
    };
    let lock =
        Lock::parse(&text).map_err(|why| format!("{} is no lock file: {why}", path.display()))?;
    let Some(locked) = lock.table(&name) else {
        return Err(format!(
            "{} has no table {name}: `logmon-engine schema pull` writes it anew",
            path.display()
        ));
    };
    let table = Arc::new(table(locked, database(config, &sink)));
    let options = Options { columns: settings.columns, rest: settings.rest, ..Options::default() };
    let mut layout = Layout::new();
    let mut binding =
        bind_named(&mut layout, &sink, &table, &options).map_err(|error| error.sentence)?;
    binding.seal(&layout);
    let store = binding.store();
    Ok(Asked { table: name, store })
}

fn database(config: Option<&Config>, sink: &str) -> String {
    let sink = config.and_then(|config| config.sinks.get(sink));
    match sink.map(|sink| &sink.kind) {
        Some(SinkKind::ClickHouse(table)) => table.database.clone(),
        _ => String::new(),
    }
}

/// A table as the lock file knows it: enough to say which column holds what.
fn table(locked: &schema::Table, database: String) -> Table {
    let columns = locked.columns.iter().map(|column| Column {
        name: column.name.clone(),
        type_name: column.ty.clone(),
        ty: Type::parse(&column.ty),
        default: column.default.clone(),
        in_partition_key: false,
    });
    Table {
        ttl: Vec::new(),
        ttl_unknown: Vec::new(),
        database,
        name: locked.name.clone(),
        columns: columns.collect(),
        engine: String::new(),
        partition_key: String::new(),
        sorting_key: String::new(),
        deduplication_window: 0,
        queues_inserts: false,
        version: String::new(),
        timezone: TimeZone::UTC,
    }
}
