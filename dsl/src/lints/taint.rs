//! E501 and W502: sensitive values on their way to sinks that do not accept them.
//!
//! A value made of a sensitive one is sensitive too. What takes it away: `del`, and functions that hash, mask or redact. What is
//! asked of a value (a condition, the key of a lookup) is not the value.

mod flow;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use self::flow::{CLEAN, Leak, Origin};
use crate::{
    check::{Checker, dotted},
    diagnostic::{Code, Diagnostic},
    functions::Family,
    plan::{Op, SinkId, Stmt},
    span::Span,
    syntax::ast::{self, ClauseKind, Item, StmtKind, TypeKind},
};

/// Where each rule's routes stand, by the rule's name.
type Places = BTreeMap<(u32, u32), BTreeMap<String, Span>>;

/// Reports sensitive values that reach sinks which do not accept them.
pub(super) fn report(checker: &mut Checker<'_>) {
    let mut found: BTreeMap<(u32, u32, usize), (Diagnostic, BTreeSet<String>)> = BTreeMap::new();
    let places = route_places(checker);
    for (index, source) in checker.world.sources.iter().enumerate() {
        for leak in flow::leaks(checker, &places, index, &source.shape) {
            let key = (leak.at.file.0, leak.at.start, leak.sink);
            let (_, paths) =
                found.entry(key).or_insert_with(|| (said(checker, &leak), BTreeSet::new()));
            if !leak.argument {
                paths.insert(dotted(&leak.path));
            }
        }
    }
    for (mut diagnostic, mut paths) in found.into_values() {
        paths.retain(|path| !diagnostic.message.contains(&format!("`{path}`")));
        if !paths.is_empty() {
            let all: Vec<String> = paths.iter().map(|path| format!("`{path}`")).collect();
            diagnostic = diagnostic.note(format!("so does {}", all.join(", ")));
        }
        checker.report(diagnostic);
    }
    late_redaction(checker, &places);
}

fn said(checker: &Checker<'_>, leak: &Leak) -> Diagnostic {
    let sink = &checker.world.sinks[leak.sink];
    let (path, origin) = (dotted(&leak.path), leak.origin.drawn());
    let message = if leak.argument {
        format!(
            "what is set here comes from `{origin}`, which is sensitive, and `{}` does not accept that",
            sink.name
        )
    } else {
        format!("`{path}` is sensitive and reaches `{}`, which does not accept that", sink.name)
    };
    let mut diagnostic = Diagnostic::new(Code::E501, leak.at, message);
    if let Some(at) = declared(checker, &leak.origin) {
        diagnostic = diagnostic.related(at, "declared sensitive here");
    }
    if !leak.origin.is(&leak.path) && !leak.argument {
        diagnostic = diagnostic.note(format!("its value comes from `{origin}`"));
    }
    let advice = if leak.argument {
        "mask the value (`redact`, `ip_mask`, a hash), or mark the sink `@accepts_sensitive`"
            .to_owned()
    } else {
        format!(
            "remove it before (`del {path}`), mask it (`redact`, `ip_mask`, a hash), or mark the sink `@accepts_sensitive`"
        )
    };
    diagnostic.related(sink.span, "without `@accepts_sensitive`").advise(advice)
}

/// Where a field of that name is declared sensitive.
fn declared(checker: &Checker<'_>, origin: &Origin) -> Option<Span> {
    let name = origin.path.last()?;
    let mut open: Vec<&ast::Type> = Vec::new();
    for item in checker.loaded.units.iter().flat_map(|unit| &unit.ast.items) {
        match item {
            Item::Type(it) => open.push(&it.ty),
            Item::Source(it) => open.extend(&it.ty),
            Item::Lookup(it) => open.push(&it.result),
            _ => {}
        }
    }
    while let Some(ty) = open.pop() {
        match &ty.kind {
            TypeKind::Record(record) => {
                for field in &record.fields {
                    if field.sensitive && *field.name.name == **name {
                        return Some(field.span);
                    }
                    open.push(&field.ty);
                }
            }
            TypeKind::List(of) | TypeKind::Map(of) => open.push(of),
            TypeKind::Named(_) | TypeKind::Table(_) => {}
        }
    }
    None
}

