//! Rows that the server refuses, taken out of their units: which ones they are, the units without them, and their dead letters as units.
//!
//! Invariant: the same rows taken out of the same units make the same units again, whoever does it.

use std::{collections::BTreeMap, ops::Range, sync::Arc, time::Instant};

use super::{
    Tag,
    growing::LETTERS,
    table::{ExactTable, Unit},
};
use crate::{
    delivery::{ledger::BatchId, protocol::Examined, unit::Held},
    pipeline::{bundle::World, deliver::Waiting, lanes::Lanes, poison::Refused},
    sink::clickhouse::{
        Block, Class, Context, SinkError,
        cut::Rows,
        dead_letter::DeadLetters,
        presence::{Tally, identity},
    },
};

/// Rows of one unit that may be refused: of more the table or the rules are to blame, not the rows.
const ROWS_MAX: usize = 60;

/// A row that the server refuses, by its identity, with the server's words.
pub type Words = BTreeMap<(i64, u16), String>;

/// A unit without the rows that the server refuses, and their letters.
#[derive(Debug)]
pub struct Cut {
    /// The unit without them; `None` where nothing is left of it.
    pub kept: Option<Unit>,
    /// Their letters.
    pub letters: Vec<Unit>,
    /// What the protocol hears of it.
    pub examined: Examined,
}

impl Cut {
    /// Puts the smaller unit in the place of the whole one, and the letters behind all.
    pub fn apply(self, index: usize, units: &mut Vec<Unit>) {
        match self.kept {
            Some(kept) => units[index] = kept,
            // Nothing is left to be sent, and a count expects nothing.
            None => units[index].tally = Tally { rows: 0, sum: 0 },
        }
        units.extend(self.letters);
    }
}

impl ExactTable {
    /// The rows of a block that the server refuses: it reads pieces of the block into a table like the real one that keeps nothing.
    pub async fn refused(&self, block: &Block, salt: u64) -> Result<Words, SinkError> {
        let client = self.inserter.client();
        let sink = &client.endpoint().sink;
        let broken =
            || SinkError::new(Class::Stop, sink, "table", "a block of ours cannot be read back");
        let rows = Rows::read(block).ok_or_else(broken)?;
        let session = format!("logmon-look-{salt:016x}");
        let make = format!(
            "CREATE TEMPORARY TABLE IF NOT EXISTS logmon_look AS {} ENGINE = Null",
            block.table
        );
        client.query(&make, &[("session_id", &session)]).await?;
        let mut found = Words::new();
        let mut left: Vec<Range<usize>> = std::iter::once(0..rows.len()).collect();
        while let Some(piece) = left.pop() {
            let mut part = rows.cut(piece.clone());
            part.table = "logmon_look".into();
            match self.inserter.look(&part, &session).await {
                Ok(()) => {}
                Err(error) if error.class != Class::Bisect => return Err(error),
                Err(error) if piece.len() == 1 => {
                    let number = |column| rows.number(column, piece.start).ok_or_else(broken);
                    let at = (number("kafka_offset")? as i64, number("emit_ix")? as u16);
                    found.insert(at, error.sentence);
                    if found.len() > ROWS_MAX {
                        let text = "the server refuses too many rows of one block";
                        return Err(SinkError::new(Class::Stop, sink, "table", text));
                    }
                }
                Err(_) => {
                    let middle = piece.start + piece.len() / 2;
                    left.extend([middle..piece.end, piece.start..middle]);
                }
            }
        }
        Ok(found)
    }
}

/// Takes rows out of a unit. `None` where there is no exactly-once table for their letters.
pub async fn take_out(
    world: &World,
    lanes: &Arc<Lanes>,
    tag: &Tag,
    unit: &Unit,
    words: &Words,
) -> Option<Cut> {
    let rows = Rows::read(&unit.block)?;
    let mut kept: Vec<Range<usize>> = Vec::new();
    let mut tally = Tally { rows: 0, sum: 0 };
    let mut gone = Vec::new();
    for row in 0..rows.len() {
        let at = (rows.number("kafka_offset", row)? as i64, rows.number("emit_ix", row)? as u16);
        if words.contains_key(&at) {
            gone.push(at);
            continue;
        }
        tally.rows += 1;
        tally.sum = tally.sum.wrapping_add(identity(at.0 as u64, at.1));
        match kept.last_mut() {
            Some(last) if last.end == row => last.end += 1,
            _ => kept.push(row..row + 1),
        }
    }
    // The range holds its batches until it is finished, so the books still have the events.
    for &(offset, _) in &gone {
        lanes.buried(tag.lane, offset);
    }
    let letters = if gone.is_empty() {
        Vec::new()
    } else {
        letters(world, lanes, tag, unit, words, &gone).await?
    };
    let kept = (tally.rows > 0).then(|| Unit {
        number: unit.number,
        table: Arc::clone(&unit.table),
        block: rows.pick(&kept),
        tally,
    });
    let entry = crate::delivery::intent::Entry {
        table: unit.number,
        rows: tally.rows as u32,
        hash: tally.sum,
    };
    let examined =
        Examined { kept: entry, letters: letters.iter().map(Unit::entry).collect(), rows: gone };
    Some(Cut { kept, letters, examined })
}

/// The rows' letters as units of the table of dead letters.
async fn letters(
    world: &World,
    lanes: &Arc<Lanes>,
    tag: &Tag,
    unit: &Unit,
    words: &Words,
    gone: &[(i64, u16)],
) -> Option<Vec<Unit>> {
    let dead = &tag.bundle.dead_letters;
    let (exact, (table, outbox)) = (dead.exact.as_ref()?, dead.table.as_ref()?);
    let refused: Vec<Refused> = gone
        .iter()
        .map(|&(offset, emit_ix)| {
            let held = Held { position: tag.position.clone(), start: offset, end: offset + 1 };
            let batch = BatchId { lane: tag.lane, seq: 0 };
            Refused {
                waiting: Waiting { lanes: Arc::clone(lanes), batch, held, rows: 1 },
                offset: Some(offset),
                emit_ix: Some(emit_ix),
                sink: Arc::clone(&unit.table.name),
                bundle: tag.bundle.short().into(),
                reason: "refused",
                cause: words.get(&(offset, emit_ix)).cloned().unwrap_or_default(),
            }
        })
        .collect();
    let letters = world.office.letters(&refused).await;
    let mut builder = DeadLetters::new(outbox.name(), table).ok()?;
    let context = Context {
        names_table: 0,
        source: "",
        wall: tag.t0,
        now: Instant::now(),
        ticket: 0,
        attempt: 0,
        incarnation: tag.inc as u32,
    };
    builder.append(&letters, &context);
    let mut blocks = builder.finish();
    blocks.sort_by_key(|block| block.partition);
    let unit = |finished: crate::sink::clickhouse::Finished| {
        let tally = finished.tally()?;
        let block = finished.encode(exact.compression);
        Some(Unit { number: LETTERS, table: Arc::clone(exact), block, tally })
    };
    blocks.into_iter().map(unit).collect()
}
