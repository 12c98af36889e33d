//! ClickHouse is killed again and again, stands still, or is slow.

use std::time::{Duration, Instant};

use super::{
    lasting,
    oracle::{Promise, clean, files, judge, memory},
    proxy::clickhouse::{ClickHouseProxy, Fault, Plan},
    seed::Dice,
    servers::clickhouse,
    soak_time,
    stage::{Setup, Stage},
};
use crate::e2e::{SERVERS, wait_for};

/// Rows must be there again this soon after a restart.
const BACK: Duration = Duration::from_secs(30);

#[test]
fn f3_clickhouse_is_killed_again_and_again() {
    let mut dice = Dice::of("f3");
    let server = clickhouse();
    let stage = Stage::new("f3", SERVERS.kafka.brokers(), &server, 3);
    let setup = stage.plain();
    stage.configure(&setup);
    let mut engine = stage.engine("engine");
    let mut feed = stage.feed();
    let kills = if soak_time().is_some() { 200 } else { 5 };
    let (mut slowest, mut rows) = (Duration::ZERO, 0);
    for _ in 0..kills {
        feed.run(4_000, dice.millis(300..1_500), |_| {});
        server.kill().unwrap();
        feed.run(4_000, dice.millis(0..300), |_| {});
        server.restart().unwrap();
        let back = Instant::now();
        let before = rows;
        // What was stored before is still there, so more than ever before means new rows.
        while rows <= before {
            assert!(back.elapsed() < BACK, "no new rows {} s after a restart", BACK.as_secs());
            feed.run(4_000, Duration::from_millis(100), |_| {});
            rows = stage.ask("SELECT count() FROM {db}.logs").unwrap_or(0);
        }
        slowest = slowest.max(back.elapsed());
    }
    let events = feed.flush();
    stage.settle(events, 60);
    clean(&engine, setup.memory);
    assert!(engine.terminate().success(), "{}", engine.log());
    let verdict = judge(&stage, events);
    eprintln!("f3: {kills} kills, new rows after {slowest:?} at most; {verdict:?}");
    verdict.holds(setup.promise);
}

/// Nothing is read that cannot be kept, the group does not lose the engine, and nothing becomes a dead letter.
#[test]
fn f7_clickhouse_stands_still() {
    let _dice = Dice::of("f7");
    let server = clickhouse();
    let stage = Stage::new("f7", SERVERS.kafka.brokers(), &server, 3);
    let setup = Setup { memory: 32, ..stage.plain() };
    stage.configure(&setup);
    let mut engine = stage.engine("engine");
    let mut feed = stage.feed();
    feed.send(20_000);
    feed.flush();
    stage.settle(20_000, 60);
    let changes = |log: &str| log.matches("assigned").count() + log.matches("revoked").count();
    let before = changes(&engine.log());

    server.stop().unwrap();
    // Longer than a session: a member that waits for a server instead of the group would be gone.
    let time = lasting(Duration::from_secs(12)).min(Duration::from_mins(10));
    feed.run(10_000, time, |_| {});
    let held = memory(engine.pid(), "VmRSS");
    assert!(engine.metric("logmon_source_lag_records", &[]) > 0.0, "the backlog is shown");
    server.cont().unwrap();

    let events = feed.flush();
    stage.settle(events, 120);
    clean(&engine, setup.memory);
    assert_eq!(changes(&engine.log()), before, "the group never lost the engine");
    assert!(engine.terminate().success(), "{}", engine.log());
    let verdict = judge(&stage, events);
    eprintln!("f7: stood still for {time:?}, {held} MiB held meanwhile; {verdict:?}");
    verdict.holds(Promise::Once);
}

/// The input is faster than the sink for a long time: memory and open files stay as they are, and the lag says how far behind it is.
#[test]
fn f18_the_input_is_faster_than_the_sink() {
    let mut dice = Dice::of("f18");
    let proxy = ClickHouseProxy::before(SERVERS.clickhouse.url(), dice.split());
    let stage = Stage::new("f18", SERVERS.kafka.brokers(), &SERVERS.clickhouse, 3);
    let setup = Setup {
        url: proxy.url(),
        memory: 32,
        sink: "compression = \"none\"".to_owned(),
        ..stage.plain()
    };
    stage.configure(&setup);
    let mut engine = stage.engine("engine");
    let mut feed = stage.feed();
    feed.send(20_000);
    feed.flush();
    stage.settle(20_000, 60);
    proxy.plan(Plan { faults: vec![Fault::Late(1_500)], inserts: 100, queries: 0 });
    let time = lasting(Duration::from_secs(10));
    let mut seen = Vec::new();
    let mut looked = Instant::now();
    feed.run(60_000, time, |_| {
        if looked.elapsed() > time / 20 {
            seen.push((memory(engine.pid(), "VmRSS"), files(engine.pid())));
            looked = Instant::now();
        }
    });
    wait_for("the lag is shown", 30, || engine.metric("logmon_source_lag_records", &[]) > 0.0);
    proxy.peace();
    let events = feed.flush();
    stage.settle(events, 240);
    clean(&engine, setup.memory);
    assert!(engine.terminate().success(), "{}", engine.log());
    let half = seen.len() / 2;
    let most = |part: &[(u64, usize)]| {
        let rss = part.iter().map(|(rss, _)| *rss).max().unwrap_or(0);
        (rss, part.iter().map(|(_, files)| *files).max().unwrap_or(0))
    };
    let (early, late) = (most(&seen[..half]), most(&seen[half..]));
    let verdict = judge(&stage, events);
    eprintln!(
        "f18: MiB and files at most, first half {early:?}, second half {late:?}; {verdict:?}"
    );
    verdict.holds(Promise::Once);
    assert!(late.0 <= early.0 + 48, "memory grows: {seen:?}");
    assert!(late.1 <= early.1 + 16, "open files grow: {seen:?}");
}
