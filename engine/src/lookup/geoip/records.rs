//! Answers by the place of their records: many networks share one record, which is decoded once.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwapOption;
use logmon_dsl::eval::Answer;
use smallvec::SmallVec;

/// Records that are kept at most, some hundred bytes each. A city database has some more.
const SLOTS: usize = 1 << 17;
/// A larger answer is decoded each time: 131,072 of this size are the most that is ever held.
const ANSWER_BYTES_MAX: usize = 1 << 10;

/// Where the records of an address stand, one place a database; 0: it has none.
pub(super) type Places = SmallVec<[usize; 4]>;

/// The answers to the records that were asked for last.
pub(super) struct Records {
    /// One answer a hash; the newest has it.
    slots: Box<[ArcSwapOption<Kept>]>,
}

struct Kept {
    places: Places,
    answer: Answer,
}

impl Records {
    /// Room for the records of databases of so many bytes together.
    pub(super) fn new(bytes: usize) -> Self {
        // The smallest records take some dozen bytes.
        let slots = (bytes / 32).next_power_of_two().clamp(1 << 8, SLOTS);
        Self { slots: (0..slots).map(|_| ArcSwapOption::empty()).collect() }
    }

    /// The answer for records at these places, made by `make` if it is not at hand.
    pub(super) fn answer(&self, places: Places, make: impl FnOnce() -> Answer) -> Answer {
        let mixed = places.iter().fold(0_u64, |mixed, &place| {
            (mixed ^ place as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29)
        });
        let slot = &self.slots[mixed as usize & (self.slots.len() - 1)];
        if let Some(kept) = &*slot.load()
            && kept.places == places
        {
            return kept.answer.clone();
        }
        let answer = make();
        let fits = match &answer {
            Answer::Found(row) => row.len() <= ANSWER_BYTES_MAX,
            Answer::Miss => true,
            Answer::Failed => false,
        };
        if fits {
            slot.store(Some(Arc::new(Kept { places, answer: answer.clone() })));
        }
        answer
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records").field("slots", &self.slots.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_decoded_once_and_others_may_take_its_slot() {
        let records = Records::new(0);
        let found = |text: &str| Answer::Found(text.into());
        let places = |place: usize| Places::from_slice(&[place, 0]);
        for round in 0..3 {
            let answer = records.answer(places(7), || {
                assert_eq!(round, 0, "decoded once");
                found("seven")
            });
            assert_eq!(answer, found("seven"));
        }
        for place in 1..10_000 {
            let answer = records.answer(places(place), || found(&place.to_string()));
            assert!(answer == found(&place.to_string()) || place == 7 && answer == found("seven"));
        }
        assert_eq!(records.slots.len(), 256);
    }

    #[test]
    fn large_answers_and_failures_are_not_kept() {
        let records = Records::new(0);
        let places = Places::from_slice(&[1]);
        let large = Answer::Found("x".repeat(2_000).into());
        assert_eq!(records.answer(places.clone(), || large.clone()), large);
        assert_eq!(records.answer(places.clone(), || Answer::Failed), Answer::Failed);
        assert_eq!(records.answer(places, || Answer::Miss), Answer::Miss);
    }
}
