//! A range row by row: what is stored is listed, what is missing is added, until nothing is missing.
//!
//! Invariant: a row that is in any exactly-once table counts as delivered, whatever the rules say of it today.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
    sync::Arc,
};

use super::table::{ExactTable, Name, Unit};
use crate::{
    delivery::{
        intent::{Intent, Units, mix},
        protocol::{Differs, Reply},
    },
    sink::clickhouse::{Block, Hand, cut::Rows},
};

/// What a look at a range found.
#[derive(Debug)]
pub enum Looked {
    /// Nothing is missing.
    Whole,
    /// These rows are.
    Missing(Missing),
    /// The rules that made the rows are not known, and not all of the rows are there.
    NoRules {
        /// Rows that are there.
        there: u64,
        /// Rows that the intent named.
        expected: u64,
    },
}

/// Rows that are to be added, and the connections that said so: a server that was started in between is not reached by them.
#[derive(Debug)]
pub struct Missing {
    parts: Vec<(usize, Block, u64)>,
    hands: HashMap<Arc<str>, Hand>,
}

/// How far a repair is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    /// Rows that were added.
    pub added: u64,
    failures: u32,
    attempt: u32,
    /// Which rows the server said it has.
    taken: u64,
}

/// Looks for every row of a range: its units as they were evaluated now, against what all these tables hold of it.
pub async fn look(
    name: &Name,
    intent: &Intent,
    why: Differs,
    units: &[Unit],
    tables: &[(Arc<ExactTable>, Arc<str>)],
    mut progress: Progress,
) -> (Looked, Progress) {
    loop {
        // Whoever sent something for this range before: it has ended, or is ended.
        for (table, quoted) in tables {
            let held = unit_name(name, quoted);
            table.quiesce(&held.range_prefix(), progress.failures).await;
        }
        let Some((stored, hands)) = list(name, tables).await else {
            progress.failures += 1;
            continue;
        };
        if why == Differs::Bundle {
            let (there, expected) = (stored.len() as u64, expected(intent));
            let looked =
                if there < expected { Looked::NoRules { there, expected } } else { Looked::Whole };
            return (looked, progress);
        }
        let parts: Vec<(usize, Block, u64)> = units
            .iter()
            .enumerate()
            .filter_map(|(index, unit)| {
                let (block, hash) = missing(unit, &stored)?;
                Some((index, block, hash))
            })
            .collect();
        let looked = if parts.is_empty() {
            Looked::Whole
        } else {
            Looked::Missing(Missing { parts, hands })
        };
        return (looked, progress);
    }
}

/// Adds the rows that are missing; whether they are there then is for another look to say.
pub async fn add(
    name: &Name,
    units: &[Unit],
    missing: Missing,
    mut progress: Progress,
) -> Progress {
    let Missing { parts, mut hands } = missing;
    let hash = parts.iter().fold(0, |hash, (.., part)| mix(hash ^ part));
    // The same rows are missing although the server said that it has them: only another token can bring them there.
    let again = progress.taken == hash;
    progress.taken = 0;
    let mut all = true;
    for (index, block, hash) in &parts {
        let unit = &units[*index];
        let held = unit.plain_table();
        let exact = unit.exact(name, &held, 0);
        let attempt = if again { progress.attempt + 1 } else { progress.attempt };
        let token = exact.repair(*hash, attempt);
        let Some(hand) = hands.remove(&*block.table) else {
            all = false;
            break;
        };
        let (reply, hand) = unit.table.insert(hand, block, &token).await;
        if let Some(hand) = hand {
            hands.insert(Arc::clone(&block.table), hand);
        }
        all &= reply == Reply::Stored;
        progress.added += block.rows as u64;
    }
    if all {
        progress.attempt += u32::from(again);
        progress.taken = hash;
    }
    progress.failures += 1;
    progress
}

fn unit_name<'a>(name: &'a Name, table: &'a str) -> crate::delivery::unit::Exact<'a> {
    crate::delivery::unit::Exact {
        group: &name.group,
        inc: name.inc,
        held: &name.held,
        bundle: name.bundle,
        table,
        partition: 0,
        number: 0,
        cut: 0,
    }
}

/// Every row of the range that any of the tables holds; `None` where a server did not answer.
async fn list(
    name: &Name,
    tables: &[(Arc<ExactTable>, Arc<str>)],
) -> Option<(HashSet<(u64, u16)>, HashMap<Arc<str>, Hand>)> {
    let mut stored = HashSet::new();
    let mut hands = HashMap::new();
    for (table, quoted) in tables {
        let hand = table.hand().await;
        let (rows, hand) = name.rows(quoted).list(table.inserter.client(), hand).await;
        match rows {
            Ok(rows) => stored.extend(rows),
            Err(error) => {
                table.fails(&error);
                return None;
            }
        }
        if let Some(hand) = hand {
            hands.insert(Arc::clone(quoted), hand);
        }
    }
    Some((stored, hands))
}

/// The rows of a unit that are not stored, as a block, and a number for which they are.
fn missing(unit: &Unit, stored: &HashSet<(u64, u16)>) -> Option<(Block, u64)> {
    let rows = Rows::read(&unit.block)?;
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut hash = 0;
    for row in 0..rows.len() {
        let (offset, emit_ix) = (rows.number("kafka_offset", row)?, rows.number("emit_ix", row)?);
        if stored.contains(&(offset, emit_ix as u16)) {
            continue;
        }
        hash = mix(hash ^ mix(offset << 16 ^ emit_ix));
        match ranges.last_mut() {
            Some(last) if last.end == row => last.end += 1,
            _ => ranges.push(row..row + 1),
        }
    }
    (!ranges.is_empty()).then(|| (rows.pick(&ranges), hash))
}

fn expected(intent: &Intent) -> u64 {
    match &intent.units {
        Units::List(entries) => entries.iter().map(|entry| u64::from(entry.rows)).sum(),
        Units::Digest { rows, .. } => *rows,
    }
}