/// The routes of each rule in the order of the text, by the rule's name: the plan does not keep their places.
fn route_places(checker: &Checker<'_>) -> Places {
    let mut places: Places = BTreeMap::new();
    for item in checker.loaded.units.iter().flat_map(|unit| &unit.ast.items) {
        for rule in crate::syntax::walk::rules(item) {
            let at = (rule.name.span.file.0, rule.name.span.start);
            let routes = places.entry(at).or_default();
            crate::syntax::walk::stmts(&rule.body, &mut |stmt| {
                if let StmtKind::Route(targets) = &stmt.kind {
                    for target in targets {
                        routes.entry(target.sink.name.name.clone()).or_insert(target.span);
                    }
                }
            });
        }
        if let Item::Window(it) | Item::Alert(it) = item {
            let routes = places.entry((it.name.span.file.0, it.name.span.start)).or_default();
            for clause in &it.clauses {
                if let ClauseKind::Route(targets) = &clause.kind {
                    for target in targets {
                        routes.entry(target.sink.name.name.clone()).or_insert(target.span);
                    }
                }
            }
        }
        if let Item::DefaultRoute(it) = item {
            for target in &it.targets {
                places
                    .entry((u32::MAX, 0))
                    .or_default()
                    .insert(target.sink.name.name.clone(), target.span);
            }
        }
    }
    places
}

/// W502: a pinned rule takes something away after an earlier one has sent it.
fn late_redaction(checker: &mut Checker<'_>, places: &Places) {
    let mut sent: Option<(Span, Arc<str>)> = None;
    let mut found = Vec::new();
    for rule in &checker.build.rules {
        let pinned = rule.attributes.iter().any(|(name, _)| &**name == "pin");
        if pinned
            && redacts(checker, &rule.body)
            && let Some((at, sink)) = &sent
        {
            found.push(
                Diagnostic::new(
                    Code::W502,
                    rule.span,
                    format!("`{}` comes after a route", rule.name),
                )
                .label("pinned, and takes something away")
                .related(*at, format!("`{sink}` gets the event as it is here"))
                .advise("move the rule before it, or mark the sink `@accepts_sensitive`"),
            );
        }
        if sent.is_none()
            && let Some(routes) = places.get(&(rule.span.file.0, rule.span.start))
        {
            sent = sent_in(&rule.body).into_iter().find_map(|id| {
                let sink = &checker.world.sinks[id.0 as usize];
                let at = routes.get(&*sink.name)?;
                (!sink.accepts_sensitive).then(|| (*at, sink.name.clone()))
            });
        }
    }
    for diagnostic in found {
        checker.report(diagnostic);
    }
}

/// Sinks that a block sends to, but for the copies of what could not be read: the `else` of a `let`.
fn sent_in(body: &[Stmt]) -> Vec<SinkId> {
    let mut found = Vec::new();
    for stmt in body {
        match stmt {
            Stmt::Route(targets) => found.extend(targets.iter().map(|target| target.sink)),
            Stmt::Let { .. } | Stmt::Assign { .. } => {}
            _ => stmt.blocks().into_iter().for_each(|block| found.extend(sent_in(block))),
        }
    }
    found
}

/// Whether a block removes fields, or writes them redacted.
fn redacts(checker: &Checker<'_>, body: &[Stmt]) -> bool {
    body.iter().any(|stmt| match stmt {
        Stmt::Del(_) | Stmt::Keep(_) => true,
        Stmt::Assign { value, .. } => match checker.build.pool.op(*value) {
            Op::Call { function, .. } => {
                matches!(function.family, Family::Privacy) || CLEAN[..5].contains(&function.name)
            }
            _ => false,
        },
        _ => stmt.blocks().into_iter().any(|block| redacts(checker, block)),
    })
}
