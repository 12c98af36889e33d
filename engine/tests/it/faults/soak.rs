//! Everything at once, for as long as was asked for: two engines, and every fault that there is, in an order that the seed gives.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    time::{Duration, Instant},
};

use logmon_services::ClickHouse;
use rdkafka::consumer::BaseConsumer;

use super::{
    brokers::LOST_WORDS,
    lasting,
    oracle::{Verdict, clean, files, judge, memory},
    proxy::{
        End,
        clickhouse::{ClickHouseProxy, Fault, Plan},
        lie::{LATER, LIES},
    },
    seed::Dice,
    servers::{Broker, clickhouse},
    stage::{Feed, Setup, Stage},
};
use crate::e2e::{engine_process::Engine, lifecycle::RULES};

/// Events a second: little enough to leave the machine to others.
const RATE: u64 = 2_000;

/// Between two faults everything must be read and stored again within this time.
const RECOVERED: Duration = Duration::from_mins(2);

/// What may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    EngineKilled,
    EnginePaused,
    EngineRestarted,
    ClickHouseKilled,
    ClickHousePaused,
    BrokerKilled,
    BrokerPaused,
    NoWayToClickHouse,
    NoWayToBroker,
    ConnectionsCut,
    BadInserts,
    LyingAnswers,
    LostWords,
    Reload,
}

const EVENTS: [Event; 14] = [
    Event::EngineKilled,
    Event::EnginePaused,
    Event::EngineRestarted,
    Event::ClickHouseKilled,
    Event::ClickHousePaused,
    Event::BrokerKilled,
    Event::BrokerPaused,
    Event::NoWayToClickHouse,
    Event::NoWayToBroker,
    Event::ConnectionsCut,
    Event::BadInserts,
    Event::LyingAnswers,
    Event::LostWords,
    Event::Reload,
];

impl Event {
    fn name(self) -> &'static str {
        match self {
            Self::EngineKilled => "engine killed (SIGKILL)",
            Self::EnginePaused => "engine paused (SIGSTOP)",
            Self::EngineRestarted => "engine restarted in order",
            Self::ClickHouseKilled => "ClickHouse killed",
            Self::ClickHousePaused => "ClickHouse paused",
            Self::BrokerKilled => "broker killed",
            Self::BrokerPaused => "broker paused",
            Self::NoWayToClickHouse => "no way to ClickHouse",
            Self::NoWayToBroker => "no way to the broker",
            Self::ConnectionsCut => "all connections cut",
            Self::BadInserts => "seconds of inserts cut and answers lost",
            Self::LyingAnswers => "seconds of lying answers and refusals",
            Self::LostWords => "seconds of lost words with the broker",
            Self::Reload => "rules reloaded",
        }
    }
}

/// What is disturbed.
struct World<'a> {
    dice: Dice,
    stage: &'a Stage<'a>,
    feed: Feed,
    broker: &'a Broker,
    clickhouse: &'a ClickHouse,
    proxy: &'a ClickHouseProxy,
    engines: Vec<Engine>,
    started: usize,
    budget: u64,
    asker: BaseConsumer,
    figures: Figures,
}

/// What a run came to.
#[derive(Debug, Default)]
struct Figures {
    faults: BTreeMap<Event, u64>,
    /// How long it took until everything produced up to a fault's end was stored and committed.
    recoveries: Vec<(Duration, Event)>,
    /// MiB and open files of the engines, over time.
    sizes: Vec<(u64, usize)>,
    peak: u64,
}

