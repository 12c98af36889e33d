//! Rules and groups, in the order in which they run.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use super::{Checker, Flow, declare::attr_texts, stmt::Exits};
use crate::{
    catalog::Space,
    diagnostic::{Code, Diagnostic},
    plan::{ExprId, Op, Rule, RuleId, Step},
    span::Span,
    syntax::ast::{self, Item, On},
};

impl Checker<'_> {
    /// Checks the rules of the entry and of all it includes.
    pub(super) fn rules(&mut self) {
        if self.loaded.units.is_empty() {
            return;
        }
        let labels = labels(self);
        let mut default: Option<Span> = None;
        self.unit_rules(0, &labels, &mut default);
    }

    fn unit_rules(&mut self, unit: usize, labels: &[Arc<str>], default: &mut Option<Span>) {
        let loaded = self.loaded;
        let file = &loaded.units[unit];
        let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
        for (item, link) in file.ast.items.iter().zip(&file.links) {
            self.place.unit = unit;
            match item {
                Item::Include(_) => {
                    if let Some(target) = link.as_ref().and_then(|link| link.unit) {
                        self.unit_rules(target, labels, default);
                    }
                }
                Item::Rule(rule) => {
                    self.unique(&mut seen, &rule.name);
                    let id = self.rule(rule, &labels[unit], &Shared::default());
                    self.build.steps.push(Step::Rule(id));
                }
                Item::Group(group) => {
                    for rule in &group.rules {
                        self.unique(&mut seen, &rule.name);
                    }
                    self.group(group, &labels[unit]);
                }
                Item::DefaultRoute(it) => {
                    if let Some(first) = *default {
                        self.report(
                            Diagnostic::new(Code::E108, it.span, "`default route to` stands twice")
                                .related(first, "here first"),
                        );
                        continue;
                    }
                    *default = Some(it.span);
                    self.place.on = self.all_sources();
                    let flow = self.flow.clone();
                    let targets = self.targets(&it.targets);
                    self.flow = flow;
                    self.build.default_route = targets;
                }
                Item::Window(it) | Item::Alert(it) => {
                    self.unique(&mut seen, &it.name);
                    let is_alert = matches!(item, Item::Alert(_));
                    self.window(it, &labels[unit], is_alert);
                }
                Item::Use(_)
                | Item::Const(_)
                | Item::Enum(_)
                | Item::Type(_)
                | Item::Source(_)
                | Item::Lookup(_)
                | Item::Sink(_)
                | Item::Fn(_)
                | Item::Test(_)
                | Item::Error(_) => {}
            }
        }
    }

    fn unique<'n>(&mut self, seen: &mut BTreeMap<&'n str, Span>, name: &'n ast::Ident) {
        if let Some(first) = seen.insert(&name.name, name.span) {
            self.report(
                Diagnostic::new(
                    Code::E108,
                    name.span,
                    format!("two rules are called `{}`", name.name),
                )
                .related(first, "the first one"),
            );
        }
    }

    pub(super) fn all_sources(&self) -> Vec<usize> {
        (0..self.world.sources.len()).collect()
    }

    fn group(&mut self, group: &ast::Group, file: &Arc<str>) {
        let outer = std::mem::take(&mut self.allowed);
        self.allowed = self.rule_attributes(&group.attrs, "group", &group.name.name);
        self.place.on = self.all_sources();
        self.place.rule = Some(RuleId(self.build.rules.len() as u32));
        self.build.inlined.clear();
        let when = group.when.as_ref().map(|when| self.condition(when, "the condition of a group"));
        self.flush_w312();
        let shared = Shared { allowed: self.allowed.clone(), marks: attributes_of(&group.attrs) };
        let label: Arc<str> = format!("{file}/{}", group.name.name).into();
        let first = group.mode == ast::GroupMode::First;
        let entry = self.flow.clone();
        if let Some(Some(when)) = when {
            self.learn(when, true);
        }
        // The first rule answers for the group.
        let site = group.when.as_ref().filter(|_| !group.rules.is_empty());
        let site = site.map(|when| self.new_site("when of the group".to_owned(), when.span));
        let inside = self.flow.clone();
        let mut leaving = entry.clone();
        let mut rules = Vec::with_capacity(group.rules.len());
        for rule in &group.rules {
            if first {
                // Whoever comes here was taken by no rule before, so none has written anything.
                self.flow.clone_from(&inside);
            }
            rules.push(self.rule(rule, &label, &shared));
            if first {
                leaving.meet(&self.flow);
            }
            self.flow.present.clone_from(&inside.present);
        }
        if first {
            self.flow = leaving;
        } else if when.is_some() {
            self.flow.meet(&entry);
        }
        self.flow.present.clear();
        self.allowed = outer;
        let when = match when {
            Some(None) => return, // The condition is wrong, which was reported.
            Some(when) => when,
            None => None,
        };
        self.groups.insert(self.build.steps.len(), group.name.span);
        self.build.steps.push(Step::Group {
            name: group.name.name.as_str().into(),
            first,
            when,
            site,
            rules,
        });
    }

    fn rule(&mut self, rule: &ast::Rule, above: &Arc<str>, shared: &Shared) -> RuleId {
        let outer = std::mem::take(&mut self.allowed);
        self.allowed = self.rule_attributes(&rule.attrs, "rule", &rule.name.name);
        self.allowed.extend_from_slice(&shared.allowed);
        let marks = attributes_of(&rule.attrs);
        let shadow = marks.shadow || shared.marks.shadow;
        let canary = match (marks.canary, shared.marks.canary) {
            (Some(own), Some(all)) => Some(own.min(all)),
            (own, all) => own.or(all),
        };
        let on = self.on(rule.on.as_ref());
        self.place.on = match &on {
            Some(on) if !on.is_empty() => on.clone(),
            _ => self.all_sources(),
        };
        let id = RuleId(self.build.rules.len() as u32);
        self.place.rule = Some(id);
        self.place.names.clear();
        self.build.rules.push(Rule {
            label: format!("{above}/{}", rule.name.name).into(),
            name: rule.name.name.as_str().into(),
            on: on.unwrap_or_default(),
            when: None,
            site: None,
            body: Vec::new(),
            attributes: attributes(&rule.attrs),
            shadow,
            canary,
            pinned: marks.pinned || shared.marks.pinned,
            was: marks.was,
            span: rule.name.span,
        });
        self.build.inlined.clear();
        self.note_point(rule.span.before());
        let entry = self.flow.clone();
        let when = rule.when.as_ref().map(|when| self.condition(when, "the condition of a rule"));
        if let Some(Some(when)) = when {
            self.learn(when, true);
        }
        let site = rule.when.as_ref().map(|when| self.new_site("when".to_owned(), when.span));
        if let (Some(None), Some(e)) = (when, &rule.when) {
            self.left_out(e.span);
        }
        self.flush_w312();
        let mut exits = Exits::default();
        let body = self.block(&rule.body, &mut exits);
        self.flush_w312();
        if shadow {
            // What it writes does not last.
            self.flow = entry;
            self.flow.present.clear();
        } else {
            let conditional = when.is_some() || canary.is_some();
            self.leave(entry, conditional, body.ends, exits.returns);
        }
        self.owned_errors(rule, when.flatten());
        self.note_point(rule.span.behind());
        self.place.rule = None;
        self.allowed = outer;
        let made = &mut self.build.rules[id.0 as usize];
        made.body = body.stmts;
        made.when = when.flatten();
        made.site = site;
        id
    }

    /// What is known behind a rule: where its ways out meet, and the way around it.
    fn leave(&mut self, entry: Flow, conditional: bool, ends: bool, returns: Vec<Flow>) {
        let mut ways = returns;
        if !ends {
            ways.push(self.flow.clone());
        }
        if conditional {
            ways.push(entry.clone());
        }
        // Where every event is dropped nothing comes behind; what was known before will do.
        let mut ways = ways.into_iter();
        let mut after = ways.next().unwrap_or(entry);
        for way in ways {
            after.meet(&way);
        }
        after.present.clear();
        self.flow = after;
    }

    pub(super) fn on(&mut self, on: Option<&On>) -> Option<Vec<usize>> {
        match on {
            None | Some(On::Any(_)) => Some(Vec::new()),
            Some(On::Source(name)) => {
                let id = self.find(Space::Source, "source", name)?;
                self.world.source_of.get(&id).map(|source| vec![*source])
            }
        }
    }

    /// The source that an `on` names, in a test.
    pub(super) fn source_on(&mut self, on: Option<&On>) -> Option<usize> {
        match on {
            None | Some(On::Any(_)) => (!self.world.sources.is_empty()).then_some(0),
            Some(On::Source(_)) => self.on(on)?.first().copied(),
        }
    }

    pub(super) fn flush_w312(&mut self) {
        for (_, diagnostic) in std::mem::take(&mut self.pending_w312) {
            self.report(diagnostic);
        }
    }

    /// W313: errors are dropped or thinned out by a rule that nobody owns.
    fn owned_errors(&mut self, rule: &ast::Rule, when: Option<ExprId>) {
        let owned = rule.attrs.iter().any(|attr| attr.name.name == "owner");
        let Some(when) = when else { return };
        if owned || !self.asks_for_errors(when) {
            return;
        }
        if let Some(at) = throws_away(&rule.body) {
            let diagnostic =
                Diagnostic::new(Code::W313, at, "errors go away here, and nobody owns the rule")
                    .related(rule.name.span, "this rule takes errors")
                    .suggest(
                        "say who decided it",
                        vec![(rule.span.before(), "@owner(\"…\") ".to_owned())],
                    );
            self.report(diagnostic);
        }
    }

    /// Whether a condition takes only events of severity error and above.
    fn asks_for_errors(&self, when: ExprId) -> bool {
        use crate::{
            column::Severity,
            plan::{CompareOp, Literal},
        };
        let error = Severity::named("error");
        match self.build.pool.op(when) {
            Op::And(ids) => ids.iter().any(|id| self.asks_for_errors(*id)),
            Op::Compare { op, left: _, right } => match self.build.pool.literal(*right) {
                Some(Literal::Severity(severity)) => {
                    matches!(op, CompareOp::Eq | CompareOp::Ge | CompareOp::Gt)
                        && Some(*severity) >= error
                }
                _ => false,
            },
            _ => false,
        }
    }
}

