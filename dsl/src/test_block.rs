//! `test` blocks: checked steps as data, and what runs them.

mod counts;
mod failure;
mod given;
mod run;
mod shadowed;
mod windows;

pub use failure::{Failure, Observed, TestResult};
pub use run::run_test;
pub use shadowed::shadowed;

use std::sync::Arc;

use crate::{
    plan::{CompareOp, ExprId, MetricId, RuleId, SinkId, WindowId},
    span::Span,
};

/// One checked `test` block.
#[derive(Debug, Clone, PartialEq)]
pub struct Test {
    /// Its text.
    pub name: Arc<str>,
    /// Where it stands.
    pub span: Span,
    /// What it does, in order.
    pub steps: Vec<TestStep>,
}

/// One step of a test.
#[derive(Debug, Clone, PartialEq)]
pub enum TestStep {
    /// `at t"…"`: sets the test clock, nanoseconds.
    At(i64),
    /// `advance 31s`: moves the clock, nanoseconds.
    Advance(i64),
    /// `mock geo { key => value }`: answers of a lookup, as key text and JSON.
    Mock {
        /// The lookup's number in the plan.
        lookup: usize,
        /// Keys as [`crate::eval::Lookups`] gets them, and answers.
        answers: Vec<(String, Arc<str>)>,
    },
    /// `given x3 on s { … }`: sends events.
    Given {
        /// The source's number in the plan.
        source: usize,
        /// How many.
        times: u32,
        /// The event as JSON; missing required fields of the source's shape are filled when it runs.
        event: Arc<str>,
        /// Where it stands.
        span: Span,
    },
    /// `expect …`
    Expect {
        /// What.
        what: Expectation,
        /// Where it stands.
        span: Span,
    },
}

/// What a test expects.
#[derive(Debug, Clone, PartialEq)]
pub enum Expectation {
    /// `dropped`, `dropped by r`: of the last `given`, with conditions on the event as it was when dropped.
    Dropped {
        /// The rule, if one is named.
        by: Option<RuleId>,
        /// Conditions, each with where it stands.
        body: Vec<(ExprId, Span)>,
    },
    /// `routed`, `routed to s`: of the last `given`, with conditions on the event as it was sent.
    Routed {
        /// The sink, if one is named.
        to: Option<SinkId>,
        /// Conditions, each with where it stands. `@key` means the route's `key` parameter.
        body: Vec<(ExprId, Span)>,
    },
    /// `fired by a`: since the test began, with conditions on what the alert says.
    Fired {
        /// The alert.
        by: WindowId,
        /// Conditions, each with where it stands.
        body: Vec<(ExprId, Span)>,
    },
    /// `silent by a`: it has not fired since the test began.
    Silent {
        /// The alert.
        by: WindowId,
    },
    /// `passed == 1`, `dropped_by(r) == 2`, `metric("faults", rule: r) == 1`
    Count {
        /// What is counted since the test began.
        counter: Counter,
        /// How it is compared (`negated` for `!=`).
        op: CompareOp,
        /// Whether the comparison must fail.
        negated: bool,
        /// With what.
        number: i64,
    },
}

/// What a test counts.
#[derive(Debug, Clone, PartialEq)]
pub enum Counter {
    /// Events not dropped.
    Passed,
    /// Events dropped by that rule.
    DroppedBy(RuleId),
    /// A metric of a rule, or of all rules: `evaluated`, `matched`, `dropped`, `routed`, `faults`.
    Metric(MetricName, Option<RuleId>),
    /// What `count` added to a metric, over all its labels.
    Counted(MetricId),
}

/// The metrics that a test can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricName {
    /// Rows that reached the rule.
    Evaluated,
    /// Rows for which it held.
    Matched,
    /// Rows it dropped.
    Dropped,
    /// Rows it routed.
    Routed,
    /// Faults in it.
    Faults,
}
