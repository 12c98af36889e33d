//! What is wrong with a program, as plain data.
//!
//! Invariant: a diagnostic holds no source text and knows no terminal; `render` draws it.

use serde::Serialize;

use crate::span::{Place, Sources, Span};

mod code;
mod nearest;
mod pages;

pub use self::{code::Code, nearest::nearest};

/// How bad a diagnostic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The program does not run.
    Error,
    /// The program runs; a person should look.
    Warning,
}

/// One thing that is wrong with a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Which check found it.
    pub code: Code,
    /// The code's own severity, unless somebody promoted it.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub message: String,
    /// Where.
    pub at: Span,
    /// What the text at that place is; may be empty.
    pub label: String,
    /// Why other places disagree.
    pub related: Vec<(Span, String)>,
    /// Further reasons, one line each.
    pub notes: Vec<String>,
    /// What to do about it.
    pub help: Option<Help>,
}

/// What to do about a diagnostic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Help {
    /// The advice, in one line.
    pub message: String,
    /// Replacements that carry it out: an empty span inserts.
    pub edits: Vec<(Span, String)>,
    /// Whether a tool may apply the edits unasked.
    pub sure: bool,
}

impl Diagnostic {
    /// Starts a diagnostic with what every one has.
    pub fn new(code: Code, at: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: code.severity(),
            message: message.into(),
            at,
            label: String::new(),
            related: Vec::new(),
            notes: Vec::new(),
            help: None,
        }
    }

    /// Says what the text at the place is.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Adds another place and what it has to do with the matter.
    pub fn related(mut self, at: Span, label: impl Into<String>) -> Self {
        self.related.push((at, label.into()));
        self
    }

    /// Adds a reason.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Advises without a replacement.
    pub fn advise(mut self, message: impl Into<String>) -> Self {
        self.help = Some(Help { message: message.into(), edits: Vec::new(), sure: false });
        self
    }

    /// Offers a replacement that a person should look at first.
    pub fn suggest(mut self, message: impl Into<String>, edits: Vec<(Span, String)>) -> Self {
        self.help = Some(Help { message: message.into(), edits, sure: false });
        self
    }

    /// Offers a replacement that is certainly meant.
    pub fn fix(mut self, message: impl Into<String>, edits: Vec<(Span, String)>) -> Self {
        self.help = Some(Help { message: message.into(), edits, sure: true });
        self
    }

    /// Resolves spans to lines and columns, for machines.
    pub fn resolve(&self, sources: &Sources) -> Resolved {
        let labeled =
            |(at, label): &(Span, String)| Labeled { at: sources.place(*at), label: label.clone() };
        let help = self.help.as_ref().map(|help| ResolvedHelp {
            message: help.message.clone(),
            edits: help
                .edits
                .iter()
                .map(|(at, text)| Edit { at: sources.place(*at), text: text.clone() })
                .collect(),
            sure: help.sure,
        });
        Resolved {
            code: self.code,
            severity: self.severity,
            message: self.message.clone(),
            at: sources.place(self.at),
            label: self.label.clone(),
            related: self.related.iter().map(labeled).collect(),
            notes: self.notes.clone(),
            help,
        }
    }
}

/// Whether a program with these diagnostics must not run.
pub fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}

/// A diagnostic with lines and columns, ready to be written as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Resolved {
    /// Which check found it.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// Where.
    pub at: Place,
    /// What the text at that place is.
    pub label: String,
    /// Why other places disagree.
    pub related: Vec<Labeled>,
    /// Further reasons.
    pub notes: Vec<String>,
    /// What to do about it.
    pub help: Option<ResolvedHelp>,
}

/// A place and what it has to do with the matter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Labeled {
    /// Where.
    pub at: Place,
    /// What is there.
    pub label: String,
}

/// Help with lines and columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ResolvedHelp {
    /// The advice.
    pub message: String,
    /// Replacements that carry it out.
    pub edits: Vec<Edit>,
    /// Whether a tool may apply them unasked.
    pub sure: bool,
}

/// One replacement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Edit {
    /// What is replaced; an empty place inserts.
    pub at: Place,
    /// The new text.
    pub text: String,
}
