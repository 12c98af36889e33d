//! The engine ends or stands still at each place where recovery has something to decide.

use std::{
    fs,
    time::{Duration, Instant},
};

use logmon_engine::delivery::failpoint::Place;

use super::{
    campaign::{campaign, campaign_on},
    oracle::{Promise, clean, judge},
    proxy::{
        End,
        clickhouse::{ClickHouseProxy, Fault, Plan},
    },
    seed::Dice,
    soak_time,
    stage::{Feed, Setup, Stage},
};
use crate::e2e::{SERVERS, engine_process::Engine};

/// The variable that gives an engine its orders.
const ORDERS: &str = "LOGMON_FAILPOINTS";

/// Events a second.
const RATE: u64 = 3_000;

/// Every place, in an order that the dice give.
fn places(dice: &mut Dice) -> Vec<Place> {
    let mut places = Place::ALL.to_vec();
    for last in (1..places.len()).rev() {
        places.swap(last, dice.number(0..last as u64 + 1) as usize);
    }
    places
}

/// The ends come one after the other, so that each start recovers from the one before.
#[test]
fn f1_the_engine_ends_at_every_place() {
    let mut dice = Dice::of("f1");
    let proxy = ClickHouseProxy::before(SERVERS.clickhouse.url(), dice.split());
    let stage = Stage::new("f1", SERVERS.kafka.brokers(), &SERVERS.clickhouse, 2);
    // Under a name a member that comes back need not wait for its own session to end.
    let source = "client = { \"group.instance.id\" = \"one\" }".to_owned();
    let setup = Setup { url: proxy.url(), source, promise: Promise::Once, ..stage.plain() };
    stage.configure(&setup);
    let mut feed = stage.feed();
    let rounds = if soak_time().is_some() { 20 } else { 1 };
    let (mut reached, mut not) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        for place in places(&mut dice) {
            if place == Place::Recovering {
                // There is something to recover only where an intent was left behind.
                let mut engine = Engine::start_in(
                    &stage.dir,
                    &format!("{round}-before"),
                    &[(ORDERS, "intent-stored=abort")],
                );
                ends(&mut engine, &mut feed, |_| {});
                engine.kill();
            }
            // Some places are passed only once.
            let visit = match place {
                Place::RangeBuilt
                | Place::IntentSent
                | Place::IntentStored
                | Place::InsertSent
                | Place::InsertStored
                | Place::RangeDone => dice.number(1..4),
                _ => 1,
            };
            if place == Place::ProbedAbsent {
                let faults = vec![Fault::CutBody(50, End::Reset)];
                proxy.plan(Plan { faults, inserts: 50, queries: 0 });
            }
            let order = format!("{}=abort@{visit}", place.name());
            let name = format!("{round}-{}", place.name());
            let mut engine = Engine::start_in(&stage.dir, &name, &[(ORDERS, &order)]);
            let began = Instant::now();
            let ended = ends(&mut engine, &mut feed, |engine| {
                if began.elapsed() > Duration::from_secs(3) && place == Place::Revoking {
                    engine.leave();
                }
            });
            proxy.peace();
            assert!(!engine.log().contains("panicked"), "{}", engine.log());
            if ended {
                reached.push(place.name());
            } else {
                not.push(place.name());
                engine.kill();
            }
        }
    }
    let mut engine = stage.engine("last");
    let events = feed.flush();
    stage.settle(events, 60);
    clean(&engine, setup.memory);
    assert!(engine.terminate().success(), "{}", engine.log());
    let verdict = judge(&stage, events);
    eprintln!("f1: ended at {reached:?}, killed elsewhere instead of {not:?}; {verdict:?}");
    verdict.holds(setup.promise);
    assert!(reached.len() > 6 * rounds, "too few places were reached: {reached:?}");
}

/// Feeds an engine until it ends, with a pause in which it has nothing to do; says whether it did.
fn ends(engine: &mut Engine, feed: &mut Feed, mut meanwhile: impl FnMut(&Engine)) -> bool {
    let begun = Instant::now();
    while engine.runs() && begun.elapsed() < Duration::from_secs(12) {
        let rest = (6..9).contains(&begun.elapsed().as_secs());
        feed.run(if rest { 0 } else { RATE }, Duration::from_millis(200), |_| {});
        meanwhile(engine);
    }
    !engine.runs()
}

/// Whether a process stands still.
fn stands(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
}

/// Beyond its session, so that another engine has its partitions; then it goes on as if nothing had been.
#[test]
fn f2_the_owner_stands_still_at_a_place_and_wakes_up_late() {
    let mut dice = Dice::of("f2");
    let stage = Stage::new("f2", SERVERS.kafka.brokers(), &SERVERS.clickhouse, 2);
    let setup = Setup { promise: Promise::Once, ..stage.plain() };
    stage.configure(&setup);
    let mut feed = stage.feed();
    let mut other = stage.engine("other");
    let mut places = places(&mut dice);
    if soak_time().is_none() {
        places.truncate(3);
        places.push(Place::InsertSent);
    }
    let mut stood = Vec::new();
    for place in places {
        let order = format!("{}=stop@{}", place.name(), dice.number(1..4));
        let mut engine =
            Engine::start_in(&stage.dir, &format!("stands-{}", place.name()), &[(ORDERS, &order)]);
        let begun = Instant::now();
        while !stands(engine.pid()) && begun.elapsed() < Duration::from_secs(12) {
            feed.run(RATE, Duration::from_millis(200), |_| {});
        }
        if stands(engine.pid()) {
            stood.push(place.name());
            // The session is six seconds long.
            feed.run(RATE, dice.millis(8_000..11_000), |_| {});
            engine.resume();
            feed.run(RATE, Duration::from_secs(2), |_| {});
            assert!(engine.runs(), "{}", engine.log());
            clean(&engine, setup.memory);
            assert!(engine.terminate().success(), "{}", engine.log());
        } else {
            // Not reached in time: it might stop at any moment now.
            engine.kill();
        }
    }
    let events = feed.flush();
    stage.settle(events, 60);
    clean(&other, setup.memory);
    assert!(other.terminate().success(), "{}", other.log());
    let verdict = judge(&stage, events);
    eprintln!("f2: stood still at {stood:?}; {verdict:?}");
    verdict.holds(setup.promise);
    assert!(!stood.is_empty(), "no place was reached");
}

/// The server dies between its two writes, in either order: what it says about a token is then wrong.
#[test]
fn f4_the_server_remembers_wrongly() {
    let faults = vec![Fault::TokenOnly, Fault::RowsOnly, Fault::LoseAnswer(End::Reset)];
    let plan = Plan { faults, inserts: 30, queries: 0 };
    let verdict = campaign("f4", plan, Promise::Once);
    assert!(verdict.attempts > 0, "units that seemed stored were sent as a second attempt");
}

/// The server forgets tokens after five inserts: what was asked, and not the token, decides.
#[test]
fn f12_the_server_forgets_tokens() {
    let faults = vec![
        Fault::Blackhole(2_000),
        Fault::LoseAnswer(End::Reset),
        Fault::CutBody(50, End::Reset),
    ];
    let plan = Plan { faults, inserts: 25, queries: 0 };
    campaign_on("f12", plan, Promise::Once, |stage| {
        for table in ["logs", "errors", "dead_letters"] {
            stage.sql(&format!(
                "ALTER TABLE {{db}}.{table} MODIFY SETTING non_replicated_deduplication_window = 5"
            ));
        }
    });
}
