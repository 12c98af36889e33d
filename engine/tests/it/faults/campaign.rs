//! A run of one engine against a ClickHouse that something stands before, and what came of it.

use std::time::Duration;

use super::{
    lasting,
    oracle::{Promise, Verdict, clean, judge},
    proxy::clickhouse::{ClickHouseProxy, Plan},
    seed::Dice,
    stage::Stage,
};
use crate::e2e::SERVERS;

/// Events a second: many small blocks, so that there is much to disturb.
const RATE: u64 = 4_000;

/// Runs for a while under that plan, then in peace until everything is there. Asserts that nothing is lost, that rows stand once where that is promised,
/// and that enough was disturbed.
pub(crate) fn campaign(name: &str, plan: Plan, promise: Promise) -> Verdict {
    campaign_on(name, plan, promise, |_| {})
}

/// The same on tables that are changed before anything is written.
pub(crate) fn campaign_on(
    name: &str,
    plan: Plan,
    promise: Promise,
    change: impl FnOnce(&Stage<'_>),
) -> Verdict {
    let mut dice = Dice::of(name);
    let proxy = ClickHouseProxy::before(SERVERS.clickhouse.url(), dice.split());
    let stage = Stage::new(name, SERVERS.kafka.brokers(), &SERVERS.clickhouse, 3);
    let setup = super::stage::Setup { url: proxy.url(), promise, ..stage.plain() };
    change(&stage);
    stage.configure(&setup);
    let mut engine = stage.engine("engine");
    let kinds = plan.faults.len();
    proxy.plan(plan);
    let mut feed = stage.feed();
    feed.run(RATE, lasting(Duration::from_secs(6)), |_| {});
    // A run that disturbs little would show little.
    let wanted = (kinds as u64).min(4);
    for _ in 0..20 {
        if proxy.tally().sum() < wanted {
            feed.run(RATE, Duration::from_secs(1), |_| {});
        }
    }
    proxy.peace();
    let events = feed.flush();
    stage.settle(events, 90);
    clean(&engine, setup.memory);
    assert!(engine.terminate().success(), "{}", engine.log());
    stage.holds(events);
    let verdict = judge(&stage, events);
    let tally = proxy.tally().read();
    eprintln!("{name}: {verdict:?}\n  {tally:?}, {} units came again", proxy.repeated());
    verdict.holds(promise);
    assert!(proxy.tally().sum() >= wanted, "too little was disturbed: {tally:?}");
    verdict
}
