//! W305: rules that say the same.

use std::collections::BTreeMap;

use crate::{
    check::Checker,
    diagnostic::{Code, Diagnostic},
    plan::{Rule, RuleId, Step},
};

/// Reports rules that differ only in name, where they stand side by side: in one group, or in none.
pub(super) fn report(checker: &mut Checker<'_>) {
    if checker.has_unread() {
        return;
    }
    let mut seen: BTreeMap<(Option<usize>, String), RuleId> = BTreeMap::new();
    let mut found = Vec::new();
    for (place, step) in checker.build.steps.iter().enumerate() {
        let (group, rules) = match step {
            Step::Rule(rule) => (None, std::slice::from_ref(rule)),
            Step::Group { rules, .. } => (Some(place), rules.as_slice()),
            Step::Window(_) => continue,
        };
        for id in rules {
            let rule = &checker.build.rules[id.0 as usize];
            if rule.body.is_empty() {
                continue;
            }
            let key = (group, normal(rule));
            match seen.get(&key) {
                Some(first) => found.push((*first, *id)),
                None => {
                    seen.insert(key, *id);
                }
            }
        }
    }
    for (first, second) in found {
        let first = &checker.build.rules[first.0 as usize];
        let second = &checker.build.rules[second.0 as usize];
        let mut attributes = second.attributes.iter();
        let allowed = attributes.any(|(name, text)| &**name == "allow" && text.contains("W305"));
        let message = format!("this rule says the same as `{}`", first.name);
        let diagnostic = Diagnostic::new(Code::W305, second.span, message)
            .related(first.span, "the other one")
            .advise("remove one of them");
        if !allowed {
            checker.report(diagnostic);
        }
    }
}

/// A rule without its name and the places where it counts.
pub(super) fn normal(rule: &Rule) -> String {
    let text = format!("{:?} {:?} {:?}", rule.on, rule.when, rule.body);
    let own_reason = format!("reason: {:?}", rule.name);
    let text = text.replace(&own_reason, "reason: its own");
    let mut out = String::with_capacity(text.len());
    let mut parts = text.split("SiteId(");
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        out.push_str(part.split_once(')').map_or(part, |(_, rest)| rest));
    }
    out
}
