//! Fields of events as an editor shows them: what all sources of a place know together, and where a field is declared.

use std::sync::Arc;

use super::Assist;
use crate::{
    catalog::{DeclKind, Space},
    check::Point,
    span::Span,
    syntax::ast::{self, Path, SegKind, TypeKind},
    types::{FieldType, Shape, Ty, Type},
};

/// A field of a place.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: Arc<str>,
    pub(super) ty: Ty,
    pub(super) coerce: bool,
    pub(super) sensitive: bool,
}

/// The fields below a path, as far as they are known; the keys of several sources together.
pub(super) fn below(point: &Point, keys: &[SegKind]) -> Vec<Field> {
    let mut found: Vec<Field> = Vec::new();
    let everywhere: Vec<&Shape> =
        point.on.iter().filter_map(|source| point.shapes.get(*source)).map(AsRef::as_ref).collect();
    let n_sources = everywhere.len();
    let mut seen_in: Vec<usize> = Vec::new();
    for shape in everywhere {
        let Some(inner) = down(shape, keys) else { continue };
        for field in &inner.fields {
            let Some(at) = found.iter().position(|known| known.name == field.name) else {
                seen_in.push(1);
                found.push(of(field));
                continue;
            };
            seen_in[at] += 1;
            let known = &mut found[at];
            known.ty.optional |= field.ty.optional;
            known.sensitive |= field.sensitive;
            if known.ty.base != field.ty.base {
                known.ty = Ty::optional(Type::Any);
            }
        }
    }
    for (field, seen) in found.iter_mut().zip(seen_in) {
        field.ty.optional |= seen < n_sources;
    }
    found
}

/// The fields of a record's type.
pub(super) fn of_type(ty: &Type) -> Vec<Field> {
    match ty {
        Type::Record(shape) | Type::Pattern(shape) => shape.fields.iter().map(of).collect(),
        _ => Vec::new(),
    }
}

fn of(field: &FieldType) -> Field {
    Field {
        name: field.name.clone(),
        ty: field.ty.clone(),
        coerce: field.coerce,
        sensitive: field.sensitive,
    }
}

/// The record below a path.
fn down<'s>(shape: &'s Shape, keys: &[SegKind]) -> Option<&'s Shape> {
    let mut at = shape;
    let mut keys = keys.iter();
    while let Some(key) = keys.next() {
        let SegKind::Field(name) = key else { return None };
        let mut ty = &at.field(name)?.ty.base;
        // A list of records: its elements' fields stand behind an index.
        while let Type::List(of) = ty {
            match keys.next()? {
                SegKind::Index(_) | SegKind::Each => ty = of,
                SegKind::Field(_) => return None,
            }
        }
        let Type::Record(inner) = ty else { return None };
        at = inner;
    }
    Some(at)
}

impl Assist<'_> {
    /// Where a field was declared, or where a rule writes it first: the step of that path.
    pub(super) fn field_declared(&self, path: &Path, step: usize) -> Option<Span> {
        let keys: Vec<&str> = path.segs[..=step]
            .iter()
            .map(|seg| match &seg.kind {
                SegKind::Field(name) => Some(name.as_str()),
                SegKind::Index(_) | SegKind::Each => None,
            })
            .collect::<Option<_>>()?;
        let declared = self.catalog.decls.iter().find_map(|decl| match decl.kind {
            DeclKind::Source(source) => self.in_type(decl.unit, source.ty.as_ref()?, &keys),
            _ => None,
        });
        declared.or_else(|| {
            let same = |path: &&&Path| {
                path.segs.len() > step
                    && path.segs[..=step]
                        .iter()
                        .zip(&keys)
                        .all(|(seg, key)| matches!(&seg.kind, SegKind::Field(name) if name == key))
            };
            self.names.writes.iter().find(same).map(|path| path.segs[step].span)
        })
    }

    /// All places that name the field of that path and step.
    pub(super) fn field_mentions(&self, path: &Path, step: usize) -> Vec<Span> {
        let keys: Vec<&SegKind> = path.segs[..=step].iter().map(|seg| &seg.kind).collect();
        let same = |other: &&&Path| {
            other.segs.len() > step
                && other.segs[..=step].iter().zip(&keys).all(|(seg, key)| seg.kind == **key)
        };
        self.names.paths.iter().filter(same).map(|path| path.segs[step].span).collect()
    }

    fn in_type(&self, unit: usize, ty: &ast::Type, keys: &[&str]) -> Option<Span> {
        // Types may name each other in circles, which the checker reports.
        const NAMES_MAX: usize = 64;
        let (mut unit, mut ty, mut keys) = (unit, ty, keys);
        for _ in 0..NAMES_MAX {
            match &ty.kind {
                TypeKind::Named(name) => {
                    let decl = self.catalog.get(self.catalog.find(unit, Space::Type, name)?);
                    let DeclKind::Type(it) = decl.kind else { return None };
                    (unit, ty) = (decl.unit, &it.ty);
                }
                TypeKind::Record(record) => {
                    let (key, rest) = keys.split_first()?;
                    let field = record.fields.iter().find(|field| field.name.name == *key)?;
                    if rest.is_empty() {
                        return Some(field.name.span);
                    }
                    (ty, keys) = (&field.ty, rest);
                }
                TypeKind::List(_) | TypeKind::Map(_) | TypeKind::Table(_) => return None,
            }
        }
        None
    }
}

impl Assist<'_> {
    /// Where the type of a source declares a field.
    pub fn field_of_source(&self, source: &str, keys: &[&str]) -> Option<Span> {
        self.catalog.decls.iter().find_map(|decl| match decl.kind {
            DeclKind::Source(it) if it.name.name == source => {
                self.in_type(decl.unit, it.ty.as_ref()?, keys)
            }
            _ => None,
        })
    }
}
