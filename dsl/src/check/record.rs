//! Lists and records.

use std::sync::Arc;

use super::{Checked, Checker, constant::Const, declare::FIELDS_MAX, event::join_ty};
use crate::{
    diagnostic::Code,
    plan::{Op, RecordPart},
    span::Span,
    syntax::ast::{Expr, RecordField},
    types::{FieldType, Shape, Ty, Type},
};

impl Checker<'_> {
    pub(super) fn list(
        &mut self,
        e: &Expr,
        items: &[Expr],
        want: Option<&Type>,
    ) -> Option<Checked> {
        let of = match want {
            Some(Type::List(of)) => Some(&**of),
            _ => None,
        };
        match self.fold(e, of)? {
            Const::Computed => {}
            value => return self.const_value(&value, e.span),
        }
        let mut ids = Vec::with_capacity(items.len());
        let mut joined: Option<Ty> = None;
        let mut whole = true;
        for item in items {
            match self.expr(item, of) {
                Some(value) => {
                    joined = Some(joined.map_or(value.ty.clone(), |ty| join_ty(&ty, &value.ty)));
                    ids.push(value.id);
                }
                None => whole = false,
            }
        }
        if !whole {
            return None;
        }
        // An absent element becomes null, so the list itself is always there.
        let of = joined.map_or(Type::Any, |ty| ty.base);
        Some(self.add(Op::List(ids), Ty::required(Type::list(of)), e.span))
    }

    pub(super) fn record(
        &mut self,
        span: Span,
        fields: &[RecordField],
        want: Option<&Type>,
    ) -> Option<Checked> {
        let wanted = match want {
            Some(Type::Record(shape)) => Some(shape.clone()),
            _ => None,
        };
        if fields.len() > FIELDS_MAX {
            let message = format!("a record has at most {FIELDS_MAX} fields");
            return self.fail(Code::E106, span, message);
        }
        let mut parts = Vec::with_capacity(fields.len());
        let mut shape = Shape::default();
        let mut whole = true;
        for field in fields {
            match field {
                RecordField::Field { name, value } => {
                    let declared = wanted.as_ref().and_then(|shape| shape.field(&name.name));
                    let value = match declared {
                        None => self.expr(value, None),
                        Some(declared) => {
                            let want = declared.ty.clone();
                            let place = format!("the field `{}`", name.name);
                            // An absent member is left out; only a null written on purpose is refused.
                            let want = Ty { optional: true, ..want };
                            self.expr(value, Some(&want.base))
                                .and_then(|value| self.fit(value, &want, &place))
                        }
                    };
                    let Some(value) = value else {
                        whole = false;
                        continue;
                    };
                    let key: Arc<str> = name.name.as_str().into();
                    put(&mut shape, key.clone(), value.ty.clone());
                    parts.push(RecordPart::Member(key, value.id));
                }
                RecordField::Spread(other) => {
                    let Some(value) = self.expr(other, None) else {
                        whole = false;
                        continue;
                    };
                    if !self.spread(&mut shape, &value) {
                        whole = false;
                        continue;
                    }
                    parts.push(RecordPart::Spread(value.id));
                }
            }
        }
        if !whole {
            return None;
        }
        let ty = Ty::required(Type::Record(Arc::new(shape)));
        Some(self.add(Op::Record(parts), ty, span))
    }

    fn spread(&mut self, shape: &mut Shape, value: &Checked) -> bool {
        match value.base() {
            Type::Record(other) => {
                for field in &other.fields {
                    let ty = field.ty.clone().or_optional(value.ty.optional);
                    put(shape, field.name.clone(), ty);
                }
                shape.open |= other.open;
                true
            }
            Type::Any | Type::Map(_) | Type::Null => {
                shape.open = true;
                true
            }
            other => {
                let message = format!("`...` takes a record or map, not `{other}`");
                self.fail::<()>(Code::E101, value.span, message);
                false
            }
        }
    }
}

fn put(shape: &mut Shape, name: Arc<str>, ty: Ty) {
    match shape.fields.iter_mut().find(|field| field.name == name) {
        Some(known) => known.ty = ty,
        None => shape.fields.push(FieldType { name, ty, coerce: false, sensitive: false }),
    }
}
