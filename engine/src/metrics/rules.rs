//! Counters of rules: one handle a rule, fetched when a bundle is bound.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use logmon_dsl::{
    eval::Outcome,
    plan::{Plan, RuleId},
};
use prometheus::{Counter, IntCounter};

use super::{Capped, CountedHandles, Metrics};

/// The rule's label for outputs of `default route to`.
pub const DEFAULT_ROUTE: &str = "default route";

/// The counters of one bundle's rules, by [`RuleId`].
pub struct RuleMetrics {
    metrics: Arc<Metrics>,
    plan: Arc<Plan>,
    counters: Vec<RuleCounters>,
    counted: CountedHandles,
}

struct RuleCounters {
    evaluated: IntCounter,
    matched: IntCounter,
    seconds: Counter,
    reasons: Capped,
}

impl Metrics {
    /// Handles for the rules of a plan. Rules that an earlier bundle had too go on counting where they were.
    pub fn rules(self: &Arc<Self>, plan: &Arc<Plan>) -> RuleMetrics {
        let counters = plan
            .rules
            .iter()
            .map(|rule| RuleCounters {
                evaluated: self.rule.evaluated.with_label_values(&[&*rule.label]),
                matched: self.rule.matched.with_label_values(&[&*rule.label]),
                seconds: self.rule.seconds.with_label_values(&[&*rule.label]),
                reasons: Capped::default(),
            })
            .collect();
        self.rule.renamed.reset();
        for rule in &plan.rules {
            let Some(was) = &rule.was else { continue };
            let (above, _) = rule.label.rsplit_once('/').unwrap_or(("", ""));
            let was = format!("{above}/{was}");
            self.rule.renamed.with_label_values(&[&*rule.label, &was]).set(1);
        }
        let counted = self.counted.bind(&plan.metrics);
        RuleMetrics { metrics: Arc::clone(self), plan: Arc::clone(plan), counters, counted }
    }
}

impl RuleMetrics {
    /// The plan whose rules these are.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Adds what a batch did.
    pub fn record(&self, outcome: &Outcome) {
        for (counters, count) in self.counters.iter().zip(&outcome.rules) {
            if count.evaluated > 0 {
                counters.evaluated.inc_by(count.evaluated);
                counters.matched.inc_by(count.matched);
            }
        }
        self.record_drops(outcome);
        self.record_windows(outcome);
        self.counted.add(&outcome.counted);
        let vector = &self.metrics.rule;
        for routed in &outcome.routed {
            if !routed.rows.is_empty() {
                let rule = routed.rule.map_or(DEFAULT_ROUTE, |rule| &*self.plan.rule(rule).label);
                let sink = &*self.plan.sinks[routed.sink.0 as usize].name;
                vector.routed.with_label_values(&[rule, sink]).inc_by(routed.rows.len() as u64);
            }
        }
        for (site, cause, rows) in &outcome.faults {
            let site = &self.plan.sites[site.0 as usize];
            let rule = &*self.plan.rule(site.rule).label;
            vector
                .faults
                .with_label_values(&[rule, &*site.label, cause.name()])
                .inc_by(u64::from(*rows));
        }
    }

    /// What windows saw, and what rules that only look on would have done.
    fn record_windows(&self, outcome: &Outcome) {
        let vector = &self.metrics.rule;
        for (window, count) in &outcome.windows {
            let label = &*self.plan.windows[window.0 as usize].label;
            for (outcome, events) in
                [("counted", count.counted), ("late", count.late), ("crowded", count.crowded)]
            {
                if events > 0 {
                    vector.window_events.with_label_values(&[label, outcome]).inc_by(events);
                }
            }
            vector.window_rows.with_label_values(&[label]).inc_by(count.rows);
        }
        for (rule, count) in self.plan.rules.iter().zip(&outcome.rules) {
            for (act, events) in [("drop", count.would_drop), ("route", count.would_route)] {
                if events > 0 {
                    vector.shadow.with_label_values(&[&*rule.label, act]).inc_by(events);
                }
            }
        }
    }

    /// Adds time that was measured on some batch, scaled to all by the caller.
    pub fn spent(&self, rule: RuleId, time: Duration) {
        self.counters[rule.0 as usize].seconds.inc_by(time.as_secs_f64());
    }

    fn record_drops(&self, outcome: &Outcome) {
        let mut counts: BTreeMap<(RuleId, u32), u64> = BTreeMap::new();
        for dropped in outcome.dropped_by.iter().flatten() {
            *counts.entry(*dropped).or_default() += 1;
        }
        for ((rule, reason), events) in counts {
            let reason = self.counters[rule.0 as usize]
                .reasons
                .cap(outcome.reasons.get(reason as usize).map_or("unknown", |reason| reason));
            let label = &*self.plan.rule(rule).label;
            self.metrics.rule.dropped.with_label_values(&[label, reason]).inc_by(events);
        }
    }
}

impl fmt::Debug for RuleMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuleMetrics").field("rules", &self.counters.len()).finish_non_exhaustive()
    }
}
