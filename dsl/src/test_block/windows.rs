//! Expectations of windows and alerts: rows that closed windows gave, and alerts that fired or did not.

use super::{
    Failure, Observed,
    run::{Run, copy},
};
use crate::{
    eval::AlertChange,
    plan::{ExprId, SinkId, WindowId},
    span::Span,
    state::Change,
};

impl Run {
    fn firings(&self, by: WindowId) -> Vec<String> {
        let fired = |it: &&AlertChange| it.window == by && it.change == Change::Fired;
        self.alerts.iter().filter(fired).filter_map(|it| it.event.clone()).collect()
    }

    pub(super) fn fired(&mut self, by: WindowId, body: &[(ExprId, Span)], at: Span) {
        let firings = self.firings(by);
        let mut first = None;
        for event in &firings {
            match self.conditions(0, event, None, body) {
                None => return,
                Some(failure) => first = first.or(Some(failure)),
            }
        }
        let name = &self.plan.windows[by.0 as usize].name;
        self.failures.push(first.unwrap_or_else(|| Failure {
            at,
            message: format!("`{name}` did not fire"),
            label: "its condition did not hold long enough by now".to_owned(),
            event: None,
            observed: Some(Observed::Fate(format!("silent by {name}"))),
        }));
    }

    pub(super) fn silent(&mut self, by: WindowId, at: Span) {
        if let Some(event) = self.firings(by).into_iter().next() {
            let name = &self.plan.windows[by.0 as usize].name;
            self.failures.push(Failure {
                at,
                message: format!("`{name}` fired"),
                label: "expected it to be silent".to_owned(),
                event: Some(event),
                observed: Some(Observed::Fate(format!("fired by {name}"))),
            });
        }
    }

    /// Whether rows of windows went to that sink since the last `given`, so that the expectation speaks of them.
    pub(super) fn rolled_to(&mut self, sink: SinkId, body: &[(ExprId, Span)]) -> bool {
        let mut copies = Vec::new();
        for rolled in &self.rolled {
            for routed in rolled.routed.iter().filter(|routed| routed.sink == sink) {
                for row in &routed.rows {
                    let copy = copy(&self.plan, &rolled.batch, &self.names, routed, *row as usize);
                    copies.push((rolled.batch.meta.source, copy));
                }
            }
        }
        let mut first = None;
        for (source, (event, key)) in &copies {
            match self.conditions(*source, event, key.as_deref(), body) {
                None => return true,
                Some(failure) => first = first.or(Some(failure)),
            }
        }
        let of_events = self.given.as_ref().is_some_and(|(_, outcome)| {
            outcome.routed.iter().any(|routed| routed.sink == sink && !routed.rows.is_empty())
        });
        if let (Some(failure), false) = (first, of_events) {
            self.failures.push(failure);
            return true;
        }
        false
    }
}
