//! Declarations, types and tests.

use logmon_grammar::{Pair, Rule};

use super::lower::{Lower, has, parts};
use crate::syntax::ast::{
    self, Attr, AttrArgs, Const, DefaultRoute, Enum, Expectation, Fate, FieldType, FnDecl, Group,
    GroupMode, Include, Item, LookupDecl, MockEntry, On, Param, RecordType, SinkDecl, SourceDecl,
    Step, StepKind, Test, Type, TypeDecl, TypeKind, Use,
};

impl Lower<'_> {
    /// Lowers one declaration.
    pub(super) fn item(&mut self, pair: &Pair<'_>) -> Item {
        let span = self.span(pair);
        let mut inner = parts(pair);
        match pair.as_rule() {
            Rule::use_decl => Item::Use(Use {
                path: self.string(&inner.need()),
                alias: inner.next().map(|alias| self.ident(&alias)),
                span,
            }),
            Rule::include_decl => Item::Include(Include { path: self.string(&inner.need()), span }),
            Rule::default_decl => {
                let targets = inner.map(|target| self.target(&target)).collect();
                Item::DefaultRoute(DefaultRoute { targets, span })
            }
            Rule::const_decl => Item::Const(Const {
                name: self.ident(&inner.need()),
                ty: inner.pick(Rule::ty).map(|ty| self.ty(&ty)),
                value: self.expr(&inner.need()),
                span,
            }),
            Rule::enum_decl => Item::Enum(Enum {
                ordered: has(pair, Rule::k_ordered),
                name: self.ident(&inner.need()),
                members: inner.map(|member| self.ident(&member)).collect(),
                span,
            }),
            Rule::type_decl => Item::Type(TypeDecl {
                name: self.ident(&inner.need()),
                ty: self.ty(&inner.need()),
                span,
            }),
            Rule::source_decl => Item::Source(SourceDecl {
                attrs: self.attrs(&inner.need()),
                name: self.ident(&inner.need()),
                ty: inner.next().map(|ty| self.ty(&ty)),
                span,
            }),
            Rule::lookup_decl => {
                let attrs = self.attrs(&inner.need());
                let name = self.ident(&inner.need());
                let mut keys: Vec<Type> = inner.map(|ty| self.ty(&ty)).collect();
                let result = keys.pop().expect("a lookup has a result");
                Item::Lookup(LookupDecl { attrs, name, keys, result, span })
            }
            Rule::sink_decl => Item::Sink(SinkDecl {
                attrs: self.attrs(&inner.need()),
                name: self.ident(&inner.need()),
                ty: self.ty(&inner.need()),
                with: inner.next().map_or_else(Vec::new, |params| self.params(&params)),
                span,
            }),
            Rule::fn_decl => Item::Fn(FnDecl {
                name: self.ident(&inner.need()),
                params: inner
                    .pick(Rule::params)
                    .map_or_else(Vec::new, |params| self.params(&params)),
                result: inner.pick(Rule::result).map(|result| self.ty(&parts(&result).need())),
                body: self.expr(&inner.need()),
                span,
            }),
            Rule::rule_decl => Item::Rule(self.rule(pair)),
            Rule::group_decl => Item::Group(self.group(pair)),
            Rule::window_decl => Item::Window(self.window(pair)),
            Rule::alert_decl => Item::Alert(self.window(pair)),
            Rule::test_decl => Item::Test(Test {
                name: self.string(&inner.need()),
                steps: inner.map(|step| self.step(&step)).collect(),
                span,
            }),
            Rule::masked => Item::Error(span),
            other => unreachable!("{other:?} is no declaration"),
        }
    }

    pub(super) fn attrs(&mut self, pair: &Pair<'_>) -> Vec<Attr> {
        assert_eq!(pair.as_rule(), Rule::attrs);
        let attr = |attr: Pair<'_>| {
            let mut inner = parts(&attr);
            let name = inner.need();
            let args = match inner.next() {
                None => AttrArgs::None,
                Some(ratio) if ratio.as_rule() == Rule::ratio => {
                    AttrArgs::Ratio(self.ratio(&ratio))
                }
                Some(list) => AttrArgs::List(self.args(&list)),
            };
            Attr { name: self.ident(&parts(&name).need()), args, span: self.span(&attr) }
        };
        parts(pair).map(attr).collect()
    }

    fn params(&mut self, pair: &Pair<'_>) -> Vec<Param> {
        let param = |param: Pair<'_>| {
            let mut inner = parts(&param);
            Param {
                name: self.ident(&inner.need()),
                ty: self.ty(&inner.need()),
                span: self.span(&param),
            }
        };
        parts(pair).map(param).collect()
    }

    fn ty(&mut self, pair: &Pair<'_>) -> Type {
        assert_eq!(pair.as_rule(), Rule::ty);
        let mut inner = parts(pair);
        let atom = inner.need();
        let kind = match atom.as_rule() {
            Rule::table_ty => TypeKind::Table(self.string(&parts(&atom).need())),
            Rule::list_ty => TypeKind::List(Box::new(self.ty(&parts(&atom).need()))),
            Rule::map_ty => TypeKind::Map(Box::new(self.ty(&parts(&atom).need()))),
            Rule::record_ty => TypeKind::Record(self.record_type(&atom)),
            _ => TypeKind::Named(self.qname(&atom)),
        };
        Type { kind, optional: inner.next().is_some(), span: self.span(pair) }
    }

    fn record_type(&mut self, pair: &Pair<'_>) -> RecordType {
        let mut record = RecordType { fields: Vec::new(), open: false };
        for part in parts(pair) {
            if part.as_rule() == Rule::open_mark {
                record.open = true;
                continue;
            }
            let mut inner = parts(&part);
            record.fields.push(FieldType {
                name: self.key(&inner.need()),
                ty: self.ty(&inner.need()),
                coerce: has(&part, Rule::k_coerce),
                sensitive: has(&part, Rule::k_sensitive),
                span: self.span(&part),
            });
        }
        record
    }

    pub(super) fn on(&self, pair: &Pair<'_>) -> On {
        assert_eq!(pair.as_rule(), Rule::on_part);
        let source = self.qname(&parts(pair).need());
        if source.bare() == Some("any") { On::Any(source.span) } else { On::Source(source) }
    }

    fn rule(&mut self, pair: &Pair<'_>) -> ast::Rule {
        let mut inner = parts(pair);
        ast::Rule {
            attrs: self.attrs(&inner.need()),
            name: self.ident(&inner.need()),
            on: inner.pick(Rule::on_part).map(|on| self.on(&on)),
            when: inner.pick(Rule::when_part).map(|when| self.expr(&parts(&when).need())),
            body: self.block(&inner.need()),
            span: self.span(pair),
        }
    }

    fn group(&mut self, pair: &Pair<'_>) -> Group {
        let mut inner = parts(pair);
        let attrs = self.attrs(&inner.need());
        let name = self.ident(&inner.need());
        let mode = inner.pick(Rule::group_mode);
        let first = mode.is_some_and(|mode| has(&mode, Rule::k_first));
        Group {
            attrs,
            name,
            mode: if first { GroupMode::First } else { GroupMode::All },
            when: inner.pick(Rule::when_part).map(|when| self.expr(&parts(&when).need())),
            // A rule that could not be read is gone; its diagnostic stands for it.
            rules: inner
                .filter(|rule| rule.as_rule() == Rule::rule_decl)
                .map(|rule| self.rule(&rule))
                .collect(),
            span: self.span(pair),
        }
    }

    fn step(&mut self, pair: &Pair<'_>) -> Step {
        let mut inner = parts(pair);
        let kind = match pair.as_rule() {
            Rule::at_step => StepKind::At(self.expr(&inner.need())),
            Rule::advance_step => StepKind::Advance(self.time(&inner.need())),
            Rule::mock_step => {
                let lookup = self.qname(&inner.need());
                let entry = |entry: Pair<'_>| {
                    let mut inner = parts(&entry);
                    let (key, value) = (self.expr(&inner.need()), self.expr(&inner.need()));
                    MockEntry { key, value, span: self.span(&entry) }
                };
                StepKind::Mock { lookup, entries: inner.map(entry).collect() }
            }
            Rule::given_step => StepKind::Given {
                times: inner.pick(Rule::times).map(|times| self.count(&parts(&times).need())),
                on: inner.pick(Rule::on_part).map(|on| self.on(&on)),
                event: self.expr(&inner.need()),
            },
            Rule::expect_step => StepKind::Expect(self.expectation(&inner.need())),
            Rule::masked => StepKind::Error,
            other => unreachable!("{other:?} is no step of a test"),
        };
        Step { kind, span: self.span(pair) }
    }

    fn expectation(&mut self, pair: &Pair<'_>) -> Expectation {
        if pair.as_rule() == Rule::expr {
            return Expectation::Holds(self.expr(pair));
        }
        let mut inner = parts(pair);
        let fate = inner.need();
        let fate = match fate.as_str().trim() {
            "dropped" => Fate::Dropped,
            "routed" => Fate::Routed,
            "fired" => Fate::Fired,
            "silent" => Fate::Silent,
            other => unreachable!("{other} is no fate"),
        };
        let by = inner.pick(Rule::by_name).map(|by| self.qname(&parts(&by).need()));
        let to = inner.pick(Rule::to_name).map(|to| self.qname(&parts(&to).need()));
        let body = inner
            .next()
            .map_or_else(Vec::new, |body| parts(&body).map(|expr| self.expr(&expr)).collect());
        Expectation::Fate { fate, by, to, body }
    }
}
