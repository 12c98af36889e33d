//! What becomes of sensitive values on the way of a source's events through the program.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::Places;
use crate::{
    check::{Checker, dotted},
    column::NodeId,
    functions::Family,
    lints::{effects, samples},
    plan::{
        AggregateKind, AssignOp, ExprId, LocalId, Op, PathSet, RecordPart, Rule, SinkType, Step,
        Stmt, Target, Window,
    },
    span::Span,
    types::{Shape, Type},
};

/// Functions of other families whose result gives nothing away.
pub(super) const CLEAN: &[&str] = &[
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

/// The keys to a place, from the event's root or from a value.
type Path = Vec<Arc<str>>;

/// What of a value is sensitive: the places below it (none: all of it), and the fields that made them so.
type Taints = BTreeMap<Path, Origin>;

/// A field that is declared sensitive.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Origin {
    /// The lookup whose answers have it; `None`: events have it.
    lookup: Option<Arc<str>>,
    pub(super) path: Path,
}

impl Origin {
    /// As a person reads it.
    pub(super) fn drawn(&self) -> String {
        match &self.lookup {
            Some(lookup) => format!("{lookup}(…){}", dotted(&self.path)),
            None => dotted(&self.path),
        }
    }

    /// Whether it is that path of events.
    pub(super) fn is(&self, path: &[Arc<str>]) -> bool {
        self.lookup.is_none() && self.path == path
    }
}

/// What is sensitive at some place.
#[derive(Debug, Clone, Default, PartialEq)]
struct State {
    paths: Taints,
    locals: BTreeMap<LocalId, Taints>,
}

impl State {
    fn join(&mut self, other: &Self) {
        for (path, origin) in &other.paths {
            self.paths.entry(path.clone()).or_insert_with(|| origin.clone());
        }
        for (local, taints) in &other.locals {
            let known = self.locals.entry(*local).or_default();
            for (path, origin) in taints {
                known.entry(path.clone()).or_insert_with(|| origin.clone());
            }
        }
    }

    /// What of a path is sensitive.
    fn at(&self, keys: &[Arc<str>]) -> Taints {
        below(&self.paths, keys)
    }

    fn clear(&mut self, keys: &[Arc<str>]) {
        self.paths.retain(|path, _| !path.starts_with(keys));
    }
}

/// What of a part of a value is sensitive.
fn below(taints: &Taints, keys: &[Arc<str>]) -> Taints {
    let mut found = Taints::new();
    for (path, origin) in taints {
        if let Some(rest) = path.strip_prefix(keys) {
            found.insert(rest.to_vec(), origin.clone());
        } else if keys.starts_with(path) {
            found.insert(Path::new(), origin.clone());
        }
    }
    found
}

/// A sensitive value at a sink that does not accept it.
pub(super) struct Leak {
    pub(super) at: Span,
    pub(super) sink: usize,
    pub(super) path: Path,
    pub(super) origin: Origin,
    pub(super) argument: bool,
}

/// Follows events of a source through the program.
pub(super) fn leaks(
    checker: &Checker<'_>,
    places: &Places,
    source: usize,
    shape: &Shape,
) -> Vec<Leak> {
    let mut state = State::default();
    sensitive(shape, None, &mut Vec::new(), &mut state.paths, 0);
    let mut answers = vec![Taints::new(); checker.world.lookups.len()];
    for (lookup, taints) in checker.world.lookups.iter().zip(&mut answers) {
        if let Type::Record(shape) = &lookup.yields.base {
            sensitive(shape, Some(&lookup.name), &mut Vec::new(), taints, 0);
        }
    }
    if state.paths.is_empty() && answers.iter().all(Taints::is_empty) {
        return Vec::new();
    }
    let mut walk =
        Walk { checker, source, places, answers, leaks: Vec::new(), returns: Vec::new() };
    walk.steps(&mut state);
    walk.leaks
}

