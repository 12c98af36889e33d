//! W302: rules that no event reaches, because earlier ones have taken it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    duplicates::normal,
    effects,
    reason::{Goal, is_steady, subject, together, wanted_texts},
};
use crate::{
    check::{Checker, Pool},
    column::NodeId,
    diagnostic::{Code, Diagnostic},
    plan::{ExprId, Op, Rule, RuleId, Step},
};

/// How many earlier rules one rule is compared with: those that speak of the same things, the last ones first.
const CANDIDATES_MAX: usize = 12;

/// How many texts of one condition are looked up.
const TEXTS_MAX: usize = 16;

/// Reports rules that can never match.
pub(super) fn report(checker: &mut Checker<'_>) {
    let mut walk = Walk {
        checker,
        taken: Vec::new(),
        index: BTreeMap::new(),
        readers: BTreeMap::new(),
        steady: BTreeMap::new(),
        found: Vec::new(),
    };
    for step in &checker.build.steps {
        match step {
            Step::Rule(id) => walk.rule(*id, None, false),
            Step::Group { first, when, rules, .. } => walk.group(rules, *when, *first),
            // A window looks on.
            Step::Window(_) => {}
        }
    }
    for (rule, by) in walk.found {
        let rules = &checker.build.rules;
        let rule = &rules[rule.0 as usize];
        let earlier: Vec<&Rule> = by.rules.iter().map(|id| &rules[id.0 as usize]).collect();
        // Rules that say the same are told so.
        if let [one] = earlier.as_slice()
            && normal(one) == normal(rule)
        {
            continue;
        }
        let names: Vec<String> = earlier.iter().map(|one| format!("`{}`", one.name)).collect();
        let verb = match (by.dropped, earlier.len()) {
            (true, 1) => "drops",
            (true, _) => "drop",
            (false, 1) => "takes",
            (false, _) => "take",
        };
        let message = format!("the rule `{}` can never match", rule.name);
        let mut diagnostic = Diagnostic::new(Code::W302, rule.span, message)
            .label(format!("{} {verb} every event that this rule asks for", listed(&names)));
        for one in &earlier {
            diagnostic = diagnostic.related(one.span, "comes first");
        }
        let advice = format!("remove the rule, or move it before {}", names[0]);
        checker.report(diagnostic.advise(advice));
    }
}

/// `a`, `b` and `c`
fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [only] => only.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

/// What tells one condition from another without comparing them.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone)]
enum Key {
    /// It takes everything.
    Always,
    /// It speaks of this thing.
    Of(ExprId),
    /// This thing must be that text.
    Text(ExprId, Arc<str>),
}

/// Events that nobody sees any more.
struct Taken {
    rule: RuleId,
    goals: Vec<ExprId>,
    on: Vec<usize>,
    reads: BTreeSet<NodeId>,
    dropped: bool,
    valid: bool,
}

/// Who takes a rule's events.
struct By {
    /// In the order in which they run; all of them are needed.
    rules: Vec<RuleId>,
    dropped: bool,
}

struct Walk<'c, 'a> {
    checker: &'c Checker<'a>,
    taken: Vec<Taken>,
    index: BTreeMap<Key, Vec<usize>>,
    readers: BTreeMap<NodeId, Vec<usize>>,
    steady: BTreeMap<ExprId, bool>,
    found: Vec<(RuleId, By)>,
}

