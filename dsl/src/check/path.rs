//! Reading paths: what is known of them here, and what they are read as.

use std::sync::Arc;

use super::{
    Checked, Checker,
    event::{Known, look},
    expr::keys_of,
};
use crate::{
    catalog::nearest,
    column::{Absence, NodeId},
    diagnostic::{Code, Diagnostic},
    functions,
    plan::{Arg, Literal, MetaField, Op},
    span::Span,
    syntax::ast::{Ident, Path, PathRoot, Seg, SegKind},
    types::{Ty, Type},
};

/// Metadata by name.
const META: &[(&str, MetaField, Type, bool)] = &[
    ("topic", MetaField::Topic, Type::Text, false),
    ("partition", MetaField::Partition, Type::Int, false),
    ("offset", MetaField::Offset, Type::Int, false),
    ("key", MetaField::Key, Type::Text, true),
    ("ingest_time", MetaField::IngestTime, Type::Timestamp, false),
    ("headers", MetaField::Headers, Type::Any, false),
    ("source", MetaField::Source, Type::Text, false),
];

/// What the sources of a place say of a path, taken together.
struct Merged {
    ty: Ty,
    coerce: bool,
}

impl Checker<'_> {
    /// A path as a value.
    pub(super) fn path(&mut self, path: &Path) -> Option<Checked> {
        if self.place.in_const {
            return self.fail(Code::E101, path.span, "a constant cannot read the event");
        }
        let (value, rest) = match &path.root {
            PathRoot::Meta(name) => (self.meta(name, path.span)?, path.segs.as_slice()),
            PathRoot::Event => {
                let fields = leading(&path.segs);
                let keys: Vec<Arc<str>> = fields.iter().map(|(key, _)| (*key).into()).collect();
                let spans: Vec<Span> = fields.iter().map(|(_, span)| *span).collect();
                (self.field(&keys, &spans, path.span)?, &path.segs[fields.len()..])
            }
        };
        self.steps(value, rest, path.span)
    }

    /// The steps of a path behind its fields.
    fn steps(&mut self, mut value: Checked, mut rest: &[Seg], span: Span) -> Option<Checked> {
        while let Some((seg, after)) = rest.split_first() {
            rest = after;
            value = match &seg.kind {
                SegKind::Field(name) => {
                    let name = Ident { name: name.clone(), span: seg.span };
                    self.member(&value, &name, span)?
                }
                SegKind::Index(at) => {
                    let literal = Op::Literal(Literal::Int(*at));
                    let at = self.add(literal, Ty::required(Type::Int), seg.span);
                    self.index(&value, at, span)?
                }
                SegKind::Each => {
                    let keys = leading(rest);
                    rest = &rest[keys.len()..];
                    if let Some(next) = rest.first() {
                        self.later(next.span, "a second index behind `[*]`");
                        return None;
                    }
                    self.each(value, &keys, span)?
                }
            };
        }
        Some(value)
    }

    fn each(&mut self, list: Checked, keys: &[(&str, Span)], span: Span) -> Option<Checked> {
        let mut of = match list.base() {
            Type::List(of) => (**of).clone(),
            Type::Any => Type::Any,
            other => {
                let message = format!("`[*]` takes a list, not `{other}`");
                return self.fail(Code::E101, span, message);
            }
        };
        let list = match list.base() {
            Type::Any => self.narrow(list, Type::list(Type::Any)),
            _ => list,
        };
        for (key, at) in keys {
            of = match &of {
                Type::Record(shape) => match shape.field(key) {
                    Some(field) => field.ty.base.clone(),
                    None if shape.open => Type::Any,
                    None => {
                        let known: Vec<_> =
                            shape.fields.iter().map(|field| field.name.clone()).collect();
                        self.no_field(key, *at, &known);
                        return None;
                    }
                },
                Type::Map(of) => (**of).clone(),
                Type::Any => Type::Any,
                other => {
                    let message = format!("a `{other}` has no field `{key}`");
                    return self.fail(Code::E201, *at, message);
                }
            };
        }
        let keys = keys.iter().map(|(key, _)| (*key).into()).collect();
        let optional = list.ty.optional;
        let op = Op::Each { of: list.id, keys };
        Some(self.add(op, Ty { base: Type::list(of), optional }, span))
    }

    fn meta(&mut self, name: &Ident, span: Span) -> Option<Checked> {
        let Some((_, field, base, optional)) = META.iter().find(|(known, ..)| *known == name.name)
        else {
            let known = META.iter().map(|(known, ..)| *known);
            let mut diagnostic = Diagnostic::new(
                Code::E102,
                name.span,
                format!("there is no metadata `@{}`", name.name),
            );
            diagnostic = match nearest(&name.name, known) {
                Some(near) => diagnostic
                    .suggest("metadata with a similar name exists", vec![(name.span, near)]),
                None => diagnostic.note(
                    "metadata are @topic, @partition, @offset, @key, @ingest_time, @headers and @source",
                ),
            };
            self.report(diagnostic);
            return None;
        };
        let base = if *field == MetaField::Headers {
            self.build.reads_headers = true;
            Type::map(Type::Text)
        } else {
            base.clone()
        };
        let found = self.add(Op::Meta(*field), Ty { base, optional: *optional }, span);
        Some(self.with_facts(found))
    }

    /// A field of the event; no keys mean the event itself.
    fn field(&mut self, keys: &[Arc<str>], spans: &[Span], span: Span) -> Option<Checked> {
        if keys.is_empty() {
            return Some(self.add(Op::Field(NodeId::ROOT), Ty::required(Type::Any), span));
        }
        let node = self.node(keys);
        let merged = self.merged(node, keys, spans)?;
        Some(self.read(node, merged, span))
    }

    /// A field of the event by a key of its own, absent where no event that comes here can have it.
    pub(super) fn field_if_any(&mut self, name: &str, span: Span) -> Checked {
        let keys = keys_of(&[name]);
        let shapes = self.place.on.iter().map(|source| look(&self.flow.shapes[*source], &keys));
        let (mut typed, mut open) = (false, false);
        for known in shapes {
            typed |= matches!(known, Known::Typed { .. });
            open |= matches!(known, Known::Open { .. });
        }
        if typed
            && !self.place.in_const
            && let Some(found) = self.field(&keys, &[span], span)
        {
            return found;
        }
        let (op, ty) = if open && !self.place.in_const {
            (Op::Field(self.node(&keys)), Ty::optional(Type::Any))
        } else {
            (Op::Literal(Literal::Absent(Absence::Missing)), Ty::optional(Type::Null))
        };
        self.add(op, ty, span)
    }

    fn read(&mut self, node: NodeId, merged: Merged, span: Span) -> Checked {
        let Merged { ty, coerce } = merged;
        let declared = self.build.layout.node(node).ty.clone();
        // A record as a whole is put together as JSON text: its members have no static place there.
        let base = match &ty.base {
            Type::Record(_) => Type::Any,
            base => base.clone(),
        };
        if base == Type::Any || base == declared {
            let found = self.add(Op::Field(node), Ty { base, optional: ty.optional }, span);
            return self.with_facts(found);
        }
        // Other sources say something else of this path, so it is read undecoded.
        let raw = Ty { base: Type::Any, optional: ty.optional };
        let field = self.add(Op::Field(node), raw, span);
        let field = self.with_facts(field);
        let optional = ty.optional && field.ty.optional;
        let function = match base {
            Type::Int => "int",
            Type::Float => "float",
            Type::Bool => "bool",
            Type::Text => "string",
            Type::Timestamp => "timestamp",
            Type::Severity => "parse_severity",
            _ => "",
        };
        if coerce && let Some(function) = functions::find(function) {
            let mut args = vec![Some(Arg::Value(field.id))];
            args.resize(function.params.len().max(1), None);
            return self.add(Op::Call { function, args }, Ty { base, optional }, span);
        }
        let narrowed = self.narrow(field, base.clone());
        Checked { ty: Ty { base, optional }, ..narrowed }
    }

    /// The path's place in the layout, with what the sources declare of it.
    pub(super) fn node(&mut self, keys: &[Arc<str>]) -> NodeId {
        let mut at = NodeId::ROOT;
        for end in 1..=keys.len() {
            at = self.build.layout.add_child(at, &keys[end - 1]);
            let mut agreed: Option<(Type, bool)> = None;
            let mut agree = true;
            for source in &self.world.sources {
                if let Known::Typed { ty, coerce } = look(&source.shape, &keys[..end]) {
                    let said = (ty.base, coerce);
                    match &agreed {
                        None => agreed = Some(said),
                        Some(known) => agree &= *known == said,
                    }
                }
            }
            if let Some((ty, coerce)) = agreed.filter(|_| agree) {
                self.build.layout.declare(at, ty, coerce);
            }
        }
        at
    }

    fn merged(&mut self, node: NodeId, keys: &[Arc<str>], spans: &[Span]) -> Option<Merged> {
        let mut typed: Option<(Type, bool)> = None;
        let mut agree = true;
        let mut optional = false;
        let mut opened: Option<(Vec<Arc<str>>, usize)> = None;
        let mut refused: Option<Known> = None;
        for source in &self.place.on {
            match look(&self.flow.shapes[*source], keys) {
                Known::Typed { ty, coerce } => {
                    optional |= ty.optional;
                    let said = (ty.base, coerce);
                    match &typed {
                        None => typed = Some(said),
                        Some(known) => agree &= *known == said,
                    }
                }
                Known::Open { known, step } => {
                    let (all, _) = opened.get_or_insert_with(|| (Vec::new(), step));
                    all.extend(known);
                }
                other @ (Known::Closed { .. } | Known::Scalar { .. }) => {
                    optional = true;
                    refused.get_or_insert(other);
                }
            }
        }
        let any = Merged { ty: Ty::optional(Type::Any), coerce: false };
        match (typed, opened) {
            (Some((base, coerce)), None) if agree => {
                Some(Merged { ty: Ty { base, optional }, coerce })
            }
            (Some(_), _) => Some(any),
            (None, Some((known, step))) => {
                if !self.written.contains(&node) && !self.place.in_test {
                    self.maybe_misspelled(&keys[step], spans[step], &known);
                }
                Some(any)
            }
            (None, None) => match refused {
                None => Some(any),
                Some(_) if self.place.in_test => Some(any),
                Some(Known::Scalar { ty, step }) => {
                    let at = spans.get(step + 1).or(spans.last()).copied()?;
                    let message =
                        format!("`{}` is `{ty}` and has no fields", dotted(&keys[..=step]));
                    self.fail(Code::E201, at, message)
                }
                Some(Known::Closed { known, step }) => {
                    self.no_field(&keys[step], spans[step], &known);
                    None
                }
                Some(Known::Typed { .. } | Known::Open { .. }) => Some(any),
            },
        }
    }

    /// Reports a field that a closed record does not have.
    pub(super) fn no_field(&mut self, name: &str, at: Span, known: &[Arc<str>]) {
        let mut diagnostic =
            Diagnostic::new(Code::E201, at, format!("there is no field `{name}` here"))
                .label("the record is closed");
        let known = if self.is_sated() { &[] } else { known };
        diagnostic = match nearest(name, known) {
            Some(near) => diagnostic
                .suggest("a field with a similar name exists", vec![(at, key_text(&near))]),
            None if known.is_empty() => diagnostic,
            None => diagnostic.note(format!("it has {}", known.join(", "))),
        };
        self.report(diagnostic);
    }

    fn maybe_misspelled(&mut self, name: &str, at: Span, known: &[Arc<str>]) {
        /// Shorter names are too often near each other by chance.
        const LETTERS_MIN: usize = 4;
        if name.chars().count() < LETTERS_MIN {
            return;
        }
        let Some(near) = nearest(name, known) else { return };
        // A first read does not know what a later rule writes; an exact name among them is no slip.
        if known.iter().any(|key| **key == *name) {
            return;
        }
        self.report(
            Diagnostic::new(Code::W201, at, format!("no type declares a field `{name}`"))
                .label("reads as absent unless events bring it")
                .suggest("a field with a similar name exists", vec![(at, key_text(&near))]),
        );
    }
}

/// The fields at the start of a path's steps.
pub(super) fn leading(segs: &[Seg]) -> Vec<(&str, Span)> {
    segs.iter()
        .map_while(|seg| match &seg.kind {
            SegKind::Field(name) => Some((name.as_str(), seg.span)),
            SegKind::Index(_) | SegKind::Each => None,
        })
        .collect()
}

/// A path as rules write it.
pub(crate) fn dotted(keys: &[Arc<str>]) -> String {
    let mut text = String::new();
    for key in keys {
        text.push('.');
        text.push_str(&key_text(key));
    }
    text
}

/// A key as rules write it: in quotes where it is no identifier.
pub(super) fn key_text(key: &str) -> String {
    let plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && key.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    if plain { key.to_owned() } else { format!("{key:?}") }
}
