//! A route's rows decoded into the columns' own types and added to the growing blocks.

use std::{sync::Arc, time::Instant};

use logmon_dsl::{
    column::{
        Absence, Batch, Column, Names,
        batch::{Meta, Snapshot},
    },
    eval::Routed,
};

use super::{
    bind::{Binding, Bound, Fallback, From},
    builder::TableBuilder,
    place::Whole,
    read::{Argument, Reader},
    ttl::Limit,
    types::Scalar,
};

/// What appending needs to know besides the rows.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Tells tables of names apart where several decoders number them.
    pub names_table: u64,
    /// The name of the events' source.
    pub source: &'a str,
    /// The clock, nanoseconds since 1970: `accept_time` is measured from it.
    pub wall: i64,
    /// When the rows came, for the age of blocks.
    pub now: Instant,
    /// The caller's number of this micro-batch; finished blocks name it.
    pub ticket: u64,
    /// The column `attempt`.
    pub attempt: u32,
    /// The column `incarnation`.
    pub incarnation: u32,
}

/// A row that the table cannot take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadRow {
    /// The row of the batch.
    pub row: u32,
    /// The how-many-eth output of its event.
    pub emit_ix: u16,
    /// The column that is to blame.
    pub column: Arc<str>,
    /// What is wrong with it.
    pub cause: Loss,
}

/// Why a table cannot take a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The column has no value.
    Absent(Absence),
    /// The column's time is so long ago that the table would delete the row at once.
    PastTtl,
}

impl DeadRow {
    /// The dead letter's reason.
    pub fn reason(&self) -> String {
        match self.cause {
            Loss::Absent(_) => format!("absent:{}", self.column),
            Loss::PastTtl => "past_ttl".to_owned(),
        }
    }
}

/// What became of a route's rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppendReport {
    /// How many are in growing blocks now.
    pub rows: usize,
    /// Rows that the table cannot take.
    pub dead: Vec<DeadRow>,
    /// Values that were absent for columns that cannot be NULL: column, cause, how many rows took the default.
    pub defaulted: Vec<(Arc<str>, Absence, u32)>,
    /// Values that came but do not fit their column: column, cause, how many. Their text is in the rest column, if there is one.
    pub unfit: Vec<(Arc<str>, Absence, u32)>,
    /// Events whose time lay outside `accept_time`, so that the Kafka timestamp stands in.
    pub retimed: u32,
}

/// How many values were absent, by cause.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts([u32; Absence::ALL.len()]);

impl Counts {
    /// Counts one more.
    #[inline]
    pub(super) fn add(&mut self, why: Absence) {
        self.0[why as usize - 1] += 1;
    }

    fn report(self, column: &Arc<str>, list: &mut Vec<(Arc<str>, Absence, u32)>) {
        let counts = Absence::ALL.into_iter().zip(self.0).filter(|&(_, count)| count > 0);
        list.extend(counts.map(|(why, count)| (column.clone(), why, count)));
    }
}

