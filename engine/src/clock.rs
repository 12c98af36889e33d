//! Time as an argument: the machine's own, or one that a test moves.
//!
//! Invariant: nothing else in the engine asks the system what time it is.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Where time comes from.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Wall time: nanoseconds since 1970 in UTC. May jump.
    fn now(&self) -> i64;

    /// Time since some fixed moment. Never goes back; for ages and waits.
    fn monotonic(&self) -> Duration;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    started: Instant,
}

/// A clock that stands still until it is moved.
#[derive(Debug, Clone)]
pub struct ManualClock {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Nanoseconds since 1970.
    wall: AtomicI64,
    /// Nanoseconds since it was made.
    passed: AtomicI64,
}

impl SystemClock {
    /// Starts its monotonic count now.
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> i64 {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the clock that everybody else takes"
        )]
        let now = SystemTime::now();
        // A clock set before 1970 reads as 1970, and nanoseconds fit until 2262.
        now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64)
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

impl ManualClock {
    /// Stands at this wall time, nanoseconds since 1970.
    pub fn at(wall: i64) -> Self {
        let shared = Shared { wall: AtomicI64::new(wall), passed: AtomicI64::new(0) };
        Self { shared: Arc::new(shared) }
    }

    /// Moves both its times on; every clone sees it.
    pub fn advance(&self, by: Duration) {
        let nanos = by.as_nanos() as i64;
        self.shared.wall.fetch_add(nanos, Ordering::SeqCst);
        self.shared.passed.fetch_add(nanos, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> i64 {
        self.shared.wall.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.shared.passed.load(Ordering::SeqCst) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_move_together() {
        let clock = ManualClock::at(1_000);
        let other = clock.clone();
        other.advance(Duration::from_nanos(5));
        assert_eq!((clock.now(), clock.monotonic()), (1_005, Duration::from_nanos(5)));
    }

    #[test]
    fn the_system_clock_knows_this_century() {
        let clock = SystemClock::new();
        assert!(clock.now() > 1_577_836_800_000_000_000, "{} lies before 2020", clock.now());
        assert!(clock.monotonic() <= clock.monotonic());
    }
}
