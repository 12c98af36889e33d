//! A plan as text: what runs in which order, what it reads and writes, and what earlier rules change under it.

mod show;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use crate::{
    check::duration_text,
    column::NodeId,
    plan::{ExprId, Op, Plan, Rule, RuleId, Step, Stmt, StoreKind, Target, WindowId},
};

/// Describes a plan, or only the rules of that name or label.
pub fn explain(plan: &Plan, only: Option<&str>) -> String {
    let mut out = String::new();
    let explainer = Explainer::new(plan);
    for step in &plan.steps {
        match step {
            Step::Rule(id) => explainer.rule(&mut out, *id, only, ""),
            Step::Group { name, first, when, rules, .. } => {
                let wanted = rules.iter().any(|id| is_wanted(plan.rule(*id), only));
                if !wanted {
                    continue;
                }
                let mode = if *first { "the first rule that takes an event" } else { "every rule" };
                line(&mut out, "", &format!("group {name}: {mode}"));
                if let Some(when) = when {
                    explainer.condition(&mut out, *when, rules.first().copied(), "  ");
                }
                for id in rules {
                    explainer.rule(&mut out, *id, only, "  ");
                }
            }
            Step::Window(id) => explainer.window(&mut out, *id, only),
        }
    }
    if only.is_none() && !plan.default_route.is_empty() {
        line(&mut out, "", &format!("default route to {}", explainer.targets(&plan.default_route)));
    }
    out
}

fn is_wanted(rule: &Rule, only: Option<&str>) -> bool {
    only.is_none_or(|name| {
        *rule.name == *name || *rule.label == *name || rule.label.ends_with(&format!("/{name}"))
    })
}

fn line(out: &mut String, indent: &str, text: &str) {
    let _infallible = writeln!(out, "{indent}{text}");
}

struct Explainer<'p> {
    plan: &'p Plan,
    /// How many rules ask for each condition.
    shared: BTreeMap<ExprId, usize>,
    /// Paths that rules before each rule write.
    written_before: Vec<BTreeSet<NodeId>>,
}

impl<'p> Explainer<'p> {
    fn new(plan: &'p Plan) -> Self {
        let mut shared = BTreeMap::new();
        let mut written_before = vec![BTreeSet::new(); plan.rules.len()];
        let mut written = BTreeSet::new();
        let order = plan.steps.iter().flat_map(|step| match step {
            Step::Rule(id) => std::slice::from_ref(id),
            Step::Group { rules, .. } => rules.as_slice(),
            Step::Window(_) => &[],
        });
        for id in order {
            let rule = plan.rule(*id);
            written_before[id.0 as usize].clone_from(&written);
            let atoms: BTreeSet<_> =
                rule.when.iter().flat_map(|when| conjuncts(plan, *when)).collect();
            for atom in atoms {
                *shared.entry(atom).or_insert(0) += 1;
            }
            writes(&rule.body, &mut written);
        }
        Self { plan, shared, written_before }
    }

    fn rule(&self, out: &mut String, id: RuleId, only: Option<&str>, indent: &str) {
        let rule = self.plan.rule(id);
        if !is_wanted(rule, only) {
            return;
        }
        let on = if rule.on.is_empty() {
            "every source".to_owned()
        } else {
            let names: Vec<_> = rule.on.iter().map(|on| &*self.plan.sources[*on].name).collect();
            names.join(", ")
        };
        line(out, indent, &format!("rule {} on {on}", rule.label));
        let indent = &format!("{indent}  ");
        for (name, text) in &rule.attributes {
            let text = if text.is_empty() { String::new() } else { format!(" {text}") };
            line(out, indent, &format!("@{name}{text}"));
        }
        if let Some(when) = rule.when {
            self.condition(out, when, Some(id), indent);
        }
        let mut reads = BTreeSet::new();
        rule.when.iter().for_each(|when| self.paths(*when, &mut reads));
        self.reads(&rule.body, &mut reads);
        self.list(out, indent, "reads", &reads);
        let mut written = BTreeSet::new();
        writes(&rule.body, &mut written);
        self.list(out, indent, "writes", &written);
        for text in self.fates(&rule.body, false) {
            line(out, indent, &text);
        }
    }

    fn list(&self, out: &mut String, indent: &str, what: &str, nodes: &BTreeSet<NodeId>) {
        if nodes.is_empty() {
            return;
        }
        let paths: Vec<_> = nodes.iter().map(|node| self.plan.layout.display(*node)).collect();
        line(out, indent, &format!("{what} {}", paths.join(", ")));
    }

