//! One complete Native block: what an insert sends.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    bind::{Binding, Bound, From},
    buffer::Buffer,
    columns::{Growing, Low, Store},
    compress::{Compression, Frames},
    pool::{self, Pool},
    schema::quote,
    text::{put_text, put_varint, put_words},
    types::Type,
};

/// A block whose rows are fixed but whose bytes are not made yet. Encoding it needs nothing else, so any thread may do it.
#[derive(Debug)]
pub struct Finished {
    /// `database.table`, quoted.
    pub table: Arc<str>,
    /// How many rows.
    pub rows: usize,
    /// A digest of the partition value; `None` where the server computes the partition.
    pub partition: Option<u128>,
    /// Which micro-batches the rows come from, as the caller numbered them, and how many of its rows are in here.
    pub tickets: Vec<(u64, u32)>,
    /// Names and types.
    pub(super) binding: Arc<Binding>,
    /// The values of all bound columns.
    pub(super) columns: Vec<Growing>,
    /// Where their memory goes.
    pub(super) pool: Arc<Pool>,
}

impl Drop for Finished {
    fn drop(&mut self) {
        self.pool.give(std::mem::take(&mut self.columns));
    }
}

/// A block as it is sent. Retries send the same bytes.
#[derive(Debug, Clone)]
pub struct Block {
    /// `database.table`, quoted.
    pub table: Arc<str>,
    /// The columns in the block, in order.
    pub columns: Vec<Arc<str>>,
    /// How many rows.
    pub rows: usize,
    /// A digest of the partition value; `None` where the server computes the partition.
    pub partition: Option<u128>,
    /// Whether a column is `JSON`, whose text the server reads with settings of its own.
    pub has_json: bool,
    /// How the body is compressed.
    pub compression: Compression,
    /// The Native block, in frames if compressed.
    pub body: Bytes,
    /// The block's size before compression.
    pub raw_bytes: usize,
    /// As in [`Finished::tickets`].
    pub tickets: Vec<(u64, u32)>,
}

impl Block {
    /// The statement that the body belongs to.
    pub fn statement(&self) -> String {
        let columns: Vec<String> = self.columns.iter().map(|name| quote(name)).collect();
        format!("INSERT INTO {} ({}) FORMAT Native", self.table, columns.join(", "))
    }
}

impl Finished {
    /// Bytes before compression, roughly.
    pub fn bytes(&self) -> usize {
        self.columns.iter().map(Growing::bytes).sum()
    }

    /// The columns that are sent: those that no row fed and that have a default stay out.
    fn sent(&self) -> impl Iterator<Item = (&Bound, &Growing)> {
        let all = self.binding.columns.iter().zip(&self.columns);
        all.filter(|(column, values)| values.fed > 0 || column.always || !column.has_default)
    }

    /// Makes the block's bytes.
    pub fn encode(&self, compression: Compression) -> Block {
        let columns: Vec<Sent<'_>> = self
            .sent()
            .map(|(column, values)| Sent {
                name: &column.name,
                type_name: &column.type_name,
                // Another attempt changes this column alone.
                own_frame: column.from == From::Attempt,
                values,
            })
            .collect();
        let (body, raw_bytes) = encode(&columns, self.rows, compression, self.pool.body());
        Block {
            table: self.table.clone(),
            columns: self.sent().map(|(column, _)| column.name.clone()).collect(),
            rows: self.rows,
            partition: self.partition,
            has_json: self.sent().any(|(column, _)| column.ty == Type::Json),
            compression,
            body: pool::body(body, &self.pool),
            raw_bytes,
            tickets: self.tickets.clone(),
        }
    }
}

/// A column of a block.
pub(super) struct Sent<'a> {
    pub(super) name: &'a str,
    pub(super) type_name: &'a str,
    /// Whether it is compressed by itself.
    pub(super) own_frame: bool,
    pub(super) values: &'a Growing,
}

/// A Native block of these columns, and its size before compression.
pub(super) fn encode(
    columns: &[Sent<'_>],
    rows: usize,
    compression: Compression,
    out: Buffer,
) -> (Buffer, usize) {
    let mut frames = Frames::new(compression, out);
    put_varint(frames.small(), columns.len());
    put_varint(frames.small(), rows);
    for column in columns {
        if column.own_frame {
            frames.flush();
        }
        put_text(frames.small(), column.name.as_bytes());
        put_text(frames.small(), column.type_name.as_bytes());
        if rows > 0 {
            write(column.values, &mut frames);
        }
        if column.own_frame {
            frames.flush();
        }
    }
    frames.finish()
}

/// The version of the low-cardinality format: dictionaries inside the block.
const LOW_VERSION: u64 = 1;
/// The version of JSON that is sent as text.
const JSON_AS_TEXT: u64 = 1;

fn write(column: &Growing, frames: &mut Frames) {
    prefix(&column.store, frames.small());
    body(column, frames);
}

/// What stands in front of a column's data, for all its nested parts.
fn prefix(store: &Store, out: &mut Vec<u8>) {
    match store {
        Store::Fixed(..) | Store::Text(_) => {}
        Store::Low(_) => out.extend_from_slice(&LOW_VERSION.to_le_bytes()),
        Store::List(_, items) => prefix(&items.store, out),
        Store::Map(_, keys, values) => {
            if keys.is_low {
                out.extend_from_slice(&LOW_VERSION.to_le_bytes());
            }
            prefix(values, out);
        }
        Store::Object(_) => out.extend_from_slice(&JSON_AS_TEXT.to_le_bytes()),
    }
}

fn body(column: &Growing, frames: &mut Frames) {
    if let Some(nulls) = &column.nulls {
        frames.add(nulls);
    }
    data(&column.store, frames);
}

fn data(store: &Store, frames: &mut Frames) {
    match store {
        Store::Fixed(_, bytes) => frames.add(bytes),
        Store::Text(text) | Store::Object(text) => frames.add(text.bytes()),
        Store::Low(low) => add_low(low, frames),
        Store::List(ends, items) => {
            add_ends(ends, frames);
            body(items, frames);
        }
        Store::Map(ends, keys, values) => {
            add_ends(ends, frames);
            if keys.is_low {
                add_low(&keys.low, frames);
            } else {
                frames.add_written(|out| keys.write_plain(out));
            }
            data(values, frames);
        }
    }
}

fn add_low(low: &Low, frames: &mut Frames) {
    frames.add_written(|out| low.write(out));
}

fn add_ends(ends: &[u64], frames: &mut Frames) {
    frames.add_written(|out| put_words(out, ends.iter().map(|end| end.to_le_bytes())));
}
