//! W122, W123, W124: regexes that are dear, say what an operator says, or capture for nothing.

use regex_syntax::{
    ast::{self, Ast, GroupKind},
    hir::{Class, Hir, HirKind, Look},
};

use crate::{
    check::Checker,
    diagnostic::{Code, Diagnostic},
    span::Span,
    syntax::{
        ast::{Comparison, Expr, ExprKind, Tag},
        walk,
    },
};

/// Repeats beyond this are built out one by one.
const REPEATS_MAX: u32 = 100;

/// A regex with more states than this leaves the fast machine's cache on the first mixed input.
const STATES_MAX: u64 = 5_000;

/// Reports regexes as they are written.
pub(super) fn report(checker: &mut Checker<'_>) {
    let mut found = Vec::new();
    for unit in &checker.loaded.units {
        for item in &unit.ast.items {
            walk::item(item, &mut |e| look(checker, e, &mut found));
        }
    }
    for diagnostic in found {
        checker.report(diagnostic);
    }
}

/// A regex literal.
#[derive(Clone, Copy)]
struct Literal<'e> {
    raw: &'e str,
    flags: &'e str,
    at: Span,
    raw_span: Span,
}

impl<'e> Literal<'e> {
    fn of(e: &'e Expr) -> Option<Self> {
        match &e.kind {
            ExprKind::Tagged { tag: Tag::Regex, raw, raw_span, flags } => {
                Some(Self { raw, flags, at: e.span, raw_span: *raw_span })
            }
            _ => None,
        }
    }

    fn hir(&self, fold: bool) -> Option<Hir> {
        regex_syntax::ParserBuilder::new()
            .case_insensitive(fold && self.flags.contains('i'))
            .dot_matches_new_line(self.flags.contains('s'))
            .ignore_whitespace(self.flags.contains('x'))
            .utf8(false)
            .build()
            .parse(self.raw)
            .ok()
    }

    /// A place inside the literal, where its text stands in the file byte for byte.
    fn inside(&self, from: usize, to: usize) -> Option<Span> {
        let start = self.raw_span.start as usize;
        ((self.raw_span.end as usize) - start == self.raw.len())
            .then(|| Span::new(self.raw_span.file, start + from, start + to))
    }
}

fn look(checker: &Checker<'_>, e: &Expr, found: &mut Vec<Diagnostic>) {
    if let Some(literal) = Literal::of(e) {
        // What does not compile was reported, and is no regex.
        if let Some(reasons) = cost(checker, e, &literal) {
            found.push(reasons);
        }
        return;
    }
    if let ExprKind::Compare { op: Comparison::Matches, op_span, negated, left, right } = &e.kind
        && let Some(literal) = Literal::of(right)
        && checker.compiled_regex(right.span).is_some()
    {
        let cheaper = cheaper(checker, &literal, e, left, *op_span, *negated);
        match cheaper {
            Some(diagnostic) => found.push(diagnostic),
            None => unused_groups(&literal, found),
        }
    }
}

/// W124: `matches` gives true or false, so a named group is never read.
fn unused_groups(literal: &Literal<'_>, found: &mut Vec<Diagnostic>) {
    struct Groups(Vec<(String, usize, usize)>);
    impl ast::Visitor for Groups {
        type Output = Vec<(String, usize, usize)>;
        type Err = std::convert::Infallible;

        fn finish(self) -> Result<Self::Output, Self::Err> {
            Ok(self.0)
        }

        fn visit_pre(&mut self, ast: &Ast) -> Result<(), Self::Err> {
            if let Ast::Group(group) = ast
                && let GroupKind::CaptureName { name, .. } = &group.kind
            {
                // `(?<name>`: from behind the parenthesis to behind the `>`.
                let (start, end) = (group.span.start.offset + 1, name.span.end.offset + 1);
                self.0.push((name.name.clone(), start, end));
            }
            Ok(())
        }
    }
    let parsed = ast::parse::ParserBuilder::new()
        .ignore_whitespace(literal.flags.contains('x'))
        .build()
        .parse(literal.raw);
    let Ok(tree) = parsed else { return };
    let Ok(groups) = ast::visit(&tree, Groups(Vec::new()));
    for (name, start, end) in groups {
        let message = format!("the group `{name}` is never read");
        let Some(at) = literal.inside(start, end) else { continue };
        found.push(
            Diagnostic::new(Code::W124, at, message)
                .label("`matches` only says whether the text matches")
                .fix("group without capturing", vec![(at, "?:".to_owned())]),
        );
    }
}

