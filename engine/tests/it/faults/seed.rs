//! Dice that fall the same way for the same seed.

use std::{
    hash::{BuildHasher as _, RandomState},
    ops::Range,
    time::Duration,
};

/// The variable that repeats a run's choices.
const VARIABLE: &str = "LOGMON_SEED";

/// A sequence of choices (`SplitMix64`: its state is one number, and every number is a good seed).
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// The dice of a test: of the seed that was asked for, else of a fresh one. Says which.
    pub(crate) fn of(test: &str) -> Self {
        let seed = match std::env::var(VARIABLE) {
            Ok(text) => text.parse().unwrap_or_else(|_| panic!("{VARIABLE}={text} is no number")),
            Err(_) => RandomState::new().hash_one(test) >> 32,
        };
        eprintln!("{test}: {VARIABLE}={seed}");
        Self(seed)
    }

    /// Dice of their own for somebody whose turns cannot be foreseen.
    pub(crate) fn split(&mut self) -> Self {
        Self(self.next())
    }

    /// 64 random bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number of the range.
    pub(crate) fn number(&mut self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start).max(1)
    }

    /// True so many times of a hundred.
    pub(crate) fn percent(&mut self, share: u64) -> bool {
        self.number(0..100) < share
    }

    /// One of them.
    pub(crate) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.number(0..items.len() as u64) as usize]
    }

    /// A time between two.
    pub(crate) fn millis(&mut self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.number(range))
    }
}

#[test]
fn the_same_seed_falls_the_same_way() {
    let (mut one, mut two) = (Dice(7), Dice(7));
    let fall = |dice: &mut Dice| -> Vec<u64> { (0..50).map(|_| dice.number(3..9)).collect() };
    let fell = fall(&mut one);
    assert_eq!(fell, fall(&mut two));
    assert!((3..9).all(|face| fell.contains(&face)), "{fell:?}");
    assert_ne!(fell, fall(&mut Dice(8)));
}
