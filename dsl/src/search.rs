//! The search bar: the same expressions, written shorter.
//!
//! A bare name is a field, and text alone is looked for in the message. [`dotted`] writes out what was meant; everything behind it knows
//! one form only.

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
};

use crate::{
    diagnostic::{Diagnostic, has_errors},
    plan::{ExprId, Plan},
    program::{Mode, Reader, compile},
    render::render,
    span::{Sources, Span},
    syntax::{
        ast::{Expr, ExprKind, Piece, RecordField},
        parse_expr,
    },
};

/// A search checked against the program whose events it looks at.
#[derive(Debug)]
pub struct Search {
    /// The program, the search as its last rule's condition.
    pub plan: Plan,
    /// The condition.
    pub condition: ExprId,
    /// The search as it was understood.
    pub dotted: String,
    /// What was compiled: every file, the search behind the entry.
    sources: Sources,
}

impl Search {
    /// Draws what is said of the search, where it stands in the search.
    pub fn draw(&self, diagnostics: &[Diagnostic], color: bool) -> String {
        let (diagnostics, sources) = at_home(diagnostics, &self.sources, &self.dotted);
        render(&diagnostics, &sources, color)
    }
}

/// What is wrong with a search, and the texts to draw it with.
#[derive(Debug)]
pub struct Refused {
    /// Everything that is wrong.
    pub diagnostics: Vec<Diagnostic>,
    /// Every text.
    pub sources: Sources,
}

/// Checks a search against what events look like when all rules of a program have run.
pub fn compile_search(entry: &Path, reader: &dyn Reader, text: &str) -> Result<Search, Refused> {
    let mut sources = Sources::default();
    let file = sources.add("search", text);
    let dotted = dotted(file, text).map_err(|diagnostics| Refused { diagnostics, sources })?;
    let with =
        With { entry: entry.to_owned(), rule: rule(&dotted), reader, seen: RefCell::default() };
    let compiled = compile(entry, &with, Mode::Test);
    let refuse = |diagnostics: Vec<Diagnostic>| {
        let (diagnostics, sources) = at_home(&diagnostics, &compiled.sources, &dotted);
        Refused { diagnostics, sources }
    };
    let Some(program) = compiled.program else {
        let mut diagnostics = compiled.diagnostics.clone();
        diagnostics.retain(|diagnostic| diagnostic.severity == crate::diagnostic::Severity::Error);
        return Err(refuse(diagnostics));
    };
    let found = program.plan.rules.iter().find(|rule| &*rule.name == NAME);
    match found.and_then(|rule| rule.when) {
        Some(condition) => {
            Ok(Search { condition, plan: program.plan, dotted, sources: compiled.sources })
        }
        None => Err(refuse(Vec::new())),
    }
}

/// The name of the rule that a search becomes; no file can declare it, since the text behind it ends the file.
const NAME: &str = "search_bar";

fn rule(condition: &str) -> String {
    format!("{HEAD}{condition}\n) {{ tag \"found\" }}\n")
}

/// What stands behind the entry's own text, before the search.
const HEAD: &str = "\nrule search_bar on any when (\n";

/// Diagnostics of the search, moved from the end of the entry into a text of its own.
fn at_home(
    diagnostics: &[Diagnostic],
    sources: &Sources,
    dotted: &str,
) -> (Vec<Diagnostic>, Sources) {
    let mut sources = sources.clone();
    let ends = sources.iter().find_map(|(file, source)| {
        let start = source.text.rfind(HEAD)? + HEAD.len();
        source.text[start..].starts_with(dotted).then_some((file, start))
    });
    let Some((entry, start)) = ends else { return (diagnostics.to_vec(), sources) };
    let search = sources.add("search", dotted);
    let moved = |span: Span| {
        let range = span.range();
        let inside = span.file == entry && range.start >= start;
        if inside {
            let limit = |at: usize| (at - start).min(dotted.len());
            Span::new(search, limit(range.start), limit(range.end))
        } else {
            span
        }
    };
    let moved = diagnostics.iter().cloned().map(|mut diagnostic| {
        diagnostic.at = moved(diagnostic.at);
        for (at, _) in &mut diagnostic.related {
            *at = moved(*at);
        }
        for (at, _) in diagnostic.help.iter_mut().flat_map(|help| &mut help.edits) {
            *at = moved(*at);
        }
        diagnostic
    });
    (moved.collect(), sources)
}

/// A reader that puts one more rule behind the entry.
struct With<'r> {
    entry: PathBuf,
    rule: String,
    reader: &'r dyn Reader,
    seen: RefCell<bool>,
}

impl Reader for With<'_> {
    fn read(&self, path: &Path) -> Result<String, String> {
        let mut text = self.reader.read(path)?;
        if path == self.entry && !self.seen.replace(true) {
            text.push_str(&self.rule);
        }
        Ok(text)
    }

    fn secret(&self, name: &str) -> Result<String, String> {
        self.reader.secret(name)
    }
}

