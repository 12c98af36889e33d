//! Declarations: types, sources, sinks and lookups.

use std::sync::Arc;

use super::{Checker, Progress};
use crate::{
    catalog::{DeclId, DeclKind, Space},
    diagnostic::{Code, Diagnostic},
    plan::{Literal, LookupDecl, SinkDecl, SinkType, SourceDecl},
    span::Span,
    syntax::ast::{self, TypeKind},
    types::{FieldType, Members, Shape, Ty, Type},
};

/// Types that have a name of their own, with the name.
const NAMED: &[(&str, Type)] = &[
    ("bool", Type::Bool),
    ("int", Type::Int),
    ("float", Type::Float),
    ("string", Type::Text),
    ("bytes", Type::Bytes),
    ("timestamp", Type::Timestamp),
    ("duration", Type::Duration),
    ("ip", Type::Ip),
    ("cidr", Type::Cidr),
    ("severity", Type::Severity),
    ("any", Type::Any),
];

/// How many parts a type may have once the types it names are put in place: types that name types twice double.
const TYPE_PARTS_MAX: usize = 10_000;

/// Names followed to the record that a lookup yields; more of them are refused as a type.
const TYPE_NAMES_MAX: u32 = 16;

/// How many fields a record may have: no table is wider, and they are looked for one by one.
pub(super) const FIELDS_MAX: usize = 2_000;

/// What an attribute may stand at.
const SINK_ATTRS: &[&str] = &["accepts_sensitive", "allow"];
const RULE_ATTRS: &[&str] =
    &["owner", "expires", "tags", "pin", "allow", "was", "shadow", "canary"];
const WINDOW_ATTRS: &[&str] = &["owner", "expires", "tags", "allow", "was"];
const OTHER_ATTRS: &[&str] = &["allow"];

const DAY: i64 = 86_400 * 1_000_000_000;
/// How long an expired rule is only warned of: whoever owns it may be on holiday.
const GRACE: i64 = 30 * DAY;

