//! Dead letters in a ClickHouse table.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, de::DeserializeOwned};

use super::{Actions, BUCKET, Bucket, By, Filter, Group, Letter};
use crate::sink::clickhouse::{Class, Client, SinkError, Table};

/// Bytes of records that are asked for at once: a third more travels, and an answer has a limit.
const RAW_AT_ONCE: u64 = 2 << 20;

/// The table.
#[derive(Debug)]
pub(super) struct InTable {
    client: Arc<Client>,
    table: Table,
}

impl InTable {
    /// That table.
    pub(super) fn new(client: Arc<Client>, table: Table) -> Self {
        Self { client, table }
    }

    /// The letters that are meant, in the order of their records.
    pub(super) async fn list(
        &self,
        actions: &Actions,
        filter: &Filter,
        limit: u64,
    ) -> Result<Vec<Letter>, SinkError> {
        let (chosen, parameters) = self.chosen(actions, filter);
        let sql = format!(
            "SELECT * FROM ({chosen}) ORDER BY topic, partition, off, emit LIMIT {limit} FORMAT JSONEachRow"
        );
        self.rows(&sql, &parameters).await
    }

    /// How many letters are meant, by something.
    pub(super) async fn stats(
        &self,
        actions: &Actions,
        filter: &Filter,
        by: By,
    ) -> Result<Vec<Group>, SinkError> {
        let (chosen, parameters) = self.chosen(actions, filter);
        let name = match by {
            By::Reason => "reason",
            By::Rule => "rule",
            By::Sink => "sink",
            By::Hour => {
                "formatDateTime(toStartOfHour(fromUnixTimestamp64Nano(time, 'UTC')), '%Y-%m-%dT%H:00:00Z', 'UTC')"
            }
        };
        let order = if by == By::Hour { "name" } else { "letters DESC, name" };
        let sql = format!(
            "SELECT {name} AS name, count() AS letters, countIf(state IN ('', 'dead_again')) AS open, \
             min(time) AS first, max(time) AS last, any(cause) AS example \
             FROM ({chosen}) GROUP BY name ORDER BY {order} LIMIT 1000 FORMAT JSONEachRow"
        );
        self.rows(&sql, &parameters).await
    }

    /// The open letters that are meant, in heaps that are worked on together.
    pub(super) async fn buckets(
        &self,
        actions: &Actions,
        filter: &Filter,
    ) -> Result<Vec<Bucket>, SinkError> {
        let (chosen, parameters) = self.chosen(actions, filter);
        let sql = format!(
            "SELECT topic, partition, intDiv(off, {BUCKET}) AS number, count() AS letters FROM ({chosen}) \
             GROUP BY topic, partition, number ORDER BY topic, partition, number LIMIT 20000 FORMAT JSONEachRow"
        );
        self.rows(&sql, &parameters).await
    }

    /// What came, of each of these letters of one partition: as much as was kept.
    pub(super) async fn raws(&self, letters: &[&Letter]) -> Result<Vec<Vec<u8>>, SinkError> {
        let mut all = Vec::with_capacity(letters.len());
        let mut rest = letters;
        while let Some(first) = rest.first() {
            if first.kept > RAW_AT_ONCE {
                all.push(self.large(first).await?);
                rest = &rest[1..];
                continue;
            }
            let mut bytes = 0;
            let n = rest
                .iter()
                .take_while(|letter| {
                    bytes += letter.kept + 64;
                    bytes <= RAW_AT_ONCE || std::ptr::eq(**letter, *first)
                })
                .count();
            let (group, behind) = rest.split_at(n);
            all.extend(self.small(group).await?);
            rest = behind;
        }
        Ok(all)
    }

    async fn small(&self, letters: &[&Letter]) -> Result<Vec<Vec<u8>>, SinkError> {
        let Some(first) = letters.first() else { return Ok(Vec::new()) };
        let mut places = String::new();
        for letter in letters {
            let _ = write!(places, "({},{}),", letter.offset, letter.emit_ix);
        }
        places.pop();
        let emit = self.column("emit_ix", "toUInt16(0)");
        let sql = format!(
            "SELECT toInt64(kafka_offset) AS off, toUInt16({emit}) AS emit, base64Encode(raw) AS text FROM {} \
             WHERE kafka_topic = {{topic:String}} AND kafka_partition = {{partition:UInt32}} \
             AND (toInt64(kafka_offset), toUInt16({emit})) IN ({places}) LIMIT 1 BY off, emit FORMAT TSV",
            self.table.quoted()
        );
        let partition = first.partition.to_string();
        let text = self
            .client
            .query(&sql, &[("param_topic", &first.topic), ("param_partition", &partition)])
            .await?;
        let mut found: BTreeMap<(i64, u16), Vec<u8>> = BTreeMap::new();
        for line in text.lines() {
            let mut parts = line.split('\t');
            let (Some(Ok(off)), Some(Ok(emit)), Some(Ok(raw))) = (
                parts.next().map(str::parse),
                parts.next().map(str::parse),
                parts.next().map(|text| STANDARD.decode(text)),
            ) else {
                return Err(self.odd(line));
            };
            found.insert((off, emit), raw);
        }
        Ok(letters
            .iter()
            .map(|letter| found.remove(&(letter.offset, letter.emit_ix)).unwrap_or_default())
            .collect())
    }

