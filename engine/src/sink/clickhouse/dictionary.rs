//! Distinct values, numbered in the order in which they are first seen.

use logmon_dsl::column::View;
use xxhash_rust::xxh3::xxh3_64;

use super::text::{Short, with_text};

/// How many short values are found without hashing their bytes one by one.
const RECENT: usize = 256;

/// Distinct byte strings. Open addressing over numbers, the bytes stand one after the other.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    /// Number + 1 at the hash's place, 0 where free. A power of two long, at most half full.
    slots: Vec<u32>,
    hashes: Vec<u64>,
    ends: Vec<u32>,
    bytes: Vec<u8>,
    /// Short values seen lately and their numbers, each at its only place; empty until the first one.
    recent: Vec<(Short, u32)>,
}

impl Dictionary {
    /// How many values.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The value with that number.
    #[inline]
    pub(super) fn get(&self, number: u32) -> &[u8] {
        let number = number as usize;
        let start = if number == 0 { 0 } else { self.ends[number - 1] as usize };
        &self.bytes[start..self.ends[number] as usize]
    }

    /// The value's number; new values get the next one.
    #[inline]
    pub(super) fn number(&mut self, value: &[u8]) -> u32 {
        if self.slots.len() < 2 * (self.ends.len() + 1) {
            self.grow();
        }
        let hash = xxh3_64(value);
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        loop {
            match self.slots[slot] {
                0 => break,
                taken => {
                    let number = taken - 1;
                    if self.hashes[number as usize] == hash && self.get(number) == value {
                        return number;
                    }
                }
            }
            slot = (slot + 1) & mask;
        }
        let number = self.ends.len() as u32;
        self.slots[slot] = number + 1;
        self.hashes.push(hash);
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len() as u32);
        number
    }

    /// The number of a view's text.
    #[inline]
    pub(super) fn number_of(&mut self, view: View, arena: &[u8]) -> u32 {
        let short = Short::of(view, arena);
        if let Some(short) = short
            && let Some(&(known, number)) = self.recent.get(short.place(RECENT))
            && known == short
        {
            return number;
        }
        let number = with_text(view, arena, |text| self.number(text));
        if let Some(short) = short {
            if self.recent.is_empty() {
                self.recent.resize(RECENT, (Short::NONE, 0));
            }
            self.recent[short.place(RECENT)] = (short, number);
        }
        number
    }

    /// Forgets all values, keeps the memory.
    pub(super) fn clear(&mut self) {
        self.slots.fill(0);
        self.hashes.clear();
        self.ends.clear();
        self.bytes.clear();
        self.recent.clear();
    }

    /// Bytes in use.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len() + self.ends.len() * 20
    }

    /// Memory held, used or not.
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity()
            + self.ends.capacity() * 4
            + self.hashes.capacity() * 8
            + self.slots.capacity() * 4
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(64);
        self.slots.clear();
        self.slots.resize(size, 0);
        for (number, &hash) in self.hashes.iter().enumerate() {
            let mut slot = hash as usize & (size - 1);
            while self.slots[slot] != 0 {
                slot = (slot + 1) & (size - 1);
            }
            self.slots[slot] = number as u32 + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use logmon_dsl::column::Kind;

    use super::*;

    #[test]
    fn values_keep_their_numbers_while_the_table_grows() {
        let mut dictionary = Dictionary::default();
        let text = |i: u32| format!("value {i}").into_bytes();
        for i in 0..5000 {
            assert_eq!(dictionary.number(&text(i)), i);
        }
        for i in (0..5000).rev() {
            assert_eq!(dictionary.number(&text(i)), i);
            assert_eq!(dictionary.get(i), text(i));
        }
        assert_eq!(dictionary.number(b""), 5000);
        assert_eq!(dictionary.get(5000), b"");
        let (mut arena, mut start) = (Vec::new(), Vec::new());
        for i in 0..1000 {
            start.push(arena.len());
            arena.extend_from_slice(&text(i));
        }
        arena.extend_from_slice(&[0; 16]);
        for _ in 0..2 {
            for i in 0..1000 {
                let view = View::new(Kind::Text, start[i as usize], text(i).len());
                assert_eq!(dictionary.number_of(view, &arena), i, "again and again");
            }
        }
        dictionary.clear();
        assert_eq!(dictionary.number_of(View::new(Kind::Text, start[9], 7), &arena), 0);
        dictionary.clear();
        assert_eq!((dictionary.number(b"x"), dictionary.len()), (0, 1));
    }
}
