//! What may be written at a place: fields, names, functions, words.

use std::collections::BTreeSet;

use super::{
    Assist,
    context::{Cursor, Wanted},
    covers,
    fields::{self, Field},
    names, words,
};
use crate::{
    catalog::{DeclKind, Space},
    check::Point,
    column::Severity,
    functions::{self, Function},
    span::{FileId, Span},
    syntax::ast::SegKind,
    types::Type,
};

/// One thing that may be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// What a list shows, and what the typed letters are compared with.
    pub label: String,
    /// What it is.
    pub kind: CompletionKind,
    /// Its type or signature.
    pub detail: String,
    /// What it does.
    pub doc: String,
    /// The text to insert; `$1`, `$2` are where the cursor goes.
    pub insert: String,
}

/// What a completion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompletionKind {
    /// A field of the event or of a record.
    Field,
    /// A `let` or a parameter.
    Local,
    /// A constant.
    Const,
    /// A function of the program or of the library.
    Function,
    /// A lookup.
    Lookup,
    /// A source.
    Source,
    /// A sink.
    Sink,
    /// A rule.
    Rule,
    /// A type.
    Type,
    /// A member of a closed set: a severity, an option.
    Member,
    /// A word of the language.
    Word,
}

/// A function around a place, and which of its parameters is being written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// `name(a: string, b?: int) -> string`
    pub text: String,
    /// What it does.
    pub doc: String,
    /// Parameters as they stand in the text.
    pub params: Vec<String>,
    /// Which one.
    pub active: usize,
}

