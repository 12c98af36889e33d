//! Taking what cannot be read out of the text, so that the rest can.
//!
//! A statement that fails is replaced by one mark and blanks: offsets stay, and the grammar reads
//! the mark as a statement of its own. The declaration is then read again.

use logmon_grammar::{Mismatch, Rule};

use super::Parser;
use crate::syntax::{
    scan::{Kind, Token, ends_operand},
    split::Piece,
};

/// How many bytes may be read again because of mistakes in one declaration.
///
/// A hundred times a long rule; a hostile megabyte is read a few times, not a thousand.
const REREAD_BYTES: usize = 4 << 20;

/// The words that start a statement, a clause, a step of a test, or a rule of a group.
pub(super) const STATEMENT_WORDS: &[&str] = &[
    "let", "if", "drop", "return", "route", "emit", "sample", "limit", "dedup", "del", "keep",
    "rename", "tag", "count", "over", "by", "fire", "severity", "summary", "runbook", "notify",
    "labels", "at", "advance", "mock", "given", "expect", "rule",
];

/// Statement words that can be nothing else, wherever they stand.
const HARD_WORDS: &[&str] = &["let", "drop", "route", "rule"];

/// A declaration's text, parts of it taken out.
#[derive(Debug)]
pub(super) struct Masked {
    text: String,
    /// How many bytes may still be read again.
    budget: usize,
}

impl Masked {
    pub(super) fn new(original: &str) -> Self {
        // The mark must not be in the text already.
        Self { text: original.replace('\u{1}', " "), budget: REREAD_BYTES }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether the text may not be read again.
    fn is_spent(&self) -> bool {
        self.budget < self.text.len()
    }

    /// Puts blanks in place of something small that is not needed.
    pub(super) fn blank_out(&mut self, range: std::ops::Range<usize>) {
        let blanks = " ".repeat(range.len());
        self.text.replace_range(range, &blanks);
    }

    /// Tries to take a range out; whether the text then reads at least to behind the range.
    fn take_out(&mut self, range: &std::ops::Range<usize>) -> bool {
        if range.is_empty() || self.is_spent() {
            return false;
        }
        self.budget -= self.text.len();
        let mut text = String::with_capacity(self.text.len());
        text.push_str(&self.text[..range.start]);
        text.push('\u{1}');
        text.extend(std::iter::repeat_n(' ', range.len() - 1));
        text.push_str(&self.text[range.end..]);
        let reads = match logmon_grammar::parse(Rule::items, &text) {
            Ok(_) => true,
            Err(mismatch) => !mismatch.too_deep && range.start < mismatch.at,
        };
        if reads {
            self.text = text;
        }
        reads
    }
}

impl Parser<'_> {
    /// Takes out the smallest statement around a mismatch with which the rest reads on.
    pub(super) fn mask(&self, masked: &mut Masked, piece: &Piece, mismatch: &Mismatch) -> bool {
        let at = self.token_at(piece.bytes.start + mismatch.at).min(piece.tokens.end);
        self.mask_at(masked, piece, at)
    }

    /// Takes out the smallest statement around a token with which the rest reads on.
    pub(super) fn mask_at(&self, masked: &mut Masked, piece: &Piece, at: usize) -> bool {
        let base = piece.bytes.start;
        for open in self.open_braces(piece, at) {
            if masked.is_spent() {
                return false;
            }
            let inside = open + 1..self.scan.tokens[open].partner.unwrap_or(piece.tokens.end);
            for range in self.statements_at(inside, at) {
                let (first, last) = (&self.scan.tokens[range.start], range.end - 1);
                let bytes = first.start - base..self.scan.tokens[last].end - base;
                if masked.take_out(&bytes) {
                    return true;
                }
            }
        }
        false
    }

    /// Returns the braces that are open before a token, innermost first.
    fn open_braces(&self, piece: &Piece, at: usize) -> Vec<usize> {
        let tokens = &self.scan.tokens;
        let is_open = |idx: &usize| {
            tokens[*idx].kind == Kind::Open
                && self.text[tokens[*idx].start..].starts_with('{')
                && tokens[*idx].partner.is_none_or(|close| at <= close)
        };
        (piece.tokens.start..at).rev().filter(is_open).collect()
    }

    /// Returns what to take out of a block: the statement that holds a token; before it, where the
    /// token starts one, the statement above, which may be unfinished; at last both.
    fn statements_at(
        &self,
        block: std::ops::Range<usize>,
        at: usize,
    ) -> Vec<std::ops::Range<usize>> {
        let tokens = &self.scan.tokens;
        if block.is_empty() {
            return Vec::new();
        }
        let depth = tokens[block.start].depth;
        let mut starts: Vec<usize> = block
            .clone()
            .filter(|idx| {
                *idx == block.start
                    || (tokens[*idx].depth == depth && self.starts_statement(*idx, at))
            })
            .collect();
        starts.push(block.end);
        let holder = starts.partition_point(|start| *start <= at).saturating_sub(1);
        let holder = holder.min(starts.len() - 2);
        let statement = |idx: usize| starts[idx]..starts[idx + 1];
        let mut ranges = Vec::new();
        // A line that is no statement at all: what stands before it may be whole.
        if starts[holder] < at && at < starts[holder + 1] && tokens[at].leads {
            ranges.push(at..starts[holder + 1]);
        }
        if starts[holder] == at && 0 < holder {
            ranges.push(statement(holder - 1));
        }
        ranges.push(statement(holder));
        if 0 < holder {
            ranges.push(starts[holder - 1]..starts[holder + 1]);
        }
        ranges
    }

    fn starts_statement(&self, idx: usize, at: usize) -> bool {
        let token: &Token = &self.scan.tokens[idx];
        let text = &self.text[token.start..token.end];
        let goes_on = idx.checked_sub(1).is_some_and(|before| {
            let before = &self.scan.tokens[before];
            before.kind != Kind::Open && !ends_operand(before, self.text)
        });
        match token.kind {
            // What follows an operator belongs to it, unless it is exactly what did not fit.
            Kind::Word if HARD_WORDS.contains(&text) => true,
            Kind::Word => token.leads && STATEMENT_WORDS.contains(&text) && (!goes_on || idx == at),
            Kind::Mark => token.leads && matches!(text, "." | "@") && !goes_on,
            Kind::Text | Kind::Unclosed | Kind::Open | Kind::Close => false,
        }
    }
}