/// A search as the language writes it: `severity >= error and "timeout"` is `.severity >= error and .message has "timeout"`.
pub fn dotted(file: crate::span::FileId, text: &str) -> Result<String, Vec<Diagnostic>> {
    let (expr, diagnostics) = parse_expr(file, text);
    if has_errors(&diagnostics) {
        return Err(diagnostics);
    }
    let mut edits = Edits(Vec::new());
    edits.condition(&expr);
    edits.0.sort_by_key(|(at, _)| *at);
    let mut out = String::with_capacity(text.len() + edits.0.len() * 8);
    let mut from = 0;
    for (at, insert) in edits.0 {
        out.push_str(&text[from..at]);
        out.push_str(insert);
        from = at;
    }
    out.push_str(&text[from..]);
    Ok(out)
}

/// What is put in, and before which byte.
struct Edits(Vec<(usize, &'static str)>);

impl Edits {
    fn before(&mut self, span: Span, text: &'static str) {
        self.0.push((span.start as usize, text));
    }

    /// Where a truth value is expected.
    fn condition(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Text { .. } => self.before(expr.span, ".message has "),
            ExprKind::And(parts) | ExprKind::Or(parts) => {
                for part in parts {
                    self.condition(part);
                }
            }
            ExprKind::Not(of) => self.condition(of),
            _ => self.value(expr),
        }
    }

    /// Where a value is expected.
    fn value(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Name(_) => self.before(expr.span, "."),
            ExprKind::Member { base, .. } => self.value(base),
            ExprKind::Index { base, index } => {
                self.value(base);
                self.value(index);
            }
            ExprKind::And(_) | ExprKind::Or(_) | ExprKind::Not(_) => self.condition(expr),
            ExprKind::Compare { left, right, .. } => {
                self.value(left);
                // A bare name on the right is an enum's member or a constant.
                if !matches!(right.kind, ExprKind::Name(_)) {
                    self.value(right);
                }
            }
            ExprKind::Is { subject, .. } => self.value(subject),
            ExprKind::Arithmetic { left, right, .. } => {
                self.value(left);
                self.value(right);
            }
            ExprKind::Neg(of) => self.value(of),
            ExprKind::Coalesce(parts) => parts.iter().for_each(|part| self.value(part)),
            ExprKind::List(_) | ExprKind::Lambda { .. } => {}
            ExprKind::Call { args, .. } => {
                // A named argument's bare name is an option of the function.
                for arg in args.iter().filter(|arg| arg.name.is_none()) {
                    self.value(&arg.value);
                }
            }
            ExprKind::If { condition, then, otherwise } => {
                self.condition(condition);
                self.value(then);
                self.value(otherwise);
            }
            ExprKind::Match { subject, arms } => {
                self.value(subject);
                for arm in arms {
                    self.value(&arm.value);
                }
            }
            ExprKind::Interpolated(pieces) => {
                for piece in pieces {
                    if let Piece::Hole(hole) = piece {
                        self.value(hole);
                    }
                }
            }
            ExprKind::Record(fields) => {
                for field in fields {
                    match field {
                        RecordField::Field { value, .. } => self.value(value),
                        RecordField::Spread(of) => self.value(of),
                    }
                }
            }
            ExprKind::Null
            | ExprKind::Bool(_)
            | ExprKind::Int(_)
            | ExprKind::Float(_)
            | ExprKind::Duration(_)
            | ExprKind::Text { .. }
            | ExprKind::Tagged { .. }
            | ExprKind::Path(_)
            | ExprKind::Error => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World;

    impl Reader for World {
        fn read(&self, _path: &Path) -> Result<String, String> {
            Ok("source s : { status: int? }\nsink t : { ... }\ndefault route to t\n".into())
        }
    }

    #[test]
    fn what_is_wrong_is_drawn_in_the_search() {
        let refused = compile_search(Path::new("main.rules"), &World, "statsu >= 500").unwrap_err();
        let drawn = render(&refused.diagnostics, &refused.sources, false);
        assert!(drawn.contains("--> search:1:2"), "{drawn}");
        let search = compile_search(Path::new("main.rules"), &World, "status >= 500").unwrap();
        let said = Diagnostic::new(
            crate::diagnostic::Code::E603,
            search.plan.expr(search.condition).span,
            "for example",
        );
        let drawn = search.draw(&[said], false);
        assert!(drawn.contains("--> search:1:1"), "{drawn}");
    }

    fn written_out(text: &str) -> String {
        let file = Sources::default().add("search", text);
        dotted(file, text).unwrap()
    }

    #[test]
    fn bare_names_are_fields_and_text_alone_is_looked_for() {
        for (search, meant) in [
            (r"status >= 500", r".status >= 500"),
            (
                r#"severity >= warn and service == "api" and "timeout"i"#,
                r#".severity >= warn and .service == "api" and .message has "timeout"i"#,
            ),
            (
                r#""connection reset" and .kubernetes.namespace in ["shop", "auth"]"#,
                r#".message has "connection reset" and .kubernetes.namespace in ["shop", "auth"]"#,
            ),
            (
                r"not (http.status == 200 or host is absent)",
                r"not (.http.status == 200 or .host is absent)",
            ),
            (r"len(message) > 4KiB", r"len(.message) > 4KiB"),
        ] {
            assert_eq!(written_out(search), meant);
        }
    }

    #[test]
    fn prose_is_refused() {
        let file = Sources::default().add("search", "connection reset by peer");
        assert!(dotted(file, "connection reset by peer").is_err());
    }
}
