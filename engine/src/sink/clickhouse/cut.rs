//! A block's rows read back out of its own bytes, and smaller blocks made of them.
//!
//! Only a block that a server refuses for one of its rows is ever read back, so nothing is kept beside the bytes that are sent.

use std::{ops::Range, sync::Arc};

use super::{
    block::{Block, Sent, encode},
    columns::{Growing, Keys, Low, Store},
    compress::{Compression, unpack},
    pool::{self, Pool},
    types::Type,
};

/// The rows of a block, ready to be cut.
#[derive(Debug)]
pub struct Rows {
    table: Arc<str>,
    partition: Option<u128>,
    compression: Compression,
    columns: Vec<Column>,
    count: usize,
    pool: Arc<Pool>,
}

#[derive(Debug)]
struct Column {
    name: Arc<str>,
    type_name: Arc<str>,
    ty: Type,
    values: Growing,
}

impl Rows {
    /// Reads a block's rows; `None` if its bytes are not what they were.
    pub fn read(block: &Block) -> Option<Self> {
        let raw = unpack(block.compression, &block.body)?;
        let mut from = Reader(&raw);
        let (n_columns, rows) = (from.varint()?, from.varint()?);
        let mut columns = Vec::with_capacity(block.columns.len());
        for _ in 0..n_columns {
            let name = std::str::from_utf8(from.text()?).ok()?.into();
            let type_name: Arc<str> = std::str::from_utf8(from.text()?).ok()?.into();
            let ty = Type::parse(&type_name).ok()?;
            let mut values = Growing::new(&ty);
            if rows > 0 {
                from.prefix(&values.store)?;
                from.column(&mut values, rows)?;
            }
            columns.push(Column { name, type_name, ty, values });
        }
        from.0.is_empty().then(|| Self {
            table: block.table.clone(),
            partition: block.partition,
            compression: block.compression,
            columns,
            count: rows,
            pool: Arc::default(),
        })
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// A whole number of a row, such as `kafka_offset`; `None` without such a column.
    pub fn number(&self, column: &str, row: usize) -> Option<u64> {
        let column = self.columns.iter().find(|known| &*known.name == column)?;
        let Store::Fixed(width, bytes) = &column.values.store else { return None };
        let mut number = [0; 8];
        number.get_mut(..*width)?.copy_from_slice(bytes.get(row * width..(row + 1) * width)?);
        Some(u64::from_le_bytes(number))
    }

    /// Puts a whole number into a column of every row.
    pub fn set(&mut self, column: &str, number: u64) {
        let Some(column) = self.columns.iter_mut().find(|known| &*known.name == column) else {
            return;
        };
        if let Store::Fixed(width, bytes) = &mut column.values.store {
            let number = number.to_le_bytes();
            bytes.chunks_mut(*width).for_each(|cell| cell.copy_from_slice(&number[..cell.len()]));
        }
    }

    /// A block of some of the rows. Its tickets are the caller's business.
    pub fn cut(&self, rows: Range<usize>) -> Block {
        self.pick(&[rows])
    }

    /// A block of the rows in these ranges, which ascend.
    pub fn pick(&self, ranges: &[Range<usize>]) -> Block {
        let rows: usize = ranges.iter().map(Range::len).sum();
        let parts: Vec<Growing> =
            self.columns.iter().map(|column| column.values.slices(&column.ty, ranges)).collect();
        let sent: Vec<Sent<'_>> = self
            .columns
            .iter()
            .zip(&parts)
            .map(|(column, values)| Sent {
                name: &column.name,
                type_name: &column.type_name,
                own_frame: &*column.name == "attempt",
                values,
            })
            .collect();
        let (body, raw_bytes) = encode(&sent, rows, self.compression, self.pool.body());
        Block {
            table: self.table.clone(),
            columns: self.columns.iter().map(|column| column.name.clone()).collect(),
            rows,
            partition: self.partition,
            has_json: self.columns.iter().any(|column| column.ty == Type::Json),
            compression: self.compression,
            body: pool::body(body, &self.pool),
            raw_bytes,
            tickets: Vec::new(),
        }
    }
}

/// What of a block is not read yet.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<usize> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return usize::try_from(number).ok();
            }
        }
        None
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.varint()?;
        self.take(length)
    }

    fn word(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    /// That many texts, with their lengths.
    fn texts(&mut self, count: usize) -> Option<&'a [u8]> {
        let all = self.0;
        for _ in 0..count {
            self.text()?;
        }
        Some(&all[..all.len() - self.0.len()])
    }

    fn prefix(&mut self, store: &Store) -> Option<()> {
        match store {
            Store::Fixed(..) | Store::Text(_) => {}
            Store::Low(_) | Store::Object(_) => {
                self.word()?;
            }
            Store::List(_, items) => self.prefix(&items.store)?,
            Store::Map(_, keys, values) => {
                if keys.is_low {
                    self.word()?;
                }
                self.prefix(values)?;
            }
        }
        Some(())
    }

    fn column(&mut self, column: &mut Growing, rows: usize) -> Option<()> {
        column.fed = rows;
        if let Some(nulls) = &mut column.nulls {
            nulls.extend_from_slice(self.take(rows)?);
        }
        self.store(&mut column.store, rows)
    }

    fn store(&mut self, store: &mut Store, rows: usize) -> Option<()> {
        match store {
            Store::Fixed(width, bytes) => {
                bytes.extend_from_slice(self.take(rows.checked_mul(*width)?)?);
            }
            Store::Text(text) | Store::Object(text) => text.extend(self.texts(rows)?),
            Store::Low(low) => self.low(low, rows)?,
            Store::List(ends, items) => {
                let total = self.ends(ends, rows)?;
                self.column(items, total)?;
            }
            Store::Map(ends, keys, values) => {
                let total = self.ends(ends, rows)?;
                if keys.is_low {
                    self.low(&mut keys.low, total)?;
                } else {
                    for _ in 0..total {
                        let number = keys.low.dictionary.number(self.text()?);
                        keys.low.index.push(number);
                    }
                }
                self.store(values, total)?;
            }
        }
        Some(())
    }

    fn ends(&mut self, ends: &mut Vec<u64>, rows: usize) -> Option<usize> {
        for _ in 0..rows {
            ends.push(self.word()?);
        }
        usize::try_from(ends.last().copied().unwrap_or(0)).ok()
    }

    fn low(&mut self, low: &mut Low, rows: usize) -> Option<()> {
        if rows == 0 {
            return Some(());
        }
        let code = self.word()? & 0xff;
        let values = self.word()?;
        for number in 0..values {
            let value = match low.width {
                Some(width) => self.take(width)?,
                None => self.text()?,
            };
            // Number 0 of a column that takes NULL is NULL.
            if !low.nullable || number > 0 {
                low.dictionary.number(value);
            }
        }
        let count = usize::try_from(self.word()?).ok()?;
        let width = [1_usize, 2, 4].get(usize::try_from(code).ok()?)?;
        for word in self.take(count.checked_mul(*width)?)?.chunks(*width) {
            let mut number = [0; 4];
            number[..*width].copy_from_slice(word);
            low.index.push(u32::from_le_bytes(number));
        }
        (count == rows).then_some(())
    }
}

