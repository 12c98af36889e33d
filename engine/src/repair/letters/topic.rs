//! Dead letters in a Kafka topic: read from its beginning, as many as may be held.

use std::collections::BTreeMap;

use rdkafka::ClientConfig;

use super::{BUCKET, Bucket, By, Filter, Group, Letter};
use crate::{
    config::{Config, Connection, SinkKind, Topics},
    delivery::Position,
    repair::{
        Trouble,
        actions::{Action, Done, State, States},
    },
    source::kafka::past::{Entry, Past},
};

/// Letters of a partition of the topic that are read: the newest ones.
const LETTERS_MAX: i64 = 200_000;
/// Bytes of them that are held.
const BYTES_MAX: usize = 256 << 20;

/// What names a letter.
type Place = (String, i32, i64, u16);

/// The topic's letters, each once.
#[derive(Debug)]
pub(super) struct InTopic {
    letters: BTreeMap<Place, (Letter, Vec<u8>)>,
}

impl InTopic {
    /// Reads the topic that the configuration names.
    pub(super) fn read(config: &Config, plan: &logmon_dsl::plan::Plan) -> Result<Self, Trouble> {
        let (connection, topic) = place(config, plan)?;
        let mut client = ClientConfig::new();
        for (key, value) in connection.properties() {
            client.set(key, value.expose());
        }
        client
            .set("group.id", "logmon-reads-letters")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            .set("allow.auto.create.topics", "false");
        let past = Past::open(client, "dead_letter")?;
        let mut letters = BTreeMap::new();
        let mut bytes = 0;
        for standing in past.standings(&Topics::Names(vec![topic.to_owned()]))? {
            let first = standing.low.max(standing.high - LETTERS_MAX);
            past.read(&standing.position, first..standing.high, |entries| {
                for (place, letter, raw) in entries.into_iter().filter_map(letter) {
                    bytes += raw.len();
                    letters.insert(place, (letter, raw));
                }
                if bytes > BYTES_MAX {
                    return Err(Trouble::World(format!(
                        "the topic {topic} holds more than {} MiB of dead letters: set `sink` in [dead_letter] to a table to work with so many",
                        BYTES_MAX >> 20
                    )));
                }
                Ok(())
            })?;
        }
        Ok(Self { letters })
    }

    /// The letters that are meant, with what was done last.
    pub(super) fn list(&self, states: &States, filter: &Filter) -> Vec<Letter> {
        let all = self.letters.iter().map(|(place, (letter, _))| {
            let State { state, outcome, acted } = states.get(place).cloned().unwrap_or_default();
            Letter { state, outcome, acted, ..letter.clone() }
        });
        all.filter(|letter| filter.takes(letter)).collect()
    }

    /// What came.
    pub(super) fn raw(&self, letter: &Letter) -> Vec<u8> {
        let place = (letter.topic.clone(), letter.partition, letter.offset, letter.emit_ix);
        self.letters.get(&place).map(|(_, raw)| raw.clone()).unwrap_or_default()
    }
}

/// Where the topic is: the sink's, or one that lives where the events come from.
fn place<'a>(
    config: &'a Config,
    plan: &logmon_dsl::plan::Plan,
) -> Result<(&'a Connection, &'a str), Trouble> {
    let nowhere = || Trouble::Usage("[dead_letter] names no place for dead letters".to_owned());
    let settings = config.dead_letter.as_ref().ok_or_else(nowhere)?;
    if let Some(topic) = &settings.topic {
        let source = plan.sources.first().and_then(|source| config.sources.get(&source.name));
        return Ok((&source.ok_or_else(nowhere)?.connection, topic));
    }
    match config.sinks.get(&settings.sink).map(|sink| &sink.kind) {
        Some(SinkKind::Kafka(topic)) => Ok((&topic.connection, &topic.topic)),
        _ => Err(nowhere()),
    }
}