/// W122: why a regex is dear, if it is.
fn cost(checker: &Checker<'_>, e: &Expr, literal: &Literal<'_>) -> Option<Diagnostic> {
    let regex = checker.compiled_regex(e.span)?;
    let hir = literal.hir(true)?;
    let parts: &[Hir] = match hir.kind() {
        HirKind::Concat(parts) => parts,
        _ => std::slice::from_ref(&hir),
    };
    let anchored = matches!(parts.first().map(Hir::kind), Some(HirKind::Look(Look::Start)));
    let gaps = parts
        .iter()
        .skip(1)
        .take(parts.len().saturating_sub(2))
        .filter(|part| is_wide(part))
        .count();
    let wide_start = !anchored && parts.first().is_some_and(is_open_class);
    let mut reasons: Vec<String> = Vec::new();
    if let Some(repeats) = repeats(&hir).filter(|n| *n > REPEATS_MAX) {
        reasons.push(format!(
            "it repeats a part {repeats} times, and each time is a state of its own"
        ));
    }
    let states = states(&hir);
    if states > STATES_MAX {
        reasons
            .push(format!("it has about {states} states, more than fit the fast machine's cache"));
    }
    // Required text of three bytes is searched for first; with it the machine rarely runs.
    if regex.required().is_none() && gaps > 0 && parts.len() > 2 {
        if wide_start {
            reasons.push("it may start at every character: no `^` holds it".to_owned());
        }
        if wide_start || gaps > 1 {
            reasons.push("`.*` between classes makes it look ahead from every start".to_owned());
            reasons.push("no text of three bytes or more stands in every match".to_owned());
        }
    }
    if reasons.is_empty() {
        return None;
    }
    let mut diagnostic = Diagnostic::new(Code::W122, literal.at, "this regex is expensive");
    for reason in reasons {
        diagnostic = diagnostic.note(reason);
    }
    Some(diagnostic.advise("anchor it, name the text it must hold, or ask for that text first: `.x contains \"…\" and …`"))
}

/// `.*`, `.+` and repeats of other classes that leave out little.
fn is_wide(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Repetition(repetition) => {
            repetition.max.is_none()
                && matches!(repetition.sub.kind(), HirKind::Class(class) if width(class) > 1_000)
        }
        HirKind::Capture(capture) => is_wide(&capture.sub),
        _ => false,
    }
}

/// A class that repeats without end.
fn is_open_class(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Repetition(repetition) => {
            repetition.max.is_none() && matches!(repetition.sub.kind(), HirKind::Class(_))
        }
        HirKind::Capture(capture) => is_open_class(&capture.sub),
        _ => false,
    }
}

/// How many characters a class has.
fn width(class: &Class) -> u64 {
    match class {
        Class::Unicode(class) => {
            class.iter().map(|range| u64::from(range.end()) - u64::from(range.start()) + 1).sum()
        }
        // All bytes are all characters.
        Class::Bytes(class) => {
            class.iter().map(|range| u64::from(range.end() - range.start()) + 1).sum::<u64>() * 100
        }
    }
}

/// The largest bounded repeat.
fn repeats(hir: &Hir) -> Option<u32> {
    match hir.kind() {
        HirKind::Repetition(repetition) => {
            let own = repetition.max.unwrap_or(repetition.min).max(repetition.min);
            Some(own.max(repeats(&repetition.sub).unwrap_or(0)))
        }
        HirKind::Capture(capture) => repeats(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().filter_map(repeats).max()
        }
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => None,
    }
}

/// About how many states a machine for it has.
fn states(hir: &Hir) -> u64 {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len() as u64,
        HirKind::Class(Class::Unicode(class)) => class.ranges().len() as u64,
        HirKind::Class(Class::Bytes(_)) => 1,
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min.max(1)).max(1);
            states(&repetition.sub).saturating_mul(times.into())
        }
        HirKind::Capture(capture) => states(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().fold(0, |all, part| all.saturating_add(states(part)))
        }
    }
}

