//! W303: rules whose events in the tests nearly all go to earlier ones.

use std::{collections::BTreeSet, sync::Arc};

use super::{Test, TestStep, run_test};
use crate::{
    diagnostic::{Code, Diagnostic},
    plan::{Plan, RuleId, Step},
};

/// So many events of tests must ask for a rule before anything is said of who takes them.
const EVENTS_MIN: usize = 5;

/// The share of a rule's events, in percent, that makes it shadowed.
const SHARE: usize = 95;

/// Rules of `first` groups whose events nearly all go to an earlier rule.
pub fn shadowed(plan: &Arc<Plan>, tests: &[Test]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (place, step) in plan.steps.iter().enumerate() {
        let Step::Group { first: true, rules, .. } = step else { continue };
        if rules.len() < 2 {
            continue;
        }
        let asked = asked(plan, place, rules, tests);
        for (index, rule) in rules.iter().enumerate().skip(1) {
            let earlier = &rules[..index];
            let mine: Vec<_> = asked.iter().filter(|event| event.contains(rule)).collect();
            let taken = mine.iter().filter(|event| earlier.iter().any(|one| event.contains(one)));
            let taken = taken.count();
            if mine.len() < EVENTS_MIN || taken * 100 < mine.len() * SHARE {
                continue;
            }
            let most = earlier
                .iter()
                .max_by_key(|one| mine.iter().filter(|event| event.contains(one)).count());
            let Some(most) = most else { continue };
            let (rule, most) = (plan.rule(*rule), plan.rule(*most));
            let message = format!(
                "of {} events that `{}` asks for, earlier rules of the group take {taken}",
                mine.len(),
                rule.name
            );
            found.push(
                Diagnostic::new(Code::W303, rule.span, message)
                    .label("seen in the events of the tests")
                    .related(most.span, "this one takes most of them")
                    .advise(format!("is `{}` meant to come before `{}`?", rule.name, most.name)),
            );
        }
    }
    found
}

/// For each event of the tests, which rules of a group ask for it when none of them takes it away.
fn asked(plan: &Plan, place: usize, rules: &[RuleId], tests: &[Test]) -> Vec<BTreeSet<RuleId>> {
    let mut open = plan.clone();
    if let Step::Group { first, .. } = &mut open.steps[place] {
        *first = false;
    }
    for rule in rules {
        open.rules[rule.0 as usize].body.clear();
    }
    let open = Arc::new(open);
    let mut all = Vec::new();
    for test in tests {
        for (index, step) in test.steps.iter().enumerate() {
            if !matches!(step, TestStep::Given { .. }) {
                continue;
            }
            // The event alone, with the clock and the mocks that stand before it.
            let before = test.steps[..index].iter().filter(|step| {
                matches!(step, TestStep::At(_) | TestStep::Advance(_) | TestStep::Mock { .. })
            });
            let mut steps: Vec<TestStep> = before.cloned().collect();
            steps.push(step.clone());
            let alone = Test { name: test.name.clone(), span: test.span, steps };
            all.push(run_test(&open, &alone).reached.into_iter().collect());
        }
    }
    all
}
