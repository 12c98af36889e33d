//! The comments of a file, handed out as the printer passes them.

use crate::{span::Span, syntax::ast::Comment};

/// The comments that are not printed yet, in order.
#[derive(Debug)]
pub(super) struct Comments {
    /// The next one last.
    left: Vec<Comment>,
}

impl Comments {
    pub(super) fn new(mut comments: Vec<Comment>) -> Self {
        comments.reverse();
        Self { left: comments }
    }

    /// Takes the comments that start before a place, wherever they were.
    pub(super) fn before(&mut self, at: usize) -> Vec<Comment> {
        let mut taken = Vec::new();
        while let Some(comment) = self.left.pop_if(|comment| comment.span.range().start < at) {
            taken.push(comment);
        }
        taken
    }

    /// Takes the comment that stands behind something on its line.
    pub(super) fn beside(&mut self, text: &str, end: usize) -> Option<Comment> {
        self.behind(text, end, |gap| gap.chars().all(|c| matches!(c, ' ' | '\t' | ',')))
    }

    /// Takes the comment that stands behind an operand, which may be in parentheses.
    pub(super) fn beside_operand(&mut self, text: &str, end: usize) -> Option<Comment> {
        self.behind(text, end, |gap| {
            let line = gap.rsplit('\n').next().unwrap_or(gap);
            let is_beside = line.len() == gap.len() || line.contains(')');
            is_beside && gap.chars().all(|c| matches!(c, ' ' | '\t' | '\n' | ')'))
        })
    }

    fn behind(&mut self, text: &str, end: usize, fits: impl Fn(&str) -> bool) -> Option<Comment> {
        self.left.pop_if(|comment| text.get(end..comment.span.range().start).is_some_and(&fits))
    }

    /// Forgets the comments of a text that is copied with them.
    pub(super) fn drop_inside(&mut self, span: Span) {
        let range = span.range();
        let first = self.left.partition_point(|comment| range.end <= comment.span.range().start);
        let last = self.left.partition_point(|comment| range.start <= comment.span.range().start);
        self.left.drain(first..last);
    }
}
