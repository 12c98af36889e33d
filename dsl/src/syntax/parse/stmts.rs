//! Statements, and the clauses of windows and alerts.

use logmon_grammar::{Pair, Rule};

use super::lower::{Lower, Parts, parts};
use crate::syntax::ast::{
    AssignOp, Block, Clause, ClauseKind, Else, Expr, If, LetPattern, MetaKind, PathGlob, Stmt,
    StmtKind, Target, Window,
};

impl Lower<'_> {
    pub(super) fn block(&mut self, pair: &Pair<'_>) -> Block {
        assert_eq!(pair.as_rule(), Rule::block);
        let stmts = parts(pair).map(|stmt| self.stmt(&stmt)).collect();
        Block { stmts, span: self.span(pair) }
    }

    fn stmt(&mut self, pair: &Pair<'_>) -> Stmt {
        let mut inner = parts(pair);
        let kind = match pair.as_rule() {
            Rule::let_stmt => {
                let pattern = inner.need();
                let pattern = if pattern.as_rule() == Rule::record_pat {
                    LetPattern::Fields(parts(&pattern).map(|field| self.ident(&field)).collect())
                } else {
                    LetPattern::Name(self.ident(&pattern))
                };
                let value = self.expr(&inner.need());
                StmtKind::Let { pattern, value, otherwise: self.else_block(&mut inner) }
            }
            Rule::assign_stmt => {
                let target = self.path(&inner.need());
                let op = match inner.need().as_str() {
                    "=" => AssignOp::Set,
                    "|=" => AssignOp::Merge,
                    _ => AssignOp::Default,
                };
                let value = self.expr(&inner.need());
                StmtKind::Assign { target, op, value, otherwise: self.else_block(&mut inner) }
            }
            Rule::if_stmt => StmtKind::If(self.if_stmt(pair)),
            Rule::drop_stmt => {
                StmtKind::Drop { reason: inner.next().map(|reason| self.string(&reason)) }
            }
            Rule::return_stmt => StmtKind::Return,
            Rule::route_stmt => StmtKind::Route(self.targets(inner)),
            Rule::emit_stmt => StmtKind::Emit {
                list: self.expr(&inner.need()),
                target: inner.next().map(|path| self.path(&path)),
            },
            Rule::sample_stmt => StmtKind::Sample {
                ratio: self.ratio(&inner.need()),
                by: self.by(&mut inner),
                otherwise: self.else_block(&mut inner),
            },
            Rule::limit_stmt => StmtKind::Limit {
                count: self.count(&inner.need()),
                per: self.time_unit(&inner.need()),
                burst: inner.pick(Rule::burst).map(|burst| self.count(&parts(&burst).need())),
                by: self.by(&mut inner),
                max_keys: inner.pick(Rule::max_keys).map(|keys| self.count(&parts(&keys).need())),
                otherwise: self.else_block(&mut inner),
            },
            Rule::dedup_stmt => StmtKind::Dedup {
                by: self.by(&mut inner),
                within: self.time(&inner.need()),
                otherwise: self.else_block(&mut inner),
            },
            Rule::del_stmt => StmtKind::Del(self.path_globs(inner)),
            Rule::keep_stmt => StmtKind::Keep(self.path_globs(inner)),
            Rule::rename_stmt => {
                let renaming = |renaming: Pair<'_>| {
                    let mut inner = parts(&renaming);
                    (self.path(&inner.need()), self.path(&inner.need()))
                };
                StmtKind::Rename(inner.map(renaming).collect())
            }
            Rule::tag_stmt => StmtKind::Tag(inner.map(|tag| self.string(&tag)).collect()),
            Rule::count_stmt => StmtKind::Count {
                metric: self.ident(&inner.need()),
                by: self.by(&mut inner),
                value: inner.pick(Rule::value_part).map(|value| self.expr(&parts(&value).need())),
            },
            Rule::masked => StmtKind::Error,
            other => unreachable!("{other:?} is no statement"),
        };
        Stmt { kind, span: self.span(pair) }
    }

    fn if_stmt(&mut self, pair: &Pair<'_>) -> If {
        let mut inner = parts(pair);
        let condition = self.expr(&inner.need());
        let then = self.block(&inner.need());
        let otherwise = inner.next().map(|other| match other.as_rule() {
            Rule::if_stmt => Else::If(Box::new(self.if_stmt(&other))),
            _ => Else::Block(self.block(&other)),
        });
        If { condition, then, otherwise, span: self.span(pair) }
    }

    fn else_block(&mut self, inner: &mut Parts<'_>) -> Option<Block> {
        inner.pick(Rule::else_block).map(|block| self.block(&parts(&block).need()))
    }

    fn by(&mut self, inner: &mut Parts<'_>) -> Vec<Expr> {
        inner.pick(Rule::by_part).map_or_else(Vec::new, |by| self.exprs(parts(&by)))
    }

    fn exprs(&mut self, inner: Parts<'_>) -> Vec<Expr> {
        inner.map(|expr| self.expr(&expr)).collect()
    }

    fn targets(&mut self, inner: Parts<'_>) -> Vec<Target> {
        inner.map(|target| self.target(&target)).collect()
    }

    pub(super) fn target(&mut self, pair: &Pair<'_>) -> Target {
        assert_eq!(pair.as_rule(), Rule::target);
        let mut inner = parts(pair);
        let sink = self.qname(&inner.need());
        let args = inner.next().map_or_else(Vec::new, |args| self.args(&args));
        Target { sink, args, span: self.span(pair) }
    }

    fn path_globs(&mut self, inner: Parts<'_>) -> Vec<PathGlob> {
        let glob = |pair: Pair<'_>| {
            let mut inner = parts(&pair);
            let path = self.path(&inner.need());
            PathGlob { path, below: inner.next().is_some(), span: self.span(&pair) }
        };
        inner.map(glob).collect()
    }

    /// Lowers a window or an alert.
    pub(super) fn window(&mut self, pair: &Pair<'_>) -> Window {
        let mut inner = parts(pair);
        Window {
            attrs: self.attrs(&inner.need()),
            name: self.ident(&inner.need()),
            on: inner.pick(Rule::on_part).map(|on| self.on(&on)),
            when: inner.pick(Rule::when_part).map(|when| self.expr(&parts(&when).need())),
            clauses: inner.map(|clause| self.clause(&clause)).collect(),
            span: self.span(pair),
        }
    }

    fn clause(&mut self, pair: &Pair<'_>) -> Clause {
        let mut inner = parts(pair);
        let part = |lower: &mut Self, inner: &mut Parts<'_>, rule| {
            inner.pick(rule).map(|part| lower.time(&parts(&part).need()))
        };
        let kind = match pair.as_rule() {
            Rule::over_clause => ClauseKind::Over {
                length: self.time(&inner.need()),
                every: part(self, &mut inner, Rule::every_part),
                late: part(self, &mut inner, Rule::late_part),
            },
            Rule::by_part => ClauseKind::By(self.exprs(inner)),
            Rule::let_clause => {
                ClauseKind::Let { name: self.ident(&inner.need()), value: self.expr(&inner.need()) }
            }
            Rule::fire_clause => ClauseKind::Fire {
                condition: self.expr(&inner.need()),
                hold: part(self, &mut inner, Rule::for_part),
                resolve: part(self, &mut inner, Rule::resolve_part),
            },
            Rule::meta_clause => {
                let kind = inner.need();
                let kind = match kind.as_str().trim() {
                    "severity" => MetaKind::Severity,
                    "summary" => MetaKind::Summary,
                    "runbook" => MetaKind::Runbook,
                    "notify" => MetaKind::Notify,
                    _ => MetaKind::Labels,
                };
                ClauseKind::Meta { kind, values: self.exprs(inner) }
            }
            Rule::route_stmt => ClauseKind::Route(self.targets(inner)),
            Rule::masked => ClauseKind::Error,
            other => unreachable!("{other:?} is no clause"),
        };
        Clause { kind, span: self.span(pair) }
    }
}