/// A record as a letter; `None` if the engine did not write it, as where a rule sends events to the same topic.
fn letter(entry: Entry) -> Option<(Place, Letter, Vec<u8>)> {
    let key = String::from_utf8(entry.key?).ok()?;
    let mut parts = key.rsplitn(4, '/');
    let emit_ix = parts.next()?.parse().ok()?;
    let offset = parts.next()?.parse().ok()?;
    let partition = parts.next()?.parse().ok()?;
    let topic = parts.next()?.to_owned();
    let raw = entry.payload.unwrap_or_default();
    let mut letter = Letter {
        topic: topic.clone(),
        partition,
        offset,
        emit_ix,
        time: entry.time,
        reason: String::new(),
        cause: String::new(),
        sink: String::new(),
        rule: String::new(),
        site: String::new(),
        bundle: String::new(),
        key: String::new(),
        headers: BTreeMap::new(),
        raw_bytes: raw.len() as u64,
        kept: raw.len() as u64,
        raw_hash: String::new(),
        state: String::new(),
        outcome: String::new(),
        acted: 0,
    };
    for (name, value) in entry.headers {
        let value = String::from_utf8_lossy(&value.unwrap_or_default()).into_owned();
        match &*name {
            "reason" => letter.reason = value,
            "cause" => letter.cause = value,
            "sink" => letter.sink = value,
            "rule" => letter.rule = value,
            "site" => letter.site = value,
            "bundle" => letter.bundle = value,
            "raw_hash" => letter.raw_hash = value,
            "raw_bytes" => letter.raw_bytes = value.parse().ok()?,
            "timestamp" => letter.time = value.parse().ok()?,
            "kafka_key" => letter.key = value,
            _ => {
                if let Some(name) = name.strip_prefix("header.") {
                    letter.headers.insert(name.to_owned(), value);
                }
            }
        }
    }
    let is_ours = !letter.reason.is_empty() && !letter.raw_hash.is_empty();
    is_ours.then_some(((topic, partition, offset, emit_ix), letter, raw))
}

/// Letters by something, the most frequent first.
pub(super) fn stats(letters: &[Letter], by: By) -> Vec<Group> {
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for letter in letters {
        let name = match by {
            By::Reason => letter.reason.clone(),
            By::Rule => letter.rule.clone(),
            By::Sink => letter.sink.clone(),
            By::Hour => jiff::Timestamp::from_nanosecond(i128::from(letter.time))
                .map(|time| time.strftime("%Y-%m-%dT%H:00:00Z").to_string())
                .unwrap_or_default(),
        };
        let group = groups.entry(name.clone()).or_insert_with(|| Group {
            name,
            letters: 0,
            open: 0,
            first: letter.time,
            last: letter.time,
            example: letter.cause.clone(),
        });
        group.letters += 1;
        group.open += u64::from(letter.is_open());
        group.first = group.first.min(letter.time);
        group.last = group.last.max(letter.time);
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    if by != By::Hour {
        groups.sort_by_key(|group| std::cmp::Reverse(group.letters));
    }
    groups
}

/// Letters in heaps.
pub(super) fn buckets(letters: &[Letter]) -> Vec<Bucket> {
    let mut buckets: BTreeMap<(&str, i32, i64), u64> = BTreeMap::new();
    for letter in letters {
        let number = letter.offset.div_euclid(BUCKET);
        *buckets.entry((&letter.topic, letter.partition, number)).or_default() += 1;
    }
    buckets
        .into_iter()
        .map(|((topic, partition, number), letters)| Bucket {
            topic: topic.to_owned(),
            partition,
            number,
            letters,
        })
        .collect()
}

/// Lines that give letters up.
pub(super) fn discarded(letters: &[Letter], because: &str) -> Vec<Done> {
    let line = |letter: &Letter| Done {
        action: Action::Discarded,
        position: Position { topic: letter.topic.as_str().into(), partition: letter.partition },
        offset: letter.offset,
        end: letter.offset + 1,
        emit_ix: letter.emit_ix,
        bundle: letter.bundle.clone(),
        rows: 0,
        outcome: because.to_owned(),
    };
    letters.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, headers: &[(&str, &str)]) -> Entry {
        Entry {
            offset: 3,
            time: 5,
            payload: Some(b"{".to_vec()),
            key: Some(key.as_bytes().to_vec()),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), Some(value.as_bytes().to_vec())))
                .collect(),
        }
    }

    #[test]
    fn records_of_the_engine_are_letters() {
        let headers = [
            ("reason", "not_json"),
            ("raw_hash", "ab"),
            ("raw_bytes", "1"),
            ("timestamp", "7"),
            ("header.a", "b"),
        ];
        let (place, letter, raw) = letter(record("logs.in/3/77/1", &headers)).expect("a letter");
        assert_eq!(place, ("logs.in".to_owned(), 3, 77, 1));
        assert_eq!((letter.time, &*letter.reason, &*raw), (7, "not_json", &b"{"[..]));
        assert_eq!(letter.headers["a"], "b");
        assert!(super::letter(record("some key", &headers)).is_none());
        assert!(super::letter(record("logs.in/3/77/1", &[])).is_none(), "a rule sent it");
        let groups = stats(std::slice::from_ref(&letter), By::Reason);
        assert_eq!((&*groups[0].name, groups[0].letters, groups[0].open), ("not_json", 1, 1));
        assert_eq!(buckets(&[letter])[0].range(), 0..1024);
    }
}
