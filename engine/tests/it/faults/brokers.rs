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
use crate::e2e::SERVERS;

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