impl Growing {
    /// The same column with some of its rows.
    fn slices(&self, ty: &Type, ranges: &[Range<usize>]) -> Self {
        let mut part = Self::new(ty);
        for rows in ranges {
            part.take(self, rows);
        }
        part
    }

    fn take(&mut self, from: &Self, rows: &Range<usize>) {
        self.fed += rows.len();
        if let (Some(nulls), Some(all)) = (&mut self.nulls, &from.nulls) {
            nulls.extend_from_slice(&all[rows.clone()]);
        }
        self.store.take(&from.store, rows);
    }
}

impl Store {
    fn take(&mut self, from: &Self, rows: &Range<usize>) {
        match (self, from) {
            (Self::Fixed(width, out), Self::Fixed(_, all)) => {
                out.extend_from_slice(&all[rows.start * *width..rows.end * *width]);
            }
            (Self::Text(out), Self::Text(all)) | (Self::Object(out), Self::Object(all)) => {
                let mut left = Reader(all.bytes());
                left.texts(rows.start).expect("the rows were read before");
                out.extend(left.texts(rows.len()).expect("the rows were read before"));
            }
            (Self::Low(out), Self::Low(all)) => out.take(all, rows),
            (Self::List(ends, items), Self::List(all, from)) => {
                items.take(from, &inner(ends, all, rows));
            }
            (Self::Map(ends, keys, values), Self::Map(all, from_keys, from)) => {
                let inner = inner(ends, all, rows);
                let Keys { low, .. } = keys;
                low.take(&from_keys.low, &inner);
                values.take(from, &inner);
            }
            _ => unreachable!("a part has its column's type"),
        }
    }
}

impl Low {
    fn take(&mut self, from: &Self, rows: &Range<usize>) {
        let shift = u32::from(self.nullable);
        for &number in &from.index[rows.clone()] {
            let number = match number.checked_sub(shift) {
                None => 0,
                Some(number) => self.dictionary.number(from.dictionary.get(number)) + shift,
            };
            self.index.push(number);
        }
    }
}

/// The places of the rows' elements, whose ends are noted behind those that the column has.
fn inner(ends: &mut Vec<u64>, all: &[u64], rows: &Range<usize>) -> Range<usize> {
    let before = ends.last().copied().unwrap_or(0);
    let start = rows.start.checked_sub(1).map_or(0, |before| all[before]);
    let end = rows.end.checked_sub(1).map_or(0, |last| all[last]).max(start);
    ends.extend(all[rows.clone()].iter().map(|end| end - start + before));
    start as usize..end as usize
}
