//! W111 and W306: what is written for nothing, and what is read too early.

use std::collections::BTreeMap;

use super::{
    effects,
    samples::{Seen, keys_of},
};
use crate::{
    check::{Checker, declares},
    column::NodeId,
    diagnostic::{Code, Diagnostic},
    plan::{AssignOp, ExprId, Rule, RuleId, SiteId, Stmt},
    span::Span,
    syntax::walk,
};

/// So many writes wait to be read or written again. Who writes more in a line wrote them by machine, and each costs a look a statement.
const PENDING_MAX: usize = 64;

/// Reports writes that are overwritten before anything reads them.
pub(super) fn dead_writes(checker: &mut Checker<'_>) {
    let mut found = Vec::new();
    for rule in &checker.build.rules {
        Writes { checker }.block(&rule.body, &mut found);
    }
    for (first, second, what) in found {
        let sites = &checker.build.sites;
        let at = sites[first.0 as usize].span;
        let diagnostic = Diagnostic::new(Code::W111, at, "nothing reads this value before it goes")
            .related(second, what)
            .advise("leave the first one out");
        checker.report(diagnostic);
    }
}

struct Writes<'c, 'a> {
    checker: &'c Checker<'a>,
}

impl Writes<'_, '_> {
    /// Looks for writes in a straight line that nothing reads.
    fn block(&self, body: &[Stmt], found: &mut Vec<(SiteId, Span, &'static str)>) {
        let layout = &self.checker.build.layout;
        let pool = &self.checker.build.pool;
        let mut pending: Vec<(NodeId, SiteId)> = Vec::new();
        for stmt in body {
            if !pending.is_empty() {
                let reads = self.reads(stmt);
                match reads {
                    None => pending.clear(),
                    Some(reads) => pending.retain(|(node, _)| {
                        !reads.iter().any(|read| effects::overlap(layout, *read, *node))
                    }),
                }
            }
            for block in stmt.blocks() {
                self.block(block, found);
            }
            if let Stmt::Assign { target, op: AssignOp::Set, value, otherwise: None, site } = stmt {
                // An absent value writes nothing, and the old one stays.
                if !pool.get(*value).ty.optional {
                    let span = self.checker.build.sites[site.0 as usize].span;
                    let below = layout.subtree(*target);
                    pending.retain(|(node, first)| {
                        let gone = below.contains(node);
                        if gone {
                            found.push((*first, span, "written again here"));
                        }
                        !gone
                    });
                }
                if pending.len() == PENDING_MAX {
                    pending.remove(0);
                }
                pending.push((*target, *site));
                continue;
            }
            // What a statement changes in another way is left alone.
            let writes = effects::writes(std::slice::from_ref(stmt));
            if writes.everything {
                pending.clear();
            }
            pending.retain(|(node, _)| {
                !writes.nodes.iter().any(|write| effects::overlap(layout, *write, *node))
            });
        }
    }

    /// Paths that a statement reads, those of its blocks too; nothing where it may read everything.
    fn reads(&self, stmt: &Stmt) -> Option<Vec<NodeId>> {
        if matches!(stmt, Stmt::Route(_) | Stmt::Drop { .. } | Stmt::Return | Stmt::Keep(_)) {
            return None;
        }
        let mut reads = effects::own_reads(stmt);
        for id in stmt.expressions() {
            reads.extend(self.checker.build.pool.reads(id));
        }
        for block in stmt.blocks() {
            for stmt in block {
                reads.extend(self.reads(stmt)?);
            }
        }
        Some(reads)
    }
}

/// Reports fields that a rule reads although only a later one writes them.
pub(super) fn early_reads(checker: &mut Checker<'_>, seen: &Seen) {
    let layout = &checker.build.layout;
    // The first rule that writes each path.
    let mut writers: BTreeMap<NodeId, RuleId> = BTreeMap::new();
    for (index, rule) in checker.build.rules.iter().enumerate() {
        for node in effects::writes(&rule.body).nodes {
            writers.entry(node).or_insert(RuleId(index as u32));
        }
    }
    let places = rule_places(checker);
    let mut found = Vec::new();
    for (index, rule) in checker.build.rules.iter().enumerate() {
        let id = RuleId(index as u32);
        for (node, span) in reads_of(checker, rule) {
            if node == NodeId::ROOT || is_declared(checker, rule, node) || seen.has(layout, node) {
                continue;
            }
            let touched = effects::touched(layout, node);
            let Some(later) = touched.iter().filter_map(|node| writers.get(node)).min() else {
                continue;
            };
            if *later <= id {
                continue;
            }
            // A rule that makes something of what is there already shows that events bring it.
            let writer = &checker.build.rules[later.0 as usize];
            let brings = reads_of(checker, writer)
                .iter()
                .any(|(read, _)| effects::overlap(layout, *read, node));
            if brings {
                continue;
            }
            let within = places.get(&(rule.span.file.0, rule.span.start));
            let at = span
                .filter(|at| {
                    within.is_some_and(|place| {
                        place.file == at.file && place.start <= at.start && at.end <= place.end
                    })
                })
                .unwrap_or(rule.span);
            let write = write_place(checker, writer, &touched).unwrap_or(writer.span);
            let path = layout.display(node);
            let message = format!("`{path}` is read here, but only a later rule writes it");
            found.push(
                Diagnostic::new(Code::W306, at, message)
                    .label("absent unless events bring it")
                    .related(write, format!("written by `{}`", writer.name))
                    .advise(format!(
                        "move `{}` before `{}`, or declare the field",
                        writer.name, rule.name
                    )),
            );
            break;
        }
    }
    for diagnostic in found {
        checker.report(diagnostic);
    }
}

/// Where a rule writes one of these paths.
fn write_place(checker: &Checker<'_>, rule: &Rule, nodes: &[NodeId]) -> Option<Span> {
    let mut open: Vec<&[Stmt]> = vec![&rule.body];
    while let Some(body) = open.pop() {
        for stmt in body {
            open.extend(stmt.blocks());
            match stmt {
                Stmt::Assign { target: node, site, .. } | Stmt::Rename { to: node, site, .. }
                    if nodes.contains(node) =>
                {
                    return Some(checker.build.sites[site.0 as usize].span);
                }
                _ => {}
            }
        }
    }
    None
}

/// Where each rule stands, by the place of its name.
fn rule_places(checker: &Checker<'_>) -> BTreeMap<(u32, u32), Span> {
    let units = checker.loaded.units.iter();
    units
        .flat_map(|unit| &unit.ast.items)
        .flat_map(walk::rules)
        .map(|rule| ((rule.name.span.file.0, rule.name.span.start), rule.span))
        .collect()
}

/// Every path that a rule reads, and where its first reader stands.
fn reads_of(checker: &Checker<'_>, rule: &Rule) -> Vec<(NodeId, Option<Span>)> {
    let pool = &checker.build.pool;
    let mut ids: Vec<ExprId> = rule.when.into_iter().collect();
    let mut own = Vec::new();
    let mut open: Vec<&[Stmt]> = vec![&rule.body];
    while let Some(body) = open.pop() {
        for stmt in body {
            ids.extend(stmt.expressions());
            own.extend(effects::own_reads(stmt));
            open.extend(stmt.blocks());
        }
    }
    let mut found: BTreeMap<NodeId, Option<Span>> =
        own.into_iter().map(|node| (node, None)).collect();
    for id in ids {
        for (node, span) in pool.reads_at(id) {
            found.insert(node, Some(span));
        }
    }
    found.into_iter().collect()
}

/// Whether a source of the rule declares the path or something it belongs to.
fn is_declared(checker: &Checker<'_>, rule: &Rule, node: NodeId) -> bool {
    let keys = keys_of(&checker.build.layout, node);
    checker.world.sources.iter().enumerate().any(|(index, source)| {
        (rule.on.is_empty() || rule.on.contains(&index)) && declares(&source.shape, &keys)
    })
}
