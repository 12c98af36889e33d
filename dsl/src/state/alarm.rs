//! When an alert fires and when it ends: conditions held against time, once a key.

use std::collections::BTreeMap;

use crate::plan::Alert;

/// What became of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The condition held long enough.
    Fired,
    /// It has not held for long enough.
    Resolved,
}

/// The keys whose condition holds, or held a short while ago.
#[derive(Debug, Default)]
pub struct Alarm {
    keys: BTreeMap<Box<[u8]>, Key>,
}

#[derive(Debug, Default)]
struct Key {
    /// Since when the condition holds.
    holds: Option<i64>,
    /// Since when it does not, while the alert is on.
    calm: Option<i64>,
    firing: bool,
}

impl Alarm {
    /// One evaluation: for which keys the condition holds. A key that is not there any more does not hold.
    pub fn judge(
        &mut self,
        alert: &Alert,
        at: i64,
        held: &BTreeMap<&[u8], bool>,
    ) -> Vec<(Box<[u8]>, Change)> {
        for (key, holds) in held {
            if *holds && !self.keys.contains_key(*key) {
                self.keys.insert((*key).into(), Key::default());
            }
        }
        let mut changes = Vec::new();
        self.keys.retain(|key, state| {
            let holds = held.get(&**key).copied().unwrap_or(false);
            if let Some(change) = state.step(alert, at, holds) {
                changes.push((key.clone(), change));
            }
            holds || state.firing
        });
        changes
    }
}

impl Key {
    fn step(&mut self, alert: &Alert, at: i64, holds: bool) -> Option<Change> {
        if holds {
            self.calm = None;
            let since = *self.holds.get_or_insert(at);
            if !self.firing && at.saturating_sub(since) >= alert.hold {
                self.firing = true;
                return Some(Change::Fired);
            }
            return None;
        }
        self.holds = None;
        if !self.firing {
            return None;
        }
        let since = *self.calm.get_or_insert(at);
        if at.saturating_sub(since) < alert.resolve {
            return None;
        }
        self.firing = false;
        self.calm = None;
        Some(Change::Resolved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::ExprId;

    #[test]
    fn a_condition_must_hold_and_must_be_over() {
        let alert = Alert {
            condition: ExprId(0),
            hold: 20,
            resolve: 30,
            severity: None,
            summary: None,
            labels: None,
            runbook: None,
            notify: vec![],
        };
        let mut alarm = Alarm::default();
        let mut told = Vec::new();
        let course = [
            (10, Some(true)),
            (20, Some(false)),
            (30, Some(true)),
            (40, Some(true)),
            (50, Some(true)),
            (60, Some(false)),
            (70, Some(true)),
            (80, None),
            (90, Some(false)),
            (110, None),
        ];
        for (at, holds) in course {
            let held: BTreeMap<&[u8], bool> =
                holds.map(|holds| (&b"k"[..], holds)).into_iter().collect();
            told.extend(alarm.judge(&alert, at, &held).into_iter().map(|(_, what)| (at, what)));
        }
        assert_eq!(told, [(50, Change::Fired), (110, Change::Resolved)]);
        assert!(alarm.keys.is_empty());
    }
}
