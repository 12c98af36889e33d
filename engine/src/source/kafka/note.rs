//! What stands beside a committed offset: where reading must begin again to know what rules remember there.
//!
//! It is the offset's own metadata, so no other store has to agree with it.

use rdkafka::{Offset, TopicPartitionList, error::KafkaError};

use crate::{
    delivery::{Position, intent::Note},
    source::Commit,
};

/// What stands before the number.
const SINCE: &str = "sf=";

/// Adds an offset to what is committed, with its note.
pub(super) fn add(
    list: &mut TopicPartitionList,
    position: &Position,
    offset: i64,
    since: Option<i64>,
) -> Result<(), KafkaError> {
    let Position { topic, partition } = position;
    list.add_partition_offset(topic, *partition, Offset::Offset(offset))?;
    if let Some(since) = since
        && let Some(mut element) = list.find_partition(topic, *partition)
    {
        element.set_metadata(format!("{SINCE}{since}"));
    }
    Ok(())
}

/// Reads a note; what somebody else wrote there says nothing.
pub(super) fn read(metadata: &[u8]) -> Option<i64> {
    if let Ok(note) = Note::decode(metadata) {
        return Some(note.since());
    }
    let text = std::str::from_utf8(metadata).ok()?;
    text.strip_prefix(SINCE)?.parse().ok().filter(|since| *since >= 0)
}

/// Adds an offset with what exactly-once writes beside it.
pub(super) fn add_commit(list: &mut TopicPartitionList, commit: &Commit) -> Result<(), KafkaError> {
    let Position { topic, partition } = &commit.position;
    list.add_partition_offset(topic, *partition, Offset::Offset(commit.offset))?;
    if let Some(mut element) = list.find_partition(topic, *partition) {
        element.set_metadata(&commit.note);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written() {
        let mut list = TopicPartitionList::new();
        let position = Position { topic: "t".into(), partition: 3 };
        add(&mut list, &position, 90, Some(42)).unwrap();
        let element = list.find_partition("t", 3).unwrap();
        assert_eq!(
            (element.offset(), read(element.metadata().as_bytes())),
            (Offset::Offset(90), Some(42))
        );
        for other in ["", "42", "sf=", "sf=-1", "sf=4x", "somebody's own"] {
            assert_eq!(read(other.as_bytes()), None, "{other}");
        }
        let idle = Note::Idle { inc: 1, seq: 1, since: 7 }.encode().unwrap();
        assert_eq!(read(idle.as_bytes()), Some(7));
        assert_eq!(read(b"\xff\xfe"), None);
    }
}
