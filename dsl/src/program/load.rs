//! Reading an entry file and all it uses and includes.

use std::{
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use super::{LockFile, Reader};
use crate::{
    diagnostic::{Code, Diagnostic},
    span::{FileId, Sources, Span},
    syntax::{
        ast::{self, Item},
        parse_file,
    },
};

/// Files of one program. Far more than anybody orders by hand; keeps a program that generates files from loading for ever.
const FILES_MAX: usize = 1000;

/// How deep files may include and use each other.
const DEPTH_MAX: usize = 64;

/// Why a file is part of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It is what was asked for.
    Entry,
    /// Its rules run where it is included.
    Included,
    /// Its names are used.
    Used,
}

/// A declaration that names another file.
#[derive(Debug, Clone)]
pub struct Link {
    /// The file, if it could be read.
    pub unit: Option<usize>,
    /// The declaration.
    pub at: Span,
}

/// One file of a program.
#[derive(Debug)]
pub struct Unit {
    /// Where it is.
    pub path: PathBuf,
    /// Its tree.
    pub ast: ast::File,
    /// Why it is here.
    pub role: Role,
    /// One link an item; only of `use` and `include`.
    pub links: Vec<Option<Link>>,
}

/// All files of a program.
#[derive(Debug)]
pub struct Loaded {
    /// The texts that diagnostics point into.
    pub sources: Sources,
    /// The files; the entry is the first.
    pub units: Vec<Unit>,
    /// What is wrong with the texts and with how they refer to each other.
    pub diagnostics: Vec<Diagnostic>,
    /// Paths and texts, in the order in which they were read.
    pub texts: Vec<(PathBuf, String)>,
    /// The columns of the sinks' tables, where somebody pulled them.
    pub lock: Option<Arc<LockFile>>,
}

/// Loads an entry file and everything it names.
pub(super) fn load(entry: &Path, reader: &dyn Reader) -> Loaded {
    let loaded = Loaded {
        sources: Sources::new(),
        units: Vec::new(),
        diagnostics: Vec::new(),
        texts: Vec::new(),
        lock: None,
    };
    let mut loader = Loader { reader, loaded, open: Vec::new(), links_at: Vec::new() };
    if let Err(why) = loader.file(&normal(entry), Role::Entry, None) {
        let file = loader.loaded.sources.add(entry.to_string_lossy(), "");
        let message = format!("cannot read `{}`: {why}", entry.display());
        loader.loaded.diagnostics.push(Diagnostic::new(Code::E109, Span::new(file, 0, 0), message));
    }
    loader.loaded
}

/// The path of a file that another one names.
pub(crate) fn beside(file: &Path, named: &str) -> PathBuf {
    normal(&file.parent().unwrap_or(Path::new("")).join(named))
}

/// The path without `.` and, where that is plain, without `..`, so that one file has one path.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(out.components().next_back(), Some(Component::Normal(_))) =>
            {
                out.pop();
            }
            Component::ParentDir
            | Component::Normal(_)
            | Component::RootDir
            | Component::Prefix(_) => out.push(part),
        }
    }
    out
}

struct Loader<'r> {
    reader: &'r dyn Reader,
    loaded: Loaded,
    /// Files whose items are being followed right now: meeting one again is a circle.
    open: Vec<usize>,
    /// Where each file was first named, `None` for the entry.
    links_at: Vec<Option<Span>>,
}

