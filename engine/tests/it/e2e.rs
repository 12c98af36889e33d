//! The whole stream on a real Kafka and a real ClickHouse, with real engine processes.
//!
//! The oracle is the producer's ledger: every id that was produced has exactly the fate that the rules give it.

mod bad_input;
mod bad_records;
pub(crate) mod engine_process;
mod exactly_once;
pub(crate) mod ledger;
pub(crate) mod lifecycle;
mod lookups;
mod order;
pub(crate) mod project;
mod refused;
mod remembers;
mod repair;
mod secure;

use std::sync::LazyLock;

use logmon_services::{ClickHouse, Kafka};

/// One Kafka and one ClickHouse for all tests of this binary; each test has its own topics and database.
pub(crate) struct Servers {
    pub(crate) kafka: Kafka,
    pub(crate) clickhouse: ClickHouse,
}

/// Starts both at first use; the kernel ends them with this process.
pub(crate) static SERVERS: LazyLock<Servers> = LazyLock::new(|| Servers {
    kafka: Kafka::start().expect("a Kafka for tests"),
    clickhouse: ClickHouse::start().expect("a ClickHouse for tests"),
});

/// What went wrong, if anything did, after the engine had time to do its work.
pub(crate) fn wait_for(what: &str, seconds: u64, mut done: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !done() {
        assert!(start.elapsed().as_secs() < seconds, "not within {seconds} s: {what}");
        // Polling another process: there is no event to wait for.
        std::thread::park_timeout(std::time::Duration::from_millis(100));
    }
}
