//! The delivery protocol against every order of events of a small world; and without each of its mechanisms, where it must fail.

mod world;

use std::{
    collections::{HashSet, VecDeque},
    hash::{Hash, Hasher},
};

use xxhash_rust::xxh3::Xxh3;

use world::{Budget, Case, Event, Order, World, Wrong};

/// Nothing goes wrong.
const CALM: Budget = Budget {
    server_crashes: 0,
    owner_crashes: 0,
    rebalances: 0,
    timeouts: 0,
    reloads: 0,
    lost_acks: 0,
    recreations: 0,
    stricter: 0,
};

/// One of each that an ordinary bad day brings.
const BAD_DAY: Budget = Budget {
    server_crashes: 1,
    owner_crashes: 1,
    rebalances: 1,
    timeouts: 1,
    reloads: 1,
    lost_acks: 1,
    ..CALM
};

/// All mechanisms, two records, a bad day.
const FULL: Case = Case {
    order: Order::LogFirst,
    offsets: 2,
    budget: BAD_DAY,
    overlap: false,
    fickle: false,
    token: true,
    probe: true,
    verify: true,
    quiesce: true,
    same_connection: true,
    intent: true,
    pinned: true,
    fencing: true,
    outlast: true,
    confirm: true,
    incarnation: true,
    cut: true,
};

/// What a search found.
struct Found {
    states: usize,
    finished: usize,
    wrong: Option<(Wrong, Vec<Event>)>,
}

/// States that a search may visit before it is called too large: a mistake in a case, not in the protocol.
const STATES_MAX: usize = 4_000_000;

/// Visits every state, nearest first, and stops at the first that is wrong.
fn search(case: &Case) -> Found {
    let key = |world: &World| {
        let mut hasher = Xxh3::new();
        world.hash(&mut hasher);
        (hasher.finish(), hasher.digest128() as u64)
    };
    let first = World::new(case);
    let mut seen = HashSet::from([key(&first)]);
    let mut steps: Vec<(u32, Event)> = vec![(0, Event::Start)];
    let mut left = VecDeque::from([(0_u32, first)]);
    let mut finished = 0;
    while let Some((at, world)) = left.pop_front() {
        if let Some(wrong) = world.wrong(case) {
            let mut way = Vec::new();
            let mut step = at;
            while step > 0 {
                let (before, event) = steps[step as usize];
                way.push(event);
                step = before;
            }
            way.reverse();
            return Found { states: seen.len(), finished, wrong: Some((wrong, way)) };
        }
        finished += usize::from(world.is_finished(case));
        for (event, next) in world.next(case) {
            if seen.insert(key(&next)) {
                assert!(seen.len() < STATES_MAX, "the case is too large to be searched");
                steps.push((at, event));
                left.push_back((steps.len() as u32 - 1, next));
            }
        }
    }
    Found { states: seen.len(), finished, wrong: None }
}

#[track_caller]
fn holds(name: &str, case: &Case) {
    let started = std::time::Instant::now();
    let found = search(case);
    let seconds = started.elapsed().as_secs_f64();
    println!("{name}: {} states, {} finished, {seconds:.1} s", found.states, found.finished);
    assert_eq!(found.wrong, None, "{name}");
    assert!(found.finished > 0, "{name}: nothing ever ends well");
}

#[track_caller]
fn fails(name: &str, case: &Case, expected: fn(Wrong) -> bool) {
    let found = search(case);
    let (wrong, way) = found
        .wrong
        .unwrap_or_else(|| panic!("{name}: {} states and nothing is wrong", found.states));
    println!("{name}: {wrong:?} after {} steps: {way:?}", way.len());
    assert!(expected(wrong), "{name}: {wrong:?} by {way:?}");
}

fn is_loss(wrong: Wrong) -> bool {
    matches!(wrong, Wrong::Loss(_))
}

fn is_duplicate(wrong: Wrong) -> bool {
    matches!(wrong, Wrong::Duplicate(_))
}

/// A quarter of a bad day is searched with every test run. The whole of it takes a minute and more: `LOGMON_MODEL=whole cargo test -p
/// logmon-engine --test it -- model --nocapture`.
#[test]
fn holds_on_a_bad_day() {
    let whole = std::env::var_os("LOGMON_MODEL").is_some_and(|size| size == "whole");
    let parts = [
        Budget { lost_acks: 0, timeouts: 0, ..BAD_DAY },
        Budget { lost_acks: 0, owner_crashes: 0, reloads: 0, ..BAD_DAY },
        Budget { server_crashes: 0, ..BAD_DAY },
    ];
    let days = if whole { &[BAD_DAY][..] } else { &parts };
    for &budget in days {
        for order in [Order::LogFirst, Order::PartFirst, Order::Atomic] {
            // Without a crash of the server its order makes no difference.
            if budget.server_crashes > 0 || order == Order::Atomic {
                holds(&format!("{order:?}, {budget:?}"), &Case { order, budget, ..FULL });
            }
        }
    }
}

