//! Which keys passed a `dedup` a short while ago, and how often they came since.

use std::collections::{HashMap, VecDeque};

/// More keys than this in one stretch are too many to be a storm; the oldest are forgotten, so that their events pass rather than vanish.
const KEYS_MAX: usize = 100_000;

/// The keys of one `dedup`.
#[derive(Debug)]
pub struct Passed {
    within: i64,
    keys: HashMap<u128, Seen>,
    /// Keys by when they passed, the oldest first.
    order: VecDeque<(i64, u128)>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    passed: i64,
    count: u64,
}

impl Passed {
    /// No key passed yet.
    pub fn new(within: i64) -> Self {
        Self { within, keys: HashMap::new(), order: VecDeque::new() }
    }

    /// How many events of this key there were since one passed, this one included: 1 for the one that passes.
    pub fn count(&mut self, key: u128, now: i64) -> u64 {
        while let Some(&(passed, old)) = self.order.front() {
            let expired = now.saturating_sub(passed) >= self.within;
            if !expired && self.order.len() < KEYS_MAX {
                break;
            }
            self.order.pop_front();
            self.keys.remove(&old);
        }
        let seen = self.keys.entry(key).or_insert(Seen { passed: now, count: 0 });
        seen.count += 1;
        if seen.count == 1 {
            self.order.push_back((seen.passed, key));
        }
        seen.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_passes_again_when_its_time_is_over() {
        let mut passed = Passed::new(30);
        let counts: Vec<u64> =
            [0, 0, 10, 29, 30, 31, 59, 60].map(|now| passed.count(7, now)).into();
        assert_eq!(counts, [1, 2, 3, 4, 1, 2, 3, 1]);
        assert_eq!(passed.count(8, 60), 1);
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_key_goes() {
        let mut passed = Passed::new(1_000);
        for key in 0..KEYS_MAX as u128 + 10 {
            assert_eq!(passed.count(key, 0), 1);
            assert!(passed.keys.len() <= KEYS_MAX && passed.order.len() <= KEYS_MAX);
        }
        assert_eq!(passed.count(KEYS_MAX as u128, 0), 2);
        assert_eq!(passed.count(0, 0), 1);
    }
}
