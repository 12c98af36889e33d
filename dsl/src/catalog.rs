//! What a program can name: its own declarations, those of the files it uses, and the nearest known name to a wrong one.

use std::{cell::Cell, collections::BTreeMap};

use crate::{
    diagnostic::{Code, Diagnostic},
    program::Loaded,
    span::Span,
    syntax::ast::{self, Item},
};

/// A declaration's place in [`Catalog::decls`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeclId(pub usize);

/// Names of one kind do not hide names of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Space {
    /// Constants, functions and lookups: what an expression names.
    Value,
    /// Types.
    Type,
    /// Sources.
    Source,
    /// Sinks.
    Sink,
}

/// What is declared.
#[derive(Debug, Clone, Copy)]
pub enum DeclKind<'a> {
    /// `const`
    Const(&'a ast::Const),
    /// `fn`
    Fn(&'a ast::FnDecl),
    /// `lookup`
    Lookup(&'a ast::LookupDecl),
    /// `type`
    Type(&'a ast::TypeDecl),
    /// `enum`
    Enum(&'a ast::Enum),
    /// `source`
    Source(&'a ast::SourceDecl),
    /// `sink`
    Sink(&'a ast::SinkDecl),
}

impl<'a> DeclKind<'a> {
    fn of(item: &'a Item) -> Option<Self> {
        Some(match item {
            Item::Const(it) => Self::Const(it),
            Item::Fn(it) => Self::Fn(it),
            Item::Lookup(it) => Self::Lookup(it),
            Item::Type(it) => Self::Type(it),
            Item::Enum(it) => Self::Enum(it),
            Item::Source(it) => Self::Source(it),
            Item::Sink(it) => Self::Sink(it),
            Item::Use(_)
            | Item::Include(_)
            | Item::DefaultRoute(_)
            | Item::Rule(_)
            | Item::Group(_)
            | Item::Window(_)
            | Item::Alert(_)
            | Item::Test(_)
            | Item::Error(_) => return None,
        })
    }

    /// The name it declares.
    pub fn name(self) -> &'a ast::Ident {
        match self {
            Self::Const(it) => &it.name,
            Self::Fn(it) => &it.name,
            Self::Lookup(it) => &it.name,
            Self::Type(it) => &it.name,
            Self::Enum(it) => &it.name,
            Self::Source(it) => &it.name,
            Self::Sink(it) => &it.name,
        }
    }

    /// Among which names it stands.
    pub fn space(self) -> Space {
        match self {
            Self::Const(_) | Self::Fn(_) | Self::Lookup(_) => Space::Value,
            Self::Type(_) | Self::Enum(_) => Space::Type,
            Self::Source(_) => Space::Source,
            Self::Sink(_) => Space::Sink,
        }
    }

    /// The word that declares it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Const(_) => "const",
            Self::Fn(_) => "fn",
            Self::Lookup(_) => "lookup",
            Self::Type(_) => "type",
            Self::Enum(_) => "enum",
            Self::Source(_) => "source",
            Self::Sink(_) => "sink",
        }
    }

    /// Its attributes.
    pub fn attrs(self) -> &'a [ast::Attr] {
        match self {
            Self::Lookup(it) => &it.attrs,
            Self::Source(it) => &it.attrs,
            Self::Sink(it) => &it.attrs,
            Self::Const(_) | Self::Fn(_) | Self::Type(_) | Self::Enum(_) => &[],
        }
    }
}

/// One declaration.
#[derive(Debug)]
pub struct Decl<'a> {
    /// What.
    pub kind: DeclKind<'a>,
    /// The file it stands in.
    pub unit: usize,
    /// Whether anything names it.
    pub used: Cell<bool>,
}

/// A `use`.
#[derive(Debug)]
pub struct UseOf<'a> {
    /// The declaration.
    pub decl: &'a ast::Use,
    /// The file with the declaration.
    pub unit: usize,
    /// Whether a name came through it.
    pub used: Cell<bool>,
}

/// Names that one file sees.
#[derive(Debug, Default)]
struct Scope {
    /// Own and bare used names; the number of the `use` for the latter.
    names: BTreeMap<(Space, String), (DeclId, Option<usize>)>,
    /// `use … as x`: the file and the number of the `use`.
    aliases: BTreeMap<String, (usize, usize)>,
}

/// All names of a program.
#[derive(Debug)]
pub struct Catalog<'a> {
    /// Declarations, file by file in the order in which the files were loaded.
    pub decls: Vec<Decl<'a>>,
    /// Every `use`.
    pub uses: Vec<UseOf<'a>>,
    scopes: Vec<Scope>,
}

impl<'a> Catalog<'a> {
    /// Collects the names of all files; the diagnostics are of names declared twice.
    pub fn new(loaded: &'a Loaded) -> (Self, Vec<Diagnostic>) {
        let mut catalog = Self { decls: Vec::new(), uses: Vec::new(), scopes: Vec::new() };
        let mut diagnostics = Vec::new();
        for (unit, file) in loaded.units.iter().enumerate() {
            let mut scope = Scope::default();
            for kind in file.ast.items.iter().filter_map(DeclKind::of) {
                let id = DeclId(catalog.decls.len());
                catalog.decls.push(Decl { kind, unit, used: Cell::new(false) });
                let key = (kind.space(), kind.name().name.clone());
                if let Some((first, _)) = scope.names.get(&key) {
                    let first = catalog.decls[first.0].kind;
                    diagnostics.push(twice(kind.name(), first.name().span));
                } else {
                    scope.names.insert(key, (id, None));
                }
            }
            catalog.scopes.push(scope);
        }
        for (unit, file) in loaded.units.iter().enumerate() {
            for (item, link) in file.ast.items.iter().zip(&file.links) {
                let Item::Use(decl) = item else { continue };
                let number = catalog.uses.len();
                catalog.uses.push(UseOf { decl, unit, used: Cell::new(false) });
                // A file that could not be read is reported already; its names are not known to be wrong.
                let Some(target) = link.as_ref().and_then(|link| link.unit) else { continue };
                catalog.bring_in(unit, target, number, &mut diagnostics);
            }
        }
        (catalog, diagnostics)
    }

