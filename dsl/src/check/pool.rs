//! Expressions, each distinct one once.
//!
//! Invariant: operands stand before what uses them, and equal expressions have one number.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
};

use crate::{
    column::NodeId,
    plan::{Expr, ExprId, Literal, Op},
    span::Span,
    types::{Ty, Type},
};

/// How deep expressions may nest after functions were put in place: whoever runs them may recurse.
pub(crate) const DEPTH_MAX: u16 = 256;

/// How many distinct expressions a program may have. Functions that call functions twice could otherwise double without end.
pub(crate) const EXPRS_MAX: usize = 200_000;

#[derive(Debug, Clone, Default)]
pub(crate) struct Pool {
    pub(crate) exprs: Vec<Expr>,
    depth: Vec<u16>,
    by_hash: HashMap<u64, Vec<ExprId>>,
    /// Whether a limit was passed.
    pub(crate) too_deep: bool,
    pub(crate) too_many: bool,
}

impl Pool {
    /// The number of this expression, a new one where no equal one exists.
    pub(crate) fn add(&mut self, op: Op, ty: Ty, span: Span) -> ExprId {
        let hash = hash_of(&op);
        if let Some(&known) = self.by_hash.get(&hash).and_then(|ids| {
            ids.iter().find(|id| {
                let known = &self.exprs[id.0 as usize];
                known.ty.base == ty.base && same(&known.op, &op)
            })
        }) {
            self.exprs[known.0 as usize].ty.optional |= ty.optional;
            return known;
        }
        let operands = op.operands();
        let depth = operands.iter().map(|id| self.depth[id.0 as usize]).max().unwrap_or(0) + 1;
        self.too_deep |= depth > DEPTH_MAX;
        self.too_many |= self.exprs.len() >= EXPRS_MAX;
        let id = ExprId(self.exprs.len() as u32);
        self.depth.push(depth.min(DEPTH_MAX));
        self.exprs.push(Expr { op, ty, span });
        self.by_hash.entry(hash).or_default().push(id);
        id
    }

    pub(crate) fn get(&self, id: ExprId) -> &Expr {
        &self.exprs[id.0 as usize]
    }

    pub(crate) fn op(&self, id: ExprId) -> &Op {
        &self.get(id).op
    }

    pub(crate) fn literal(&self, id: ExprId) -> Option<&Literal> {
        match self.op(id) {
            Op::Literal(literal) => Some(literal),
            _ => None,
        }
    }

    /// What stands below reading a value as a narrower type.
    pub(crate) fn below_narrow(&self, mut id: ExprId) -> ExprId {
        while let Op::Narrow(inner) = self.op(id) {
            id = *inner;
        }
        id
    }

    /// Paths that an expression reads.
    pub(crate) fn reads(&self, id: ExprId) -> BTreeSet<NodeId> {
        self.reads_at(id).into_iter().map(|(node, _)| node).collect()
    }

    /// Paths that an expression reads, each with where it is read first.
    pub(crate) fn reads_at(&self, id: ExprId) -> Vec<(NodeId, Span)> {
        let mut nodes = Vec::new();
        let mut seen = BTreeSet::new();
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            if let Op::Field(node) = self.op(id) {
                nodes.push((*node, self.get(id).span));
            }
            open.extend(self.op(id).operands());
        }
        nodes
    }
}

/// Equal operations hash alike; what only [`same`] can tell apart may, too.
fn hash_of(op: &Op) -> u64 {
    let mut state = DefaultHasher::new();
    std::mem::discriminant(op).hash(&mut state);
    op.operands().hash(&mut state);
    match op {
        Op::Literal(literal) => format!("{literal:?}").hash(&mut state),
        Op::Field(node) => node.hash(&mut state),
        Op::Local(local) => local.hash(&mut state),
        Op::Member { key, .. } => key.hash(&mut state),
        Op::Call { function, .. } => function.name.hash(&mut state),
        _ => {}
    }
    state.finish()
}

fn same(a: &Op, b: &Op) -> bool {
    match (a, b) {
        // Zero and minus zero are equal as numbers, not as constants.
        (Op::Literal(Literal::Float(a)), Op::Literal(Literal::Float(b))) => {
            a.to_bits() == b.to_bits()
        }
        _ => a == b,
    }
}

/// An expression as the checker knows it where it stands: flow may know more than the expression's own type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Checked {
    pub(crate) id: ExprId,
    pub(crate) ty: Ty,
    pub(crate) span: Span,
}

impl Checked {
    pub(crate) fn base(&self) -> &Type {
        &self.ty.base
    }
}
