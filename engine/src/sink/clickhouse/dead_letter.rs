//! Dead letters as rows of a ClickHouse table: what came, where from, and why it went no further.

use std::{sync::Arc, time::Duration};

use logmon_dsl::{
    column::{Batch, Cells, Column, Kind, Layout, Mask, Names, batch::Meta, json},
    eval::Routed,
    plan::SinkId,
};

use super::{
    append::{AppendReport, Context},
    bind::{Binding, Options, bind_named},
    block::Finished,
    builder::{Part, TableBuilder},
    errors::{Class, SinkError},
    schema::Table,
};

/// Columns that a table of dead letters must have: without them nobody could find the record again.
const REQUIRED: [&str; 6] =
    ["kafka_topic", "kafka_partition", "kafka_offset", "timestamp", "reason", "raw"];
/// Letters go into batches of at most this many bytes, since a batch's text has an upper bound.
const BATCH_MAX: usize = 8 << 20;
/// No dead letter's time is corrected: it is the record's own.
const ALL_TIME: Duration = Duration::from_hours(400 * 366 * 24);

/// One record that was not delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The Kafka topic.
    pub topic: Arc<str>,
    /// The Kafka partition.
    pub partition: i32,
    /// The record's offset.
    pub offset: i64,
    /// The how-many-eth output of its event.
    pub emit_ix: u16,
    /// The record's Kafka timestamp, nanoseconds since 1970.
    pub timestamp: i64,
    /// The sink that it did not reach; empty if it came to none.
    pub sink: Arc<str>,
    /// The rule that decided it; empty if none did.
    pub rule: Arc<str>,
    /// The place in the rule.
    pub site: Arc<str>,
    /// Why, as a metric's label.
    pub reason: Arc<str>,
    /// Why, as a sentence.
    pub cause: String,
    /// The rules bundle.
    pub bundle: Arc<str>,
    /// The Kafka key.
    pub key: Option<Vec<u8>>,
    /// The Kafka headers.
    pub headers: Vec<(String, Vec<u8>)>,
    /// What came.
    pub raw: Raw,
}

/// A record's bytes, or as many of them as are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw {
    /// The first bytes.
    pub head: Vec<u8>,
    /// How many there were.
    pub bytes: u64,
    /// BLAKE3 of all of them, in hex.
    pub hash: String,
}

impl Raw {
    /// Keeps at most `keep` bytes.
    pub fn new(record: &[u8], keep: usize) -> Self {
        Self {
            head: record[..record.len().min(keep)].to_vec(),
            bytes: record.len() as u64,
            hash: blake3::hash(record).to_hex().to_string(),
        }
    }
}

/// Collects dead letters for their table.
#[derive(Debug)]
pub struct DeadLetters {
    builder: TableBuilder,
    layout: Layout,
    names: Names,
}

impl DeadLetters {
    /// A builder for a table as [`super::ddl::DEAD_LETTERS`] creates it; columns may be missing, except the ones that name the record.
    pub fn new(sink: &Arc<str>, table: &Arc<Table>) -> Result<Self, SinkError> {
        if let Some(missing) = REQUIRED.iter().find(|name| table.column(name).is_none()) {
            let text =
                format!("table {} lacks the column {missing} that dead letters need", table.name);
            return Err(SinkError::new(Class::Stop, sink, "table", text));
        }
        let mut layout = Layout::new();
        let options = Options { accept_time: (ALL_TIME, ALL_TIME), ..Options::default() };
        let mut binding: Binding = bind_named(&mut layout, sink, table, &options)?;
        // A letter past the table's TTL has no second place to go: it is the server that forgets it.
        binding.ttl.clear();
        binding.seal(&layout);
        let builder = TableBuilder::new(Arc::new(binding));
        Ok(Self { builder, layout, names: Names::default() })
    }

    /// The growing blocks.
    pub fn builder(&self) -> &TableBuilder {
        &self.builder
    }

    /// Ends the growing blocks for which `full` holds.
    pub fn take(&mut self, full: impl FnMut(&Part) -> bool) -> Vec<Finished> {
        self.builder.take(full)
    }

    /// Ends all growing blocks.
    pub fn finish(&mut self) -> Vec<Finished> {
        self.builder.finish()
    }

