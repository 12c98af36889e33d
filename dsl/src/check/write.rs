//! Writing paths: what may be written where, and what is known afterwards.

use std::sync::Arc;

use super::{
    Checked, Checker, Flow,
    event::{self, Known, look},
    path::leading,
};
use crate::{
    column::NodeId,
    diagnostic::{Code, Diagnostic},
    plan::{AssignOp, ExprId},
    span::Span,
    syntax::ast::{Path, PathRoot},
    types::{Shape, Ty, Type},
};

/// A path that is written.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) node: NodeId,
    pub(super) keys: Vec<Arc<str>>,
    pub(super) span: Span,
}

impl Checker<'_> {
    /// A path as a place to write; metadata and elements are none.
    pub(super) fn target(&mut self, path: &Path) -> Option<Target> {
        if let PathRoot::Meta(name) = &path.root {
            let message = format!("`@{}` cannot be written", name.name);
            return self.fail(Code::E101, path.span, message);
        }
        let fields = leading(&path.segs);
        if let Some(seg) = path.segs.get(fields.len()) {
            self.report(
                Diagnostic::new(Code::E101, seg.span, "an element cannot be written by its place")
                    .advise("build the whole list with `map`, `push` or `concat`"),
            );
            return None;
        }
        if fields.is_empty() {
            self.report(
                Diagnostic::new(Code::E101, path.span, "the event as a whole cannot be written")
                    .advise("write its fields one by one"),
            );
            return None;
        }
        let keys: Vec<Arc<str>> = fields.iter().map(|(key, _)| (*key).into()).collect();
        let node = self.node(&keys);
        self.written.insert(node);
        Some(Target { node, keys, span: path.span })
    }

    /// What the sources of this place declare of a path that is written.
    pub(super) fn declared(&mut self, target: &Target) -> Option<Vec<Ty>> {
        let mut wanted: Vec<Ty> = Vec::new();
        let mut scalar = None;
        for source in &self.place.on {
            match look(&self.world.sources[*source].shape, &target.keys) {
                Known::Typed { ty, .. } if ty.base != Type::Any => {
                    if !wanted.contains(&ty) {
                        wanted.push(ty);
                    }
                }
                Known::Scalar { ty, step } => scalar = Some((ty, step)),
                Known::Typed { .. } | Known::Open { .. } | Known::Closed { .. } => {}
            }
        }
        if let (Some((ty, step)), true) = (scalar, wanted.is_empty()) {
            let inside = super::path::dotted(&target.keys[..=step]);
            let message = format!("`{inside}` is `{ty}` and holds no fields");
            return self.fail(Code::E101, target.span, message);
        }
        Some(wanted)
    }

    /// Brings a value into the type that a path is declared with.
    pub(super) fn fit_target(&mut self, value: Checked, target: &Target) -> Option<Checked> {
        let wanted = self.declared(target)?;
        let path = self.build.layout.display(target.node);
        let mut value = value;
        for want in &wanted {
            if *value.base() == Type::Null && !want.optional {
                let message = format!("`{path}` is declared `{want}` and cannot be null");
                self.report(
                    Diagnostic::new(Code::E101, value.span, message)
                        .advise(format!("`del {path}` removes it")),
                );
                return None;
            }
            // An absent value writes nothing, so whether it may be absent does not matter here.
            let want = Ty { optional: true, ..want.clone() };
            // Sources that disagree: what fits one as it is must fit the others as it is.
            value = self.fit(value, &want, &format!("`{path}`"))?;
        }
        Some(value)
    }

    /// Notes a write: `always` is false where the old value may stay.
    pub(super) fn wrote(&mut self, target: &Target, op: AssignOp, value: &Checked) {
        self.forget(target.node);
        for source in self.place.on.clone() {
            let shape = self.flow.shapes[source].clone();
            let before = match look(&shape, &target.keys) {
                Known::Typed { ty, .. } => Some(ty),
                Known::Open { .. } => Some(Ty::optional(Type::Any)),
                Known::Closed { .. } | Known::Scalar { .. } => None,
            };
            let ty = match (op, before) {
                (AssignOp::Set, Some(before)) if value.ty.optional => {
                    // An absent value writes nothing, the old one stays.
                    event::join_ty(&before, &Ty { optional: false, ..value.ty.clone() })
                }
                (AssignOp::Set, _) | (AssignOp::Default | AssignOp::Merge, None) => {
                    value.ty.clone()
                }
                (AssignOp::Default, Some(before)) => {
                    let joined = event::join_ty(&before, &value.ty);
                    Ty { optional: before.optional && value.ty.optional, ..joined }
                }
                (AssignOp::Merge, Some(before)) => Ty {
                    optional: before.optional && value.ty.optional,
                    ..merged(&before, &value.ty)
                },
            };
            self.flow.shapes[source] = event::write(&shape, &target.keys, &ty);
        }
    }

    /// Notes that a path is perhaps gone.
    pub(super) fn removed(&mut self, node: NodeId, keys: &[Arc<str>]) {
        self.forget(node);
        self.removed.insert(node);
        for source in self.place.on.clone() {
            self.flow.shapes[source] = event::remove(&self.flow.shapes[source], keys);
        }
    }

    /// Notes that everything but some paths is gone.
    pub(super) fn kept(&mut self, kept: &[Target]) {
        self.flow.present.clear();
        self.removed.insert(NodeId::ROOT);
        for source in self.place.on.clone() {
            let old = self.flow.shapes[source].clone();
            let mut shape = event::every_optional(&old);
            for target in kept {
                if let Some(key) = target.keys.first()
                    && let Some(field) = old.field(key)
                {
                    shape = event::write(&shape, std::slice::from_ref(key), &field.ty);
                }
            }
            self.flow.shapes[source] = shape;
        }
    }

    /// What was known to be there may not be any more once a path is written: its own value, values above and below it.
    fn forget(&mut self, node: NodeId) {
        let mut related = self.build.layout.subtree(node);
        let mut at = node;
        while at != NodeId::ROOT {
            at = self.build.layout.node(at).parent;
            related.push(at);
        }
        let stale: Vec<ExprId> = self
            .flow
            .present
            .iter()
            .copied()
            .filter(|id| self.build.pool.reads(*id).iter().any(|read| related.contains(read)))
            .collect();
        for id in stale {
            self.flow.present.remove(&id);
        }
    }
}

/// The type after `|=`.
fn merged(before: &Ty, value: &Ty) -> Ty {
    let base = match (&before.base, &value.base) {
        (Type::Record(a), Type::Record(b)) => {
            let mut shape: Shape = (**a).clone();
            for field in &b.fields {
                match shape.fields.iter_mut().find(|known| known.name == field.name) {
                    Some(known) => known.ty = event::join_ty(&known.ty, &field.ty),
                    None => shape.fields.push(field.clone()),
                }
            }
            shape.open |= b.open;
            Type::Record(Arc::new(shape))
        }
        (Type::Record(a), _) => {
            Type::Record(event::every_optional(&Arc::new(Shape { open: true, ..(**a).clone() })))
        }
        (a, b) if a == b => a.clone(),
        (Type::Map(_), _) => Type::map(Type::Any),
        _ => Type::Any,
    };
    Ty { base, optional: before.optional }
}

impl Flow {
    /// What is known where ways meet.
    pub(super) fn meet(&mut self, other: &Self) {
        for (mine, theirs) in self.shapes.iter_mut().zip(&other.shapes) {
            *mine = event::join(mine, theirs);
        }
        self.present.retain(|id| other.present.contains(id));
    }
}
