//! A stream of choices that depends on its seed alone.

/// Xorshift: short, and good enough to choose with.
pub(crate) struct Dice(u64);

impl Dice {
    /// The stream of a seed; a seed of 0 would stand still.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    /// A number below `sides`.
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % sides
    }

    /// Whether one chance in `of` came true.
    pub(crate) fn one_in(&mut self, of: usize) -> bool {
        self.roll(of) == 0
    }

    /// One of a list.
    pub(crate) fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.roll(list.len())]
    }

    /// One of some words.
    pub(crate) fn word(&mut self, list: &[&'static str]) -> &'static str {
        list[self.roll(list.len())]
    }
}
