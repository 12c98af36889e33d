//! How large blocks are and how long they grow, as the server takes them now: less at once when it lacks memory, more seldom when it has
//! too many parts; back to what is configured step by step.
//!
//! Invariant: pure numbers, no clock.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use crate::config::{Batch, ByteSize, Wait};

/// Everything is counted in thousandths.
const WHOLE: u32 = 1000;
/// Blocks become no smaller than this part: 1,500 rows of the usual 100,000.
const SIZE_MIN: u32 = WHOLE / 64;
/// Blocks grow no longer than so many times their age: ten seconds of the usual one.
const AGE_MAX: u32 = 10 * WHOLE;
/// What a stored block gives back.
const STEP: u32 = WHOLE / 20;
/// An insert that takes this long, times the stretch, was slowed down: a server with many parts delays each by up to a second.
const SLOW: Duration = Duration::from_secs(1);

/// The pace of one sink.
#[derive(Debug)]
pub struct Pace {
    size: AtomicU32,
    age: AtomicU32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { size: AtomicU32::new(WHOLE), age: AtomicU32::new(WHOLE) }
    }
}

impl Pace {
    /// The server has no memory for a block: half as much at once.
    pub fn too_large(&self) {
        change(&self.size, |size| (size / 2).max(SIZE_MIN));
    }

    /// The server has too many parts: twice as long between blocks.
    pub fn too_often(&self) {
        change(&self.age, |age| (age * 2).min(AGE_MAX));
    }

    /// The server took a block, in so much time.
    pub fn stored(&self, took: Duration) {
        change(&self.size, |size| (size + STEP).min(WHOLE));
        if took >= self.aged(SLOW) {
            change(&self.age, |age| (age + age / 2).min(AGE_MAX));
        } else {
            change(&self.age, |age| age.saturating_sub(STEP).max(WHOLE));
        }
    }

    /// The part of the configured size that blocks have now.
    pub fn size(&self) -> f64 {
        f64::from(self.size.load(Ordering::Relaxed)) / f64::from(WHOLE)
    }

    /// How many times the configured age blocks grow now.
    pub fn stretch(&self) -> f64 {
        f64::from(self.age.load(Ordering::Relaxed)) / f64::from(WHOLE)
    }

    /// When a block is closed.
    pub fn limits(&self, configured: &Batch) -> Batch {
        let size = u64::from(self.size.load(Ordering::Relaxed));
        let part = |whole: u64| (whole.saturating_mul(size) / u64::from(WHOLE)).max(1);
        Batch {
            rows: usize::try_from(part(configured.rows as u64)).unwrap_or(usize::MAX),
            bytes: ByteSize(part(configured.bytes.0)),
            age: Wait(self.aged(configured.age.0)),
        }
    }

    fn aged(&self, age: Duration) -> Duration {
        age.saturating_mul(self.age.load(Ordering::Relaxed)) / WHOLE
    }
}

/// Two changes at once may become one, which does no harm.
fn change(number: &AtomicU32, to: impl Fn(u32) -> u32) {
    number.store(to(number.load(Ordering::Relaxed)), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_server_without_memory_gets_less_and_then_more_again() {
        let pace = Pace::default();
        let configured = Batch::default();
        assert_eq!(pace.limits(&configured), configured);
        pace.too_large();
        pace.too_large();
        assert_eq!(pace.limits(&configured).rows, configured.rows / 4);
        assert_eq!(pace.limits(&configured).bytes.0, configured.bytes.0 / 4);
        for _ in 0..15 {
            pace.stored(Duration::from_millis(20));
        }
        assert_eq!(pace.limits(&configured), configured);
    }

    #[test]
    fn a_server_with_too_many_parts_gets_fewer() {
        let pace = Pace::default();
        let configured = Batch::default();
        for _ in 0..9 {
            pace.too_often();
        }
        assert_eq!(pace.limits(&configured).age.0, configured.age.0 * 10);
        assert_eq!(pace.limits(&configured).rows, configured.rows);
        for _ in 0..180 {
            pace.stored(Duration::from_millis(20));
        }
        assert_eq!(pace.limits(&configured), configured);
        pace.stored(SECOND);
        let age = configured.age.0 + configured.age.0 / 2;
        assert_eq!(pace.limits(&configured).age.0, age, "a delayed insert is a hint");
    }

    proptest! {
        /// Whatever happens, blocks stay within their bounds, and quiet times bring back what is configured.
        #[test]
        fn the_pace_has_bounds(what in prop::collection::vec(0_u8..4, 0..200)) {
            let pace = Pace::default();
            for one in what {
                match one {
                    0 => pace.too_large(),
                    1 => pace.too_often(),
                    2 => pace.stored(SECOND * 60),
                    _ => pace.stored(Duration::ZERO),
                }
                prop_assert!((0.015..=1.0).contains(&pace.size()), "{}", pace.size());
                prop_assert!((1.0..=10.0).contains(&pace.stretch()), "{}", pace.stretch());
            }
            for _ in 0..200 {
                pace.stored(Duration::ZERO);
            }
            prop_assert_eq!(pace.limits(&Batch::default()), Batch::default());
        }
    }
}
