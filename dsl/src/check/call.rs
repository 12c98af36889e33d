//! Calls: library functions, declared functions put in place, lookups.

use super::{Checked, Checker, Named, constant::Const, said};
use crate::{
    catalog::{DeclId, DeclKind, Space, nearest},
    column::Absence,
    diagnostic::{Code, Diagnostic},
    functions::{self, Function, Given, Kernel, Param, Takes, wrong_format},
    plan::{self, Detector, ExprId, Lambda, Literal, Op},
    span::Span,
    syntax::ast::{self, Expr, ExprKind, Tag},
    types::{Ty, Type},
};

/// How deep functions may call functions, and types name types.
pub(super) const INLINE_MAX: usize = 32;

/// How many functions one call may put in place in all: functions that call functions twice double.
pub(super) const CALLS_MAX: usize = 2_000;

impl Checker<'_> {
    pub(super) fn call(
        &mut self,
        span: Span,
        name: &ast::QName,
        args: &[ast::Arg],
        filter: Option<&Expr>,
        want: Option<&Type>,
    ) -> Option<Checked> {
        if let Some(bare) = name.bare()
            && self.means_aggregate(bare, args)
            && self.catalog.find(self.place.unit, Space::Value, name).is_none()
        {
            return self.aggregate(span, bare, args, filter);
        }
        if let Some(filter) = filter {
            let message = "`where` stands in the aggregates of windows and alerts only";
            return self.fail(Code::E102, filter.span, message);
        }
        if let Some(id) = self.catalog.find(self.place.unit, Space::Value, name) {
            return match self.catalog.get(id).kind {
                DeclKind::Fn(it) => self.call_fn(span, id, it, args),
                DeclKind::Lookup(_) => self.call_lookup(span, name, id, args),
                _ => {
                    let message = format!("`{}` is no function", name.written());
                    self.fail(Code::E102, name.span, message)
                }
            };
        }
        let Some(bare) = name.bare() else {
            return self.no_function(name);
        };
        if let Some(function) = functions::find(bare) {
            return self.call_library(span, name.span, function, args, want);
        }
        if bare == "secret" {
            let message = "a secret is no value";
            self.report(
                Diagnostic::new(Code::E101, span, message)
                    .advise("use it as the key of `hmac` or `pseudonymize`"),
            );
            return None;
        }
        if matches!(bare, "lines" | "cidrs" | "table") {
            self.report(
                Diagnostic::new(
                    Code::E102,
                    span,
                    format!("`{bare}` reads a file when the rules are loaded"),
                )
                .advise(format!("name it first: `const NAME = {bare}(\"…\")`")),
            );
            return None;
        }
        if super::aggregate::is_only_aggregate(bare) {
            self.report(
                Diagnostic::new(Code::E102, name.span, format!("`{bare}` is an aggregate"))
                    .label("stands in windows and alerts only"),
            );
            return None;
        }
        self.no_function(name)
    }

    fn no_function(&mut self, name: &ast::QName) -> Option<Checked> {
        let mut known = self.catalog.visible(self.place.unit, Space::Value);
        known.extend(functions::all().map(|function| function.name.to_owned()));
        self.unknown("function", name, &known);
        None
    }

    fn call_library(
        &mut self,
        span: Span,
        name: Span,
        function: &'static Function,
        args: &[ast::Arg],
        want: Option<&Type>,
    ) -> Option<Checked> {
        let places = self.arrange(span, name, function, args)?;
        let mut out: Vec<Option<plan::Arg>> = Vec::with_capacity(places.len());
        let mut types: Vec<Option<Ty>> = Vec::with_capacity(places.len());
        let mut whole = true;
        let mut optional = false;
        for (param, arg) in places {
            let Some(arg) = arg else {
                out.push(None);
                types.push(None);
                continue;
            };
            self.place.in_args += 1;
            let made = self.argument(function, param, arg, &types, want);
            self.place.in_args -= 1;
            whole &= made.is_some();
            let (arg, ty) = made.unzip();
            let ty = ty.flatten();
            optional |= ty.as_ref().is_some_and(|ty| ty.optional);
            out.push(arg);
            types.push(ty);
        }
        if !whole {
            return None;
        }
        let sees_absent = matches!(function.kernel, Kernel::RowsWithAbsent(_));
        if let Some(given) = self.place_gives(function.given, span) {
            optional |= given.ty.optional;
            out.push(Some(plan::Arg::Value(given.id)));
        }
        let ty = (function.returns)(&types).or_optional(optional && !sees_absent);
        Some(self.add(Op::Call { function, args: out }, ty, span))
    }

    /// What a function gets of its place.
    fn place_gives(&mut self, given: Given, span: Span) -> Option<Checked> {
        match given {
            Given::Nothing => None,
            Given::Field(name) => Some(self.field_if_any(name, span)),
            Given::Rule => {
                let rule = self.place.rule.and_then(|rule| self.build.rules.get(rule.0 as usize));
                let name = rule.map(|rule| rule.name.clone());
                let literal = name.map_or(Literal::Absent(Absence::Missing), Literal::Text);
                let ty = Ty { base: Type::Text, optional: matches!(literal, Literal::Absent(_)) };
                Some(self.add(Op::Literal(literal), ty, span))
            }
        }
    }

    /// Brings arguments to their parameters.
    fn arrange<'e>(
        &mut self,
        span: Span,
        name: Span,
        function: &'static Function,
        args: &'e [ast::Arg],
    ) -> Option<Vec<(&'static Param, Option<&'e ast::Arg>)>> {
        let params = function.params;
        let mut fixed: Vec<Option<&ast::Arg>> = vec![None; params.len()];
        let mut more: Vec<&ast::Arg> = Vec::new();
        let mut next = 0;
        let mut whole = true;
        for arg in args {
            if let Some(named) = &arg.name {
                match params.iter().position(|param| param.name == named.name) {
                    Some(index) if fixed[index].is_none() => fixed[index] = Some(arg),
                    Some(_) => {
                        let message = format!("`{}` is given twice", named.name);
                        self.fail::<()>(Code::E102, arg.span, message);
                        whole = false;
                    }
                    None => {
                        self.no_argument(function, named);
                        whole = false;
                    }
                }
                continue;
            }
            match params.get(next) {
                Some(param) if param.rest => {
                    if fixed[next].is_none() {
                        fixed[next] = Some(arg);
                    } else {
                        more.push(arg);
                    }
                }
                Some(_) => {
                    fixed[next] = Some(arg);
                    next += 1;
                }
                None => {
                    let message =
                        format!("`{}` takes at most {}", function.name, counted(params.len()));
                    self.report(
                        Diagnostic::new(Code::E102, arg.span, message).note(signature(function)),
                    );
                    return None;
                }
            }
        }
        for (param, arg) in params.iter().zip(&fixed) {
            if arg.is_none() && !param.optional {
                let message = format!("`{}` needs `{}`", function.name, param.name);
                let at = if args.is_empty() { span } else { name };
                self.report(Diagnostic::new(Code::E102, at, message).note(signature(function)));
                return None;
            }
        }
        let mut out: Vec<_> = params.iter().zip(fixed).collect();
        if let Some(last) = params.last() {
            out.extend(more.into_iter().map(|arg| (last, Some(arg))));
        }
        whole.then_some(out)
    }

    fn no_argument(&mut self, function: &Function, named: &ast::Ident) {
        let known = function.params.iter().map(|param| param.name);
        let message = format!("`{}` has no argument `{}`", function.name, named.name);
        let mut diagnostic =
            Diagnostic::new(Code::E102, named.span, message).note(signature(function));
        if let Some(near) = nearest(&named.name, known) {
            diagnostic = diagnostic
                .suggest("an argument with a similar name exists", vec![(named.span, near)]);
        }
        self.report(diagnostic);
    }

    fn argument(
        &mut self,
        function: &Function,
        param: &Param,
        arg: &ast::Arg,
        before: &[Option<Ty>],
        want: Option<&Type>,
    ) -> Option<(plan::Arg, Option<Ty>)> {
        let e = &arg.value;
        let place = format!("`{}` of `{}`", param.name, function.name);
        let value = |found: Checked| (plan::Arg::Value(found.id), Some(found.ty));
        match param.takes {
            Takes::Any => {
                // `coalesce(.severity, info)`: a bare name means what the first argument is.
                let first = before.first().cloned().flatten().map(|ty| ty.base);
                let want = first.as_ref().filter(|ty| **ty == Type::Severity).or(want);
                self.expr(e, want).map(value)
            }
            Takes::Type(of) => {
                let want = Ty::optional(of());
                let found = self.expr(e, Some(&want.base))?;
                self.fit(found, &want, &place).map(value)
            }
            Takes::Number => {
                let found = self.expr(e, None)?;
                self.fit(found, &Ty::optional(Type::Number), &place).map(value)
            }
            Takes::List => {
                let found = self.expr(e, None)?;
                self.fit(found, &Ty::optional(Type::list(Type::Any)), &place).map(value)
            }
            Takes::Map => {
                let found = self.expr(e, None)?;
                self.fit(found, &Ty::optional(Type::map(Type::Any)), &place).map(value)
            }
            Takes::Sized | Takes::Countable => {
                let found = self.expr(e, None)?;
                let bytes = matches!(param.takes, Takes::Countable);
                let fits = match found.base() {
                    Type::Bytes => bytes,
                    Type::Text | Type::List(_) | Type::Map(_) | Type::Record(_) => true,
                    Type::Any | Type::Null => true,
                    _ => false,
                };
                if !fits {
                    let bytes = if bytes { ", bytes" } else { "" };
                    let message = format!(
                        "{place} takes text{bytes}, a list or a map, not `{}`",
                        said(&found.ty)
                    );
                    return self.fail(Code::E101, found.span, message);
                }
                Some(value(found))
            }
            Takes::TextOrBytes => {
                let found = self.expr(e, Some(&Type::Text))?;
                if *found.base() == Type::Bytes {
                    return Some(value(found));
                }
                self.fit(found, &Ty::optional(Type::Text), &place).map(value)
            }
            Takes::Formats => {
                self.time_formats(e);
                let want = Ty::optional(Type::list(Type::Text));
                let found = self.expr(e, Some(&want.base))?;
                self.fit(found, &want, &place).map(value)
            }
            Takes::Choice(options) => {
                let choice = self.choice(e, options, &place)?;
                Some((plan::Arg::Choice(choice.into()), None))
            }
            Takes::Regex => {
                let regex = self.regex_of(e)?;
                Some((plan::Arg::Regex(regex), None))
            }
            Takes::TextOrRegex => match self.constant_of(e) {
                Some(Const::Regex(regex)) => Some((plan::Arg::Regex(regex), None)),
                _ if matches!(&e.kind, ExprKind::Tagged { tag: Tag::Regex, .. }) => None,
                _ => {
                    let found = self.expr(e, Some(&Type::Text))?;
                    self.fit(found, &Ty::optional(Type::Text), &place).map(value)
                }
            },
            Takes::Detectors(builtin) => {
                let detectors = self.detectors(e, builtin, &place)?;
                Some((plan::Arg::Detectors(detectors), None))
            }
            Takes::Pattern => match self.constant_of(e) {
                Some(Const::Pattern(pattern)) => {
                    let ty = Ty::required(Type::Pattern(pattern.shape.clone()));
                    Some((plan::Arg::Pattern(pattern), Some(ty)))
                }
                _ if self.was_pattern(e) => None,
                _ => self.fail(Code::E101, e.span, format!("{place} takes `pat\"…\"`")),
            },
            Takes::Grok => match self.constant_of(e) {
                Some(Const::Grok(grok)) => {
                    let ty = Ty::required(Type::Pattern(grok.shape.clone()));
                    Some((plan::Arg::Grok(grok), Some(ty)))
                }
                // What was a literal has been reported as a wrong one.
                _ if matches!(
                    &e.kind,
                    ExprKind::Tagged { tag: Tag::Grok, .. } | ExprKind::Error
                ) =>
                {
                    None
                }
                _ => self.fail(Code::E101, e.span, format!("{place} takes `grok\"…\"`")),
            },
            Takes::Secret => match self.constant_of(e) {
                Some(Const::Secret(secret)) => Some((plan::Arg::Secret(secret), None)),
                _ if matches!(&e.kind, ExprKind::Call { function, .. } if function.bare() == Some("secret")) => {
                    None
                }
                _ => self.fail(
                    Code::E101,
                    e.span,
                    format!("{place} takes `secret(\"name\")`: a key must not stand in rules"),
                ),
            },
            Takes::Lambda(params) => {
                let params = params(before);
                self.lambda(e, &params, &place)
            }
            Takes::TextOrLambda => {
                if matches!(&e.kind, ExprKind::Lambda { .. }) {
                    return self.lambda(e, &[Ty::required(Type::Text)], &place);
                }
                let found = self.expr(e, Some(&Type::Text))?;
                self.fit(found, &Ty::optional(Type::Text), &place).map(value)
            }
        }
    }

    /// Reports what is wrong with the strptime formats that are known now.
    fn time_formats(&mut self, e: &Expr) {
        let mut formats = Vec::new();
        match &e.kind {
            ExprKind::List(items) => {
                for item in items {
                    if let ExprKind::Text { value, fold: false } = &item.kind {
                        formats.push((value.clone(), item.span));
                    }
                }
            }
            ExprKind::Name(_) => {
                if let Some(Const::List(items)) = self.constant_of(e) {
                    for item in items.iter() {
                        if let Const::Scalar(Literal::Text(text), _) = item {
                            formats.push((text.to_string(), e.span));
                        }
                    }
                }
            }
            _ => {}
        }
        for (format, at) in formats {
            if let Some(why) = wrong_format(&format) {
                self.report(
                    Diagnostic::new(Code::E120, at, why)
                        .note("a format is written as for strptime: `%Y-%m-%d %H:%M:%S`"),
                );
            }
        }
    }

    /// Whether an expression is a pattern that did not compile: that was reported.
    fn was_pattern(&mut self, e: &Expr) -> bool {
        let is_pattern = |e: &Expr| matches!(&e.kind, ExprKind::Tagged { tag: Tag::Pattern, .. });
        if let ExprKind::Name(name) = &e.kind
            && let Some(id) = self.named_const(name)
            && let DeclKind::Const(it) = self.catalog.get(id).kind
        {
            return is_pattern(&it.value);
        }
        is_pattern(e)
    }

    fn choice<'e>(&mut self, e: &'e Expr, options: &[&str], place: &str) -> Option<&'e str> {
        let name = match &e.kind {
            ExprKind::Name(name) => name.bare(),
            ExprKind::Text { value, fold: false } => Some(value.as_str()),
            ExprKind::Error => return None,
            _ => None,
        };
        if let Some(name) = name
            && options.contains(&name)
        {
            return Some(name);
        }
        let message = format!("{place} is one of {}", options.join(", "));
        let mut diagnostic = Diagnostic::new(Code::E102, e.span, message);
        if let Some(near) = name.and_then(|name| nearest(name, options)) {
            diagnostic =
                diagnostic.suggest("an option with a similar name exists", vec![(e.span, near)]);
        }
        self.report(diagnostic);
        None
    }

    fn detectors(&mut self, e: &Expr, builtin: &[&str], place: &str) -> Option<Vec<Detector>> {
        let single = std::slice::from_ref(e);
        let items = match &e.kind {
            ExprKind::List(items) => items.as_slice(),
            _ => single,
        };
        let mut out = Vec::with_capacity(items.len());
        let mut whole = true;
        for item in items {
            match self.detector(item, builtin, place) {
                Some(found) => out.extend(found),
                None => whole = false,
            }
        }
        whole.then_some(out)
    }

    fn detector(&mut self, e: &Expr, builtin: &[&str], place: &str) -> Option<Vec<Detector>> {
        if let ExprKind::Name(name) = &e.kind
            && let Some(bare) = name.bare()
            && builtin.contains(&bare)
            && self.named_const(name).is_none()
        {
            return Some(vec![Detector::Builtin(bare.into())]);
        }
        match self.constant_of(e) {
            Some(Const::Regex(regex)) => Some(vec![Detector::Regex(regex)]),
            Some(Const::List(items)) => {
                let all: Option<Vec<_>> = items
                    .iter()
                    .map(|item| match item {
                        Const::Regex(regex) => Some(Detector::Regex(regex.clone())),
                        _ => None,
                    })
                    .collect();
                if all.is_none() {
                    let message = format!("{place} takes regexes");
                    self.fail::<()>(Code::E101, e.span, message);
                }
                all
            }
            _ if matches!(&e.kind, ExprKind::Tagged { tag: Tag::Regex, .. } | ExprKind::Error) => {
                None
            }
            _ => {
                if let ExprKind::Name(name) = &e.kind {
                    if let Some(id) = self.named_const(name)
                        && let DeclKind::Const(it) = self.catalog.get(id).kind
                        && matches!(&it.value.kind, ExprKind::Tagged { tag: Tag::Regex, .. })
                    {
                        return None; // The constant itself is wrong, which was reported.
                    }
                    let mut known: Vec<String> =
                        builtin.iter().map(|name| (*name).to_owned()).collect();
                    known.extend(self.catalog.visible(self.place.unit, Space::Value));
                    self.unknown("detector", name, &known);
                    return None;
                }
                let names = builtin.join(", ");
                self.fail(Code::E101, e.span, format!("{place} takes regexes and {names}"))
            }
        }
    }

    fn lambda(&mut self, e: &Expr, types: &[Ty], place: &str) -> Option<(plan::Arg, Option<Ty>)> {
        let ExprKind::Lambda { params, body } = &e.kind else {
            let message = format!("{place} takes a lambda: `|x| …`");
            return self.fail(Code::E101, e.span, message);
        };
        if params.len() > types.len() {
            let message = format!("this lambda gets {}", counted(types.len()));
            return self.fail(Code::E102, params[types.len()].span, message);
        }
        let known = self.place.names.len();
        let mut locals = Vec::with_capacity(types.len());
        for (index, ty) in types.iter().enumerate() {
            let local = self.new_local();
            locals.push(local);
            if let Some(param) = params.get(index) {
                let value = self.add(Op::Local(local), ty.clone(), param.span);
                let value = Checked { ty: ty.clone(), ..value };
                self.place.names.push(Named::parameter(&param.name, Some(value)));
            }
        }
        let body = self.expr(body, None);
        self.place.names.truncate(known);
        let body = body?;
        let lambda = Lambda { params: locals, body: body.id };
        // What the lambda gives is its type; that it may be absent is the function's affair.
        Some((plan::Arg::Lambda(lambda), Some(Ty { optional: false, ..body.ty })))
    }

    fn call_lookup(
        &mut self,
        span: Span,
        name: &ast::QName,
        id: DeclId,
        args: &[ast::Arg],
    ) -> Option<Checked> {
        let lookup = *self.world.lookup_of.get(&id)?;
        let keys = self.world.lookups[lookup].keys.clone();
        let yields = self.world.lookups[lookup].yields.clone();
        if args.len() != keys.len() || args.iter().any(|arg| arg.name.is_some()) {
            let types: Vec<_> = keys.iter().map(ToString::to_string).collect();
            self.report(
                Diagnostic::new(
                    Code::E102,
                    span,
                    format!("`{}` takes {}", name.written(), counted(keys.len())),
                )
                .related(
                    self.world.lookups[lookup].span,
                    format!("declared with ({})", types.join(", ")),
                ),
            );
            return None;
        }
        let mut ids = Vec::with_capacity(args.len());
        for (arg, key) in args.iter().zip(&keys) {
            let want = Ty { optional: true, ..key.clone() };
            let found = self
                .expr(&arg.value, Some(&want.base))
                .and_then(|found| self.fit(found, &want, "the key of this lookup"));
            ids.push(found.map(|found| found.id));
        }
        let ids: Option<Vec<ExprId>> = ids.into_iter().collect();
        let op = Op::Lookup { lookup, args: ids? };
        Some(self.add(op, Ty { optional: true, ..yields }, span))
    }
}

pub(super) fn counted(n: usize) -> String {
    match n {
        0 => "no arguments".to_owned(),
        1 => "one argument".to_owned(),
        n => format!("{n} arguments"),
    }
}

/// A function's parameters, for messages.
fn signature(function: &Function) -> String {
    let params: Vec<String> = function
        .params
        .iter()
        .map(|param| {
            let mark = if param.rest {
                "…"
            } else if param.optional {
                "?"
            } else {
                ""
            };
            format!("{}{mark}", param.name)
        })
        .collect();
    format!("it is `{}({})`", function.name, params.join(", "))
}
