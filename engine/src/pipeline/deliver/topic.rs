//! Records on their way into a topic: acknowledged, tried again in their order, or, where the topic never takes one, buried.
//!
//! Invariant: a unit is tried again only when every unit before it is done, and nothing new is handed over meanwhile.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{Courier, Hold, Origin, Waiting};
use crate::{
    pipeline::poison::{self, Refused},
    sink::{
        clickhouse::Class,
        kafka::{Begun, Record, TopicSink},
        retry::Backoff,
    },
};

/// After so long without an acknowledgement somebody should know, even if the sink's own time limit is longer.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Which units a topic's client has, in the order in which it got them.
#[derive(Debug, Default)]
pub(super) struct Queue {
    under_way: Mutex<(u64, BTreeSet<u64>)>,
    failing: AtomicUsize,
    ended: Notify,
}

impl Queue {
    /// A unit's place; waits while any unit before it must be tried again.
    pub(super) async fn enter(&self) -> u64 {
        self.until(|| self.failing.load(Ordering::Acquire) == 0).await;
        let (next, under_way) = &mut *self.lock();
        *next += 1;
        under_way.insert(*next);
        *next
    }

    /// Waits until a unit is the first of those that are under way.
    async fn first(&self, place: u64) {
        self.until(|| self.lock().1.first() == Some(&place)).await;
    }

    fn leave(&self, place: u64) {
        self.lock().1.remove(&place);
        self.ended.notify_waiters();
    }

    async fn until(&self, holds: impl Fn() -> bool) {
        loop {
            let ended = self.ended.notified();
            if holds() {
                return;
            }
            ended.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, (u64, BTreeSet<u64>)> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A unit of records that the client has.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) records: Vec<Record>,
    pub(super) origins: Vec<Origin>,
    pub(super) begun: Begun,
    pub(super) place: u64,
}

impl Courier {
    /// Waits until the topic has every record that it takes.
    pub(super) async fn confirm(&self, topic: &TopicSink, sending: Sending, held: &Hold) {
        let Sending { mut records, origins, mut begun, place } = sending;
        let started = Instant::now();
        let backoff = Backoff::default();
        let mut failures = 0;
        let mut refused: Vec<(usize, String)> = Vec::new();
        loop {
            let unsent = self.acknowledged(topic, begun).await;
            let mut left = unsent.again;
            let mut problem = unsent.problem.map(|problem| (Class::Retry, problem));
            for (index, sentence) in unsent.never {
                if origins.is_empty() {
                    // A dead letter has no second place to go: it goes with fewer of its bytes.
                    if !poison::shorten(&mut records[index]) {
                        problem = Some((Class::Stop, sentence));
                    }
                    left.push(index);
                } else {
                    self.metrics.refused(Class::Bisect.name(), None);
                    refused.push((index, sentence));
                }
            }
            if left.is_empty() {
                break;
            }
            left.sort_unstable();
            if failures == 0 {
                self.queue.failing.fetch_add(1, Ordering::AcqRel);
            }
            failures = failures.max(1);
            if let Some((class, problem)) = problem {
                self.metrics.refused(class.name(), None);
                self.fails(class, None, &problem);
                self.pause(&backoff, &mut failures, topic.topic()).await;
            }
            self.queue.first(place).await;
            begun = topic.begin(&records, &left).await;
        }
        if failures > 0 {
            self.queue.failing.fetch_sub(1, Ordering::AcqRel);
        }
        self.queue.leave(place);
        self.well();
        let bytes: usize = records.iter().map(|record| record.value.len()).sum();
        let taken = records.len() - refused.len();
        self.metrics.confirmed(taken as u64, bytes as u64, started.elapsed());
        refused.sort_unstable();
        let mut at = 0;
        for (gap, _) in &refused {
            held.release(at..*gap);
            at = gap + 1;
        }
        held.release(at..records.len());
        if !refused.is_empty() {
            self.post.office.bury(self.too_large(refused, &origins, held)).await;
        }
    }

    /// Waits for acknowledgements, and says so when it takes long: the client itself tries for ever, since a record that it gave up would
    /// come behind its successors.
    async fn acknowledged(&self, topic: &TopicSink, begun: Begun) -> crate::sink::kafka::Unsent {
        let end = topic.end(begun);
        tokio::pin!(end);
        let patience = topic.timeout().min(SILENCE_MAX);
        loop {
            tokio::select! {
                unsent = &mut end => return unsent,
                () = tokio::time::sleep(patience) => {
                    self.fails(Class::Resolve, None, &topic.silence());
                }
            }
        }
    }

    fn too_large(
        &self,
        refused: Vec<(usize, String)>,
        origins: &[Origin],
        held: &Hold,
    ) -> Vec<Refused> {
        let one = |(index, cause): (usize, String)| Refused {
            waiting: Waiting { rows: 1, ..held.of(index).clone() },
            offset: Some(origins[index].offset),
            emit_ix: Some(origins[index].emit_ix),
            sink: Arc::clone(&self.name),
            bundle: Arc::clone(&held.bundle),
            reason: "too_large",
            cause,
        };
        refused.into_iter().map(one).collect()
    }
}
