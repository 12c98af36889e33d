//! A table's rows on their way into blocks: one growing block a partition.

use std::{collections::HashMap, sync::Arc, time::Instant};

use xxhash_rust::xxh3::xxh3_128;

use super::{
    bind::Binding,
    block::Finished,
    cell::Converter,
    columns::{Decoded, Growing, Reading},
    dictionary::Dictionary,
    partition::PartitionKey,
    pool::{Pool, Shelf},
    rest::Rests,
    types::Type,
};

/// Collects rows of one table, across micro-batches.
#[derive(Debug)]
pub struct TableBuilder {
    pub(super) binding: Arc<Binding>,
    pub(super) decoded: Vec<Decoded>,
    pub(super) converters: Vec<Option<Converter>>,
    pub(super) rests: Rests,
    partition: Option<PartitionKey>,
    table: Arc<str>,
    parts: Vec<Part>,
    by_key: HashMap<Box<[u8]>, usize>,
    picks: Vec<Vec<u32>>,
    pool: Arc<Pool>,
}

/// The growing block of one partition.
#[derive(Debug)]
pub struct Part {
    key: Box<[u8]>,
    columns: Vec<Growing>,
    rows: usize,
    opened: Instant,
    tickets: Vec<(u64, u32)>,
}

impl Part {
    /// How many rows it holds.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes before compression, roughly.
    pub fn bytes(&self) -> usize {
        self.columns.iter().map(Growing::bytes).sum()
    }

    /// When its first row came.
    pub fn opened(&self) -> Instant {
        self.opened
    }
}

impl TableBuilder {
    /// An empty builder for a sealed binding.
    pub fn new(binding: Arc<Binding>) -> Self {
        assert!(!binding.uses.is_empty(), "a binding is sealed before rows are built");
        let converter = |ty: &Type| {
            let scalar = match ty {
                Type::Array(inner) => inner.scalar(),
                other => other.scalar(),
            };
            let scalar = scalar.filter(|scalar| scalar.width().is_some())?;
            Some(Converter::new(scalar.clone(), &binding.zone))
        };
        Self {
            decoded: binding.columns.iter().map(|column| Decoded::for_type(&column.ty)).collect(),
            converters: binding.columns.iter().map(|column| converter(&column.ty)).collect(),
            rests: Rests::new(&binding),
            partition: binding.partition.clone(),
            table: binding.table.quoted().into(),
            parts: Vec::new(),
            by_key: HashMap::new(),
            picks: Vec::new(),
            pool: Arc::default(),
            binding,
        }
    }

    /// The same, keeping the memory of blocks that were sent on a shelf with others.
    pub fn on(mut self, shelf: &Arc<Shelf>) -> Self {
        self.pool = Arc::new(Pool::new(Arc::clone(shelf)));
        self
    }

    /// What it builds for.
    pub fn binding(&self) -> &Arc<Binding> {
        &self.binding
    }

    /// The growing blocks.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// How many rows all growing blocks hold.
    pub fn rows(&self) -> usize {
        self.parts.iter().map(Part::rows).sum()
    }

    /// Bytes before compression that all growing blocks hold, roughly.
    pub fn bytes(&self) -> usize {
        self.parts.iter().map(Part::bytes).sum()
    }

    /// When the oldest row that still waits came.
    pub fn opened(&self) -> Option<Instant> {
        self.parts.iter().map(Part::opened).min()
    }

    /// Ends the growing blocks for which `full` holds.
    pub fn take(&mut self, mut full: impl FnMut(&Part) -> bool) -> Vec<Finished> {
        let mut taken = Vec::new();
        let mut at = 0;
        while at < self.parts.len() {
            if full(&self.parts[at]) {
                taken.push(self.parts.remove(at));
            } else {
                at += 1;
            }
        }
        if !taken.is_empty() {
            self.by_key =
                self.parts.iter().enumerate().map(|(at, part)| (part.key.clone(), at)).collect();
        }
        taken.into_iter().map(|part| self.finished(part)).collect()
    }

    /// Ends all growing blocks.
    pub fn finish(&mut self) -> Vec<Finished> {
        self.take(|_| true)
    }

    fn finished(&self, part: Part) -> Finished {
        Finished {
            table: self.table.clone(),
            rows: part.rows,
            partition: self.partition.is_some().then(|| xxh3_128(&part.key)),
            tickets: part.tickets,
            binding: Arc::clone(&self.binding),
            columns: part.columns,
            pool: Arc::clone(&self.pool),
        }
    }

    /// Moves the decoded rows at these places into the growing blocks of their partitions.
    pub(super) fn scatter(&mut self, picks: &[u32], arena: &[u8], now: Instant, ticket: u64) {
        let Some(&first) = picks.first() else { return };
        let mut key = Vec::new();
        let is_one = match &mut self.partition {
            Some(partition) if !partition.is_constant() => {
                partition.write(&self.decoded, first as usize, arena, &mut key);
                partition.is_shared(&self.decoded)
            }
            _ => true,
        };
        if is_one {
            let part = self.part(&key, now);
            return self.extend(part, picks, arena, ticket);
        }
        let mut lists = std::mem::take(&mut self.picks);
        lists.iter_mut().for_each(Vec::clear);
        let mut last = None;
        for &pick in picks {
            key.clear();
            if let Some(partition) = &mut self.partition {
                partition.write(&self.decoded, pick as usize, arena, &mut key);
            }
            // Neighbors mostly share their partition.
            let part = match last {
                Some(part) if *self.parts[part as usize].key == *key => part as usize,
                _ => self.part(&key, now),
            };
            last = Some(part as u32);
            if lists.len() <= part {
                lists.resize_with(part + 1, Vec::new);
            }
            lists[part].push(pick);
        }
        for (part, list) in lists.iter().enumerate() {
            if !list.is_empty() {
                self.extend(part, list, arena, ticket);
            }
        }
        self.picks = lists;
    }

    fn part(&mut self, key: &[u8], now: Instant) -> usize {
        if let Some(&part) = self.by_key.get(key) {
            return part;
        }
        let fresh = || self.binding.columns.iter().map(|column| Growing::new(&column.ty)).collect();
        let columns = self.pool.columns().unwrap_or_else(fresh);
        self.parts.push(Part {
            key: key.into(),
            columns,
            rows: 0,
            opened: now,
            tickets: Vec::new(),
        });
        self.by_key.insert(key.into(), self.parts.len() - 1);
        self.parts.len() - 1
    }

    fn extend(&mut self, part: usize, picks: &[u32], arena: &[u8], ticket: u64) {
        let part = &mut self.parts[part];
        let keys: &Dictionary = &self.rests.keys;
        let reading = Reading { arena, keys, keys_epoch: self.rests.epoch };
        for (column, decoded) in part.columns.iter_mut().zip(&self.decoded) {
            column.append(decoded, picks, reading);
        }
        part.rows += picks.len();
        match part.tickets.last_mut() {
            Some((last, rows)) if *last == ticket => *rows += picks.len() as u32,
            _ => part.tickets.push((ticket, picks.len() as u32)),
        }
    }
}
