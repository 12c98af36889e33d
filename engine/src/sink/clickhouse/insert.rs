//! One insert: one table, one block, one token.
//!
//! # Guarantees
//!
//! The body is complete and never changes between tries, so the server stores it once per token as long as its
//! deduplication window remembers the token. An error of class `Resolve` may mean that the rows are stored.

use std::{sync::Arc, time::Duration};

use super::{
    block::Block,
    compress::Compression,
    errors::{Class, SinkError},
    http::{Client, Hand},
    reply::Asked,
};

/// The server gives up on its own at the sink's time limit; we wait so much longer, so that its answer is seen.
const GRACE: Duration = Duration::from_secs(15);

/// Inserts blocks into the tables of one server.
#[derive(Debug, Clone)]
pub struct Inserter {
    client: Arc<Client>,
}

impl Inserter {
    /// Inserts over that client.
    pub fn new(client: Arc<Client>) -> Self {
        Self { client }
    }

    /// The client it uses.
    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// Stores a block. The token must belong to exactly this block: rows under a token that was used before are dropped silently.
    pub async fn insert(&self, block: &Block, token: &str) -> Result<(), SinkError> {
        self.refuse_empty(block)?;
        let (statement, seconds) = (block.statement(), self.seconds());
        let parameters = parameters(block, token, &statement, &seconds);
        let (body, wait) = (block.body.clone(), self.client.endpoint().timeout + GRACE);
        self.client.send(Asked::Insert, &parameters, body, wait).await.map(drop)
    }

    /// The same, on that connection or not at all.
    pub async fn insert_on(
        &self,
        hand: Hand,
        block: &Block,
        token: &str,
    ) -> (Result<(), SinkError>, Option<Hand>) {
        if let Err(error) = self.refuse_empty(block) {
            return (Err(error), Some(hand));
        }
        let (statement, seconds) = (block.statement(), self.seconds());
        let parameters = parameters(block, token, &statement, &seconds);
        let (body, wait) = (block.body.clone(), self.client.endpoint().timeout + GRACE);
        let (answer, hand) =
            self.client.send_on(hand, Asked::Insert, &parameters, body, wait).await;
        (answer.map(drop), hand)
    }

    /// Sends a block to a table of a session: one that keeps nothing, to hear what the server says of the rows.
    pub async fn look(&self, block: &Block, session: &str) -> Result<(), SinkError> {
        let (statement, seconds) = (block.statement(), self.seconds());
        let mut parameters = parameters(block, "", &statement, &seconds);
        parameters.retain(|(name, _)| !matches!(*name, "query_id" | "insert_deduplication_token"));
        parameters.push(("session_id", session));
        let (body, wait) = (block.body.clone(), self.client.endpoint().timeout + GRACE);
        self.client.send(Asked::Insert, &parameters, body, wait).await.map(drop)
    }

    fn seconds(&self) -> String {
        self.client.endpoint().timeout.as_secs().max(1).to_string()
    }

    fn refuse_empty(&self, block: &Block) -> Result<(), SinkError> {
        if block.rows > 0 {
            return Ok(());
        }
        let sink = &self.client.endpoint().sink;
        Err(SinkError::new(Class::Stop, sink, "table", "a block without rows is not sent"))
    }
}

fn parameters<'a>(
    block: &Block,
    token: &'a str,
    statement: &'a str,
    seconds: &'a str,
) -> Vec<(&'a str, &'a str)> {
    let mut parameters = vec![
        ("query", statement),
        ("query_id", token),
        ("insert_deduplication_token", token),
        ("insert_deduplicate", "1"),
        ("async_insert", "0"),
        // Where the table or a profile queues inserts all the same, the answer comes behind the rows.
        ("wait_for_async_insert", "1"),
        ("input_format_parallel_parsing", "0"),
        ("input_format_null_as_default", "1"),
        ("max_insert_block_size", "2000000"),
        ("min_insert_block_size_rows", "2000000"),
        ("min_insert_block_size_bytes", "1073741824"),
        ("max_execution_time", seconds),
        ("http_receive_timeout", "30"),
        ("http_send_timeout", "30"),
        ("wait_end_of_query", "1"),
    ];
    if block.partition.is_some() {
        parameters.push(("max_partitions_per_insert_block", "1"));
        parameters.push(("throw_on_max_partitions_per_insert_block", "1"));
    }
    if block.has_json {
        // Text stays text, also where it looks like a date.
        parameters.push(("input_format_try_infer_dates", "0"));
        parameters.push(("input_format_try_infer_datetimes", "0"));
    }
    if block.compression != Compression::None {
        parameters.push(("decompress", "1"));
    }
    parameters
}
