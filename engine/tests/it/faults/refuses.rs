//! One of three tables takes nothing for a while, and tables that cannot keep the promise.

use std::time::Duration;

use super::{
    oracle::{Promise, clean, judge},
    proxy::{
        clickhouse::{ClickHouseProxy, Fault, Plan},
        lie::Lie,
    },
    seed::Dice,
    stage::{Setup, Stage},
};
use crate::e2e::{SERVERS, engine_process::Engine, wait_for};

/// Why the table `errors` takes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Missing,
    ReadOnly,
    NoGrant,
    ColumnDropped,
}

impl Trouble {
    fn begin(self, stage: &Stage<'_>, proxy: &ClickHouseProxy) {
        let lie =
            |code| Plan { faults: vec![Fault::Lie(Lie::Code(code))], inserts: 100, queries: 0 };
        match self {
            Self::Missing => drop(stage.sql("RENAME TABLE {db}.errors TO {db}.away")),
            Self::ReadOnly => proxy.plan_for("errors", lie(242)),
            Self::NoGrant => proxy.plan_for("errors", lie(497)),
            Self::ColumnDropped => drop(stage.sql("ALTER TABLE {db}.errors DROP COLUMN span_id")),
        }
    }

    fn end(self, stage: &Stage<'_>, proxy: &ClickHouseProxy) {
        match self {
            Self::Missing => drop(stage.sql("RENAME TABLE {db}.away TO {db}.errors")),
            Self::ReadOnly | Self::NoGrant => proxy.peace(),
            Self::ColumnDropped => {
                drop(stage.sql("ALTER TABLE {db}.errors ADD COLUMN span_id String AFTER trace_id"));
            }
        }
    }
}

/// What goes into the table is late, and nothing else is wrong with it.
fn for_a_while(name: &str, promise: Promise, troubles: &[Trouble]) {
    let mut dice = Dice::of(name);
    let proxy = ClickHouseProxy::before(SERVERS.clickhouse.url(), dice.split());
    let stage = Stage::new(name, SERVERS.kafka.brokers(), &SERVERS.clickhouse, 3);
    let setup = Setup { url: proxy.url(), promise, ..stage.plain() };
    stage.configure(&setup);
    let mut engine = stage.engine("engine");
    let mut feed = stage.feed();
    let rows = |table: &str| {
        stage.ask(&format!("SELECT uniqExact(kafka_partition, kafka_offset) FROM {{db}}.{table}"))
    };
    for trouble in troubles {
        feed.run(3_000, dice.millis(500..1_500), |_| {});
        let sent = feed.flush();
        stage.settle(sent, 60);
        let before = rows("logs");
        trouble.begin(&stage, &proxy);
        feed.run(3_000, Duration::from_secs(2), |_| {});
        // As far as the queues in between reach: nothing is read that cannot be kept.
        wait_for("the other tables take rows", 60, || rows("logs") > before);
        if *trouble != Trouble::ColumnDropped {
            let (code, reasons) = engine.get("/readyz");
            assert!(code == 503 && reasons.contains("errors"), "{trouble:?}: {code} {reasons}");
        }
        trouble.end(&stage, &proxy);
    }
    let events = feed.flush();
    stage.settle(events, 90);
    wait_for("all is well again", 60, || engine.get("/readyz").0 == 200);
    clean(&engine, setup.memory);
    assert!(engine.terminate().success(), "{}", engine.log());
    let verdict = judge(&stage, events);
    eprintln!("{name}: {troubles:?}; {verdict:?}");
    verdict.holds(promise);
}

#[test]
fn f13_one_of_three_tables_takes_nothing_for_a_while() {
    let troubles = [Trouble::Missing, Trouble::ReadOnly, Trouble::NoGrant, Trouble::ColumnDropped];
    for_a_while("f13", Promise::AtLeastOnce, &troubles);
}

/// The ranges wait for it, and go on where they stood.
#[test]
fn f13_one_of_three_tables_that_take_each_row_once_takes_nothing_for_a_while() {
    let troubles = [Trouble::NoGrant, Trouble::Missing, Trouble::ReadOnly];
    for_a_while("f13x", Promise::Once, &troubles);
}

/// Starts an engine that must end by itself, and returns what it said.
fn refused(stage: &Stage<'_>, name: &str) -> String {
    let mut engine = Engine::start_in(&stage.dir, name, &[]);
    let status = engine.wait(60);
    assert!(!status.success(), "it started:\n{}", engine.log());
    engine.log()
}

/// A view counts twice what its table takes once: not under that promise.
#[test]
fn f20_a_view_without_memory_and_queued_inserts_are_refused_by_name() {
    let _dice = Dice::of("f20");
    let stage = Stage::new("f20", SERVERS.kafka.brokers(), &SERVERS.clickhouse, 2);
    let once = Setup { promise: Promise::Once, ..stage.plain() };
    stage.configure(&once);
    stage.sql("CREATE TABLE {db}.totals (service String, n UInt64) ENGINE = MergeTree ORDER BY service SETTINGS non_replicated_deduplication_window = 0");
    stage.sql("CREATE MATERIALIZED VIEW {db}.totals_view TO {db}.totals AS SELECT service, count() AS n FROM {db}.logs GROUP BY service");
    let log = refused(&stage, "view");
    assert!(
        log.contains("delivery = \"exactly-once\" is not possible")
            && log.contains("views read its inserts: totals_view"),
        "{log}"
    );
    stage.sql("DROP VIEW {db}.totals_view");

    stage.sql("ALTER TABLE {db}.logs MODIFY SETTING async_insert = 1");
    let log = refused(&stage, "queued");
    assert!(log.contains("its setting async_insert is 1"), "{log}");

    // What is not promised to stand once may be queued.
    let setup = Setup { promise: Promise::AtLeastOnce, ..once };
    stage.configure(&setup);
    let mut feed = stage.feed();
    let mut engine = stage.engine("engine");
    feed.run(3_000, Duration::from_secs(2), |_| {});
    let events = feed.flush();
    stage.settle(events, 60);
    clean(&engine, setup.memory);
    assert!(engine.terminate().success(), "{}", engine.log());
    judge(&stage, events).holds(Promise::AtLeastOnce);
}
