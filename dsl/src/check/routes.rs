//! Routes: which sinks, and what is set in the copy that is sent.

use std::sync::Arc;

use super::{Checker, columns::Sent};
use crate::{
    catalog::{Space, nearest},
    diagnostic::{Code, Diagnostic},
    plan::{ExprId, SinkId, SinkType, Target},
    span::Span,
    syntax::ast,
    types::{Ty, Type},
};

impl Checker<'_> {
    /// The sinks of a route for events; what is wrong with one leaves the others.
    pub(super) fn targets(&mut self, targets: &[ast::Target]) -> Vec<Target> {
        let (made, _) = self.sinks_of(targets);
        let shapes: Vec<_> =
            self.place.on.iter().map(|source| self.flow.shapes[*source].clone()).collect();
        for (target, at) in &made {
            let sent = Sent { shapes: &shapes, set: &target.args, is_row: false };
            self.fits_table(target.sink, *at, &sent);
        }
        made.into_iter().map(|(target, _)| target).collect()
    }

    /// The sinks of a route with where each is named, and whether nothing is wrong with any.
    pub(super) fn sinks_of(&mut self, targets: &[ast::Target]) -> (Vec<(Target, Span)>, bool) {
        let mut made: Vec<(Target, Span)> = Vec::with_capacity(targets.len());
        let mut whole = true;
        for target in targets {
            let Some(found) = self.route_target(target) else {
                whole = false;
                continue;
            };
            // The same row twice is never meant; with other arguments it is another row.
            if made.iter().any(|(known, _)| *known == found) {
                let message = format!("`{}` is named twice in one route", target.sink.written());
                self.report(
                    Diagnostic::new(Code::W111, target.span, message)
                        .label("gets the event once")
                        .advise("leave it out"),
                );
                continue;
            }
            made.push((found, target.span));
        }
        (made, whole)
    }

    /// The sink of that name.
    pub(super) fn sink_named(&mut self, name: &ast::QName) -> Option<SinkId> {
        let id = self.find(Space::Sink, "sink", name)?;
        self.world.sink_of.get(&id).map(|index| SinkId(*index as u32))
    }

    fn route_target(&mut self, target: &ast::Target) -> Option<Target> {
        let sink = self.sink_named(&target.sink)?;
        let mut args: Vec<(Vec<Arc<str>>, ExprId)> = Vec::with_capacity(target.args.len());
        let mut whole = true;
        for arg in &target.args {
            let Some(name) = &arg.name else {
                self.report(
                    Diagnostic::new(Code::E102, arg.span, "what a route sets has a name")
                        .advise(format!("write `{}(name: value)`", target.sink.written())),
                );
                whole = false;
                continue;
            };
            if args.iter().any(|(path, _)| path.len() == 1 && *path[0] == *name.name) {
                self.fail::<()>(Code::E102, name.span, format!("`{}` is given twice", name.name));
                whole = false;
                continue;
            }
            match self.route_arg(sink, name, &arg.value) {
                Some(value) => args.push((vec![name.name.as_str().into()], value)),
                None => whole = false,
            }
        }
        whole.then_some(Target { sink, args })
    }

    fn route_arg(&mut self, sink: SinkId, name: &ast::Ident, e: &ast::Expr) -> Option<ExprId> {
        let decl = &self.world.sinks[sink.0 as usize];
        let param = decl.with.iter().find(|(known, _)| **known == *name.name).map(|(_, ty)| ty);
        let field = match &decl.ty {
            SinkType::Record(shape) => shape.field(&name.name).map(|field| &field.ty),
            SinkType::Table(_) => None,
        };
        let want: Option<Ty> = param.or(field).cloned();
        let (closed, known) = match &decl.ty {
            SinkType::Record(shape) => {
                let fields = shape.fields.iter().map(|field| &field.name);
                let params = decl.with.iter().map(|(name, _)| name);
                (!shape.open, fields.chain(params).map(ToString::to_string).collect())
            }
            SinkType::Table(_) => (false, Vec::new()),
        };
        let (sink_name, at) = (decl.name.clone(), decl.span);
        let Some(want) = want else {
            if closed {
                let known: Vec<String> = known;
                let message = format!("`{sink_name}` takes no `{}`", name.name);
                let mut diagnostic =
                    Diagnostic::new(Code::E201, name.span, message).related(at, "declared here");
                if let Some(near) = nearest(&name.name, &known) {
                    diagnostic = diagnostic
                        .suggest("a field with a similar name exists", vec![(name.span, near)]);
                }
                self.report(diagnostic);
                self.expr(e, None);
                return None;
            }
            return self.expr(e, None).map(|value| value.id);
        };
        let value = self.expr(e, Some(&want.base))?;
        // What is absent at run time is the sink's affair: it has a setting for it.
        let want = Ty { optional: true, ..want };
        if want.base == Type::Any {
            return Some(value.id);
        }
        self.fit(value, &want, &format!("`{}` of `{sink_name}`", name.name)).map(|value| value.id)
    }
}
