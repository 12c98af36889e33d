//! Large sets in little memory: quantiles, how many different, which most often.
//!
//! Small sets are exact. Everything here can be merged, and merging in another order gives the same.

use std::collections::{BTreeMap, BTreeSet};

/// Up to here values are kept as they are.
const EXACT_MAX: usize = 128;

/// Neighboring buckets of a quantile differ by two per cent, so that an answer is at most one per cent off.
const GAMMA: f64 = 1.02;

/// Smaller magnitudes count as zero: below it the number of buckets would have no bound.
const TINY: f64 = 1e-9;

/// Values, each with how much it counts, by size.
#[derive(Debug, Clone, Default)]
pub(super) struct Quantiles {
    exact: Vec<(f64, f64)>,
    /// Weights by bucket: negative, zero and positive values in the order of their size.
    buckets: BTreeMap<i32, f64>,
}

impl Quantiles {
    /// Adds a value.
    pub(super) fn add(&mut self, value: f64, weight: f64) {
        if self.buckets.is_empty() && self.exact.len() < EXACT_MAX {
            self.exact.push((value, weight));
            return;
        }
        self.spill();
        *self.buckets.entry(bucket(value)).or_default() += weight;
    }

    /// Adds all of another one.
    pub(super) fn merge(&mut self, other: &Self) {
        if other.buckets.is_empty() {
            for (value, weight) in &other.exact {
                self.add(*value, *weight);
            }
            return;
        }
        self.spill();
        for (bucket, weight) in &other.buckets {
            *self.buckets.entry(*bucket).or_default() += weight;
        }
    }

    fn spill(&mut self) {
        for (value, weight) in self.exact.drain(..) {
            *self.buckets.entry(bucket(value)).or_default() += weight;
        }
    }

    /// The value below which that share lies; between two exact neighbors it is interpolated.
    pub(super) fn get(&self, q: f64) -> Option<f64> {
        if self.buckets.is_empty() {
            return self.exact_quantile(q);
        }
        let total: f64 = self.buckets.values().sum();
        let mut below = 0.0;
        for (bucket, weight) in &self.buckets {
            below += weight;
            if below >= q * total {
                return Some(middle(*bucket));
            }
        }
        self.buckets.keys().next_back().map(|bucket| middle(*bucket))
    }

    fn exact_quantile(&self, q: f64) -> Option<f64> {
        let mut sorted = self.exact.clone();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let (first, last) = (sorted.first()?.0, sorted.last()?.0);
        // Each value stands at the sum of the weights before it; the last one at the end.
        let end: f64 = sorted[..sorted.len() - 1].iter().map(|(_, weight)| weight).sum();
        let wanted = q * end;
        let mut at = 0.0;
        for pair in sorted.windows(2) {
            let next = at + pair[0].1;
            if wanted <= next && next > at {
                let share = ((wanted - at) / (next - at)).clamp(0.0, 1.0);
                return Some(pair[0].0 + (pair[1].0 - pair[0].0) * share);
            }
            at = next;
        }
        Some(if wanted <= 0.0 { first } else { last })
    }
}

/// The number of a value's bucket: 0 around zero, growing outwards on both sides. At most some forty thousand exist.
fn bucket(value: f64) -> i32 {
    let size = value.abs();
    if size <= TINY {
        return 0;
    }
    let number = ((size.min(f64::MAX) / TINY).ln() / GAMMA.ln()).ceil() as i32;
    if value < 0.0 { -number } else { number }
}

/// The middle of a bucket.
fn middle(bucket: i32) -> f64 {
    let size = TINY * GAMMA.powi(bucket.abs()) * 2.0 / (1.0 + GAMMA);
    match bucket {
        0 => 0.0,
        1.. => size,
        _ => -size,
    }
}

/// So many hashes are kept: counts up to it are exact, larger ones about three per cent off.
const HASHES_MAX: usize = 1_024;

/// How many different values there were: the smallest of their hashes.
#[derive(Debug, Clone, Default)]
pub(super) struct Different {
    hashes: BTreeSet<u64>,
}

impl Different {
    /// Adds a value by its hash.
    pub(super) fn add(&mut self, hash: u64) {
        if self.hashes.len() < HASHES_MAX || self.hashes.last().is_some_and(|last| hash < *last) {
            self.hashes.insert(hash);
            if self.hashes.len() > HASHES_MAX {
                self.hashes.pop_last();
            }
        }
    }

    /// Adds all of another one.
    pub(super) fn merge(&mut self, other: &Self) {
        other.hashes.iter().for_each(|hash| self.add(*hash));
    }