impl Checker<'_> {
    /// Checks every declaration of every file, in the order in which they were loaded.
    pub(super) fn declarations(&mut self) {
        for index in 0..self.catalog.decls.len() {
            let id = DeclId(index);
            let decl = &self.catalog.decls[index];
            self.place.unit = decl.unit;
            match decl.kind {
                DeclKind::Type(_) | DeclKind::Enum(_) => {
                    self.declared_type(id);
                }
                DeclKind::Source(it) => self.source(id, it),
                DeclKind::Sink(it) => self.sink(id, it),
                DeclKind::Lookup(it) => self.lookup(id, it),
                DeclKind::Const(_) | DeclKind::Fn(_) => {}
            }
        }
        self.flow.shapes = self.world.sources.iter().map(|source| source.shape.clone()).collect();
        // Functions and constants may name lookups, so they come when all of those are known.
        for index in 0..self.catalog.decls.len() {
            let id = DeclId(index);
            self.place.unit = self.catalog.decls[index].unit;
            self.place.on = (0..self.world.sources.len()).collect();
            match self.catalog.decls[index].kind {
                DeclKind::Const(it) => {
                    self.check_const(id, it);
                }
                DeclKind::Fn(_) => {
                    self.check_fn(id);
                }
                DeclKind::Type(_)
                | DeclKind::Enum(_)
                | DeclKind::Source(_)
                | DeclKind::Sink(_)
                | DeclKind::Lookup(_) => {}
            }
        }
    }

    /// Names that `logmon.toml` binds are names of the whole program.
    fn bound_once(&mut self, word: &str, name: &ast::Ident, first: Option<Span>) {
        // Two of one file were reported when the names were collected.
        if let Some(first) = first.filter(|first| first.file != name.span.file) {
            let message = format!("two files declare the {word} `{}`", name.name);
            self.report(
                Diagnostic::new(Code::E108, name.span, message)
                    .related(first, "the first one")
                    .note("its connection is bound to the name, so a program has one of each"),
            );
        }
    }

    fn source(&mut self, id: DeclId, it: &ast::SourceDecl) {
        let mut known = self.world.sources.iter();
        let first = known.find(|known| *known.name == *it.name.name).map(|known| known.span);
        self.bound_once("source", &it.name, first);
        self.attributes(&it.attrs, OTHER_ATTRS, "a source", "this");
        let shape = match &it.ty {
            None => Some(Arc::new(Shape::log())),
            Some(ty) => self.record_type(ty, "a source"),
        };
        // A source whose type is wrong still has a name; what it lacks was said.
        let shape = shape.unwrap_or_else(|| Arc::new(Shape { fields: Vec::new(), open: true }));
        self.world.source_of.insert(id, self.world.sources.len());
        self.world.sources.push(SourceDecl {
            name: it.name.name.as_str().into(),
            shape,
            is_log: it.ty.is_none(),
            span: it.name.span,
        });
    }

    fn sink(&mut self, id: DeclId, it: &ast::SinkDecl) {
        let mut known = self.world.sinks.iter();
        let first = known.find(|known| *known.name == *it.name.name).map(|known| known.span);
        self.bound_once("sink", &it.name, first);
        self.attributes(&it.attrs, SINK_ATTRS, "a sink", "this");
        let ty = match &it.ty.kind {
            TypeKind::Table(name) => SinkType::Table(name.value.as_str().into()),
            TypeKind::Named(_) | TypeKind::List(_) | TypeKind::Map(_) | TypeKind::Record(_) => {
                let shape = self.record_type(&it.ty, "a sink");
                SinkType::Record(
                    shape.unwrap_or_else(|| Arc::new(Shape { fields: Vec::new(), open: true })),
                )
            }
        };
        let mut with: Vec<(Arc<str>, Ty)> = Vec::new();
        for param in &it.with {
            if with.iter().any(|(name, _)| **name == *param.name.name) {
                let message = format!("`{}` is declared twice", param.name.name);
                self.report(Diagnostic::new(Code::E108, param.name.span, message));
            }
            let ty = self.ty(&param.ty).unwrap_or_else(|| Ty::optional(Type::Any));
            with.push((param.name.name.as_str().into(), ty));
        }
        self.world.sink_of.insert(id, self.world.sinks.len());
        self.world.sinks.push(SinkDecl {
            name: it.name.name.as_str().into(),
            ty,
            with,
            accepts_sensitive: it.attrs.iter().any(|attr| attr.name.name == "accepts_sensitive"),
            span: it.name.span,
        });
    }

    fn lookup(&mut self, id: DeclId, it: &ast::LookupDecl) {
        let mut known = self.world.lookups.iter();
        let first = known.find(|known| *known.name == *it.name.name).map(|known| known.span);
        self.bound_once("lookup", &it.name, first);
        self.attributes(&it.attrs, OTHER_ATTRS, "a lookup", "this");
        let any = || Ty::optional(Type::Any);
        let keys = it.keys.iter().map(|key| self.ty(key).unwrap_or_else(any)).collect();
        let yields = self.ty(&it.result).unwrap_or_else(any);
        let mut fields = Vec::new();
        self.field_spans(self.place.unit, &it.result, TYPE_NAMES_MAX, &mut fields);
        self.world.lookup_of.insert(id, self.world.lookups.len());
        self.world.lookups.push(LookupDecl {
            name: it.name.name.as_str().into(),
            keys,
            yields,
            span: it.name.span,
            fields,
        });
    }

    /// Where the fields of a written type stand, through the names that lead to its record.
    fn field_spans(&self, unit: usize, ty: &ast::Type, names: u32, spans: &mut Vec<Span>) {
        match &ty.kind {
            TypeKind::Record(record) => {
                let mut known: Vec<&str> = Vec::new();
                for field in &record.fields {
                    if !known.contains(&&*field.name.name) {
                        known.push(&field.name.name);
                        spans.push(field.span);
                    }
                }
            }
            TypeKind::Named(name) if names > 0 => {
                let Some(id) = self.catalog.find(unit, Space::Type, name) else { return };
                let decl = self.catalog.get(id);
                if let DeclKind::Type(it) = decl.kind {
                    self.field_spans(decl.unit, &it.ty, names - 1, spans);
                }
            }
            TypeKind::Named(_) | TypeKind::List(_) | TypeKind::Map(_) | TypeKind::Table(_) => {}
        }
    }

    /// The shape a type stands for; anything but a record is an error.
    fn record_type(&mut self, ty: &ast::Type, of: &str) -> Option<Arc<Shape>> {
        let found = self.ty(ty)?;
        match found.base {
            Type::Record(shape) => Some(shape),
            other => {
                let message = format!("{of} carries records, not `{other}`");
                self.report(
                    Diagnostic::new(Code::E101, ty.span, message)
                        .advise("write a record: `{ message: string, ... }`"),
                );
                None
            }
        }
    }

    /// The type that is written.
    pub(super) fn ty(&mut self, ty: &ast::Type) -> Option<Ty> {
        self.caches.type_parts += 1;
        let found = match &ty.kind {
            TypeKind::Named(name) => self.named_type(name)?,
            TypeKind::List(of) => Ty::required(Type::list(self.ty(of)?.base)),
            TypeKind::Map(of) => Ty::required(Type::map(self.ty(of)?.base)),
            TypeKind::Record(record) => {
                let mut fields: Vec<FieldType> = Vec::with_capacity(record.fields.len());
                let mut whole = true;
                if record.fields.len() > FIELDS_MAX {
                    let message = format!("a record has at most {FIELDS_MAX} fields");
                    return self.fail(Code::E106, ty.span, message);
                }
                for field in &record.fields {
                    if fields.iter().any(|known| *known.name == *field.name.name) {
                        let message = format!("the field `{}` is declared twice", field.name.name);
                        self.report(Diagnostic::new(Code::E108, field.name.span, message));
                        continue;
                    }
                    let Some(ty) = self.ty(&field.ty) else {
                        whole = false;
                        continue;
                    };
                    if field.coerce {
                        self.check_coerce(field, &ty);
                    }
                    fields.push(FieldType {
                        name: field.name.name.as_str().into(),
                        ty,
                        coerce: field.coerce,
                        sensitive: field.sensitive,
                    });
                }
                if !whole {
                    return None;
                }
                Ty::required(Type::Record(Arc::new(Shape { fields, open: record.open })))
            }
            TypeKind::Table(_) => {
                return self.fail(Code::E101, ty.span, "only a sink can be a `table(…)`");
            }
        };
        Some(found.or_optional(ty.optional))
    }

    fn check_coerce(&mut self, field: &ast::FieldType, ty: &Ty) {
        let fits = matches!(
            ty.base,
            Type::Bool
                | Type::Int
                | Type::Float
                | Type::Text
                | Type::Timestamp
                | Type::Duration
                | Type::Ip
                | Type::Cidr
                | Type::Severity
                | Type::Enum(_)
        );
        if !fits {
            let message = format!("`coerce` has no meaning for `{ty}`");
            self.report(Diagnostic::new(Code::E101, field.span, message));
        }
    }

    fn named_type(&mut self, name: &ast::QName) -> Option<Ty> {
        if let Some(bare) = name.bare()
            && let Some((_, ty)) = NAMED.iter().find(|(known, _)| *known == bare)
        {
            return Some(Ty::required(ty.clone()));
        }
        if let Some(id) = self.catalog.find(self.place.unit, Space::Type, name) {
            return self.declared_type(id);
        }
        if let Some(shape) = name.bare().and_then(Shape::built_in) {
            return Some(Ty::required(Type::Record(Arc::new(shape))));
        }
        let mut known = self.catalog.visible(self.place.unit, Space::Type);
        known.extend(NAMED.iter().map(|(name, _)| (*name).to_owned()));
        self.unknown("type", name, &known);
        None
    }

    fn declared_type(&mut self, id: DeclId) -> Option<Ty> {
        let decl = self.catalog.get(id);
        let it = match decl.kind {
            DeclKind::Type(it) => it,
            DeclKind::Enum(it) => return self.declared_enum(it),
            _ => return None,
        };
        match self.caches.types.get(&id) {
            Some(Progress::Done(found)) => {
                let (ty, parts) = found.clone()?;
                self.caches.type_parts += parts;
                return Some(ty);
            }
            Some(Progress::Open) => {
                let message = format!("the type `{}` contains itself", it.name.name);
                return self.fail(Code::E104, it.name.span, message);
            }
            None => {}
        }
        self.caches.types.insert(id, Progress::Open);
        let unit = std::mem::replace(&mut self.place.unit, decl.unit);
        self.place.inlining += 1;
        let before = self.caches.type_parts;
        let mut ty = if self.place.inlining > super::call::INLINE_MAX {
            self.fail(Code::E106, it.name.span, "types refer to each other too deeply")
        } else {
            self.ty(&it.ty)
        };
        self.place.inlining -= 1;
        self.place.unit = unit;
        let parts = self.caches.type_parts - before;
        if parts > TYPE_PARTS_MAX {
            let message = format!("this type has more than {TYPE_PARTS_MAX} parts");
            ty = self.fail(Code::E106, it.name.span, message);
        }
        self.caches.types.insert(id, Progress::Done(ty.clone().map(|ty| (ty, parts))));
        ty
    }

    fn declared_enum(&mut self, it: &ast::Enum) -> Option<Ty> {
        if it.members.len() > FIELDS_MAX {
            let message = format!("an enum has at most {FIELDS_MAX} members");
            return self.fail(Code::E106, it.name.span, message);
        }
        let mut names: Vec<Arc<str>> = Vec::with_capacity(it.members.len());
        for member in &it.members {
            if names.iter().any(|known| **known == *member.name) {
                let message = format!("`{}` stands twice in this enum", member.name);
                self.report(Diagnostic::new(Code::E108, member.span, message));
                continue;
            }
            names.push(member.name.as_str().into());
        }
        let name = it.name.name.as_str().into();
        Some(Ty::required(Type::Enum(Arc::new(Members { name, ordered: it.ordered, names }))))
    }

    /// The type an `is` asks for.
    pub(super) fn asked_type(&mut self, name: &ast::QName) -> Option<Type> {
        match name.bare() {
            Some("list") => Some(Type::list(Type::Any)),
            Some("map") => Some(Type::map(Type::Any)),
            Some("number") => Some(Type::Number),
            _ => Some(self.named_type(name)?.base),
        }
    }

    /// Checks attributes and returns which warnings they silence.
    pub(super) fn attributes(
        &mut self,
        attrs: &[ast::Attr],
        known: &[&str],
        at: &str,
        subject: &str,
    ) -> Vec<Code> {
        let mut allowed = Vec::new();
        for attr in attrs {
            let name = attr.name.name.as_str();
            if !known.contains(&name) {
                let message = format!("there is no attribute `@{name}` for {at}");
                let mut diagnostic = Diagnostic::new(Code::E102, attr.name.span, message);
                if let Some(near) = crate::catalog::nearest(name, known) {
                    diagnostic = diagnostic.suggest(
                        "an attribute with a similar name exists",
                        vec![(attr.name.span, near)],
                    );
                }
                self.report(diagnostic);
                continue;
            }
            match name {
                "allow" => allowed.extend(self.allow(attr)),
                _ => self.attribute_args(attr, subject),
            }
        }
        allowed
    }

    /// The attributes that a rule may have.
    pub(super) fn rule_attributes(
        &mut self,
        attrs: &[ast::Attr],
        kind: &str,
        name: &str,
    ) -> Vec<Code> {
        self.attributes(attrs, RULE_ATTRS, &format!("a {kind}"), &format!("the {kind} `{name}`"))
    }

    fn allow(&mut self, attr: &ast::Attr) -> Vec<Code> {
        let mut codes = Vec::new();
        for (text, span) in attr_texts(attr) {
            match Code::find(text) {
                Some(code) if code.severity() == crate::diagnostic::Severity::Warning => {
                    codes.push(code);
                }
                Some(code) => {
                    let message = format!("{code} is an error and cannot be allowed");
                    self.report(Diagnostic::new(Code::E102, span, message));
                }
                None => {
                    let names = Code::ALL.iter().map(|code| code.name());
                    let mut diagnostic =
                        Diagnostic::new(Code::E102, span, format!("there is no check `{text}`"));
                    if let Some(near) = crate::catalog::nearest(text, names) {
                        diagnostic = diagnostic.advise(format!("a similar one is `{near}`"));
                    }
                    self.report(diagnostic);
                }
            }
        }
        if codes.is_empty() && attr_texts(attr).is_empty() {
            self.report(
                Diagnostic::new(Code::E102, attr.span, "`@allow` needs the code of a warning")
                    .advise("write it in quotes: `@allow(\"W312\")`"),
            );
        }
        codes
    }

    fn attribute_args(&mut self, attr: &ast::Attr, subject: &str) {
        let name = attr.name.name.as_str();
        let (fits, wants) = match name {
            "owner" | "was" => (attr_texts(attr).len() == 1, "one text"),
            "tags" => (!attr_texts(attr).is_empty(), "texts"),
            "expires" => {
                (self.expires(attr, subject), "a time: `@expires(t\"2027-01-01T00:00:00Z\")`")
            }
            "canary" => {
                let share = match attr.args {
                    ast::AttrArgs::Ratio(ratio) => ratio.share(),
                    ast::AttrArgs::None | ast::AttrArgs::List(_) => 0.0,
                };
                (share > 0.0 && share <= 1.0, "a share: `@canary(5%)`")
            }
            _ => (matches!(attr.args, ast::AttrArgs::None), "nothing"),
        };
        if !fits {
            let message = format!("`@{name}` takes {wants}");
            self.report(Diagnostic::new(Code::E102, attr.span, message));
        }
    }

    fn expires(&mut self, attr: &ast::Attr, subject: &str) -> bool {
        let ast::AttrArgs::List(args) = &attr.args else { return false };
        let [arg] = args.as_slice() else { return false };
        match &arg.value.kind {
            ast::ExprKind::Tagged { tag: ast::Tag::Timestamp, .. } => {
                let time = self.literal(&arg.value);
                let time = time.and_then(|(time, _)| match time {
                    Literal::Timestamp(nanos) => Some(nanos),
                    _ => None,
                });
                if let (Some(time), Some(now)) = (time, self.now) {
                    self.expired(attr.span, subject, now.saturating_sub(time));
                }
                true
            }
            _ => false,
        }
    }
}