impl World<'_> {
    fn pass(&mut self, time: Duration) {
        self.feed.run(RATE, time, |_| {});
    }

    fn start(&mut self) {
        let engine = self.stage.engine(&format!("engine-{}", self.started));
        self.started += 1;
        self.engines.push(engine);
    }

    fn retire(&mut self, engine: &Engine) {
        clean(engine, self.budget);
        self.figures.peak = self.figures.peak.max(memory(engine.pid(), "VmHWM"));
    }

    fn disturb(&mut self, event: Event) {
        *self.figures.faults.entry(event).or_default() += 1;
        let index = self.dice.number(0..self.engines.len() as u64) as usize;
        let short = self.dice.millis(200..3_000);
        let long = self.dice.millis(500..12_000);
        match event {
            Event::EngineKilled => {
                let mut engine = self.engines.remove(index);
                self.retire(&engine);
                engine.kill();
                self.pass(long);
                self.start();
            }
            Event::EnginePaused => {
                self.engines[index].pause();
                self.pass(long);
                self.engines[index].resume();
            }
            Event::EngineRestarted => {
                let mut engine = self.engines.remove(index);
                self.retire(&engine);
                assert!(engine.terminate().success(), "{}", engine.log());
                self.pass(short);
                self.start();
            }
            Event::ClickHouseKilled => {
                self.clickhouse.kill().unwrap();
                self.pass(short);
                self.clickhouse.restart().unwrap();
            }
            Event::ClickHousePaused => {
                self.clickhouse.stop().unwrap();
                self.pass(long);
                self.clickhouse.cont().unwrap();
            }
            Event::BrokerKilled => {
                self.broker.kafka.kill().unwrap();
                self.pass(short);
                self.broker.kafka.restart().unwrap();
            }
            Event::BrokerPaused => {
                self.broker.kafka.stop().unwrap();
                self.pass(long);
                self.broker.kafka.cont().unwrap();
            }
            Event::NoWayToClickHouse => {
                self.proxy.door().close(true);
                self.pass(long);
                self.proxy.door().close(false);
            }
            Event::NoWayToBroker => {
                self.broker.proxy.door().close(true);
                self.pass(long);
                self.broker.proxy.door().close(false);
            }
            Event::ConnectionsCut => {
                self.proxy.door().cut();
                self.broker.proxy.door().cut();
            }
            Event::BadInserts => {
                self.proxy.plan(Plan { faults: bad_inserts(), inserts: 40, queries: 20 });
                self.pass(short + Duration::from_secs(2));
                self.proxy.peace();
            }
            Event::LyingAnswers => {
                let faults = LIES.into_iter().chain(LATER).map(Fault::Lie).collect();
                self.proxy.plan(Plan { faults, inserts: 60, queries: 0 });
                self.pass(short + Duration::from_secs(2));
                self.proxy.peace();
            }
            Event::LostWords => {
                self.broker.proxy.plan(&LOST_WORDS);
                self.pass(long + Duration::from_secs(3));
                self.broker.proxy.plan(&[]);
            }
            Event::Reload => {
                let tag = format!("rule home {{ tag \"v{}\"  route to logs }}", self.feed.sent());
                self.stage.rules(&RULES.replace("rule home { route to logs }", &tag));
            }
        }
    }

    /// Waits until everything that was produced up to now is stored and committed.
    fn recover(&mut self, event: Event) {
        let (since, target) = (Instant::now(), self.feed.sent());
        loop {
            self.pass(Duration::from_millis(100));
            if self.stage.committed(&self.asker).is_some_and(|committed| target <= committed) {
                break;
            }
            for engine in &mut self.engines {
                assert!(engine.runs(), "an engine ended:\n{}", engine.log());
            }
            assert!(
                since.elapsed() < RECOVERED,
                "not recovered {} s after: {}",
                RECOVERED.as_secs(),
                event.name()
            );
        }
        self.figures.recoveries.push((since.elapsed(), event));
        let size = |engine: &Engine| (memory(engine.pid(), "VmRSS"), files(engine.pid()));
        self.figures.sizes.extend(self.engines.iter().map(size));
    }
}

fn bad_inserts() -> Vec<Fault> {
    let mut faults = vec![
        Fault::Slices,
        Fault::LoseAnswer(End::Close),
        Fault::LoseAnswer(End::Reset),
        Fault::HangUp(End::Close),
        Fault::HangUp(End::Reset),
        Fault::Blackhole(1_500),
        Fault::Late(900),
    ];
    for percent in [0, 1, 50, 99] {
        faults.push(Fault::CutBody(percent, End::Close));
        faults.push(Fault::CutBody(percent, End::Reset));
        faults.push(Fault::CutChunks(percent, End::Close));
        faults.push(Fault::HalfClose(percent));
    }
    faults
}

