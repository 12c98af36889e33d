//! What tests did not reach, for a person and for a machine.

use logmon_dsl::{coverage, program::Analysis, span::Place, test_block::Test};

use crate::cli::say;

/// Rules and branches, and those of them that no test reached.
#[derive(Debug, serde::Serialize)]
pub(super) struct Report {
    rules: usize,
    branches: usize,
    unreached: Vec<Unreached>,
}

#[derive(Debug, serde::Serialize)]
struct Unreached {
    /// The rule's label.
    rule: String,
    /// The branch, or the rule's name where the whole rule was not reached.
    at: Place,
    /// What was not reached.
    what: &'static str,
}

impl Report {
    pub(super) fn new<'t>(analysis: &Analysis, tests: impl Iterator<Item = &'t Test>) -> Self {
        let coverage = coverage::measure(analysis, tests);
        let label = |rule| analysis.plan.rule(rule).label.to_string();
        let mut unreached = Vec::new();
        for (rule, reached) in &coverage.rules {
            if !reached {
                let at = analysis.loaded.sources.place(analysis.plan.rule(*rule).span);
                unreached.push(Unreached { rule: label(*rule), at, what: "the rule" });
                continue;
            }
            // Of a rule that nothing reached no branch need be named.
            let branches = coverage.branches.iter();
            for branch in branches.filter(|branch| branch.rule == *rule && !branch.reached) {
                let at = analysis.loaded.sources.place(branch.at);
                let what = if branch.is_else { "the else branch" } else { "the branch" };
                unreached.push(Unreached { rule: label(*rule), at, what });
            }
        }
        Self { rules: coverage.rules.len(), branches: coverage.branches.len(), unreached }
    }

    pub(super) fn print(&self) {
        say(format_args!("\ncoverage: {} rules, {} branches", self.rules, self.branches));
        for Unreached { rule, at, what } in &self.unreached {
            say(format_args!(
                "  no test reaches {what} of {rule}  {}:{}:{}",
                at.path, at.line, at.column
            ));
        }
        if self.unreached.is_empty() {
            say("  every rule and every branch is reached");
        }
    }
}