    /// A condition, conjunct by conjunct: which are shared, and which wait for what earlier rules write.
    fn condition(&self, out: &mut String, when: ExprId, rule: Option<RuleId>, indent: &str) {
        for atom in conjuncts(self.plan, when) {
            let mut notes = Vec::new();
            if let Some(times @ 2..) = self.shared.get(&atom) {
                notes.push(format!("shared by {times} rules"));
            }
            if let Some(rule) = rule {
                let before = &self.written_before[rule.0 as usize];
                let mut reads = BTreeSet::new();
                self.paths(atom, &mut reads);
                let waits: Vec<_> = reads
                    .iter()
                    .filter(|read| {
                        before.iter().any(|written| related(self.plan, **read, *written))
                    })
                    .map(|node| self.plan.layout.display(*node))
                    .collect();
                if !waits.is_empty() {
                    notes.push(format!("an earlier rule may write {}", waits.join(", ")));
                }
            }
            let notes =
                if notes.is_empty() { String::new() } else { format!("  ({})", notes.join("; ")) };
            line(out, indent, &format!("when {}{notes}", show::expr(self.plan, atom)));
        }
    }

    fn paths(&self, id: ExprId, out: &mut BTreeSet<NodeId>) {
        let mut seen = BTreeSet::new();
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            let op = &self.plan.expr(id).op;
            if let Op::Field(node) = op {
                out.insert(*node);
            }
            open.extend(op.operands());
        }
    }

    fn reads(&self, body: &[Stmt], out: &mut BTreeSet<NodeId>) {
        for stmt in body {
            match stmt {
                Stmt::Assign { value, otherwise, .. } => {
                    self.paths(*value, out);
                    self.reads(otherwise.as_deref().unwrap_or_default(), out);
                }
                Stmt::Let { bindings, otherwise, .. } => {
                    for (_, value) in bindings {
                        self.paths(*value, out);
                    }
                    self.reads(otherwise.as_deref().unwrap_or_default(), out);
                }
                Stmt::If { condition, then, otherwise, .. } => {
                    self.paths(*condition, out);
                    self.reads(then, out);
                    self.reads(otherwise, out);
                }
                Stmt::Sample { by, otherwise, .. } => {
                    for key in by {
                        self.paths(*key, out);
                    }
                    self.reads(otherwise.as_deref().unwrap_or_default(), out);
                }
                Stmt::Route(targets) => {
                    let args = targets.iter().flat_map(|target| &target.args);
                    args.for_each(|(_, value)| self.paths(*value, out));
                }
                Stmt::Rename { from, .. } => {
                    out.insert(*from);
                }
                Stmt::Limit { by, otherwise, .. } | Stmt::Dedup { by, otherwise, .. } => {
                    for key in by {
                        self.paths(*key, out);
                    }
                    self.reads(otherwise.as_deref().unwrap_or_default(), out);
                }
                Stmt::Emit { list, .. } => self.paths(*list, out),
                Stmt::Count { by, value, .. } => {
                    by.iter().chain(value).for_each(|read| self.paths(*read, out));
                }
                Stmt::Del(_)
                | Stmt::Keep(_)
                | Stmt::Tag { .. }
                | Stmt::Return
                | Stmt::Drop { .. } => {}
            }
        }
    }

    /// What becomes of events in a block.
    fn fates(&self, body: &[Stmt], perhaps: bool) -> Vec<String> {
        let mut out = Vec::new();
        let some = if perhaps { " (some events)" } else { "" };
        for stmt in body {
            match stmt {
                Stmt::Route(targets) => {
                    out.push(format!("routes to {}{some}", self.targets(targets)));
                }
                Stmt::Drop { reason } => out.push(format!("drops as {reason:?}{some}")),
                Stmt::Sample { ratio, otherwise, .. } => {
                    out.push(format!("keeps {} of {}{some}", ratio.n, ratio.of));
                    out.extend(self.fates(otherwise.as_deref().unwrap_or_default(), true));
                }
                Stmt::Limit { store, otherwise, .. } => {
                    if let StoreKind::Limit(limit) = &self.plan.stores[store.0 as usize].kind {
                        out.push(format!(
                            "lets {} in {} pass, {} at once{some}",
                            limit.count,
                            duration_text(limit.per),
                            limit.burst
                        ));
                    }
                    out.extend(self.fates(otherwise.as_deref().unwrap_or_default(), true));
                }
                Stmt::Dedup { store, otherwise, .. } => {
                    if let StoreKind::Dedup { within } = &self.plan.stores[store.0 as usize].kind {
                        let within = duration_text(*within);
                        out.push(format!("lets one of equal events pass in {within}{some}"));
                    }
                    out.extend(self.fates(otherwise.as_deref().unwrap_or_default(), true));
                }
                Stmt::Emit { list, .. } => {
                    let list = show::expr(self.plan, *list);
                    out.push(format!("makes an event of each of {list}{some}"));
                }
                Stmt::Count { metric, .. } => {
                    let name = &self.plan.metrics[metric.0 as usize].name;
                    out.push(format!("counts {name}{some}"));
                }
                Stmt::If { then, otherwise, .. } => {
                    out.extend(self.fates(then, true));
                    out.extend(self.fates(otherwise, true));
                }
                Stmt::Let { otherwise, .. } | Stmt::Assign { otherwise, .. } => {
                    out.extend(self.fates(otherwise.as_deref().unwrap_or_default(), true));
                }
                Stmt::Del(_)
                | Stmt::Keep(_)
                | Stmt::Rename { .. }
                | Stmt::Tag { .. }
                | Stmt::Return => {}
            }
        }
        out
    }

    fn window(&self, out: &mut String, id: WindowId, only: Option<&str>) {
        let window = &self.plan.windows[id.0 as usize];
        if only.is_some_and(|name| *window.name != *name && *window.label != *name) {
            return;
        }
        let word = if window.alert.is_some() { "alert" } else { "window" };
        line(out, "", &format!("{word} {}", window.label));
        if let StoreKind::Window(spans, _) = &self.plan.stores[window.store.0 as usize].kind {
            let [over, every, late] = [spans.over, spans.every, spans.late].map(duration_text);
            line(
                out,
                "  ",
                &format!("over {over}, ends every {every}, waits {late} for late events"),
            );
        }
        if let Some(when) = window.when {
            line(out, "  ", &format!("when {}", show::expr(self.plan, when)));
        }
        let keys: Vec<_> = window.by.iter().map(|(_, key)| show::expr(self.plan, *key)).collect();
        if !keys.is_empty() {
            line(out, "  ", &format!("by {}", keys.join(", ")));
        }
        let lets: Vec<_> = window.lets.iter().map(|it| &*it.name).collect();
        if !lets.is_empty() {
            line(out, "  ", &format!("computes {}", lets.join(", ")));
        }
        if !window.route.is_empty() {
            line(out, "  ", &format!("routes rows to {}", self.targets(&window.route)));
        }
    }

    fn targets(&self, targets: &[Target]) -> String {
        let one = |target: &Target| {
            let name = &self.plan.sinks[target.sink.0 as usize].name;
            if target.args.is_empty() {
                return name.to_string();
            }
            let args = target.args.iter();
            let args: Vec<_> = args
                .map(|(path, value)| {
                    format!("{}: {}", path.join("."), show::expr(self.plan, *value))
                })
                .collect();
            format!("{name}({})", args.join(", "))
        };
        targets.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}