impl TableBuilder {
    /// Adds a route's rows.
    pub fn append(
        &mut self,
        batch: &mut Batch,
        names: &Names,
        routed: &Routed,
        context: &Context<'_>,
    ) -> AppendReport {
        let mut report = AppendReport::default();
        if routed.rows.is_empty() {
            return report;
        }
        let binding = self.binding.clone();
        let Batch { arena, rest, meta, .. } = batch;
        let snapshot: &Snapshot = &routed.snapshot;
        let whole = Whole { layout: &binding.layout, snapshot, rest, names };
        let mut arguments = Vec::new();
        for (path, column) in &routed.args {
            flatten(path.clone(), column, &mut arguments);
        }
        self.rests.start();
        let (mut extra, mut hidden) = (Vec::new(), Vec::new());
        for (path, column) in &arguments {
            let node = binding.layout.find(path);
            if node.is_none_or(|node| binding.uses[node.index()].taken.is_none()) {
                let base = arena.len();
                self.rests.argue(&binding, path, column, &routed.rows, base, &mut extra);
                arena.push(&extra);
                extra.clear();
            }
        }
        for (at, bound) in binding.columns.iter().enumerate() {
            let constant = constant_text(bound, context, meta);
            let constant = constant.map(|text| arena.text(text));
            let decoded = &mut self.decoded[at];
            let converter = self.converters[at].as_mut();
            let mut reader = Reader {
                binding: &binding,
                bound,
                whole,
                meta,
                routed,
                context,
                arena: arena.bytes(),
                extra: &mut extra,
                rests: &mut self.rests,
                hidden: &mut hidden,
                defaulted: Counts::default(),
                unfit: Counts::default(),
                retimed: 0,
            };
            reader.column(&arguments, converter, constant, decoded);
            reader.defaulted.report(&bound.name, &mut report.defaulted);
            reader.unfit.report(&bound.name, &mut report.unfit);
            report.retimed += reader.retimed;
            arena.push(&extra);
            extra.clear();
        }
        let base = arena.len();
        self.rests.decode(
            &binding,
            whole,
            context.names_table,
            &routed.rows,
            arena.bytes(),
            base,
            &mut extra,
            &hidden,
            &mut self.decoded,
        );
        arena.push(&extra);
        let picks = self.living(&binding, routed, context.wall, &mut report);
        report.rows = picks.len();
        self.scatter(&picks, arena.bytes(), context.now, context.ticket);
        report
    }

    /// The routed rows that the table can take.
    fn living(
        &self,
        binding: &Binding,
        routed: &Routed,
        wall: i64,
        report: &mut AppendReport,
    ) -> Vec<u32> {
        let strict: Vec<usize> =
            (0..binding.columns.len()).filter(|&at| binding.columns[at].dead_if_absent).collect();
        let n = routed.rows.len() as u32;
        if strict.is_empty() && binding.ttl.is_empty() {
            return (0..n).collect();
        }
        let mut picks = Vec::with_capacity(routed.rows.len());
        for pick in 0..n {
            let why = |&&at: &&usize| self.decoded[at].state[pick as usize] != 0;
            let absent = strict.iter().find(why).map(|&at| {
                let cause = Absence::from_code(self.decoded[at].state[pick as usize]);
                (at, Loss::Absent(cause.expect("the state is not zero")))
            });
            let loss = absent.or_else(|| {
                let gone = |limit: &&Limit| {
                    let moment = limit.moment(&self.decoded[limit.column].values, pick as usize);
                    moment.is_some_and(|moment| moment.saturating_add(limit.keeps) <= wall)
                };
                Some((binding.ttl.iter().find(gone)?.column, Loss::PastTtl))
            });
            match loss {
                None => picks.push(pick),
                Some((at, cause)) => report.dead.push(DeadRow {
                    row: routed.rows[pick as usize],
                    emit_ix: routed.emit_ix[pick as usize],
                    column: binding.columns[at].name.clone(),
                    cause,
                }),
            }
        }
        picks
    }
}

/// The text that stands in for a text column's absent values.
fn constant_text<'a>(bound: &'a Bound, context: &Context<'a>, meta: &'a Meta) -> Option<&'a [u8]> {
    match (&bound.from, &bound.fallback) {
        (From::Topic, _) => Some(meta.topic.as_bytes()),
        (From::Source(_), _) => Some(context.source.as_bytes()),
        (_, Fallback::Literal(text)) if bound.ty.scalar() == Some(&Scalar::Text) => Some(text),
        _ => None,
    }
}

fn flatten(path: Vec<Arc<str>>, column: &Arc<Column>, out: &mut Vec<Argument>) {
    match &**column {
        Column::Record(record) => {
            for (name, column) in &record.fields {
                let mut path = path.clone();
                path.push(name.clone());
                flatten(path, column, out);
            }
        }
        _ => out.push((path, column.clone())),
    }
}
