//! Tests as text.

use super::{
    Brackets, Printer,
    doc::{Doc, concat, text},
    exprs::starts_with_minus,
};
use crate::{
    span::Span,
    syntax::ast::{Expectation, Expr, Fate, MockEntry, Step, StepKind, Test},
};

impl Printer<'_> {
    pub(super) fn test(&mut self, test: &Test) -> Doc {
        let name = self.copy(test.name.span);
        let first = test.steps.first().map(|step| step.span);
        let span = self.braces(test.span, test.name.span.end, first);
        let body = self.block_inside(span, &test.steps, |step| step.span, Self::step);
        concat([text("test "), name, text(" {"), body])
    }

    fn step(&mut self, step: &Step) -> Doc {
        match &step.kind {
            StepKind::At(time) => concat([text("at "), self.expr(time)]),
            StepKind::Advance(time) => concat([text("advance "), self.duration(*time)]),
            StepKind::Mock { lookup, entries } => {
                let first = entries.first().map(|entry| entry.span);
                let span = self.braces(step.span, lookup.span.end, first);
                let brackets = Brackets { open: "{", close: "}", span, pad: true, comma: true };
                let entries =
                    self.elements(brackets, entries, |entry| entry.span, Self::mock_entry);
                concat([text(format!("mock {} ", lookup.written())), entries])
            }
            StepKind::Given { times, on, event } => {
                let times = times
                    .map_or_else(String::new, |times| format!(" x{}", times.span.of(self.text)));
                let on = on.as_ref().map_or_else(String::new, Self::on);
                concat([text(format!("given{times}{on} ")), self.expr(event)])
            }
            StepKind::Expect(expectation) => {
                concat([text("expect "), self.expectation(expectation, step.span)])
            }
            // A file with errors is not formatted.
            StepKind::Error => self.copy(step.span),
        }
    }

    fn mock_entry(&mut self, entry: &MockEntry) -> Doc {
        concat([self.expr(&entry.key), text(" => "), self.expr(&entry.value)])
    }

    fn expectation(&mut self, expectation: &Expectation, span: Span) -> Doc {
        let (fate, by, to, body) = match expectation {
            Expectation::Holds(condition) => return self.expr(condition),
            Expectation::Fate { fate, by, to, body } => (fate, by, to, body),
        };
        let mut head = match fate {
            Fate::Dropped => "dropped".to_owned(),
            Fate::Routed => "routed".to_owned(),
            Fate::Fired => "fired".to_owned(),
            Fate::Silent => "silent".to_owned(),
        };
        let mut before = span.start;
        for (word, name) in [("by", by), ("to", to)] {
            if let Some(name) = name {
                head.extend([" ", word, " ", &name.written()]);
                before = name.span.end;
            }
        }
        if body.is_empty() {
            return text(head);
        }
        let braces = self.braces(span, before, body.first().map(|condition| condition.span));
        let source = self.text;
        let whole = |condition: &Expr| with_parens(source, condition.span);
        let inside = self.block_inside(braces, body, whole, Self::condition);
        concat([text(head), text(" {"), inside])
    }

    /// Prints one of several expressions that stand side by side.
    fn condition(&mut self, condition: &Expr) -> Doc {
        let doc = self.expr(condition);
        // `a  -b` would be a difference.
        if starts_with_minus(condition) { concat([text("("), doc, text(")")]) } else { doc }
    }
}

/// A condition with the parentheses that end behind it on its line, so that a comment behind those is beside it.
fn with_parens(source: &str, span: Span) -> Span {
    let mut end = span.range().end;
    let behind = source.get(end..).unwrap_or_default();
    for (at, c) in behind.char_indices().take_while(|(_, c)| matches!(c, ' ' | '\t' | ')')) {
        if c == ')' {
            end = span.range().end + at + 1;
        }
    }
    Span::new(span.file, span.range().start, end)
}
