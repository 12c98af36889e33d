//! The answers that one thread saw last, in front of the shared cache.
//!
//! The shared cache costs about a microsecond a key, as much as all rules of an event. Addresses and users repeat
//! from batch to batch, and a thread that remembers them pays a hash and a comparison.

use std::{
    fmt,
    time::{Duration, Instant},
};

use logmon_dsl::eval::Answer;
use xxhash_rust::xxh3::xxh3_64;

/// A power of two. At some hundred keys a batch it remembers the last ten or so batches, in half a megabyte.
const SLOTS: usize = 4096;
/// An answer lives here at most this much longer than in the shared cache.
const LIFE: Duration = Duration::from_secs(1);

/// One thread's latest answers of one lookup: a slot a hash, the newest key has it.
#[derive(Default)]
pub(super) struct Front {
    /// Empty until the first answer: most clones are never asked.
    slots: Vec<Option<Slot>>,
}

struct Slot {
    key: Box<str>,
    answer: Answer,
    version: u64,
    until: Instant,
}

impl Front {
    /// The answer, if it was seen lately and the data are still the same.
    pub(super) fn get(&self, key: &str, version: u64, now: Instant) -> Option<Answer> {
        let slot = self.slots.get(place(key))?.as_ref()?;
        let holds = *slot.key == *key && slot.version == version && now < slot.until;
        holds.then(|| slot.answer.clone())
    }

    /// Remembers an answer for as long as the shared cache would, and a second at most.
    pub(super) fn put(
        &mut self,
        key: &str,
        answer: &Answer,
        version: u64,
        now: Instant,
        life: Duration,
    ) {
        let life = life.min(LIFE);
        // What failed is the shared cache's to forget, so that a service that is back is seen at once.
        if life.is_zero() || matches!(answer, Answer::Failed) {
            return;
        }
        if self.slots.is_empty() {
            self.slots.resize_with(SLOTS, || None);
        }
        let slot = Slot { key: key.into(), answer: answer.clone(), version, until: now + life };
        self.slots[place(key)] = Some(slot);
    }
}

fn place(key: &str) -> usize {
    xxh3_64(key.as_bytes()) as usize & (SLOTS - 1)
}

impl Clone for Front {
    /// A clone is for another thread, which has seen nothing yet.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Front").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_with_its_second_its_version_and_its_slot() {
        let mut front = Front::default();
        let now = Instant::now();
        let found = Answer::Found("1".into());
        assert_eq!(front.get("a", 0, now), None);
        front.put("a", &found, 0, now, Duration::from_mins(1));
        assert_eq!(front.get("a", 0, now), Some(found.clone()));
        assert_eq!(front.get("a", 1, now), None);
        assert_eq!(front.get("a", 0, now + LIFE), None);
        let other = (0..1_000_000).map(|n: u32| n.to_string()).find(|key| place(key) == place("a"));
        let other = other.expect("a million keys share 4,096 places");
        front.put(&other, &Answer::Miss, 0, now, Duration::from_mins(1));
        assert_eq!(front.get("a", 0, now), None);
        assert_eq!(front.get(&other, 0, now), Some(Answer::Miss));
    }

    #[test]
    fn failures_and_answers_without_a_life_are_not_kept() {
        let mut front = Front::default();
        let now = Instant::now();
        front.put("a", &Answer::Failed, 0, now, Duration::from_mins(1));
        front.put("b", &Answer::Miss, 0, now, Duration::ZERO);
        assert_eq!((front.get("a", 0, now), front.get("b", 0, now)), (None, None));
    }
}
