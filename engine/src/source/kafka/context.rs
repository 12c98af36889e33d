//! What happens in a consumer group: partitions come and go, errors are said once.

mod commits;

use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, Ordering},
};
use std::time::Duration;

use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, RebalanceProtocol},
    error::{KafkaError, RDKafkaErrorCode},
    types::RDKafkaRespErr,
};

use self::commits::Commits;
pub(super) use self::commits::commit_now;
use super::{
    Settings,
    damage::Damage,
    explain, is_tls_failure, note,
    queue::{self, PartitionQueue},
};
use crate::{
    config::Start,
    delivery::{LaneId, Position},
    source::{
        SharedIntake,
        assignment::{self, Known},
    },
};

/// How long the broker may take to say where a partition stands. A rebalance waits for it, so it stays well below the session time-out.
const ASK: Duration = Duration::from_secs(10);

/// How long a commit under way is waited for when partitions are taken away.
const ANSWER_MS: i32 = 2000;

/// A partition that is read.
#[derive(Debug)]
pub(super) struct Assigned {
    pub(super) position: Position,
    pub(super) lane: LaneId,
    pub(super) queue: PartitionQueue,
    /// The next offset that was not read yet.
    pub(super) next: i64,
    /// Fates of records before this offset are settled: they are read again for what rules remember of them.
    pub(super) settled: i64,
    /// Records before this offset, and from `settled` on, are a range that an earlier owner named.
    pub(super) ends: i64,
    /// What arrived damaged and did not arrive whole since.
    pub(super) damage: Option<Damage>,
}

/// The group's state on this member. All calls come from the reading thread; the lock is never contended.
#[derive(Debug)]
pub(super) struct GroupContext {
    settings: Settings,
    intake: SharedIntake,
    assigned: Mutex<Vec<Assigned>>,
    leaving: AtomicBool,
    /// The last sentence that was reported, so that a client which retries three times a second is heard once.
    said: Mutex<Option<String>>,
    /// Offsets with notes on their way to the broker.
    commits: Commits,
}

impl std::fmt::Debug for dyn crate::source::Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Intake")
    }
}

impl GroupContext {
    pub(super) fn new(settings: Settings, intake: SharedIntake) -> Self {
        Self {
            settings,
            intake,
            assigned: Mutex::default(),
            leaving: AtomicBool::new(false),
            said: Mutex::default(),
            commits: Commits::default(),
        }
    }

