//! What the tests of a program reach: its rules, and the branches of its statements.
//!
//! The evaluator counts no branches. Coverage runs another plan: in each branch stands a `let` of an absent value, whose
//! fault says that somebody came by.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    column::Absence,
    diagnostic::{Code, Diagnostic},
    lints::silence,
    plan::{Expr, ExprId, Literal, LocalId, Op, Plan, RuleId, Site, SiteId, Stmt},
    program::Analysis,
    span::Span,
    syntax::ast::{self, Block, Else, Item, StmtKind},
    test_block::{Test, TestStep, run_test, shadowed},
    types::{Ty, Type},
};

/// What tests reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// Every rule, and whether its conditions held for some event.
    pub rules: Vec<(RuleId, bool)>,
    /// Every branch of a statement, and whether some event came there.
    pub branches: Vec<Branch>,
}

/// A branch of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// The rule it belongs to.
    pub rule: RuleId,
    /// Its block.
    pub at: Span,
    /// Whether it is an `else`.
    pub is_else: bool,
    /// Whether some event came there.
    pub reached: bool,
}

impl Coverage {
    /// Whether everything was reached.
    pub fn is_whole(&self) -> bool {
        self.rules.iter().all(|(_, reached)| *reached)
            && self.branches.iter().all(|branch| branch.reached)
    }
}

/// Runs tests and says what they reach, whether they pass or not. The program must be without errors.
pub fn measure<'t>(analysis: &Analysis, tests: impl IntoIterator<Item = &'t Test>) -> Coverage {
    let mut marker = Marker::new(analysis.plan.clone());
    for item in analysis.loaded.units.iter().flat_map(|unit| &unit.ast.items) {
        match item {
            Item::Rule(rule) => marker.rule(rule),
            Item::Group(group) => group.rules.iter().for_each(|rule| marker.rule(rule)),
            _ => {}
        }
    }
    let Marker { plan, mut branches, first_site, .. } = marker;
    let plan = Arc::new(plan);
    let mut reached: BTreeSet<RuleId> = BTreeSet::new();
    for test in tests {
        let result = run_test(&plan, test);
        reached.extend(result.reached);
        for site in result.faulted.into_iter().filter(|site| site.0 >= first_site) {
            branches[(site.0 - first_site) as usize].reached = true;
        }
    }
    let rules = (0..plan.rules.len() as u32).map(RuleId);
    branches.sort_by_key(|branch| (branch.at.file, branch.at.start));
    Coverage { rules: rules.map(|rule| (rule, reached.contains(&rule))).collect(), branches }
}

/// What tests say of a program: W701 and W303, without what an `@allow` silences. The program must be without errors.
pub fn said_by_tests(analysis: &Analysis) -> Vec<Diagnostic> {
    let mut found = untested(analysis);
    found.extend(shadowed(&Arc::new(analysis.plan.clone()), &analysis.tests));
    silence(&analysis.loaded, &mut found);
    found
}

/// W701: rules and branches that no test reaches, and tests that expect nothing. The program must be without errors.
pub fn untested(analysis: &Analysis) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for test in &analysis.tests {
        if !test.steps.iter().any(|step| matches!(step, TestStep::Expect { .. })) {
            found.push(
                Diagnostic::new(Code::W701, test.span, "this test expects nothing")
                    .advise("add an `expect`: without one it cannot fail"),
            );
        }
    }
    let coverage = measure(analysis, &analysis.tests);
    for (id, reached) in &coverage.rules {
        let rule = analysis.plan.rule(*id);
        if !reached {
            let message = format!("no test reaches the rule `{}`", rule.name);
            found.push(
                Diagnostic::new(Code::W701, rule.span, message)
                    .advise("give an event that it takes, and say what becomes of it"),
            );
            continue;
        }
        // Of a rule that nothing reached no branch need be named.
        for branch in coverage.branches.iter().filter(|one| one.rule == *id && !one.reached) {
            let what = if branch.is_else { "`else`" } else { "branch" };
            let message = format!("no test reaches this {what} of `{}`", rule.name);
            found.push(
                Diagnostic::new(Code::W701, branch.at, message)
                    .advise("give an event that comes here, and say what becomes of it"),
            );
        }
    }
    found
}

