//! The tables that we recommend: for the demo, the tests and the manual.

use super::schema::quote;

/// The table for logs. Needs a server of 26.2 or newer for its text index.
///
/// What is searched has an index, and each is as cheap as its search allows, since the server works many times longer on a row than the engine:
///
/// * `message`: a text index. Words are looked up in a dictionary, whatever stands around them.
/// * `attributes`, `resource`: filters of all values, asked by `attributes['user.id'] = 'u-1'` as it stands. A text index over `key=value`
///   would read fewer granules, but it costs as much as all the rest of an insert together: most values are numbers and identifiers
///   that come once, and each becomes a word of its dictionary, sorted and written again by every merge.
/// * `trace_id`: a filter too, with few false hits, for there is nothing else to narrow such a search.
///
/// A part as it is inserted is one file for all columns (`min_level_for_wide_part`), not a hundred small ones; the first merge gives each
/// column its own.
pub const LOGS: &str = "\
CREATE TABLE IF NOT EXISTS logs (
  timestamp        DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
  observed_at      DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  ingested_at      DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta(8), ZSTD(1)),
  service          LowCardinality(String) CODEC(ZSTD(1)),
  environment      LowCardinality(String) CODEC(ZSTD(1)),
  host             LowCardinality(String) CODEC(ZSTD(1)),
  source           LowCardinality(String) CODEC(ZSTD(1)),
  severity         Enum8('unset' = 0, 'trace' = 1, 'debug' = 5, 'info' = 9, 'notice' = 10, 'warn' = 13, 'error' = 17, 'critical' = 18, 'fatal' = 21) CODEC(ZSTD(1)),
  message          String CODEC(ZSTD(1)),
  pattern_id       UInt64 CODEC(ZSTD(1)),
  trace_id         String CODEC(ZSTD(1)),
  span_id          String CODEC(ZSTD(1)),
  attributes       Map(LowCardinality(String), String) CODEC(ZSTD(1)),
  resource         Map(LowCardinality(String), String) CODEC(ZSTD(1)),
  tags             Array(LowCardinality(String)) CODEC(ZSTD(1)),
  kafka_topic      LowCardinality(String) CODEC(ZSTD(1)),
  kafka_partition  UInt32 CODEC(ZSTD(1)),
  kafka_offset     UInt64 CODEC(Delta(8), ZSTD(1)),
  emit_ix          UInt16 CODEC(ZSTD(1)),
  attempt          UInt32 CODEC(ZSTD(1)),
  incarnation      UInt32 CODEC(ZSTD(1)),
  retention_class  LowCardinality(String) DEFAULT 'standard' CODEC(ZSTD(1)),
  INDEX ix_message message TYPE text(tokenizer = 'splitByNonAlpha', preprocessor = lower(message)),
  INDEX ix_attrs   mapValues(attributes) TYPE bloom_filter(0.01) GRANULARITY 1,
  INDEX ix_res     mapValues(resource) TYPE bloom_filter(0.01) GRANULARITY 1,
  INDEX ix_trace   trace_id TYPE bloom_filter(0.001) GRANULARITY 1,
  INDEX ix_off     kafka_offset TYPE minmax GRANULARITY 1
) ENGINE = MergeTree
PARTITION BY (toDate(timestamp), retention_class)
ORDER BY (toStartOfFiveMinutes(timestamp), service, timestamp)
TTL toDateTime(timestamp) + INTERVAL 10 YEAR
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000, min_level_for_wide_part = 1,
         map_serialization_version = 'with_buckets',
         map_serialization_version_for_zero_level_parts = 'basic'";

/// The table for dead letters, named `dead_letters`.
pub const DEAD_LETTERS: &str = "\
CREATE TABLE IF NOT EXISTS dead_letters (
  timestamp        DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
  observed_at      DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  sink             LowCardinality(String) CODEC(ZSTD(1)),
  rule             LowCardinality(String) CODEC(ZSTD(1)),
  site             LowCardinality(String) CODEC(ZSTD(1)),
  reason           LowCardinality(String) CODEC(ZSTD(1)),
  cause            String CODEC(ZSTD(1)),
  bundle           String CODEC(ZSTD(1)),
  kafka_key        String CODEC(ZSTD(1)),
  headers          Map(String, String) CODEC(ZSTD(1)),
  raw              String CODEC(ZSTD(1)),
  raw_bytes        UInt64 CODEC(ZSTD(1)),
  raw_hash         String CODEC(ZSTD(1)),
  kafka_topic      LowCardinality(String) CODEC(ZSTD(1)),
  kafka_partition  UInt32 CODEC(ZSTD(1)),
  kafka_offset     UInt64 CODEC(Delta(8), ZSTD(1)),
  emit_ix          UInt16 CODEC(ZSTD(1)),
  attempt          UInt32 CODEC(ZSTD(1)),
  incarnation      UInt32 CODEC(ZSTD(1)),
  INDEX ix_off kafka_offset TYPE minmax GRANULARITY 1
) ENGINE = MergeTree
PARTITION BY toDate(timestamp)
ORDER BY (reason, timestamp)
SETTINGS non_replicated_deduplication_window = 10000";

/// The statement for a table of logs under that name.
pub fn logs(database: &str, name: &str) -> String {
    named(LOGS, "logs", database, name)
}

/// The statement for a table of dead letters under that name.
pub fn dead_letters(database: &str, name: &str) -> String {
    named(DEAD_LETTERS, "dead_letters", database, name)
}

fn named(statement: &str, own: &str, database: &str, name: &str) -> String {
    // A name with a dot brings its own database.
    let (database, name) = name.split_once('.').unwrap_or((database, name));
    let place = format!("{}.{}", quote(database), quote(name));
    statement.replacen(&format!("EXISTS {own} ("), &format!("EXISTS {place} ("), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_made_where_they_are_wanted() {
        assert!(logs("db", "t").starts_with("CREATE TABLE IF NOT EXISTS `db`.`t` ("));
        assert!(
            dead_letters("db", "other.t").starts_with("CREATE TABLE IF NOT EXISTS `other`.`t` (")
        );
    }
}
