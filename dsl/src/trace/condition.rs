//! The parts of a rule's condition, each with whether it held and what it looked at.

use super::Run;
use crate::{
    column::Column,
    eval::Lookups,
    plan::{ExprId, RuleId},
    program::Analysis,
    span::Span,
    syntax::ast::{self, Expr, ExprKind, Item, Path, Piece, RecordField},
};

/// A part of a condition, outer parts before those inside them.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Where it stands.
    pub at: Span,
    /// Its text on one line.
    pub text: String,
    /// How deep it lies.
    pub depth: usize,
    /// How its own parts are joined; nothing for a part that has none.
    pub joint: Option<Joint>,
    /// Whether it held.
    pub held: bool,
    /// Fields and metadata that it reads, with their values.
    pub saw: Vec<(String, String)>,
}

/// How parts are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joint {
    /// `and`
    All,
    /// `or`
    Any,
    /// `not`
    Not,
}

/// Longer texts are cut: a part is shown on one line.
const TEXT_MAX: usize = 80;

/// The parts of the group's condition and of the rule's own.
pub(super) fn parts(
    analysis: &Analysis,
    rule: RuleId,
    run: &mut Run,
    lookups: &mut dyn Lookups,
) -> Vec<Part> {
    let name = analysis.plan.rule(rule).span;
    let items = analysis.loaded.units.iter().flat_map(|unit| &unit.ast.items);
    let mut conditions: Vec<&Expr> = Vec::new();
    for item in items {
        match item {
            Item::Rule(it) if it.name.span == name => conditions.extend(&it.when),
            Item::Group(group) => {
                if let Some(it) = group.rules.iter().find(|it| it.name.span == name) {
                    conditions.extend(group.when.iter().chain(&it.when));
                }
            }
            _ => {}
        }
    }
    let mut look = Look { analysis, run, lookups, parts: Vec::new() };
    for condition in conditions {
        look.part(condition, 0);
    }
    look.parts
}

struct Look<'a, 'r> {
    analysis: &'a Analysis,
    run: &'r mut Run,
    lookups: &'r mut dyn Lookups,
    parts: Vec<Part>,
}

impl Look<'_, '_> {
    fn part(&mut self, e: &Expr, depth: usize) {
        let (joint, inside): (_, Vec<&Expr>) = match &e.kind {
            ExprKind::And(all) => (Some(Joint::All), all.iter().collect()),
            ExprKind::Or(all) => (Some(Joint::Any), all.iter().collect()),
            ExprKind::Not(of) => (Some(Joint::Not), vec![of]),
            _ => (None, Vec::new()),
        };
        let Some(id) = self.id(e.span) else { return };
        let held = self.held(id);
        let mut paths = Vec::new();
        if joint.is_none() {
            paths_of(e, &mut paths);
        }
        let mut saw: Vec<(String, String)> = Vec::new();
        for path in paths {
            let text = self.analysis.loaded.sources.text(path.span).to_owned();
            if saw.iter().all(|(known, _)| *known != text)
                && let Some(id) = self.id(path.span)
            {
                saw.push((text, self.run.show(id, self.lookups)));
            }
        }
        let text = one_line(self.analysis.loaded.sources.text(e.span));
        self.parts.push(Part { at: e.span, text, depth, joint, held, saw });
        for part in inside {
            self.part(part, depth + 1);
        }
    }

    /// The expression's number in the plan.
    fn id(&self, at: Span) -> Option<ExprId> {
        let noted = self.analysis.notes.exprs.iter().find(|noted| noted.at == at)?;
        Some(noted.id)
    }

    fn held(&mut self, id: ExprId) -> bool {
        let run = &mut *self.run;
        let column = run.evaluator.value(id, &mut run.batch, &run.names, self.lookups);
        match &*column {
            Column::Bool(cells) => cells.get(0) == Ok(true),
            Column::Json(views) => views[0].truth() == Some(true),
            _ => false,
        }
    }
}

fn one_line(text: &str) -> String {
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() > TEXT_MAX {
        line = line.chars().take(TEXT_MAX - 1).collect();
        line.push('…');
    }
    line
}

/// The event's fields and metadata that an expression reads.
fn paths_of<'e>(e: &'e Expr, out: &mut Vec<&'e Path>) {
    let mut open = vec![e];
    while let Some(e) = open.pop() {
        // Pushed in reverse, so that they come out as they are written.
        let from = open.len();
        match &e.kind {
            ExprKind::Path(path) => out.push(path),
            ExprKind::Call { args, .. } => open.extend(args.iter().map(|arg| &arg.value)),
            ExprKind::Interpolated(pieces) => {
                open.extend(pieces.iter().filter_map(|piece| match piece {
                    Piece::Hole(hole) => Some(hole),
                    Piece::Text(_) => None,
                }));
            }
            ExprKind::Member { base, .. } => open.push(base),
            ExprKind::Index { base, index } => open.extend([&**base, index]),
            ExprKind::List(all)
            | ExprKind::Or(all)
            | ExprKind::And(all)
            | ExprKind::Coalesce(all) => open.extend(all),
            ExprKind::Record(fields) => open.extend(fields.iter().map(|field| match field {
                RecordField::Field { value, .. } => value,
                RecordField::Spread(of) => of,
            })),
            ExprKind::Lambda { body, .. } => open.push(body),
            ExprKind::If { condition, then, otherwise } => {
                open.extend([&**condition, then, otherwise]);
            }
            ExprKind::Match { subject, arms } => {
                open.push(subject);
                open.extend(arms.iter().map(|arm: &ast::Arm| &arm.value));
            }
            ExprKind::Not(of) | ExprKind::Neg(of) => open.push(of),
            ExprKind::Compare { left, right, .. } | ExprKind::Arithmetic { left, right, .. } => {
                open.extend([&**left, right]);
            }
            ExprKind::Is { subject, .. } => open.push(subject),
            ExprKind::Null
            | ExprKind::Bool(_)
            | ExprKind::Int(_)
            | ExprKind::Float(_)
            | ExprKind::Duration(_)
            | ExprKind::Text { .. }
            | ExprKind::Tagged { .. }
            | ExprKind::Name(_)
            | ExprKind::Error => {}
        }
        open[from..].reverse();
    }
}
