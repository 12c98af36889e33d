//! Which rows of a batch are meant: one bit a row.

/// A set of rows, at most as many as its batch has.
///
/// Bits past `len` are always zero, so counting and comparing need no care.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mask {
    words: Vec<u64>,
    len: usize,
}

impl Mask {
    /// No row of `len`.
    pub fn none(len: usize) -> Self {
        Self { words: vec![0; len.div_ceil(64)], len }
    }

    /// Every row of `len`.
    pub fn all(len: usize) -> Self {
        let mut mask = Self { words: vec![u64::MAX; len.div_ceil(64)], len };
        mask.trim();
        mask
    }

    /// The rows for which `test` holds. Words are built whole: the closure is the loop's body, so cheap tests vectorize.
    #[inline]
    pub fn from_fn(len: usize, mut test: impl FnMut(usize) -> bool) -> Self {
        let mut words = Vec::with_capacity(len.div_ceil(64));
        let mut row = 0;
        while row < len {
            let end = (row + 64).min(len);
            let mut word = 0;
            for (bit, row) in (row..end).enumerate() {
                word |= u64::from(test(row)) << bit;
            }
            words.push(word);
            row = end;
        }
        Self { words, len }
    }

    /// The rows of `within` for which `test` holds; `test` runs for those rows only.
    #[inline]
    pub fn filter(within: &Self, mut test: impl FnMut(usize) -> bool) -> Self {
        let mut mask = Self::none(within.len);
        for row in within.rows() {
            if test(row) {
                mask.set(row);
            }
        }
        mask
    }

    /// How many rows the batch has (set or not).
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no row is set.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    /// Whether every row is set.
    pub fn is_full(&self) -> bool {
        self.count() == self.len
    }

    /// How many rows are set.
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether the row is set.
    #[inline]
    pub fn has(&self, row: usize) -> bool {
        self.words[row / 64] >> (row % 64) & 1 == 1
    }

    /// Adds the row.
    #[inline]
    pub fn set(&mut self, row: usize) {
        debug_assert!(row < self.len);
        self.words[row / 64] |= 1 << (row % 64);
    }

    /// Takes the row out.
    #[inline]
    pub fn clear(&mut self, row: usize) {
        self.words[row / 64] &= !(1 << (row % 64));
    }

    /// The set rows, ascending.
    #[inline]
    pub fn rows(&self) -> Rows<'_> {
        Rows { words: &self.words, base: 0, word: self.words.first().copied().unwrap_or(0) }
    }

    /// Rows in both.
    pub fn and(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a & b)
    }

    /// Rows in either.
    pub fn or(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a | b)
    }

    /// Rows of this one that are not in the other.
    pub fn and_not(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a & !b)
    }

    /// Whether every row of the other is in this one.
    pub fn covers(&self, other: &Self) -> bool {
        assert_eq!(self.len, other.len, "masks of two batches");
        self.words.iter().zip(&other.words).all(|(&a, &b)| b & !a == 0)
    }

    /// All other rows of the batch.
    pub fn not(&self) -> Self {
        let mut mask = Self { words: self.words.iter().map(|word| !word).collect(), len: self.len };
        mask.trim();
        mask
    }

    /// Adds the other's rows.
    pub fn add(&mut self, other: &Self) {
        assert_eq!(self.len, other.len, "masks of two batches");
        for (a, b) in self.words.iter_mut().zip(&other.words) {
            *a |= b;
        }
    }

    /// Takes the other's rows out.
    pub fn remove(&mut self, other: &Self) {
        assert_eq!(self.len, other.len, "masks of two batches");
        for (a, b) in self.words.iter_mut().zip(&other.words) {
            *a &= !b;
        }
    }

    fn zip(&self, other: &Self, f: impl Fn(u64, u64) -> u64) -> Self {
        assert_eq!(self.len, other.len, "masks of two batches");
        let words = self.words.iter().zip(&other.words).map(|(&a, &b)| f(a, b)).collect();
        Self { words, len: self.len }
    }

    fn trim(&mut self) {
        if !self.len.is_multiple_of(64)
            && let Some(last) = self.words.last_mut()
        {
            *last &= (1 << (self.len % 64)) - 1;
        }
    }
}

/// The set rows of a mask, ascending.
#[derive(Debug, Clone)]
pub struct Rows<'a> {
    words: &'a [u64],
    base: usize,
    word: u64,
}

impl Iterator for Rows<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.word == 0 {
            self.base += 1;
            self.word = *self.words.get(self.base)?;
        }
        let bit = self.word.trailing_zeros() as usize;
        self.word &= self.word - 1;
        Some(self.base * 64 + bit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_algebra_keeps_to_the_length() {
        let even = Mask::from_fn(130, |row| row % 2 == 0);
        let all = Mask::all(130);
        assert_eq!((even.count(), all.count(), even.not().count()), (65, 130, 65));
        assert_eq!(even.or(&even.not()), all);
        assert!(even.and(&even.not()).is_empty());
        assert_eq!(all.and_not(&even), even.not());
        assert_eq!(even.rows().collect::<Vec<_>>(), (0..130).step_by(2).collect::<Vec<_>>());
        assert!(all.covers(&even) && even.covers(&even) && !even.covers(&all));
        assert!(all.is_full() && Mask::none(0).is_full() && Mask::all(0).is_empty());
    }

    #[test]
    fn filter_looks_only_inside() {
        let within = Mask::from_fn(100, |row| row >= 90);
        let kept = Mask::filter(&within, |row| {
            assert!(row >= 90);
            row % 2 == 1
        });
        assert_eq!(kept.rows().collect::<Vec<_>>(), [91, 93, 95, 97, 99]);
    }
}
