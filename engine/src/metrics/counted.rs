//! Metrics that rules define with `count`: a family each, with a bound on its series.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Mutex, PoisonError},
};

use logmon_dsl::{eval::Counted, plan};
use prometheus::{CounterVec, Registry, proto::MetricFamily};

use super::opts;

/// A thousand series are more than a dashboard shows; further ones are counted together.
const SERIES_MAX: usize = 1_000;
/// What the labels of all further series say.
const OTHER: &str = "other";

/// Every metric that some bundle has defined.
#[derive(Default)]
pub(super) struct CountedMetrics {
    known: Mutex<Known>,
}

/// In a registry of their own: one never forgets which labels a name once had.
#[derive(Default)]
struct Known {
    registry: Registry,
    families: BTreeMap<String, Family>,
}

/// A metric and the names of its labels.
struct Family {
    labels: Vec<String>,
    counter: CounterVec,
}

/// The metrics of one bundle, by their numbers in its plan.
#[derive(Default)]
pub struct CountedHandles {
    families: Vec<(CounterVec, Mutex<BTreeSet<Vec<String>>>)>,
}

impl CountedMetrics {
    /// Handles for a plan's metrics. One that an earlier bundle had with the same labels goes on where it was.
    pub(super) fn bind(&self, metrics: &[plan::Metric]) -> CountedHandles {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = false;
        let mut families = Vec::with_capacity(metrics.len());
        for metric in metrics {
            let labels: Vec<String> = metric.labels.iter().map(ToString::to_string).collect();
            let before = known.families.get(&*metric.name);
            let known_one = before.filter(|family| family.labels == labels);
            let counter = if let Some(family) = known_one {
                family.counter.clone()
            } else {
                changed = true;
                let counter = made(&metric.name, &labels);
                let family = Family { labels, counter: counter.clone() };
                known.families.insert(metric.name.to_string(), family);
                counter
            };
            families.push((counter, Mutex::default()));
        }
        if changed {
            known.registry = Registry::new();
            for family in known.families.values() {
                known
                    .registry
                    .register(Box::new(family.counter.clone()))
                    .expect("each name stands once, in a fresh registry");
            }
        }
        CountedHandles { families }
    }

    /// All families, for the page.
    pub(super) fn gather(&self) -> Vec<MetricFamily> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).registry.gather()
    }
}

fn made(name: &str, labels: &[String]) -> CounterVec {
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    CounterVec::new(opts(&format!("count_{name}_total"), "Counted by rules."), &labels)
        .expect("the checker lets names through that Prometheus takes")
}

impl CountedHandles {
    /// Adds what a batch counted.
    pub fn add(&self, counted: &[Counted]) {
        for it in counted {
            let (counter, series) = &self.families[it.metric.0 as usize];
            let mut series = series.lock().unwrap_or_else(PoisonError::into_inner);
            if series.contains(&it.labels) || series.len() < SERIES_MAX {
                counter.with_label_values(&it.labels).inc_by(it.value);
                if !series.contains(&it.labels) {
                    series.insert(it.labels.clone());
                }
            } else {
                let other = vec![OTHER; it.labels.len()];
                counter.with_label_values(&other).inc_by(it.value);
            }
        }
    }
}

impl fmt::Debug for CountedHandles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CountedHandles").field("metrics", &self.families.len()).finish()
    }
}

impl fmt::Debug for CountedMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CountedMetrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use logmon_dsl::{plan::MetricId, span::Span};

    use super::*;

    #[test]
    fn series_are_bounded_and_survive_the_next_bundle() {
        let metrics = CountedMetrics::default();
        let plan = [plan::Metric {
            name: "hits".into(),
            labels: vec!["host".into()],
            span: Span::default(),
        }];
        let one =
            |host: &str| Counted { metric: MetricId(0), labels: vec![host.to_owned()], value: 1.0 };
        let handles = metrics.bind(&plan);
        for number in 0..SERIES_MAX + 5 {
            handles.add(&[one(&number.to_string())]);
        }
        metrics.bind(&plan).add(&[one("0")]);
        let families = metrics.gather();
        assert_eq!(families[0].name(), "logmon_count_hits_total");
        assert_eq!(families[0].get_metric().len(), SERIES_MAX + 1);
        let (counter, _) = &metrics.bind(&plan).families[0];
        #[expect(clippy::float_cmp, reason = "whole numbers")]
        {
            assert_eq!(counter.with_label_values(&["0"]).get(), 2.0);
            assert_eq!(counter.with_label_values(&[OTHER]).get(), 5.0);
        }
        let other = [plan::Metric { labels: vec![], ..plan[0].clone() }];
        metrics.bind(&other).add(&[Counted { metric: MetricId(0), labels: vec![], value: 2.5 }]);
        assert_eq!(metrics.gather()[0].get_metric().len(), 1, "one set of labels");
    }
}
