//! Every expression of a tree, without recursion: chains of operators nest as deeply as a text is long.

use super::ast::{
    Block, ClauseKind, Else, Expectation, Expr, ExprKind, If, Item, Piece, RecordField, Rule,
    StepKind, Stmt, StmtKind,
};

/// The expressions directly inside one.
pub(crate) fn children(e: &Expr) -> Vec<&Expr> {
    match &e.kind {
        ExprKind::Null
        | ExprKind::Bool(_)
        | ExprKind::Int(_)
        | ExprKind::Float(_)
        | ExprKind::Duration(_)
        | ExprKind::Text { .. }
        | ExprKind::Tagged { .. }
        | ExprKind::Path(_)
        | ExprKind::Name(_)
        | ExprKind::Error => Vec::new(),
        ExprKind::Interpolated(pieces) => pieces
            .iter()
            .filter_map(|piece| match piece {
                Piece::Hole(hole) => Some(hole),
                Piece::Text(_) => None,
            })
            .collect(),
        ExprKind::Call { args, filter, .. } => {
            args.iter().map(|arg| &arg.value).chain(filter.as_deref()).collect()
        }
        ExprKind::Member { base: of, .. } | ExprKind::Not(of) | ExprKind::Neg(of) => vec![of],
        ExprKind::Lambda { body, .. } => vec![body],
        ExprKind::Index { base, index } => vec![base, index],
        ExprKind::List(items)
        | ExprKind::Or(items)
        | ExprKind::And(items)
        | ExprKind::Coalesce(items) => items.iter().collect(),
        ExprKind::Record(fields) => fields
            .iter()
            .map(|field| match field {
                RecordField::Field { value, .. } | RecordField::Spread(value) => value,
            })
            .collect(),
        ExprKind::If { condition, then, otherwise } => vec![condition, then, otherwise],
        ExprKind::Match { subject, arms } => {
            std::iter::once(&**subject).chain(arms.iter().map(|arm| &arm.value)).collect()
        }
        ExprKind::Compare { left, right, .. } | ExprKind::Arithmetic { left, right, .. } => {
            vec![left, right]
        }
        ExprKind::Is { subject, .. } => vec![subject],
    }
}

/// Visits an expression and all inside it.
pub(crate) fn expr<'e>(root: &'e Expr, visit: &mut dyn FnMut(&'e Expr)) {
    let mut open = vec![root];
    while let Some(e) = open.pop() {
        visit(e);
        open.extend(children(e));
    }
}

/// Visits every statement of a block, those of inner blocks too.
pub(crate) fn stmts<'b>(block: &'b Block, visit: &mut dyn FnMut(&'b Stmt)) {
    let mut open = vec![block];
    while let Some(block) = open.pop() {
        for stmt in &block.stmts {
            visit(stmt);
            open.extend(blocks(stmt));
        }
    }
}

/// The blocks directly inside a statement.
fn blocks(stmt: &Stmt) -> Vec<&Block> {
    match &stmt.kind {
        StmtKind::Let { otherwise, .. }
        | StmtKind::Assign { otherwise, .. }
        | StmtKind::Sample { otherwise, .. }
        | StmtKind::Limit { otherwise, .. }
        | StmtKind::Dedup { otherwise, .. } => otherwise.iter().collect(),
        StmtKind::If(it) => branches(it).into_iter().flat_map(|(_, blocks)| blocks).collect(),
        StmtKind::Drop { .. }
        | StmtKind::Return
        | StmtKind::Route(_)
        | StmtKind::Emit { .. }
        | StmtKind::Del(_)
        | StmtKind::Keep(_)
        | StmtKind::Rename(_)
        | StmtKind::Tag(_)
        | StmtKind::Count { .. }
        | StmtKind::Error => Vec::new(),
    }
}

/// An `if` and its `else if`s: each condition with its blocks.
fn branches(it: &If) -> Vec<(&Expr, Vec<&Block>)> {
    let mut found = Vec::new();
    let mut at = it;
    loop {
        let mut blocks = vec![&at.then];
        match &at.otherwise {
            Some(Else::If(next)) => {
                found.push((&at.condition, blocks));
                at = next;
            }
            Some(Else::Block(block)) => {
                blocks.push(block);
                found.push((&at.condition, blocks));
                return found;
            }
            None => {
                found.push((&at.condition, blocks));
                return found;
            }
        }
    }
}

