//! W314, W601, W602: what is well-formed, and still a mistake by the rules of the house.

use std::sync::Arc;

use crate::{
    check::{Checker, declares},
    diagnostic::{Code, Diagnostic},
    plan::SourceDecl,
    span::Span,
    syntax::{
        ast::{
            self, Arithmetic, Clause, ClauseKind, Expr, ExprKind, Item, MetaKind, On, PathRoot,
            SegKind, StmtKind, Window,
        },
        walk,
    },
};

/// Reports by declaration.
pub(super) fn report(checker: &mut Checker<'_>) {
    let mut found = Vec::new();
    for file in &checker.loaded.units {
        for item in &file.ast.items {
            for rule in walk::rules(item) {
                walk::stmts(&rule.body, &mut |stmt| match &stmt.kind {
                    StmtKind::Limit { by, max_keys: None, .. } => {
                        keys(by, "max_keys", &mut found);
                    }
                    StmtKind::Count { by, .. } => keys(by, "", &mut found),
                    _ => {}
                });
            }
            match item {
                Item::Window(it) => {
                    clauses(it, &mut found);
                }
                Item::Alert(it) => {
                    clauses(it, &mut found);
                    alert(it, &mut found);
                    labels(checker, it, &mut found);
                }
                _ => {}
            }
        }
    }
    for diagnostic in found {
        checker.report(diagnostic);
    }
}

/// W314: keys with a value of their own for nearly every event.
fn keys(by: &[Expr], bound: &str, found: &mut Vec<Diagnostic>) {
    for e in by {
        let Some((name, span)) = id_like(e) else { continue };
        let message = format!("`{name}` may have a value of its own for every event");
        let mut diagnostic =
            Diagnostic::new(Code::W314, span, message).label("each value takes memory of its own");
        diagnostic = if bound.is_empty() {
            diagnostic.advise("count by something with few values, and keep the id in the event")
        } else {
            diagnostic.suggest(
                "say how many are kept",
                vec![(by.last().map_or(span, |e| e.span).behind(), format!(" {bound} 10_000"))],
            )
        };
        found.push(diagnostic);
    }
}

/// A path that is an identity by its name.
fn id_like(e: &Expr) -> Option<(&str, Span)> {
    let ExprKind::Path(path) = &e.kind else { return None };
    let Some(SegKind::Field(name)) = path.segs.last().map(|seg| &seg.kind) else { return None };
    let lower = name.to_ascii_lowercase();
    let is_id = matches!(
        lower.as_str(),
        "id" | "uuid" | "guid" | "session" | "token" | "email" | "message" | "timestamp"
    ) || ["_id", "_uuid", "-id", "_token"].iter().any(|end| lower.ends_with(end))
        || (name.ends_with("Id") && name.len() > 2);
    // Ids of things that are few.
    let few = ["tenant", "service", "region", "cluster", "account", "project", "org"];
    (is_id && !few.iter().any(|word| lower.starts_with(word))).then_some((name.as_str(), path.span))
}

/// W314 for windows, W601 for their times.
fn clauses(it: &Window, found: &mut Vec<Diagnostic>) {
    for clause in &it.clauses {
        match &clause.kind {
            ClauseKind::By(by) => keys(by, "", found),
            ClauseKind::Over { length, late: Some(late), .. } if late.nanos > length.nanos => {
                found.push(
                    Diagnostic::new(
                        Code::W601,
                        late.span,
                        "late events are waited for longer than the window is",
                    )
                    .related(length.span, "the window")
                    .advise("make the window longer, or wait less"),
                );
            }
            _ => {}
        }
    }
}

/// W601: an alert whose times or condition do not fit together.
fn alert(it: &Window, found: &mut Vec<Diagnostic>) {
    let mut every = None;
    let mut grouped = None;
    for clause in &it.clauses {
        match &clause.kind {
            ClauseKind::Over { length, every: step, .. } => every = Some(step.unwrap_or(*length)),
            ClauseKind::By(by) => grouped = by.first().map(|e| e.span),
            _ => {}
        }
    }
    for clause in &it.clauses {
        let ClauseKind::Fire { condition, hold, .. } = &clause.kind else { continue };
        if let (Some(hold), Some(every)) = (hold, every)
            && hold.nanos < every.nanos
        {
            found.push(
                Diagnostic::new(Code::W601, hold.span, "this is shorter than the time between two looks")
                    .related(every.span, "looked at this often")
                    .advise("a condition that must hold for less than that fires at its first look: leave `for` out"),
            );
        }
        if let Some(by) = grouped
            && let Some(at) = silence(condition, &it.clauses)
        {
            found.push(
                Diagnostic::new(
                    Code::W601,
                    at,
                    "a group without events is not there to be looked at",
                )
                .related(by, "one group for each value that was seen")
                .advise(
                    "ask for silence without `by`, or watch each value with an alert of its own",
                ),
            );
        }
        if let Some(at) = bare_ratio(condition, &it.clauses) {
            found.push(
                Diagnostic::new(Code::W601, at, "a share of few events says little")
                    .label("one event out of one is 100 %")
                    .advise("ask for a volume too: `… and count() >= 100`"),
            );
        }
    }
}

