//! What of a range is in a table already: counted, listed, and whether an insert for it still runs.
//!
//! Invariant: every question is asked on a connection in hand, so that what follows on it reaches the same server process or nobody.

use std::time::Duration;

use super::{
    bind::{Binding, From},
    block::Finished,
    columns::Store,
    errors::{Class, SinkError},
    http::{Client, Hand},
    reply::Asked,
    schema::Table,
    types::{Scalar, Type},
};

/// How long a count may take: an index narrows it to the granules of its offsets.
const COUNT_MAX: Duration = Duration::from_mins(1);

/// What is taken for the time that a server keeps idle connections where it does not say: several times what any comes with.
const KEEPS_IDLE: Duration = Duration::from_secs(90);

/// The constant with which the server's `intHash64` begins.
const SEED: u64 = 0x4cf2_d2ba_ae6d_a887;

/// Rows of one topic's partition: what their identity columns say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows<'a> {
    /// `database.table`, quoted.
    pub table: &'a str,
    /// The topic.
    pub topic: &'a str,
    /// Its partition.
    pub partition: i32,
    /// The first offset.
    pub start: i64,
    /// One past the last offset.
    pub end: i64,
    /// The column `incarnation`.
    pub incarnation: u32,
}

/// How many rows there are of one ClickHouse partition, and the sum of their identities' hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tally {
    /// Rows.
    pub rows: u64,
    /// The sum, without its overflow.
    pub sum: u64,
}

/// The hash of a row's identity; the server computes the same.
pub fn identity(offset: u64, emit_ix: u16) -> u64 {
    let mut x = ((offset << 16) ^ u64::from(emit_ix)) ^ SEED;
    x ^= x >> 33;
    x = x.wrapping_mul(0xff51_afd7_ed55_8ccd);
    x ^= x >> 33;
    x = x.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ x >> 33
}

impl Rows<'_> {
    fn condition(&self) -> String {
        format!(
            "{} WHERE kafka_topic = {{topic:String}} AND kafka_partition = {} AND kafka_offset >= {} AND kafka_offset < {} AND incarnation = {}",
            self.table, self.partition, self.start, self.end, self.incarnation
        )
    }

    /// The rows by the table's own partitions.
    pub async fn tally(
        &self,
        client: &Client,
        hand: Hand,
    ) -> (Result<Vec<Tally>, SinkError>, Option<Hand>) {
        let sql = format!(
            "SELECT count(), sum(intHash64(bitXor(bitShiftLeft(kafka_offset, 16), toUInt64(emit_ix)))) FROM {} GROUP BY _partition_id FORMAT TSV",
            self.condition()
        );
        let (text, hand) = self.ask(client, hand, &sql).await;
        let read = |line: &str| {
            let (rows, sum) = line.split_once('\t')?;
            Some(Tally { rows: rows.parse().ok()?, sum: sum.parse().ok()? })
        };
        (text.and_then(|text| lines(client, &text, read)), hand)
    }

    /// Offset and output number of every row.
    pub async fn list(
        &self,
        client: &Client,
        hand: Hand,
    ) -> (Result<Vec<(u64, u16)>, SinkError>, Option<Hand>) {
        let sql = format!("SELECT kafka_offset, emit_ix FROM {} FORMAT TSV", self.condition());
        let (text, hand) = self.ask(client, hand, &sql).await;
        let read = |line: &str| {
            let (offset, emit_ix) = line.split_once('\t')?;
            Some((offset.parse().ok()?, emit_ix.parse().ok()?))
        };
        (text.and_then(|text| lines(client, &text, read)), hand)
    }

    async fn ask(
        &self,
        client: &Client,
        hand: Hand,
        sql: &str,
    ) -> (Result<String, SinkError>, Option<Hand>) {
        let parameters = [
            ("param_topic", escaped(self.topic)),
            // A replica that lags would not see what another one has.
            ("select_sequential_consistency", "1".to_owned()),
            ("max_execution_time", COUNT_MAX.as_secs().to_string()),
            ("output_format_tsv_crlf_end_of_line", "0".to_owned()),
        ];
        let parameters: Vec<(&str, &str)> =
            parameters.iter().map(|(name, value)| (*name, &**value)).collect();
        let body = bytes::Bytes::copy_from_slice(sql.as_bytes());
        let (answer, hand) = client.send_on(hand, Asked::Query, &parameters, body, COUNT_MAX).await;
        (answer.map(|text| String::from_utf8_lossy(&text).into_owned()), hand)
    }
}

/// How many queries run whose id begins like this.
pub async fn running(client: &Client, prefix: &str) -> Result<u64, SinkError> {
    let parameters = [("param_prefix", &*escaped(prefix))];
    let sql = "SELECT count() FROM system.processes WHERE startsWith(query_id, {prefix:String}) FORMAT TSV";
    let text = client.query(sql, &parameters).await?;
    text.trim().parse().map_err(|_| odd(client, &text))
}

