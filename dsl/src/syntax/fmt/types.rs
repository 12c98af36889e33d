//! Types as text.

use super::{
    Brackets, Printer,
    doc::{Doc, concat, text},
};
use crate::{
    span::Span,
    syntax::ast::{FieldType, Ident, Param, RecordType, Type, TypeKind},
};

/// A field, or the `...` behind the fields.
#[derive(Debug)]
enum Part<'f> {
    Field(&'f FieldType),
    More(Span),
}

impl Part<'_> {
    fn span(&self) -> Span {
        match self {
            Self::Field(field) => field.span,
            Self::More(span) => *span,
        }
    }
}

impl Printer<'_> {
    pub(super) fn ty(&mut self, ty: &Type) -> Doc {
        let doc = match &ty.kind {
            TypeKind::Named(name) => text(name.written()),
            TypeKind::List(element) => concat([text("list<"), self.ty(element), text(">")]),
            TypeKind::Map(value) => concat([text("map<"), self.ty(value), text(">")]),
            TypeKind::Table(table) => concat([text("table("), self.copy(table.span), text(")")]),
            TypeKind::Record(record) => self.record_type(record, ty),
        };
        if ty.optional { concat([doc, text("?")]) } else { doc }
    }

    fn record_type(&mut self, record: &RecordType, ty: &Type) -> Doc {
        let mut span = ty.span;
        let written = span.of(self.text);
        span.end = span.start + written.rfind('}').map_or(written.len(), |at| at + 1) as u32;
        let mut parts: Vec<Part<'_>> = record.fields.iter().map(Part::Field).collect();
        if record.open {
            let at = span.of(self.text).rfind("...").unwrap_or_default() as u32 + span.start;
            parts.push(Part::More(Span { start: at, end: at + 3, ..span }));
        }
        let brackets = Brackets { open: "{", close: "}", span, pad: true, comma: !record.open };
        self.elements(brackets, &parts, Part::span, |printer, part| match part {
            Part::Field(field) => printer.field_type(field),
            Part::More(_) => text("..."),
        })
    }

    fn field_type(&mut self, field: &FieldType) -> Doc {
        let mut docs = vec![self.key(&field.name), text(": "), self.ty(&field.ty)];
        if field.coerce {
            docs.push(text(" coerce"));
        }
        if field.sensitive {
            docs.push(text(" sensitive"));
        }
        concat(docs)
    }

    /// Prints the name of a field: quoted only where it must be.
    pub(super) fn key(&mut self, name: &Ident) -> Doc {
        if is_plain(&name.name) { text(name.name.as_str()) } else { self.copy(name.span) }
    }

    pub(super) fn param(&mut self, param: &Param) -> Doc {
        concat([text(format!("{}: ", param.name.name)), self.ty(&param.ty)])
    }
}

/// Whether a name needs no quotes.
pub(super) fn is_plain(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    name.bytes().next().is_some_and(is_letter)
        && name.bytes().all(|byte| is_letter(byte) || byte.is_ascii_digit())
}
