//! The broker is killed, stands still and comes back; words about offsets and about the group get lost.

use std::{sync::Arc, time::Duration};

use super::{
    lasting,
    oracle::{clean, judge},
    proxy::{
        clickhouse::ClickHouseProxy,
        kafka::{
            FETCH, Fault, HEARTBEAT, JOIN_GROUP, OFFSET_COMMIT, OFFSET_FETCH, Rule, SYNC_GROUP,
        },
        trace::Trace,
    },
    seed::Dice,
    servers::Broker,
    stage::{Setup, Stage},
};
use crate::e2e::{SERVERS, wait_for};

/// Commits get lost before and behind the broker, and answers come late.
pub(crate) const LOST_WORDS: [Rule; 8] = [
    Rule { api: OFFSET_COMMIT, percent: 15, fault: Fault::LoseRequest },
    Rule { api: OFFSET_COMMIT, percent: 20, fault: Fault::LoseAnswer },
    Rule { api: OFFSET_COMMIT, percent: 20, fault: Fault::Late(900) },
    Rule { api: HEARTBEAT, percent: 5, fault: Fault::LoseAnswer },
    Rule { api: JOIN_GROUP, percent: 10, fault: Fault::LoseAnswer },
    Rule { api: SYNC_GROUP, percent: 10, fault: Fault::LoseAnswer },
    Rule { api: OFFSET_FETCH, percent: 10, fault: Fault::Late(500) },
    Rule { api: FETCH, percent: 1, fault: Fault::LoseAnswer },
];

#[test]
fn f10_the_broker_dies_stands_still_and_forgets_to_answer() {
    let mut dice = Dice::of("f10");
    let broker = Broker::start(dice.split());
    let stage = Stage::new("f10", broker.kafka.brokers(), &SERVERS.clickhouse, 4);
    let proxy = ClickHouseProxy::before(SERVERS.clickhouse.url(), dice.split());
    let trace = Arc::new(Trace::default());
    broker.proxy.tell(Arc::clone(&trace));
    proxy.tell(Arc::clone(&trace));
    let setup = Setup { url: proxy.url(), brokers: broker.proxy.brokers(), ..stage.plain() };
    stage.configure(&setup);
    let mut engines = [stage.engine("first"), stage.engine("second")];
    let mut feed = stage.feed();
    broker.proxy.plan(&LOST_WORDS);
    feed.run(4_000, lasting(Duration::from_secs(10)) / 2, |_| {});

    broker.kafka.kill().unwrap();
    feed.run(4_000, dice.millis(200..1_500), |_| {});
    broker.kafka.restart().unwrap();
    feed.run(4_000, dice.millis(1_500..3_000), |_| {});
    // Longer than a session, so that its own clock throws members out when it goes on.
    broker.kafka.stop().unwrap();
    feed.run(4_000, dice.millis(1_000..9_500), |_| {});
    broker.kafka.cont().unwrap();
    feed.run(4_000, lasting(Duration::from_secs(6)) / 2, |_| {});
    broker.proxy.door().close(true);
    feed.run(4_000, dice.millis(500..1_500), |_| {});
    broker.proxy.door().close(false);
    feed.run(4_000, Duration::from_secs(2), |_| {});

    broker.proxy.plan(&[]);
    let events = feed.flush();
    stage.settle(events, 120);
    for engine in &mut engines {
        clean(engine, setup.memory);
        assert!(engine.terminate().success(), "{}", engine.log());
    }
    stage.holds(events);
    let verdict = judge(&stage, events);
    let tally = broker.proxy.tally().read();
    let inserts = trace.in_order_under(setup.promise);
    eprintln!("f10: {verdict:?}\n  {tally:?}, {inserts} inserts behind their intents");
    verdict.holds(setup.promise);
    assert!(tally.keys().any(|what| what.starts_with("an offset commit")), "{tally:?}");
}

/// While partitions are assigned nobody says where they stand. When the broker does again, they are read: what librdkafka is not told about an
/// assignment it waits for without end, and so would whoever wants to stop the engine.
#[test]
fn f10_an_assignment_that_could_not_be_looked_at_is_asked_for_again() {
    let mut dice = Dice::of("looked");
    let broker = Broker::start(dice.split());
    let stage = Stage::new("looked", broker.kafka.brokers(), &SERVERS.clickhouse, 2);
    let setup = Setup { brokers: broker.proxy.brokers(), ..stage.plain() };
    stage.configure(&setup);
    broker.proxy.plan(&[Rule { api: OFFSET_FETCH, percent: 100, fault: Fault::LoseAnswer }]);
    let mut engine = stage.engine("engine");
    let mut feed = stage.feed();
    feed.send(4_000);
    wait_for("the broker is asked in vain", 60, || broker.proxy.tally().sum() > 0);
    // Longer than the engine waits for such an answer.
    feed.run(200, Duration::from_secs(12), |_| {});
    broker.proxy.plan(&[]);
    let events = feed.flush();
    stage.settle(events, 120);
    clean(&engine, setup.memory);
    assert!(engine.terminate().success(), "{}", engine.log());
    judge(&stage, events).holds(setup.promise);
}

/// The broker stands still for longer than a session, with commits under way; everything goes on when it does, and the engine can be stopped.
#[test]
fn f10_a_broker_that_stands_still_for_longer_than_a_session_leaves_nobody_waiting() {
    let mut dice = Dice::of("still");
    let broker = Broker::start(dice.split());
    let stage = Stage::new("still", broker.kafka.brokers(), &SERVERS.clickhouse, 4);
    let setup = Setup {
        brokers: broker.proxy.brokers(),
        promise: super::oracle::Promise::Once,
        ..stage.plain()
    };
    stage.configure(&setup);
    let mut engine = stage.engine("engine");
    let mut feed = stage.feed();
    feed.run(4_000, Duration::from_secs(2), |_| {});
    for _ in 0..2 {
        broker.kafka.stop().unwrap();
        feed.run(1_000, dice.millis(10_000..14_000), |_| {});
        broker.kafka.cont().unwrap();
        feed.run(4_000, dice.millis(300..4_000), |_| {});
    }
    let events = feed.flush();
    stage.settle(events, 120);
    clean(&engine, setup.memory);
    assert!(engine.terminate().success(), "{}", engine.log());
    judge(&stage, events).holds(setup.promise);
}
