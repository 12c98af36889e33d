//! E304 and W304: whether every event has somewhere to go.

use super::{
    domain::Values,
    effects,
    reason::{Answer, Facts, Goal, is_steady, together},
};
use crate::{
    check::Checker,
    column::{NodeId, Severity},
    diagnostic::{Code, Diagnostic},
    plan::{ExprId, Op, Rule, RuleId, Step, Stmt},
    program::Mode,
    span::Span,
    syntax::ast::Item,
    types::Type,
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
        let Step::Group { name, first: true, rules, when, .. } = step else { continue };
        let direct = rules.iter().any(|id| {
            let body = &checker.build.rules[id.0 as usize].body;
            body.iter().any(|stmt| matches!(stmt, Stmt::Route(_)))
        });
        if !direct {
            continue;
        }
        let mut example = None;
        let open: Vec<String> = (0..checker.world.sources.len())
            .filter(|source| match leak(checker, rules, *when, *source) {
                Leak::None => false,
                Leak::Some(text) => {
                    example = example.take().or(text);
                    true
                }
            })
            .map(|source| checker.world.sources[source].name.to_string())
            .collect();
        let Some(last) = rules.last() else { continue };
        if !open.is_empty() {
            let at = checker.group_span(place).unwrap_or(checker.build.rules[last.0 as usize].span);
            found.push((at, name.clone(), open, example));
        }
    }
    for (at, name, open, example) in found {
        let message = format!("the group `{name}` routes, but an event may pass all of its rules");
        let mut diagnostic = Diagnostic::new(Code::E304, at, message)
            .note(format!("nothing takes every event of {}", open.join(", ")));
        if let Some(example) = example {
            diagnostic = diagnostic.note(example);
        }
        checker.report(diagnostic.advise("end it with a rule that has no `when`"));
    }
}

/// Whether an event may pass all rules of a `first` group, and what it may look like.
enum Leak {
    None,
    Some(Option<String>),
}

/// Looks for an event of a source that no rule of a `first` group takes. No rule writes before another is asked.
fn leak(checker: &Checker<'_>, rules: &[RuleId], group: Option<ExprId>, source: usize) -> Leak {
    let mut goals: Vec<Goal> = group.into_iter().map(|when| Goal::Is(when, true)).collect();
    for rule in rules.iter().map(|id| &checker.build.rules[id.0 as usize]) {
        if !sees(rule, source) || !effects::acts(rule) {
            continue;
        }
        let Some(when) = rule.when else { return Leak::None };
        goals.push(Goal::NotAll(vec![when]));
    }
    leaking(checker, &goals)
}

fn leaking(checker: &Checker<'_>, goals: &[Goal]) -> Leak {
    match together(&checker.build.pool, goals) {
        Answer::Impossible => Leak::None,
        Answer::Unknown => Leak::Some(None),
        Answer::Possible(facts) => Leak::Some(example(checker, &facts)),
    }
}

/// An event as facts describe it, in a few words.
fn example(checker: &Checker<'_>, facts: &Facts) -> Option<String> {
    const PARTS_MAX: usize = 3;
    if !facts.is_exact() {
        return None;
    }
    let pool = &checker.build.pool;
    let mut parts: Vec<String> = Vec::new();
    for (id, domain) in facts.known() {
        let Op::Field(node) = pool.op(pool.below_narrow(id)) else { return None };
        let path = checker.build.layout.display(*node);
        let part = match &domain.values {
            _ if domain.may_be_absent() => format!("`{path}` is absent"),
            Values::Ranges(ranges) => match (&pool.get(id).ty.base, ranges.sample()) {
                (Type::Severity, Some(n)) => {
                    format!("`{path}` is {}", Severity(u8::try_from(n).ok()?).name())
                }
                (Type::Int | Type::Float | Type::Number, Some(n)) => format!("`{path}` is {n}"),
                _ => return None,
            },
            Values::Bools(yes, _) => format!("`{path}` is {yes}"),
            Values::Texts(texts) => match texts
                .only
                .as_ref()
                .and_then(|only| only.iter().find(|text| !texts.never.contains(*text)))
            {
                Some(text) => format!("`{path}` is {text:?}"),
                None => format!("`{path}` is any other text"),
            },
            Values::Some(_) => format!("`{path}` is present"),
        };
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    (!parts.is_empty() && parts.len() <= PARTS_MAX)
        .then(|| format!("for example one in which {}", parts.join(" and ")))
}

/// Whether the entry orders nothing and declares no world: then it is a part of some other program.
pub(super) fn is_part(checker: &Checker<'_>) -> bool {
    checker.loaded.units.first().is_none_or(|unit| {
        !unit.ast.items.iter().any(|item| {
            matches!(
                item,
                Item::Include(_) | Item::Source(_) | Item::Sink(_) | Item::DefaultRoute(_)
            )
        })
    })
}

fn sees(rule: &Rule, source: usize) -> bool {
    rule.on.is_empty() || rule.on.contains(&source)
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
    let part = is_part(checker);
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
    // Conditions over what nobody writes mean the same wherever they stand, so they may cover everything together.
    let mut parts: Vec<Goal> = Vec::new();
    let mut take = |rule: &Rule, group: Option<ExprId>| {
        if !sees(rule, source) || !effects::acts(rule) || !sure(&rule.body) {
            return false;
        }
        let conditions: Vec<ExprId> = group.into_iter().chain(rule.when).collect();
        if conditions.iter().all(|id| is_lasting(checker, *id)) && parts.len() < PARTS_MAX {
            parts.push(Goal::NotAll(conditions.clone()));
        }
        conditions.is_empty()
    };
    let found = checker.build.steps.iter().any(|step| match step {
        Step::Rule(id) => take(rule(id), None),
        Step::Group { first: false, rules, when, .. } => {
            rules.iter().any(|id| take(rule(id), *when))
        }
        Step::Group { first: true, rules, when, .. } => {
            // Whoever only looks on takes nothing from the others; whoever acts on a share takes that.
            let mut takers =
                rules.iter().map(rule).filter(|rule| sees(rule, source) && !rule.shadow);
            when.is_none()
                && matches!(leak(checker, rules, None, source), Leak::None)
                && takers.all(|rule| sure(&rule.body))
        }
        Step::Window(_) => false,
    });
    found || matches!(leaking(checker, &parts), Leak::None)
}

/// How many conditions are tried together.
const PARTS_MAX: usize = 100;

/// Whether nothing that a condition reads is ever written.
fn is_lasting(checker: &Checker<'_>, id: ExprId) -> bool {
    let layout = &checker.build.layout;
    let written = |read: &NodeId| {
        effects::touched(layout, *read).iter().any(|node| checker.written.contains(node))
    };
    is_steady(&checker.build.pool, id) && !checker.build.pool.reads(id).iter().any(written)
}

/// Whether every event that comes into a block is routed or dropped in it.
fn sure(body: &[Stmt]) -> bool {
    let (leaks, done) = effects::ends(body, &|stmt| matches!(stmt, Stmt::Route(_)));
    done && !leaks
}
