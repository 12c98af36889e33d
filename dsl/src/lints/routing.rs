//! E304 and W304: whether every event has somewhere to go.

use std::collections::BTreeSet;

use crate::{
    check::Checker,
    diagnostic::{Code, Diagnostic},
    plan::{Op, Rule, RuleId, Step, Stmt},
    program::Mode,
    span::Span,
    syntax::ast::Item,
};

/// Reports routing groups without a last resort, and a program through which an event may fall.
pub(super) fn report(checker: &mut Checker<'_>, mode: Mode) {
    if checker.world.sources.is_empty() || checker.build.rules.is_empty() {
        return;
    }
    // A statement that could not be read may have been the route.
    if checker.has_unread() {
        return;
    }
    groups(checker);
    if checker.build.default_route.is_empty() && !has_default(checker) {
        whole(checker, mode);
    }
}

/// A default route whose sinks are wrong was meant, and its mistakes were reported.
fn has_default(checker: &Checker<'_>) -> bool {
    let units = checker.loaded.units.iter();
    units.flat_map(|unit| &unit.ast.items).any(|item| matches!(item, Item::DefaultRoute(_)))
}

fn groups(checker: &mut Checker<'_>) {
    let mut found = Vec::new();
    for (place, step) in checker.build.steps.iter().enumerate() {
        let Step::Group { name, first: true, rules, .. } = step else { continue };
        let direct = rules.iter().any(|id| {
            let body = &checker.build.rules[id.0 as usize].body;
            body.iter().any(|stmt| matches!(stmt, Stmt::Route(_)))
        });
        if !direct {
            continue;
        }
        let open: Vec<String> = (0..checker.world.sources.len())
            .filter(|source| !exhaustive(checker, rules, *source))
            .map(|source| checker.world.sources[source].name.to_string())
            .collect();
        let Some(last) = rules.last() else { continue };
        if !open.is_empty() {
            let at = checker.group_span(place).unwrap_or(checker.build.rules[last.0 as usize].span);
            found.push((at, name.clone(), open));
        }
    }
    for (at, name, open) in found {
        let message = format!("the group `{name}` routes, but an event may pass all of its rules");
        checker.report(
            Diagnostic::new(Code::E304, at, message)
                .note(format!("nothing takes every event of {}", open.join(", ")))
                .advise("end it with a rule that has no `when`"),
        );
    }
}

/// Whether some rule of a `first` group takes each event of a source. No rule writes before another is asked.
fn exhaustive(checker: &Checker<'_>, rules: &[RuleId], source: usize) -> bool {
    let mut conditions = BTreeSet::new();
    for rule in rules.iter().map(|id| &checker.build.rules[id.0 as usize]) {
        if !sees(rule, source) {
            continue;
        }
        let Some(when) = rule.when else { return true };
        let opposite = match checker.build.pool.op(when) {
            Op::Not(inner) => conditions.contains(inner),
            _ => conditions.iter().any(
                |known| matches!(checker.build.pool.op(*known), Op::Not(inner) if *inner == when),
            ),
        };
        if opposite {
            return true;
        }
        conditions.insert(when);
    }
    false
}

fn sees(rule: &Rule, source: usize) -> bool {
    // Whoever only looks on, or acts on a share, is certain of no event.
    let acts = !rule.shadow && rule.canary.is_none();
    acts && (rule.on.is_empty() || rule.on.contains(&source))
}

fn whole(checker: &mut Checker<'_>, mode: Mode) {
    let open: Vec<String> = (0..checker.world.sources.len())
        .filter(|source| !certain(checker, *source))
        .map(|source| checker.world.sources[source].name.to_string())
        .collect();
    let Some(unit) = checker.loaded.units.first() else { return };
    if open.is_empty() {
        return;
    }
    // A file that orders nothing and declares no world is a part of some other program.
    let part = !unit.ast.items.iter().any(|item| {
        matches!(item, Item::Include(_) | Item::Source(_) | Item::Sink(_) | Item::DefaultRoute(_))
    });
    let at = unit.ast.items.iter().find_map(|item| match item {
        Item::Rule(it) => Some(it.name.span),
        Item::Group(it) => Some(it.name.span),
        Item::Include(it) => Some(it.span),
        _ => None,
    });
    let at = at.unwrap_or_else(|| Span::new(unit.ast.id, 0, 0));
    let sources = format!("events of {} are not certain to be routed or dropped", open.join(", "));
    let diagnostic = if part && mode == Mode::Test {
        Diagnostic::new(Code::W304, at, "an event may leave this file without a route")
            .note(sources)
            .note("standing alone, it drops such an event with the reason `unrouted`")
    } else {
        let sink = checker.world.sinks.first().map_or("…", |sink| &*sink.name);
        Diagnostic::new(Code::E304, at, "an event may leave the program without a route")
            .note(sources)
            .advise(format!("say where the rest goes: `default route to {sink}`"))
    };
    checker.report(diagnostic);
}

/// Whether every event of a source is routed or dropped.
fn certain(checker: &Checker<'_>, source: usize) -> bool {
    let rule = |id: &RuleId| &checker.build.rules[id.0 as usize];
    checker.build.steps.iter().any(|step| match step {
        Step::Rule(id) => takes_all(rule(id), source),
        Step::Group { when: Some(_), .. } | Step::Window(_) => false,
        Step::Group { first: false, rules, .. } => {
            rules.iter().any(|id| takes_all(rule(id), source))
        }
        Step::Group { first: true, rules, .. } => {
            let mut seen = rules.iter().map(rule).filter(|rule| sees(rule, source));
            exhaustive(checker, rules, source) && seen.all(|rule| sure(&rule.body))
        }
    })
}

fn takes_all(rule: &Rule, source: usize) -> bool {
    sees(rule, source) && rule.when.is_none() && sure(&rule.body)
}

/// Whether every event that comes into a block is routed or dropped in it.
fn sure(body: &[Stmt]) -> bool {
    let (leaks, done) = walk(body);
    done && !leaks
}

/// Whether an event may leave a block early without a fate, and whether every one that comes to its end has one.
fn walk(body: &[Stmt]) -> (bool, bool) {
    let mut leaks = false;
    for stmt in body {
        match stmt {
            Stmt::Route(_) | Stmt::Drop { .. } => return (leaks, true),
            Stmt::Return => return (true, true),
            Stmt::If { then, otherwise, .. } => {
                let (then_leaks, then_done) = walk(then);
                let (else_leaks, else_done) = walk(otherwise);
                leaks |= then_leaks | else_leaks;
                if then_done && else_done {
                    return (leaks, true);
                }
            }
            Stmt::Let { otherwise: Some(block), .. } => {
                let (block_leaks, block_done) = walk(block);
                leaks |= block_leaks || !block_done;
            }
            Stmt::Assign { otherwise: Some(block), .. }
            | Stmt::Sample { otherwise: Some(block), .. }
            | Stmt::Limit { otherwise: Some(block), .. }
            | Stmt::Dedup { otherwise: Some(block), .. } => leaks |= walk(block).0,
            Stmt::Let { otherwise: None, .. }
            | Stmt::Assign { otherwise: None, .. }
            | Stmt::Sample { otherwise: None, .. }
            | Stmt::Limit { otherwise: None, .. }
            | Stmt::Dedup { otherwise: None, .. }
            | Stmt::Emit { .. }
            | Stmt::Count { .. }
            | Stmt::Del(_)
            | Stmt::Keep(_)
            | Stmt::Rename { .. }
            | Stmt::Tag { .. } => {}
        }
    }
    (leaks, false)
}
