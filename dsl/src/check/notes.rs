//! What the checker knew at each place, kept for whoever explains a program: editors and traces.

use std::sync::Arc;

use super::Checker;
use crate::{
    plan::ExprId,
    span::Span,
    types::{Shape, Ty},
};

/// Expressions and statements of one program with what was known of them.
#[derive(Debug, Clone, Default)]
pub struct Notes {
    /// Every expression that has a meaning, in the order in which they were checked; those of functions stand once for each call.
    pub exprs: Vec<Noted>,
    /// Places between statements, in the order in which they were checked.
    pub points: Vec<Point>,
}

/// One expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Noted {
    /// Where it stands.
    pub at: Span,
    /// Its type there.
    pub ty: Ty,
    /// Its number in the plan.
    pub id: ExprId,
}

/// A place between statements.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The empty span there.
    pub at: Span,
    /// Sources whose events come here, by number.
    pub on: Vec<usize>,
    /// The fields known there, one shape a source of the program.
    pub shapes: Vec<Arc<Shape>>,
    /// `let`s and parameters in reach, with their types.
    pub locals: Vec<(String, Ty)>,
}

impl Checker<'_> {
    /// Notes what is known at a place, if anybody wants to know.
    pub(super) fn note_point(&mut self, at: Span) {
        let Some(notes) = &mut self.notes else { return };
        let locals = self.place.names.iter().filter_map(|named| {
            named.value.as_ref().map(|value| (named.name.clone(), value.ty.clone()))
        });
        notes.points.push(Point {
            at,
            on: self.place.on.clone(),
            shapes: self.flow.shapes.clone(),
            locals: locals.collect(),
        });
    }
}
