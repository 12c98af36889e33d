//! Stored values read as the type that an expression expects.

use std::sync::Arc;

use super::{
    Condition, Kind, Refused, Value, Writer,
    store::{Place, Stored, StoredAbsent},
    text::name,
};
use crate::{
    column::NodeId,
    plan::{ExprId, IsTest, Literal, MetaField, Op},
    span::Span,
    types::Type,
};

/// Text as it is stored, and what must hold for it to be there at all.
pub(super) struct Stand {
    /// Reads as `''` or NULL where the value is absent.
    pub(super) raw: String,
    /// Holds where the value is present; `None` where `raw` is NULL otherwise, or never absent.
    pub(super) guard: Option<String>,
    pub(super) nullable: bool,
}

impl Writer<'_> {
    /// Where the value of an expression that names a place stands.
    pub(super) fn place(&mut self, id: ExprId) -> Result<Option<Place>, Refused> {
        if self.fixed.contains_key(&id) {
            return Ok(None);
        }
        let expr = self.plan.expr(id);
        match &expr.op {
            Op::Field(NodeId::ROOT) => {
                self.refuse::<()>(expr.span, "the whole event is no value in SQL");
                Err(Refused)
            }
            Op::Field(node) => {
                let path: Vec<Arc<str>> =
                    self.plan.layout.path(*node).into_iter().map(Into::into).collect();
                let Some(place) = self.store.place(&path) else {
                    self.refuse_with::<()>(
                        expr.span,
                        format!("the table keeps no `.{}`", path.join(".")),
                        "give it a column, or the table a column for the rest",
                    );
                    return Err(Refused);
                };
                if !matches!(place, Place::Column(_)) {
                    for key in &path {
                        self.note_dot(key, expr.span);
                    }
                }
                Ok(Some(place))
            }
            Op::Member { of, key } => self.place_below(*of, key),
            Op::Index { of, index } => match &self.plan.expr(*index).op {
                Op::Literal(Literal::Text(key)) => self.place_below(*of, key),
                _ => Ok(None),
            },
            Op::Narrow(of) => self.place(*of),
            _ => Ok(None),
        }
    }

    fn note_dot(&mut self, key: &str, span: Span) {
        if key.contains('.') {
            let what =
                "a table keeps no difference between a key with a dot and the path of two keys";
            self.note(span, what);
        }
    }

    fn place_below(&mut self, of: ExprId, key: &Arc<str>) -> Result<Option<Place>, Refused> {
        let span = self.plan.expr(of).span;
        let Some(place) = self.place(of)? else { return Ok(None) };
        self.note_dot(key, span);
        let member = place.member(self.store, key);
        if member.is_none() {
            self.refuse::<()>(span, format!("the column that holds this has no member `{key}`"));
            return Err(Refused);
        }
        Ok(member)
    }

    /// The value at a place, read as that type.
    pub(super) fn read(
        &mut self,
        place: &Place,
        ty: &Type,
        coerce: bool,
        span: Span,
    ) -> Option<Value> {
        match place {
            Place::Column(at) => self.read_column(*at, ty, span),
            Place::Json(column, keys) => self.read_json(column, keys, ty, coerce, span),
            Place::Entry(..) => {
                let stand = self.stand(place, span)?;
                let text = match &stand.guard {
                    Some(guard) => format!("if({guard}, {}, NULL)", stand.raw),
                    None => stand.raw,
                };
                let (text, kind) = match ty {
                    Type::Text => (text, Kind::Text),
                    Type::Any => return self.undeclared(span),
                    Type::Int => (format!("accurateCastOrNull({text}, 'Int64')"), Kind::Int),
                    Type::Float => (format!("toFloat64OrNull({text})"), Kind::Float),
                    Type::Ip => (format!("toIPv6OrNull({text})"), Kind::Ip),
                    Type::Bool => (
                        format!("multiIf({text} = 'true', true, {text} = 'false', false, NULL)"),
                        Kind::Bool,
                    ),
                    Type::Number => (format!("toFloat64OrNull({text})"), Kind::Float),
                    other => {
                        return self.refuse(span, format!("a `{other}` that a map holds as text"));
                    }
                };
                if *ty != Type::Text {
                    self.note(
                        span,
                        "a map holds text: the number 1 and the text \"1\" are the same there",
                    );
                }
                Some(Value { text, kind, nullable: true })
            }
        }
    }

    fn read_column(&mut self, at: usize, ty: &Type, span: Span) -> Option<Value> {
        let column = &self.store.columns[at];
        let raw = name(&column.name);
        let nullable = matches!(column.absent, StoredAbsent::Null | StoredAbsent::Empty);
        if column.absent == StoredAbsent::Zero {
            let what = format!(
                "column `{}` holds an absent value as {}: the two cannot be told apart",
                column.name,
                if column.stored == Stored::Time { "1970-01-01" } else { "zero" }
            );
            self.note(span, what);
        }
        let empty = column.absent == StoredAbsent::Empty;
        let (text, kind) = match (&column.stored, ty) {
            (Stored::Text | Stored::AsText, Type::Text) => {
                let stand = self.stand(&Place::Column(at), span)?;
                let text = if empty { format!("nullIf({}, '')", stand.raw) } else { stand.raw };
                (text, Kind::Text)
            }
            (Stored::Bool, Type::Bool) => (raw, Kind::Bool),
            (Stored::Int, Type::Int | Type::Number) => (format!("toInt64({raw})"), Kind::Int),
            (Stored::Int | Stored::Float, Type::Float) => {
                (format!("toFloat64({raw})"), Kind::Float)
            }
            (Stored::Float, Type::Number) => (format!("toFloat64({raw})"), Kind::Float),
            (Stored::Time, Type::Timestamp) => (raw, Kind::Time),
            (Stored::Severity, Type::Severity) => {
                let number = format!("toInt8({raw})");
                let text = if empty { format!("nullIf({number}, 0)") } else { number };
                (text, Kind::Severity)
            }
            (Stored::Ip, Type::Ip) => (raw, Kind::Ip),
            (Stored::Ip4, Type::Ip) => (format!("toIPv6({raw})"), Kind::Ip),
            (Stored::List(of), Type::List(wanted)) => {
                let kind = match (&**of, &**wanted) {
                    (Stored::Text, Type::Text | Type::Any) => Kind::Text,
                    (Stored::Int, Type::Int | Type::Any | Type::Number) => Kind::Int,
                    (Stored::Float, Type::Float | Type::Any | Type::Number) => Kind::Float,
                    _ => return self.mismatch(at, ty, span),
                };
                (raw, Kind::List(Box::new(kind)))
            }
            (Stored::Other(name), _) => {
                let what = format!("column `{}` has the type {name}", column.name);
                return self.refuse(span, what);
            }
            (_, Type::Any) => return self.undeclared(span),
            _ => return self.mismatch(at, ty, span),
        };
        Some(Value { text, kind, nullable })
    }

    fn undeclared<T>(&mut self, span: Span) -> Option<T> {
        self.refuse_with(
            span,
            "a value whose type nobody declared",
            "declare its type in the source's shape, or compare it with a constant",
        )
    }

    fn mismatch<T>(&mut self, at: usize, ty: &Type, span: Span) -> Option<T> {
        let column = &self.store.columns[at];
        let what = format!("column `{}` does not hold a `{ty}`", column.name);
        self.refuse(span, what)
    }

    fn read_json(
        &mut self,
        column: &str,
        keys: &[Arc<str>],
        ty: &Type,
        coerce: bool,
        span: Span,
    ) -> Option<Value> {
        let path = json_path(column, keys);
        let text = format!("{path}.:String");
        let whole = format!("{path}.:Int64");
        let (text, kind) = match ty {
            Type::Text if !coerce => (text, Kind::Text),
            Type::Int if coerce => {
                (format!("coalesce({whole}, accurateCastOrNull({text}, 'Int64'))"), Kind::Int)
            }
            Type::Int => (whole, Kind::Int),
            Type::Float if !coerce => (
                format!("coalesce({path}.:Float64, toFloat64({whole}), toFloat64({path}.:UInt64))"),
                Kind::Float,
            ),
            Type::Bool if !coerce => (format!("{path}.:Bool"), Kind::Bool),
            Type::Ip => (format!("toIPv6OrNull({text})"), Kind::Ip),
            Type::List(of) => {
                let (name, kind) = match &**of {
                    Type::Text => ("String", Kind::Text),
                    Type::Int => ("Int64", Kind::Int),
                    other => {
                        return self
                            .refuse(span, format!("a list of `{other}` inside a JSON column"));
                    }
                };
                (format!("{path}.:`Array(Nullable({name}))`"), Kind::List(Box::new(kind)))
            }
            Type::Any => return self.undeclared(span),
            Type::Number => {
                return self.refuse_with(
                    span,
                    "a number that may be whole or not, decided event by event",
                    "declare it `int` or `float` in the source's shape",
                );
            }
            other => {
                let coerced = if coerce { " that `coerce` reads" } else { "" };
                return self.refuse(span, format!("a `{other}`{coerced} inside a JSON column"));
            }
        };
        Some(Value { text, kind, nullable: true })
    }

    /// Text at a place in the form that indexes know.
    pub(super) fn stand(&mut self, place: &Place, span: Span) -> Option<Stand> {
        match place {
            Place::Column(at) => {
                let column = &self.store.columns[*at];
                let raw = name(&column.name);
                let raw = match column.stored {
                    Stored::Text => raw,
                    Stored::AsText => format!("toString({raw})"),
                    _ => return self.mismatch(*at, &Type::Text, span),
                };
                let guard = (column.absent == StoredAbsent::Empty).then(|| format!("{raw} != ''"));
                Some(Stand { raw, guard, nullable: column.absent == StoredAbsent::Null })
            }
            Place::Json(column, keys) => {
                let raw = format!("{}.:String", json_path(column, keys));
                Some(Stand { raw, guard: None, nullable: true })
            }
            Place::Entry(column, key) => {
                let (column, key) = (name(column), self.text_param(key));
                Some(Stand {
                    raw: format!("{column}[{key}]"),
                    guard: Some(format!("mapContains({column}, {key})")),
                    nullable: false,
                })
            }
        }
    }

    /// `is absent`, `is int` … of what stands at a place.
    pub(super) fn is(&mut self, place: &Place, test: &IsTest, span: Span) -> Option<Condition> {
        let test = match test {
            IsTest::Absent | IsTest::Present => {
                if !matches!(place, Place::Column(_)) {
                    self.note(
                        span,
                        "an object without a value in it is not stored, and reads as absent",
                    );
                }
                let present = self.present(place);
                return Some(match test {
                    IsTest::Present => present,
                    _ => Condition::sure(format!("NOT ({})", present.text)),
                });
            }
            IsTest::Missing | IsTest::Null => {
                self.note(span, "a table keeps no difference between a missing value and null: both are asked for");
                return Some(Condition::sure(format!("NOT ({})", self.present(place).text)));
            }
            IsTest::Type(ty) => ty,
        };
        match place {
            Place::Json(column, keys) => {
                let path = json_path(column, keys);
                let of = |variant: &str| format!("isNotNull({path}.:{variant})");
                Some(Condition::sure(match test {
                    Type::Text => of("String"),
                    Type::Int => of("Int64"),
                    // Whole numbers beyond `int` are floats here.
                    Type::Float => format!("({} OR {})", of("Float64"), of("UInt64")),
                    Type::Bool => of("Bool"),
                    other => {
                        return self.refuse(span, format!("`is {other}` inside a JSON column"));
                    }
                }))
            }
            Place::Column(_) => {
                let value = self.read(place, test, false, span)?;
                Some(Condition::sure(if value.nullable {
                    format!("isNotNull({})", value.text)
                } else {
                    "true".into()
                }))
            }
            Place::Entry(..) => self.refuse_with(
                span,
                "the type of a value that a map holds as text",
                "a map keeps text only; keep the rest in a JSON column to ask for types",
            ),
        }
    }

    fn present(&mut self, place: &Place) -> Condition {
        Condition::sure(match place {
            Place::Column(at) => {
                let column = &self.store.columns[*at];
                let raw = name(&column.name);
                match (column.absent, &column.stored) {
                    (StoredAbsent::Null, _) => format!("isNotNull({raw})"),
                    (StoredAbsent::Empty, Stored::Severity) => format!("toInt8({raw}) != 0"),
                    (StoredAbsent::Empty, _) => format!("notEmpty({raw})"),
                    (StoredAbsent::Zero | StoredAbsent::Never, _) => "true".into(),
                }
            }
            // A path that holds an object reads as NULL: what lies below it says that it is there.
            Place::Json(column, keys) => format!(
                "(isNotNull({}) OR notEmpty(JSONAllPaths({})))",
                json_path(column, keys),
                json_object(column, keys)
            ),
            Place::Entry(column, key) => {
                let (column, whole) = (name(column), self.text_param(key));
                let below = self.text_param(&format!("{key}."));
                format!(
                    "(mapContains({column}, {whole}) OR arrayExists(k -> startsWith(k, {below}), mapKeys({column})))"
                )
            }
        })
    }

    /// `@topic` …
    pub(super) fn meta(&mut self, field: MetaField, ty: &Type, span: Span) -> Option<Value> {
        let Some((_, column)) = self.store.meta.iter().find(|(known, _)| *known == field) else {
            return self.refuse(span, "the table does not keep where its events came from");
        };
        let raw = name(column);
        let (text, kind) = match ty {
            Type::Int => (format!("toInt64({raw})"), Kind::Int),
            Type::Text => (raw, Kind::Text),
            Type::Timestamp => (raw, Kind::Time),
            _ => return self.refuse(span, "the table does not keep a record's headers"),
        };
        Some(Value { text, kind, nullable: false })
    }

    /// The elements that a predicate over `[*]` looks at, read as that type.
    pub(super) fn elements(&mut self, list: ExprId, of: &Type) -> Option<Value> {
        let expr = self.plan.expr(list);
        let (list, keys) = match &expr.op {
            Op::Each { of, keys } => (*of, keys.as_slice()),
            _ => (list, [].as_slice()),
        };
        match self.place(list).ok()? {
            Some(place @ Place::Column(_)) if keys.is_empty() => {
                self.read(&place, &Type::list(of.clone()), false, expr.span)
            }
            Some(Place::Json(column, above)) => {
                let (variant, kind) = match of {
                    Type::Text => ("String", Kind::Text),
                    Type::Int => ("Int64", Kind::Int),
                    Type::Float => ("Float64", Kind::Float),
                    Type::Bool => ("Bool", Kind::Bool),
                    other => {
                        let what = format!("elements read as `{other}` inside a JSON column");
                        return self.refuse(expr.span, what);
                    }
                };
                let path = json_path(&column, &above);
                let text = if keys.is_empty() {
                    format!("{path}.:`Array(Nullable({variant}))`")
                } else {
                    let below: Vec<String> = keys.iter().map(|key| name(key)).collect();
                    format!("{path}[].{}.:{variant}", below.join("."))
                };
                Some(Value { text, kind: Kind::List(Box::new(kind)), nullable: true })
            }
            Some(_) => self.refuse(expr.span, "the elements of a list that is stored as text"),
            None if keys.is_empty() => self.value(list),
            None => self.refuse(expr.span, "members of the elements of a computed list"),
        }
    }
}

pub(super) fn json_path(column: &str, keys: &[Arc<str>]) -> String {
    let mut path = name(column);
    for key in steps(keys) {
        path.push('.');
        path.push_str(&name(key));
    }
    path
}

fn json_object(column: &str, keys: &[Arc<str>]) -> String {
    let mut path = name(column);
    for (at, key) in steps(keys).enumerate() {
        path.push_str(if at == 0 { ".^" } else { "." });
        path.push_str(&name(key));
    }
    path
}

/// The server takes a key with a dot for the path of two keys.
fn steps(keys: &[Arc<str>]) -> impl Iterator<Item = &str> {
    keys.iter().flat_map(|key| key.split('.'))
}