    /// One letter, slice by slice.
    async fn large(&self, letter: &Letter) -> Result<Vec<u8>, SinkError> {
        let emit = self.column("emit_ix", "toUInt16(0)");
        let sql = format!(
            "SELECT base64Encode(substring(raw, {{from:UInt64}}, {RAW_AT_ONCE})) FROM {} \
             WHERE kafka_topic = {{topic:String}} AND kafka_partition = {{partition:UInt32}} \
             AND kafka_offset = {{offset:UInt64}} AND {emit} = {{emit:UInt16}} LIMIT 1 FORMAT TSV",
            self.table.quoted()
        );
        let (partition, offset, emit) =
            (letter.partition.to_string(), letter.offset.to_string(), letter.emit_ix.to_string());
        let mut raw = Vec::new();
        while (raw.len() as u64) < letter.kept {
            let from = (raw.len() + 1).to_string();
            let parameters = [
                ("param_topic", &*letter.topic),
                ("param_partition", &*partition),
                ("param_offset", &*offset),
                ("param_emit", &*emit),
                ("param_from", &*from),
            ];
            let text = self.client.query(&sql, &parameters).await?;
            let slice = STANDARD.decode(text.trim()).map_err(|_| self.odd(&text))?;
            if slice.is_empty() {
                break;
            }
            raw.extend(slice);
        }
        Ok(raw)
    }

    /// Marks the open letters that are meant as given up, with the reason. Returns how many.
    pub(super) async fn discard(
        &self,
        actions: &Actions,
        filter: &Filter,
        because: &str,
    ) -> Result<u64, SinkError> {
        let (chosen, mut parameters) = self.chosen(actions, filter);
        let counted: Vec<Count> = self
            .rows(&format!("SELECT count() AS n FROM ({chosen}) FORMAT JSONEachRow"), &parameters)
            .await?;
        let letters = counted.first().map_or(0, |count| count.n);
        if letters == 0 {
            return Ok(0);
        }
        parameters.push(("because".to_owned(), because.to_owned()));
        parameters.push(("run".to_owned(), actions.run().to_owned()));
        parameters.push(("host".to_owned(), actions.host().to_owned()));
        let sql = format!(
            "INSERT INTO {} (run, host, pid, action, seconds, kafka_topic, kafka_partition, kafka_offset, kafka_end, emit_ix, bundle, rows, outcome) \
             SELECT {{run:String}}, {{host:String}}, {}, 'discarded', 0, topic, partition, off, off + 1, emit, bundle, 0, {{because:String}} FROM ({chosen})",
            actions.table(),
            std::process::id(),
        );
        self.ask(&sql, &parameters).await?;
        Ok(letters)
    }

    fn column<'a>(&self, name: &'a str, without: &'a str) -> &'a str {
        if self.table.column(name).is_some() { name } else { without }
    }

