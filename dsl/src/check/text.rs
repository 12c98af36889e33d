//! Tests of text: `contains`, `starts_with`, `ends_with`, `matches`, `like`, `has`.

use std::sync::Arc;

use super::{Checked, Checker, constant::Const};
use crate::{
    catalog::{DeclKind, Space},
    diagnostic::{Code, Diagnostic},
    functions::Regex,
    plan::{Literal, Op, TextTest},
    span::Span,
    syntax::ast::{Comparison, Expr, ExprKind},
    types::{Ty, Type},
};

impl Checker<'_> {
    /// A value read as text.
    pub(super) fn as_text(&mut self, value: Checked, place: &str) -> Option<Checked> {
        match value.base() {
            Type::Text | Type::Null => Some(value),
            Type::Any => Some(self.narrow(value, Type::Text)),
            _ => {
                self.misfit(&value, &Ty::required(Type::Text), place);
                None
            }
        }
    }

    pub(super) fn text_test(
        &mut self,
        span: Span,
        op: Comparison,
        value: Checked,
        right: &Expr,
    ) -> Option<Checked> {
        let place = format!("the left side of `{}`", op.symbol());
        match op {
            Comparison::Matches => {
                let regex = self.regex_of(right)?;
                let value = self.as_text(value, &place)?;
                Some(self.truth(Op::Matches { value: value.id, regex }, span))
            }
            Comparison::Like => {
                let Some(Const::Glob(glob)) = self.constant_of(right) else {
                    return self.wants_literal(right, "like", "glob");
                };
                let value = self.as_text(value, &place)?;
                Some(self.truth(Op::Like { value: value.id, glob }, span))
            }
            Comparison::Has => {
                let value = self.as_text(value, &place)?;
                let (words, ignore_case) = match self.constant_of(right) {
                    Some(Const::Scalar(Literal::Text(words), _)) => (words, false),
                    Some(Const::FoldedText(words)) => (words, true),
                    _ => {
                        let message = "`has` takes a constant text";
                        return self.fail(Code::E101, right.span, message);
                    }
                };
                if !words.chars().any(|c| c.is_alphanumeric() || c == '_') {
                    return self.fail(Code::E120, right.span, "there is no word in this text");
                }
                Some(self.truth(Op::Has { value: value.id, words, ignore_case }, span))
            }
            Comparison::Contains => self.contains(span, &value, right),
            _ => {
                let test = if op == Comparison::StartsWith {
                    TextTest::StartsWith
                } else {
                    TextTest::EndsWith
                };
                let value = self.as_text(value, &place)?;
                self.needle(span, test, &value, right)
            }
        }
    }

    fn contains(&mut self, span: Span, value: &Checked, right: &Expr) -> Option<Checked> {
        match value.base().clone() {
            Type::Text | Type::Any | Type::Null => {
                self.needle(span, TextTest::Contains, value, right)
            }
            Type::List(of) => {
                if matches!(*of, Type::Text | Type::Any) && self.folded_text(right).is_some() {
                    return self.needle(span, TextTest::Contains, value, right);
                }
                let needle = self.expr(right, Some(&of))?;
                let want = Ty::optional((*of).clone());
                let needle = self.fit(needle, &want, "an element of this list")?;
                let op = Op::TextTest {
                    test: TextTest::Contains,
                    value: value.id,
                    needle: needle.id,
                    ignore_case: false,
                };
                Some(self.truth(op, span))
            }
            Type::Cidr => {
                self.report(
                    Diagnostic::new(Code::E101, span, "`contains` takes text or a list")
                        .advise("write `address in block`"),
                );
                None
            }
            other => {
                let message = format!("`contains` takes text or a list, not `{other}`");
                self.fail(Code::E101, value.span, message)
            }
        }
    }

    fn needle(
        &mut self,
        span: Span,
        test: TextTest,
        value: &Checked,
        right: &Expr,
    ) -> Option<Checked> {
        let folded = self.folded_text(right);
        let ignore_case = folded.is_some();
        let needle = if let Some(text) = folded {
            let literal = Op::Literal(Literal::Text(text.to_lowercase().into()));
            self.add(literal, Ty::required(Type::Text), right.span)
        } else {
            let needle = self.expr(right, None)?;
            // What an undeclared list may hold is its own affair.
            let free = test == TextTest::Contains
                && *value.base() == Type::Any
                && *needle.base() != Type::Any;
            if free { needle } else { self.as_text(needle, "the text looked for")? }
        };
        let op = Op::TextTest { test, value: value.id, needle: needle.id, ignore_case };
        Some(self.truth(op, span))
    }

    /// `"…"i`, also by the name of a constant.
    pub(super) fn folded_text(&mut self, e: &Expr) -> Option<Arc<str>> {
        match &e.kind {
            ExprKind::Text { fold: true, .. } => {}
            ExprKind::Name(name) => {
                let id = self.named_const(name)?;
                return match self.constant(id)? {
                    Const::FoldedText(text) => Some(text),
                    _ => None,
                };
            }
            _ => return None,
        }
        match self.fold(e, None)? {
            Const::FoldedText(text) => Some(text),
            _ => None,
        }
    }

    /// What an expression is when the program is loaded, if it is known then.
    pub(super) fn constant_of(&mut self, e: &Expr) -> Option<Const> {
        match &e.kind {
            ExprKind::Name(name) => {
                let id = self.named_const(name)?;
                self.constant(id)
            }
            ExprKind::Tagged { .. } | ExprKind::Text { .. } | ExprKind::List(_) => {
                self.fold(e, None)
            }
            ExprKind::Call { function, filter: None, .. } if function.bare() == Some("secret") => {
                self.fold(e, None)
            }
            _ => None,
        }
    }

    /// The regex that an expression names.
    pub(super) fn regex_of(&mut self, e: &Expr) -> Option<Arc<Regex>> {
        match self.constant_of(e) {
            Some(Const::Regex(regex)) => Some(regex),
            _ => self.wants_literal(e, "matches", "re"),
        }
    }

    fn wants_literal<T>(&mut self, e: &Expr, of: &str, tag: &str) -> Option<T> {
        // What was a literal of the right kind has been reported as a wrong one.
        if matches!(&e.kind, ExprKind::Tagged { tag: found, .. } if found.letters() == tag) {
            return None;
        }
        if let ExprKind::Name(name) = &e.kind
            && self.place.names.iter().all(|named| Some(named.name.as_str()) != name.bare())
        {
            let id = self.find(Space::Value, "name", name)?;
            if let DeclKind::Const(it) = self.catalog.get(id).kind
                && matches!(&it.value.kind, ExprKind::Tagged { tag: found, .. } if found.letters() == tag)
            {
                return None;
            }
        }
        let mut diagnostic = Diagnostic::new(
            Code::E101,
            e.span,
            format!("this takes `{tag}\"…\"`, known when the rules are loaded"),
        );
        if matches!(&e.kind, ExprKind::Text { fold: false, .. }) {
            diagnostic = diagnostic
                .suggest(format!("`{of}` reads it so"), vec![(e.span.before(), tag.to_owned())]);
        }
        self.report(diagnostic);
        None
    }
}
