//! The workers, and which of them gets a batch: whoever is free, or, where rules keep state, always the same one for a partition.
//!
//! Invariant: once [`Crew::keep_order`] has returned `true`, no batch is under way that any worker could have taken.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender};
use logmon_dsl::column::Arena;

use super::worker::Job;

/// Jobs that may wait for a worker: more than all lanes of a process may have waiting, so that handing over never blocks the reader.
const INBOX: usize = 16_384;

/// Batches for anybody that may be under way, for each worker: a worker that is kept from its core for a moment finds work when it is back.
const UNDER_WAY: usize = 8;

/// More memory than any batch of ordinary records takes is not kept.
const SPARE_MAX: usize = 1 << 20;

/// What a worker hears.
#[derive(Debug, Clone)]
pub struct Inbox {
    /// Jobs for this worker alone.
    pub own: Receiver<Job>,
    /// Batches for whoever is free.
    pub any: Receiver<Job>,
}

/// The workers as those see them who have work to give.
#[derive(Debug)]
pub struct Crew {
    own: Vec<Sender<Job>>,
    any: Sender<Job>,
    ordered: AtomicBool,
    /// Batches for anybody that are not done.
    loose: Arc<AtomicUsize>,
    /// Memory of batches that are done. Given back to the system and taken again, each page of it would be cleared for every batch.
    spare: Mutex<Vec<Arena>>,
}

/// Counts one batch for anybody, until it is dropped.
#[derive(Debug)]
pub struct Loose(Arc<AtomicUsize>);

impl Drop for Loose {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Crew {
    /// A crew of so many, and what each of them hears. `ordered` is whether the program keeps state.
    pub fn new(n: usize, ordered: bool) -> (Arc<Self>, Vec<Inbox>) {
        let (any, any_inbox) = crossbeam_channel::bounded(INBOX);
        let (own, inboxes) = (0..n)
            .map(|_| {
                let (sender, own) = crossbeam_channel::bounded(INBOX);
                (sender, Inbox { own, any: any_inbox.clone() })
            })
            .unzip();
        let ordered = AtomicBool::new(ordered);
        (
            Arc::new(Self { own, any, ordered, loose: Arc::default(), spare: Mutex::default() }),
            inboxes,
        )
    }

    /// How many workers there are.
    pub fn n_workers(&self) -> usize {
        self.own.len()
    }

    /// Whether a partition's batches go to one worker.
    pub fn is_ordered(&self) -> bool {
        self.ordered.load(Ordering::SeqCst)
    }

    /// Whether another batch may be given to anybody.
    pub fn has_room(&self) -> bool {
        self.loose.load(Ordering::Relaxed) < self.own.len() * UNDER_WAY
    }

    /// Counts a batch in that anybody may take.
    pub fn loose(&self) -> Loose {
        self.loose.fetch_add(1, Ordering::SeqCst);
        Loose(Arc::clone(&self.loose))
    }

    /// Gives a job to whoever is free. A worker that is gone is noticed by the pipeline.
    pub fn give(&self, job: Job) {
        let _gone = self.any.send(job);
    }

    /// Gives a job to one worker.
    pub fn give_to(&self, worker: usize, job: Job) {
        let _gone = self.own[worker].send(job);
    }

    /// Gives a job to every worker.
    pub fn tell(&self, job: impl Fn() -> Job) {
        for worker in 0..self.own.len() {
            self.give_to(worker, job());
        }
    }

    /// Memory of a batch that is done.
    pub fn spare(&self) -> Option<Arena> {
        self.spare.lock().expect("no thread panics while it holds spare memory").pop()
    }

    /// Keeps the memory of a batch for another one, as much as may be under way.
    pub fn reuse(&self, mut arena: Arena) {
        arena.clear();
        let mut spare = self.spare.lock().expect("no thread panics while it holds spare memory");
        if spare.len() < self.own.len() * UNDER_WAY && arena.capacity() <= SPARE_MAX {
            spare.push(arena);
        }
    }

    /// From here on a partition's batches go to one worker. Waits until those are done that went to anybody; returns whether they were in time.
    ///
    /// The rules that keep state are published after this, so each batch that they see comes in its order.
    pub fn keep_order(&self, wait: Duration) -> bool {
        let deadline = Instant::now() + wait;
        self.ordered.store(true, Ordering::SeqCst);
        while self.loose.load(Ordering::SeqCst) > 0 {
            if Instant::now() > deadline {
                return false;
            }
            thread::park_timeout(Duration::from_millis(1));
        }
        true
    }

    /// From here on anybody may take any batch: called when the rules that run keep no state.
    pub fn loosen(&self) {
        self.ordered.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_waits_for_batches_that_anybody_may_take() {
        let (crew, _inboxes) = Crew::new(2, false);
        let under_way = crew.loose();
        assert!(!crew.keep_order(Duration::from_millis(5)));
        assert!(crew.is_ordered(), "nothing more goes to anybody meanwhile");
        drop(under_way);
        assert!(crew.keep_order(Duration::from_mins(1)));
        crew.loosen();
        assert!(!crew.is_ordered());
    }

    #[test]
    fn room_ends_where_every_worker_has_its_share() {
        let (crew, inboxes) = Crew::new(2, false);
        let under_way: Vec<Loose> = (0..2 * UNDER_WAY).map(|_| crew.loose()).collect();
        assert!(!crew.has_room());
        drop(under_way);
        assert!(crew.has_room());
        assert_eq!(inboxes.len(), 2);
    }

    #[test]
    fn memory_is_kept_for_as_many_batches_as_may_be_under_way() {
        let (crew, _inboxes) = Crew::new(1, false);
        for _ in 0..2 * UNDER_WAY {
            let mut arena = Arena::with_capacity(4096);
            arena.push(b"old");
            crew.reuse(arena);
        }
        crew.reuse(Arena::with_capacity(SPARE_MAX + 1));
        let spare: Vec<Arena> = std::iter::from_fn(|| crew.spare()).collect();
        assert_eq!(spare.len(), UNDER_WAY);
        assert!(spare.iter().all(|arena| arena.is_empty() && arena.capacity() >= 4096));
    }
}