    /// The statement for the letters that are meant, each once, with what was done last.
    fn chosen(&self, actions: &Actions, filter: &Filter) -> (String, Vec<(String, String)>) {
        let text = |name: &'static str| self.column(name, "''");
        let emit = self.column("emit_ix", "0");
        let mut conditions = vec!["1".to_owned()];
        let mut parameters: Vec<(String, String)> = Vec::new();
        let mut add = |condition: String, values: &[(&str, String)]| {
            conditions.push(condition);
            parameters
                .extend(values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        };
        if let Some(reason) = &filter.reason {
            add("reason = {reason:String}".to_owned(), &[("reason", reason.clone())]);
        }
        if let Some(rule) = &filter.rule {
            let condition = format!(
                "({0} = {{rule:String}} OR endsWith({0}, concat('/', {{rule:String}})))",
                text("rule")
            );
            add(condition, &[("rule", rule.clone())]);
        }
        if let Some(sink) = &filter.sink {
            add(format!("{} = {{sink:String}}", text("sink")), &[("sink", sink.clone())]);
        }
        if let Some(since) = filter.since {
            let condition = "timestamp >= fromUnixTimestamp64Nano({since:Int64})".to_owned();
            add(condition, &[("since", since.to_string())]);
        }
        if let Some(until) = filter.until {
            let condition = "timestamp < fromUnixTimestamp64Nano({until:Int64})".to_owned();
            add(condition, &[("until", until.to_string())]);
        }
        if let Some(topic) = &filter.topic {
            add("kafka_topic = {topic:String}".to_owned(), &[("topic", topic.clone())]);
        }
        if let Some(partition) = filter.partition {
            let condition = "kafka_partition = {partition:UInt32}".to_owned();
            add(condition, &[("partition", partition.to_string())]);
        }
        if let Some(offsets) = &filter.offsets {
            let condition =
                "kafka_offset >= {start:UInt64} AND kafka_offset < {end:UInt64}".to_owned();
            let end = offsets.end.max(offsets.start);
            add(condition, &[("start", offsets.start.to_string()), ("end", end.to_string())]);
        }
        if let Some(emit_ix) = filter.emit_ix {
            add(format!("{emit} = {{emit:UInt16}}"), &[("emit", emit_ix.to_string())]);
        }
        let open = if filter.settled { "1" } else { "state IN ('', 'dead_again')" };
        let headers = self.column("headers", "CAST(map(), 'Map(String, String)')");
        let sql = format!(
            "SELECT letters.*, toString(acts.state) AS state, acts.outcome AS outcome, acts.acted AS acted FROM (\
               SELECT toString(kafka_topic) AS topic, toInt32(kafka_partition) AS partition, \
                 toInt64(kafka_offset) AS off, toUInt16({emit}) AS emit, \
                 toUnixTimestamp64Nano(toDateTime64(timestamp, 9)) AS time, toString(reason) AS reason, \
                 toString({}) AS cause, toString({}) AS sink, toString({}) AS rule, toString({}) AS site, \
                 toString({}) AS bundle, toString({}) AS key, {headers} AS headers, \
                 toUInt64({}) AS raw_bytes, length(raw) AS kept, toString({}) AS raw_hash \
               FROM {} WHERE {} LIMIT 1 BY topic, partition, off, emit\
             ) AS letters LEFT JOIN (\
               SELECT toString(kafka_topic) AS topic, toInt32(kafka_partition) AS partition, \
                 toInt64(kafka_offset) AS off, emit_ix AS emit, argMax(action, at) AS state, \
                 argMax(outcome, at) AS outcome, toUnixTimestamp64Nano(toDateTime64(max(at), 9)) AS acted \
               FROM {} WHERE action IN ('redriven', 'dead_again', 'discarded') GROUP BY topic, partition, off, emit\
             ) AS acts USING (topic, partition, off, emit) WHERE {open}",
            text("cause"),
            text("sink"),
            text("rule"),
            text("site"),
            text("bundle"),
            text("kafka_key"),
            self.column("raw_bytes", "length(raw)"),
            text("raw_hash"),
            self.table.quoted(),
            conditions.join(" AND "),
            actions.table(),
        );
        (sql, parameters)
    }

    async fn ask(&self, sql: &str, parameters: &[(String, String)]) -> Result<String, SinkError> {
        // The server reads parameters as text of a TSV field.
        let escape = |value: &str| {
            value
                .replace('\\', "\\\\")
                .replace('\t', "\\t")
                .replace('\n', "\\n")
                .replace('\r', "\\r")
        };
        let named: Vec<(String, String)> = parameters
            .iter()
            .map(|(name, value)| (format!("param_{name}"), escape(value)))
            .collect();
        let mut all: Vec<(&str, &str)> =
            named.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        all.extend([
            ("output_format_json_quote_64bit_integers", "0"),
            ("join_use_nulls", "0"),
            ("async_insert", "0"),
            // Names of the inner query are its own, also where a column has the same.
            ("prefer_column_name_to_alias", "1"),
        ]);
        self.client.query(sql, &all).await
    }

    async fn rows<T: DeserializeOwned>(
        &self,
        sql: &str,
        parameters: &[(String, String)],
    ) -> Result<Vec<T>, SinkError> {
        let text = self.ask(sql, parameters).await?;
        text.lines()
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_str(line).map_err(|_| self.odd(line)))
            .collect()
    }

    fn odd(&self, text: &str) -> SinkError {
        let endpoint = self.client.endpoint();
        let shown: String = text.chars().take(200).collect();
        let text = format!("{} does not answer like ClickHouse: {shown}", endpoint.url);
        SinkError::new(Class::Stop, &endpoint.sink, "url", text)
    }
}

#[derive(Deserialize)]
struct Count {
    n: u64,
}
