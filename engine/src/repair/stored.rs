//! What tables hold: which rows of a range, and whether somebody is storing more of them at this moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    time::{Duration, Instant},
};

use serde::Deserialize;

use crate::{
    delivery::Position,
    pipeline::replay::{Identity, Target},
    sink::clickhouse::{Class, Client, SinkError},
};

/// Rows of an answer: far below the largest answer that is read.
const PAGE: usize = 60_000;

/// How long a request of ours may still run on the server after we are gone, before it is ended.
const QUIET_MAX: Duration = Duration::from_secs(90);

/// Rows of one table, each with how many times it is there.
pub type Rows = BTreeMap<Identity, u64>;

/// What a table holds of a partition's range, without the rows themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Count {
    /// How many rows.
    pub rows: u64,
    /// How many different rows.
    pub known: u64,
    /// Of how many records.
    pub offsets: u64,
}

const WHERE: &str = "kafka_topic = {topic:String} AND kafka_partition = {partition:UInt32} \
                     AND kafka_offset >= {start:UInt64} AND kafka_offset < {end:UInt64}";

/// Reads which rows of a range a table holds, on all servers that have rows of their own.
pub async fn rows(
    target: &Target,
    position: &Position,
    range: &Range<i64>,
) -> Result<Rows, SinkError> {
    let mut all = Rows::new();
    for client in &target.clients {
        for (id, count) in rows_of(client, target, position, range).await? {
            *all.entry(id).or_default() += count;
        }
    }
    Ok(all)
}

async fn rows_of(
    client: &Client,
    target: &Target,
    position: &Position,
    range: &Range<i64>,
) -> Result<Rows, SinkError> {
    let mut rows = Rows::new();
    let mut after = (range.start, None::<u16>);
    loop {
        let sql = format!(
            "SELECT toUInt64(kafka_offset), toUInt16(emit_ix), count() FROM {} WHERE {WHERE} \
             AND (kafka_offset > {{offset:UInt64}} OR toInt32(emit_ix) > {{emit:Int32}}) \
             GROUP BY kafka_offset, emit_ix ORDER BY kafka_offset, emit_ix LIMIT {PAGE} FORMAT TSV",
            target.table.quoted()
        );
        let emit = after.1.map_or(-1, i32::from).to_string();
        let offset = after.0.to_string();
        let text = ask(
            client,
            &sql,
            position,
            &(after.0..range.end),
            &[("param_offset", &offset), ("param_emit", &emit)],
        )
        .await?;
        let mut n = 0;
        for line in text.lines() {
            let mut numbers = line.split('\t').map(str::parse::<u64>);
            let (Some(Ok(offset)), Some(Ok(emit_ix)), Some(Ok(count))) =
                (numbers.next(), numbers.next(), numbers.next())
            else {
                return Err(odd(client, line));
            };
            let id = Identity { offset: offset as i64, emit_ix: emit_ix as u16 };
            rows.insert(id, count);
            after = (id.offset, Some(id.emit_ix));
            n += 1;
        }
        if n < PAGE {
            return Ok(rows);
        }
    }
}

/// Letters in a range that stand for their whole record, not for one of its rows.
pub async fn whole(
    target: &Target,
    position: &Position,
    range: &Range<i64>,
) -> Result<Vec<i64>, SinkError> {
    let is_whole = if target.table.column("site").is_some() {
        "(site = 'decode' OR reason = 'fault')"
    } else {
        "reason = 'fault'"
    };
    let sql = format!(
        "SELECT DISTINCT toUInt64(kafka_offset) AS o FROM {} WHERE {WHERE} AND {is_whole} ORDER BY o FORMAT TSV",
        target.table.quoted()
    );
    let mut all = BTreeSet::new();
    for client in &target.clients {
        let text = ask(client, &sql, position, range, &[]).await?;
        for line in text.lines() {
            all.insert(line.parse::<i64>().map_err(|_| odd(client, line))?);
        }
    }
    Ok(all.into_iter().collect())
}

/// Counts what a table holds of a range.
pub async fn count(
    target: &Target,
    position: &Position,
    range: &Range<i64>,
) -> Result<Count, SinkError> {
    let sql = format!(
        "SELECT count() AS rows, uniqExact(kafka_offset, emit_ix) AS known, uniqExact(kafka_offset) AS offsets \
         FROM {} WHERE {WHERE} FORMAT JSONEachRow",
        target.table.quoted()
    );
    let mut all = Count::default();
    for client in &target.clients {
        let text = ask(client, &sql, position, range, &[]).await?;
        let one: Count = serde_json::from_str(text.trim()).map_err(|_| odd(client, &text))?;
        all.rows += one.rows;
        all.known += one.known;
        all.offsets += one.offsets;
    }
    Ok(all)
}

async fn ask(
    client: &Client,
    sql: &str,
    position: &Position,
    range: &Range<i64>,
    more: &[(&str, &str)],
) -> Result<String, SinkError> {
    let partition = position.partition.to_string();
    let (start, end) = (range.start.max(0).to_string(), range.end.max(0).to_string());
    let mut parameters = vec![
        ("param_topic", &*position.topic),
        ("param_partition", &*partition),
        ("param_start", &*start),
        ("param_end", &*end),
        ("output_format_json_quote_64bit_integers", "0"),
        // A replica that has not heard of an insert yet would let it happen twice.
        ("select_sequential_consistency", "1"),
    ];
    parameters.extend_from_slice(more);
    client.query(sql, &parameters).await
}

/// Waits until no insert whose name begins so runs on the server any more; one that runs too long is ended.
pub async fn quiesce(client: &Client, prefix: &str) -> Result<(), SinkError> {
    let deadline = Instant::now() + QUIET_MAX;
    loop {
        let text = client
            .query(
                "SELECT count() FROM system.processes WHERE startsWith(query_id, {prefix:String}) FORMAT TSV",
                &[("param_prefix", prefix)],
            )
            .await?;
        if text.trim() == "0" {
            return Ok(());
        }
        if Instant::now() > deadline {
            client
                .query(
                    "KILL QUERY WHERE startsWith(query_id, {prefix:String}) SYNC",
                    &[("param_prefix", prefix)],
                )
                .await?;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn odd(client: &Client, text: &str) -> SinkError {
    let endpoint = client.endpoint();
    let text = format!("{} does not answer like ClickHouse: {text}", endpoint.url);
    SinkError::new(Class::Stop, &endpoint.sink, "url", text)
}
