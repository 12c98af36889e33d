//! The cache by itself: lives, flights, renewals, and its bound.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::*;
use crate::config::{ByteSize, Wait};

const MINUTE: Duration = Duration::from_mins(1);

fn config(ttl: Duration) -> config::Cache {
    let wait = Wait(ttl);
    config::Cache {
        ttl: wait,
        negative_ttl: wait,
        stale: Wait(Duration::ZERO),
        ..Default::default()
    }
}

fn cache(ttl: Duration) -> AnswerCache {
    AnswerCache::new(&config(ttl))
}

fn echo(keys: &[&str]) -> Vec<Answer> {
    keys.iter().map(|key| Answer::Found((*key).into())).collect()
}

fn misses(keys: &[&str]) -> Vec<Answer> {
    vec![Answer::Miss; keys.len()]
}

#[test]
fn only_keys_without_an_answer_are_fetched() {
    let cache = cache(MINUTE);
    assert_eq!(cache.resolve(&["a", "b"], true, echo).answers, echo(&["a", "b"]));
    let mut asked = Vec::new();
    let resolved = cache.resolve(&["b", "c", "a"], true, |keys| {
        asked.extend(keys.iter().map(ToString::to_string));
        misses(keys)
    });
    assert_eq!(asked, ["c"]);
    assert_eq!(resolved.answers[1], Answer::Miss);
    assert_eq!(resolved.answers[0], Answer::Found("b".into()));
    assert_eq!((resolved.fetched, resolved.stale), (1, 0));
}

#[test]
fn answers_end_with_their_time_and_with_their_data() {
    let brief = cache(Duration::ZERO);
    brief.resolve(&["a"], true, echo);
    assert_eq!(brief.resolve(&["a"], true, misses).answers, [Answer::Miss]);
    let long = cache(MINUTE);
    long.resolve(&["a"], true, echo);
    long.forget();
    assert_eq!(long.resolve(&["a"], true, misses).answers, [Answer::Miss]);
}

#[test]
fn an_answer_fetched_before_a_reload_is_not_kept_after_it() {
    let cache = cache(MINUTE);
    cache.resolve(&["a"], true, |keys| {
        cache.forget();
        echo(keys)
    });
    assert_eq!(cache.resolve(&["a"], true, misses).answers, [Answer::Miss]);
}

#[test]
fn one_flight_a_key() {
    let cache = cache(MINUTE);
    let fetched = AtomicUsize::new(0);
    let together = Barrier::new(4);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                together.wait();
                let resolved = cache.resolve(&["a", "b"], true, |keys| {
                    fetched.fetch_add(keys.len(), Ordering::SeqCst);
                    std::thread::yield_now();
                    echo(keys)
                });
                assert_eq!(resolved.answers, echo(&["a", "b"]));
            });
        }
    });
    assert_eq!(fetched.load(Ordering::SeqCst), 2);
    assert_eq!(cache.flights(), 0);
}

#[test]
fn a_fetch_that_panics_lands_as_failed() {
    let cache = cache(MINUTE);
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| {
        cache.resolve(&["a"], true, |_| panic!("the back end has a bug"))
    }));
    assert!(outcome.is_err());
    assert_eq!(cache.resolve(&["a"], true, echo).answers, echo(&["a"]));
}

#[test]
fn old_answers_are_given_while_one_caller_renews_them() {
    // An answer is old at once, and is given for a minute more.
    let brief = Wait(Duration::from_nanos(1));
    let lives = config::Cache { ttl: brief, stale: Wait(MINUTE), ..config(MINUTE) };
    let cache = AnswerCache::new(&lives);
    cache.resolve(&["a", "b"], true, echo);
    let refuse = |_: &[&str]| -> Vec<Answer> { panic!("nobody has to wait") };
    let first = cache.resolve(&["a", "b"], true, refuse);
    assert_eq!((first.answers, first.stale), (echo(&["a", "b"]), 2));
    let renewal = first.renewal.expect("the first one to see them renews them");
    assert_eq!(cache.flights(), 2);
    let second = cache.resolve(&["a"], true, refuse);
    assert_eq!((second.answers, second.stale), (echo(&["a"]), 1));
    assert!(second.renewal.is_none(), "they are being renewed");
    cache.renew(renewal, |keys| {
        assert_eq!(keys, ["a", "b"]);
        vec![Answer::Found("new".into()), Answer::Failed]
    });
    assert_eq!(cache.flights(), 0);
    let third = cache.resolve(&["a", "b"], true, refuse);
    // What could not be renewed stays, and is left alone for a second.
    assert_eq!(third.answers, [Answer::Found("new".into()), Answer::Found("b".into())]);
    assert_eq!(third.stale, 1, "`a` is old again, `b` waits for its second");
    drop(third.renewal);
    assert_eq!(cache.flights(), 0, "a renewal that nobody does is given up");
}

#[test]
fn what_nobody_would_ask_for_fails_and_is_not_remembered() {
    let cache = cache(MINUTE);
    cache.resolve(&["a"], true, echo);
    let resolved = cache.resolve(&["a", "b"], false, |_| unreachable!("nobody would ask"));
    assert_eq!(resolved.answers, [Answer::Found("a".into()), Answer::Failed]);
    assert_eq!(resolved.fetched, 1, "it was not there");
    assert_eq!(cache.resolve(&["b"], true, echo).answers, echo(&["b"]));
}

#[test]
fn keys_above_the_rate_are_refused_and_not_remembered() {
    let cache = AnswerCache::new(&config::Cache { rate: 2, ..config(MINUTE) });
    let resolved = cache.resolve(&["a", "b", "c"], true, echo);
    let found = |key: &str| Answer::Found(key.into());
    assert_eq!(resolved.answers, [found("a"), found("b"), Answer::Failed]);
    assert_eq!((resolved.fetched, resolved.refused), (2, 1));
    assert_eq!(cache.resolve(&["a"], true, misses).answers, [found("a")]);
}

#[test]
fn keys_can_be_fetched_ahead() {
    let cache = cache(MINUTE);
    cache.warm(&["a", "b"], echo);
    assert_eq!(cache.resolve(&["a", "b"], true, misses).answers, echo(&["a", "b"]));
}

#[test]
fn it_stays_below_its_bounds_whatever_comes() {
    let bytes = 2 << 20;
    let bounded = AnswerCache::new(&config::Cache { bytes: ByteSize(bytes), ..config(MINUTE) });
    let row = Answer::Found("x".repeat(300).into());
    let mut highest = 0;
    for batch in 0..200 {
        let keys: Vec<String> = (0..500).map(|key| format!("{batch}-{key}")).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        bounded.resolve(&keys, true, |keys| vec![row.clone(); keys.len()]);
        bounded.answers.run_pending_tasks();
        highest = highest.max(bounded.bytes());
    }
    assert!(highest <= bytes, "{highest} bytes are held");
    assert!(highest > bytes / 2, "and the room is used: {highest}");
    assert!(bounded.take_evicted() > 90_000, "of 100,000 answers");
    let few = AnswerCache::new(&config::Cache { entries: 100, ..config(MINUTE) });
    for key in 0..10_000 {
        few.resolve(&[&key.to_string()], true, misses);
    }
    few.answers.run_pending_tasks();
    assert!(few.entries() <= 100, "{} entries are held", few.entries());
}