#[test]
fn soak_everything_goes_wrong_and_the_ledger_balances() {
    let mut dice = Dice::of("soak");
    let broker = Broker::start(dice.split());
    let server = clickhouse();
    let proxy = ClickHouseProxy::before(server.url(), dice.split());
    let stage = Stage::new("soak", broker.kafka.brokers(), &server, 6);
    let setup = Setup { url: proxy.url(), brokers: broker.proxy.brokers(), ..stage.plain() };
    stage.configure(&setup);
    let mut world = World {
        dice,
        feed: stage.feed(),
        stage: &stage,
        broker: &broker,
        clickhouse: &server,
        proxy: &proxy,
        engines: Vec::new(),
        started: 0,
        budget: setup.memory,
        asker: stage.asker(),
        figures: Figures::default(),
    };
    world.start();
    world.start();
    let time = lasting(Duration::from_secs(40));
    let begun = Instant::now();
    // Each kind once in an order of its own, then again: none is left out by chance.
    let mut order: Vec<Event> = Vec::new();
    while begun.elapsed() < time {
        if order.is_empty() {
            order = EVENTS.to_vec();
            for last in (1..order.len()).rev() {
                order.swap(last, world.dice.number(0..last as u64 + 1) as usize);
            }
        }
        let event = order.pop().expect("it was filled above");
        let quiet = world.dice.millis(200..1_500);
        world.pass(quiet);
        world.disturb(event);
        world.recover(event);
        let (took, _) = world.figures.recoveries.last().expect("it was added above");
        eprintln!(
            "soak: {:>5} s, {:>9} events, {:<40} recovered in {:.1} s",
            begun.elapsed().as_secs(),
            world.feed.sent(),
            event.name(),
            took.as_secs_f64()
        );
    }
    let events = world.feed.flush();
    stage.settle(events, 180);
    let mut engines = std::mem::take(&mut world.engines);
    for engine in &mut engines {
        world.retire(engine);
        assert!(engine.terminate().success(), "{}", engine.log());
    }
    stage.holds(events);
    let verdict = judge(&stage, events);
    let report = report(&world, &verdict, begun.elapsed());
    eprintln!("{report}");
    if let Ok(path) = std::env::var("LOGMON_SOAK_REPORT") {
        std::fs::write(path, &report).unwrap();
    }
    verdict.holds(setup.promise);
}

fn report(world: &World<'_>, verdict: &Verdict, took: Duration) -> String {
    let figures = &world.figures;
    let mut text = format!(
        "| | |\n| --- | --- |\n| time | {:.1} min |\n| events | {} |\n| rows | {} |\n| lost | {} |\n| repeated | {} |\n| strange | {} |\n| second attempts | {} |\n| panics | 0 |\n",
        took.as_secs_f64() / 60.0,
        verdict.events,
        verdict.rows,
        verdict.lost,
        verdict.repeated,
        verdict.strange,
        verdict.attempts,
    );
    for (event, count) in &figures.faults {
        let _ = writeln!(text, "| {} | {count} |", event.name());
    }
    for (what, count) in world.proxy.tally().read() {
        let _ = writeln!(text, "| insert or query: {what} | {count} |");
    }
    for (what, count) in world.broker.proxy.tally().read() {
        let _ = writeln!(text, "| broker: {what} | {count} |");
    }
    let mut recoveries = figures.recoveries.clone();
    recoveries.sort();
    if let (Some(middle), Some((slowest, event))) =
        (recoveries.get(recoveries.len() / 2), recoveries.last())
    {
        let _ = writeln!(
            text,
            "| recoveries | {}, half of them within {:.1} s, the slowest {:.1} s ({}) |",
            recoveries.len(),
            middle.0.as_secs_f64(),
            slowest.as_secs_f64(),
            event.name()
        );
    }
    let third = figures.sizes.len() / 3;
    let most = |part: &[(u64, usize)]| {
        let mib = part.iter().map(|size| size.0).max().unwrap_or(0);
        (mib, part.iter().map(|size| size.1).max().unwrap_or(0))
    };
    let (early, late) = (most(&figures.sizes[..third]), most(&figures.sizes[2 * third..]));
    let _ = writeln!(
        text,
        "| an engine's memory | {} MiB at most in the first third, {} MiB in the last; peak {} MiB with a budget of {} MiB |\n| its open files | {} and {} |",
        early.0, late.0, figures.peak, world.budget, early.1, late.1
    );
    text
}
