//! Where sample events and a declared shape disagree.

use super::Seen;
use crate::types::{Shape, Ty, Type};

/// A declared field that events do not hold as declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The field's path.
    pub path: Vec<String>,
    /// Its type as it is declared.
    pub declared: String,
    /// How many of the events that could have it …
    pub of: u64,
    /// … do not have it as declared.
    pub wrong: u64,
    /// What they have instead: `text`, `nothing`.
    pub instead: &'static str,
    /// What to write, where that is sure to help.
    pub advice: Option<String>,
}

/// Compares a shape with what was seen, field by field.
pub fn misfits(shape: &Shape, seen: &Seen) -> Vec<Misfit> {
    let mut out = Vec::new();
    compare(&mut out, &mut Vec::new(), shape, seen);
    out
}

fn compare(out: &mut Vec<Misfit>, path: &mut Vec<String>, shape: &Shape, seen: &Seen) {
    for field in &shape.fields {
        path.push(field.name.to_string());
        let nothing = Seen::default();
        let found = seen.member(&field.name).unwrap_or(&nothing);
        let missing = seen.objects.saturating_sub(found.present());
        if !field.ty.optional && missing > 0 {
            out.push(Misfit {
                path: path.clone(),
                declared: declared(&field.ty, field.coerce),
                of: seen.objects,
                wrong: missing,
                instead: "nothing",
                advice: Some(declared(&Ty::optional(field.ty.base.clone()), field.coerce)),
            });
        }
        let fit = fitting(&field.ty.base, field.coerce, found);
        let wrong = found.present().saturating_sub(fit);
        if wrong > 0 {
            let with_coerce = fitting(&field.ty.base, true, found);
            let helps = !field.coerce && with_coerce > fit;
            out.push(Misfit {
                path: path.clone(),
                declared: declared(&field.ty, field.coerce),
                of: found.present(),
                wrong,
                instead: instead(&field.ty.base, found),
                advice: helps.then(|| declared(&field.ty, true)),
            });
        }
        if let Type::Record(inner) = &field.ty.base {
            compare(out, path, inner, found);
        }
        path.pop();
    }
}

fn declared(ty: &Ty, coerce: bool) -> String {
    let base = match &ty.base {
        Type::Record(_) => "{ … }".to_owned(),
        base => base.to_string(),
    };
    let mark = if ty.optional { "?" } else { "" };
    format!("{base}{mark}{}", if coerce { " coerce" } else { "" })
}

/// How many of the values a type takes.
fn fitting(ty: &Type, coerce: bool, seen: &Seen) -> u64 {
    let also = |count: u64| if coerce { count } else { 0 };
    match ty {
        Type::Bool => seen.bools + also(seen.texts),
        Type::Int => seen.ints + also(seen.int_texts),
        Type::Float | Type::Number => seen.ints + seen.floats + also(seen.float_texts),
        Type::Text => seen.texts + also(seen.ints + seen.floats + seen.bools),
        // Without `coerce` RFC 3339 is read, with it more than can be told here.
        Type::Timestamp => {
            if coerce {
                seen.texts + seen.ints + seen.floats
            } else {
                seen.time_texts
            }
        }
        Type::Severity => seen.severities,
        Type::Ip => seen.ip_texts,
        Type::Bytes | Type::Duration | Type::Cidr | Type::Enum(_) => seen.texts,
        Type::List(_) => seen.lists,
        Type::Map(_) | Type::Record(_) => seen.objects,
        Type::Any | Type::Regex | Type::Pattern(_) | Type::Glob | Type::Null => seen.present(),
    }
}

/// The kind that most of the others have.
fn instead(ty: &Type, seen: &Seen) -> &'static str {
    let own: &[&str] = match ty {
        Type::Bool => &["booleans"],
        Type::Int => &["integers"],
        Type::Float | Type::Number => &["integers", "numbers"],
        Type::List(_) => &["lists"],
        Type::Map(_) | Type::Record(_) => &["objects"],
        Type::Text => &["text"],
        _ => &[],
    };
    let others = seen.kinds().into_iter().filter(|(kind, _)| !own.contains(kind));
    match others.max_by_key(|(_, count)| *count) {
        Some(("text", _)) if own.is_empty() => "other text",
        Some((kind, count)) if count > 0 => kind,
        _ => "other values",
    }
}
