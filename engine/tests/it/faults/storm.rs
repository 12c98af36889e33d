//! Members of the group come, go, die and stand still, in every protocol that a group may have.

use std::time::{Duration, Instant};

use super::{
    lasting,
    oracle::{clean, judge},
    seed::Dice,
    soak_time,
    stage::{Setup, Stage},
};
use crate::e2e::{SERVERS, engine_process::Engine, wait_for};

/// All partitions must have an owner again this soon after the last change, in a long run.
const OWNED: Duration = Duration::from_secs(10);

/// How many engines there are at most.
const CROWD: usize = 3;

/// An engine, and the seat it has: no two that live share one, and who comes later sits down where somebody left.
struct Member {
    seat: usize,
    engine: Engine,
}

fn free_seat(members: &[Member]) -> usize {
    (0..CROWD).find(|seat| members.iter().all(|it| it.seat != *seat)).expect("the crowd is full")
}

fn storm(name: &str, source: impl Fn(usize) -> String) {
    let mut dice = Dice::of(name);
    let stage = Stage::new(name, SERVERS.kafka.brokers(), &SERVERS.clickhouse, 6);
    let setup = stage.plain();
    let mut number = 0;
    let mut start = |seat: usize| -> Member {
        stage.configure(&Setup { source: source(seat), ..setup.clone() });
        number += 1;
        Member { seat, engine: stage.engine(&format!("engine-{number}")) }
    };
    let mut members = vec![start(0)];
    let mut feed = stage.feed();
    let time = lasting(Duration::from_secs(14));
    let begun = Instant::now();
    let (mut joins, mut leaves, mut kills, mut pauses) = (0, 0, 0, 0);
    while begun.elapsed() < time {
        feed.run(4_000, dice.millis(800..2_000), |_| {});
        let full = members.len() >= CROWD;
        if members.len() < 2 || (!full && dice.percent(50)) {
            members.push(start(free_seat(&members)));
            joins += 1;
            continue;
        }
        let index = dice.number(0..members.len() as u64) as usize;
        match dice.number(0..3) {
            0 => {
                let mut engine = members.remove(index).engine;
                clean(&engine, setup.memory);
                assert!(engine.terminate().success(), "{}", engine.log());
                leaves += 1;
            }
            1 => {
                members.remove(index).engine.kill();
                kills += 1;
            }
            _ => {
                // Longer than a session where it takes that long: another one then has its partitions.
                let engine = &members[index].engine;
                engine.pause();
                feed.run(4_000, dice.millis(500..9_500), |_| {});
                engine.resume();
                pauses += 1;
            }
        }
    }
    let last = Instant::now();
    let engines: Vec<&Engine> = members.iter().map(|it| &it.engine).collect();
    wait_for("every partition has an owner", 60, || Stage::owned(&engines) == stage.partitions);
    let owned = last.elapsed();
    let events = feed.flush();
    stage.settle(events, 90);
    for Member { engine, .. } in &mut members {
        clean(engine, setup.memory);
        assert!(engine.terminate().success(), "{}", engine.log());
    }
    let verdict = judge(&stage, events);
    eprintln!(
        "{name}: {joins} joined, {leaves} left, {kills} killed, {pauses} paused; owned after {owned:?}; {verdict:?}"
    );
    verdict.holds(setup.promise);
    // What a machine that has nothing else to do is held to; a short form may run on any.
    assert!(soak_time().is_none() || owned <= OWNED, "partitions without an owner for {owned:?}");
}

#[test]
fn f9_members_come_and_go() {
    storm("f9", |_| String::new());
}

/// A member that comes back under its name takes what it had.
#[test]
fn f9_members_with_names_come_and_go() {
    storm("f9s", |seat| format!("client = {{ \"group.instance.id\" = \"member-{seat}\" }}"));
}

/// The broker hands out partitions one by one.
#[test]
fn f9_members_of_the_newer_protocol_come_and_go() {
    storm("f9n", |_| "client = { \"group.protocol\" = \"consumer\" }".to_owned());
}