#[test]
fn holds_when_acknowledgements_are_lost() {
    let budget = Budget { timeouts: 0, reloads: 0, lost_acks: 2, ..BAD_DAY };
    holds("two acknowledgements lost", &Case { budget, ..FULL });
}

#[test]
fn holds_when_much_comes_at_once() {
    let crashes =
        Budget { server_crashes: 2, owner_crashes: 0, lost_acks: 0, reloads: 0, ..BAD_DAY };
    holds("two crashes of the server", &Case { budget: crashes, ..FULL });
    let storm = Budget { rebalances: 3, timeouts: 0, reloads: 0, lost_acks: 0, ..BAD_DAY };
    holds("three rebalances", &Case { order: Order::PartFirst, budget: storm, ..FULL });
}

#[test]
fn holds_while_ranges_are_built_ahead() {
    let budget = Budget { server_crashes: 1, owner_crashes: 1, ..CALM };
    holds("built ahead", &Case { budget, overlap: true, offsets: 3, ..FULL });
}

#[test]
fn holds_when_the_same_rules_say_something_else() {
    let budget = Budget { lost_acks: 0, rebalances: 0, ..BAD_DAY };
    holds("fickle", &Case { budget, fickle: true, ..FULL });
    holds("fickle, part first", &Case { budget, fickle: true, order: Order::PartFirst, ..FULL });
}

/// A lookup answers otherwise after a takeover, and the old owner does not know of it yet.
const FICKLE: Budget = Budget { rebalances: 1, reloads: 1, ..CALM };

#[test]
fn holds_when_answers_change_and_an_earlier_owner_does_not_know() {
    let case = Case { fickle: true, budget: FICKLE, ..FULL };
    holds("fickle, unaware", &case);
    for order in [Order::LogFirst, Order::PartFirst, Order::Atomic] {
        let budget = Budget { server_crashes: 1, ..FICKLE };
        holds(&format!("fickle, unaware, {order:?}"), &Case { order, budget, ..case });
    }
    let budget = Budget { timeouts: 1, lost_acks: 1, ..FICKLE };
    holds("fickle, unaware, lost words", &Case { budget, ..case });
    let budget = Budget { rebalances: 2, ..FICKLE };
    holds("fickle, unaware twice", &Case { budget, ..case });
}

/// A topic of the same name with other records under the same offsets.
const RECREATED: Budget = Budget { recreations: 1, owner_crashes: 1, server_crashes: 1, ..CALM };

/// A table that refuses from some moment on what it took before.
const STRICTER: Budget = Budget { stricter: 1, server_crashes: 1, owner_crashes: 1, ..CALM };

#[test]
fn holds_when_a_topic_is_recreated() {
    holds("recreated", &Case { budget: RECREATED, ..FULL });
}

#[test]
fn holds_when_rows_are_refused() {
    // Crashes beside it are too many states for every day; the search without `cut` has them.
    let budget = Budget { stricter: 1, ..CALM };
    holds("stricter", &Case { budget, ..FULL });
    holds("stricter, part first", &Case { budget, order: Order::PartFirst, ..FULL });
}

/// Each mechanism is taken out, and the search finds what it is there for.
#[test]
fn fails_without_each_mechanism() {
    let log = &FULL;
    let part = &Case { order: Order::PartFirst, ..FULL };
    let atomic = &Case { order: Order::Atomic, ..FULL };
    let none = Case { probe: false, verify: false, quiesce: false, same_connection: false, ..FULL };
    fails("token only", &none, is_loss);
    fails("token only, part first", &Case { order: Order::PartFirst, ..none }, is_duplicate);
    fails("no verify", &Case { verify: false, ..*log }, is_loss);
    fails("no probe", &Case { probe: false, ..*part }, is_duplicate);
    fails("no token", &Case { token: false, quiesce: false, ..*atomic }, is_duplicate);
    let loose = Case { quiesce: false, same_connection: false, ..*part };
    fails("no quiesce, any connection", &loose, is_duplicate);
    fails("any connection", &Case { same_connection: false, ..*part }, is_duplicate);
    fails("no intent", &Case { intent: false, ..*atomic }, is_duplicate);
    fails("rules not pinned", &Case { pinned: false, ..*atomic }, is_duplicate);
    fails("no fencing", &Case { fencing: false, ..*atomic }, is_duplicate);
    let fickle = Case { fickle: true, budget: FICKLE, ..FULL };
    fails("no outlasting", &Case { outlast: false, ..fickle }, is_duplicate);
    let crash = Budget { server_crashes: 1, ..FICKLE };
    fails("no confirming", &Case { confirm: false, budget: crash, ..fickle }, is_duplicate);
    let recreated = Case { budget: RECREATED, incarnation: false, ..*log };
    fails("no incarnation", &recreated, is_loss);
    fails("no cut", &Case { budget: STRICTER, cut: false, ..*log }, is_loss);
}
