//! The type checker: trees to a plan.
//!
//! Invariant: nothing after it can meet an ill-typed program; where something is wrong there is an error that says so.

mod aggregate;
mod arith;
mod call;
mod columns;
mod compare;
mod constant;
mod declare;
mod event;
mod expr;
mod file;
mod inline;
mod literal;
mod membership;
mod notes;
mod path;
mod pool;
mod predicate;
mod record;
mod routes;
mod rule;
mod stateful;
mod stmt;
mod test;
mod text;
mod window;
mod write;

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet, HashMap},
    path::PathBuf,
    sync::Arc,
};

pub(crate) use constant::duration_text;
pub(crate) use declare::attr_texts;
pub(crate) use event::declares;
pub use notes::{Noted, Notes, Point};
pub(crate) use path::dotted;
pub(crate) use pool::{Checked, Pool};

use crate::{
    catalog::{Catalog, DeclId, Space, nearest},
    column::{Layout, NodeId},
    diagnostic::{Code, Diagnostic, Severity, has_errors},
    lints,
    plan::{
        Aggregate, ExprId, LocalId, LookupDecl, Metric, Plan, Rule, RuleId, SinkDecl, Site, SiteId,
        SourceDecl, Step, Store, Target, Window,
    },
    program::{Loaded, LockFile, Mode, Options, Reader, SinkSettings},
    span::Span,
    syntax::ast,
    test_block::Test,
    types::{Shape, Ty, Type},
};

/// How many errors are kept, and how many warnings. Nobody reads more, and a hostile text has one every dozen bytes.
pub(crate) const DIAGNOSTICS_MAX: usize = 1_000;

/// What came of checking.
pub(crate) struct Output {
    pub(crate) plan: Plan,
    pub(crate) tests: Vec<Test>,
    /// Files of constants that were read on the way.
    pub(crate) lists: Vec<(PathBuf, String)>,
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// How many more there were.
    pub(crate) more: usize,
    /// What was known where, if it was asked for.
    pub(crate) notes: Notes,
}

/// Checks all files of a program; keeps what was known at each place if somebody wants to know.
pub(crate) fn check(
    loaded: &Loaded,
    reader: &dyn Reader,
    mode: Mode,
    options: &Options,
    with_notes: bool,
) -> Output {
    let (catalog, diagnostics) = Catalog::new(loaded);
    let mut checker = Checker {
        loaded,
        catalog: &catalog,
        reader,
        diagnostics,
        allowed: Vec::new(),
        world: World::default(),
        build: Build::default(),
        flow: Flow::default(),
        place: Place::default(),
        caches: Caches::default(),
        lists: Vec::new(),
        pending_w312: Vec::new(),
        written: BTreeSet::new(),
        groups: BTreeMap::new(),
        conditions: Vec::new(),
        said_at: HashMap::new(),
        now: options.now,
        lock: loaded.lock.clone(),
        removed: BTreeSet::new(),
        sinks: &options.sinks,
        notes: with_notes.then(Notes::default),
    };
    // What the parser said of a place need not be said again.
    let said = loaded.diagnostics.iter().map(|diagnostic| (diagnostic.code, diagnostic.at));
    checker.caches.reported.extend(said);
    checker.declarations();
    checker.rules();
    if checker.build.pool.too_many || checker.build.pool.too_deep {
        checker.report_too_large();
    }
    let before_tests = (mode == Mode::Run).then(|| checker.build.clone());
    let mut tests = checker.tests();
    if let Some(build) = before_tests {
        checker.build = build;
        tests.clear();
    }
    lints::whole_program(&mut checker, mode);
    checker.finish(tests)
}

/// What the outside offers, as declared.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) sources: Vec<SourceDecl>,
    pub(crate) sinks: Vec<SinkDecl>,
    pub(crate) lookups: Vec<LookupDecl>,
    /// Places of declarations in the lists above.
    source_of: BTreeMap<DeclId, usize>,
    sink_of: BTreeMap<DeclId, usize>,
    lookup_of: BTreeMap<DeclId, usize>,
}

/// A function, its arguments, and the sources whose events it sees.
type Call = (DeclId, Vec<ExprId>, Vec<usize>);

/// The plan as far as it is built.
#[derive(Clone, Default)]
pub(crate) struct Build {
    pub(crate) pool: Pool,
    pub(crate) layout: Layout,
    pub(crate) n_locals: usize,
    pub(crate) sites: Vec<Site>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) steps: Vec<Step>,
    pub(crate) default_route: Vec<Target>,
    pub(crate) reads_headers: bool,
    pub(crate) stores: Vec<Store>,
    pub(crate) windows: Vec<Window>,
    pub(crate) metrics: Vec<Metric>,
    /// One local for the elements of each list, so that equal predicates over them are equal.
    elements: BTreeMap<ExprId, LocalId>,
    /// Functions put in place before, by their arguments.
    inlined: HashMap<Call, (ExprId, Ty)>,
}