    fn bring_in(
        &mut self,
        unit: usize,
        target: usize,
        number: usize,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        let decl = self.uses[number].decl;
        if let Some(alias) = &decl.alias {
            if let Some((_, first)) = self.scopes[unit].aliases.get(&alias.name) {
                diagnostics.push(twice(alias, self.uses[*first].decl.span));
            } else {
                self.scopes[unit].aliases.insert(alias.name.clone(), (target, number));
            }
            return;
        }
        for id in (0..self.decls.len()).map(DeclId).filter(|id| self.decls[id.0].unit == target) {
            let kind = self.decls[id.0].kind;
            let key = (kind.space(), kind.name().name.clone());
            match self.scopes[unit].names.get(&key) {
                Some((known, _)) if *known == id => {}
                Some((known, _)) => {
                    let name = &kind.name().name;
                    let message = format!("`{name}` comes from two places");
                    diagnostics.push(
                        Diagnostic::new(Code::E108, decl.path.span, message)
                            .label("brings one")
                            .related(self.decls[known.0].kind.name().span, "the other")
                            .related(kind.name().span, "this one")
                            .advise("use one of the files `as` a name of its own"),
                    );
                }
                None => {
                    self.scopes[unit].names.insert(key, (id, Some(number)));
                }
            }
        }
    }

    /// Finds what a name means in a file, and notes that it is used.
    pub fn find(&self, unit: usize, space: Space, name: &ast::QName) -> Option<DeclId> {
        let scope = self.scopes.get(unit)?;
        let key = (space, name.name.name.clone());
        let (id, through) = match &name.space {
            None => *scope.names.get(&key)?,
            Some(alias) => {
                let (target, number) = *scope.aliases.get(&alias.name)?;
                self.uses[number].used.set(true);
                // Only the file's own names: what it uses itself is its own affair.
                let (id, through) = *self.scopes[target].names.get(&key)?;
                if through.is_some() {
                    return None;
                }
                (id, Some(number))
            }
        };
        if let Some(number) = through {
            self.uses[number].used.set(true);
        }
        self.decls[id.0].used.set(true);
        Some(id)
    }

    /// The declaration.
    pub fn get(&self, id: DeclId) -> &Decl<'a> {
        &self.decls[id.0]
    }

    /// Whether a file uses another one under that name.
    pub fn has_alias(&self, unit: usize, alias: &str) -> bool {
        self.scopes.get(unit).is_some_and(|scope| scope.aliases.contains_key(alias))
    }

    /// Names of that kind that a file sees, as it would write them.
    pub fn visible(&self, unit: usize, space: Space) -> Vec<String> {
        let Some(scope) = self.scopes.get(unit) else { return Vec::new() };
        let mut names: Vec<_> = scope
            .names
            .keys()
            .filter(|(of, _)| *of == space)
            .map(|(_, name)| name.clone())
            .collect();
        for (alias, (target, _)) in &scope.aliases {
            let theirs = self.scopes[*target].names.iter();
            names.extend(
                theirs
                    .filter(|((of, _), (_, through))| *of == space && through.is_none())
                    .map(|((_, name), _)| format!("{alias}::{name}")),
            );
        }
        names
    }
}

fn twice(name: &ast::Ident, first: Span) -> Diagnostic {
    Diagnostic::new(Code::E108, name.span, format!("`{}` is declared twice", name.name))
        .related(first, "declared here first")
}

/// The known name that was probably meant.
pub fn nearest<S: AsRef<str>>(name: &str, known: impl IntoIterator<Item = S>) -> Option<String> {
    let allowed = (name.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .filter_map(|candidate| {
            let candidate = candidate.as_ref();
            // One letter off in a word of two letters is another word.
            let far = distance(name, candidate);
            let enough = far <= allowed && far * 2 <= candidate.chars().count();
            (enough && candidate != name).then(|| (far, candidate.to_owned()))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many letters must be added, removed, changed or swapped with a neighbor.
fn distance(a: &str, b: &str) -> usize {
    /// Longer words are not worth comparing, and hostile text must not cost time.
    const LETTERS_MAX: usize = 64;
    let a: Vec<char> = a.to_lowercase().chars().take(LETTERS_MAX).collect();
    let b: Vec<char> = b.to_lowercase().chars().take(LETTERS_MAX).collect();
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let change = usize::from(a[i - 1] != b[j - 1]);
            let mut best =
                (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + change);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_a_slip_away() {
        let known = ["namespace", "pod", "labels", "to_upper"];
        assert_eq!(nearest("namespce", known).as_deref(), Some("namespace"));
        assert_eq!(nearest("namesapce", known).as_deref(), Some("namespace"));
        assert_eq!(nearest("pot", known).as_deref(), Some("pod"));
        assert_eq!(nearest("label", known).as_deref(), Some("labels"));
        assert_eq!(nearest("x", known), None);
        assert_eq!(nearest("entirely_else", known), None);
    }
}