    /// Adds letters.
    pub fn append(&mut self, letters: &[DeadLetter], context: &Context<'_>) -> AppendReport {
        let mut report = AppendReport::default();
        let mut rest = letters;
        while let Some(first) = rest.first() {
            // A batch is of one partition, as everywhere.
            let mut bytes = 0;
            let n = rest
                .iter()
                .take_while(|letter| {
                    bytes += letter.raw.head.len() + letter.cause.len();
                    letter.topic == first.topic
                        && letter.partition == first.partition
                        && (bytes <= BATCH_MAX || std::ptr::eq(*letter, first))
                })
                .count();
            let (group, behind) = rest.split_at(n);
            let group = self.append_group(group, context);
            report.rows += group.rows;
            report.dead.extend(group.dead);
            report.defaulted.extend(group.defaulted);
            report.unfit.extend(group.unfit);
            rest = behind;
        }
        report
    }

    fn append_group(&mut self, letters: &[DeadLetter], context: &Context<'_>) -> AppendReport {
        let mut batch = Batch::new(&self.layout);
        batch.rows = letters.len();
        batch.meta = Meta {
            topic: letters[0].topic.clone(),
            partition: letters[0].partition,
            offsets: letters.iter().map(|letter| letter.offset).collect(),
            times: letters.iter().map(|letter| letter.timestamp).collect(),
            ..Meta::default()
        };
        let text = |batch: &mut Batch, name: &str, of: &dyn Fn(&DeadLetter) -> &[u8]| {
            let views = letters.iter().map(|letter| batch.arena.text(of(letter))).collect();
            set(&self.layout, batch, name, Column::Text(views));
        };
        text(&mut batch, "sink", &|letter| letter.sink.as_bytes());
        text(&mut batch, "rule", &|letter| letter.rule.as_bytes());
        text(&mut batch, "site", &|letter| letter.site.as_bytes());
        text(&mut batch, "reason", &|letter| letter.reason.as_bytes());
        text(&mut batch, "cause", &|letter| letter.cause.as_bytes());
        text(&mut batch, "bundle", &|letter| letter.bundle.as_bytes());
        text(&mut batch, "kafka_key", &|letter| letter.key.as_deref().unwrap_or_default());
        text(&mut batch, "raw", &|letter| &letter.raw.head);
        text(&mut batch, "raw_hash", &|letter| letter.raw.hash.as_bytes());
        let mut lengths = Cells::with_capacity(letters.len());
        for letter in letters {
            lengths.push(Ok(letter.raw.bytes as i64));
        }
        set(&self.layout, &mut batch, "raw_bytes", Column::Int(lengths));
        let headers = letters
            .iter()
            .map(|letter| batch.arena.build(Kind::Object, |out| object(&letter.headers, out)))
            .collect();
        set(&self.layout, &mut batch, "headers", Column::Json(headers));
        let mut times = Cells::with_capacity(letters.len());
        for letter in letters {
            times.push(Ok(letter.timestamp));
        }
        set(&self.layout, &mut batch, "timestamp", Column::Timestamp(times));
        batch.rest.ends = vec![0; letters.len()];
        let routed = Routed {
            sink: SinkId(0),
            rows: (0..letters.len() as u32).collect(),
            emit_ix: letters.iter().map(|letter| letter.emit_ix).collect(),
            snapshot: Arc::new(batch.snapshot()),
            args: Vec::new(),
            rule: None,
        };
        self.builder.append(&mut batch, &self.names, &routed, context)
    }
}

fn set(layout: &Layout, batch: &mut Batch, name: &str, column: Column) {
    // A table need not have every column.
    if let Some(node) = layout.find(&[name]) {
        let field = &mut batch.fields[node.index()];
        field.written = Some(Arc::new(Mask::all(column.len())));
        field.column = Some(Arc::new(column));
    }
}

/// Headers as an object; of repeated names the last one stays, values that are no UTF-8 are read as well as they can be.
fn object(headers: &[(String, Vec<u8>)], out: &mut Vec<u8>) {
    out.push(b'{');
    let mut any = false;
    for (at, (name, value)) in headers.iter().enumerate() {
        if headers[at + 1..].iter().any(|(later, _)| later == name) {
            continue;
        }
        if any {
            out.push(b',');
        }
        any = true;
        json::write_string(out, name.as_bytes());
        out.push(b':');
        json::write_string(out, String::from_utf8_lossy(value).as_bytes());
    }
    out.push(b'}');
}
