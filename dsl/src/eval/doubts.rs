//! Faults, counted: those of statements, and those of conditions, which are false where a value that they look at went wrong.
//!
//! Invariant: what is counted is a function of the event alone, whichever other events its batch has.

use super::{analysis::ExprFacts, machine::Machine, run::Run};
use crate::{
    column::{Absence, Cells, Column, Mask, View},
    plan::{ExprId, Op, Plan, SiteId, Step, Stmt},
    types::Type,
};

/// What a condition looks at.
#[derive(Debug)]
pub(crate) struct Doubts {
    /// Values that may be absent by a fault.
    values: Box<[ExprId]>,
    /// Whether a part that literals may rule out as a whole asks for something else first.
    mixed: bool,
}

/// Whether the column of a value has faults, while what it was computed from is unchanged.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Known {
    batch: u64,
    stamp: u64,
    faulty: bool,
}

/// What went wrong in one condition: a fault a row at most, the first one met.
struct Wrong {
    rows: Mask,
    counts: [u32; Absence::ALL.len()],
}

/// Finds out what each condition of a plan looks at.
pub(crate) fn find(plan: &Plan, facts: &mut [ExprFacts]) {
    for id in conditions(plan) {
        let mut values = Vec::new();
        let mut mixed = false;
        let mut open = vec![(id, false)];
        while let Some((id, within_gated)) = open.pop() {
            let op = &plan.expr(id).op;
            mixed |= within_gated && !facts[id.0 as usize].gated;
            let mut below = |of: &[ExprId]| {
                open.extend(of.iter().map(|&of| (of, within_gated || facts[of.0 as usize].gated)));
            };
            match op {
                Op::And(all) | Op::Or(all) => below(all),
                Op::Not(of) => below(&[*of]),
                _ => values.extend(looked_at(op, id).into_iter().filter(|&id| may_fault(plan, id))),
            }
        }
        values.sort_unstable();
        values.dedup();
        facts[id.0 as usize].doubts = Some(Doubts { values: values.into(), mixed });
    }
}

