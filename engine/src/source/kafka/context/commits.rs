//! Offsets with notes on their way to the broker: one request at a time, and what is done where no answer comes.
//!
//! Invariant: nothing is asked for again while the first request may still arrive under the same membership.

use std::{
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

use rdkafka::{
    TopicPartitionList,
    consumer::BaseConsumer,
    error::{KafkaError, RDKafkaErrorCode},
};

use super::{
    super::{note, queue::CommitQueue},
    GroupContext,
};
use crate::{
    delivery::{Position, protocol::Commit as Outcome},
    source::Commit,
};

/// How long a commit may stay without an answer: far more than the client itself waits for a coordinator and asks again.
const ANSWER_MAX: Duration = Duration::from_secs(40);

/// How long the last commit before partitions are given away may take: others wait for them.
const LAST_MS: i32 = 5000;

/// What is on its way.
#[derive(Debug, Default)]
pub(super) struct Commits {
    /// One request at a time, so that an answer tells which one it is for.
    sent: Mutex<Option<Sent>>,
    /// Where answers come.
    answers: Mutex<Option<CommitQueue>>,
    /// Why the last request was refused, so that one which is asked for many times a second is heard once.
    refused: Mutex<Option<RDKafkaErrorCode>>,
}

#[derive(Debug)]
struct Sent {
    commits: Vec<Commit>,
    at: Instant,
}

impl GroupContext {
    /// Sends offsets with notes to the broker, unless others are on their way: those that came meanwhile go together then.
    pub(in crate::source::kafka) fn commit_notes(&self, consumer: &BaseConsumer<Self>) {
        self.hear_answers(0);
        let mut sent = self.lock_sent();
        if let Some(one) = &*sent {
            if one.at.elapsed() > ANSWER_MAX {
                // Nobody knows whether it is stored, or will be: sent again it could be overtaken by itself. Under another membership it cannot
                // arrive any more, and what is stored is read.
                tracing::error!(source = %self.settings.name, seconds = ANSWER_MAX.as_secs(), "no answer to a commit: leaves the group and joins it again");
                *sent = None;
                drop(sent);
                self.lock_answers().take();
                self.join_again(consumer);
            }
            return;
        }
        let mut due = self.intake.commits();
        if due.is_empty() {
            return;
        }
        // Only what is still ours. Partitions go and commits leave on this one thread, so nothing comes between.
        let assigned = self.assigned();
        due.retain(|commit| assigned.iter().any(|one| one.lane == commit.lane));
        drop(assigned);
        let mut list = TopicPartitionList::with_capacity(due.len());
        for commit in &due {
            note::add_commit(&mut list, commit).expect("an offset of a record is a valid offset");
        }
        if list.count() == 0 {
            return;
        }
        let mut answers = self.lock_answers();
        if answers.is_none() {
            *answers = CommitQueue::new(consumer);
        }
        let accepted = answers.as_ref().map(|answers| answers.commit(consumer, &list));
        drop(answers);
        match accepted {
            Some(Ok(())) => *sent = Some(Sent { commits: due, at: Instant::now() }),
            refused => {
                drop(sent);
                if let Some(Err(code)) = refused {
                    self.note(&KafkaError::ConsumerCommit(code));
                }
                for commit in &due {
                    self.intake.answered(commit, Outcome::Unknown);
                }
            }
        }
    }

    /// Hears how the commit under way ended, if it did; waits for it at most so long.
    pub(super) fn hear_answers(&self, wait_ms: i32) {
        let mut sent = self.lock_sent();
        if sent.is_none() {
            return;
        }
        let heard = self.lock_answers().as_ref().and_then(|answers| answers.poll(wait_ms));
        let Some((whole, answers)) = heard else { return };
        let Some(one) = sent.take() else { return };
        drop(sent);
        let mut refused = None;
        for commit in one.commits {
            let Position { topic, partition } = &commit.position;
            let own = answers
                .iter()
                .find(|answer| answer.topic == **topic && answer.partition == *partition);
            let outcome = match own.map_or(whole, |own| own.outcome.and(whole)) {
                Ok(()) => Outcome::Stored,
                Err(code) => {
                    refused = Some(code);
                    Outcome::Unknown
                }
            };
            self.intake.answered(&commit, outcome);
        }
        self.tell_refused(refused);
    }

    /// One line when commits begin to be refused, and one when they are stored again.
    fn tell_refused(&self, now: Option<RDKafkaErrorCode>) {
        let mut before = self
            .commits
            .refused
            .lock()
            .expect("the reading thread does not panic while it holds the lock");
        match (*before, now) {
            (None, Some(code)) if is_fence(code) => {
                tracing::warn!(source = %self.settings.name, %code, "fenced: the group has moved on, and offsets are committed under the next assignment or by their next owner");
            }
            (None, Some(code)) => {
                tracing::warn!(source = %self.settings.name, %code, "offsets were not committed: asked for again");
            }
            (Some(_), None) => {
                tracing::info!(source = %self.settings.name, "offsets are committed again");
            }
            _ => {}
        }
        *before = now;
    }

    /// No more answers are heard: librdkafka's queue must be gone before the client is.
    pub(in crate::source::kafka) fn deaf(&self) {
        self.lock_answers().take();
    }

    /// Whether an answer of the broker is waited for.
    pub(in crate::source::kafka) fn is_committing(&self) -> bool {
        self.lock_sent().is_some()
    }

    fn lock_sent(&self) -> MutexGuard<'_, Option<Sent>> {
        self.commits.sent.lock().expect("the reading thread does not panic while it holds the lock")
    }

    fn lock_answers(&self) -> MutexGuard<'_, Option<CommitQueue>> {
        self.commits
            .answers
            .lock()
            .expect("the reading thread does not panic while it holds the lock")
    }
}

/// Commits and waits for the answer, but not without end: who leaves a group in trouble would hold it up.
pub(in crate::source::kafka) fn commit_now(
    consumer: &BaseConsumer<GroupContext>,
    list: &TopicPartitionList,
) -> Result<(), KafkaError> {
    let refuse = KafkaError::ConsumerCommit;
    let queue = CommitQueue::new(consumer).ok_or(refuse(RDKafkaErrorCode::Fail))?;
    queue.commit(consumer, list).map_err(refuse)?;
    let (whole, answers) =
        queue.poll(LAST_MS).ok_or(refuse(RDKafkaErrorCode::OperationTimedOut))?;
    whole.map_err(refuse)?;
    answers.into_iter().try_for_each(|answer| answer.outcome.map_err(refuse))
}

/// Whether the broker says that this member's word no longer counts.
fn is_fence(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::IllegalGeneration
            | RDKafkaErrorCode::UnknownMemberId
            | RDKafkaErrorCode::FencedInstanceId
            | RDKafkaErrorCode::RebalanceInProgress
            | RDKafkaErrorCode::StaleMemberEpoch
            | RDKafkaErrorCode::FencedMemberEpoch
    )
}
