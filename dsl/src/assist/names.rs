//! Every name in a program and what it means: the trees are walked once, with the scopes of `let`s and parameters.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    catalog::{Catalog, DeclId, Space},
    functions::{self, Function},
    program::Loaded,
    span::Span,
    syntax::ast::{
        self, Arg, Block, Else, Expr, ExprKind, Ident, Item, LetPattern, On, Path, PathRoot,
        PatternKind, Piece, Presence, QName, RecordField, StepKind, StmtKind, Target, TypeKind,
    },
};

/// A name somewhere in a program.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mention {
    /// Where it stands.
    pub at: Span,
    /// What it means.
    pub means: Meaning,
    /// Whether it is the declaration itself.
    pub declares: bool,
}

/// What a name means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Meaning {
    /// A declaration: constant, function, lookup, type, source, sink.
    Decl(DeclId),
    /// A `let` or a parameter, named by where it is bound.
    Local(Span),
    /// A rule, named by where its name is declared.
    Rule(Span),
    /// What a `use` calls a file, named by where it says so.
    Alias(Span),
    /// A file, by its place among the program's files.
    File(usize),
    /// A function of the library.
    Function(&'static Function),
}

/// The names of a program.
#[derive(Debug, Default)]
pub(super) struct Names<'a> {
    pub(super) mentions: Vec<Mention>,
    /// Paths of the event that stand anywhere.
    pub(super) paths: Vec<&'a Path>,
    /// Those of them that are written.
    pub(super) writes: Vec<&'a Path>,
    /// Locals that take a field of their own name: another name would take another field.
    pub(super) fields: BTreeSet<Span>,
}

/// Collects all names.
pub(super) fn collect<'a>(loaded: &'a Loaded, catalog: &Catalog<'a>) -> Names<'a> {
    let mut declared = BTreeMap::new();
    for (index, decl) in catalog.decls.iter().enumerate() {
        declared.insert(decl.kind.name().span, DeclId(index));
    }
    let mut rules: BTreeMap<&str, Vec<Span>> = BTreeMap::new();
    for unit in &loaded.units {
        for item in &unit.ast.items {
            for name in rule_names(item) {
                rules.entry(&name.name).or_default().push(name.span);
            }
        }
    }
    let mut walk =
        Walk { catalog, declared, rules, unit: 0, locals: Vec::new(), names: Names::default() };
    for (index, unit) in loaded.units.iter().enumerate() {
        walk.unit = index;
        for (item, link) in unit.ast.items.iter().zip(&unit.links) {
            walk.locals.clear();
            walk.item(item, link.as_ref().and_then(|link| link.unit));
        }
    }
    walk.names
}

/// The names of rules, windows and alerts that an item declares.
pub(super) fn rule_names(item: &Item) -> Vec<&Ident> {
    match item {
        Item::Rule(rule) => vec![&rule.name],
        Item::Group(group) => group.rules.iter().map(|rule| &rule.name).collect(),
        Item::Window(it) | Item::Alert(it) => vec![&it.name],
        _ => Vec::new(),
    }
}

struct Walk<'a, 'c> {
    catalog: &'c Catalog<'a>,
    declared: BTreeMap<Span, DeclId>,
    rules: BTreeMap<&'a str, Vec<Span>>,
    unit: usize,
    locals: Vec<(&'a str, Span)>,
    names: Names<'a>,
}

impl<'a> Walk<'a, '_> {
    fn put(&mut self, at: Span, means: Meaning, declares: bool) {
        self.names.mentions.push(Mention { at, means, declares });
    }

    fn declares(&mut self, name: &Ident) {
        if let Some(id) = self.declared.get(&name.span) {
            self.put(name.span, Meaning::Decl(*id), true);
        }
    }

    fn bind(&mut self, name: &'a Ident) {
        self.put(name.span, Meaning::Local(name.span), true);
        self.locals.push((&name.name, name.span));
    }

    /// A declared name, if there is one.
    fn named(&mut self, space: Space, name: &QName) -> bool {
        if let Some(alias) = &name.space {
            let uses = self.catalog.uses.iter().filter(|it| it.unit == self.unit);
            let found = uses.filter_map(|it| it.decl.alias.as_ref());
            if let Some(found) = found.into_iter().find(|known| known.name == alias.name) {
                self.put(alias.span, Meaning::Alias(found.span), false);
            }
        }
        let Some(id) = self.catalog.find(self.unit, space, name) else { return false };
        self.put(name.name.span, Meaning::Decl(id), false);
        true
    }

    fn rule_named(&mut self, name: &QName) {
        let Some(rules) = name.bare().and_then(|bare| self.rules.get(bare)) else { return };
        if let [one] = rules.as_slice() {
            let one = *one;
            self.put(name.span, Meaning::Rule(one), false);
        }
    }

