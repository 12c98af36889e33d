//! Declared functions: checked for themselves, then put in place of their calls.

use super::{
    Checked, Checker, Named, Progress,
    call::{CALLS_MAX, INLINE_MAX, counted},
};
use crate::{
    catalog::{DeclId, DeclKind},
    diagnostic::{Code, Diagnostic, Severity},
    plan::Op,
    span::Span,
    syntax::ast,
    types::{Ty, Type},
};

impl Checker<'_> {
    pub(super) fn call_fn(
        &mut self,
        span: Span,
        id: DeclId,
        it: &ast::FnDecl,
        args: &[ast::Arg],
    ) -> Option<Checked> {
        // The function for itself first: its own mistakes are reported there, once.
        self.check_fn(id);
        let sound = matches!(self.caches.fns.get(&id), Some(Progress::Done(Some(_))));
        let unit = self.catalog.get(id).unit;
        let mut bound: Vec<Option<Checked>> = vec![None; it.params.len()];
        let mut given = vec![false; it.params.len()];
        let mut whole = true;
        for (number, arg) in args.iter().enumerate() {
            let index = match &arg.name {
                None => Some(number).filter(|index| *index < it.params.len()),
                Some(named) => it.params.iter().position(|param| param.name.name == named.name),
            };
            let Some(index) = index else {
                let message = match &arg.name {
                    Some(named) => format!("`{}` has no argument `{}`", it.name.name, named.name),
                    None => format!("`{}` takes {}", it.name.name, counted(it.params.len())),
                };
                self.report(
                    Diagnostic::new(Code::E102, arg.span, message)
                        .related(it.name.span, "declared here"),
                );
                whole = false;
                continue;
            };
            given[index] = true;
            let here = std::mem::replace(&mut self.place.unit, unit);
            let want = self.ty(&it.params[index].ty);
            self.place.unit = here;
            let place = format!("`{}` of `{}`", it.params[index].name.name, it.name.name);
            bound[index] = want.and_then(|want| {
                let found = self.expr(&arg.value, Some(&want.base))?;
                let fitted = self.fit(found, &want, &place)?;
                // The parameter has its declared type, whatever more is known here.
                Some(fitted)
            });
            whole &= bound[index].is_some();
        }
        if let Some(missing) = given.iter().position(|given| !given) {
            let message = format!("`{}` needs `{}`", it.name.name, it.params[missing].name.name);
            self.report(
                Diagnostic::new(Code::E102, span, message).related(it.name.span, "declared here"),
            );
            return None;
        }
        if !whole || !sound {
            return None;
        }
        let bound: Vec<Checked> = bound.into_iter().flatten().collect();
        self.put_in_place(span, id, it, bound)
    }

    fn put_in_place(
        &mut self,
        span: Span,
        id: DeclId,
        it: &ast::FnDecl,
        bound: Vec<Checked>,
    ) -> Option<Checked> {
        let key = (id, bound.iter().map(|arg| arg.id).collect::<Vec<_>>(), self.place.on.clone());
        let optional_args = bound.iter().any(|arg| arg.ty.optional);
        if let Some((known, ty)) = self.build.inlined.get(&key)
            && (optional_args || !ty.optional)
        {
            return Some(Checked { id: *known, ty: ty.clone(), span });
        }
        if self.place.inlining == 0 {
            self.caches.calls = 0;
        }
        self.caches.calls += 1;
        if self.place.inlining >= INLINE_MAX || self.caches.calls > CALLS_MAX {
            return self.fail(Code::E106, span, "functions call each other too deeply");
        }
        let outside = self.place.clone();
        self.place.unit = self.catalog.get(id).unit;
        self.place.inlining += 1;
        self.place.names = it
            .params
            .iter()
            .zip(bound)
            .map(|(param, value)| Named::parameter(&param.name.name, Some(value)))
            .collect();
        let errors = self.diagnostics.len();
        let pending = self.pending_w312.len();
        let (reported, kept) = (std::mem::take(&mut self.caches.reported), self.caches.kept);
        let found = self.fn_body(it);
        self.caches.reported = reported;
        self.caches.kept = kept;
        self.place = outside;
        self.pending_w312.truncate(pending);
        // Its warnings were given where it stands; an error can only come from these arguments.
        let new = self.diagnostics.split_off(errors);
        let is_new = |it: &Diagnostic| !self.caches.reported.contains(&(it.code, it.at));
        let error = new
            .into_iter()
            .find(|diagnostic| diagnostic.severity == Severity::Error && is_new(diagnostic));
        let Some(found) = found else {
            if let Some(error) = error {
                let message = format!("`{}` does not take these arguments", it.name.name);
                self.report(
                    Diagnostic::new(error.code, span, message).related(error.at, error.message),
                );
            }
            return None;
        };
        self.build.inlined.insert(key, (found.id, found.ty.clone()));
        Some(Checked { span, ..found })
    }

    /// Checks a declared function for itself, its parameters unknown.
    pub(super) fn check_fn(&mut self, id: DeclId) {
        let DeclKind::Fn(it) = self.catalog.get(id).kind else { return };
        match self.caches.fns.get(&id) {
            Some(Progress::Done(_)) => return,
            Some(Progress::Open) => {
                let message = format!("`{}` calls itself", it.name.name);
                self.report(
                    Diagnostic::new(Code::E104, it.name.span, message)
                        .note("functions are put in place of their calls, so none may call itself"),
                );
                return;
            }
            None => {}
        }
        self.caches.fns.insert(id, Progress::Open);
        let outside = self.place.clone();
        let flow = self.flow.clone();
        let pending = self.pending_w312.len();
        let build = self.build.clone();
        self.place.unit = self.catalog.get(id).unit;
        self.place.on = (0..self.world.sources.len()).collect();
        self.place.names.clear();
        self.place.depth = 0;
        if self.place.inlining == 0 {
            self.caches.calls = 0;
        }
        self.place.inlining += 1;
        let ty = if self.place.inlining > INLINE_MAX {
            self.fail(Code::E106, it.name.span, "functions call each other too deeply")
        } else {
            for param in &it.params {
                let local = self.new_local();
                let value = self.ty(&param.ty).map(|ty| {
                    let value = self.add(Op::Local(local), ty.clone(), param.span);
                    Checked { ty, ..value }
                });
                if self.place.names.iter().any(|named| named.name == param.name.name) {
                    let message = format!("`{}` is declared twice", param.name.name);
                    self.fail::<()>(Code::E108, param.name.span, message);
                }
                self.place.names.push(Named::parameter(&param.name.name, value));
            }
            self.fn_body(it).map(|body| body.ty)
        };
        // Nothing of this trial belongs to the plan.
        self.build = build;
        self.pending_w312.truncate(pending);
        self.flow = flow;
        self.place = outside;
        self.caches.fns.insert(id, Progress::Done(ty));
    }

    fn fn_body(&mut self, it: &ast::FnDecl) -> Option<Checked> {
        let want = match &it.result {
            Some(result) => Some(self.ty(result)?),
            None => None,
        };
        let body = self.expr(&it.body, want.as_ref().map(|want| &want.base))?;
        match want {
            // A truth value that is absent counts as false wherever it decides something.
            Some(Ty { base: Type::Bool, optional: false }) => {
                let span = body.span;
                let id = self.as_condition(body, "the result")?;
                Some(Checked { id, ty: Ty::required(Type::Bool), span })
            }
            Some(want) => self.fit(body, &want, "the result"),
            None => Some(body),
        }
    }
}
