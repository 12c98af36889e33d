//! Types as they are written.

use super::{Ident, QName, Text};
use crate::span::Span;

/// A type, perhaps with `?`.
#[derive(Clone, Debug, PartialEq)]
pub struct Type {
    /// The type without `?`.
    pub kind: TypeKind,
    /// Whether `?` follows: the value may be absent.
    pub optional: bool,
    /// Where it stands, with the `?`.
    pub span: Span,
}

/// A type without `?`.
#[derive(Clone, Debug, PartialEq)]
pub enum TypeKind {
    /// A built-in or declared name: `int`, `K8sLog`, `lib::Geo`.
    Named(QName),
    /// `list<T>`
    List(Box<Type>),
    /// `map<T>`
    Map(Box<Type>),
    /// `{ a: int, ... }`
    Record(RecordType),
    /// `table("logs")`: the columns of a table in the database.
    Table(Text),
}

/// The fields of a record type.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordType {
    /// The declared fields, in order.
    pub fields: Vec<FieldType>,
    /// Whether `...` stands at the end: more fields may exist.
    pub open: bool,
}

/// `name: type coerce sensitive`.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldType {
    /// The name; a quoted one may hold anything.
    pub name: Ident,
    /// Its type.
    pub ty: Type,
    /// Whether text and numbers are turned into the type at the first read.
    pub coerce: bool,
    /// Whether the value must not reach every sink.
    pub sensitive: bool,
    /// The whole field.
    pub span: Span,
}
