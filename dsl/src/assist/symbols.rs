//! The outline of a file.

use super::Assist;
use crate::{
    span::{FileId, Span},
    syntax::ast::{self, Item},
};

/// A declaration in an outline.
#[derive(Debug, Clone, PartialEq)]
pub struct Symbol {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: SymbolKind,
    /// The whole declaration.
    pub at: Span,
    /// Its name.
    pub name_at: Span,
    /// What lies inside.
    pub inside: Vec<Symbol>,
}

/// What an outline shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SymbolKind {
    /// `const`
    Const,
    /// `enum`
    Enum,
    /// `type`
    Type,
    /// `source`
    Source,
    /// `sink`
    Sink,
    /// `lookup`
    Lookup,
    /// `fn`
    Fn,
    /// `rule`
    Rule,
    /// `group`
    Group,
    /// `window`
    Window,
    /// `alert`
    Alert,
    /// `test`
    Test,
}

impl Assist<'_> {
    /// The declarations of a file, in order.
    pub fn symbols(&self, file: FileId) -> Vec<Symbol> {
        let Some(unit) = self.unit(file) else { return Vec::new() };
        self.analysis.loaded.units[unit].ast.items.iter().filter_map(symbol).collect()
    }
}

fn symbol(item: &Item) -> Option<Symbol> {
    let (kind, name) = match item {
        Item::Const(it) => (SymbolKind::Const, &it.name),
        Item::Enum(it) => (SymbolKind::Enum, &it.name),
        Item::Type(it) => (SymbolKind::Type, &it.name),
        Item::Source(it) => (SymbolKind::Source, &it.name),
        Item::Lookup(it) => (SymbolKind::Lookup, &it.name),
        Item::Sink(it) => (SymbolKind::Sink, &it.name),
        Item::Fn(it) => (SymbolKind::Fn, &it.name),
        Item::Rule(it) => (SymbolKind::Rule, &it.name),
        Item::Group(it) => (SymbolKind::Group, &it.name),
        Item::Window(it) => (SymbolKind::Window, &it.name),
        Item::Alert(it) => (SymbolKind::Alert, &it.name),
        Item::Test(it) => {
            return Some(Symbol {
                name: it.name.value.clone(),
                kind: SymbolKind::Test,
                at: it.span,
                name_at: it.name.span,
                inside: Vec::new(),
            });
        }
        Item::Use(_) | Item::Include(_) | Item::DefaultRoute(_) | Item::Error(_) => return None,
    };
    let inside = match item {
        Item::Group(group) => {
            group.rules.iter().map(|rule| plain(&rule.name, rule.span, SymbolKind::Rule)).collect()
        }
        _ => Vec::new(),
    };
    Some(Symbol { inside, ..plain(name, item.span(), kind) })
}

fn plain(name: &ast::Ident, at: Span, kind: SymbolKind) -> Symbol {
    Symbol { name: name.name.clone(), kind, at, name_at: name.span, inside: Vec::new() }
}