    /// What is read now.
    pub(super) fn assigned(&self) -> MutexGuard<'_, Vec<Assigned>> {
        self.assigned.lock().expect("the reading thread does not panic while it holds the lock")
    }

    /// From here on nothing is assigned any more.
    pub(super) fn leaving(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    /// Notes an error of the client: said once in the log and shown until the connection works again.
    pub(super) fn note(&self, error: &KafkaError) {
        let Some(code) = error.rdkafka_error_code() else {
            tracing::warn!(source = %self.settings.name, %error, "kafka");
            return;
        };
        match code {
            RDKafkaErrorCode::PartitionEOF | RDKafkaErrorCode::NoOffset => {}
            code => {
                if let Some(sentence) = explain(&self.settings.name, code) {
                    self.say(sentence);
                } else {
                    tracing::warn!(source = %self.settings.name, %error, "kafka");
                }
            }
        }
    }

    /// An error of one partition.
    pub(super) fn partition_fault(&self, position: &Position, code: RDKafkaErrorCode) {
        match code {
            RDKafkaErrorCode::PartitionEOF => self.well(),
            code => {
                let sentence = explain(&self.settings.name, code).unwrap_or_else(|| {
                    format!("{}/{}: {code}", position.topic, position.partition)
                });
                self.say(sentence);
            }
        }
    }

    pub(super) fn say(&self, sentence: String) {
        let mut said =
            self.said.lock().expect("the reading thread does not panic while it holds the lock");
        if said.as_ref() != Some(&sentence) {
            tracing::error!(source = %self.settings.name, "{sentence}");
            self.intake.report(Some(sentence.clone()));
            *said = Some(sentence);
        }
    }

    pub(super) fn well(&self) {
        let mut said =
            self.said.lock().expect("the reading thread does not panic while it holds the lock");
        if said.take().is_some() {
            tracing::info!(source = %self.settings.name, "the broker answers again");
            self.intake.report(None);
        }
    }

    fn assign(
        &self,
        consumer: &BaseConsumer<Self>,
        list: &TopicPartitionList,
    ) -> Result<(), KafkaError> {
        if self.leaving.load(Ordering::Acquire) {
            return change(consumer, list, true);
        }
        let starts = self.starts(consumer, list)?;
        let mut begin = TopicPartitionList::with_capacity(starts.len());
        let mut commit = TopicPartitionList::new();
        let mut assigned = self.assigned();
        for start in starts {
            let Position { topic, partition } = &start.position;
            if let Some((from, to)) = start.gap {
                tracing::error!(source = %self.settings.name, %topic, partition, from, to, "Kafka no longer holds these offsets: they were never read");
            }
            if start.fresh {
                // So that a restart begins here again, not at what is then the end.
                commit.add_partition_offset(topic, *partition, Offset::Offset(start.offset))?;
            }
            let Some(queue) = PartitionQueue::split(consumer, topic, *partition) else {
                tracing::error!(%topic, partition, "librdkafka has no queue for the partition");
                continue;
            };
            let lane = self.intake.assigned(start.position.clone());
            let resume = self.intake.resume(lane, start.offset, &start.note);
            let first = start.since.or(resume.since).unwrap_or(start.offset);
            begin.add_partition_offset(topic, *partition, Offset::Offset(first))?;
            assigned.push(Assigned {
                position: start.position,
                lane,
                queue,
                next: first,
                settled: start.offset,
                ends: resume.ends.unwrap_or(start.offset),
                damage: None,
            });
        }
        drop(assigned);
        change(consumer, &begin, true)?;
        if commit.count() > 0 {
            consumer.commit(&commit, CommitMode::Async)?;
        }
        self.well();
        Ok(())
    }

    /// Nothing of a half-made assignment is read. It is taken all the same, for librdkafka waits for that without end and takes back only what was
    /// taken; then the group is asked anew.
    fn give_back(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let mut lanes = Vec::new();
        self.assigned().retain(|one| {
            let is_new = list.find_partition(&one.position.topic, one.position.partition).is_some();
            lanes.extend(is_new.then_some(one.lane));
            !is_new
        });
        self.intake.revoked(&lanes);
        tracing::warn!(source = %self.settings.name, partitions = list.count(), "given back: where they stand could not be learned");
        if let Err(error) = change(consumer, list, true) {
            // Also where it was taken before something else failed.
            tracing::debug!(source = %self.settings.name, %error, "an assignment that is given back");
        }
        self.join_again(consumer);
    }

    /// Leaves the group and joins it again: what was sent before is fenced, and each partition begins with what the broker knows of it.
    pub(super) fn join_again(&self, consumer: &BaseConsumer<Self>) {
        consumer.unsubscribe();
        self.intake.report(None);
        if let Err(error) = consumer.subscribe(&self.settings.subscription()) {
            self.note(&error);
        }
    }

    /// Asks the broker where each partition of the list stands and decides where to begin.
    fn starts(
        &self,
        consumer: &BaseConsumer<Self>,
        list: &TopicPartitionList,
    ) -> Result<Vec<Beginning>, KafkaError> {
        let mut starts = Vec::with_capacity(list.count());
        let mut topics: Vec<String> =
            list.elements().iter().map(|element| element.topic().to_owned()).collect();
        topics.sort();
        topics.dedup();
        for topic in topics {
            let n_partitions = consumer
                .fetch_metadata(Some(&topic), ASK)?
                .topics()
                .first()
                .map_or(0, |topic| topic.partitions().len());
            let mut all = TopicPartitionList::new();
            all.add_partition_range(&topic, 0, n_partitions as i32 - 1);
            let committed = consumer.committed_offsets(all, ASK)?;
            let committed_of = |partition: i32| {
                committed.find_partition(&topic, partition).and_then(|element| {
                    match element.offset() {
                        Offset::Offset(offset) => Some(offset),
                        _ => None,
                    }
                })
            };
            let topic_is_read =
                (0..n_partitions as i32).any(|partition| committed_of(partition).is_some());
            for element in list.elements_for_topic(&topic) {
                let partition = element.partition();
                let (low, high) = consumer.fetch_watermarks(&topic, partition, ASK)?;
                let at = match self.settings.start {
                    Start::At(ms) => offset_at(consumer, &topic, partition, ms)?,
                    Start::Earliest | Start::Latest => None,
                };
                let noted = queue::metadata(&committed, &topic, partition).unwrap_or_default();
                let committed = committed_of(partition);
                let known = Known { committed, topic_is_read, low, high, at };
                let begin = assignment::begin(self.settings.start, known);
                let position = Position { topic: topic.as_str().into(), partition };
                self.intake.watermarks(&position, low, high);
                starts.push(Beginning {
                    position,
                    offset: begin.offset,
                    gap: begin.gap,
                    fresh: committed.is_none(),
                    // Only where reading goes on at what was committed does the note belong to it.
                    since: note::read(&noted)
                        .filter(|_| committed == Some(begin.offset))
                        .map(|since| since.max(low))
                        .filter(|since| *since < begin.offset),
                    note: if committed == Some(begin.offset) { noted } else { Vec::new() },
                });
            }
        }
        Ok(starts)
    }

    fn revoke(
        &self,
        consumer: &BaseConsumer<Self>,
        list: &TopicPartitionList,
    ) -> Result<(), KafkaError> {
        let lost = consumer.assignment_lost();
        let mut going = Vec::new();
        {
            let mut assigned = self.assigned();
            let gone = |one: &Assigned| {
                list.find_partition(&one.position.topic, one.position.partition).is_some()
            };
            let (revoked, kept): (Vec<_>, Vec<_>) = assigned.drain(..).partition(gone);
            *assigned = kept;
            going.extend(revoked);
        }
        let lanes: Vec<LaneId> = going.iter().map(|one| one.lane).collect();
        let closed = self.intake.revoking(&lanes);
        // What is on its way to the broker arrives under this assignment or not at all.
        self.hear_answers(ANSWER_MS);
        let words = self.intake.last_words(&lanes);
        if !lost && closed.len() + words.len() > 0 {
            let mut offsets = TopicPartitionList::with_capacity(closed.len() + words.len());
            for commit in &words {
                note::add_commit(&mut offsets, commit)
                    .expect("an offset of a record is a valid offset");
            }
            for (position, offset) in &closed {
                let since = self.intake.since(position, *offset);
                note::add(&mut offsets, position, *offset, since)
                    .expect("an offset of a record is a valid offset");
            }
            if let Err(error) = commit_now(consumer, &offsets) {
                // The next owner reads the range again.
                tracing::warn!(source = %self.settings.name, %error, "the last commit before a partition was given away");
            }
        }
        self.intake.revoked(&lanes);
        change(consumer, list, false)
    }
}

