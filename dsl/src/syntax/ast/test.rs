//! Tests beside the rules.

use super::{Count, Duration, Expr, On, QName, Text};
use crate::span::Span;

/// `test "name" { steps }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    /// The name.
    pub name: Text,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// The whole declaration.
    pub span: Span,
}

/// One step of a test.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What it does.
    pub kind: StepKind,
    /// Where it stands.
    pub span: Span,
}

/// What a step of a test does.
#[derive(Clone, Debug, PartialEq)]
pub enum StepKind {
    /// `at t"…"`: sets the clock.
    At(Expr),
    /// `advance 31s`: moves the clock.
    Advance(Duration),
    /// `mock lookup { key => value, … }`
    Mock {
        /// The lookup.
        lookup: QName,
        /// What it answers.
        entries: Vec<MockEntry>,
    },
    /// `given x500 on source { … }`
    Given {
        /// How often; without it once.
        times: Option<Count>,
        /// Through which source; without it the first declared.
        on: Option<On>,
        /// The event.
        event: Expr,
    },
    /// `expect …`
    Expect(Expectation),
    /// Text that is no step; a diagnostic says why.
    Error,
}

/// One answer of a mocked lookup.
#[derive(Clone, Debug, PartialEq)]
pub struct MockEntry {
    /// The key.
    pub key: Expr,
    /// The answer.
    pub value: Expr,
    /// Both.
    pub span: Span,
}

/// What a test expects.
#[derive(Clone, Debug, PartialEq)]
pub enum Expectation {
    /// `dropped by r`, `routed to s { … }`, `fired by a { … }`, `silent by a`
    Fate {
        /// What happened.
        fate: Fate,
        /// The rule or alert after `by`.
        by: Option<QName>,
        /// The sink after `to`.
        to: Option<QName>,
        /// What holds of the event; none without braces.
        body: Vec<Expr>,
    },
    /// An expression that must hold.
    Holds(Expr),
}

/// What became of the last given event, or of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A rule dropped it.
    Dropped,
    /// It reached a sink.
    Routed,
    /// The alert fired.
    Fired,
    /// The alert did not fire.
    Silent,
}
