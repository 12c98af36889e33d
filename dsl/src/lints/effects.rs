//! What statements do to an event: which paths they write, and whether any event passes their end.

use crate::{
    column::{Layout, NodeId},
    plan::{AssignOp, Rule, Stmt},
};

/// What a rule may change.
#[derive(Debug, Default)]
pub(super) struct Writes {
    /// Paths that are written or removed, with all below them.
    pub(super) nodes: Vec<NodeId>,
    /// Whether everything but some paths goes.
    pub(super) everything: bool,
}

/// The paths that a block may change.
pub(super) fn writes(body: &[Stmt]) -> Writes {
    let mut found = Writes::default();
    collect(body, &mut found);
    found
}

fn collect(body: &[Stmt], found: &mut Writes) {
    for stmt in body {
        match stmt {
            Stmt::Assign { target, .. } => found.nodes.push(*target),
            Stmt::Del(sets) => found.nodes.extend(sets.iter().map(|set| set.node)),
            Stmt::Keep(_) => found.everything = true,
            Stmt::Rename { from, to, .. } => found.nodes.extend([*from, *to]),
            Stmt::Tag { tags, .. } => found.nodes.push(*tags),
            Stmt::Sample { weight, .. } => found.nodes.push(*weight),
            Stmt::Dedup { count, .. } => found.nodes.push(*count),
            Stmt::Emit { target: Some(target), .. } => found.nodes.push(*target),
            Stmt::Emit { target: None, .. } => found.everything = true,
            Stmt::Let { .. }
            | Stmt::If { .. }
            | Stmt::Limit { .. }
            | Stmt::Count { .. }
            | Stmt::Return
            | Stmt::Route(_)
            | Stmt::Drop { .. } => {}
        }
        for block in stmt.blocks() {
            collect(block, found);
        }
    }
}

/// Paths that a statement reads by itself: what it adds to, moves or fills in.
pub(super) fn own_reads(stmt: &Stmt) -> Vec<NodeId> {
    match stmt {
        Stmt::Assign { target, op: AssignOp::Merge | AssignOp::Default, .. } => vec![*target],
        Stmt::Rename { from, .. } => vec![*from],
        Stmt::Tag { tags, .. } => vec![*tags],
        Stmt::Sample { weight, .. } => vec![*weight],
        Stmt::Assign { .. }
        | Stmt::Let { .. }
        | Stmt::If { .. }
        | Stmt::Route(_)
        | Stmt::Del(_)
        | Stmt::Keep(_)
        | Stmt::Limit { .. }
        | Stmt::Dedup { .. }
        | Stmt::Emit { .. }
        | Stmt::Count { .. }
        | Stmt::Return
        | Stmt::Drop { .. } => Vec::new(),
    }
}

/// Whether every event that comes into a block is dropped in it.
pub(super) fn drops(body: &[Stmt]) -> bool {
    let (leaks, done) = ends(body, &|stmt| matches!(stmt, Stmt::Drop { .. }));
    done && !leaks
}

/// Whether an event may leave a block early without an end, and whether every one that comes to its last line has one.
pub(super) fn ends(body: &[Stmt], is_end: &dyn Fn(&Stmt) -> bool) -> (bool, bool) {
    let mut leaks = false;
    for stmt in body {
        if is_end(stmt) {
            return (leaks, true);
        }
        match stmt {
            Stmt::Return => return (true, true),
            Stmt::Drop { .. } => return (leaks, true),
            Stmt::If { then, otherwise, .. } => {
                let (then_leaks, then_done) = ends(then, is_end);
                let (else_leaks, else_done) = ends(otherwise, is_end);
                leaks |= then_leaks | else_leaks;
                if then_done && else_done {
                    return (leaks, true);
                }
            }
            // Whoever comes into the `else` of a `let` leaves there.
            Stmt::Let { otherwise: Some(block), .. } => {
                let (block_leaks, block_done) = ends(block, is_end);
                leaks |= block_leaks || !block_done;
            }
            _ => {
                for block in stmt.blocks() {
                    leaks |= ends(block, is_end).0;
                }
            }
        }
    }
    (leaks, false)
}

/// Whether one path lies in the other or is the same.
pub(super) fn overlap(layout: &Layout, a: NodeId, b: NodeId) -> bool {
    is_in(layout, a, b) || is_in(layout, b, a)
}

fn is_in(layout: &Layout, mut inner: NodeId, outer: NodeId) -> bool {
    loop {
        if inner == outer {
            return true;
        }
        if inner == NodeId::ROOT {
            return false;
        }
        inner = layout.node(inner).parent;
    }
}

/// A path, what stands above it and what lies below it: all that a write to it may change.
pub(super) fn touched(layout: &Layout, node: NodeId) -> Vec<NodeId> {
    let mut found = layout.subtree(node);
    let mut at = node;
    while at != NodeId::ROOT {
        at = layout.node(at).parent;
        found.push(at);
    }
    found
}

/// Whether a rule does what it says with every event that it asks for: neither only looks on nor acts on a share.
pub(super) fn acts(rule: &Rule) -> bool {
    !rule.shadow && rule.canary.is_none()
}
