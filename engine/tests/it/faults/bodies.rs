//! Inserts that are cut, and answers that get lost: the server may have the rows or not, and nobody says which.

use super::{
    campaign::campaign,
    oracle::Promise,
    proxy::{
        End,
        clickhouse::{Fault, Plan},
    },
};

/// The rows are stored every time, and the engine never hears it.
#[test]
fn f5_answers_get_lost() {
    let faults = vec![
        Fault::LoseAnswer(End::Close),
        Fault::LoseAnswer(End::Reset),
        Fault::HangUp(End::Close),
        Fault::HangUp(End::Reset),
        Fault::Blackhole(700),
        Fault::Late(400),
    ];
    campaign("f5", Plan { faults, inserts: 40, queries: 20 }, Promise::usual()).stands_once();
}

/// A part of a unit is never stored: its repetition would either be dropped as known, and rows lost, or stored once more, and rows repeated.
#[test]
fn f6_bodies_are_cut() {
    let mut faults = vec![Fault::Slices];
    for percent in [0, 1, 50, 99] {
        faults.push(Fault::CutBody(percent, End::Close));
        faults.push(Fault::CutBody(percent, End::Reset));
        faults.push(Fault::CutChunks(percent, End::Close));
        faults.push(Fault::HalfClose(percent));
    }
    campaign("f6", Plan { faults, inserts: 50, queries: 10 }, Promise::usual()).stands_once();
}

/// The server dies between two writes, and afterwards knows the rows but not the token: nothing is lost.
#[test]
fn f4_rows_are_stored_and_their_token_is_not() {
    let faults = vec![Fault::RowsOnly];
    campaign("f4_rows", Plan { faults, inserts: 30, queries: 0 }, Promise::usual());
}
