//! How many keys a second a back end is asked for at most.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// An account of keys that fills with time, up to what a second brings.
#[derive(Debug)]
pub(super) struct Rate {
    /// Keys a second; 0: no limit.
    limit: u32,
    account: Mutex<(f64, Instant)>,
}

impl Rate {
    pub(super) fn new(limit: u32, now: Instant) -> Self {
        Self { limit, account: Mutex::new((f64::from(limit), now)) }
    }

    /// How many of so many keys may be asked for now. Whole keys are taken from the account.
    pub(super) fn take(&self, wanted: usize, now: Instant) -> usize {
        if self.limit == 0 {
            return wanted;
        }
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        let (left, seen) = *account;
        let passed: Duration = now.saturating_duration_since(seen);
        let limit = f64::from(self.limit);
        let left = (left + passed.as_secs_f64() * limit).min(limit);
        let taken = wanted.min(left as usize);
        *account = (left - taken as f64, seen.max(now));
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_brings_what_the_limit_says() {
        let start = Instant::now();
        let rate = Rate::new(100, start);
        assert_eq!(rate.take(60, start), 60);
        assert_eq!(rate.take(60, start), 40);
        assert_eq!(rate.take(60, start), 0);
        assert_eq!(rate.take(60, start + Duration::from_millis(105)), 10);
        assert_eq!(rate.take(1_000, start + Duration::from_hours(1)), 100, "nothing is saved up");
        assert_eq!(Rate::new(0, start).take(7, start), 7);
    }
}
