//! The growing blocks of one range: one builder a table, closed together when the range ends.

use std::sync::Arc;

use super::{Tag, table::ExactTable};
use crate::{
    pipeline::{
        budget::Share,
        bundle::{Bundle, Outlet, World},
    },
    sink::clickhouse::{
        AppendReport, Context, Finished, TableBuilder,
        dead_letter::{DeadLetter, DeadLetters},
    },
};

/// The number by which intents call the table of dead letters.
pub const LETTERS: u16 = u16::MAX;

/// One block of a range, its bytes not made yet.
#[derive(Debug)]
pub struct Made {
    /// The table's number in the bundle: its sink's, or [`LETTERS`].
    pub number: u16,
    /// Where it goes.
    pub table: Arc<ExactTable>,
    /// The rows.
    pub finished: Finished,
}

/// The blocks of a range that still grows.
#[derive(Debug)]
pub struct Growing {
    tag: Arc<Tag>,
    /// By sink number; `None` where the sink is not exactly-once.
    tables: Vec<Option<(Arc<ExactTable>, Box<TableBuilder>)>>,
    letters: Option<(Arc<ExactTable>, Box<DeadLetters>)>,
    share: Share,
}

impl Growing {
    /// Empty blocks for every exactly-once table of the range's bundle.
    pub fn new(world: &World, tag: &Arc<Tag>) -> Self {
        let bundle: &Bundle = &tag.bundle;
        let tables = bundle
            .outlets
            .iter()
            .map(|outlet| match outlet {
                Outlet::Table { binding, exact: Some(exact), .. } => {
                    let builder = TableBuilder::new(Arc::clone(binding)).on(&world.shelf);
                    Some((Arc::clone(exact), Box::new(builder)))
                }
                Outlet::Table { .. } | Outlet::Topic { .. } => None,
            })
            .collect();
        let dead = &bundle.dead_letters;
        let letters =
            dead.exact.as_ref().zip(dead.table.as_ref()).map(|(exact, (table, outbox))| {
                let builder = DeadLetters::new(outbox.name(), table)
                    .expect("the table was looked at when the bundle was bound");
                (Arc::clone(exact), Box::new(builder))
            });
        Self { tag: Arc::clone(tag), tables, letters, share: world.budget.take(0) }
    }

    /// The range.
    pub fn tag(&self) -> &Arc<Tag> {
        &self.tag
    }

    /// The builder of a sink's table, where the sink is exactly-once.
    pub fn table(&mut self, sink: usize) -> Option<&mut TableBuilder> {
        self.tables.get_mut(sink)?.as_mut().map(|(_, builder)| &mut **builder)
    }

    /// Adds dead letters; `None` where their table is not exactly-once.
    pub fn letters(
        &mut self,
        letters: &[DeadLetter],
        context: &Context<'_>,
    ) -> Option<AppendReport> {
        let (_, builder) = self.letters.as_mut()?;
        Some(builder.append(letters, context))
    }

    /// Looks how large the blocks are: says so to the budget, and to the reader where one has grown enough.
    pub fn weigh(&mut self) {
        let mut bytes = 0;
        for (exact, builder) in self.tables.iter().flatten() {
            bytes += builder.bytes();
            let limits = exact.limits;
            let is_full = builder.parts().len() >= UNITS_MAX
                || builder.parts().iter().any(|part| {
                    part.rows() >= limits.rows || part.bytes() as u64 >= limits.bytes.0
                });
            if is_full {
                self.tag.full.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        }
        if let Some((_, letters)) = &self.letters {
            bytes += letters.builder().bytes();
        }
        self.share.resize(bytes);
    }

    /// Ends all blocks: the units of the range, in the order in which its intent lists them.
    pub fn finish(mut self) -> (Arc<Tag>, Vec<Made>, Share) {
        let mut made = Vec::new();
        for (number, table) in self.tables.iter_mut().enumerate() {
            let Some((exact, builder)) = table else { continue };
            let blocks = builder.finish().into_iter();
            made.extend(blocks.map(|finished| Made {
                number: number as u16,
                table: Arc::clone(exact),
                finished,
            }));
        }
        if let Some((exact, letters)) = &mut self.letters {
            let blocks = letters.finish().into_iter();
            made.extend(blocks.map(|finished| Made {
                number: LETTERS,
                table: Arc::clone(exact),
                finished,
            }));
        }
        made.sort_by_key(|made| (made.number, made.finished.partition));
        (self.tag, made, self.share)
    }
}

/// ClickHouse partitions that one range may reach into, for each table: each is a unit of its own.
const UNITS_MAX: usize = 250;