struct Beginning {
    position: Position,
    offset: i64,
    gap: Option<(i64, i64)>,
    /// Whether the group has no offset for the partition yet.
    fresh: bool,
    /// Where reading begins once more for what rules remember.
    since: Option<i64>,
    /// What stands beside the committed offset.
    note: Vec<u8>,
}

impl ClientContext for GroupContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if is_tls_failure(message) {
            self.note(&KafkaError::Global(RDKafkaErrorCode::SSL));
        }
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error => {
                tracing::debug!(source = %self.settings.name, facility, "{message}");
            }
            _ => tracing::trace!(source = %self.settings.name, facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(source = %self.settings.name, %error, reason, "kafka");
        self.note(&error);
    }
}

impl ConsumerContext for GroupContext {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        kind: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let outcome = match kind {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, list),
            _ => self.revoke(consumer, list),
        };
        if let Err(error) = outcome {
            self.note(&error);
            if kind == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
                self.give_back(consumer, list);
            }
        }
    }
}

/// Adds partitions to the assignment or takes them away, in the way of the group's protocol.
fn change(
    consumer: &BaseConsumer<GroupContext>,
    list: &TopicPartitionList,
    add: bool,
) -> Result<(), KafkaError> {
    match (consumer.rebalance_protocol(), add) {
        (RebalanceProtocol::Cooperative, true) => consumer.incremental_assign(list),
        (RebalanceProtocol::Cooperative, false) => consumer.incremental_unassign(list),
        (_, true) => consumer.assign(list),
        (_, false) => consumer.unassign(),
    }
}

/// The first offset at or after a moment, `None` if all records are older.
fn offset_at(
    consumer: &BaseConsumer<GroupContext>,
    topic: &str,
    partition: i32,
    ms: i64,
) -> Result<Option<i64>, KafkaError> {
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition_offset(topic, partition, Offset::Offset(ms))?;
    let found = consumer.offsets_for_times(list, ASK)?;
    Ok(found.find_partition(topic, partition).and_then(|element| match element.offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    }))
}
