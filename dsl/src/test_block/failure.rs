//! How a test went, and what was not as it expects.

use crate::{
    diagnostic::{Code, Diagnostic},
    plan::{RuleId, SiteId},
    span::Span,
};

/// How a test went.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TestResult {
    /// What was not as expected; none means the test passed.
    pub failures: Vec<Failure>,
    /// Rules whose conditions held for some event, ascending.
    pub reached: Vec<RuleId>,
    /// Places where something faulted, ascending.
    pub faulted: Vec<SiteId>,
}

impl TestResult {
    /// Whether everything was as expected.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

/// One thing that was not as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The expectation or condition.
    pub at: Span,
    /// What is wrong, one sentence.
    pub message: String,
    /// What stands at that place instead: the first differing value.
    pub label: String,
    /// The event it is about, as JSON.
    pub event: Option<String>,
    /// What happened instead, as far as it can be written down as an expectation.
    pub observed: Option<Observed>,
}

/// What happened instead of what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observed {
    /// Another count.
    Count(u64),
    /// Another fate, as `expect` says it: `dropped by r`.
    Fate(String),
    /// Another value at this place, as JSON; nothing where it is absent.
    Value(Span, Option<String>),
}

impl Failure {
    /// The failure as it is drawn for a person.
    pub fn diagnostic(&self) -> Diagnostic {
        let drawn =
            Diagnostic::new(Code::E700, self.at, self.message.clone()).label(self.label.clone());
        match &self.event {
            Some(event) => drawn.note(format!("the event: {event}")),
            None => drawn,
        }
    }
}
