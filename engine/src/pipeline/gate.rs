//! Puts what several workers make of one partition back into the order of its batches, where order is seen from outside.
//!
//! Invariant: what belongs to a batch passes after everything of all batches before it, and each thing passes once.

use std::{collections::BTreeMap, sync::Mutex};

/// A lane's gate. Every batch of the lane comes here once, with what it made, in whatever order the workers finish.
#[derive(Debug)]
pub struct Gate<T> {
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    /// The batch whose turn it is.
    next: u64,
    /// What came before its turn: at most as much as a lane may have under way.
    early: BTreeMap<u64, Vec<T>>,
}

impl<T> Default for Gate<T> {
    fn default() -> Self {
        Self { state: Mutex::new(State { next: 0, early: BTreeMap::new() }) }
    }
}

impl<T> Gate<T> {
    /// Brings what batch `seq` made, and lets through what has its turn now: it goes to `out`, in order.
    ///
    /// `out` may block, as a full queue does: then the lane's other batches wait here, which is what a full queue is for.
    pub fn pass(&self, seq: u64, made: Vec<T>, mut out: impl FnMut(T)) {
        let mut state = self.state.lock().expect("no thread panics while it holds a gate");
        let State { next, early } = &mut *state;
        early.insert(seq, made);
        while let Some(first) = early.first_entry()
            && first.key() == next
        {
            first.remove().into_iter().for_each(&mut out);
            *next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever the order in which batches end: what they made leaves in theirs, whole, and as soon as nothing before it is missing.
        #[test]
        fn order_is_kept(made in prop::collection::vec(0_usize..4, 1..40), order in any::<u64>()) {
            let gate = Gate::default();
            let mut left: Vec<usize> = (0..made.len()).collect();
            let mut random = order | 1;
            let mut out: Vec<(usize, usize)> = Vec::new();
            let mut done = vec![false; made.len()];
            while !left.is_empty() {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let seq = left.swap_remove((random >> 33) as usize % left.len());
                done[seq] = true;
                gate.pass(seq as u64, (0..made[seq]).map(|n| (seq, n)).collect(), |one| out.push(one));
                let prefix = done.iter().take_while(|&&done| done).count();
                let expected: Vec<(usize, usize)> =
                    (0..prefix).flat_map(|seq| (0..made[seq]).map(move |n| (seq, n))).collect();
                prop_assert_eq!(&out, &expected);
            }
        }
    }

    #[test]
    fn threads_that_race_come_out_in_order() {
        const BATCHES: u64 = 2_000;
        let gate = Gate::default();
        let out = Mutex::new(Vec::new());
        let next = std::sync::atomic::AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    loop {
                        let seq = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        if seq >= BATCHES {
                            return;
                        }
                        gate.pass(seq, vec![seq], |one| out.lock().unwrap().push(one));
                    }
                });
            }
        });
        assert_eq!(out.into_inner().unwrap(), (0..BATCHES).collect::<Vec<_>>());
    }
}
