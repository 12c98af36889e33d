//! Faults on real servers: what is killed, paused, cut off and lied to, and the ledger that must balance afterwards.
//!
//! Every choice comes from a seed, which is printed; `LOGMON_SEED=N` makes the same choices again. The short form of each test runs always;
//! `LOGMON_SOAK=30m` makes each last that long.

mod bodies;
mod brokers;
mod campaign;
mod clock;
mod group;
mod lies;
mod oracle;
mod points;
mod proxy;
mod refuses;
mod reloads;
mod seed;
mod servers;
mod soak;
mod stage;
mod stands_still;
mod storm;
mod takeover;
mod wide;

use std::time::Duration;

/// How long a long form was asked to last; `None`: the short form.
fn soak_time() -> Option<Duration> {
    let text = std::env::var("LOGMON_SOAK").ok()?;
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let number: u64 = digits.parse().ok()?;
    match unit {
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_mins(number)),
        "h" => Some(Duration::from_hours(number)),
        _ => panic!("LOGMON_SOAK={text}: write it as 90s, 30m or 2h"),
    }
}

/// What a short form takes, or the time that was asked for.
fn lasting(short: Duration) -> Duration {
    soak_time().unwrap_or(short)
}
