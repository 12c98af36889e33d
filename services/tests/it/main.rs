//! The real servers, started, disturbed and ended.
//!
//! These tests fetch what is missing, once, through `mvn` and `npm`.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod background;
mod clickhouse;
mod databases;
mod ends;
mod kafka;
mod secure;
mod setup;
mod wire;

use std::fs;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

/// Whether anything accepts connections there.
fn is_open(address: &str) -> bool {
    TcpStream::connect(address).is_ok()
}

/// The state letter of a process; None if it is gone, also if only its parent has not yet noticed.
fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    // A leader that has ended while its threads have not still holds its ports.
    let gone = fields[0] == "Z" && fields[17].parse::<u32>().unwrap() <= 1;
    if gone { None } else { fields[0].chars().next() }
}

/// Waits for what another process does in its own time.
#[track_caller]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::yield_now();
    }
}
