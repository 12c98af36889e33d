//! What a bound table says to those who ask SQL of it: which column holds which path, and how.

use std::sync::Arc;

use logmon_dsl::{
    column::NodeId,
    plan::MetaField,
    sql::{Column, Rest, Store, Stored, StoredAbsent},
};

use super::{
    bind::{Binding, Bound, Fallback, From},
    types::{Scalar, Type},
};

impl Binding {
    /// How the table keeps events. The binding must be sealed.
    pub fn store(&self) -> Store {
        let mut store = Store::default();
        for (at, column) in self.columns.iter().enumerate() {
            match &column.from {
                From::Topic => store.meta.push((MetaField::Topic, column.name.clone())),
                From::Partition => store.meta.push((MetaField::Partition, column.name.clone())),
                From::Offset => store.meta.push((MetaField::Offset, column.name.clone())),
                From::EmitIx | From::Attempt | From::Incarnation => {}
                From::Fields(nodes)
                | From::EventTime(nodes)
                | From::ObservedAt(nodes)
                | From::Source(nodes) => store.columns.push(self.stored(column, nodes)),
                From::Map(map) => {
                    store.columns.push(self.stored(column, &[self.maps[*map].own]));
                    if self.rest.is_some_and(|rest| self.maps[rest].column == at) {
                        let json = column.ty == Type::Json;
                        store.rest = Some(Rest { column: column.name.clone(), json });
                    }
                }
            }
        }
        store
    }

    fn stored(&self, column: &Bound, nodes: &[NodeId]) -> Column {
        let path = |node: &NodeId| -> Vec<Arc<str>> {
            self.layout.path(*node).into_iter().map(Into::into).collect()
        };
        let stored = kind(&column.ty, &column.type_name);
        let always =
            matches!(column.from, From::EventTime(_) | From::ObservedAt(_) | From::Source(_));
        let absent = if always || column.dead_if_absent {
            StoredAbsent::Never
        } else if column.ty.is_nullable() && !column.has_default {
            StoredAbsent::Null
        } else {
            match (&stored, &column.fallback) {
                (Stored::Severity, _) if names_unset(&column.ty) => StoredAbsent::Empty,
                (
                    Stored::Text | Stored::List(_) | Stored::TextMap | Stored::Json,
                    Fallback::Zero,
                ) => StoredAbsent::Empty,
                (Stored::Text, Fallback::Literal(text)) if text.is_empty() => StoredAbsent::Empty,
                _ => StoredAbsent::Zero,
            }
        };
        Column {
            name: column.name.clone(),
            paths: nodes.iter().map(path).collect(),
            stored,
            absent,
        }
    }
}

fn kind(ty: &Type, name: &Arc<str>) -> Stored {
    match ty {
        Type::Array(of) => Stored::List(Box::new(kind(of, name))),
        Type::Map { .. } => Stored::TextMap,
        Type::Json => Stored::Json,
        Type::Scalar(scalar) | Type::Nullable(scalar) | Type::Low(scalar, _) => match scalar {
            Scalar::Text => Stored::Text,
            Scalar::Uuid => Stored::AsText,
            Scalar::Bool => Stored::Bool,
            Scalar::Int { bytes: 8, signed: false } => Stored::Other(name.clone()),
            Scalar::Int { .. } => Stored::Int,
            Scalar::Float64 => Stored::Float,
            Scalar::DateTime(_) | Scalar::DateTime64(..) => Stored::Time,
            Scalar::Ipv6 => Stored::Ip,
            Scalar::Ipv4 => Stored::Ip4,
            Scalar::Enum(_) if names_severities(ty) => Stored::Severity,
            Scalar::Float32
            | Scalar::FixedText(_)
            | Scalar::Date
            | Scalar::Date32
            | Scalar::Enum(_) => Stored::Other(name.clone()),
        },
    }
}

/// Whether an enum has the names and numbers of `severity`.
fn names_severities(ty: &Type) -> bool {
    let Some(Scalar::Enum(values)) = ty.scalar() else { return false };
    values.values.iter().all(|(name, number)| {
        *number == 0
            || logmon_dsl::column::Severity::named(name)
                .is_some_and(|severity| i16::from(severity.0) == *number)
    })
}

fn names_unset(ty: &Type) -> bool {
    let Some(Scalar::Enum(values)) = ty.scalar() else { return false };
    values.values.iter().any(|(name, number)| *number == 0 && &**name == "unset")
}
