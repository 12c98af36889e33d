//! Comparisons, and the habits that other languages leave in conditions.

use logmon_grammar::{Pair, Rule};

use super::lower::{Lower, has, parts};
use crate::{
    diagnostic::{Code, Diagnostic},
    span::Span,
    syntax::ast::{Comparison, Expr, ExprKind, Presence, Tag},
};

/// An operator as it stands in the text.
#[derive(Clone, Copy, Debug)]
struct Operator {
    comparison: Comparison,
    negated: bool,
    span: Span,
}

impl Lower<'_> {
    /// Lowers a comparison, or what stands there without one.
    pub(super) fn compare(&mut self, pair: &Pair<'_>) -> Expr {
        let mut inner = parts(pair);
        let first = inner.need();
        let tails: Vec<Pair<'_>> = inner.collect();
        let Some(tail) = tails.first() else { return self.expr_inside(&first) };
        if 1 < tails.len() {
            return self.chained(pair, &first, &tails);
        }
        let left = self.expr(&first);
        self.tail(left, &first, tail)
    }

    /// Compares an operand with what one tail says.
    fn tail(&mut self, left: Expr, first: &Pair<'_>, tail: &Pair<'_>) -> Expr {
        let span = self.across(first, tail);
        let mut inner = parts(tail);
        let part = inner.need();
        if part.as_rule() == Rule::is_tail {
            let presence = self.presence(&parts(&part).need());
            let negated = has(&part, Rule::k_not);
            return Expr {
                kind: ExprKind::Is { subject: Box::new(left), negated, presence },
                span,
            };
        }
        let operator = self.operator(&part, first);
        let operand = inner.need();
        let mut right = self.expr(&operand);
        let equality = operator.comparison == Comparison::Eq;
        if equality && right.kind == ExprKind::Null {
            let negated = operator.negated;
            let null = self.span(&operand);
            self.slip_null(operator, null);
            let kind =
                ExprKind::Is { subject: Box::new(left), negated, presence: Presence::Absent };
            return Expr { kind, span };
        }
        if slip(&part) == Some(Rule::slip_match) {
            right = self.slip_match(operator, right);
        }
        let kind = ExprKind::Compare {
            op: operator.comparison,
            op_span: operator.span,
            negated: operator.negated,
            left: Box::new(left),
            right: Box::new(right),
        };
        Expr { kind, span }
    }

    fn presence(&self, pair: &Pair<'_>) -> Presence {
        if let Some(name) = parts(pair).pick(Rule::qname) {
            return Presence::Type(self.qname(&name));
        }
        match pair.as_str().trim() {
            "absent" => Presence::Absent,
            "missing" => Presence::Missing,
            "null" => Presence::Null,
            _ => Presence::Present,
        }
    }

    fn operator(&mut self, pair: &Pair<'_>, left: &Pair<'_>) -> Operator {
        assert_eq!(pair.as_rule(), Rule::compare_op);
        let span = self.span(pair);
        let text = span.of(self.text);
        let (comparison, negated) = match text {
            "==" | "=" => (Comparison::Eq, false),
            "!=" => (Comparison::Eq, true),
            "<" => (Comparison::Lt, false),
            "<=" => (Comparison::Le, false),
            ">" => (Comparison::Gt, false),
            ">=" => (Comparison::Ge, false),
            "=~" => (Comparison::Matches, false),
            "!~" => (Comparison::Matches, true),
            _ => word_operator(pair),
        };
        if slip(pair) == Some(Rule::slip_eq) {
            self.slip_eq(span, left);
        }
        Operator { comparison, negated, span }
    }

    /// Reads `a < b < c` as it is meant and says how it is written.
    fn chained(&mut self, pair: &Pair<'_>, first: &Pair<'_>, tails: &[Pair<'_>]) -> Expr {
        let span = self.span(pair);
        self.nested(tails.len(), span, |lower| {
            let mut edits = Vec::new();
            let mut terms = Vec::new();
            let mut left = first.clone();
            for tail in tails {
                let value = match terms.last() {
                    None => lower.expr(&left),
                    Some(Expr { kind: ExprKind::Compare { right, .. }, .. }) => {
                        let at = lower.span(&left);
                        edits.push((at.behind(), format!(" and {}", at.of(lower.text))));
                        (**right).clone()
                    }
                    Some(_) => break,
                };
                terms.push(lower.tail(value, &left, tail));
                left = parts(tail).last().expect("a tail has parts");
            }
            // `a is int == b` has no meaning that could be guessed.
            let sure = terms.len() == tails.len()
                && terms.iter().all(|term| matches!(term.kind, ExprKind::Compare { .. }));
            let second = parts(&tails[1]).need();
            let diagnostic =
                Diagnostic::new(Code::E105, lower.span(&second), "comparisons do not chain")
                    .label("a second comparison")
                    .related(lower.span(&parts(&tails[0]).need()), "the first");
            lower.report(if sure {
                if lower.is_denied(span) {
                    edits.insert(0, (span.before(), "(".to_owned()));
                    edits.push((span.behind(), ")".to_owned()));
                }
                diagnostic.fix("compare twice", edits)
            } else {
                diagnostic.advise("write two comparisons with `and` between them")
            });
            if terms.len() == 1 {
                return terms.pop().expect("there is one");
            }
            Expr { kind: ExprKind::And(terms), span }
        })
    }

    /// Says that `=` does not compare.
    fn slip_eq(&mut self, at: Span, left: &Pair<'_>) {
        let start = self.span(left).start as usize;
        let line = self.text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let leads = self.text[line..start].trim().is_empty();
        if leads && left.as_str().starts_with('.') {
            // `.a =` and then a line `.b = 1`: the first line is not finished.
            let before = self.tokens.partition_point(|token| token.end <= start);
            if let Some(last) = before.checked_sub(1).map(|last| self.tokens[last]) {
                let at = Span::new(self.file, last.start, last.end);
                let diagnostic = Diagnostic::new(Code::E100, at, "the value is missing")
                    .label("expected an expression after this")
                    .related(self.span(left), "this is already the next statement");
                return self.report(diagnostic);
            }
        }
        self.report(
            Diagnostic::new(Code::E105, at, "`=` does not compare")
                .label("this assigns")
                .fix("write `==`", vec![(at, "==".to_owned())]),
        );
    }

    /// Says that `&&` and `||` are words here; other operators pass.
    pub(super) fn slip_junction(&mut self, pair: &Pair<'_>) {
        let at = self.span(pair);
        let word = match slip(pair) {
            Some(Rule::slip_and) => "and",
            Some(Rule::slip_or) => "or",
            _ => return,
        };
        let symbol = at.of(self.text);
        let diagnostic = Diagnostic::new(Code::E105, at, format!("`{symbol}` is spelled `{word}`"))
            .label("operators on conditions are words")
            .fix(format!("write `{word}`"), vec![(at, self.spaced(at, word))]);
        self.report(diagnostic);
    }

    /// Says that `!` is a word here.
    pub(super) fn slip_not(&mut self, pair: &Pair<'_>) {
        let at = self.span(pair);
        let behind = &self.text[at.end as usize..];
        let word = if behind.starts_with(char::is_whitespace) { "not" } else { "not " };
        self.report(
            Diagnostic::new(Code::E105, at, "`!` is spelled `not`")
                .label("operators on conditions are words")
                .note("`not` takes the whole comparison: `not a == b` is `a != b`")
                .fix("write `not`", vec![(at, word.to_owned())]),
        );
    }

    /// Says that nothing equals null.
    fn slip_null(&mut self, operator: Operator, null: Span) {
        let at = operator.span.to(null);
        let word = if operator.negated { "is not absent" } else { "is absent" };
        let always = if operator.negated { "true" } else { "false" };
        let written = self.spaced(at, word);
        self.report(
            Diagnostic::new(Code::E105, at, "nothing equals `null`")
                .label(format!("always {always}"))
                .note("`is absent` asks for no value at all, `is null` for a JSON null alone")
                .fix(format!("write `{word}`"), vec![(at, written)]),
        );
    }

    /// Says that `=~` is a word here, and makes the text to its right a regex.
    fn slip_match(&mut self, operator: Operator, right: Expr) -> Expr {
        let word = if operator.negated { "not matches" } else { "matches" };
        let symbol = operator.span.of(self.text);
        let mut edits = vec![(operator.span, self.spaced(operator.span, word))];
        let message = format!("`{symbol}` is spelled `{word}`");
        let diagnostic =
            Diagnostic::new(Code::E105, operator.span, message).label("this matches a regex");
        let written = right.span.of(self.text);
        let (kind, regex) = match right.kind {
            ExprKind::Text { fold, .. } if written.starts_with('"') => {
                // Elsewhere a regex in a string needs its backslashes doubled; some people do not.
                let tail = if fold { 2 } else { 1 };
                let raw_span =
                    Span { start: right.span.start + 1, end: right.span.end - tail, ..right.span };
                self.diagnostics.retain(|found| {
                    found.code != Code::E120 || !raw_span.range().contains(&found.at.range().start)
                });
                let raw = raw_span.of(self.text).replace(r"\\", r"\");
                let flags = if fold { "i".to_owned() } else { String::new() };
                edits.push((right.span, format!("re\"{raw}\"{flags}")));
                let sure = !raw.contains('"');
                (ExprKind::Tagged { tag: Tag::Regex, raw, raw_span, flags }, sure)
            }
            kind => {
                let regex = matches!(kind, ExprKind::Tagged { tag: Tag::Regex, .. });
                (kind, regex)
            }
        };
        let help = format!("write `{word} re\"…\"`");
        self.report(if regex {
            diagnostic.fix(help, edits)
        } else {
            diagnostic.suggest(help, edits)
        });
        Expr { kind, ..right }
    }

    /// Whether a `not` stands before an expression.
    fn is_denied(&self, at: Span) -> bool {
        let before = self.text[..at.start as usize].trim_end();
        before.ends_with("not") || before.ends_with('!')
    }

    /// Puts blanks around a word where the text it replaces has none.
    fn spaced(&self, at: Span, word: &str) -> String {
        let is_tight = |c: Option<char>| c.is_some_and(|c| !c.is_whitespace());
        let before = is_tight(self.text[..at.start as usize].chars().next_back());
        let behind = is_tight(self.text[at.end as usize..].chars().next())
            && !self.text[at.end as usize..].starts_with(')');
        let blank = |tight: bool| if tight { " " } else { "" };
        format!("{}{word}{}", blank(before), blank(behind))
    }
}

/// Returns the habit inside an operator, if it is one.
fn slip(pair: &Pair<'_>) -> Option<Rule> {
    pair.clone().into_inner().map(|inner| inner.as_rule()).find(|rule| {
        matches!(rule, Rule::slip_eq | Rule::slip_match | Rule::slip_and | Rule::slip_or)
    })
}

fn word_operator(pair: &Pair<'_>) -> (Comparison, bool) {
    let word = parts(pair).need();
    assert_eq!(word.as_rule(), Rule::word_op);
    let rules: Vec<Rule> = word.into_inner().map(|inner| inner.as_rule()).collect();
    let comparison = match rules.last() {
        Some(Rule::k_in) => Comparison::In,
        Some(Rule::k_contains) => Comparison::Contains,
        Some(Rule::k_starts_with) => Comparison::StartsWith,
        Some(Rule::k_ends_with) => Comparison::EndsWith,
        Some(Rule::k_matches) => Comparison::Matches,
        Some(Rule::k_like) => Comparison::Like,
        Some(Rule::k_has) => Comparison::Has,
        other => unreachable!("{other:?} is no operator"),
    };
    (comparison, rules.len() == 2)
}
