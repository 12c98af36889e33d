//! How long batches wait for a back end, and when it is left alone: from how it answered so far.
//!
//! Without it every batch would wait a whole timeout for a server that hangs, and the lane behind it too.

use std::time::{Duration, Instant};

/// Waiting in vain may take one part in so many of the time.
const SHARE: u32 = 20;
/// Timeouts that may be spent at once: one late batch is bad luck, the second is a deployment.
const SAVED: u32 = 2;
/// The first pause after nobody was there; each further one is twice as long.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
/// The longest: a server that comes back is noticed within half a minute.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// What a batch does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stance {
    /// It asks and waits.
    Wait,
    /// It asks and goes on: the answers are for the next one.
    Ask,
    /// It does not ask.
    Silent,
}

/// An account of time to wait in vain, and how often nobody was there.
#[derive(Debug)]
pub(super) struct Patience {
    timeout: Duration,
    left: Duration,
    seen: Instant,
    /// After the account was empty, nobody waits before an answer came in time.
    tired: bool,
    refusals: u32,
    until: Option<Instant>,
}

impl Patience {
    pub(super) fn new(timeout: Duration, now: Instant) -> Self {
        let left = timeout * SAVED;
        Self { timeout, left, seen: now, tired: false, refusals: 0, until: None }
    }

    /// What a batch does now.
    pub(super) fn stance(&mut self, now: Instant) -> Stance {
        self.earn(now);
        if self.until.is_some_and(|until| until > now) {
            Stance::Silent
        } else if self.tired || self.left < self.timeout {
            Stance::Ask
        } else {
            Stance::Wait
        }
    }

    /// A batch waited so long and went on without some answers, or without any that is of use. Returns whether batches no longer wait from now on.
    pub(super) fn waited_in_vain(&mut self, waited: Duration, now: Instant) -> bool {
        self.earn(now);
        self.left = self.left.saturating_sub(waited);
        let tired = self.left < self.timeout;
        let changed = tired && !self.tired;
        self.tired |= tired;
        changed
    }

    /// A call was answered. Returns whether that is news.
    pub(super) fn answered(&mut self, in_time: bool) -> bool {
        let was_away = self.until.take().is_some();
        self.refusals = 0;
        let was_tired = in_time && std::mem::take(&mut self.tired);
        was_away || was_tired
    }

    /// A call was refused. Returns how long the back end is left alone, where refusals are all that it has for us and that is not known yet.
    pub(super) fn refused(&mut self, now: Instant) -> Option<Duration> {
        if self.tired {
            return self.unreachable(now);
        }
        self.answered(false);
        None
    }

    /// Nobody was there. Returns how long the back end is left alone, where that is not known yet.
    pub(super) fn unreachable(&mut self, now: Instant) -> Option<Duration> {
        // Calls that were under way together are one refusal.
        if self.until.is_some_and(|until| until > now) {
            return None;
        }
        let pause = (PAUSE_FIRST * 2_u32.pow(self.refusals.min(10))).min(PAUSE_MAX);
        self.refusals += 1;
        self.until = Some(now + pause);
        Some(pause)
    }

    fn earn(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.seen);
        self.seen = self.seen.max(now);
        self.left = (self.left + passed / SHARE).min(self.timeout * SAVED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(500);

    #[test]
    fn a_server_that_hangs_costs_two_timeouts() {
        let start = Instant::now();
        let mut patience = Patience::new(TIMEOUT, start);
        let mut now = start;
        let mut waited = Duration::ZERO;
        while now < start + Duration::from_mins(10) {
            if patience.stance(now) == Stance::Wait {
                now += TIMEOUT;
                waited += TIMEOUT;
                patience.waited_in_vain(TIMEOUT, now);
            } else {
                now += Duration::from_millis(10);
            }
        }
        assert_eq!(waited, TIMEOUT * SAVED);
    }

    #[test]
    fn a_server_that_refuses_costs_no_more_and_is_left_alone() {
        const ROUND_TRIP: Duration = Duration::from_millis(40);
        let start = Instant::now();
        let mut patience = Patience::new(TIMEOUT, start);
        let mut now = start;
        let (mut waited, mut asked) = (Duration::ZERO, 0);
        while now < start + Duration::from_mins(10) {
            match patience.stance(now) {
                Stance::Wait => {
                    now += ROUND_TRIP;
                    waited += ROUND_TRIP;
                    patience.waited_in_vain(ROUND_TRIP, now);
                    patience.refused(now);
                }
                Stance::Ask => {
                    asked += 1;
                    patience.refused(now);
                }
                Stance::Silent => {}
            }
            now += Duration::from_millis(10);
        }
        assert!(waited <= TIMEOUT * SAVED, "{waited:?}");
        // After 1, 2, 4, 8 and 16 seconds, then every half minute.
        assert!((20..30).contains(&asked), "{asked}");
        patience.answered(true);
        assert_eq!(patience.stance(now), Stance::Wait, "an answer in time ends it");
    }

    #[test]
    fn a_server_that_is_late_now_and_then_costs_a_twentieth() {
        let start = Instant::now();
        let mut patience = Patience::new(TIMEOUT, start);
        let mut now = start;
        let mut waited = Duration::ZERO;
        while now < start + Duration::from_mins(10) {
            if patience.stance(now) == Stance::Wait {
                now += TIMEOUT;
                waited += TIMEOUT;
                patience.waited_in_vain(TIMEOUT, now);
            }
            // Its other keys come in time.
            patience.answered(true);
            now += Duration::from_millis(10);
        }
        assert!(waited <= Duration::from_secs(30) + TIMEOUT * SAVED, "{waited:?}");
        assert!(waited >= Duration::from_secs(25), "{waited:?}");
    }

    #[test]
    fn an_answer_in_time_makes_batches_wait_again() {
        let start = Instant::now();
        let mut patience = Patience::new(TIMEOUT, start);
        patience.waited_in_vain(TIMEOUT, start + TIMEOUT);
        assert!(patience.waited_in_vain(TIMEOUT, start + TIMEOUT * 2), "said once");
        assert!(!patience.waited_in_vain(TIMEOUT, start + TIMEOUT * 2));
        let later = start + Duration::from_mins(1);
        assert_eq!(patience.stance(later), Stance::Ask);
        assert!(!patience.answered(false), "late answers are no reason to wait");
        assert_eq!(patience.stance(later), Stance::Ask);
        assert!(patience.answered(true));
        assert_eq!(patience.stance(later), Stance::Wait);
    }

    #[test]
    fn pauses_grow_while_nobody_is_there() {
        let mut now = Instant::now();
        let mut patience = Patience::new(TIMEOUT, now);
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            let pause = Duration::from_secs(seconds);
            assert_eq!(patience.unreachable(now), Some(pause));
            assert_eq!(patience.unreachable(now), None, "calls under way together count once");
            let before = (now + pause).checked_sub(Duration::from_nanos(1)).unwrap();
            assert_eq!(patience.stance(before), Stance::Silent);
            now += pause;
            assert_eq!(patience.stance(now), Stance::Wait);
        }
        patience.answered(true);
        assert_eq!(patience.unreachable(now), Some(PAUSE_FIRST));
    }
}