/// How long the server keeps a connection on which nothing is sent.
pub async fn keeps_idle(client: &Client) -> Result<Duration, SinkError> {
    let sql =
        "SELECT value FROM system.server_settings WHERE name = 'keep_alive_timeout' FORMAT TSV";
    match client.query(sql, &[]).await {
        Ok(text) => Ok(text.trim().parse().map_or(KEEPS_IDLE, Duration::from_secs)),
        // Its user may not look, or an older server has no such table: then it is as slow as any is set to be.
        Err(error) if error.code.is_some() => Ok(KEEPS_IDLE),
        Err(error) => Err(error),
    }
}

/// Ends the queries whose id begins like this, and waits until they are gone.
pub async fn kill(client: &Client, prefix: &str) -> Result<(), SinkError> {
    let parameters = [("param_prefix", &*escaped(prefix))];
    let sql = "KILL QUERY WHERE startsWith(query_id, {prefix:String}) SYNC FORMAT Null";
    client.query(sql, &parameters).await.map(drop)
}

/// A parameter's text: the server undoes escapes in it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n")
}

fn lines<T>(
    client: &Client,
    text: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, SinkError> {
    text.lines().map(read).collect::<Option<_>>().ok_or_else(|| odd(client, text))
}

fn odd(client: &Client, text: &str) -> SinkError {
    let start = text.get(..text.floor_char_boundary(80)).unwrap_or_default();
    let sentence = format!("the server answers a count with {start:?}");
    SinkError::new(Class::Resolve, &client.endpoint().sink, "url", sentence)
}

impl Finished {
    /// How many rows, and the sum of their identities' hashes; `None` without identity columns.
    pub fn tally(&self) -> Option<Tally> {
        let bytes = |from: &From| {
            let at = self.binding.columns.iter().position(|column| column.from == *from)?;
            match &self.columns[at].store {
                Store::Fixed(_, bytes) => Some(&**bytes),
                _ => None,
            }
        };
        let (offsets, outputs) = (bytes(&From::Offset)?, bytes(&From::EmitIx)?);
        let (offsets, rest) = offsets.as_chunks::<8>();
        let (outputs, more) = outputs.as_chunks::<2>();
        if !rest.is_empty() || !more.is_empty() || offsets.len() != outputs.len() {
            return None;
        }
        let hashes = offsets.iter().zip(outputs).map(|(offset, output)| {
            identity(u64::from_le_bytes(*offset), u16::from_le_bytes(*output))
        });
        let sum = hashes.fold(0_u64, u64::wrapping_add);
        Some(Tally { rows: self.rows as u64, sum })
    }
}

/// Why a table cannot be written exactly once, in words that follow "because"; `None` where it can.
pub async fn obstacle(
    client: &Client,
    table: &Table,
    binding: &Binding,
) -> Result<Option<String>, SinkError> {
    let replicated =
        ["Replicated", "Shared"].iter().find_map(|kind| table.engine.strip_prefix(kind));
    if replicated.unwrap_or(&table.engine) != "MergeTree" {
        return Ok(Some(format!("its engine is {}, not a plain MergeTree", table.engine)));
    }
    if table.deduplication_window == 0 {
        let setting = match replicated {
            Some(_) => "replicated_deduplication_window",
            None => "non_replicated_deduplication_window",
        };
        return Ok(Some(format!("its setting {setting} is 0")));
    }
    if table.queues_inserts {
        // Several inserts would be one block, under a token of none of them.
        return Ok(Some("its setting async_insert is 1, which queues inserts".to_owned()));
    }
    if !binding.cuts_partitions() {
        return Ok(Some("its partition expression is computed by the server alone".to_owned()));
    }
    for (name, from, bytes) in IDENTITY {
        let fits = binding.columns.iter().any(|column| {
            column.from == from
                && match (&column.ty, bytes) {
                    (Type::Scalar(Scalar::Int { bytes: width, signed: false }), Some(bytes)) => {
                        *width == bytes
                    }
                    (ty, None) => ty.scalar() == Some(&Scalar::Text),
                    _ => false,
                }
        });
        if !fits {
            let ty = bytes.map_or("String".to_owned(), |bytes| format!("UInt{}", bytes * 8));
            return Ok(Some(format!("it has no column {name} of type {ty}")));
        }
    }
    let parameters = [("param_db", &*table.database), ("param_table", &*table.name)];
    let sql = "SELECT arrayStringConcat(dependencies_table, ', ') FROM system.tables WHERE database = {db:String} AND name = {table:String} FORMAT TSV";
    let views = client.query(sql, &parameters).await?;
    let views = views.trim();
    Ok((!views.is_empty()).then(|| format!("views read its inserts: {views}")))
}

/// The identity columns and their widths; text where there is none.
const IDENTITY: [(&str, From, Option<u8>); 6] = [
    ("kafka_topic", From::Topic, None),
    ("kafka_partition", From::Partition, Some(4)),
    ("kafka_offset", From::Offset, Some(8)),
    ("emit_ix", From::EmitIx, Some(2)),
    ("attempt", From::Attempt, Some(4)),
    ("incarnation", From::Incarnation, Some(4)),
];
