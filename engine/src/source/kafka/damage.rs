//! Records that arrive damaged: their batch's checksum is wrong, or it cannot be unpacked.
//!
//! Invariant: nothing behind them is taken before they are whole, or were left out by name and number.

//!
//! librdkafka loses its place in what it fetched when a checksum is wrong: it takes bytes from within the batch for the next one, and may go on
//! at any offset. So what comes behind a damaged batch is thrown away, and the partition is taken up anew at the offset that is due.

use std::time::{Duration, Instant};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{Consumer as _, RebalanceProtocol},
    error::{KafkaError, RDKafkaErrorCode},
};

use super::{Reader, context::Assigned};
use crate::{config::OnCorrupt, delivery::Position};

/// What was damaged on its way is whole the next time: so often records are asked for before they are left out.
const TRIES: u32 = 3;

/// How long is waited before they are asked for again.
const PAUSE: Duration = Duration::from_millis(500);

/// A stretch of offsets that could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damage {
    /// The first of them.
    first: i64,
    /// How often records of it arrived damaged.
    tries: u32,
    /// When they are asked for again; until then nothing of the partition is taken.
    again: Option<Instant>,
}

impl Damage {
    /// Whether what comes now comes from anywhere.
    pub(super) fn waits(&self) -> bool {
        self.again.is_some()
    }
}

/// Whether an error of a partition says that records are damaged.
pub(super) fn is_meant(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::BadMessage
            | RDKafkaErrorCode::BadCompression
            | RDKafkaErrorCode::InvalidMessage
            | RDKafkaErrorCode::NotImplemented
    )
}

impl Reader<'_> {
    /// The next record of a partition arrived damaged.
    pub(super) fn damaged(&self, assigned: &mut Assigned) {
        let Position { topic, partition } = &assigned.position;
        let next = assigned.next;
        let known = assigned.damage.get_or_insert(Damage { first: next, tries: 0, again: None });
        known.tries = known.tries.saturating_add(1);
        if self.settings.on_corrupt == OnCorrupt::Skip {
            if known.tries > TRIES {
                // A fetch hands out whole batches, so one that begins within a damaged batch is damaged too: where the batch ends is found step by step.
                assigned.next += 1;
                known.again = Some(Instant::now());
                return;
            }
        } else {
            let name = &self.settings.name;
            self.consumer.context().say(format!(
                "{topic}/{partition}: the records from offset {next} on arrive damaged (a wrong checksum, or they cannot be unpacked); the partition stands still and asks again. If they are damaged where Kafka keeps them, on_corrupt = \"skip\" in [source.{name}] leaves them out"
            ));
        }
        known.again = Some(Instant::now() + PAUSE);
    }

    /// Asks for damaged records again when it is time.
    pub(super) fn seek_damaged(&self, assigned: &mut Assigned) {
        let Some(damage) = &mut assigned.damage else { return };
        if damage.again.is_none_or(|again| again > Instant::now()) {
            return;
        }
        let Position { topic, partition } = &assigned.position;
        let sought = self.begin_at(topic, *partition, assigned.next);
        match sought {
            Ok(()) => damage.again = None,
            Err(error) => {
                tracing::debug!(source = %self.settings.name, %topic, partition, %error, "the damaged records are not asked for yet");
                damage.again = Some(Instant::now() + PAUSE);
            }
        }
    }

    /// Reads a partition from there on. What librdkafka still has in its queue counts as outdated from here on.
    fn begin_at(&self, topic: &str, partition: i32, offset: i64) -> Result<(), KafkaError> {
        if !matches!(self.consumer.rebalance_protocol(), RebalanceProtocol::Cooperative) {
            return self.consumer.seek(topic, partition, Offset::Offset(offset), Duration::ZERO);
        }
        // A partition whose client went on at an offset that never was is not read any more, and cannot be sought.
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(topic, partition, Offset::Offset(offset))?;
        self.consumer.incremental_unassign(&list)?;
        self.consumer.incremental_assign(&list)
    }

    /// A record came behind what was damaged.
    pub(super) fn whole_again(&self, position: &Position, damage: Damage, offset: i64) {
        let Position { topic, partition } = position;
        if self.settings.on_corrupt == OnCorrupt::Skip && damage.tries > TRIES {
            let (from, to) = (damage.first, offset);
            tracing::error!(source = %self.settings.name, %topic, partition, from, to, "these offsets were left out: their records are damaged");
            self.intake.damaged(position, (to - from).unsigned_abs());
        }
        self.consumer.context().well();
    }
}
