//! What stands at a place, in words: types, declarations, functions with examples.

use std::fmt::Write as _;

use super::{Assist, Meaning, covers, fields, len, words};
use crate::{
    catalog::DeclKind,
    span::{FileId, Span},
    syntax::{
        ast::{Path, SegKind},
        scan::{Kind, scan},
    },
    types::Ty,
};

/// What an editor shows over a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hover {
    /// What it is about.
    pub at: Span,
    /// Code first, then words; Markdown.
    pub text: String,
}

impl Assist<'_> {
    /// What stands at a place.
    pub fn hover(&self, file: FileId, offset: usize) -> Option<Hover> {
        if let Some(mention) = self.mention(file, offset) {
            let text = self.meaning(mention.means, mention.at)?;
            return Some(Hover { at: mention.at, text });
        }
        if let Some((path, step)) = self.path(file, offset) {
            return Some(self.field(path, step));
        }
        self.word(file, offset).or_else(|| {
            // Whatever else has a type: a literal, a sum, a call.
            let noted = self.analysis.notes.exprs.iter();
            let smallest = noted
                .filter(|noted| covers(noted.at, file, offset))
                .min_by_key(|noted| len(noted.at))?;
            Some(Hover { at: smallest.at, text: code(&smallest.ty.to_string()) })
        })
    }

    fn meaning(&self, means: Meaning, at: Span) -> Option<String> {
        match means {
            Meaning::Decl(id) => Some(self.declaration(self.catalog.get(id).kind)),
            Meaning::Local(bound) => {
                let text = self.analysis.loaded.sources.text(bound);
                let ty = self.type_of_local(text, at);
                Some(code(&ty.map_or_else(|| text.to_owned(), |ty| format!("{text}: {ty}"))))
            }
            Meaning::Rule(name) => {
                let plan = &self.analysis.plan;
                let rule = plan.rules.iter().find(|rule| rule.span == name);
                let label = rule.map_or_else(
                    || self.analysis.loaded.sources.text(name).to_owned(),
                    |rule| rule.label.to_string(),
                );
                Some(code(&format!("rule {label}")) + &self.comment_above(name))
            }
            Meaning::Alias(_) => None,
            Meaning::File(unit) => {
                let path = self.analysis.loaded.units.get(unit)?.path.display();
                Some(code(&path.to_string()))
            }
            Meaning::Function(function) => {
                let mut text = code(&words::function_signature(function));
                let _ = writeln!(text, "\n{}", function.doc);
                if !function.examples.is_empty() {
                    let examples: Vec<String> = function
                        .examples
                        .iter()
                        .map(|(call, gives)| format!("{call}  # {gives}"))
                        .collect();
                    let _ = write!(text, "\n{}", code(&examples.join("\n")));
                }
                Some(text)
            }
        }
    }

    /// A declaration's own text and the comment above it.
    fn declaration(&self, kind: DeclKind<'_>) -> String {
        let span = match kind {
            DeclKind::Const(it) => it.span,
            DeclKind::Fn(it) => it.span,
            DeclKind::Lookup(it) => it.span,
            DeclKind::Type(it) => it.span,
            DeclKind::Enum(it) => it.span,
            DeclKind::Source(it) => it.span,
            DeclKind::Sink(it) => it.span,
        };
        const LINES_MAX: usize = 24;
        let text = self.analysis.loaded.sources.text(span);
        let mut shown: Vec<&str> = text.lines().take(LINES_MAX).collect();
        if text.lines().count() > LINES_MAX {
            shown.push("…");
        }
        code(&shown.join("\n")) + &self.comment_above(span)
    }

    /// The comment lines that stand directly above a declaration.
    fn comment_above(&self, at: Span) -> String {
        let text = self.text(at.file);
        let before = text.get(..at.start as usize).unwrap_or_default();
        // The declaration's own line, as far as it stands before the name.
        let above = before.rfind('\n').map_or("", |end| &before[..end]);
        let mut lines: Vec<&str> = above
            .lines()
            .rev()
            .map(str::trim)
            .skip_while(|line| line.starts_with('@'))
            .map_while(|line| line.strip_prefix('#'))
            .map(str::trim)
            .collect();
        lines.reverse();
        if lines.is_empty() { String::new() } else { format!("\n{}\n", lines.join("\n")) }
    }

    /// The type of a local where it is mentioned, or, for its declaration, behind it.
    fn type_of_local(&self, name: &str, at: Span) -> Option<Ty> {
        let noted = self.analysis.notes.exprs.iter().find(|noted| noted.at == at);
        if let Some(noted) = noted {
            return Some(noted.ty.clone());
        }
        let points = self.analysis.notes.points.iter();
        let next = points
            .filter(|point| point.at.file == at.file && point.at.start >= at.end)
            .min_by_key(|point| point.at.start)?;
        next.locals.iter().rev().find(|(known, _)| known == name).map(|(_, ty)| ty.clone())
    }

    fn field(&self, path: &Path, step: usize) -> Hover {
        let at = path.segs[step].span;
        let whole = step + 1 == path.segs.len();
        let keys: Vec<SegKind> = path.segs[..step].iter().map(|seg| seg.kind.clone()).collect();
        let mut text = String::new();
        for seg in &path.segs[..=step] {
            let written = self.analysis.loaded.sources.text(seg.span);
            let dot = if written.starts_with('[') { "" } else { "." };
            text.push_str(dot);
            text.push_str(written);
        }
        let declared = self.point(path.span.file, path.span.start as usize).and_then(|point| {
            let SegKind::Field(name) = &path.segs[step].kind else { return None };
            fields::below(point, &keys).into_iter().find(|field| *field.name == **name)
        });
        let exact = self.analysis.notes.exprs.iter().find(|noted| noted.at == path.span);
        let ty = match (&declared, exact) {
            // Flow knows more than the declaration, but puts records together as `any`.
            (Some(field), Some(noted)) if whole && noted.ty.base == field.ty.base => {
                noted.ty.to_string()
            }
            (Some(field), _) => field.ty.to_string(),
            (None, Some(noted)) if whole => noted.ty.to_string(),
            (None, _) => "any".to_owned(),
        };
        let _ = write!(text, ": {ty}");
        if let Some(field) = declared {
            if field.coerce {
                text.push_str(" coerce");
            }
            if field.sensitive {
                text.push_str(" sensitive");
            }
        }
        Hover { at, text: code(&text) }
    }

    /// A word of the language.
    fn word(&self, file: FileId, offset: usize) -> Option<Hover> {
        let text = self.text(file);
        let tokens = scan(file, text).tokens;
        let token = tokens.iter().find(|token| {
            token.kind == Kind::Word && token.start <= offset && offset <= token.end
        })?;
        let word = &text[token.start..token.end];
        let at = Span::new(file, token.start, token.end);
        if token.start > 0 && text.as_bytes()[token.start - 1] == b'@' {
            let (name, ty, doc) =
                words::METADATA.iter().find(|(name, ..)| *name == word).copied()?;
            return Some(Hover {
                at,
                text: format!("{}\n{doc}\n", code(&format!("@{name}: {ty}"))),
            });
        }
        let doc = words::doc(word)?;
        Some(Hover { at, text: format!("{}\n{doc}\n", code(word)) })
    }
}

/// Text as rules in Markdown.
fn code(text: &str) -> String {
    format!("```rules\n{text}\n```\n")
}
