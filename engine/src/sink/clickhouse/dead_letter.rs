//! Dead letters as rows of a ClickHouse table.