/// The conditions of rules, groups and `if`s, each once.
fn conditions(plan: &Plan) -> Vec<ExprId> {
    let mut found: Vec<ExprId> = plan.rules.iter().filter_map(|rule| rule.when).collect();
    found.extend(plan.steps.iter().filter_map(|step| match step {
        Step::Group { when, .. } => *when,
        Step::Rule(_) | Step::Window(_) => None,
    }));
    let mut blocks: Vec<&[Stmt]> = plan.rules.iter().map(|rule| &rule.body[..]).collect();
    while let Some(block) = blocks.pop() {
        for statement in block {
            if let Stmt::If { condition, .. } = statement {
                found.push(*condition);
            }
            blocks.extend(statement.blocks());
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// The values that a predicate asks for.
fn looked_at(op: &Op, id: ExprId) -> Vec<ExprId> {
    match op {
        Op::Compare { left, right, .. } => vec![*left, *right],
        Op::In { value, within } => vec![*value, *within],
        Op::TextTest { value, needle, .. } => vec![*value, *needle],
        Op::InSet { value, .. }
        | Op::Like { value, .. }
        | Op::Matches { value, .. }
        | Op::Has { value, .. } => vec![*value],
        Op::Truth(of) => vec![*of],
        Op::AnyElement { list, .. } => vec![*list],
        // Whether something is there is a question of its own, and has an answer.
        Op::Is { .. } => Vec::new(),
        _ => vec![id],
    }
}

fn may_fault(plan: &Plan, id: ExprId) -> bool {
    let expr = plan.expr(id);
    match &expr.op {
        // What a `let` holds was counted there.
        Op::Literal(_) | Op::Meta(_) | Op::Local(_) => false,
        Op::Field(node) => expr.ty.base != Type::Any && !plan.layout.node(*node).is_interior(),
        _ => true,
    }
}

impl Run<'_> {
    /// Counts a fault a row, by the cause in the column.
    pub(super) fn faults(&mut self, site: SiteId, column: &Column, rows: &Mask) {
        let mut counts = [0u32; Absence::ALL.len()];
        for row in rows.rows() {
            let Some(why) = column.absence(row) else { continue };
            counts[why as usize - 1] += 1;
            if self.keep_fault_rows {
                let event = self.outcome.origin(row) as u32;
                self.outcome.fault_rows.push((event, site, why));
            }
        }
        for (why, count) in Absence::ALL.into_iter().zip(counts) {
            self.count_fault(site, why, count);
        }
    }

    pub(super) fn fault_rows(&mut self, site: SiteId, why: Absence, rows: &Mask) {
        if self.keep_fault_rows {
            for row in rows.rows() {
                let event = self.outcome.origin(row) as u32;
                self.outcome.fault_rows.push((event, site, why));
            }
        }
        self.count_fault(site, why, rows.count() as u32);
    }

    pub(super) fn count_fault(&mut self, site: SiteId, why: Absence, count: u32) {
        if count == 0 {
            return;
        }
        let faults = &mut self.outcome.faults;
        match faults.iter_mut().find(|(s, w, _)| *s == site && *w == why) {
            Some((_, _, sum)) => *sum += count,
            None => faults.push((site, why, count)),
        }
    }

    /// Counts what went wrong in a condition that was asked for these rows. `hopeless`: literals ruled it out before it was computed.
    pub(super) fn doubt(
        &mut self,
        site: Option<SiteId>,
        condition: ExprId,
        rows: &Mask,
        hopeless: bool,
    ) {
        let (Some(site), Some(doubts)) = (site, &self.machine.facts[condition.0 as usize].doubts)
        else {
            return;
        };
        if rows.is_empty() || doubts.values.is_empty() {
            return;
        }
        // Few batches have faults: what is at hand already tells so for most conditions.
        let asks = hopeless && doubts.mixed
            || doubts.values.iter().any(|&value| self.machine.is_doubtful(value));
        if !asks {
            return;
        }
        let mut wrong = Wrong { rows: Mask::none(rows.len()), counts: [0; Absence::ALL.len()] };
        self.machine.doubts(condition, rows, &mut wrong);
        for (why, count) in Absence::ALL.into_iter().zip(wrong.counts) {
            self.count_fault(site, why, count);
        }
    }
}

impl Machine<'_> {
    /// Whether some row of a value that was computed is absent by a fault. What was not computed nobody asked for.
    fn is_doubtful(&mut self, id: ExprId) -> bool {
        let Some(column) = self.at_hand(id) else { return false };
        if self.facts[id.0 as usize].costly {
            // Rows may have come since.
            return is_faulty(&column);
        }
        let now = Known { batch: self.state.batches, stamp: self.stamp(id), faulty: false };
        let place = id.0 as usize;
        if self.state.doubts.len() <= place {
            self.state.doubts.resize(self.plan.exprs.len(), Known::default());
        }
        let known = &mut self.state.doubts[place];
        if (known.batch, known.stamp) != (now.batch, now.stamp) {
            *known = Known { faulty: is_faulty(&column), ..now };
        }
        known.faulty
    }

    /// Asks a condition once more, in the order in which its parts are asked, and notes the values that went wrong.
    fn doubts(&mut self, id: ExprId, within: &Mask, wrong: &mut Wrong) {
        let plan = self.plan;
        let op = &plan.expr(id).op;
        match op {
            Op::And(all) | Op::Or(all) => {
                let both = matches!(op, Op::And(_));
                let mut left = within.clone();
                for operand in self.in_order(all) {
                    if left.is_empty() {
                        break;
                    }
                    self.doubts(operand, &left, wrong);
                    let holds = self.mask(operand, &left);
                    left = if both { holds } else { left.and_not(&holds) };
                }
            }
            Op::Not(of) => self.doubts(*of, within, wrong),
            _ => {
                for value in looked_at(op, id) {
                    if !may_fault(plan, value) {
                        continue;
                    }
                    let column = self.column(value, within);
                    for row in within.rows() {
                        let why = column.absence(row).filter(|why| why.is_fault());
                        if let (Some(why), false) = (why, wrong.rows.has(row)) {
                            wrong.rows.set(row);
                            wrong.counts[why as usize - 1] += 1;
                        }
                    }
                }
            }
        }
    }
}

fn is_faulty(column: &Column) -> bool {
    fn cells<T>(cells: &Cells<T>) -> bool {
        state(&cells.state)
    }
    fn state(state: &[u8]) -> bool {
        state.iter().max().is_some_and(|&code| code > Absence::Null as u8)
    }
    fn view(view: View) -> bool {
        view.absence().is_some_and(Absence::is_fault)
    }
    match column {
        Column::Bool(it) => cells(it),
        Column::Int(it) | Column::Timestamp(it) | Column::Duration(it) => cells(it),
        Column::Float(it) => cells(it),
        Column::Ip(it) => cells(it),
        Column::Cidr(it) => cells(it),
        Column::Severity(it) => cells(it),
        Column::Text(views) | Column::Bytes(views) | Column::Json(views) => {
            views.iter().copied().any(view)
        }
        Column::Record(record) => state(&record.state),
    }
}
