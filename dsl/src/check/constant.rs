//! Constants: values known when the program is loaded.

use std::{fmt::Write as _, sync::Arc};

use super::{Checked, Checker, Progress, declare::FIELDS_MAX, event::join_ty};
use crate::{
    catalog::{DeclId, DeclKind, Space},
    column::value::u128_to_ip,
    diagnostic::{Code, Diagnostic},
    functions::{Glob, Grok, Pattern, Regex},
    plan::{Literal, Op, Secret},
    span::Span,
    syntax::ast::{self, Expr, ExprKind, RecordField, Tag},
    types::{FieldType, Shape, Ty, Type},
};

/// How deep constants may name constants.
const DEPTH_MAX: usize = 64;

/// A value known when the program is loaded.
#[derive(Debug, Clone)]
pub(super) enum Const {
    Scalar(Literal, Type),
    /// `"text"i`
    FoldedText(Arc<str>),
    List(Arc<Vec<Const>>),
    Record(Arc<Vec<(Arc<str>, Const)>>),
    Regex(Arc<Regex>),
    Pattern(Arc<Pattern>),
    Glob(Arc<Glob>),
    Grok(Arc<Grok>),
    /// `secret("name")`
    Secret(Secret),
    /// An expression over other constants, put in place where it is named.
    Computed,
}

impl Const {
    /// Its type; of what is no value, nothing.
    pub(super) fn ty(&self) -> Option<Ty> {
        Some(match self {
            Self::Scalar(Literal::Absent(_), ty) => Ty::optional(ty.clone()),
            Self::Scalar(_, ty) => Ty::required(ty.clone()),
            Self::FoldedText(_) => Ty::required(Type::Text),
            Self::List(items) => {
                let mut of: Option<Ty> = None;
                for item in items.iter() {
                    let ty = item.ty()?;
                    of = Some(of.map_or(ty.clone(), |known| join_ty(&known, &ty)));
                }
                Ty::required(Type::list(of.map_or(Type::Any, |of| of.base)))
            }
            Self::Record(members) => {
                let mut fields = Vec::with_capacity(members.len());
                for (name, value) in members.iter() {
                    let ty = value.ty()?;
                    fields.push(FieldType {
                        name: name.clone(),
                        ty,
                        coerce: false,
                        sensitive: false,
                    });
                }
                Ty::required(Type::Record(Arc::new(Shape { fields, open: false })))
            }
            Self::Regex(_)
            | Self::Pattern(_)
            | Self::Glob(_)
            | Self::Grok(_)
            | Self::Secret(_)
            | Self::Computed => return None,
        })
    }

    /// Its JSON text; nothing for what is no value.
    pub(super) fn json(&self) -> Option<String> {
        let mut out = String::new();
        self.write_json(&mut out)?;
        Some(out)
    }

    fn write_json(&self, out: &mut String) -> Option<()> {
        match self {
            Self::Scalar(literal, _) => write_literal(out, literal),
            Self::FoldedText(text) => write_text(out, text),
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write_json(out)?;
                }
                out.push(']');
            }
            Self::Record(members) => {
                out.push('{');
                for (index, (name, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_text(out, name);
                    out.push(':');
                    value.write_json(out)?;
                }
                out.push('}');
            }
            Self::Regex(_)
            | Self::Pattern(_)
            | Self::Glob(_)
            | Self::Grok(_)
            | Self::Secret(_)
            | Self::Computed => return None,
        }
        Some(())
    }
}

/// A literal as JSON text.
fn write_literal(out: &mut String, literal: &Literal) {
    let _infallible = match literal {
        Literal::Absent(_) => write!(out, "null"),
        Literal::Bool(value) => write!(out, "{value}"),
        Literal::Int(value) => write!(out, "{value}"),
        Literal::Float(value) => write!(out, "{value:?}"),
        Literal::Text(text) => {
            write_text(out, text);
            Ok(())
        }
        Literal::Timestamp(nanos) => {
            write!(
                out,
                "\"{}\"",
                jiff::Timestamp::from_nanosecond(i128::from(*nanos)).unwrap_or_default()
            )
        }
        Literal::Duration(nanos) => write!(out, "\"{}\"", duration_text(*nanos)),
        Literal::Ip(number) => write!(out, "\"{}\"", u128_to_ip(*number)),
        Literal::Cidr(block) => write!(out, "\"{block}\""),
        Literal::Severity(severity) => write!(out, "\"{}\"", severity.name()),
        Literal::Json(text) => write!(out, "{text}"),
    };
}

fn write_text(out: &mut String, text: &str) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

