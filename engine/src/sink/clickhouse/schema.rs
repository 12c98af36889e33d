//! A table as the server describes it.

use std::collections::HashMap;

use jiff::tz::TimeZone;
use serde::Deserialize;

use super::{
    errors::{Class, SinkError},
    http::Client,
    ttl::{self, Ttl},
    types::{Type, Unsupported},
};

/// A table's columns and keys.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Its database.
    pub database: String,
    /// Its name.
    pub name: String,
    /// Columns that can be inserted, in the table's order.
    pub columns: Vec<Column>,
    /// `MergeTree` …
    pub engine: String,
    /// The expression as the server prints it; empty without one.
    pub partition_key: String,
    /// The sorting key as the server prints it.
    pub sorting_key: String,
    /// How many inserts the server remembers by token; 0 means that a retry stores rows twice.
    pub deduplication_window: u64,
    /// Whether the table itself says that inserts are queued and stored together, whatever an insert asks for.
    pub queues_inserts: bool,
    /// How long rows are kept.
    pub ttl: Vec<Ttl>,
    /// Parts of the table's TTL that are not understood here.
    pub ttl_unknown: Vec<String>,
    /// The server's version.
    pub version: String,
    /// The server's time zone, in which types without their own print and cut days.
    pub timezone: TimeZone,
}

/// A column that can be inserted.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type's name, as sent in blocks.
    pub type_name: String,
    /// Its type, or why it cannot be filled.
    pub ty: Result<Type, Unsupported>,
    /// Its `DEFAULT` expression.
    pub default: Option<String>,
    /// Whether the partition key reads it.
    pub in_partition_key: bool,
}

#[derive(Deserialize)]
struct TableRow {
    database: String,
    engine: String,
    engine_full: String,
    partition_key: String,
    sorting_key: String,
    version: String,
    timezone: String,
}

#[derive(Deserialize)]
struct ColumnRow {
    name: String,
    #[serde(rename = "type")]
    ty: String,
    default_kind: String,
    default_expression: String,
    is_in_partition_key: u8,
}

#[derive(Deserialize)]
struct SettingRow {
    name: String,
    value: String,
}

impl Table {
    /// Reads a table, named `table` or `database.table`.
    pub async fn read(client: &Client, name: &str) -> Result<Self, SinkError> {
        let (database, table) = match name.split_once('.') {
            Some((database, table)) => (database, table),
            None => (&*client.endpoint().database, name),
        };
        let parameters = [("param_db", database), ("param_table", table)];
        let tables: Vec<TableRow> = rows(
            client,
            "SELECT database, engine, engine_full, partition_key, sorting_key, version() AS version, \
             serverTimezone() AS timezone FROM system.tables \
             WHERE database = {db:String} AND name = {table:String} FORMAT JSONEachRow",
            &parameters,
        )
        .await?;
        let sink = &client.endpoint().sink;
        let Some(row) = tables.into_iter().next() else {
            let text =
                format!("there is no table {database}.{table}; create it or correct its name");
            return Err(SinkError::new(Class::Stop, sink, "table", text));
        };
        let columns: Vec<ColumnRow> = rows(
            client,
            "SELECT name, type, default_kind, default_expression, is_in_partition_key FROM system.columns \
             WHERE database = {db:String} AND table = {table:String} ORDER BY position FORMAT JSONEachRow",
            &parameters,
        )
        .await?;
        let settings: Vec<SettingRow> = rows(
            client,
            "SELECT name, value FROM system.merge_tree_settings \
             WHERE name IN ('non_replicated_deduplication_window', 'replicated_deduplication_window', 'async_insert') \
             FORMAT JSONEachRow",
            &[],
        )
        .await?;
        let settings: HashMap<String, String> =
            settings.into_iter().map(|row| (row.name, row.value)).collect();
        let window_name = if row.engine.starts_with("Replicated") {
            "replicated_deduplication_window"
        } else {
            "non_replicated_deduplication_window"
        };
        let setting = |name: &str| {
            own_setting(&row.engine_full, name).or_else(|| settings.get(name).map(String::as_str))
        };
        let window = setting(window_name);
        let queues_inserts = setting("async_insert").is_some_and(|text| text != "0");
        let timezone = TimeZone::get(&row.timezone).map_err(|_| {
            let text = format!("the server's time zone {:?} is not known here", row.timezone);
            SinkError::new(Class::Stop, sink, "url", text)
        })?;
        let (ttl, ttl_unknown) = ttl::read(&row.engine_full);
        Ok(Self {
            ttl,
            ttl_unknown,
            database: row.database,
            name: table.to_owned(),
            columns: columns.into_iter().filter_map(column).collect(),
            deduplication_window: window.and_then(|text| text.parse().ok()).unwrap_or(0),
            queues_inserts,
            engine: row.engine,
            partition_key: row.partition_key,
            sorting_key: row.sorting_key,
            version: row.version,
            timezone,
        })
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// `database.table`, quoted for a statement.
    pub fn quoted(&self) -> String {
        format!("{}.{}", quote(&self.database), quote(&self.name))
    }
}

/// `ALIAS`, `MATERIALIZED` and `EPHEMERAL` columns cannot be filled, so they are left out.
fn column(row: ColumnRow) -> Option<Column> {
    let default = match &*row.default_kind {
        "" => None,
        "DEFAULT" => Some(row.default_expression),
        _ => return None,
    };
    Some(Column {
        ty: Type::parse(&row.ty),
        name: row.name,
        type_name: row.ty,
        default,
        in_partition_key: row.is_in_partition_key != 0,
    })
}

/// A setting out of `MergeTree PARTITION BY … SETTINGS a = 1, b = 2`.
fn own_setting<'a>(engine: &'a str, name: &str) -> Option<&'a str> {
    let (_, settings) = engine.rsplit_once(" SETTINGS ")?;
    settings.split(',').find_map(|setting| {
        let (known, value) = setting.split_once('=')?;
        (known.trim() == name).then(|| value.trim())
    })
}

/// A name in backticks.
pub(crate) fn quote(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

async fn rows<T: for<'de> Deserialize<'de>>(
    client: &Client,
    sql: &str,
    parameters: &[(&str, &str)],
) -> Result<Vec<T>, SinkError> {
    let mut all = vec![("output_format_json_quote_64bit_integers", "0")];
    all.extend_from_slice(parameters);
    let text = client.query(sql, &all).await?;
    let rows: Result<Vec<T>, _> =
        text.lines().filter(|line| !line.is_empty()).map(serde_json::from_str).collect();
    rows.map_err(|error| {
        let text = format!("{} does not answer like ClickHouse: {error}", client.endpoint().url);
        SinkError::new(Class::Stop, &client.endpoint().sink, "url", text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_a_table_are_found() {
        let engine = "MergeTree PARTITION BY toDate(t) ORDER BY t SETTINGS ttl_only_drop_parts = 1, \
                      non_replicated_deduplication_window = 10000";
        assert_eq!(own_setting(engine, "non_replicated_deduplication_window"), Some("10000"));
        assert_eq!(own_setting(engine, "index_granularity"), None);
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(quote("a`b\\c"), "`a\\`b\\\\c`");
    }
}
