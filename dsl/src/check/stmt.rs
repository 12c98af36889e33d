//! Statements: what a rule does, and what is known after each.

use std::{cell::Cell, sync::Arc};

use super::{Checked, Checker, Flow, Named, write::Target};
use crate::{
    diagnostic::{Code, Diagnostic},
    plan::{AssignOp, Op, PathSet, Ratio, Stmt},
    span::Span,
    syntax::ast::{self, Block, LetPattern, StmtKind},
    types::{Ty, Type},
};

/// How deep blocks may nest.
const BLOCKS_MAX: usize = 64;

/// A checked block.
#[derive(Debug, Default)]
pub(super) struct Body {
    pub(super) stmts: Vec<Stmt>,
    /// Whether no event passes its end: every way returns or drops.
    pub(super) ends: bool,
}

/// What leaves a rule before its end.
#[derive(Default)]
pub(super) struct Exits {
    /// What is known where a `return` stands.
    pub(super) returns: Vec<Flow>,
    depth: usize,
}

impl Checker<'_> {
    /// Checks a block; names bound in it end with it.
    pub(super) fn block(&mut self, block: &Block, exits: &mut Exits) -> Body {
        let names = self.place.names.len();
        let mut body = Body::default();
        exits.depth += 1;
        if exits.depth > BLOCKS_MAX {
            self.fail::<()>(Code::E106, block.span, "blocks are nested too deeply");
        } else {
            let mut told = false;
            for stmt in &block.stmts {
                if body.ends && !told {
                    told = true;
                    self.report(
                        Diagnostic::new(Code::W111, stmt.span, "nothing reaches this statement")
                            .label("every event has left before it"),
                    );
                }
                self.note_point(stmt.span.before());
                self.stmt(stmt, &mut body, exits);
            }
            self.note_point(block.span.behind());
        }
        exits.depth -= 1;
        self.end_names(names);
        body
    }

    /// Ends names at the end of their block.
    fn end_names(&mut self, from: usize) {
        for named in self.place.names.split_off(from) {
            let Some(at) = named.at else { continue };
            if !named.used.get() && !named.name.starts_with('_') {
                let message = format!("`{}` is never used", named.name);
                self.report(
                    Diagnostic::new(Code::W110, at, message)
                        .advise(format!("`_{}` says that this is meant", named.name)),
                );
            }
        }
    }

    fn stmt(&mut self, stmt: &ast::Stmt, body: &mut Body, exits: &mut Exits) {
        // Functions may read fields, whose types are other ones now.
        self.build.inlined.clear();
        let made = match &stmt.kind {
            StmtKind::Error => None,
            StmtKind::Let { pattern, value, otherwise } => {
                self.let_stmt(pattern, value, otherwise.as_ref(), exits)
            }
            StmtKind::Assign { target, op, value, otherwise } => {
                self.assign(target, *op, value, otherwise.as_ref(), exits)
            }
            StmtKind::If(it) => {
                let (made, ends) = self.if_stmt(it, exits);
                body.ends |= ends;
                made
            }
            StmtKind::Return => {
                exits.returns.push(self.flow.clone());
                body.ends = true;
                Some(Stmt::Return)
            }
            StmtKind::Drop { reason } => {
                body.ends = true;
                let reason: Arc<str> = match reason {
                    Some(text) => text.value.as_str().into(),
                    None => self.rule_name(),
                };
                Some(Stmt::Drop { reason })
            }
            StmtKind::Route(targets) => {
                let targets = self.targets(targets);
                (!targets.is_empty()).then_some(Stmt::Route(targets))
            }
            StmtKind::Sample { ratio, by, otherwise } => {
                self.sample(ratio, by, otherwise.as_ref(), exits)
            }
            StmtKind::Del(globs) => self.del(globs),
            StmtKind::Keep(globs) => self.keep(globs),
            StmtKind::Rename(pairs) => {
                for (from, to) in pairs {
                    if let Some(made) = self.rename(from, to) {
                        body.stmts.push(made);
                    }
                }
                None
            }
            StmtKind::Tag(texts) => self.tag(stmt.span, texts),
            StmtKind::Emit { list, target } => self.emit(list, target.as_ref()),
            StmtKind::Limit { count, per, burst, by, max_keys, otherwise } => self.limit(
                count,
                per,
                burst.as_ref(),
                by,
                max_keys.as_ref(),
                otherwise.as_ref(),
                exits,
            ),
            StmtKind::Dedup { by, within, otherwise } => {
                self.dedup(by, within, otherwise.as_ref(), exits)
            }
            StmtKind::Count { metric, by, value } => {
                self.count_stmt(stmt.span, metric, by, value.as_ref())
            }
        };
        let silent = matches!(stmt.kind, StmtKind::Error | StmtKind::Rename(_));
        if made.is_none() && !silent {
            self.left_out(stmt.span);
        }
        body.stmts.extend(made);
    }

    fn rule_name(&self) -> Arc<str> {
        let rule = self.place.rule.and_then(|rule| self.build.rules.get(rule.0 as usize));
        rule.map_or_else(|| "rule".into(), |rule| rule.name.clone())
    }

    fn let_stmt(
        &mut self,
        pattern: &LetPattern,
        value: &ast::Expr,
        otherwise: Option<&Block>,
        exits: &mut Exits,
    ) -> Option<Stmt> {
        let label = match pattern {
            LetPattern::Name(name) => format!("let {}", name.name),
            LetPattern::Fields(names) => {
                let names: Vec<_> = names.iter().map(|name| name.name.as_str()).collect();
                format!("let {{ {} }}", names.join(", "))
            }
        };
        let found = self.expr(value, None);
        let otherwise_made = otherwise.map(|block| {
            let flow = self.flow.clone();
            let body = self.block(block, exits);
            self.flow = flow;
            if !body.ends {
                self.report(
                    Diagnostic::new(Code::E103, block.span, "this `else` block falls through")
                        .label("ends without `return` or `drop`")
                        .note("behind it the name of the `let` would have no value"),
                );
            }
            body.stmts
        });
        let Some(found) = found else {
            // What is bound is not known, and what uses it stays quiet.
            self.bind_unknown(pattern);
            return None;
        };
        // Members are taken out of records alone: anything else is a miss, not a record without members.
        let is_open = *found.base() == Type::Any && matches!(pattern, LetPattern::Fields(_));
        let found = if is_open { self.narrow(found, Type::map(Type::Any)) } else { found };
        if otherwise.is_some() {
            // Whoever comes behind the `else` has the value.
            self.flow.present.insert(found.id);
            self.flow.present.insert(self.build.pool.below_narrow(found.id));
        }
        let local = self.new_local();
        let optional = found.ty.optional && otherwise.is_none();
        let ty = Ty { optional, ..found.ty.clone() };
        let bound = self.add(Op::Local(local), ty.clone(), value.span);
        let bound = Checked { ty, ..bound };
        match pattern {
            LetPattern::Name(name) => self.bind(name, Some(bound)),
            LetPattern::Fields(names) => {
                for name in names {
                    let member = self.member(&bound, name, name.span);
                    self.bind(name, member);
                }
            }
        }
        let site = self.new_site(label, value.span);
        Some(Stmt::Let { bindings: vec![(local, found.id)], otherwise: otherwise_made, site })
    }

    fn bind_unknown(&mut self, pattern: &LetPattern) {
        match pattern {
            LetPattern::Name(name) => self.bind(name, None),
            LetPattern::Fields(names) => {
                for name in names {
                    self.bind(name, None);
                }
            }
        }
    }

    fn bind(&mut self, name: &ast::Ident, value: Option<Checked>) {
        let known =
            Named { name: name.name.clone(), value, at: Some(name.span), used: Cell::new(false) };
        self.place.names.push(known);
    }

    fn assign(
        &mut self,
        path: &ast::Path,
        op: ast::AssignOp,
        value: &ast::Expr,
        otherwise: Option<&Block>,
        exits: &mut Exits,
    ) -> Option<Stmt> {
        let target = self.target(path);
        let wanted = match &target {
            Some(target) => {
                self.declared(target).and_then(|wanted| wanted.into_iter().next()).map(|ty| ty.base)
            }
            None => None,
        };
        let found = self.expr(value, wanted.as_ref());
        let made = match (&target, found) {
            (Some(target), Some(found)) => self.written_value(target, op, found),
            _ => None,
        };
        let before = self.flow.clone();
        let otherwise = otherwise.map(|block| {
            let body = self.block(block, exits);
            (body, std::mem::replace(&mut self.flow, before))
        });
        let op = match op {
            ast::AssignOp::Set => AssignOp::Set,
            ast::AssignOp::Merge => AssignOp::Merge,
            ast::AssignOp::Default => AssignOp::Default,
        };
        // Where the `else` block never comes to an end, the value is there behind it.
        let sure = otherwise.as_ref().is_some_and(|(body, _)| body.ends);
        if let (Some(target), Some(value)) = (&target, &made) {
            let mut value = value.clone();
            value.ty.optional &= !sure;
            self.wrote(target, op, &value);
        } else if let Some(target) = &target {
            // The value is unknown, so whatever reads it later stays quiet.
            let id = self.build.pool.add(
                Op::Literal(crate::plan::Literal::Absent(crate::column::Absence::Missing)),
                Ty::optional(Type::Any),
                target.span,
            );
            let unknown = Checked { id, ty: Ty::optional(Type::Any), span: target.span };
            self.wrote(target, op, &unknown);
        }
        let otherwise = otherwise.map(|(body, flow)| {
            if !body.ends {
                self.flow.meet(&flow);
            }
            body.stmts
        });
        let (target, value) = (target?, made?);
        let path = self.build.layout.display(target.node);
        let site = self.new_site(format!("{path} {}", symbol(op)), target.span);
        Some(Stmt::Assign { target: target.node, op, value: value.id, otherwise, site })
    }

    fn written_value(
        &mut self,
        target: &Target,
        op: ast::AssignOp,
        found: Checked,
    ) -> Option<Checked> {
        if op != ast::AssignOp::Merge {
            return self.fit_target(found, target);
        }
        match found.base() {
            Type::Record(_) | Type::Map(_) => {}
            Type::Any => return Some(self.narrow(found, Type::map(Type::Any))),
            other => {
                let message = format!("`|=` takes a record or map, not `{other}`");
                return self.fail(Code::E101, found.span, message);
            }
        }
        for want in self.declared(target)? {
            if !matches!(want.base, Type::Record(_) | Type::Map(_) | Type::Any) {
                let path = self.build.layout.display(target.node);
                let message = format!("`{path}` is `{}`: nothing merges into it", want.base);
                return self.fail(Code::E101, target.span, message);
            }
        }
        Some(found)
    }

    fn if_stmt(&mut self, it: &ast::If, exits: &mut Exits) -> (Option<Stmt>, bool) {
        let condition = self.condition(&it.condition, "the condition of `if`");
        let before = self.flow.clone();
        if let Some(condition) = condition {
            self.learn(condition, true);
        }
        let then = self.block(&it.then, exits);
        let after_then = std::mem::replace(&mut self.flow, before);
        if let Some(condition) = condition {
            self.learn(condition, false);
        }
        let otherwise = match &it.otherwise {
            None => Body::default(),
            Some(ast::Else::Block(block)) => self.block(block, exits),
            Some(ast::Else::If(inner)) => {
                exits.depth += 1;
                let (made, ends) = if exits.depth > BLOCKS_MAX {
                    self.fail::<()>(Code::E106, inner.span, "blocks are nested too deeply");
                    (None, false)
                } else {
                    self.if_stmt(inner, exits)
                };
                exits.depth -= 1;
                Body { stmts: made.into_iter().collect(), ends }
            }
        };
        match (then.ends, otherwise.ends) {
            (false, true) => self.flow = after_then,
            (false, false) => self.flow.meet(&after_then),
            (true, _) => {}
        }
        let ends = then.ends && otherwise.ends;
        let made = condition.map(|condition| Stmt::If {
            condition,
            site: Some(self.new_site("if".to_owned(), it.condition.span)),
            then: then.stmts,
            otherwise: otherwise.stmts,
        });
        (made, ends)
    }

    fn sample(
        &mut self,
        ratio: &ast::Ratio,
        by: &[ast::Expr],
        otherwise: Option<&Block>,
        exits: &mut Exits,
    ) -> Option<Stmt> {
        let (n, of) = match ratio.kind {
            ast::RatioKind::Percent(percent) => (percent, 100.0),
            ast::RatioKind::Fraction { part, whole } => (part as f64, whole as f64),
        };
        let sound = n > 0.0 && of > 0.0 && n <= of;
        if !sound {
            let message = "a share is more than nothing and at most everything";
            self.fail::<()>(Code::E120, ratio.span, message);
        }
        let keys: Vec<_> = by.iter().map(|key| self.expr(key, None).map(|key| key.id)).collect();
        let weight_keys: [Arc<str>; 1] = ["sample_weight".into()];
        let node = self.node(&weight_keys);
        self.written.insert(node);
        let before = self.flow.clone();
        let otherwise = otherwise.map(|block| {
            let body = self.block(block, exits);
            (body, std::mem::replace(&mut self.flow, before))
        });
        let target = Target { node, keys: weight_keys.to_vec(), span: ratio.span };
        let weight = Ty::required(Type::Any);
        let id = self.build.pool.add(Op::Field(node), Ty::optional(Type::Any), ratio.span);
        self.wrote(&target, AssignOp::Set, &Checked { id, ty: weight, span: ratio.span });
        let otherwise = otherwise.map(|(body, flow)| {
            if !body.ends {
                self.flow.meet(&flow);
            }
            body.stmts
        });
        let by: Option<Vec<_>> = keys.into_iter().collect();
        let by = by?;
        sound.then_some(Stmt::Sample { ratio: Ratio { n, of }, by, otherwise, weight: node })
    }

    fn path_set(&mut self, glob: &ast::PathGlob) -> Option<(PathSet, Target)> {
        if glob.below && glob.path.segs.is_empty() && matches!(glob.path.root, ast::PathRoot::Event)
        {
            return self.fail(Code::E101, glob.span, "name the fields: the event itself stays");
        }
        let target = self.target(&glob.path)?;
        Some((PathSet { node: target.node, below: glob.below }, target))
    }

    fn del(&mut self, globs: &[ast::PathGlob]) -> Option<Stmt> {
        let mut sets = Vec::with_capacity(globs.len());
        for glob in globs {
            if let Some((set, target)) = self.path_set(glob) {
                if glob.below {
                    self.removed_below(&target);
                } else {
                    self.removed(target.node, &target.keys);
                }
                sets.push(set);
            }
        }
        (!sets.is_empty()).then_some(Stmt::Del(sets))
    }

    /// `.a.*`: the record stays, what it holds goes.
    fn removed_below(&mut self, target: &Target) {
        let children = self.build.layout.subtree(target.node);
        for node in children.into_iter().skip(1) {
            let keys = super::expr::keys_of(&self.build.layout.path(node));
            self.removed(node, &keys);
        }
    }

    fn keep(&mut self, globs: &[ast::PathGlob]) -> Option<Stmt> {
        let mut sets = Vec::with_capacity(globs.len());
        let mut kept = Vec::with_capacity(globs.len());
        for glob in globs {
            if let Some((set, target)) = self.path_set(glob) {
                sets.push(set);
                kept.push(target);
            }
        }
        self.kept(&kept);
        (!sets.is_empty()).then_some(Stmt::Keep(sets))
    }

    fn rename(&mut self, from: &ast::Path, to: &ast::Path) -> Option<Stmt> {
        let moved = self.path(from);
        let from_target = self.target(from);
        let to_target = self.target(to);
        let (from_target, to_target) = (from_target?, to_target?);
        let moved = moved?;
        let inside = |a: &Target, b: &Target| b.keys.starts_with(&a.keys);
        if inside(&from_target, &to_target) || inside(&to_target, &from_target) {
            let message = "a path cannot move into itself";
            return self.fail(Code::E101, to.span, message);
        }
        for want in self.declared(&to_target)? {
            // A move changes no value, so it must fit as it is.
            let fits =
                *moved.base() == want.base || *moved.base() == Type::Any || want.base == Type::Any;
            if !fits {
                let want = Ty { optional: true, ..want };
                self.misfit(
                    &moved,
                    &want,
                    &format!("`{}`", self.build.layout.display(to_target.node)),
                );
                return None;
            }
        }
        self.removed(from_target.node, &from_target.keys);
        self.wrote(&to_target, AssignOp::Set, &moved);
        let label = format!(
            "rename {} -> {}",
            self.build.layout.display(from_target.node),
            self.build.layout.display(to_target.node)
        );
        let site = self.new_site(label, from.span.to(to.span));
        Some(Stmt::Rename { from: from_target.node, to: to_target.node, site })
    }

    fn tag(&mut self, span: Span, texts: &[ast::Text]) -> Option<Stmt> {
        let keys: [Arc<str>; 1] = ["tags".into()];
        let node = self.node(&keys);
        self.written.insert(node);
        let target = Target { node, keys: keys.to_vec(), span };
        let list = Type::list(Type::Text);
        for want in self.declared(&target)? {
            if want.base != list && want.base != Type::list(Type::Any) {
                let message =
                    format!("`tag` writes the list `.tags`, which is `{}` here", want.base);
                return self.fail(Code::E101, span, message);
            }
        }
        let id = self.build.pool.add(Op::Field(node), Ty::optional(Type::Any), span);
        self.wrote(&target, AssignOp::Set, &Checked { id, ty: Ty::required(list), span });
        let texts = texts.iter().map(|text| text.value.as_str().into()).collect();
        let site = self.new_site("tag".to_owned(), span);
        Some(Stmt::Tag { tags: node, texts, site })
    }
}

fn symbol(op: AssignOp) -> &'static str {
    match op {
        AssignOp::Set => "=",
        AssignOp::Default => "??=",
        AssignOp::Merge => "|=",
    }
}
