//! Answers that look like success and are none, and errors that only ask for patience.

use super::{
    campaign::campaign,
    oracle::Promise,
    proxy::{
        clickhouse::{Fault, Plan},
        lie::{LATER, LIES},
    },
};

/// Nothing of it reached the server: what is counted as a success would be lost.
#[test]
fn f8_answers_lie() {
    let faults = LIES.into_iter().map(Fault::Lie).collect();
    campaign("f8", Plan { faults, inserts: 50, queries: 0 }, Promise::usual()).stands_once();
}

/// A full disk, too many parts, no memory: waited for, and nobody's dead letter.
#[test]
fn f15_the_server_asks_for_patience() {
    let faults = LATER.into_iter().map(Fault::Lie).collect();
    campaign("f15", Plan { faults, inserts: 60, queries: 0 }, Promise::usual()).stands_once();
}