/// The expressions of a statement itself, not those of its blocks.
pub(crate) fn stmt_exprs(stmt: &Stmt) -> Vec<&Expr> {
    match &stmt.kind {
        StmtKind::Let { value, .. } | StmtKind::Assign { value, .. } => vec![value],
        StmtKind::If(it) => branches(it).into_iter().map(|(condition, _)| condition).collect(),
        StmtKind::Route(targets) => {
            targets.iter().flat_map(|target| target.args.iter().map(|arg| &arg.value)).collect()
        }
        StmtKind::Emit { list, .. } => vec![list],
        StmtKind::Sample { by, .. } | StmtKind::Limit { by, .. } | StmtKind::Dedup { by, .. } => {
            by.iter().collect()
        }
        StmtKind::Count { by, value, .. } => by.iter().chain(value).collect(),
        StmtKind::Drop { .. }
        | StmtKind::Return
        | StmtKind::Del(_)
        | StmtKind::Keep(_)
        | StmtKind::Rename(_)
        | StmtKind::Tag(_)
        | StmtKind::Error => Vec::new(),
    }
}

/// Visits every expression of a declaration.
pub(crate) fn item<'i>(item: &'i Item, visit: &mut dyn FnMut(&'i Expr)) {
    match item {
        Item::Const(it) => expr(&it.value, visit),
        Item::Fn(it) => expr(&it.body, visit),
        Item::Rule(it) => rule(it, visit),
        Item::Group(it) => {
            if let Some(when) = &it.when {
                expr(when, visit);
            }
            for it in &it.rules {
                rule(it, visit);
            }
        }
        Item::Window(it) | Item::Alert(it) => {
            if let Some(when) = &it.when {
                expr(when, visit);
            }
            for clause in &it.clauses {
                match &clause.kind {
                    ClauseKind::By(list) | ClauseKind::Meta { values: list, .. } => {
                        for e in list {
                            expr(e, visit);
                        }
                    }
                    ClauseKind::Let { value, .. } => expr(value, visit),
                    ClauseKind::Fire { condition, .. } => expr(condition, visit),
                    ClauseKind::Route(targets) => {
                        for target in targets {
                            for arg in &target.args {
                                expr(&arg.value, visit);
                            }
                        }
                    }
                    ClauseKind::Over { .. } | ClauseKind::Error => {}
                }
            }
        }
        Item::DefaultRoute(it) => {
            for target in &it.targets {
                for arg in &target.args {
                    expr(&arg.value, visit);
                }
            }
        }
        Item::Test(it) => {
            for step in &it.steps {
                match &step.kind {
                    StepKind::At(e) | StepKind::Given { event: e, .. } => expr(e, visit),
                    StepKind::Mock { entries, .. } => {
                        for entry in entries {
                            expr(&entry.key, visit);
                            expr(&entry.value, visit);
                        }
                    }
                    StepKind::Expect(Expectation::Holds(e)) => expr(e, visit),
                    StepKind::Expect(Expectation::Fate { body, .. }) => {
                        for e in body {
                            expr(e, visit);
                        }
                    }
                    StepKind::Advance(_) | StepKind::Error => {}
                }
            }
        }
        Item::Use(_)
        | Item::Include(_)
        | Item::Enum(_)
        | Item::Type(_)
        | Item::Source(_)
        | Item::Lookup(_)
        | Item::Sink(_)
        | Item::Error(_) => {}
    }
}

/// Visits every expression of a rule; its attributes hold texts and times alone.
pub(crate) fn rule<'r>(it: &'r Rule, visit: &mut dyn FnMut(&'r Expr)) {
    if let Some(when) = &it.when {
        expr(when, visit);
    }
    stmts(&it.body, &mut |stmt| {
        for e in stmt_exprs(stmt) {
            expr(e, visit);
        }
    });
}

/// The rules of a declaration: itself, or those of its group.
pub(crate) fn rules(item: &Item) -> &[Rule] {
    match item {
        Item::Rule(it) => std::slice::from_ref(it),
        Item::Group(it) => &it.rules,
        _ => &[],
    }
}