/// Conditions that all must hold.
fn conjuncts(plan: &Plan, when: ExprId) -> Vec<ExprId> {
    match &plan.expr(when).op {
        Op::And(ids) => ids.clone(),
        _ => vec![when],
    }
}

/// Whether one path is the other or lies below it.
fn related(plan: &Plan, a: NodeId, b: NodeId) -> bool {
    let (a, b) = (plan.layout.path(a), plan.layout.path(b));
    a.starts_with(&b) || b.starts_with(&a)
}

/// Paths that a block writes.
fn writes(body: &[Stmt], out: &mut BTreeSet<NodeId>) {
    for stmt in body {
        match stmt {
            Stmt::Assign { target, otherwise, .. } => {
                out.insert(*target);
                writes(otherwise.as_deref().unwrap_or_default(), out);
            }
            Stmt::Del(sets) | Stmt::Keep(sets) => out.extend(sets.iter().map(|set| set.node)),
            Stmt::Rename { from, to, .. } => out.extend([*from, *to]),
            Stmt::Tag { tags, .. } => {
                out.insert(*tags);
            }
            Stmt::Let { otherwise, .. } => writes(otherwise.as_deref().unwrap_or_default(), out),
            Stmt::If { then, otherwise, .. } => {
                writes(then, out);
                writes(otherwise, out);
            }
            Stmt::Sample { otherwise, weight, .. } => {
                out.insert(*weight);
                writes(otherwise.as_deref().unwrap_or_default(), out);
            }
            Stmt::Limit { otherwise, .. } => {
                writes(otherwise.as_deref().unwrap_or_default(), out);
            }
            Stmt::Dedup { otherwise, count, .. } => {
                out.extend(otherwise.is_some().then_some(*count));
                writes(otherwise.as_deref().unwrap_or_default(), out);
            }
            Stmt::Emit { target, .. } => out.extend(*target),
            Stmt::Return | Stmt::Route(_) | Stmt::Drop { .. } | Stmt::Count { .. } => {}
        }
    }
}