/// The value of a `let` of an alert.
fn let_value<'c>(name: &Expr, clauses: &'c [Clause]) -> Option<&'c Expr> {
    let ExprKind::Name(name) = &name.kind else { return None };
    clauses.iter().find_map(|clause| match &clause.kind {
        ClauseKind::Let { name: bound, value } if Some(bound.name.as_str()) == name.bare() => {
            Some(value)
        }
        _ => None,
    })
}

fn is_count(e: &Expr, clauses: &[Clause]) -> bool {
    let e = let_value(e, clauses).unwrap_or(e);
    matches!(&e.kind, ExprKind::Call { function, .. } if matches!(function.bare(), Some("count" | "rate")))
}

fn is_ratio(e: &Expr, clauses: &[Clause]) -> bool {
    let e = let_value(e, clauses).unwrap_or(e);
    matches!(&e.kind, ExprKind::Arithmetic { op: Arithmetic::Div, left, right, .. }
        if is_count(left, clauses) && is_count(right, clauses))
}

/// `count() == 0`, `count() < 1`
fn silence(condition: &Expr, clauses: &[Clause]) -> Option<Span> {
    let mut at = None;
    walk::expr(condition, &mut |e| {
        if let ExprKind::Compare { op, negated: false, left, right, .. } = &e.kind
            && is_count(left, clauses)
            && matches!(
                (op, &right.kind),
                (ast::Comparison::Eq | ast::Comparison::Le, ExprKind::Int(0))
                    | (ast::Comparison::Lt, ExprKind::Int(1))
            )
        {
            at = Some(e.span);
        }
    });
    at
}

/// A share that is compared while nothing asks for a number of events.
fn bare_ratio(condition: &Expr, clauses: &[Clause]) -> Option<Span> {
    let (mut ratio, mut volume) = (None, false);
    walk::expr(condition, &mut |e| {
        if let ExprKind::Compare { left, .. } = &e.kind {
            if is_ratio(left, clauses) {
                ratio = Some(e.span);
            }
            volume |= is_count(left, clauses);
        }
    });
    ratio.filter(|_| !volume)
}

/// W602: what an alert is grouped by is unknown to one of its sources.
fn labels(checker: &Checker<'_>, it: &Window, found: &mut Vec<Diagnostic>) {
    let all: Vec<&SourceDecl> = match &it.on {
        Some(On::Source(name)) => checker
            .world
            .sources
            .iter()
            .filter(|source| Some(&*source.name) == name.bare())
            .collect(),
        Some(On::Any(_)) | None => checker.world.sources.iter().collect(),
    };
    for clause in &it.clauses {
        let (ClauseKind::By(values) | ClauseKind::Meta { kind: MetaKind::Labels, values }) =
            &clause.kind
        else {
            continue;
        };
        for value in values {
            let ExprKind::Path(path) = &value.kind else { continue };
            if !matches!(path.root, PathRoot::Event) {
                continue;
            }
            let keys: Vec<Arc<str>> = path
                .segs
                .iter()
                .filter_map(|seg| match &seg.kind {
                    SegKind::Field(key) => Some(key.as_str().into()),
                    SegKind::Index(_) | SegKind::Each => None,
                })
                .collect();
            let node = checker.build.layout.find(&keys);
            let written = node.is_some_and(|node| checker.written.contains(&node));
            let (with, without): (Vec<&SourceDecl>, Vec<&SourceDecl>) =
                all.iter().copied().partition(|source| declares(&source.shape, &keys));
            if written || with.is_empty() || without.is_empty() {
                continue;
            }
            let text = checker.loaded.sources.text(path.span);
            let mut diagnostic = Diagnostic::new(
                Code::W602,
                path.span,
                format!("not every source of this alert has `{text}`"),
            );
            for source in without {
                diagnostic = diagnostic.related(source.span, "has no such field");
            }
            found.push(
                diagnostic.advise(
                    "name the source with `on`, or give the field a value in a rule before",
                ),
            );
        }
    }
}