/// What is known at this place of the program.
#[derive(Clone, Default)]
pub(crate) struct Flow {
    /// Fields, source by source.
    shapes: Vec<Arc<Shape>>,
    /// Values that are certainly there.
    present: BTreeSet<ExprId>,
}

/// Where the checker stands.
#[derive(Clone, Default)]
pub(crate) struct Place {
    /// The file.
    unit: usize,
    /// Sources whose events come here.
    on: Vec<usize>,
    /// `let`s and parameters, the nearest last.
    names: Vec<Named>,
    /// The rule.
    rule: Option<RuleId>,
    /// How many expressions stand around this one.
    depth: usize,
    /// How many functions are being put in place around this one.
    inlining: usize,
    /// Inside a window: what it has added up so far.
    aggregates: Option<Vec<Aggregate>>,
    /// How many calls' arguments stand around this one.
    in_args: usize,
    /// Inside a test: a path that nobody declares is no mistake there.
    in_test: bool,
    /// Inside a constant: there is no event to read.
    in_const: bool,
}

/// A name for a value.
#[derive(Clone)]
struct Named {
    name: String,
    /// Nothing where the value is wrong, which was reported.
    value: Option<Checked>,
    /// Where a `let` binds it; parameters may go unused.
    at: Option<Span>,
    used: Cell<bool>,
}

impl Named {
    /// A parameter of a function or lambda.
    fn parameter(name: &str, value: Option<Checked>) -> Self {
        Self { name: name.to_owned(), value, at: None, used: Cell::new(false) }
    }
}

#[derive(Default)]
pub(crate) struct Caches {
    /// Declared types, each with how many parts it has.
    types: BTreeMap<DeclId, Progress<(Ty, usize)>>,
    /// How many parts of types were read so far.
    type_parts: usize,
    consts: BTreeMap<DeclId, Progress<constant::Const>>,
    fns: BTreeMap<DeclId, Progress<Ty>>,
    regexes: HashMap<Span, Option<Arc<crate::functions::Regex>>>,
    patterns: HashMap<Span, Option<Arc<crate::functions::Pattern>>>,
    globs: HashMap<Span, Option<Arc<crate::functions::Glob>>>,
    groks: HashMap<Span, Option<Arc<crate::functions::Grok>>>,
    /// How many functions were put in place for the outermost call or function that is being checked.
    calls: usize,
    /// Places whose mistake was reported already.
    reported: BTreeSet<(Code, Span)>,
    /// How many warnings and how many errors there were.
    kept: [usize; 2],
}

/// How far a declaration is known: meeting one that is open means that it refers to itself.
#[derive(Clone)]
enum Progress<T> {
    Open,
    Done(Option<T>),
}

pub(crate) struct Checker<'a> {
    pub(crate) loaded: &'a Loaded,
    pub(crate) catalog: &'a Catalog<'a>,
    reader: &'a dyn Reader,
    diagnostics: Vec<Diagnostic>,
    /// Warnings that `@allow` silences here.
    allowed: Vec<Code>,
    pub(crate) world: World,
    pub(crate) build: Build,
    flow: Flow,
    place: Place,
    caches: Caches,
    lists: Vec<(PathBuf, String)>,
    /// Negated predicates on optional values: a later conjunct may still say that the value is there.
    pending_w312: Vec<(ExprId, Diagnostic)>,
    /// Paths that rules write.
    pub(crate) written: BTreeSet<NodeId>,
    /// Names of groups, by the place of their step.
    groups: BTreeMap<usize, Span>,
    /// Conditions of rules, groups and `if`s, in the order of the text.
    pub(crate) conditions: Vec<(ExprId, Span)>,
    /// Where each predicate is written: equal ones have one number, but many places.
    pub(crate) said_at: HashMap<ExprId, Vec<Span>>,
    /// The time, where whoever compiles says it: nanoseconds since 1970.
    pub(crate) now: Option<i64>,
    /// The columns of the sinks' tables, where a lock file lies beside the entry.
    lock: Option<Arc<LockFile>>,
    /// Paths that some rule removes.
    removed: BTreeSet<NodeId>,
    sinks: &'a BTreeMap<String, SinkSettings>,
    /// What was known where, for whoever asked for it.
    notes: Option<Notes>,
}