/// Adds what of a value is sensitive to where the value was put.
fn put(into: &mut Taints, keys: &[Arc<str>], taints: Taints) {
    for (path, origin) in taints {
        into.insert(keys.iter().cloned().chain(path).collect(), origin);
    }
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
fn sensitive(
    shape: &Shape,
    lookup: Option<&Arc<str>>,
    keys: &mut Path,
    found: &mut Taints,
    depth: usize,
) {
    const DEPTH_MAX: usize = 32;
    if depth > DEPTH_MAX {
        return;
    }
    for field in &shape.fields {
        keys.push(field.name.clone());
        if field.sensitive {
            found.insert(keys.clone(), Origin { lookup: lookup.cloned(), path: keys.clone() });
        } else if let Type::Record(inner) = &field.ty.base {
            sensitive(inner, lookup, keys, found, depth + 1);
        }
        keys.pop();
    }
}

struct Walk<'w, 'a> {
    checker: &'w Checker<'a>,
    source: usize,
    places: &'w Places,
    /// What is sensitive in the answers of each lookup.
    answers: Vec<Taints>,
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
            if let Some(value) = aggregate.value.filter(|_| hands_on(aggregate.kind)) {
                inside.locals.insert(aggregate.local, self.value(value, state));
            }
        }
        let mut row = State::default();
        for (node, value) in &window.by {
            put(&mut row.paths, &self.keys(*node), self.value(*value, &inside));
        }
        for bound in &window.lets {
            let taints = self.value(bound.value, &inside);
            put(&mut row.paths, &self.keys(bound.node), taints.clone());
            inside.locals.insert(bound.local, taints);
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
                        let taints = self.value(*value, state);
                        state.locals.insert(*local, taints);
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
                    let moved = state.at(&from);
                    state.clear(&from);
                    put(&mut state.paths, &to, moved);
                }
                // Where there is no list the event stays as it is.
                Stmt::Emit { list, target, .. } => {
                    let keys = target.map_or_else(Path::new, |target| self.keys(target));
                    let taints = self.value(*list, state);
                    put(&mut state.paths, &keys, taints);
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
        let taints = self.value(value, state);
        match (op, taints.is_empty()) {
            (_, false) => {
                if op == AssignOp::Set {
                    state.clear(&keys);
                }
                put(&mut state.paths, &keys, taints);
            }
            (AssignOp::Set, true) => {
                let pool = &self.checker.build.pool;
                // An absent value leaves the old one, unless it was made of it: then that was absent too.
                let own = pool.reads(value).contains(&target);
                if own || !pool.get(value).ty.optional {
                    state.clear(&keys);
                }
            }
            (AssignOp::Default | AssignOp::Merge, true) => {}
        }
    }

    /// What of a value is sensitive. Operands come before what uses them, so one pass over the expressions it is made of answers.
    fn value(&self, id: ExprId, state: &State) -> Taints {
        let pool = &self.checker.build.pool;
        let mut parts = BTreeSet::new();
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            if parts.insert(id) {
                open.extend(self.made_of(id));
            }
        }
        let mut known: BTreeMap<ExprId, Taints> = BTreeMap::new();
        for part in parts {
            let of = |id: &ExprId| known.get(id).cloned().unwrap_or_default();
            let taints = match pool.op(part) {
                Op::Field(node) => state.at(&self.keys(*node)),
                Op::Local(local) => state.locals.get(local).cloned().unwrap_or_default(),
                Op::Lookup { lookup, .. } => self.answers[*lookup].clone(),
                Op::Member { of: record, key } => below(&of(record), std::slice::from_ref(key)),
                Op::Narrow(of_same) => of(of_same),
                Op::Coalesce(..) | Op::If { .. } | Op::Match { .. } => {
                    let mut all = Taints::new();
                    for one in self.made_of(part) {
                        all.extend(of(&one));
                    }
                    all
                }
                Op::Record(fields) => {
                    let mut all = Taints::new();
                    for field in fields {
                        match field {
                            RecordPart::Member(key, value) => {
                                put(&mut all, std::slice::from_ref(key), of(value));
                            }
                            RecordPart::Spread(value) => all.extend(of(value)),
                        }
                    }
                    all
                }
                // Made of what is sensitive, wherever that went.
                _ => {
                    let first = self
                        .made_of(part)
                        .into_iter()
                        .find_map(|one| known.get(&one).and_then(|taints| taints.values().next()));
                    first.map(|origin| (Path::new(), origin.clone())).into_iter().collect()
                }
            };
            if !taints.is_empty() {
                known.insert(part, taints);
            }
        }
        known.remove(&id).unwrap_or_default()
    }

    /// The expressions that a value may hold something of.
    fn made_of(&self, id: ExprId) -> Vec<ExprId> {
        let pool = &self.checker.build.pool;
        let op = pool.op(id);
        if op.is_predicate() || pool.get(id).ty.base == Type::Bool {
            return Vec::new();
        }
        match op {
            Op::Lookup { .. } => Vec::new(),
            Op::Call { function, .. }
                if matches!(function.family, Family::Hashing | Family::Privacy)
                    || CLEAN.contains(&function.name) =>
            {
                Vec::new()
            }
            Op::If { then, otherwise, .. } => vec![*then, *otherwise],
            Op::Match { arms, .. } => arms.iter().map(|(_, value)| *value).collect(),
            op => op.operands(),
        }
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
                if let Some(origin) = self.value(*value, state).into_values().next() {
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
        samples::keys_of(&self.checker.build.layout, node)
    }
}