impl Assist<'_> {
    /// What may stand at a place, best first, and the part of a word that it replaces.
    pub fn complete(&self, file: FileId, offset: usize) -> (Span, Vec<Completion>) {
        let text = self.text(file);
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let cursor = Cursor::new(file, text, offset);
        let replaced = Span::new(file, cursor.from, offset);
        let point = self.known_at(file, cursor.from);
        let unit = self.unit(file).unwrap_or(0);
        let found = match cursor.wanted() {
            Wanted::Nothing => Vec::new(),
            Wanted::Field(keys) => {
                let known = fields::below(&point, &keys);
                let mut found: Vec<Completion> = known.iter().map(field).collect();
                for name in self.named_below(&keys, file, offset) {
                    if known.iter().all(|field| *field.name != *name) {
                        let used = plain(&name, CompletionKind::Field, "any", "Used elsewhere.");
                        found.push(Completion { insert: key(&name), ..used });
                    }
                }
                found
            }
            Wanted::Member(local, keys) => member(&point, &local, &keys),
            Wanted::Metadata => words::METADATA
                .iter()
                .map(|(name, ty, doc)| plain(name, CompletionKind::Field, ty, doc))
                .collect(),
            Wanted::Attribute => from_words(words::ATTRIBUTES),
            Wanted::Through(alias) => self.through(unit, &alias),
            Wanted::Sink => self.declared(unit, Space::Sink),
            Wanted::Source => {
                let mut found = self.declared(unit, Space::Source);
                found.push(plain("any", CompletionKind::Source, "", "Every source."));
                found
            }
            Wanted::Lookup => {
                let mut found = self.declared(unit, Space::Value);
                found.retain(|one| one.kind == CompletionKind::Lookup);
                for one in &mut found {
                    one.insert.clone_from(&one.label);
                }
                found
            }
            Wanted::Rule => self.rules(),
            Wanted::Type => self.types(unit),
            Wanted::Presence => {
                let presence = words::PRESENCE.iter();
                let mut found: Vec<_> = presence
                    .map(|(name, doc)| plain(name, CompletionKind::Word, "", doc))
                    .collect();
                found.extend(self.types(unit));
                found
            }
            Wanted::Declaration => from_words(words::DECLARATIONS),
            Wanted::Statement => {
                let mut found = from_words(words::STATEMENTS);
                found.extend(self.values(unit, &point));
                found
            }
            Wanted::Step => from_words(words::STEPS),
            Wanted::Clause => from_words(words::CLAUSES),
            Wanted::Expectation => from_words(words::EXPECTATIONS),
            Wanted::Given(keys) => fields::below(&point, &keys)
                .iter()
                .map(|of| Completion { insert: format!("{}: $1", key(&of.name)), ..field(of) })
                .collect(),
            Wanted::Value(compared) => {
                let mut found = options(&cursor);
                if let Some(keys) = compared {
                    found.extend(members(&point, &keys));
                }
                if matches!(cursor.declaration(), "window" | "alert") {
                    let aggregates = words::AGGREGATES.iter();
                    found.extend(aggregates.map(|(name, doc)| Completion {
                        insert: format!("{name}($1)"),
                        ..plain(name, CompletionKind::Function, "aggregate", doc)
                    }));
                }
                found.extend(self.values(unit, &point));
                found.extend(from_words(words::EXPRESSIONS));
                found
            }
        };
        (replaced, found)
    }

    /// The function around a place.
    pub fn signature(&self, file: FileId, offset: usize) -> Option<Signature> {
        let text = self.text(file);
        let cursor = Cursor::new(file, text, offset);
        let (name, at, named) = cursor.call()?;
        let unit = self.unit(file)?;
        if let Some(decl) = self.value_decl(unit, name) {
            let DeclKind::Fn(it) = decl else { return None };
            let sources = &self.analysis.loaded.sources;
            let params: Vec<String> =
                it.params.iter().map(|param| sources.text(param.span).to_owned()).collect();
            let result = it.result.as_ref().map(|ty| format!(" -> {}", sources.text(ty.span)));
            return Some(Signature {
                text: format!("{name}({}){}", params.join(", "), result.unwrap_or_default()),
                doc: String::new(),
                params,
                active: at,
            });
        }
        let function = functions::find(name)?;
        let last = function.params.len().saturating_sub(1);
        let active = named
            .and_then(|named| function.params.iter().position(|param| param.name == named))
            .unwrap_or_else(|| at.min(last));
        Some(Signature {
            text: words::function_signature(function),
            doc: function.doc.to_owned(),
            params: function.params.iter().map(words::parameter).collect(),
            active,
        })
    }

    /// Fields below a path that other places of the program name, declared or not.
    fn named_below(&self, keys: &[SegKind], file: FileId, offset: usize) -> BTreeSet<String> {
        let others = self.names.paths.iter().filter(|path| !covers(path.span, file, offset));
        others
            .filter(|path| path.segs.iter().zip(keys).all(|(seg, key)| seg.kind == *key))
            .filter_map(|path| match &path.segs.get(keys.len())?.kind {
                SegKind::Field(name) => Some(name.clone()),
                SegKind::Index(_) | SegKind::Each => None,
            })
            .collect()
    }

    /// What is known at a place; where no statement stands before it in the file, what the sources declare.
    fn known_at(&self, file: FileId, offset: usize) -> Point {
        let mut known = self.point(file, offset).cloned().unwrap_or_else(|| {
            let shapes = self.analysis.plan.sources.iter().map(|source| source.shape.clone());
            Point {
                at: Span::new(file, offset, offset),
                on: Vec::new(),
                shapes: shapes.collect(),
                locals: Vec::new(),
            }
        });
        known.on = self.sources_of(file, offset);
        known
    }

    /// The sources whose events come to a place, read from the text: the rule may not be readable as a whole.
    fn sources_of(&self, file: FileId, offset: usize) -> Vec<usize> {
        let before = self.text(file).get(..offset).unwrap_or_default();
        let sources = &self.analysis.plan.sources;
        let all = || (0..sources.len()).collect();
        let header = before.lines().rev().find(|line| {
            let line = line.trim_start();
            ["rule ", "given ", "given\t", "window ", "alert ", "test ", "group "]
                .iter()
                .any(|word| line.starts_with(word) || line.contains(&format!(") {word}")))
        });
        // A test's name may hold any words.
        let Some(header) = header.and_then(|line| line.split('"').next()) else { return all() };
        let mut words = header.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
        let named = words.find(|word| *word == "on").and_then(|_| words.next());
        let named = named.map(|name| name.rsplit("::").next().unwrap_or(name));
        let found = sources.iter().position(|source| Some(&*source.name) == named);
        found.map_or_else(all, |source| vec![source])
    }

    fn value_decl(&self, unit: usize, name: &str) -> Option<DeclKind<'_>> {
        let decls = self.catalog.decls.iter();
        let visible = self.catalog.visible(unit, Space::Value);
        visible.iter().any(|known| known == name).then_some(())?;
        decls
            .map(|decl| decl.kind)
            .find(|kind| kind.space() == Space::Value && kind.name().name == name)
    }

    /// Declared names of one kind that a file sees.
    fn declared(&self, unit: usize, space: Space) -> Vec<Completion> {
        let visible = self.catalog.visible(unit, space);
        visible.iter().filter_map(|name| self.decl_completion(space, name)).collect()
    }

    fn through(&self, unit: usize, alias: &str) -> Vec<Completion> {
        let start = format!("{alias}::");
        [Space::Value, Space::Type, Space::Source, Space::Sink]
            .into_iter()
            .flat_map(|space| {
                let names = self.catalog.visible(unit, space);
                names.into_iter().map(move |name| (space, name))
            })
            .filter(|(_, name)| name.starts_with(&start))
            .filter_map(|(space, name)| self.decl_completion(space, &name))
            .map(|one| Completion {
                label: one.label[start.len()..].to_owned(),
                insert: one.insert[start.len()..].to_owned(),
                ..one
            })
            .collect()
    }

    fn decl_completion(&self, space: Space, written: &str) -> Option<Completion> {
        let bare = written.rsplit("::").next().unwrap_or(written);
        let decls = self.catalog.decls.iter().map(|decl| decl.kind);
        let kind =
            decls.into_iter().find(|kind| kind.space() == space && kind.name().name == bare)?;
        let sources = &self.analysis.loaded.sources;
        let line = |span: Span| sources.text(span).lines().next().unwrap_or_default().to_owned();
        let (of, detail, insert) = match kind {
            DeclKind::Const(it) => (CompletionKind::Const, line(it.span), written.to_owned()),
            DeclKind::Fn(it) => (CompletionKind::Function, line(it.span), format!("{written}($1)")),
            DeclKind::Lookup(it) => {
                (CompletionKind::Lookup, line(it.span), format!("{written}($1)"))
            }
            DeclKind::Type(it) => (CompletionKind::Type, line(it.span), written.to_owned()),
            DeclKind::Enum(it) => (CompletionKind::Type, line(it.span), written.to_owned()),
            DeclKind::Source(it) => (CompletionKind::Source, line(it.span), written.to_owned()),
            DeclKind::Sink(it) => (CompletionKind::Sink, line(it.span), written.to_owned()),
        };
        Some(Completion { label: written.to_owned(), kind: of, detail, doc: String::new(), insert })
    }

    fn rules(&self) -> Vec<Completion> {
        let units = self.analysis.loaded.units.iter();
        units
            .flat_map(|unit| &unit.ast.items)
            .flat_map(names::rule_names)
            .map(|name| plain(&name.name, CompletionKind::Rule, "rule", ""))
            .collect()
    }

    fn types(&self, unit: usize) -> Vec<Completion> {
        let mut found = self.declared(unit, Space::Type);
        found.extend(
            words::TYPES.iter().map(|(name, doc)| plain(name, CompletionKind::Type, "", doc)),
        );
        found
    }

    /// Locals, declared values and functions.
    fn values(&self, unit: usize, point: &Point) -> Vec<Completion> {
        let locals = point.locals.iter().rev();
        let mut found: Vec<Completion> = locals
            .map(|(name, ty)| plain(name, CompletionKind::Local, &ty.to_string(), ""))
            .collect();
        found.extend(self.declared(unit, Space::Value));
        found.extend(functions::all().map(function));
        found
    }
}