impl Checker<'_> {
    /// W702, and E703 when nobody has heeded it.
    fn expired(&mut self, at: Span, subject: &str, ago: i64) {
        let days = ago / DAY;
        if ago < 0 {
            return;
        }
        let code = if ago > GRACE { Code::E703 } else { Code::W702 };
        let since = if days == 1 { "1 day ago".to_owned() } else { format!("{days} days ago") };
        self.report(
            Diagnostic::new(code, at, format!("{subject} expired {since}"))
                .note(format!("{} days after its time it is an error", GRACE / DAY))
                .advise("remove it, or give it more time"),
        );
    }

    /// The attributes that a window or an alert may have.
    pub(super) fn window_attributes(
        &mut self,
        attrs: &[ast::Attr],
        at: &str,
        name: &str,
    ) -> Vec<Code> {
        self.attributes(attrs, WINDOW_ATTRS, at, &format!("`{name}`"))
    }
}

/// The texts in an attribute's parentheses.
pub(crate) fn attr_texts(attr: &ast::Attr) -> Vec<(&str, Span)> {
    match &attr.args {
        ast::AttrArgs::List(args) => args
            .iter()
            .filter_map(|arg| match &arg.value.kind {
                ast::ExprKind::Text { value, fold: false } if arg.name.is_none() => {
                    Some((value.as_str(), arg.span))
                }
                _ => None,
            })
            .collect(),
        ast::AttrArgs::None | ast::AttrArgs::Ratio(_) => Vec::new(),
    }
}