impl<'c> Walk<'c, '_> {
    fn pool(&self) -> &'c Pool {
        &self.checker.build.pool
    }

    fn at(&self, id: RuleId) -> &'c Rule {
        &self.checker.build.rules[id.0 as usize]
    }

    fn group(&mut self, rules: &[RuleId], when: Option<ExprId>, first: bool) {
        if !first {
            for id in rules {
                self.rule(*id, when, false);
            }
            return;
        }
        let outside = self.taken.len();
        let mut all_drop = true;
        for id in rules {
            self.rule(*id, when, true);
            all_drop &= effects::drops(&self.at(*id).body) && effects::acts(self.at(*id));
            if let Some(last) = self.taken.last_mut().filter(|last| last.rule == *id) {
                last.dropped &= all_drop;
            }
        }
        // Behind the group an event is gone only where it was dropped.
        for index in outside..self.taken.len() {
            self.taken[index].valid &= self.taken[index].dropped;
        }
        for id in rules {
            self.written(self.at(*id));
        }
    }

    fn rule(&mut self, id: RuleId, group: Option<ExprId>, exclusive: bool) {
        let rule = self.at(id);
        let goals: Vec<ExprId> = group.into_iter().chain(rule.when).collect();
        self.check(id, &goals);
        let dropped = effects::drops(&rule.body) && effects::acts(rule);
        if (dropped || exclusive) && goals.iter().all(|goal| self.is_steady(*goal)) {
            self.take(id, goals, dropped);
        }
        if !dropped && !exclusive {
            self.written(rule);
        }
    }

    fn is_steady(&mut self, id: ExprId) -> bool {
        if let Some(known) = self.steady.get(&id) {
            return *known;
        }
        let steady = is_steady(self.pool(), id);
        self.steady.insert(id, steady);
        steady
    }

    /// Remembers the events that a rule takes away.
    fn take(&mut self, id: RuleId, goals: Vec<ExprId>, dropped: bool) {
        let index = self.taken.len();
        let reads: BTreeSet<NodeId> =
            goals.iter().flat_map(|goal| self.pool().reads(*goal)).collect();
        for node in &reads {
            self.readers.entry(*node).or_default().push(index);
        }
        for key in self.keys_of(&goals) {
            self.index.entry(key).or_default().push(index);
        }
        let on = self.at(id).on.clone();
        self.taken.push(Taken { rule: id, goals, on, reads, dropped, valid: true });
    }

    /// Where conditions are looked for: under the texts that they want, else under the first thing of each of their cases.
    fn keys_of(&self, goals: &[ExprId]) -> Vec<Key> {
        let parts = self.parts(goals);
        for part in &parts {
            if let Some((thing, texts)) = wanted_texts(self.pool(), *part)
                && texts.len() <= TEXTS_MAX
            {
                return texts.into_iter().map(|text| Key::Text(thing, text)).collect();
            }
        }
        let Some(first) = parts.first() else { return vec![Key::Always] };
        match self.pool().op(*first) {
            Op::Or(ids) => ids.iter().take(TEXTS_MAX).map(|id| Key::Of(self.thing(*id))).collect(),
            _ => vec![Key::Of(self.thing(*first))],
        }
    }

    /// The operands of all `and`s.
    fn parts(&self, goals: &[ExprId]) -> Vec<ExprId> {
        let mut parts = Vec::new();
        for goal in goals {
            match self.pool().op(*goal) {
                Op::And(ids) => parts.extend_from_slice(ids),
                _ => parts.push(*goal),
            }
        }
        parts
    }

    fn thing(&self, id: ExprId) -> ExprId {
        match self.pool().op(id) {
            Op::Not(inner) => self.thing(*inner),
            Op::And(ids) | Op::Or(ids) => ids.first().map_or(id, |first| self.thing(*first)),
            _ => subject(self.pool(), id).unwrap_or(id),
        }
    }

    /// Earlier rules that speak of what these conditions speak of, the last ones first.
    fn candidates(&self, id: RuleId, goals: &[ExprId]) -> Vec<usize> {
        let mut keys = BTreeSet::from([Key::Always]);
        let mut open = self.parts(goals);
        let mut n_seen = 0;
        while let Some(part) = open.pop() {
            n_seen += 1;
            if n_seen > 64 {
                break;
            }
            if let Some((thing, texts)) = wanted_texts(self.pool(), part) {
                keys.extend(texts.into_iter().take(TEXTS_MAX).map(|text| Key::Text(thing, text)));
            }
            match self.pool().op(part) {
                Op::And(ids) | Op::Or(ids) => open.extend(ids.iter().copied()),
                Op::Not(inner) => open.push(*inner),
                _ => {
                    keys.insert(Key::Of(self.thing(part)));
                }
            }
        }
        let on = &self.at(id).on;
        let covers = |taken: &Taken| {
            taken.on.is_empty()
                || (!on.is_empty() && on.iter().all(|source| taken.on.contains(source)))
        };
        let mut found = BTreeSet::new();
        for key in &keys {
            let known = self.index.get(key).into_iter().flatten().rev().take(CANDIDATES_MAX);
            found.extend(
                known.copied().filter(|at| self.taken[*at].valid && covers(&self.taken[*at])),
            );
        }
        found.into_iter().rev().take(CANDIDATES_MAX).collect()
    }

    fn check(&mut self, id: RuleId, goals: &[ExprId]) {
        let candidates = self.candidates(id, goals);
        if candidates.is_empty() || !goals.iter().all(|goal| self.is_steady(*goal)) {
            return;
        }
        let wants: Vec<Goal> = goals.iter().map(|goal| Goal::Is(*goal, true)).collect();
        let refuted = |taken: &[usize]| {
            let mut all = wants.clone();
            all.extend(taken.iter().map(|at| Goal::NotAll(self.taken[*at].goals.clone())));
            together(self.pool(), &all).is_impossible()
        };
        // What no event satisfies is said of the condition itself.
        if !refuted(&candidates) || refuted(&[]) {
            return;
        }
        let mut needed = match candidates.iter().copied().find(|at| refuted(&[*at])) {
            Some(alone) => vec![alone],
            None => candidates,
        };
        // Whoever can be left out is.
        let mut index = 0;
        while index < needed.len() && needed.len() > 1 {
            let mut fewer = needed.clone();
            fewer.remove(index);
            if refuted(&fewer) {
                needed = fewer;
            } else {
                index += 1;
            }
        }
        needed.sort_unstable();
        let rules = needed.iter().map(|at| self.taken[*at].rule).collect();
        let dropped = needed.iter().all(|at| self.taken[*at].dropped);
        self.found.push((id, By { rules, dropped }));
    }

    /// What is known of fields that a rule writes is void.
    fn written(&mut self, rule: &Rule) {
        let writes = effects::writes(&rule.body);
        if writes.everything {
            self.taken.iter_mut().for_each(|taken| taken.valid &= taken.goals.is_empty());
        }
        for node in writes.nodes {
            for touched in effects::touched(&self.checker.build.layout, node) {
                for at in self.readers.remove(&touched).into_iter().flatten() {
                    self.taken[at].valid = false;
                    debug_assert!(self.taken[at].reads.contains(&touched), "readers are indexed");
                }
            }
        }
    }
}