/// A duration as rules write it: `1m30s`.
pub(crate) fn duration_text(nanos: i64) -> String {
    const UNITS: [(u64, &str); 7] = [
        (86_400_000_000_000, "d"),
        (3_600_000_000_000, "h"),
        (60_000_000_000, "m"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "us"),
        (1, "ns"),
    ];
    let mut rest = nanos.unsigned_abs();
    let mut out = String::new();
    for (size, unit) in UNITS {
        if rest >= size {
            let _infallible = write!(out, "{}{unit}", rest / size);
            rest %= size;
        }
    }
    match (out.is_empty(), nanos < 0) {
        (true, _) => "0s".to_owned(),
        (false, true) => format!("-{out}"),
        (false, false) => out,
    }
}

impl Checker<'_> {
    /// Checks a declared constant for itself.
    pub(super) fn check_const(&mut self, id: DeclId, it: &ast::Const) {
        let Some(value) = self.constant(id) else { return };
        let Some(declared) = &it.ty else {
            if matches!(value, Const::Computed) {
                self.computed(id, it);
            }
            return;
        };
        let Some(want) = self.ty(declared) else { return };
        let found = match &value {
            Const::Computed => self.computed(id, it),
            _ => self.const_value(&value, it.value.span),
        };
        if let Some(found) = found {
            self.fit(found, &want, "the constant");
        }
    }

    /// The value of a declared constant.
    pub(super) fn constant(&mut self, id: DeclId) -> Option<Const> {
        let decl = self.catalog.get(id);
        let DeclKind::Const(it) = decl.kind else { return None };
        match self.caches.consts.get(&id) {
            Some(Progress::Done(value)) => return value.clone(),
            Some(Progress::Open) => {
                let message = format!("the constant `{}` refers to itself", it.name.name);
                return self.fail(Code::E104, it.name.span, message);
            }
            None => {}
        }
        self.caches.consts.insert(id, Progress::Open);
        let unit = std::mem::replace(&mut self.place.unit, decl.unit);
        self.place.inlining += 1;
        let value = if self.place.inlining > DEPTH_MAX {
            self.fail(Code::E106, it.name.span, "constants refer to each other too deeply")
        } else {
            let severity = matches!(&it.ty, Some(ast::Type { kind: ast::TypeKind::Named(name), .. })
                if name.bare() == Some("severity"));
            self.fold(&it.value, severity.then_some(&Type::Severity))
        };
        self.place.inlining -= 1;
        self.place.unit = unit;
        self.caches.consts.insert(id, Progress::Done(value.clone()));
        value
    }

    /// The constant that a name stands for, if it stands for one and nothing nearer hides it.
    pub(super) fn named_const(&mut self, name: &ast::QName) -> Option<DeclId> {
        if let Some(bare) = name.bare()
            && self.place.names.iter().any(|named| named.name == bare)
        {
            return None;
        }
        let id = self.catalog.find(self.place.unit, Space::Value, name)?;
        matches!(self.catalog.get(id).kind, DeclKind::Const(_)).then_some(id)
    }

    /// The expression of a constant that is no plain value, checked where it stands.
    pub(super) fn computed(&mut self, id: DeclId, it: &ast::Const) -> Option<Checked> {
        if self.place.inlining >= DEPTH_MAX {
            return self.fail(Code::E106, it.name.span, "constants refer to each other too deeply");
        }
        let unit = self.catalog.get(id).unit;
        let outside = self.place.clone();
        self.place.unit = unit;
        self.place.names.clear();
        self.place.in_const = true;
        self.place.inlining += 1;
        let found = self.expr(&it.value, None);
        self.place = outside;
        found
    }

    /// A constant as an expression.
    pub(super) fn const_value(&mut self, value: &Const, span: Span) -> Option<Checked> {
        let (literal, ty) = match value {
            Const::Scalar(literal, _) => (literal.clone(), value.ty()?),
            Const::FoldedText(text) => (Literal::Text(text.clone()), Ty::required(Type::Text)),
            Const::List(_) | Const::Record(_) => {
                let Some(ty) = value.ty() else {
                    let message = "a list of regexes is no value";
                    return self.fail(Code::E101, span, message);
                };
                (Literal::Json(value.json()?.into()), ty)
            }
            Const::Regex(_) => return self.no_value(span, "a regex", "matches"),
            Const::Glob(_) => return self.no_value(span, "a glob", "like"),
            Const::Pattern(_) => return self.no_value(span, "a pattern", "parse_pattern"),
            Const::Grok(_) => return self.no_value(span, "a grok pattern", "parse_grok"),
            Const::Secret(_) => return self.no_value(span, "a secret", "hmac` or `pseudonymize"),
            Const::Computed => return None,
        };
        // Constant records are JSON text, whose members have no static place.
        let ty = match ty.base {
            Type::Record(_) => Ty::required(Type::map(Type::Any)),
            _ => ty,
        };
        let id = self.build.pool.add(Op::Literal(literal), ty.clone(), span);
        Some(Checked { id, ty, span })
    }

    fn no_value<T>(&mut self, span: Span, what: &str, with: &str) -> Option<T> {
        self.report(
            Diagnostic::new(Code::E101, span, format!("{what} is no value"))
                .advise(format!("use it with `{with}`")),
        );
        None
    }

    /// Works out a constant; `Computed` for expressions that only the evaluator can.
    pub(super) fn fold(&mut self, e: &Expr, want: Option<&Type>) -> Option<Const> {
        self.place.depth += 1;
        let found = if self.place.depth > super::expr::DEPTH_MAX {
            self.fail(Code::E106, e.span, "this expression is nested too deeply")
        } else {
            self.fold_inner(e, want)
        };
        self.place.depth -= 1;
        found
    }

    fn fold_inner(&mut self, e: &Expr, want: Option<&Type>) -> Option<Const> {
        match &e.kind {
            ExprKind::Error => None,
            ExprKind::Text { value, fold: true } => {
                Some(Const::FoldedText(value.to_lowercase().into()))
            }
            ExprKind::Tagged { tag: Tag::Regex, .. } => self.regex_literal(e).map(Const::Regex),
            ExprKind::Tagged { tag: Tag::Pattern, .. } => {
                self.pattern_literal(e).map(Const::Pattern)
            }
            ExprKind::Tagged { tag: Tag::Glob, .. } => self.glob_literal(e).map(Const::Glob),
            ExprKind::Tagged { tag: Tag::Grok, .. } => self.grok_literal(e).map(Const::Grok),
            ExprKind::Null
            | ExprKind::Bool(_)
            | ExprKind::Int(_)
            | ExprKind::Float(_)
            | ExprKind::Duration(_)
            | ExprKind::Text { .. }
            | ExprKind::Tagged { .. } => {
                let (literal, ty) = self.literal(e)?;
                Some(Const::Scalar(literal, ty))
            }
            ExprKind::Neg(_) => match self.literal(e) {
                Some((literal, ty)) => Some(Const::Scalar(literal, ty)),
                None => Some(Const::Computed),
            },
            ExprKind::List(items) => {
                let mut out = Vec::with_capacity(items.len());
                for item in items {
                    match self.fold(item, want)? {
                        Const::Computed => return Some(Const::Computed),
                        value => out.push(value),
                    }
                }
                Some(Const::List(Arc::new(out)))
            }
            ExprKind::Record(fields) => self.fold_record(fields, want),
            ExprKind::Name(name) => {
                if let Some(id) = self.named_const(name) {
                    return self.constant(id);
                }
                if let Some(Type::Enum(members)) = want
                    && let Some(member) = name.bare().and_then(|bare| members.find(bare, false))
                {
                    let ty = Type::Enum(members.clone());
                    return Some(Const::Scalar(Literal::Text(member.clone()), ty));
                }
                if matches!(want, Some(Type::Severity | Type::Any))
                    && let Some(severity) = name.bare().and_then(crate::column::Severity::named)
                {
                    return Some(Const::Scalar(Literal::Severity(severity), Type::Severity));
                }
                Some(Const::Computed)
            }
            ExprKind::Call { function, args, filter: None } => match function.bare() {
                Some("lines") => self.read_list(e, args, false),
                Some("cidrs") => self.read_list(e, args, true),
                Some("table") => self.read_table(e, args),
                Some("secret") => self.secret(e, args),
                _ => Some(Const::Computed),
            },
            _ => Some(Const::Computed),
        }
    }

    fn fold_record(&mut self, fields: &[RecordField], want: Option<&Type>) -> Option<Const> {
        if fields.len() > FIELDS_MAX {
            let first = match &fields[FIELDS_MAX] {
                RecordField::Field { name, .. } => name.span,
                RecordField::Spread(other) => other.span,
            };
            let message = format!("a record has at most {FIELDS_MAX} fields");
            return self.fail(Code::E106, first, message);
        }
        let mut out: Vec<(Arc<str>, Const)> = Vec::with_capacity(fields.len());
        for field in fields {
            let (name, value) = match field {
                RecordField::Field { name, value } => (name, value),
                RecordField::Spread(other) => {
                    let Const::Record(members) = self.fold(other, want)? else {
                        return Some(Const::Computed);
                    };
                    for (name, value) in members.iter() {
                        put(&mut out, name.clone(), value.clone());
                    }
                    continue;
                }
            };
            match self.fold(value, want)? {
                Const::Computed => return Some(Const::Computed),
                value => put(&mut out, name.name.as_str().into(), value),
            }
        }
        Some(Const::Record(Arc::new(out)))
    }
}

/// Sets a member; a later one of the same name takes the place of the earlier.
fn put(out: &mut Vec<(Arc<str>, Const)>, name: Arc<str>, value: Const) {
    match out.iter_mut().find(|(known, _)| *known == name) {
        Some(known) => known.1 = value,
        None => out.push((name, value)),
    }
}
