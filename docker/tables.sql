-- The tables that rules/prod.rules writes to. They need ClickHouse 26.2 or newer, for their text indexes.

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
         map_serialization_version_for_zero_level_parts = 'basic';

CREATE TABLE IF NOT EXISTS errors (
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
         map_serialization_version_for_zero_level_parts = 'basic';

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
SETTINGS non_replicated_deduplication_window = 10000;