/// Bare names that the argument at the cursor may be.
fn options(cursor: &Cursor<'_>) -> Vec<Completion> {
    let Some((name, at, named)) = cursor.call() else { return Vec::new() };
    let Some(function) = functions::find(name) else { return Vec::new() };
    let param = match named {
        Some(named) => function.params.iter().find(|param| param.name == named),
        None => function.params.get(at).or_else(|| function.params.last()),
    };
    let names = param.map(words::choices).unwrap_or_default();
    names.iter().map(|name| plain(name, CompletionKind::Member, "", "")).collect()
}

/// The members of the closed set that a field is one of.
fn members(point: &Point, keys: &[SegKind]) -> Vec<Completion> {
    let Some((SegKind::Field(last), above)) = keys.split_last() else { return Vec::new() };
    let known = fields::below(point, above);
    match known.iter().find(|field| *field.name == **last).map(|field| &field.ty.base) {
        Some(Type::Severity) => {
            let names = Severity::NAMED.into_iter();
            let number = |Severity(number)| format!("severity {number}");
            names.map(|(name, it)| plain(name, CompletionKind::Member, &number(it), "")).collect()
        }
        Some(Type::Enum(members)) => {
            let names = members.names.iter();
            names.map(|name| plain(name, CompletionKind::Member, &members.name, "")).collect()
        }
        _ => Vec::new(),
    }
}

fn member(point: &Point, local: &str, keys: &[SegKind]) -> Vec<Completion> {
    let Some((_, ty)) = point.locals.iter().rev().find(|(name, _)| name == local) else {
        return Vec::new();
    };
    let mut ty = ty.base.clone();
    for key in keys {
        let SegKind::Field(name) = key else { return Vec::new() };
        let below = fields::of_type(&ty).into_iter().find(|field| *field.name == **name);
        let Some(field) = below else { return Vec::new() };
        ty = field.ty.base;
    }
    fields::of_type(&ty).iter().map(field).collect()
}

fn field(field: &Field) -> Completion {
    let mut detail = field.ty.to_string();
    if field.coerce {
        detail.push_str(" coerce");
    }
    if field.sensitive {
        detail.push_str(" sensitive");
    }
    Completion {
        label: field.name.to_string(),
        kind: CompletionKind::Field,
        detail,
        doc: String::new(),
        insert: key(&field.name),
    }
}

/// A key as it is written: in quotes where it is no plain name.
fn key(name: &str) -> String {
    let first = name.bytes().next();
    let plain = first.is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if plain { name.to_owned() } else { format!("{name:?}") }
}

fn function(function: &'static Function) -> Completion {
    Completion {
        label: function.name.to_owned(),
        kind: CompletionKind::Function,
        detail: words::function_signature(function),
        doc: function.doc.to_owned(),
        insert: format!("{}($1)", function.name),
    }
}

fn from_words(words: &[words::Word]) -> Vec<Completion> {
    words
        .iter()
        .map(|word| Completion {
            label: word.name.to_owned(),
            kind: CompletionKind::Word,
            detail: String::new(),
            doc: word.doc.to_owned(),
            insert: word.snippet.to_owned(),
        })
        .collect()
}

fn plain(name: &str, kind: CompletionKind, detail: &str, doc: &str) -> Completion {
    Completion {
        label: name.to_owned(),
        kind,
        detail: detail.to_owned(),
        doc: doc.to_owned(),
        insert: name.to_owned(),
    }
}
