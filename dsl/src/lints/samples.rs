//! W202 and W203: comparisons that no event of the tests could ever satisfy.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::effects;
use crate::{
    check::{Checker, declares},
    column::{Layout, NodeId},
    diagnostic::{Code, Diagnostic},
    span::Span,
    syntax::{
        ast::{Comparison, Expr, ExprKind, Item, Path, PathRoot, RecordField, SegKind, StepKind},
        walk,
    },
};

/// How many texts of one field are kept.
const TEXTS_MAX: usize = 256;

/// What the events of all tests hold.
#[derive(Debug, Default)]
pub(super) struct Seen {
    fields: BTreeMap<Vec<String>, Field>,
}

#[derive(Debug, Default)]
struct Field {
    kinds: BTreeSet<Kind>,
    texts: BTreeSet<String>,
    at: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Text,
    Number,
    Bool,
    /// A list, a record, or something computed.
    Other,
}

impl Kind {
    fn of(e: &Expr) -> Option<Self> {
        Some(match &e.kind {
            ExprKind::Null => return None,
            ExprKind::Text { .. } => Self::Text,
            ExprKind::Int(_) | ExprKind::Float(_) => Self::Number,
            ExprKind::Bool(_) => Self::Bool,
            _ => Self::Other,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "a number",
            Self::Bool => "true or false",
            Self::Other => "a list or record",
        }
    }
}

impl Seen {
    /// Reads the events of all tests.
    pub(super) fn of(checker: &Checker<'_>) -> Self {
        let mut seen = Self::default();
        for item in checker.loaded.units.iter().flat_map(|unit| &unit.ast.items) {
            let Item::Test(test) = item else { continue };
            for step in &test.steps {
                if let StepKind::Given { event, .. } = &step.kind {
                    seen.event(event);
                }
            }
        }
        seen
    }

    fn event(&mut self, event: &Expr) {
        let mut open = vec![(Vec::new(), event)];
        while let Some((keys, e)) = open.pop() {
            if !keys.is_empty() {
                let field = self.fields.entry(keys.clone()).or_default();
                if let Some(kind) = Kind::of(e) {
                    if field.kinds.is_empty() {
                        field.at = e.span;
                    }
                    field.kinds.insert(kind);
                }
                if let ExprKind::Text { value, .. } = &e.kind
                    && field.texts.len() < TEXTS_MAX
                {
                    field.texts.insert(value.clone());
                }
            }
            if let ExprKind::Record(fields) = &e.kind {
                for field in fields {
                    if let RecordField::Field { name, value } = field {
                        let mut inner = keys.clone();
                        inner.push(name.name.clone());
                        open.push((inner, value));
                    }
                }
            }
        }
    }

    /// Whether an event of a test has that path.
    pub(super) fn has(&self, layout: &Layout, node: NodeId) -> bool {
        let keys: Vec<String> = layout.path(node).into_iter().map(ToOwned::to_owned).collect();
        self.fields.contains_key(&keys)
    }
}

/// The keys of a path.
pub(super) fn keys_of(layout: &Layout, node: NodeId) -> Vec<Arc<str>> {
    layout.path(node).into_iter().map(Into::into).collect()
}

/// Reports literals that the field of no test event could equal.
pub(super) fn report(checker: &mut Checker<'_>, seen: &Seen) {
    let mut found = Vec::new();
    for item in checker.loaded.units.iter().flat_map(|unit| &unit.ast.items) {
        if matches!(item, Item::Test(_)) {
            continue;
        }
        walk::item(item, &mut |e| {
            if let ExprKind::Compare { op, left, right, .. } = &e.kind {
                Look { checker, seen, found: &mut found }.compare(*op, left, right);
            }
        });
    }
    for diagnostic in found {
        checker.report(diagnostic);
    }
}

struct Look<'l, 'a> {
    checker: &'l Checker<'a>,
    seen: &'l Seen,
    found: &'l mut Vec<Diagnostic>,
}

impl Look<'_, '_> {
    fn compare(&mut self, op: Comparison, left: &Expr, right: &Expr) {
        let literals: Vec<&Expr> = match (&op, &right.kind) {
            (Comparison::In, ExprKind::List(items)) => items.iter().collect(),
            _ => vec![right],
        };
        if let ExprKind::Call { function, args, .. } = &left.kind
            && let ([_], Some(name @ ("lower" | "upper"))) = (args.as_slice(), function.bare())
        {
            for literal in literals {
                self.recased(name, op, literal);
            }
            return;
        }
        let ExprKind::Path(path) = &left.kind else { return };
        let Some((keys, node)) = self.field(path) else { return };
        let Some(field) = self.seen.fields.get(&keys) else { return };
        let layout = &self.checker.build.layout;
        let written =
            effects::touched(layout, node).iter().any(|node| self.checker.written.contains(node));
        if written {
            return;
        }
        let names: Vec<Arc<str>> = keys.iter().map(|key| key.as_str().into()).collect();
        let typed = self.checker.world.sources.iter().any(|source| declares(&source.shape, &names));
        for literal in literals {
            let Some(kind) = Kind::of(literal).filter(|kind| *kind != Kind::Other) else {
                continue;
            };
            if !typed && !field.kinds.contains(&kind) && !field.kinds.contains(&Kind::Other) {
                self.other_type(&layout.display(node), kind, field, literal, left);
            } else if kind == Kind::Text {
                self.other_case(&layout.display(node), op, field, literal);
            }
        }
    }

