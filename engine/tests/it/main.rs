//! The test binary of the engine.

mod clickhouse;
