//! Calls of functions: row kernels run here, column kernels get a context.

use std::{fmt, sync::Arc};

use super::{
    Lookups,
    analysis::ExprFacts,
    machine::{Machine, Operand, State},
};
use crate::{
    column::{Absence, Batch, Column, Mask, Names, Value, blend::Builder},
    functions::{Function, Grok, Kernel, Pattern, Regex, RowArg},
    plan::{Arg, Detector, Expr, Plan, Secret},
    types::Ty,
};

/// What a row kernel may know of its row.
#[derive(Debug, Clone, Copy)]
pub struct RowContext<'a> {
    /// `now()`: the record's Kafka timestamp, nanoseconds.
    pub now: i64,
    /// Topic, partition and offset of the event, for keyed randomness.
    pub topic: &'a str,
    /// See `topic`.
    pub partition: i32,
    /// See `topic`.
    pub offset: i64,
}

/// What a column kernel works with: its arguments, the batch, and the evaluator for lambdas.
pub struct CallContext<'e, 'b> {
    /// The batch; new text goes into its arena.
    pub batch: &'e mut Batch,
    /// Names of attributes.
    pub names: &'e Names,
    /// The static type of the result.
    pub ty: &'e Ty,
    args: &'e [Option<Arg>],
    values: Vec<Option<Arc<Column>>>,
    rows: usize,
    events: Option<Vec<u32>>,
    plan: &'e Plan,
    facts: &'e [ExprFacts],
    state: &'e mut State,
    lookups: &'e mut dyn Lookups,
    frame: usize,
    marker: std::marker::PhantomData<&'b ()>,
}

impl fmt::Debug for CallContext<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallContext").field("args", &self.args).finish_non_exhaustive()
    }
}

impl CallContext<'_, '_> {
    /// How many rows the result must have (inside a lambda this is the number of elements, not of events).
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The value of an argument, `None` where it was left out.
    pub fn value(&self, index: usize) -> Option<Arc<Column>> {
        self.values.get(index).cloned().flatten()
    }

    /// A bare name.
    pub fn choice(&self, index: usize) -> Option<&str> {
        match self.arg(index) {
            Some(Arg::Choice(name)) => Some(name),
            _ => None,
        }
    }

    /// A regex literal.
    pub fn regex(&self, index: usize) -> Option<Arc<Regex>> {
        match self.arg(index) {
            Some(Arg::Regex(regex)) => Some(regex.clone()),
            _ => None,
        }
    }

    /// A pattern literal.
    pub fn pattern(&self, index: usize) -> Option<Arc<Pattern>> {
        match self.arg(index) {
            Some(Arg::Pattern(pattern)) => Some(pattern.clone()),
            _ => None,
        }
    }

    /// A grok pattern.
    pub fn grok(&self, index: usize) -> Option<Arc<Grok>> {
        match self.arg(index) {
            Some(Arg::Grok(grok)) => Some(grok.clone()),
            _ => None,
        }
    }

    /// Detectors of `redact`.
    pub fn detectors(&self, index: usize) -> Option<&[Detector]> {
        match self.arg(index) {
            Some(Arg::Detectors(detectors)) => Some(detectors),
            _ => None,
        }
    }

    /// Whether that argument is a lambda.
    pub fn is_lambda(&self, index: usize) -> bool {
        matches!(self.arg(index), Some(Arg::Lambda(_)))
    }

    /// The static type of an argument that is a value.
    pub fn arg_type(&self, index: usize) -> Option<&Ty> {
        match self.arg(index) {
            Some(Arg::Value(value)) => Some(&self.plan.expr(*value).ty),
            _ => None,
        }
    }

    /// What a row kernel would know of that row.
    pub fn row_context(&self, row: usize) -> RowContext<'_> {
        let event = self.events.as_ref().map_or(row, |events| events[row] as usize);
        row_context(self.batch, event)
    }

    /// Runs a lambda over elements: `params` has one column a parameter, all of the same length; `parents[i]` is the row that element i belongs to.
    pub fn lambda(
        &mut self,
        index: usize,
        params: Vec<Arc<Column>>,
        parents: &[u32],
    ) -> Arc<Column> {
        let Some(Some(Arg::Lambda(lambda))) = self.args.get(index) else {
            return Arc::new(Column::missing(parents.len()));
        };
        let mut machine = Machine {
            plan: self.plan,
            facts: self.facts,
            state: self.state,
            batch: self.batch,
            names: self.names,
            lookups: self.lookups,
            frame: self.frame,
        };
        let locals: Vec<_> = lambda.params.iter().copied().zip(params).collect();
        machine.with_elements(parents.to_vec(), locals, |machine| {
            machine.column(lambda.body, &Mask::all(parents.len()))
        })
    }

    fn arg(&self, index: usize) -> Option<&Arg> {
        self.args.get(index).and_then(Option::as_ref)
    }
}