    /// How many there were.
    pub(super) fn count(&self) -> i64 {
        if self.hashes.len() < HASHES_MAX {
            return self.hashes.len() as i64;
        }
        // The largest of the k smallest of n evenly spread hashes stands at about k/n.
        let largest = self.hashes.last().copied().unwrap_or(u64::MAX);
        let share = (largest as f64 + 1.0) / 2f64.powi(64);
        ((HASHES_MAX as f64 - 1.0) / share).round() as i64
    }
}

/// So many values are counted for each one asked for, at least …
const COUNTED_SHARE: usize = 8;
/// … and so many in any case.
const COUNTED_MIN: usize = 64;

/// Which values came most often (space saving: a new value takes over the rarest one's count).
#[derive(Debug, Clone, Default)]
pub(super) struct Frequent {
    counts: BTreeMap<Box<str>, f64>,
}

impl Frequent {
    /// Adds a value; `wanted` of them will be asked for.
    pub(super) fn add(&mut self, value: &str, weight: f64, wanted: usize) {
        if let Some(count) = self.counts.get_mut(value) {
            *count += weight;
            return;
        }
        let mut before = 0.0;
        if self.counts.len() >= (wanted * COUNTED_SHARE).max(COUNTED_MIN) {
            let rarest = self.counts.iter().min_by(|a, b| a.1.total_cmp(b.1).then(a.0.cmp(b.0)));
            if let Some((key, count)) = rarest.map(|(key, count)| (key.clone(), *count)) {
                before = count;
                self.counts.remove(&key);
            }
        }
        self.counts.insert(value.into(), before + weight);
    }

    /// Adds all of another one.
    pub(super) fn merge(&mut self, other: &Self, wanted: usize) {
        for (value, count) in &other.counts {
            self.add(value, *count, wanted);
        }
    }

    /// The most frequent values, the most frequent first, equal ones by their text.
    pub(super) fn top(&self, wanted: usize) -> Vec<&str> {
        let mut all: Vec<(&str, f64)> =
            self.counts.iter().map(|(value, count)| (&**value, *count)).collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
        all.into_iter().take(wanted).map(|(value, _)| value).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_sets_are_exact() {
        let mut values = Quantiles::default();
        assert_eq!(values.get(0.5), None);
        for value in [10.0, 30.0, 20.0, 40.0] {
            values.add(value, 1.0);
        }
        let at = |q| values.get(q).unwrap();
        assert_eq!((at(0.0), at(0.5), at(1.0)), (10.0, 25.0, 40.0));
        let mut one = Quantiles::default();
        one.add(-3.0, 5.0);
        assert_eq!(one.get(0.99), Some(-3.0));
    }

    #[test]
    fn large_sets_are_near_in_whatever_order_they_are_merged() {
        let mut whole = Quantiles::default();
        let mut halves = [Quantiles::default(), Quantiles::default()];
        for value in 1..=10_000 {
            whole.add(f64::from(value), 1.0);
            halves[value as usize % 2].add(f64::from(value), 1.0);
        }
        let [mut a, b] = halves;
        a.merge(&b);
        for (q, wanted) in [(0.01, 100.0), (0.5, 5_000.0), (0.99, 9_900.0)] {
            let found = whole.get(q).unwrap();
            assert!((found / wanted - 1.0).abs() < 0.011, "{q}: {found}");
            assert_eq!(a.get(q), Some(found));
        }
        for value in [0.0, -1e300, 1e300, f64::MAX, f64::MIN_POSITIVE] {
            a.add(value, 1.0);
        }
        assert!(a.get(0.0).unwrap() < -9e299 && a.get(1.0).unwrap() > 1e308);
    }

    #[test]
    fn different_values_are_counted() {
        let mut seen = Different::default();
        for value in 0..1_000u64 {
            seen.add(xxhash_rust::xxh3::xxh3_64(&value.to_le_bytes()));
            seen.add(xxhash_rust::xxh3::xxh3_64(&value.to_le_bytes()));
        }
        assert_eq!(seen.count(), 1_000);
        for value in 0..100_000u64 {
            seen.add(xxhash_rust::xxh3::xxh3_64(&value.to_le_bytes()));
        }
        assert!((seen.count() - 100_000).abs() < 8_000, "{}", seen.count());
    }

    #[test]
    fn frequent_values_survive_many_rare_ones() {
        let mut seen = Frequent::default();
        for round in 0..1_000 {
            seen.add("often", 1.0, 2);
            seen.add(&format!("rare-{round}"), 1.0, 2);
            assert!(seen.counts.len() <= COUNTED_MIN);
        }
        assert_eq!(seen.top(1), ["often"]);
    }
}