/// What a group says of all its rules.
#[derive(Default)]
struct Shared {
    allowed: Vec<Code>,
    marks: Marks,
}

/// Attributes that change what a rule does.
#[derive(Default)]
pub(super) struct Marks {
    pub(super) shadow: bool,
    pub(super) canary: Option<f64>,
    pub(super) pinned: bool,
    pub(super) was: Option<Arc<str>>,
}

/// The marks among attributes; what is wrong with one was reported.
pub(super) fn attributes_of(attrs: &[ast::Attr]) -> Marks {
    let mut marks = Marks::default();
    for attr in attrs {
        match (attr.name.name.as_str(), &attr.args) {
            ("shadow", _) => marks.shadow = true,
            ("pin", _) => marks.pinned = true,
            ("canary", ast::AttrArgs::Ratio(ratio)) => marks.canary = Some(ratio.share()),
            ("was", _) => marks.was = attr_texts(attr).first().map(|(text, _)| (*text).into()),
            _ => {}
        }
    }
    marks
}

/// The statement that throws events away, if a block has one that no other condition guards.
fn throws_away(block: &ast::Block) -> Option<Span> {
    block.stmts.iter().find_map(|stmt| match &stmt.kind {
        ast::StmtKind::Drop { .. }
        | ast::StmtKind::Sample { .. }
        | ast::StmtKind::Limit { .. }
        | ast::StmtKind::Dedup { .. } => Some(stmt.span),
        _ => None,
    })
}

/// Attributes as names and texts.
fn attributes(attrs: &[ast::Attr]) -> Vec<(Arc<str>, String)> {
    attrs
        .iter()
        .map(|attr| {
            let texts: Vec<&str> = attr_texts(attr).into_iter().map(|(text, _)| text).collect();
            let text = match (&attr.args, texts.is_empty()) {
                (ast::AttrArgs::List(args), true) => args
                    .iter()
                    .filter_map(|arg| match &arg.value.kind {
                        ast::ExprKind::Tagged { raw, .. } => Some(raw.as_str()),
                        _ => None,
                    })
                    .collect::<Vec<_>>()
                    .join(", "),
                _ => texts.join(", "),
            };
            (attr.name.name.as_str().into(), text)
        })
        .collect()
}

/// What stands before the rules' names: the file's stem, or its path where two files have one stem.
fn labels(checker: &Checker<'_>) -> Vec<Arc<str>> {
    let stem = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let units = &checker.loaded.units;
    units
        .iter()
        .map(|unit| {
            let own = stem(&unit.path);
            let alone = units.iter().filter(|other| stem(&other.path) == own).count() == 1;
            if alone { own.into() } else { unit.path.with_extension("").to_string_lossy().into() }
        })
        .collect()
}
