//! From an entry file to a program: what it uses and includes is loaded, checked and named by a hash.
//!
//! Invariant: no IO. Every text comes in through a [`Reader`].

mod load;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

pub(crate) use load::beside;
pub use load::{Link, Loaded, Role, Unit};

use crate::{
    check::{self, DIAGNOSTICS_MAX, Notes},
    diagnostic::{Code, Diagnostic, Severity, has_errors},
    plan::Plan,
    schema::{FILE, Lock},
    span::{FileId, Sources, Span},
    syntax::{ast::Item, parse_file},
    test_block::Test,
};

/// Gives texts by path. The command line reads a file system, tests read a map.
pub trait Reader {
    /// The text of that file, or what a person should read about why not.
    fn read(&self, path: &Path) -> Result<String, String>;

    /// The lock file of the tables, with its path. Whoever has one usually answers [`lock_beside`].
    fn lock(&self, _entry: &Path) -> Option<(PathBuf, String)> {
        None
    }

    /// The secret of that name, or what a person should read about why there is none.
    fn secret(&self, name: &str) -> Result<String, String> {
        Err(format!("nobody gives secrets here, `{name}` neither"))
    }
}

/// The lock file in the entry's folder or in the one above.
pub fn lock_beside(reader: &dyn Reader, entry: &Path) -> Option<(PathBuf, String)> {
    [FILE.to_owned(), format!("../{FILE}")].into_iter().find_map(|name| {
        let path = beside(entry, &name);
        reader.read(&path).ok().map(|text| (path, text))
    })
}

/// What a program is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// To run: what only tests read stays out of the plan, and every event must have a fate.
    Run,
    /// To be checked or tested: tests come with it, and a file that another one includes may stand alone.
    Test,
}

/// What compiling may know of the world; without it the checks that need it stay quiet.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The time, nanoseconds since 1970: says which rules have expired.
    pub now: Option<i64>,
    /// What the configuration says of sinks, by name.
    pub sinks: BTreeMap<String, SinkSettings>,
}

/// What the configuration says of a sink's columns.
#[derive(Debug, Clone, Default)]
pub struct SinkSettings {
    /// The table, where it is not the one that the rules name.
    pub table: Option<String>,
    /// Columns that take another path than that of their name.
    pub columns: Vec<(String, String)>,
    /// The column that takes what no other takes.
    pub rest: Option<String>,
    /// Whether an absent value for a column that cannot be NULL is a mistake.
    pub absent_is_error: bool,
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
    /// The columns of the sinks' tables that it was checked against.
    pub lock: Option<Arc<LockFile>>,
    /// Every text that was read, for drawing what turns out when it meets the world.
    pub sources: Sources,
}

/// A lock file as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Its text.
    pub text: Arc<str>,
    /// What it says.
    pub lock: Lock,
}

/// Compiles the program that a file is the entry of.
pub fn compile(entry: &Path, reader: &dyn Reader, mode: Mode) -> Compilation {
    compile_with(entry, reader, mode, &Options::default())
}

/// Compiles the program that a file is the entry of, knowing more of the world.
pub fn compile_with(
    entry: &Path,
    reader: &dyn Reader,
    mode: Mode,
    options: &Options,
) -> Compilation {
    let mut loaded = load::load(entry, reader);
    lock(entry, reader, &mut loaded);
    let checked = check::check(&loaded, reader, mode, options, false);
    let said = std::mem::take(&mut loaded.diagnostics);
    let diagnostics = in_order(said, checked.diagnostics, checked.more);
    let program = (!has_errors(&diagnostics)).then(|| {
        let mut texts = loaded.texts;
        texts.extend(checked.lists);
        texts.dedup_by(|a, b| a.0 == b.0);
        let sources = loaded.sources.clone();
        bundle(entry, checked.plan, checked.tests, &texts, loaded.lock, sources)
    });
    Compilation { sources: loaded.sources, diagnostics, program }
}

/// Reads the lock file.
fn lock(entry: &Path, reader: &dyn Reader, loaded: &mut Loaded) {
    let Some((path, text)) = reader.lock(entry) else { return };
    let file = loaded.sources.add(path.to_string_lossy(), text.as_str());
    match Lock::parse(&text) {
        Ok(lock) => {
            loaded.lock = Some(Arc::new(LockFile { path, text: text.into(), lock }));
        }
        Err(why) => loaded.diagnostics.push(
            Diagnostic::new(
                Code::E109,
                Span::new(file, 0, 0),
                format!("this is no lock file: {why}"),
            )
            .advise("`logmon-engine schema pull` writes it anew"),
        ),
    }
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
    analyze_with(entry, reader, &Options::default())
}

/// Compiles the program that a file is the entry of, knowing more of the world, and keeps what was learned on the way.
pub fn analyze_with(entry: &Path, reader: &dyn Reader, options: &Options) -> Analysis {
    let mut loaded = load::load(entry, reader);
    lock(entry, reader, &mut loaded);
    let checked = check::check(&loaded, reader, Mode::Test, options, true);
    let said = std::mem::take(&mut loaded.diagnostics);
    let check::Output { plan, tests, notes, diagnostics, more, .. } = checked;
    Analysis { loaded, diagnostics: in_order(said, diagnostics, more), plan, tests, notes }
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

/// What the parser and the checker say, in the order of the text, and how many more there are than are kept.
fn in_order(
    mut diagnostics: Vec<Diagnostic>,
    checked: Vec<Diagnostic>,
    mut more: usize,
) -> Vec<Diagnostic> {
    diagnostics.extend(checked);
    if has_errors(&diagnostics) {
        // What is wrong may be what would have used it.
        diagnostics.retain(|diagnostic| diagnostic.code != Code::W110);
    }
    diagnostics.sort_by_key(|diagnostic| (diagnostic.at.file, diagnostic.at.start));
    diagnostics.dedup();
    for severity in [Severity::Error, Severity::Warning] {
        let mut kept = 0;
        diagnostics.retain(|diagnostic| {
            kept += usize::from(diagnostic.severity == severity);
            diagnostic.severity != severity || kept <= DIAGNOSTICS_MAX
        });
        more += usize::saturating_sub(kept, DIAGNOSTICS_MAX);
    }
    if more > 0
        && let Some(last) = diagnostics.last()
    {
        let message = format!("and {more} more, which are not shown");
        let mut rest = Diagnostic::new(Code::E106, last.at.behind(), message);
        if !has_errors(&diagnostics) {
            rest.severity = Severity::Warning;
        }
        diagnostics.push(rest);
    }
    diagnostics
}

/// Names a program by its texts. Paths count as seen from the entry, so that a moved folder keeps its name.
fn bundle(
    entry: &Path,
    plan: Plan,
    tests: Vec<Test>,
    texts: &[(PathBuf, String)],
    lock: Option<Arc<LockFile>>,
    sources: Sources,
) -> Program {
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
    Program { plan, tests, files, hash: all.finalize(), lock, sources }
}
