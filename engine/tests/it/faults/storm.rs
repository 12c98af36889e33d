//! Members of the group come, go, die and stand still, in every protocol that a group may have.

use std::time::{Duration, Instant};

use super::{
    lasting,
    oracle::{clean, judge},
    seed::Dice,
    stage::{Setup, Stage},
};
use crate::e2e::{SERVERS, engine_process::Engine, wait_for};

/// All partitions must have an owner again this soon after the last change.
const OWNED: Duration = Duration::from_secs(10);

/// How many engines there are at most.
const CROWD: usize = 3;

fn storm(name: &str, source: impl Fn(usize) -> String) {
    let mut dice = Dice::of(name);
    let stage = Stage::new(name, SERVERS.kafka.brokers(), &SERVERS.clickhouse, 6);
    let setup = stage.plain();
    let start = |number: usize| -> Engine {
        stage.configure(&Setup { source: source(number), ..setup.clone() });
        stage.engine(&format!("engine-{number}"))
    };
    let mut number = 0;
    let mut engines = vec![start(number)];
    let mut feed = stage.feed();
    let time = lasting(Duration::from_secs(14));
    let begun = Instant::now();
    let (mut joins, mut leaves, mut kills, mut pauses) = (0, 0, 0, 0);
    while begun.elapsed() < time {
        feed.run(4_000, dice.millis(800..2_000), |_| {});
        let full = engines.len() >= CROWD;
        if engines.len() < 2 || (!full && dice.percent(50)) {
            number += 1;
            engines.push(start(number));
            joins += 1;
            continue;
        }
        let index = dice.number(0..engines.len() as u64) as usize;
        match dice.number(0..3) {
            0 => {
                let mut engine = engines.remove(index);
                clean(&engine, setup.memory);
                assert!(engine.terminate().success(), "{}", engine.log());
                leaves += 1;
            }
            1 => {
                engines.remove(index).kill();
                kills += 1;
            }
            _ => {
                // Longer than a session where it takes that long: another one then has its partitions.
                engines[index].pause();
                feed.run(4_000, dice.millis(500..9_500), |_| {});
                engines[index].resume();
                pauses += 1;
            }
        }
    }
    let last = Instant::now();
    let members: Vec<&Engine> = engines.iter().collect();
    wait_for("every partition has an owner", 60, || Stage::owned(&members) == stage.partitions);
    let owned = last.elapsed();
    let events = feed.flush();
    stage.settle(events, 90);
    for engine in &mut engines {
        clean(engine, setup.memory);
        assert!(engine.terminate().success(), "{}", engine.log());
    }
    let verdict = judge(&stage, events);
    eprintln!(
        "{name}: {joins} joined, {leaves} left, {kills} killed, {pauses} paused; owned after {owned:?}; {verdict:?}"
    );
    verdict.holds(setup.promise);
    assert!(owned <= OWNED, "partitions without an owner for {owned:?}");
}

#[test]
fn f9_members_come_and_go() {
    storm("f9", |_| String::new());
}

/// A member that comes back under its name takes what it had.
#[test]
fn f9_members_with_names_come_and_go() {
    storm("f9s", |number| {
        format!("client = {{ \"group.instance.id\" = \"member-{}\" }}", number % CROWD)
    });
}

/// The broker hands out partitions one by one.
#[test]
fn f9_members_of_the_newer_protocol_come_and_go() {
    storm("f9n", |_| "client = { \"group.protocol\" = \"consumer\" }".to_owned());
}
