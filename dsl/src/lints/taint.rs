//! E501 and W502: sensitive values on their way to sinks that do not accept them.
//!
//! A value made of a sensitive one is sensitive too. What takes it away: `del`, and functions that hash, mask or redact. What is
//! asked of a value (a condition, what a lookup answers) is not the value.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::effects;
use crate::{
    check::{Checker, dotted},
    column::NodeId,
    diagnostic::{Code, Diagnostic},
    functions::Family,
    plan::{
        AggregateKind, AssignOp, ExprId, LocalId, Op, PathSet, Rule, SinkId, SinkType, Step, Stmt,
        Target, Window,
    },
    span::Span,
    syntax::ast::{self, ClauseKind, Item, StmtKind, TypeKind},
    types::{Shape, Type},
};

/// Functions of other families whose result gives nothing away.
const CLEAN: &[&str] = &[
    "redact",
    "ip_mask",
    "pseudonymize",
    "fingerprint",
    "mask",
    "is_empty",
    "type_of",
    "len",
    "byte_len",
    "fault",
];

/// A sensitive path: its keys, and the field that made it so.
type Path = Vec<Arc<str>>;

/// What is sensitive at some place.
#[derive(Debug, Clone, Default, PartialEq)]
struct State {
    paths: BTreeMap<Path, Path>,
    locals: BTreeMap<LocalId, Path>,
}

impl State {
    fn join(&mut self, other: &Self) {
        for (path, origin) in &other.paths {
            self.paths.entry(path.clone()).or_insert_with(|| origin.clone());
        }
        for (local, origin) in &other.locals {
            self.locals.entry(*local).or_insert_with(|| origin.clone());
        }
    }

    /// The sensitive field that a path holds or belongs to.
    fn at(&self, keys: &[Arc<str>]) -> Option<&Path> {
        let touches = |path: &Path| path.starts_with(keys) || keys.starts_with(path);
        self.paths.iter().find(|(path, _)| touches(path)).map(|(_, origin)| origin)
    }

    fn clear(&mut self, keys: &[Arc<str>]) {
        self.paths.retain(|path, _| !path.starts_with(keys));
    }
}

