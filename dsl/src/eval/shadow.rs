//! Rules that only look on (`@shadow`): their statements run, what they would have done is counted, and all is put back.

use super::{Outcome, run::Run};
use crate::{
    column::Mask,
    plan::{RuleId, Stmt},
};

impl<'m> Run<'m> {
    /// Runs a rule's body without a trace. Only what it remembers stays: a limit that is tried out must fill.
    pub(super) fn shadow(&mut self, rule: RuleId, body: &'m [Stmt], rows: Mask) {
        if rows.is_empty() {
            return;
        }
        let fields = self.machine.batch.fields.clone();
        let gone = self.machine.batch.rest_gone.clone();
        let before = (self.live.clone(), self.taken.clone(), self.emitted.clone());
        let outcome = Outcome {
            events: self.outcome.events,
            made_of: self.outcome.made_of.clone(),
            dropped_by: vec![None; self.outcome.dropped_by.len()],
            ..Outcome::default()
        };
        let outcome = std::mem::replace(&mut self.outcome, outcome);
        let outer = std::mem::replace(&mut self.shadow, true);
        self.block(body, rows);
        self.shadow = outer;
        let would = std::mem::replace(&mut self.outcome, outcome);
        (self.live, self.taken, self.emitted) = before;
        // Versions never go back: what was computed from the fields as they were meanwhile must not be taken for what they are.
        for (field, mut old) in self.machine.batch.fields.iter_mut().zip(fields) {
            if field.version != old.version {
                old.version = field.version + 1;
                *field = old;
            }
        }
        self.machine.batch.rest_gone = gone;
        self.snapshot = None;
        let count = &mut self.outcome.rules[rule.0 as usize];
        count.would_drop += would.dropped_by.iter().flatten().count() as u64;
        count.would_route +=
            would.routed.iter().map(|routed| routed.rows.len() as u64).sum::<u64>();
        for (site, why, faults) in would.faults {
            self.count_fault(site, why, faults);
        }
    }
}
