//! When to try again: exponential back-off with full jitter, as a pure function.
//!
//! Invariant: no clock and no sleeping; the caller waits.

use std::time::Duration;

/// How waiting grows from try to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The longest possible wait after the first failure.
    pub first: Duration,
    /// No wait is longer than this.
    pub cap: Duration,
}

impl Default for Backoff {
    /// 100 ms is about one insert; 30 s keeps a recovered server from idling longer than people wait.
    fn default() -> Self {
        Self { first: Duration::from_millis(100), cap: Duration::from_secs(30) }
    }
}

impl Backoff {
    /// The upper bound of the wait after that many failures (the first is 0).
    pub fn ceiling(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.cap)
    }

    /// How long to wait after that many failures: anything between zero and the ceiling, so that many
    /// waiting engines do not come back at once. `random` is any 64 random bits.
    pub fn delay(&self, failures: u32, random: u64) -> Duration {
        let ceiling = self.ceiling(failures).as_nanos();
        Duration::from_nanos(((ceiling * u128::from(random)) >> 64) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap() {
        let backoff = Backoff::default();
        let millis = |failures| backoff.ceiling(failures).as_millis();
        assert_eq!([millis(0), millis(1), millis(3), millis(9)], [100, 200, 800, 30_000]);
        assert_eq!([millis(31), millis(32), millis(u32::MAX)], [30_000; 3]);
    }

    #[test]
    fn jitter_spreads_over_the_whole_range() {
        let backoff = Backoff::default();
        assert_eq!(backoff.delay(4, 0), Duration::ZERO);
        assert_eq!(backoff.delay(4, 1 << 63), backoff.ceiling(4) / 2);
        assert!(backoff.delay(4, u64::MAX) < backoff.ceiling(4));
    }
}
