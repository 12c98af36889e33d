//! From an entry file to a program: what it uses and includes is loaded, checked and named by a hash.
//!
//! Invariant: no IO. Every text comes in through a [`Reader`].

mod load;

use std::path::{Path, PathBuf};

pub(crate) use load::beside;
pub use load::{Link, Loaded, Role, Unit};

use crate::{
    check::{self, Notes},
    diagnostic::{Code, Diagnostic, has_errors},
    plan::Plan,
    span::{FileId, Sources},
    syntax::{ast::Item, parse_file},
    test_block::Test,
};

/// Gives texts by path. The command line reads a file system, tests read a map.
pub trait Reader {
    /// The text of that file, or what a person should read about why not.
    fn read(&self, path: &Path) -> Result<String, String>;

    /// The time, nanoseconds since 1970: what `@expires` is held against. Without it nothing expires.
    fn now(&self) -> Option<i64> {
        None
    }

    /// The secret of that name, or what a person should read about why there is none.
    fn secret(&self, name: &str) -> Result<String, String> {
        Err(format!("nobody gives secrets here, `{name}` neither"))
    }
}

/// What a program is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// To run: what only tests read stays out of the plan, and every event must have a fate.
    Run,
    /// To be checked or tested: tests come with it, and a file that another one includes may stand alone.
    Test,
}

/// What came of compiling.
#[derive(Debug, Clone)]
pub struct Compilation {
    /// Every text that was read, for drawing diagnostics.
    pub sources: Sources,
    /// Everything that is wrong, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// The program, unless something is an error.
    pub program: Option<Program>,
}

/// A checked program.
#[derive(Debug, Clone)]
pub struct Program {
    /// What runs.
    pub plan: Plan,
    /// Its tests, empty under [`Mode::Run`].
    pub tests: Vec<Test>,
    /// Every file it was made of, lists included, each with its hash.
    pub files: Vec<(PathBuf, blake3::Hash)>,
    /// The hash over all of them: names the bundle.
    pub hash: blake3::Hash,
}

/// Compiles the program that a file is the entry of.
pub fn compile(entry: &Path, reader: &dyn Reader, mode: Mode) -> Compilation {
    let mut loaded = load::load(entry, reader);
    let checked = check::check(&loaded, reader, mode, false);
    let diagnostics = in_order(std::mem::take(&mut loaded.diagnostics), checked.diagnostics);
    let program = (!has_errors(&diagnostics)).then(|| {
        let mut texts = loaded.texts;
        texts.extend(checked.lists);
        texts.dedup_by(|a, b| a.0 == b.0);
        bundle(entry, checked.plan, checked.tests, &texts)
    });
    Compilation { sources: loaded.sources, diagnostics, program }
}

/// Everything that is known of a program, whether it is right or wrong: for editors and for explaining.
#[derive(Debug)]
pub struct Analysis {
    /// Its files as trees, with their texts.
    pub loaded: Loaded,
    /// Everything that is wrong, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// The plan, without what is wrong.
    pub plan: Plan,
    /// The tests, without what is wrong.
    pub tests: Vec<Test>,
    /// What was known at each place.
    pub notes: Notes,
}

/// Compiles the program that a file is the entry of, and keeps what was learned on the way.
pub fn analyze(entry: &Path, reader: &dyn Reader) -> Analysis {
    let mut loaded = load::load(entry, reader);
    let checked = check::check(&loaded, reader, Mode::Test, true);
    let said = std::mem::take(&mut loaded.diagnostics);
    let check::Output { plan, tests, notes, diagnostics, .. } = checked;
    Analysis { loaded, diagnostics: in_order(said, diagnostics), plan, tests, notes }
}

/// The files that a text uses and includes, as paths beside its own.
pub fn links(path: &Path, text: &str) -> Vec<PathBuf> {
    let (file, _) = parse_file(FileId::default(), text);
    let named = file.items.iter().filter_map(|item| match item {
        Item::Use(it) => Some(&it.path.value),
        Item::Include(it) => Some(&it.path.value),
        _ => None,
    });
    named.map(|named| beside(path, named)).collect()
}

/// What the parser and the checker say, in the order of the text.
fn in_order(mut diagnostics: Vec<Diagnostic>, checked: Vec<Diagnostic>) -> Vec<Diagnostic> {
    diagnostics.extend(checked);
    if has_errors(&diagnostics) {
        // What is wrong may be what would have used it.
        diagnostics.retain(|diagnostic| diagnostic.code != Code::W110);
    }
    diagnostics.sort_by_key(|diagnostic| (diagnostic.at.file, diagnostic.at.start));
    diagnostics.dedup();
    diagnostics
}

/// Names a program by its texts. Paths count as seen from the entry, so that a moved folder keeps its name.
fn bundle(entry: &Path, plan: Plan, tests: Vec<Test>, texts: &[(PathBuf, String)]) -> Program {
    let home = entry.parent().unwrap_or(Path::new(""));
    let mut all = blake3::Hasher::new();
    let mut files = Vec::with_capacity(texts.len());
    for (path, text) in texts {
        let seen = path.strip_prefix(home).unwrap_or(path).to_string_lossy();
        all.update(&(seen.len() as u64).to_le_bytes());
        all.update(seen.as_bytes());
        all.update(&(text.len() as u64).to_le_bytes());
        all.update(text.as_bytes());
        files.push((path.clone(), blake3::hash(text.as_bytes())));
    }
    Program { plan, tests, files, hash: all.finalize() }
}
