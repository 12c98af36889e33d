//! Declarations as text.

use super::{
    Brackets, Printer,
    doc::{Doc, concat, group, text},
};
use crate::{
    span::Span,
    syntax::ast::{
        Attr, AttrArgs, Block, Const, Enum, Expr, FnDecl, Group, GroupMode, Ident, Item,
        LookupDecl, On, Rule, SinkDecl, Type, Window,
    },
};

impl Printer<'_> {
    pub(super) fn item(&mut self, item: &Item) -> Doc {
        match item {
            Item::Use(item) => {
                let path = self.copy(item.path.span);
                let alias = item.alias.as_ref();
                let alias = alias.map_or_else(String::new, |alias| format!(" as {}", alias.name));
                concat([text("use "), path, text(alias)])
            }
            Item::Include(item) => concat([text("include "), self.copy(item.path.span)]),
            Item::DefaultRoute(item) => {
                concat([text("default route to "), self.targets(&item.targets)])
            }
            Item::Const(item) => self.constant(item),
            Item::Enum(item) => self.enumeration(item),
            Item::Type(item) => {
                concat([text(format!("type {} = ", item.name.name)), self.ty(&item.ty)])
            }
            Item::Source(item) => {
                let attrs = self.attrs(&item.attrs);
                let ty = self.declared(" : ", item.ty.as_ref());
                concat([attrs, text(format!("source {}", item.name.name)), ty])
            }
            Item::Lookup(item) => self.lookup(item),
            Item::Sink(item) => self.sink(item),
            Item::Fn(item) => self.function(item),
            Item::Rule(rule) => self.rule(rule),
            Item::Group(group) => self.group(group),
            Item::Window(window) => self.window("window", window),
            Item::Alert(window) => self.window("alert", window),
            Item::Test(test) => self.test(test),
            // A file with errors is not formatted.
            Item::Error(span) => self.copy(*span),
        }
    }

    fn constant(&mut self, item: &Const) -> Doc {
        let ty = self.declared(": ", item.ty.as_ref());
        let head = concat([text(format!("const {}", item.name.name)), ty, text(" =")]);
        self.value(head, &item.value)
    }

    fn enumeration(&mut self, item: &Enum) -> Doc {
        let ordered = if item.ordered { " ordered" } else { "" };
        let mut span = item.span;
        let until = item.members.first().map_or(span.end, |member| member.span.start);
        let head = Span { end: until, ..span };
        span.start += head.of(self.text).rfind('{').unwrap_or_default() as u32;
        let brackets = Brackets { open: "{", close: "}", span, pad: true, comma: true };
        let members = self.elements(
            brackets,
            &item.members,
            |member| member.span,
            |_, member| text(member.name.as_str()),
        );
        concat([text(format!("enum {}{ordered} ", item.name.name)), members])
    }

    fn declared(&mut self, before: &'static str, ty: Option<&Type>) -> Doc {
        ty.map_or_else(|| text(""), |ty| concat([text(before), self.ty(ty)]))
    }

    fn lookup(&mut self, item: &LookupDecl) -> Doc {
        let attrs = self.attrs(&item.attrs);
        let span = Span { start: item.name.span.end, end: item.result.span.start, ..item.span };
        let keys = self.parens(span, &item.keys, |ty| ty.span, Self::ty);
        let name = text(format!("lookup {}", item.name.name));
        concat([attrs, name, keys, text(" -> "), self.ty(&item.result)])
    }

    fn sink(&mut self, item: &SinkDecl) -> Doc {
        let attrs = self.attrs(&item.attrs);
        let name = text(format!("sink {} : ", item.name.name));
        let mut docs = vec![attrs, name, self.ty(&item.ty)];
        if !item.with.is_empty() {
            docs.push(text(" with "));
            let span = Span { start: item.ty.span.end, ..item.span };
            docs.push(self.parens(span, &item.with, |param| param.span, Self::param));
        }
        concat(docs)
    }

    fn function(&mut self, item: &FnDecl) -> Doc {
        let end = item.result.as_ref().map_or(item.body.span.start, |ty| ty.span.start);
        let span = Span { start: item.name.span.end, end, ..item.span };
        let params = self.parens(span, &item.params, |param| param.span, Self::param);
        let result = self.declared(" -> ", item.result.as_ref());
        let name = text(format!("fn {}", item.name.name));
        self.value(concat([name, params, result, text(" =")]), &item.body)
    }

    /// Prints things in parentheses that lie somewhere in a span, the last of their kind there.
    fn parens<T>(
        &mut self,
        span: Span,
        things: &[T],
        of: impl Fn(&T) -> Span,
        print: impl Fn(&mut Self, &T) -> Doc,
    ) -> Doc {
        let written = span.of(self.text);
        let first = things.first().map_or(span.end, |thing| of(thing).start);
        let head = Span { end: first, ..span }.of(self.text);
        let start = span.start + head.rfind('(').unwrap_or_default() as u32;
        let end = span.start + written.rfind(')').map_or(written.len(), |at| at + 1) as u32;
        let span = Span { start, end: end.max(start), ..span };
        let brackets = Brackets { open: "(", close: ")", span, pad: false, comma: true };
        self.elements(brackets, things, of, print)
    }

    /// Prints attributes on a line before what they belong to.
    fn attrs(&mut self, attrs: &[Attr]) -> Doc {
        let Some(last) = attrs.last() else { return text("") };
        let mut docs = Vec::new();
        for (idx, attr) in attrs.iter().enumerate() {
            if idx != 0 {
                docs.push(Doc::Line);
            }
            for comment in self.comments.before(attr.span.range().start) {
                docs.extend([Doc::Comment(comment.text), Doc::HardLine]);
            }
            docs.push(self.attr(attr));
        }
        let end = last.span.range().end;
        if let Some(comment) = self.comments.beside(self.text, end) {
            docs.push(Doc::Trailing(comment.text));
        }
        concat([group(docs), Doc::HardLine])
    }

    fn attr(&mut self, attr: &Attr) -> Doc {
        let name = text(format!("@{}", attr.name.name));
        let args = match &attr.args {
            AttrArgs::None => return name,
            AttrArgs::Ratio(ratio) => concat([text("("), self.ratio(ratio), text(")")]),
            AttrArgs::List(args) => {
                self.args(args, Span { start: attr.name.span.end, ..attr.span })
            }
        };
        concat([name, args])
    }

    pub(super) fn on(on: &On) -> String {
        match on {
            On::Any(_) => " on any".to_owned(),
            On::Source(source) => format!(" on {}", source.written()),
        }
    }

    /// Prints what stands before the brace of a rule, a group, a window or an alert, and the brace;
    /// `end` is where the text before the condition ends.
    fn head(&mut self, before: String, end: u32, when: Option<&Expr>) -> Doc {
        let mut docs = vec![text(before)];
        let beside = self.comments.beside(self.text, end as usize);
        docs.extend(beside.map(|comment| Doc::Trailing(comment.text)));
        let Some(when) = when else {
            docs.extend([Doc::Line, text("{")]);
            return group(docs);
        };
        let mut condition = vec![Doc::Line];
        for comment in self.comments.before(when.span.range().start) {
            condition.extend([Doc::Comment(comment.text), Doc::HardLine]);
        }
        condition.extend([text("when "), self.expr(when)]);
        let beside = self.comments.beside(self.text, when.span.range().end);
        condition.extend(beside.map(|comment| Doc::Trailing(comment.text)));
        docs.extend([concat(condition).indent(), Doc::Line, text("{")]);
        group(docs)
    }

    /// Prints `on …`; returns where it ends in the text.
    fn on_part(name: &Ident, on: Option<&On>) -> (String, u32) {
        match on {
            None => (String::new(), name.span.end),
            Some(On::Any(span)) => (" on any".to_owned(), span.end),
            Some(On::Source(source)) => (format!(" on {}", source.written()), source.span.end),
        }
    }

    fn rule(&mut self, rule: &Rule) -> Doc {
        let attrs = self.attrs(&rule.attrs);
        let (on, end) = Self::on_part(&rule.name, rule.on.as_ref());
        let head = self.head(format!("rule {}{on}", rule.name.name), end, rule.when.as_ref());
        concat([attrs, head, self.inside(&rule.body)])
    }

    /// Prints the statements of a block whose brace is printed, and the closing one.
    fn inside(&mut self, block: &Block) -> Doc {
        self.block_inside(block.span, &block.stmts, |stmt| stmt.span, Self::stmt)
    }

    fn group(&mut self, item: &Group) -> Doc {
        let attrs = self.attrs(&item.attrs);
        let mode = match item.mode {
            GroupMode::First => " first",
            GroupMode::All => "",
        };
        let end = self.mode_end(item.name.span.end);
        let head = self.head(format!("group {}{mode}", item.name.name), end, item.when.as_ref());
        let before = item.when.as_ref().map_or(item.name.span.end, |when| when.span.end);
        let span = self.braces(item.span, before, item.rules.first().map(|rule| rule.span));
        let body = self.block_inside(span, &item.rules, |rule| rule.span, Self::rule);
        concat([attrs, head, body])
    }

    /// Finds the end of `first` or `all` behind a group's name.
    fn mode_end(&self, name_end: u32) -> u32 {
        let rest = &self.text[name_end as usize..];
        let mode = rest.trim_start();
        let word = ["first", "all"].into_iter().find(|word| mode.starts_with(word));
        word.map_or(name_end, |word| name_end + (rest.len() - mode.len() + word.len()) as u32)
    }

    fn window(&mut self, word: &str, item: &Window) -> Doc {
        let attrs = self.attrs(&item.attrs);
        let (on, end) = Self::on_part(&item.name, item.on.as_ref());
        let head = self.head(format!("{word} {}{on}", item.name.name), end, item.when.as_ref());
        let before = item.when.as_ref().map_or(end, |when| when.span.end);
        let span = self.braces(item.span, before, item.clauses.first().map(|clause| clause.span));
        let body = self.block_inside(span, &item.clauses, |clause| clause.span, Self::clause);
        concat([attrs, head, body])
    }

    /// Finds the braces at the end of something: the opening one is the last before what is inside.
    pub(super) fn braces(&self, whole: Span, before: u32, first: Option<Span>) -> Span {
        let until = first.map_or(whole.end, |first| first.start);
        let head = Span { start: before, end: until, ..whole };
        let brace = match first {
            Some(_) => head.of(self.text).rfind('{'),
            None => head.of(self.text).find('{'),
        };
        Span { start: before + brace.unwrap_or_default() as u32, ..whole }
    }
}