    fn item(&mut self, item: &'a Item, link: Option<usize>) {
        match item {
            Item::Use(it) => {
                if let Some(unit) = link {
                    self.put(it.path.span, Meaning::File(unit), false);
                }
                if let Some(alias) = &it.alias {
                    self.put(alias.span, Meaning::Alias(alias.span), true);
                }
            }
            Item::Include(it) => {
                if let Some(unit) = link {
                    self.put(it.path.span, Meaning::File(unit), false);
                }
            }
            Item::DefaultRoute(it) => self.targets(&it.targets),
            Item::Const(it) => {
                self.declares(&it.name);
                if let Some(ty) = &it.ty {
                    self.ty(ty);
                }
                self.expr(&it.value);
            }
            Item::Enum(it) => self.declares(&it.name),
            Item::Type(it) => {
                self.declares(&it.name);
                self.ty(&it.ty);
            }
            Item::Source(it) => {
                self.declares(&it.name);
                if let Some(ty) = &it.ty {
                    self.ty(ty);
                }
            }
            Item::Lookup(it) => {
                self.declares(&it.name);
                for ty in &it.keys {
                    self.ty(ty);
                }
                self.ty(&it.result);
            }
            Item::Sink(it) => {
                self.declares(&it.name);
                self.ty(&it.ty);
                for param in &it.with {
                    self.ty(&param.ty);
                }
            }
            Item::Fn(it) => {
                self.declares(&it.name);
                for param in &it.params {
                    self.ty(&param.ty);
                    self.bind(&param.name);
                }
                if let Some(ty) = &it.result {
                    self.ty(ty);
                }
                self.expr(&it.body);
            }
            Item::Rule(it) => self.rule(it),
            Item::Group(it) => {
                if let Some(when) = &it.when {
                    self.expr(when);
                }
                for rule in &it.rules {
                    self.rule(rule);
                }
            }
            Item::Window(it) | Item::Alert(it) => self.window(it),
            Item::Test(it) => self.test(it),
            Item::Error(_) => {}
        }
    }

    fn on(&mut self, on: Option<&On>) {
        if let Some(On::Source(name)) = on {
            self.named(Space::Source, name);
        }
    }

    fn rule(&mut self, rule: &'a ast::Rule) {
        self.put(rule.name.span, Meaning::Rule(rule.name.span), true);
        self.on(rule.on.as_ref());
        if let Some(when) = &rule.when {
            self.expr(when);
        }
        self.block(&rule.body);
    }

    fn window(&mut self, it: &'a ast::Window) {
        self.put(it.name.span, Meaning::Rule(it.name.span), true);
        self.on(it.on.as_ref());
        if let Some(when) = &it.when {
            self.expr(when);
        }
        let start = self.locals.len();
        for clause in &it.clauses {
            match &clause.kind {
                ast::ClauseKind::By(by) => by.iter().for_each(|e| self.expr(e)),
                ast::ClauseKind::Let { name, value } => {
                    self.expr(value);
                    self.bind(name);
                }
                ast::ClauseKind::Fire { condition, .. } => self.expr(condition),
                ast::ClauseKind::Meta { values, .. } => values.iter().for_each(|e| self.expr(e)),
                ast::ClauseKind::Route(targets) => self.targets(targets),
                ast::ClauseKind::Over { .. } | ast::ClauseKind::Error => {}
            }
        }
        self.locals.truncate(start);
    }

    fn test(&mut self, test: &'a ast::Test) {
        for step in &test.steps {
            match &step.kind {
                StepKind::At(time) => self.expr(time),
                StepKind::Mock { lookup, entries } => {
                    self.named(Space::Value, lookup);
                    for entry in entries {
                        self.expr(&entry.key);
                        self.expr(&entry.value);
                    }
                }
                StepKind::Given { on, event, .. } => {
                    self.on(on.as_ref());
                    self.expr(event);
                }
                StepKind::Expect(ast::Expectation::Fate { by, to, body, .. }) => {
                    if let Some(rule) = by {
                        self.rule_named(rule);
                    }
                    if let Some(sink) = to {
                        self.named(Space::Sink, sink);
                    }
                    for e in body {
                        self.expr(e);
                    }
                }
                StepKind::Expect(ast::Expectation::Holds(e)) => self.expr(e),
                StepKind::Advance(_) | StepKind::Error => {}
            }
        }
    }

    fn targets(&mut self, targets: &'a [Target]) {
        for target in targets {
            self.named(Space::Sink, &target.sink);
            self.args(&target.args);
        }
    }

    fn args(&mut self, args: &'a [Arg]) {
        for arg in args {
            self.expr(&arg.value);
        }
    }

    fn block(&mut self, block: &'a Block) {
        let start = self.locals.len();
        for stmt in &block.stmts {
            self.stmt(&stmt.kind);
        }
        self.locals.truncate(start);
    }

