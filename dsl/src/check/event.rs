//! What is known of an event's fields at a place in the program, source by source.

use std::sync::Arc;

use crate::types::{FieldType, Shape, Ty, Type};

/// What is known of one path of one source.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Known {
    /// Declared, or written on every way here.
    Typed { ty: Ty, coerce: bool },
    /// Below something open: it may hold anything. The keys known there, and at which step.
    Open { known: Vec<Arc<str>>, step: usize },
    /// Below a closed record without such a field: the keys of that record, and at which step.
    Closed { known: Vec<Arc<str>>, step: usize },
    /// Below a value that has no fields.
    Scalar { ty: Type, step: usize },
}

/// What a shape knows of a path.
pub(super) fn look(shape: &Shape, path: &[Arc<str>]) -> Known {
    let mut at = shape;
    let mut optional = false;
    for (step, key) in path.iter().enumerate() {
        let Some(field) = at.field(key) else {
            let known = at.fields.iter().map(|field| field.name.clone()).collect();
            return if at.open {
                Known::Open { known, step }
            } else {
                Known::Closed { known, step }
            };
        };
        optional |= field.ty.optional;
        let last = step + 1 == path.len();
        if last {
            let ty = field.ty.clone().or_optional(optional);
            return Known::Typed { ty, coerce: field.coerce };
        }
        match &field.ty.base {
            Type::Record(inner) => at = inner,
            Type::Map(of) => {
                return match (&**of, step + 2 == path.len()) {
                    (Type::Any, _) | (Type::Map(_) | Type::Record(_), false) => {
                        Known::Open { known: Vec::new(), step }
                    }
                    (of, true) => Known::Typed { ty: Ty::optional(of.clone()), coerce: false },
                    (of, false) => Known::Scalar { ty: of.clone(), step: step + 1 },
                };
            }
            Type::Any | Type::Null => return Known::Open { known: Vec::new(), step },
            other => return Known::Scalar { ty: other.clone(), step },
        }
    }
    Known::Typed { ty: Ty::required(Type::Record(Arc::new(shape.clone()))), coerce: false }
}

/// Whether a shape declares a path, or something that may hold anything below it.
pub(crate) fn declares(shape: &Shape, path: &[Arc<str>]) -> bool {
    (1..=path.len()).any(|end| match look(shape, &path[..end]) {
        Known::Typed { ty, .. } => end == path.len() || matches!(ty.base, Type::Map(_) | Type::Any),
        Known::Open { .. } => false,
        // What cannot be there is reported where it is read.
        Known::Closed { .. } | Known::Scalar { .. } => true,
    })
}

/// The shape after a path was written.
pub(super) fn write(shape: &Arc<Shape>, path: &[Arc<str>], ty: &Ty) -> Arc<Shape> {
    let Some((key, rest)) = path.split_first() else { return shape.clone() };
    let mut out = (**shape).clone();
    let place = out.fields.iter().position(|field| field.name == *key);
    let old = place.map(|index| out.fields[index].clone());
    let ty = if rest.is_empty() {
        ty.clone()
    } else {
        match old.as_ref().map(|field| &field.ty) {
            Some(Ty { base: Type::Record(inner), optional }) => Ty {
                base: Type::Record(write(inner, rest, ty)),
                optional: *optional && ty.optional,
            },
            // A map stays a map; `any` may turn out to hold no record, then nothing is written.
            Some(Ty { base: base @ Type::Map(_), .. }) => Ty::required(base.clone()),
            Some(Ty { base: Type::Any | Type::Null, .. }) | None => {
                let inner =
                    Arc::new(Shape { fields: Vec::new(), open: shape.open || old.is_some() });
                Ty::optional(Type::Record(write(&inner, rest, &ty.clone().or_optional(true))))
            }
            Some(scalar) => scalar.clone(),
        }
    };
    match (place, old) {
        (Some(index), Some(old)) => out.fields[index] = FieldType { ty, ..old },
        _ => out.fields.push(FieldType { name: key.clone(), ty, coerce: false, sensitive: false }),
    }
    Arc::new(out)
}