    /// The place of a path with plain fields only.
    fn field(&self, path: &Path) -> Option<(Vec<String>, NodeId)> {
        if !matches!(path.root, PathRoot::Event) || path.segs.is_empty() {
            return None;
        }
        let keys: Option<Vec<String>> = path
            .segs
            .iter()
            .map(|seg| match &seg.kind {
                SegKind::Field(key) => Some(key.clone()),
                SegKind::Index(_) | SegKind::Each => None,
            })
            .collect();
        let keys = keys?;
        let node = self.checker.build.layout.find(&keys)?;
        Some((keys, node))
    }

    fn other_type(&mut self, path: &str, kind: Kind, field: &Field, literal: &Expr, left: &Expr) {
        let Some(here) = field.kinds.first() else { return };
        let message = format!(
            "`{path}` is compared with {}, but is {} in every test",
            kind.name(),
            here.name()
        );
        let diagnostic = Diagnostic::new(Code::W202, literal.span, message)
            .label(format!("this is {}", kind.name()))
            .related(field.at, format!("here it is {}", here.name()));
        self.found.push(match (kind, here) {
            (Kind::Number, Kind::Text) => {
                let call = if matches!(literal.kind, ExprKind::Float(_)) { "float" } else { "int" };
                diagnostic.suggest(
                    "read the text as a number",
                    vec![
                        (left.span.before(), format!("{call}(")),
                        (left.span.behind(), ")".to_owned()),
                    ],
                )
            }
            (Kind::Text, Kind::Number) => {
                let text = self.checker.loaded.sources.text(literal.span).trim_matches('"');
                match text.parse::<f64>() {
                    Ok(_) => diagnostic.suggest(
                        "write the number without quotes",
                        vec![(literal.span, text.to_owned())],
                    ),
                    Err(_) => diagnostic,
                }
            }
            _ => diagnostic,
        });
    }

    /// A word that tests know, in other letters.
    fn other_case(&mut self, path: &str, op: Comparison, field: &Field, literal: &Expr) {
        let ExprKind::Text { value, fold: false } = &literal.kind else { return };
        if !matches!(op, Comparison::Eq | Comparison::In) || field.texts.contains(value) {
            return;
        }
        let lower = value.to_lowercase();
        let has_upper = field.texts.iter().any(|text| *text != text.to_lowercase());
        if lower != *value && field.texts.contains(&lower) && !has_upper {
            let message = format!("`{path}` is in lower case in every test");
            self.found.push(
                Diagnostic::new(Code::W203, literal.span, message)
                    .label("this is not")
                    .suggest("write it as events do", vec![(literal.span, format!("{lower:?}"))]),
            );
        }
    }

    /// `lower(x) == "Text"` is never true.
    fn recased(&mut self, function: &str, op: Comparison, literal: &Expr) {
        let ExprKind::Text { value, fold: false } = &literal.kind else { return };
        let text = matches!(
            op,
            Comparison::Eq
                | Comparison::In
                | Comparison::Contains
                | Comparison::StartsWith
                | Comparison::EndsWith
        );
        let wanted = if function == "lower" { value.to_lowercase() } else { value.to_uppercase() };
        if !text || wanted == *value {
            return;
        }
        let message = format!("`{function}` never gives these letters");
        let diagnostic = Diagnostic::new(Code::W203, literal.span, message)
            .label(format!("has letters that `{function}` changes"));
        let plain = value.chars().all(|c| c.is_ascii() && !c.is_control() && c != '"' && c != '\\');
        self.found.push(if plain {
            diagnostic.fix("write what can be equal", vec![(literal.span, format!("\"{wanted}\""))])
        } else {
            diagnostic
        });
    }
}
