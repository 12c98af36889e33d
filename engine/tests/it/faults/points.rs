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
use crate::e2e::{SERVERS, engine_process::Engine, lifecycle::RULES};

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

/// So long an engine may take to come to a place.
const PATIENCE: Duration = Duration::from_mins(1);

/// What an engine is told to do, and at which place.
struct Errand<'a> {
    stage: &'a Stage<'a>,
    proxy: &'a ClickHouseProxy,
    place: Place,
}

impl Errand<'_> {
    /// Brings an engine to the place; panics if it does not come there.
    fn run(&self, engine: &mut Engine, feed: &mut Feed, there: fn(&mut Engine) -> bool) {
        let place = self.place;
        if place == Place::ProbedAbsent {
            let faults = vec![Fault::CutBody(50, End::Reset)];
            self.proxy.plan(Plan { faults, inserts: 50, queries: 0 });
        }
        let begun = Instant::now();
        let mut owned = None;
        while !there(engine) {
            assert!(begun.elapsed() < PATIENCE, "never at {}:\n{}", place.name(), engine.log());
            if owned.is_none() && engine.log().contains("assigned") {
                owned = Some(Instant::now());
                match place {
                    Place::Revoking => engine.leave(),
                    Place::Reloaded => {
                        let fresh = format!("{RULES}\n# as of event {}\n", feed.sent());
                        self.stage.rules(&fresh);
                    }
                    _ => {}
                }
            }
            // The last range is ended without another one only when nothing comes.
            let rests = place == Place::FinishSent
                && owned.is_some_and(|owned| owned.elapsed() > Duration::from_secs(1));
            feed.run(if rests { 0 } else { RATE }, Duration::from_millis(200), |_| {});
        }
        self.proxy.peace();
        let log = engine.log();
        assert!(log.contains("a test ordered this"), "{}: {log}", place.name());
        assert!(!log.contains("panicked"), "{log}");
    }
}

/// Which of its visits to a place is meant: some places are passed only once.
fn visit(place: Place, dice: &mut Dice) -> u64 {
    match place {
        Place::RangeBuilt
        | Place::IntentSent
        | Place::IntentStored
        | Place::InsertSent
        | Place::InsertStored
        | Place::UnitDone
        | Place::RangeDone => dice.number(1..4),
        Place::BundleSaving
        | Place::FinishSent
        | Place::Revoking
        | Place::Recovering
        | Place::ProbedAbsent
        | Place::Reloaded => 1,
    }
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
    let mut ends = 0;
    for round in 0..rounds {
        for place in places(&mut dice) {
            let mut end_at = |place: Place, name: &str| {
                let order = format!("{}=abort@{}", place.name(), visit(place, &mut dice));
                let mut engine = Engine::start_in(&stage.dir, name, &[(ORDERS, &order)]);
                let errand = Errand { stage: &stage, proxy: &proxy, place };
                errand.run(&mut engine, &mut feed, |engine| !engine.runs());
                ends += 1;
            };
            if place == Place::Recovering {
                // There is something to recover only where an intent was left behind.
                end_at(Place::IntentStored, &format!("{round}-before"));
            }
            end_at(place, &format!("{round}-{}", place.name()));
        }
    }
    let mut engine = stage.engine("last");
    let events = feed.flush();
    stage.settle(events, 60);
    clean(&engine, setup.memory);
    assert!(engine.terminate().success(), "{}", engine.log());
    let verdict = judge(&stage, events);
    eprintln!("f1: {ends} ends, {rounds} at every place; {verdict:?}");
    verdict.holds(setup.promise);
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
    let proxy = ClickHouseProxy::before(SERVERS.clickhouse.url(), dice.split());
    let stage = Stage::new("f2", SERVERS.kafka.brokers(), &SERVERS.clickhouse, 2);
    let setup = Setup { url: proxy.url(), promise: Promise::Once, ..stage.plain() };
    stage.configure(&setup);
    let mut feed = stage.feed();
    let mut other = stage.engine("other");
    let mut places = places(&mut dice);
    // What another one left behind, the one that lives takes over.
    places.retain(|place| *place != Place::Recovering);
    if soak_time().is_none() {
        places.retain(|place| *place != Place::InsertSent);
        places.truncate(3);
        places.push(Place::InsertSent);
    }
    for place in &places {
        let place = *place;
        let order = format!("{}=stop@{}", place.name(), visit(place, &mut dice));
        let name = format!("stands-{}", place.name());
        let mut engine = Engine::start_in(&stage.dir, &name, &[(ORDERS, &order)]);
        let errand = Errand { stage: &stage, proxy: &proxy, place };
        errand.run(&mut engine, &mut feed, |engine| stands(engine.pid()));
        // The session is six seconds long.
        feed.run(RATE, dice.millis(8_000..11_000), |_| {});
        engine.resume();
        feed.run(RATE, Duration::from_secs(2), |_| {});
        if engine.runs() {
            clean(&engine, setup.memory);
            assert!(engine.terminate().success(), "{}", engine.log());
        } else {
            // It was told to leave before it stood still.
            assert!(place == Place::Revoking, "{}", engine.log());
        }
    }
    let events = feed.flush();
    stage.settle(events, 60);
    clean(&other, setup.memory);
    assert!(other.terminate().success(), "{}", other.log());
    let verdict = judge(&stage, events);
    let stood: Vec<&str> = places.iter().map(|place| place.name()).collect();
    eprintln!("f2: stood still at {stood:?}; {verdict:?}");
    verdict.holds(setup.promise);
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