fn row_context(batch: &Batch, event: usize) -> RowContext<'_> {
    RowContext {
        now: batch.meta.times.get(event).copied().unwrap_or_default(),
        topic: &batch.meta.topic,
        partition: batch.meta.partition,
        offset: batch.meta.offsets.get(event).copied().unwrap_or_default(),
    }
}

/// An argument of a row kernel before a row is chosen.
enum Source<'p> {
    Value(Operand<'p>),
    Choice(&'p str),
    Regex(&'p Regex),
    Pattern(&'p Pattern),
    Secret(&'p Secret),
    None,
}

impl<'m> Machine<'m> {
    pub(super) fn call(
        &mut self,
        function: &'static Function,
        args: &'m [Option<Arg>],
        expr: &'m Expr,
        within: &Mask,
    ) -> Arc<Column> {
        let kernel = match function.kernel {
            Kernel::Columns(kernel) => {
                let values = args
                    .iter()
                    .map(|arg| match arg {
                        Some(Arg::Value(value)) => Some(self.column(*value, within)),
                        _ => None,
                    })
                    .collect();
                let mut context = CallContext {
                    rows: self.rows(),
                    events: self.events(),
                    batch: self.batch,
                    names: self.names,
                    ty: &expr.ty,
                    args,
                    values,
                    plan: self.plan,
                    facts: self.facts,
                    state: self.state,
                    lookups: self.lookups,
                    frame: self.frame,
                    marker: std::marker::PhantomData,
                };
                return kernel(&mut context, within);
            }
            Kernel::Rows(kernel) | Kernel::RowsWithAbsent(kernel) => kernel,
        };
        let takes_absent = matches!(function.kernel, Kernel::RowsWithAbsent(_));
        let sources: Vec<Source<'m>> = args
            .iter()
            .map(|arg| match arg {
                Some(Arg::Value(value)) => Source::Value(self.operand(*value, within)),
                Some(Arg::Choice(name)) => Source::Choice(name),
                Some(Arg::Regex(regex)) => Source::Regex(regex),
                Some(Arg::Pattern(pattern)) => Source::Pattern(pattern),
                Some(Arg::Secret(secret)) => Source::Secret(secret),
                Some(Arg::Detectors(_) | Arg::Grok(_) | Arg::Lambda(_)) | None => Source::None,
            })
            .collect();
        let rows = self.rows();
        let events = self.events();
        let batch = &*self.batch;
        let mut builder = Builder::new(&batch.arena, &expr.ty.base, rows);
        let mut row_args: Vec<RowArg<'_>> = Vec::with_capacity(sources.len());
        for row in 0..rows {
            if !within.has(row) {
                builder.push_absent(&batch.arena, Absence::Missing);
                continue;
            }
            row_args.clear();
            let mut absent = None;
            for source in &sources {
                row_args.push(match source {
                    Source::Value(operand) => {
                        let value = operand.value(&batch.arena, row);
                        if let (Value::Absent(why), None) = (&value, absent) {
                            absent = Some(*why);
                        }
                        RowArg::Value(value)
                    }
                    Source::Choice(name) => RowArg::Choice(name),
                    Source::Regex(regex) => RowArg::Regex(regex),
                    Source::Pattern(pattern) => RowArg::Pattern(pattern),
                    Source::Secret(secret) => RowArg::Secret(secret),
                    Source::None => RowArg::None,
                });
            }
            let value = match absent {
                Some(why) if !takes_absent => Value::Absent(why),
                _ => {
                    let event = events.as_ref().map_or(row, |events| events[row] as usize);
                    kernel(&row_args, &row_context(batch, event))
                }
            };
            builder.push(&batch.arena, value);
        }
        drop(row_args);
        Arc::new(builder.finish(&mut self.batch.arena))
    }
}
