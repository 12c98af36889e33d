//! What a test counts: events by what rules did with them, and metrics that rules define.

use std::collections::BTreeSet;

use super::{Counter, MetricName};
use crate::{
    eval::Outcome,
    plan::{Plan, RuleId, SiteId},
};

/// What was counted since the test began, a number a rule.
pub(super) struct Counts {
    pub(super) passed: u64,
    pub(super) evaluated: Vec<u64>,
    pub(super) matched: Vec<u64>,
    pub(super) dropped: Vec<u64>,
    pub(super) routed: Vec<u64>,
    pub(super) faults: Vec<u64>,
    pub(super) counted: Vec<f64>,
    /// Routed by the default route.
    pub(super) by_default: u64,
    /// Where something faulted.
    pub(super) sites: BTreeSet<SiteId>,
}

impl Counts {
    pub(super) fn new(rules: usize) -> Self {
        let zeros = || vec![0; rules];
        Self {
            passed: 0,
            evaluated: zeros(),
            matched: zeros(),
            dropped: zeros(),
            routed: zeros(),
            faults: zeros(),
            counted: Vec::new(),
            by_default: 0,
            sites: BTreeSet::new(),
        }
    }

    pub(super) fn add(&mut self, plan: &Plan, outcome: &Outcome) {
        for (rule, count) in outcome.rules.iter().enumerate() {
            self.evaluated[rule] += count.evaluated;
            self.matched[rule] += count.matched;
            self.dropped[rule] += count.would_drop;
            self.routed[rule] += count.would_route;
        }
        self.counted.resize(plan.metrics.len(), 0.0);
        for counted in &outcome.counted {
            self.counted[counted.metric.0 as usize] += counted.value;
        }
        for dropped in &outcome.dropped_by {
            match dropped {
                Some((rule, _)) => self.dropped[rule.0 as usize] += 1,
                None => self.passed += 1,
            }
        }
        for routed in &outcome.routed {
            match routed.rule {
                Some(rule) => self.routed[rule.0 as usize] += routed.rows.len() as u64,
                None => self.by_default += routed.rows.len() as u64,
            }
        }
        for (site, _, count) in &outcome.faults {
            let rule = plan.sites[site.0 as usize].rule;
            self.sites.insert(*site);
            self.faults[rule.0 as usize] += u64::from(*count);
        }
    }

    pub(super) fn get(&self, counter: &Counter) -> u64 {
        let of = |counts: &[u64], rule: Option<RuleId>| match rule {
            Some(rule) => counts[rule.0 as usize],
            None => counts.iter().sum(),
        };
        match counter {
            Counter::Counted(metric) => {
                self.counted.get(metric.0 as usize).copied().unwrap_or(0.0) as u64
            }
            Counter::Passed => self.passed,
            Counter::DroppedBy(rule) => of(&self.dropped, Some(*rule)),
            Counter::Metric(MetricName::Evaluated, rule) => of(&self.evaluated, *rule),
            Counter::Metric(MetricName::Matched, rule) => of(&self.matched, *rule),
            Counter::Metric(MetricName::Dropped, rule) => of(&self.dropped, *rule),
            Counter::Metric(MetricName::Routed, None) => of(&self.routed, None) + self.by_default,
            Counter::Metric(MetricName::Routed, rule) => of(&self.routed, *rule),
            Counter::Metric(MetricName::Faults, rule) => of(&self.faults, *rule),
        }
    }
}