/// The shape after a path was removed, perhaps.
pub(super) fn remove(shape: &Arc<Shape>, path: &[Arc<str>]) -> Arc<Shape> {
    let Some((key, rest)) = path.split_first() else { return every_optional(shape) };
    let mut out = (**shape).clone();
    let Some(field) = out.fields.iter_mut().find(|field| field.name == *key) else {
        return shape.clone();
    };
    if rest.is_empty() {
        field.ty.optional = true;
    } else if let Type::Record(inner) = &field.ty.base {
        field.ty.base = Type::Record(remove(inner, rest));
    }
    Arc::new(out)
}

/// The shape where nothing is sure to be there.
pub(super) fn every_optional(shape: &Arc<Shape>) -> Arc<Shape> {
    let mut out = (**shape).clone();
    for field in &mut out.fields {
        field.ty.optional = true;
    }
    Arc::new(out)
}

/// What is known where two ways meet.
pub(super) fn join(a: &Arc<Shape>, b: &Arc<Shape>) -> Arc<Shape> {
    if Arc::ptr_eq(a, b) || a == b {
        return a.clone();
    }
    let lone = |field: &FieldType, other_open: bool| {
        let base = if other_open { Type::Any } else { field.ty.base.clone() };
        FieldType { ty: Ty::optional(base), ..field.clone() }
    };
    // Ways that meet come from one shape, so most fields stand in one place; looking for each would cost the square.
    fn counterpart<'s>(other: &'s Shape, place: usize, name: &str) -> Option<&'s FieldType> {
        let there = other.fields.get(place).filter(|field| &*field.name == name);
        there.or_else(|| other.field(name))
    }
    let mut fields = Vec::with_capacity(a.fields.len().max(b.fields.len()));
    for (place, field) in a.fields.iter().enumerate() {
        fields.push(match counterpart(b, place, &field.name) {
            Some(other) => FieldType { ty: join_ty(&field.ty, &other.ty), ..field.clone() },
            None => lone(field, b.open),
        });
    }
    for (place, field) in b.fields.iter().enumerate() {
        if counterpart(a, place, &field.name).is_none() {
            fields.push(lone(field, a.open));
        }
    }
    Arc::new(Shape { fields, open: a.open || b.open })
}

/// The type that both fit.
pub(super) fn join_ty(a: &Ty, b: &Ty) -> Ty {
    let optional = a.optional || b.optional;
    let base = match (&a.base, &b.base) {
        (a, b) if a == b => a.clone(),
        (Type::Null, other) | (other, Type::Null) => {
            return Ty::optional(other.clone());
        }
        (Type::Record(a), Type::Record(b)) => Type::Record(join(a, b)),
        (a, b) if a.is_number() && b.is_number() => Type::Number,
        (Type::List(_), Type::List(_)) => Type::list(Type::Any),
        (Type::Map(_) | Type::Record(_), Type::Map(_) | Type::Record(_)) => Type::map(Type::Any),
        _ => Type::Any,
    };
    Ty { base, optional }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<Arc<str>> {
        text.split('.').map(Into::into).collect()
    }

    #[test]
    fn writing_adds_a_field_and_joining_forgets() {
        let open = Arc::new(Shape { fields: Vec::new(), open: true });
        let written = write(&open, &path("a.b"), &Ty::required(Type::Int));
        assert_eq!(
            look(&written, &path("a.b")),
            Known::Typed { ty: Ty::optional(Type::Int), coerce: false }
        );
        let joined = join(&open, &written);
        assert_eq!(
            look(&joined, &path("a")),
            Known::Typed { ty: Ty::optional(Type::Any), coerce: false }
        );
        assert!(matches!(look(&joined, &path("other")), Known::Open { .. }));
    }

    #[test]
    fn closed_records_and_scalars_end_a_path() {
        let shape = Shape::closed([("name", Ty::required(Type::Text))]);
        assert!(matches!(look(&shape, &path("nme")), Known::Closed { step: 0, .. }));
        assert!(matches!(look(&shape, &path("name.x")), Known::Scalar { step: 0, .. }));
    }
}