impl Checker<'_> {
    /// Reports, unless it is silenced here or was reported before.
    pub(crate) fn report(&mut self, diagnostic: Diagnostic) {
        let silenced =
            diagnostic.severity == Severity::Warning && self.allowed.contains(&diagnostic.code);
        if silenced || !self.caches.reported.insert((diagnostic.code, diagnostic.at)) {
            return;
        }
        let kept = &mut self.caches.kept[usize::from(diagnostic.severity == Severity::Error)];
        *kept += 1;
        if *kept <= DIAGNOSTICS_MAX {
            self.diagnostics.push(diagnostic);
        }
    }

    /// Whether no more errors are kept: what makes one helpful need not be found out.
    fn is_sated(&self) -> bool {
        self.caches.kept[1] >= DIAGNOSTICS_MAX
    }

    /// Reports an error and gives nothing: what depends on it stays quiet.
    fn fail<T>(&mut self, code: Code, at: Span, message: impl Into<String>) -> Option<T> {
        self.report(Diagnostic::new(code, at, message));
        None
    }

    /// Reports a part of the language that does not run yet.
    fn later(&mut self, at: Span, what: &str) {
        self.report(
            Diagnostic::new(Code::E107, at, format!("{what} cannot run yet"))
                .label("this version reads it, but does not run it"),
        );
    }

    /// Reports a name that means nothing, with the nearest one that does.
    fn unknown(&mut self, what: &str, name: &ast::QName, known: &[String]) {
        let written = name.written();
        let mut diagnostic =
            Diagnostic::new(Code::E102, name.span, format!("there is no {what} `{written}`"));
        if let Some(space) = &name.space
            && !self.catalog.has_alias(self.place.unit, &space.name)
        {
            diagnostic = diagnostic
                .note(format!("no file is used as `{0}`: write `use \"…\" as {0}`", space.name));
        } else if !self.is_sated()
            && let Some(near) = nearest(&written, known)
        {
            let message = format!("a {what} with a similar name exists");
            diagnostic = diagnostic.suggest(message, vec![(name.span, near)]);
        }
        self.report(diagnostic);
    }

    /// What is left out of the plan must have been reported: nothing runs that is not what was written.
    fn left_out(&mut self, at: Span) {
        if !self.has_unread() {
            self.report(Diagnostic::new(Code::E101, at, "this has no meaning"));
        }
    }

    /// Finds a declared name or reports it.
    fn find(&mut self, space: Space, what: &str, name: &ast::QName) -> Option<DeclId> {
        if let Some(id) = self.catalog.find(self.place.unit, space, name) {
            return Some(id);
        }
        let known = self.catalog.visible(self.place.unit, space);
        self.unknown(what, name, &known);
        None
    }

    /// Whether some statement may be missing from the plan because it is wrong.
    pub(crate) fn has_unread(&self) -> bool {
        has_errors(&self.diagnostics) || has_errors(&self.loaded.diagnostics)
    }

    /// The regex of the literal at that place, if it compiled.
    pub(crate) fn compiled_regex(&self, at: Span) -> Option<&Arc<crate::functions::Regex>> {
        self.caches.regexes.get(&at)?.as_ref()
    }

    /// Where the group of that step is named.
    pub(crate) fn group_span(&self, step: usize) -> Option<Span> {
        self.groups.get(&step).copied()
    }

    fn new_local(&mut self) -> LocalId {
        let local = LocalId(self.build.n_locals as u32);
        self.build.n_locals += 1;
        local
    }

    fn new_site(&mut self, label: String, span: Span) -> SiteId {
        let id = SiteId(self.build.sites.len() as u32);
        let rule = self.place.rule.unwrap_or(RuleId(0));
        self.build.sites.push(Site { rule, label: label.into(), span });
        id
    }

    fn report_too_large(&mut self) {
        let at = self
            .loaded
            .units
            .first()
            .map_or_else(Span::default, |unit| Span::new(unit.ast.id, 0, 0));
        let message = if self.build.pool.too_deep {
            format!(
                "an expression nests more than {} levels once its functions are put in place",
                pool::DEPTH_MAX
            )
        } else {
            format!(
                "the program has more than {} expressions once its functions are put in place",
                pool::EXPRS_MAX
            )
        };
        self.report(Diagnostic::new(Code::E106, at, message));
    }

    fn finish(mut self, tests: Vec<Test>) -> Output {
        for (_, diagnostic) in std::mem::take(&mut self.pending_w312) {
            self.report(diagnostic);
        }
        let Build {
            pool,
            layout,
            n_locals,
            sites,
            rules,
            steps,
            default_route,
            reads_headers,
            stores,
            windows,
            metrics,
            ..
        } = self.build;
        let plan = Plan {
            layout,
            exprs: pool.exprs,
            n_locals,
            sources: self.world.sources,
            sinks: self.world.sinks,
            lookups: self.world.lookups,
            rules,
            steps,
            sites,
            default_route,
            reads_headers,
            stores,
            windows,
            metrics,
        };
        let mut diagnostics = self.diagnostics;
        lints::silence(self.loaded, &mut diagnostics);
        let notes = self.notes.unwrap_or_default();
        let more = self.caches.kept.iter().map(|kept| kept.saturating_sub(DIAGNOSTICS_MAX)).sum();
        Output { plan, tests, lists: self.lists, diagnostics, more, notes }
    }
}

/// A type for messages: `int`, `string?`, `record`, `list<record>`. Records are not spelled out.
fn said(ty: &Ty) -> String {
    let mut text = said_type(&ty.base);
    if ty.optional {
        text.push('?');
    }
    text
}

fn said_type(ty: &Type) -> String {
    match ty {
        Type::Record(_) => "record".to_owned(),
        Type::List(of) => format!("list<{}>", said_type(of)),
        Type::Map(of) => format!("map<{}>", said_type(of)),
        other => other.to_string(),
    }
}
