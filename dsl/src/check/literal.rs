//! Literals: what is compiled when the program is loaded.

use std::sync::Arc;

use super::Checker;
use crate::{
    column::{Absence, Cidr, value::ip_to_u128},
    diagnostic::{Code, Diagnostic},
    functions::{Glob, Grok, Pattern, Regex, regex::LiteralError},
    plan::Literal,
    span::Span,
    syntax::ast::{Expr, ExprKind, Tag},
    types::Type,
};

impl Checker<'_> {
    /// A literal scalar and its type; nothing where the expression is something else or wrong.
    pub(super) fn literal(&mut self, e: &Expr) -> Option<(Literal, Type)> {
        Some(match &e.kind {
            ExprKind::Null => (Literal::Absent(Absence::Null), Type::Null),
            ExprKind::Bool(value) => (Literal::Bool(*value), Type::Bool),
            ExprKind::Int(value) => (Literal::Int(*value), Type::Int),
            ExprKind::Float(value) => (Literal::Float(*value), Type::Float),
            ExprKind::Duration(value) => (Literal::Duration(*value), Type::Duration),
            ExprKind::Text { value, .. } => (Literal::Text(value.as_str().into()), Type::Text),
            ExprKind::Tagged { tag, raw, raw_span, .. } => match tag {
                Tag::Ip => match raw.parse() {
                    Ok(address) => (Literal::Ip(ip_to_u128(address)), Type::Ip),
                    Err(_) => return self.bad_literal(*raw_span, "not an address", raw),
                },
                Tag::Cidr => match Cidr::parse(raw) {
                    Some(block) => (Literal::Cidr(block), Type::Cidr),
                    None => return self.bad_literal(*raw_span, "not a block of addresses", raw),
                },
                Tag::Timestamp => {
                    let Some(nanos) = instant(raw) else {
                        let why = "not a time: write it like `2026-05-01T10:00:00Z`";
                        return self.bad_literal(*raw_span, why, raw);
                    };
                    (Literal::Timestamp(nanos), Type::Timestamp)
                }
                Tag::Regex | Tag::Pattern | Tag::Grok | Tag::Glob => return None,
            },
            ExprKind::Neg(inner) => match self.literal(inner)? {
                (Literal::Int(value), ty) => (Literal::Int(value.checked_neg()?), ty),
                (Literal::Float(value), ty) => (Literal::Float(-value), ty),
                (Literal::Duration(value), ty) => (Literal::Duration(value.checked_neg()?), ty),
                _ => return None,
            },
            _ => return None,
        })
    }

    fn bad_literal<T>(&mut self, at: Span, why: &str, raw: &str) -> Option<T> {
        self.fail(Code::E120, at, format!("`{raw}` is {why}"))
    }

    /// The regex of a literal; each is compiled once and reported once.
    pub(super) fn regex_literal(&mut self, e: &Expr) -> Option<Arc<Regex>> {
        let ExprKind::Tagged { tag: Tag::Regex, raw, raw_span, flags } = &e.kind else {
            return None;
        };
        if let Some(known) = self.caches.regexes.get(&e.span) {
            return known.clone();
        }
        let compiled = match Regex::compile(raw, flags) {
            Ok(regex) => Some(Arc::new(regex)),
            Err(error) => {
                self.literal_error("regex", *raw_span, &error);
                None
            }
        };
        self.caches.regexes.insert(e.span, compiled.clone());
        compiled
    }

    /// The typed pattern of a literal.
    pub(super) fn pattern_literal(&mut self, e: &Expr) -> Option<Arc<Pattern>> {
        let ExprKind::Tagged { tag: Tag::Pattern, raw, raw_span, .. } = &e.kind else {
            return None;
        };
        if let Some(known) = self.caches.patterns.get(&e.span) {
            return known.clone();
        }
        let compiled = match Pattern::compile(raw) {
            Ok(pattern) => Some(Arc::new(pattern)),
            Err(error) => {
                self.literal_error("pattern", *raw_span, &error);
                None
            }
        };
        self.caches.patterns.insert(e.span, compiled.clone());
        compiled
    }

    /// The grok pattern of a literal.
    pub(super) fn grok_literal(&mut self, e: &Expr) -> Option<Arc<Grok>> {
        let ExprKind::Tagged { tag: Tag::Grok, raw, raw_span, .. } = &e.kind else {
            return None;
        };
        if let Some(known) = self.caches.groks.get(&e.span) {
            return known.clone();
        }
        let compiled = match Grok::compile(raw) {
            Ok(grok) => Some(Arc::new(grok)),
            Err(error) => {
                self.literal_error("grok pattern", *raw_span, &error);
                None
            }
        };
        self.caches.groks.insert(e.span, compiled.clone());
        compiled
    }

    /// The glob of a literal.
    pub(super) fn glob_literal(&mut self, e: &Expr) -> Option<Arc<Glob>> {
        let ExprKind::Tagged { tag: Tag::Glob, raw, raw_span, .. } = &e.kind else {
            return None;
        };
        if let Some(known) = self.caches.globs.get(&e.span) {
            return known.clone();
        }
        let compiled = match Glob::compile(raw) {
            Ok(glob) => Some(Arc::new(glob)),
            Err(error) => {
                self.literal_error("glob", *raw_span, &error);
                None
            }
        };
        self.caches.globs.insert(e.span, compiled.clone());
        compiled
    }

    fn literal_error(&mut self, what: &str, raw_span: Span, error: &LiteralError) {
        let code = if error.nonlinear { Code::E121 } else { Code::E120 };
        let start = raw_span.start as usize;
        let end = raw_span.end as usize;
        let at = Span::new(
            raw_span.file,
            (start + error.range.start).min(end),
            (start + error.range.end).min(end),
        );
        // What does not stand in the file byte for byte is pointed at as a whole.
        let text = self.loaded.sources.get(at.file).map_or("", |source| &*source.text);
        let fits = text.get(at.range()).is_some();
        let message = if error.nonlinear {
            first_line(&error.message).to_owned()
        } else {
            format!("this {what} is wrong: {}", first_line(&error.message))
        };
        let mut diagnostic = Diagnostic::new(code, if fits { at } else { raw_span }, message);
        if let Some(help) = &error.help {
            diagnostic = diagnostic.advise(help.clone());
        }
        self.report(diagnostic);
    }
}

/// The last line says what is wrong; what stands above it is a drawing of its own.
fn first_line(message: &str) -> &str {
    let line = message.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or(message);
    line.trim().trim_start_matches("error: ")
}

/// Nanoseconds since 1970 of an RFC 3339 text.
fn instant(text: &str) -> Option<i64> {
    let time: jiff::Timestamp = text.parse().ok()?;
    i64::try_from(time.as_nanosecond()).ok()
}
