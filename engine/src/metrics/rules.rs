//! Counters of rules: one handle a rule, fetched when a bundle is bound.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use logmon_dsl::{
    eval::Outcome,
    plan::{Plan, RuleId},
};
use prometheus::{Counter, IntCounter, IntCounterVec, core::Collector};
use serde::Serialize;

use super::{Capped, Metrics};

/// The rule's label for outputs of `default route to`.
const DEFAULT_ROUTE: &str = "default route";

/// The counters of one bundle's rules, by [`RuleId`].
pub struct RuleMetrics {
    metrics: Arc<Metrics>,
    plan: Arc<Plan>,
    counters: Vec<RuleCounters>,
}

struct RuleCounters {
    evaluated: IntCounter,
    matched: IntCounter,
    seconds: Counter,
    reasons: Capped,
}

/// What a rule did since the process started.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RuleTotals {
    /// Events that reached it.
    pub evaluated: u64,
    /// Events for which its conditions held.
    pub matched: u64,
    /// Events it dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Outputs it sent, by sink.
    pub routed: BTreeMap<String, u64>,
    /// Faults, by cause.
    pub faults: BTreeMap<String, u64>,
    /// Time spent in it, sampled.
    pub seconds: f64,
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
        RuleMetrics { metrics: Arc::clone(self), plan: Arc::clone(plan), counters }
    }

    /// What every rule did so far, by label; also rules of earlier bundles.
    pub fn rule_totals(&self) -> BTreeMap<String, RuleTotals> {
        let mut rules: BTreeMap<String, RuleTotals> = BTreeMap::new();
        let vector = &self.rule;
        for (labels, value) in totals(&vector.evaluated) {
            rules.entry(text(&labels, "rule")).or_default().evaluated = value;
        }
        for (labels, value) in totals(&vector.matched) {
            rules.entry(text(&labels, "rule")).or_default().matched = value;
        }
        for (labels, value) in totals(&vector.dropped) {
            let rule = rules.entry(text(&labels, "rule")).or_default();
            *rule.dropped.entry(text(&labels, "reason")).or_default() += value;
        }
        for (labels, value) in totals(&vector.routed) {
            let rule = rules.entry(text(&labels, "rule")).or_default();
            *rule.routed.entry(text(&labels, "sink")).or_default() += value;
        }
        for (labels, value) in totals(&vector.faults) {
            let rule = rules.entry(text(&labels, "rule")).or_default();
            *rule.faults.entry(text(&labels, "cause")).or_default() += value;
        }
        for (label, rule) in &mut rules {
            rule.seconds = vector.seconds.with_label_values(&[label.as_str()]).get();
        }
        rules
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

/// The series of a vector: labels and value.
pub(super) fn totals(vector: &IntCounterVec) -> impl Iterator<Item = (Vec<(String, String)>, u64)> {
    let families = vector.collect();
    let series: Vec<_> = families
        .iter()
        .flat_map(prometheus::proto::MetricFamily::get_metric)
        .map(|metric| {
            let labels = metric
                .get_label()
                .iter()
                .map(|pair| (pair.name().to_owned(), pair.value().to_owned()))
                .collect();
            (labels, metric.get_counter().get_value() as u64)
        })
        .collect();
    series.into_iter()
}

fn text(labels: &[(String, String)], name: &str) -> String {
    labels.iter().find(|(known, _)| known == name).map(|(_, text)| text.clone()).unwrap_or_default()
}

impl fmt::Debug for RuleMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuleMetrics").field("rules", &self.counters.len()).finish_non_exhaustive()
    }
}
