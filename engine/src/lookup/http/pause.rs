//! When to leave a service alone: after some fetches in a row that only waited, for a moment.
//!
//! Without it every batch would wait a whole timeout for a service that hangs, and the lane behind it too.

use std::time::{Duration, Instant};

/// One late fetch is bad luck and two are a deployment; at the third the service hangs.
const LATE_MAX: u32 = 3;
/// The first pause; each further one is twice as long.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
/// The longest: a service that comes back is noticed within half a minute.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// How often in a row a service let us wait in vain, and until when it is left alone.
#[derive(Debug, Default)]
pub(super) struct Pause {
    late: u32,
    until: Option<Instant>,
}

impl Pause {
    /// Whether the service may be asked now.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }

    /// A key was answered, by whatever answer.
    pub(super) fn answered(&mut self) {
        *self = Self::default();
    }

    /// A fetch waited its whole timeout and no key was answered.
    pub(super) fn waited_in_vain(&mut self, now: Instant) {
        self.late += 1;
        if let Some(times) = self.late.checked_sub(LATE_MAX) {
            let pause = PAUSE_FIRST * 2_u32.pow(times.min(10));
            self.until = Some(now + pause.min(PAUSE_MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_begin_at_the_third_wait_and_grow() {
        let mut pause = Pause::default();
        let mut now = Instant::now();
        for _ in 1..LATE_MAX {
            pause.waited_in_vain(now);
            assert!(pause.is_over(now));
        }
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            pause.waited_in_vain(now);
            let pause_ends = now + Duration::from_secs(seconds);
            assert!(!pause.is_over(pause_ends.checked_sub(Duration::from_nanos(1)).unwrap()));
            assert!(pause.is_over(pause_ends));
            now = pause_ends;
        }
        pause.answered();
        pause.waited_in_vain(now);
        assert!(pause.is_over(now));
    }
}