struct Marker {
    plan: Plan,
    branches: Vec<Branch>,
    /// Sites from here on are marks, one a branch.
    first_site: u32,
    absent: ExprId,
    local: LocalId,
}

impl Marker {
    fn new(mut plan: Plan) -> Self {
        let absent = ExprId(plan.exprs.len() as u32);
        plan.exprs.push(Expr {
            op: Op::Literal(Literal::Absent(Absence::Parse)),
            ty: Ty::optional(Type::Null),
            span: Span::default(),
        });
        let local = LocalId(plan.n_locals as u32);
        plan.n_locals += 1;
        let first_site = plan.sites.len() as u32;
        Self { plan, branches: Vec::new(), first_site, absent, local }
    }

    fn rule(&mut self, rule: &ast::Rule) {
        let found = self.plan.rules.iter().position(|known| known.span == rule.name.span);
        let Some(index) = found else { return };
        let mut body = std::mem::take(&mut self.plan.rules[index].body);
        self.block(RuleId(index as u32), &rule.body, &mut body);
        self.plan.rules[index].body = body;
    }

    /// The tree and the plan go side by side: what a statement became stands in its place.
    fn block(&mut self, rule: RuleId, block: &Block, stmts: &mut [Stmt]) {
        let mut stmts = stmts.iter_mut();
        for stmt in &block.stmts {
            match &stmt.kind {
                StmtKind::Error => {}
                // One statement for each pair.
                StmtKind::Rename(pairs) => {
                    for _ in pairs {
                        stmts.next();
                    }
                }
                kind => {
                    let Some(made) = stmts.next() else { return };
                    self.stmt(rule, kind, made);
                }
            }
        }
    }

    fn stmt(&mut self, rule: RuleId, kind: &StmtKind, made: &mut Stmt) {
        match (kind, made) {
            (
                StmtKind::Let { otherwise: Some(block), .. },
                Stmt::Let { otherwise: Some(stmts), .. },
            )
            | (
                StmtKind::Assign { otherwise: Some(block), .. },
                Stmt::Assign { otherwise: Some(stmts), .. },
            )
            | (
                StmtKind::Sample { otherwise: Some(block), .. },
                Stmt::Sample { otherwise: Some(stmts), .. },
            )
            | (
                StmtKind::Limit { otherwise: Some(block), .. },
                Stmt::Limit { otherwise: Some(stmts), .. },
            )
            | (
                StmtKind::Dedup { otherwise: Some(block), .. },
                Stmt::Dedup { otherwise: Some(stmts), .. },
            ) => self.branch(rule, block, stmts, true),
            (StmtKind::If(it), Stmt::If { then, otherwise, .. }) => {
                self.branch(rule, &it.then, then, false);
                match &it.otherwise {
                    Some(Else::Block(block)) => self.branch(rule, block, otherwise, true),
                    Some(Else::If(next)) => {
                        if let Some(made) = otherwise.first_mut() {
                            self.stmt(rule, &StmtKind::If((**next).clone()), made);
                        }
                    }
                    None => {}
                }
            }
            _ => {}
        }
    }

    fn branch(&mut self, rule: RuleId, block: &Block, stmts: &mut Vec<Stmt>, is_else: bool) {
        self.block(rule, block, stmts);
        let site = SiteId(self.plan.sites.len() as u32);
        self.plan.sites.push(Site { rule, label: "branch".into(), span: block.span });
        self.branches.push(Branch { rule, at: block.span, is_else, reached: false });
        let bindings = vec![(self.local, self.absent)];
        stmts.insert(0, Stmt::Let { bindings, otherwise: None, site });
    }
}