/// Reports sensitive values that reach sinks which do not accept them.
pub(super) fn report(checker: &mut Checker<'_>) {
    let mut found: BTreeMap<(u32, u32, usize), (Diagnostic, BTreeSet<String>)> = BTreeMap::new();
    let places = route_places(checker);
    for (index, source) in checker.world.sources.iter().enumerate() {
        let mut state = State::default();
        sensitive(&source.shape, &mut Vec::new(), &mut state, 0);
        if state.paths.is_empty() {
            continue;
        }
        let mut walk = Walk {
            checker,
            source: index,
            places: &places,
            leaks: Vec::new(),
            returns: Vec::new(),
        };
        walk.steps(&mut state);
        for leak in walk.leaks {
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

struct Leak {
    at: Span,
    sink: usize,
    path: Path,
    origin: Path,
    argument: bool,
}

fn said(checker: &Checker<'_>, leak: &Leak) -> Diagnostic {
    let sink = &checker.world.sinks[leak.sink];
    let (path, origin) = (dotted(&leak.path), dotted(&leak.origin));
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
    if leak.path != leak.origin && !leak.argument {
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

/// Whether an aggregate's result is a value that some event had.
fn hands_on(kind: AggregateKind) -> bool {
    match kind {
        AggregateKind::Min
        | AggregateKind::Max
        | AggregateKind::Quantile(_)
        | AggregateKind::Any
        | AggregateKind::First
        | AggregateKind::Last
        | AggregateKind::Top(_) => true,
        AggregateKind::Count
        | AggregateKind::Sum
        | AggregateKind::Avg
        | AggregateKind::Uniq
        | AggregateKind::Rate
        | AggregateKind::Stddev => false,
    }
}

/// Collects the sensitive fields of a shape.
fn sensitive(shape: &Shape, keys: &mut Path, state: &mut State, depth: usize) {
    const DEPTH_MAX: usize = 32;
    if depth > DEPTH_MAX {
        return;
    }
    for field in &shape.fields {
        keys.push(field.name.clone());
        if field.sensitive {
            state.paths.insert(keys.clone(), keys.clone());
        } else if let Type::Record(inner) = &field.ty.base {
            sensitive(inner, keys, state, depth + 1);
        }
        keys.pop();
    }
}

/// Where a field of that name is declared sensitive.
fn declared(checker: &Checker<'_>, path: &[Arc<str>]) -> Option<Span> {
    let name = path.last()?;
    let mut open: Vec<&ast::Type> = Vec::new();
    for item in checker.loaded.units.iter().flat_map(|unit| &unit.ast.items) {
        match item {
            Item::Type(it) => open.push(&it.ty),
            Item::Source(it) => open.extend(&it.ty),
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
fn route_places(checker: &Checker<'_>) -> BTreeMap<(u32, u32), BTreeMap<String, Span>> {
    let mut places: BTreeMap<(u32, u32), BTreeMap<String, Span>> = BTreeMap::new();
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

struct Walk<'w, 'a> {
    checker: &'w Checker<'a>,
    source: usize,
    places: &'w BTreeMap<(u32, u32), BTreeMap<String, Span>>,
    leaks: Vec<Leak>,
    returns: Vec<State>,
}

impl Walk<'_, '_> {
    fn steps(&mut self, state: &mut State) {
        let build = &self.checker.build;
        for step in &build.steps {
            match step {
                Step::Rule(id) => self.rule(&build.rules[id.0 as usize], state),
                Step::Group { first: false, rules, .. } => {
                    for id in rules {
                        self.rule(&build.rules[id.0 as usize], state);
                    }
                }
                Step::Group { first: true, rules, .. } => {
                    let entry = state.clone();
                    for id in rules {
                        let mut inside = entry.clone();
                        self.rule(&build.rules[id.0 as usize], &mut inside);
                        state.join(&inside);
                    }
                }
                Step::Window(id) => self.window(&build.windows[id.0 as usize], state),
            }
        }
        self.route(&build.default_route, state, (u32::MAX, 0));
    }

    /// The rows of a window: keys, and what aggregates hand on of single events.
    fn window(&mut self, window: &Window, state: &State) {
        if !(window.on.is_empty() || window.on.contains(&self.source)) || window.route.is_empty() {
            return;
        }
        let mut inside = state.clone();
        for aggregate in &window.aggregates {
            let origin = aggregate.value.filter(|_| hands_on(aggregate.kind));
            if let Some(origin) = origin.and_then(|value| self.value(value, state)) {
                inside.locals.insert(aggregate.local, origin);
            }
        }
        let mut row = State::default();
        for (node, value) in &window.by {
            if let Some(origin) = self.value(*value, &inside) {
                row.paths.insert(self.keys(*node), origin);
            }
        }
        for bound in &window.lets {
            if let Some(origin) = self.value(bound.value, &inside) {
                row.paths.insert(self.keys(bound.node), origin.clone());
                inside.locals.insert(bound.local, origin);
            }
        }
        row.locals = inside.locals;
        self.route(&window.route, &row, (window.span.file.0, window.span.start));
    }

    fn rule(&mut self, rule: &Rule, state: &mut State) {
        if !(rule.on.is_empty() || rule.on.contains(&self.source)) || !effects::acts(rule) {
            return;
        }
        let before = state.clone();
        let at = (rule.span.file.0, rule.span.start);
        let passes = self.block(&rule.body, state, at);
        let mut after = if passes { std::mem::take(state) } else { State::default() };
        for way in std::mem::take(&mut self.returns) {
            after.join(&way);
        }
        if rule.when.is_some() {
            after.join(&before);
        }
        after.locals.clear();
        *state = after;
    }

    /// Whether an event may come to the block's end.
    fn block(&mut self, body: &[Stmt], state: &mut State, rule: (u32, u32)) -> bool {
        for stmt in body {
            match stmt {
                Stmt::Return => {
                    self.returns.push(state.clone());
                    return false;
                }
                Stmt::Drop { .. } => return false,
                Stmt::Route(targets) => self.route(targets, state, rule),
                Stmt::If { then, otherwise, .. } => {
                    let mut other = state.clone();
                    let a = self.block(then, state, rule);
                    let b = self.block(otherwise, &mut other, rule);
                    match (a, b) {
                        (true, true) => state.join(&other),
                        (false, true) => *state = other,
                        (true, false) => {}
                        (false, false) => return false,
                    }
                }
                Stmt::Let { bindings, otherwise, .. } => {
                    if let Some(block) = otherwise {
                        let mut inside = state.clone();
                        self.block(block, &mut inside, rule);
                    }
                    for (local, value) in bindings {
                        if let Some(origin) = self.value(*value, state) {
                            state.locals.insert(*local, origin);
                        }
                    }
                }
                Stmt::Assign { target, op, value, otherwise, .. } => {
                    let mut other = state.clone();
                    let passes =
                        otherwise.as_ref().is_some_and(|block| self.block(block, &mut other, rule));
                    self.assign(*target, *op, *value, state);
                    if passes {
                        state.join(&other);
                    }
                }
                Stmt::Sample { otherwise: Some(block), .. }
                | Stmt::Limit { otherwise: Some(block), .. }
                | Stmt::Dedup { otherwise: Some(block), .. } => {
                    let mut other = state.clone();
                    if self.block(block, &mut other, rule) {
                        state.join(&other);
                    }
                }
                Stmt::Del(sets) => {
                    for set in sets {
                        let keys = self.keys(set.node);
                        if set.below {
                            state.paths.retain(|path, _| {
                                !(path.starts_with(&keys) && path.len() > keys.len())
                            });
                        } else {
                            state.clear(&keys);
                        }
                    }
                }
                Stmt::Keep(sets) => self.keep(sets, state),
                Stmt::Rename { from, to, .. } => {
                    let (from, to) = (self.keys(*from), self.keys(*to));
                    let moved: Vec<(Path, Path)> = state
                        .paths
                        .iter()
                        .filter(|(path, _)| path.starts_with(&from))
                        .map(|(path, origin)| {
                            let keys = to.iter().chain(&path[from.len()..]).cloned().collect();
                            (keys, origin.clone())
                        })
                        .collect();
                    state.clear(&from);
                    state.paths.extend(moved);
                }
                // Where there is no list the event stays as it is.
                Stmt::Emit { list, target, .. } => {
                    if let Some(origin) = self.value(*list, state) {
                        let keys = target.map_or_else(Path::new, |target| self.keys(target));
                        state.paths.insert(keys, origin);
                    }
                }
                Stmt::Tag { .. }
                | Stmt::Count { .. }
                | Stmt::Sample { otherwise: None, .. }
                | Stmt::Limit { otherwise: None, .. }
                | Stmt::Dedup { otherwise: None, .. } => {}
            }
        }
        true
    }

    fn keep(&self, sets: &[PathSet], state: &mut State) {
        let kept: Vec<Path> = sets.iter().map(|set| self.keys(set.node)).collect();
        state.paths.retain(|path, _| {
            kept.iter().any(|keys| path.starts_with(keys) || keys.starts_with(path))
        });
    }

    fn assign(&self, target: NodeId, op: AssignOp, value: ExprId, state: &mut State) {
        let keys = self.keys(target);
        match (op, self.value(value, state)) {
            (_, Some(origin)) => {
                if op == AssignOp::Set {
                    state.clear(&keys);
                }
                state.paths.insert(keys, origin);
            }
            (AssignOp::Set, None) => {
                let pool = &self.checker.build.pool;
                // An absent value leaves the old one, unless it was made of it: then that was absent too.
                let own = pool.reads(value).contains(&target);
                if own || !pool.get(value).ty.optional {
                    state.clear(&keys);
                }
            }
            (AssignOp::Default | AssignOp::Merge, None) => {}
        }
    }

    /// The sensitive field that a value is made of.
    fn value(&self, id: ExprId, state: &State) -> Option<Path> {
        let pool = &self.checker.build.pool;
        let mut seen = BTreeSet::new();
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            let op = pool.op(id);
            if op.is_predicate() || pool.get(id).ty.base == Type::Bool {
                continue;
            }
            match op {
                Op::Field(node) => {
                    if let Some(origin) = state.at(&self.keys(*node)) {
                        return Some(origin.clone());
                    }
                }
                Op::Local(local) => {
                    if let Some(origin) = state.locals.get(local) {
                        return Some(origin.clone());
                    }
                }
                Op::Lookup { .. } => {}
                Op::Call { function, .. }
                    if matches!(function.family, Family::Hashing | Family::Privacy)
                        || CLEAN.contains(&function.name) => {}
                Op::If { then, otherwise, .. } => open.extend([*then, *otherwise]),
                Op::Match { arms, .. } => open.extend(arms.iter().map(|(_, value)| *value)),
                op => open.extend(op.operands()),
            }
        }
        None
    }

    fn route(&mut self, targets: &[Target], state: &State, rule: (u32, u32)) {
        for target in targets {
            let index = target.sink.0 as usize;
            let sink = &self.checker.world.sinks[index];
            if sink.accepts_sensitive {
                continue;
            }
            let at = self
                .places
                .get(&rule)
                .and_then(|routes| routes.get(&*sink.name))
                .copied()
                .unwrap_or(sink.span);
            let carried = |path: &Path| match &sink.ty {
                SinkType::Table(_) => true,
                SinkType::Record(shape) => {
                    shape.open || path.first().is_some_and(|key| shape.field(key).is_some())
                }
            };
            let set = |path: &Path| target.args.iter().any(|(keys, _)| path.starts_with(keys));
            for (path, origin) in &state.paths {
                if carried(path) && !set(path) {
                    self.leaks.push(Leak {
                        at,
                        sink: index,
                        path: path.clone(),
                        origin: origin.clone(),
                        argument: false,
                    });
                }
            }
            for (keys, value) in &target.args {
                if let Some(origin) = self.value(*value, state) {
                    let at = self.checker.build.pool.get(*value).span;
                    self.leaks.push(Leak {
                        at,
                        sink: index,
                        path: keys.clone(),
                        origin,
                        argument: true,
                    });
                }
            }
        }
    }

    fn keys(&self, node: NodeId) -> Path {
        super::samples::keys_of(&self.checker.build.layout, node)
    }
}

/// W502: a pinned rule takes something away after an earlier one has sent it.
fn late_redaction(
    checker: &mut Checker<'_>,
    places: &BTreeMap<(u32, u32), BTreeMap<String, Span>>,
) {
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