    fn stmt(&mut self, stmt: &'a StmtKind) {
        match stmt {
            StmtKind::Let { pattern, value, otherwise } => {
                self.expr(value);
                if let Some(block) = otherwise {
                    self.block(block);
                }
                match pattern {
                    LetPattern::Name(name) => self.bind(name),
                    LetPattern::Fields(names) => {
                        for name in names {
                            self.names.fields.insert(name.span);
                            self.bind(name);
                        }
                    }
                }
            }
            StmtKind::Assign { target, value, otherwise, .. } => {
                self.written(target);
                self.expr(value);
                if let Some(block) = otherwise {
                    self.block(block);
                }
            }
            StmtKind::If(it) => self.if_stmt(it),
            StmtKind::Route(targets) => self.targets(targets),
            StmtKind::Emit { list, target } => {
                self.expr(list);
                if let Some(target) = target {
                    self.written(target);
                }
            }
            StmtKind::Sample { by, otherwise, .. }
            | StmtKind::Limit { by, otherwise, .. }
            | StmtKind::Dedup { by, otherwise, .. } => {
                for e in by {
                    self.expr(e);
                }
                if let Some(block) = otherwise {
                    self.block(block);
                }
            }
            StmtKind::Del(globs) | StmtKind::Keep(globs) => {
                for glob in globs {
                    self.path(&glob.path);
                }
            }
            StmtKind::Rename(pairs) => {
                for (from, to) in pairs {
                    self.path(from);
                    self.written(to);
                }
            }
            StmtKind::Count { by, value, .. } => {
                by.iter().chain(value).for_each(|e| self.expr(e));
            }
            StmtKind::Tag(_) | StmtKind::Drop { .. } | StmtKind::Return | StmtKind::Error => {}
        }
    }

    fn if_stmt(&mut self, it: &'a ast::If) {
        let mut it = it;
        loop {
            self.expr(&it.condition);
            self.block(&it.then);
            match &it.otherwise {
                Some(Else::If(next)) => it = next,
                Some(Else::Block(block)) => return self.block(block),
                None => return,
            }
        }
    }

    fn path(&mut self, path: &'a Path) {
        if path.root == PathRoot::Event {
            self.names.paths.push(path);
        }
    }

    fn written(&mut self, path: &'a Path) {
        self.path(path);
        self.names.writes.push(path);
    }

    fn ty(&mut self, ty: &ast::Type) {
        match &ty.kind {
            TypeKind::Named(name) => {
                self.named(Space::Type, name);
            }
            TypeKind::List(of) | TypeKind::Map(of) => self.ty(of),
            TypeKind::Record(record) => record.fields.iter().for_each(|field| self.ty(&field.ty)),
            TypeKind::Table(_) => {}
        }
    }

    /// A bare name: the nearest local, then what is declared, then a rule where a test counts.
    fn name(&mut self, name: &QName) {
        if let Some(bare) = name.bare()
            && let Some((_, bound)) = self.locals.iter().rev().find(|(known, _)| *known == bare)
        {
            let bound = *bound;
            return self.put(name.span, Meaning::Local(bound), false);
        }
        if !self.named(Space::Value, name) {
            self.rule_named(name);
        }
    }

    fn expr(&mut self, e: &'a Expr) {
        match &e.kind {
            ExprKind::Path(path) => self.path(path),
            ExprKind::Name(name) => self.name(name),
            ExprKind::Call { function, args, filter } => {
                if !self.named(Space::Value, function)
                    && let Some(found) = function.bare().and_then(functions::find)
                {
                    self.put(function.span, Meaning::Function(found), false);
                }
                self.args(args);
                if let Some(filter) = filter {
                    self.expr(filter);
                }
            }
            ExprKind::Interpolated(pieces) => {
                for piece in pieces {
                    if let Piece::Hole(hole) = piece {
                        self.expr(hole);
                    }
                }
            }
            ExprKind::Member { base, .. } => self.expr(base),
            ExprKind::Index { base, index } => {
                self.expr(base);
                self.expr(index);
            }
            ExprKind::List(all)
            | ExprKind::Or(all)
            | ExprKind::And(all)
            | ExprKind::Coalesce(all) => all.iter().for_each(|e| self.expr(e)),
            ExprKind::Record(fields) => {
                for field in fields {
                    match field {
                        RecordField::Field { value, .. } => self.expr(value),
                        RecordField::Spread(of) => self.expr(of),
                    }
                }
            }
            ExprKind::Lambda { params, body } => {
                let start = self.locals.len();
                for param in params {
                    self.bind(param);
                }
                self.expr(body);
                self.locals.truncate(start);
            }
            ExprKind::If { condition, then, otherwise } => {
                self.expr(condition);
                self.expr(then);
                self.expr(otherwise);
            }
            ExprKind::Match { subject, arms } => {
                self.expr(subject);
                for arm in arms {
                    for pattern in &arm.patterns {
                        if let PatternKind::Name(name) = &pattern.kind {
                            self.named(Space::Value, name);
                        }
                    }
                    self.expr(&arm.value);
                }
            }
            ExprKind::Not(of) | ExprKind::Neg(of) => self.expr(of),
            ExprKind::Compare { left, right, .. } | ExprKind::Arithmetic { left, right, .. } => {
                self.expr(left);
                self.expr(right);
            }
            ExprKind::Is { subject, presence, .. } => {
                self.expr(subject);
                if let Presence::Type(name) = presence {
                    self.named(Space::Type, name);
                }
            }
            ExprKind::Null
            | ExprKind::Bool(_)
            | ExprKind::Int(_)
            | ExprKind::Float(_)
            | ExprKind::Duration(_)
            | ExprKind::Text { .. }
            | ExprKind::Tagged { .. }
            | ExprKind::Error => {}
        }
    }
}