/// W123: the operator that says the same.
fn cheaper(
    checker: &Checker<'_>,
    literal: &Literal<'_>,
    e: &Expr,
    left: &Expr,
    op: Span,
    negated: bool,
) -> Option<Diagnostic> {
    if literal.flags.contains('m') {
        return None;
    }
    let hir = literal.hir(false)?;
    let parts: Vec<&Hir> = match hir.kind() {
        HirKind::Concat(parts) => parts.iter().collect(),
        _ => vec![&hir],
    };
    let is = |part: Option<&&Hir>, look: Look| matches!(part.map(|part| part.kind()), Some(HirKind::Look(found)) if *found == look);
    let (start, end) = (is(parts.first(), Look::Start), is(parts.last(), Look::End));
    let body = &parts[usize::from(start)..parts.len().max(1) - usize::from(end)];
    // `.*` at an open end says nothing.
    let body = match body {
        [first, rest @ ..] if !start && !rest.is_empty() && is_anything(first) => rest,
        body => body,
    };
    let body = match body {
        [rest @ .., last] if !end && !rest.is_empty() && is_anything(last) => rest,
        body => body,
    };
    let word = if negated { "not " } else { "" };
    let fold = if literal.flags.contains('i') { "i" } else { "" };
    let (said, with) = if let Some(text) = text_of(body) {
        let quoted = format!("{}{fold}", quoted(&text)?);
        match (start, end) {
            (true, true) if negated => ("!=", format!("!= {quoted}")),
            (true, true) => ("==", format!("== {quoted}")),
            (true, false) => ("starts_with", format!("{word}starts_with {quoted}")),
            (false, true) => ("ends_with", format!("{word}ends_with {quoted}")),
            (false, false) => ("contains", format!("{word}contains {quoted}")),
        }
    } else {
        let texts = alternatives(body)?;
        let list: Option<Vec<String>> = texts.iter().map(|text| quoted(text)).collect();
        let list = format!("[{}]", list?.join(", "));
        match (start, end, fold) {
            (true, true, "") => ("in", format!("{word}in {list}")),
            (false, false, "") => {
                let value = checker.loaded.sources.text(left.span);
                let call = format!("{word}contains_any({value}, {list})");
                return Some(
                    Diagnostic::new(
                        Code::W123,
                        literal.at,
                        "`contains_any` says the same without a regex",
                    )
                    .suggest("write it like this", vec![(e.span, call)]),
                );
            }
            _ => return None,
        }
    };
    let message = format!("`{said}` says the same without a regex");
    let edits = vec![(op.to(literal.at), with)];
    let diagnostic = Diagnostic::new(Code::W123, literal.at, message);
    Some(if fold.is_empty() {
        diagnostic.fix(format!("write `{said}`"), edits)
    } else {
        // Letters outside ASCII have more forms in a regex.
        diagnostic.suggest(format!("write `{said}`"), edits)
    })
}

/// `.*`
fn is_anything(hir: &Hir) -> bool {
    matches!(hir.kind(), HirKind::Repetition(repetition)
        if repetition.min == 0 && repetition.max.is_none()
            && matches!(repetition.sub.kind(), HirKind::Class(class) if width(class) > 1_000_000))
}

/// The text that parts spell, if they are nothing but text.
fn text_of(parts: &[&Hir]) -> Option<String> {
    let mut text = Vec::new();
    for part in parts {
        match part.kind() {
            HirKind::Literal(literal) => text.extend_from_slice(&literal.0),
            HirKind::Capture(capture) => text.extend(text_of(&[&capture.sub])?.into_bytes()),
            _ => return None,
        }
    }
    let text = String::from_utf8(text).ok()?;
    (!text.is_empty()).then_some(text)
}

fn alternatives(parts: &[&Hir]) -> Option<Vec<String>> {
    let [only] = parts else { return None };
    match only.kind() {
        HirKind::Capture(capture) => alternatives(&[&capture.sub]),
        HirKind::Alternation(branches) => {
            branches.iter().map(|branch| text_of(&[branch])).collect()
        }
        _ => None,
    }
}

/// A text as a literal of the language, where that needs no more than the common escapes.
fn quoted(text: &str) -> Option<String> {
    if text.chars().any(char::is_control) {
        return None;
    }
    Some(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}