impl Loader<'_> {
    fn file(&mut self, path: &Path, role: Role, link: Option<Span>) -> Result<usize, String> {
        let text = self.reader.read(path)?;
        let file: FileId = self.loaded.sources.add(path.to_string_lossy(), text.as_str());
        let (ast, diagnostics) = parse_file(file, &text);
        self.loaded.diagnostics.extend(diagnostics);
        self.loaded.texts.push((path.to_owned(), text));
        let unit = self.loaded.units.len();
        let links = vec![None; ast.items.len()];
        self.loaded.units.push(Unit { path: path.to_owned(), ast, role, links });
        self.links_at.push(link);
        self.open.push(unit);
        for item in 0..self.loaded.units[unit].ast.items.len() {
            self.item(unit, item);
        }
        self.open.pop();
        Ok(unit)
    }

    fn item(&mut self, unit: usize, item: usize) {
        let (named, at, role) = match &self.loaded.units[unit].ast.items[item] {
            Item::Use(it) => (it.path.clone(), it.span, Role::Used),
            Item::Include(it) => (it.path.clone(), it.span, Role::Included),
            other => {
                let (what, span) = match other {
                    Item::Rule(it) => ("a rule", it.name.span),
                    Item::Group(it) => ("a group", it.name.span),
                    Item::Window(it) => ("a window", it.name.span),
                    Item::Alert(it) => ("an alert", it.name.span),
                    Item::DefaultRoute(it) => ("`default route to`", it.span),
                    Item::Use(_)
                    | Item::Include(_)
                    | Item::Const(_)
                    | Item::Enum(_)
                    | Item::Type(_)
                    | Item::Source(_)
                    | Item::Lookup(_)
                    | Item::Sink(_)
                    | Item::Fn(_)
                    | Item::Test(_)
                    | Item::Error(_) => return,
                };
                self.place(unit, what, span, matches!(other, Item::DefaultRoute(_)));
                return;
            }
        };
        if role == Role::Included && self.loaded.units[unit].role == Role::Used {
            self.place(unit, "an `include`", at, false);
        }
        let target = self.follow(unit, &named, role);
        self.loaded.units[unit].links[item] = Some(Link { unit: target, at });
    }

    /// Reports what may not stand in a file of this role.
    fn place(&mut self, unit: usize, what: &str, at: Span, entry_only: bool) {
        let role = self.loaded.units[unit].role;
        let diagnostic = match role {
            Role::Entry => return,
            Role::Included if !entry_only => return,
            Role::Included => {
                Diagnostic::new(Code::E109, at, format!("{what} stands in an included file"))
                    .label("only the entry file says where the rest goes")
            }
            Role::Used => Diagnostic::new(Code::E109, at, format!("{what} stands in a used file"))
                .label("a used file holds names, no rules")
                .advise("include the file instead of using it, or move the names to a file of their own"),
        };
        let diagnostic = match self.links_at[unit] {
            Some(link) => diagnostic.related(link, "named here"),
            None => diagnostic,
        };
        self.loaded.diagnostics.push(diagnostic);
    }

    fn follow(&mut self, from: usize, named: &ast::Text, role: Role) -> Option<usize> {
        let path = beside(&self.loaded.units[from].path, &named.value);
        let verb = if role == Role::Used { "uses" } else { "includes" };
        if let Some(known) = self.loaded.units.iter().position(|unit| unit.path == path) {
            return self.again(from, known, named, role, verb);
        }
        if self.loaded.units.len() >= FILES_MAX || self.open.len() >= DEPTH_MAX {
            let message = format!("a program has at most {FILES_MAX} files, {DEPTH_MAX} deep");
            self.loaded.diagnostics.push(Diagnostic::new(Code::E106, named.span, message));
            return None;
        }
        match self.file(&path, role, Some(named.span)) {
            Ok(unit) => Some(unit),
            Err(why) => {
                let message = format!("cannot read `{}`: {why}", path.display());
                self.loaded.diagnostics.push(
                    Diagnostic::new(Code::E109, named.span, message)
                        .label("paths are relative to this file"),
                );
                None
            }
        }
    }

    /// A file that is part of the program already is named once more.
    fn again(
        &mut self,
        from: usize,
        known: usize,
        named: &ast::Text,
        role: Role,
        verb: &str,
    ) -> Option<usize> {
        let path = self.loaded.units[known].path.display().to_string();
        if self.open.contains(&known) {
            let message = if known == from {
                format!("`{path}` {verb} itself")
            } else {
                format!("`{path}` {verb} itself by way of other files")
            };
            let mut diagnostic =
                Diagnostic::new(Code::E104, named.span, message).label("closes the circle");
            let start = self.open.iter().position(|unit| *unit == known).unwrap_or(0);
            for unit in self.open.iter().skip(start + 1) {
                if let Some(link) = self.links_at[*unit] {
                    diagnostic = diagnostic.related(link, "by way of this");
                }
            }
            self.loaded.diagnostics.push(diagnostic);
            return None;
        }
        let was = self.loaded.units[known].role;
        let message = match (was, role) {
            (Role::Used, Role::Used) => return Some(known),
            (Role::Included, Role::Included) => format!("`{path}` is included twice"),
            (Role::Entry | Role::Included, Role::Used)
            | (Role::Used | Role::Entry, Role::Included | Role::Entry)
            | (Role::Included, Role::Entry) => {
                format!("`{path}` cannot be both used and included")
            }
        };
        let mut diagnostic = Diagnostic::new(Code::E109, named.span, message);
        if let Some(link) = self.links_at[known] {
            diagnostic = diagnostic.related(link, "named here first");
        }
        self.loaded.diagnostics.push(diagnostic);
        None
    }
}
