//! Token buckets: how full each key's bucket is, in whole numbers.
//!
//! A bucket is one number: the time at which it would be full again. Times are counted in nanoseconds times the limit's count, so that one
//! event costs exactly the limit's time and nothing is ever rounded.

use std::collections::HashMap;

use crate::plan::Limit;

/// The buckets of one `limit`.
#[derive(Debug)]
pub struct Buckets {
    limit: Limit,
    full_at: HashMap<u128, i128>,
}

impl Buckets {
    /// All buckets are full.
    pub fn new(limit: Limit) -> Self {
        Self { limit, full_at: HashMap::new() }
    }

    /// Takes a token out of the key's bucket; `false` if there is none.
    pub fn take(&mut self, key: u128, now: i64) -> bool {
        let cost = i128::from(self.limit.per);
        let now = i128::from(now) * i128::from(self.limit.count);
        let known = self.full_at.get(&key).copied();
        let full_at = known.unwrap_or(now).max(now) + cost;
        if full_at - now > cost * i128::from(self.limit.burst) {
            return false;
        }
        if known.is_none() && self.full_at.len() >= self.limit.keys_max {
            self.make_room(now);
        }
        self.full_at.insert(key, full_at);
        true
    }

    /// Forgets full buckets, which are as good as unknown; if that is not enough, the fuller half.
    fn make_room(&mut self, now: i128) {
        self.full_at.retain(|_, full_at| *full_at > now);
        let enough = self.limit.keys_max / 2;
        if self.full_at.len() <= enough {
            return;
        }
        let mut all: Vec<(i128, u128)> =
            self.full_at.iter().map(|(key, full_at)| (*full_at, *key)).collect();
        // Sorted by both, so that what stays does not depend on the order of a hash table.
        all.sort_unstable();
        for (_, key) in &all[..all.len() - enough] {
            self.full_at.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn a_bucket_empties_and_refills() {
        let limit = Limit { count: 3, per: SECOND, burst: 5, keys_max: 10 };
        let mut buckets = Buckets::new(limit);
        let taken = |buckets: &mut Buckets, now| (0..10).filter(|_| buckets.take(1, now)).count();
        assert_eq!(taken(&mut buckets, 0), 5);
        assert_eq!(taken(&mut buckets, SECOND), 3);
        assert_eq!(
            taken(&mut buckets, SECOND + SECOND / 3),
            0,
            "a third of a second is not quite one token"
        );
        assert_eq!(taken(&mut buckets, SECOND + SECOND / 3 + 1), 1);
        assert_eq!(taken(&mut buckets, 100 * SECOND), 5);
    }

    #[test]
    fn keys_are_bounded_and_the_emptiest_buckets_stay() {
        let mut buckets = Buckets::new(Limit { count: 1, per: SECOND, burst: 2, keys_max: 4 });
        assert!(buckets.take(0, 0) && buckets.take(0, 0) && !buckets.take(0, 0));
        for key in 1..100 {
            assert!(buckets.take(key, 0));
            assert!(buckets.full_at.len() <= 4);
            assert!(!buckets.take(0, 0), "the empty bucket is not forgotten");
        }
    }
}
