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

/// How a repair ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repaired {
    /// Nothing is missing.
    Whole {
        /// Rows that were added.
        added: u64,
    },
    /// The rules that made the rows are not known, and not all of the rows are there.
    NoRules {
        /// Rows that are there.
        there: u64,
        /// Rows that the intent named.
        expected: u64,
    },
}

/// Repairs a range: its units as they were evaluated now, against what all these tables hold of it.
///
/// This is also the way for a range that somebody wants read again: every row that is stored stays as it is.
pub async fn repair(
    name: &Name,
    intent: &Intent,
    why: Differs,
    units: &[Unit],
    tables: &[(Arc<ExactTable>, Arc<str>)],
) -> Repaired {
    let (mut added, mut attempt, mut before) = (0, 0, 0);
    let mut failures = 0;
    loop {
        // Whoever sent something for this range before: it has ended, or is ended.
        for (table, quoted) in tables {
            let held = unit_name(name, quoted);
            table.quiesce(&held.range_prefix(), failures).await;
        }
        let Some((stored, mut hands)) = list(name, tables).await else {
            failures += 1;
            continue;
        };
        if why == Differs::Bundle {
            let (there, expected) = (stored.len() as u64, expected(intent));
            if there < expected {
                return Repaired::NoRules { there, expected };
            }
            return Repaired::Whole { added };
        }
        let parts: Vec<(&Unit, Block, u64)> =
            units.iter().filter_map(|unit| missing(unit, &stored)).collect();
        if parts.is_empty() {
            return Repaired::Whole { added };
        }
        let hash = parts.iter().fold(0, |hash, (.., part)| mix(hash ^ part));
        // The same rows are missing although the server said that it has them: only another token can bring them there.
        let again = before == hash;
        before = 0;
        let mut all = true;
        for (unit, block, hash) in &parts {
            let held = unit.plain_table();
            let exact = unit.exact(name, &held, 0);
            let token = exact.repair(*hash, if again { attempt + 1 } else { attempt });
            // On the connection that listed: a server that was started in between is not reached by it.
            let Some(hand) = hands.remove(&*block.table) else {
                all = false;
                break;
            };
            let (reply, hand) = unit.table.insert(hand, block, &token).await;
            if let Some(hand) = hand {
                hands.insert(Arc::clone(&block.table), hand);
            }
            all &= reply == Reply::Stored;
            added += block.rows as u64;
        }
        if all {
            attempt += u32::from(again);
            before = hash;
        }
        failures += 1;
    }
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
fn missing<'a>(unit: &'a Unit, stored: &HashSet<(u64, u16)>) -> Option<(&'a Unit, Block, u64)> {
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
    (!ranges.is_empty()).then(|| (unit, rows.pick(&ranges), hash))
}

fn expected(intent: &Intent) -> u64 {
    match &intent.units {
        Units::List(entries) => entries.iter().map(|entry| u64::from(entry.rows)).sum(),
        Units::Digest { rows, .. } => *rows,
    }
}
