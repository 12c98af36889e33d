//! The house rules that a compiler cannot check.
//!
//! A rule lives here when it is true of every file. The message says what to do about it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Folders that hold Rust files.
const ROOMS: [&str; 6] = ["grammar", "dsl", "engine", "services", "examples", "benches"];

/// The language's modules: each with the modules that it may import. What is not listed here is not allowed.
const DSL: &[(&str, &[&str])] = &[
    ("span", &[]),
    ("types", &[]),
    ("diagnostic", &["span"]),
    ("column", &["types"]),
    ("schema", &["column", "types"]),
    ("render", &["diagnostic", "span"]),
    ("state", &["column", "plan"]),
    ("syntax", &["diagnostic", "span"]),
    // One machine in three parts: what runs, what computes it, what a call may see.
    ("plan", &["column", "functions", "span", "types"]),
    ("functions", &["column", "eval", "plan", "types"]),
    ("eval", &["column", "functions", "plan", "state", "types"]),
    (
        "test_block",
        &["column", "diagnostic", "eval", "functions", "plan", "span", "state", "types"],
    ),
    ("sql", &["column", "diagnostic", "functions", "plan", "span", "types"]),
    ("search", &["diagnostic", "plan", "program", "render", "span", "syntax"]),
    ("cost", &["diagnostic", "plan"]),
    ("explain", &["check", "column", "functions", "plan", "types"]),
    (
        "assist",
        &["catalog", "check", "column", "functions", "plan", "program", "span", "syntax", "types"],
    ),
    ("accept", &["program", "span", "syntax", "test_block"]),
    (
        "coverage",
        &[
            "column",
            "diagnostic",
            "lints",
            "plan",
            "program",
            "span",
            "syntax",
            "test_block",
            "types",
        ],
    ),
    ("import", &["functions", "span", "syntax"]),
    ("infer", &["column", "types"]),
    ("trace", &["column", "eval", "plan", "program", "span", "syntax"]),
    ("catalog", &["diagnostic", "program", "span", "syntax"]),
    (
        "check",
        &[
            "catalog",
            "column",
            "diagnostic",
            "functions",
            "lints",
            "plan",
            "program",
            "schema",
            "span",
            "syntax",
            "test_block",
            "types",
        ],
    ),
    (
        "lints",
        &[
            "catalog",
            "check",
            "column",
            "diagnostic",
            "functions",
            "plan",
            "program",
            "span",
            "syntax",
            "types",
        ],
    ),
    ("program", &["check", "diagnostic", "plan", "schema", "span", "syntax", "test_block"]),
];

/// The engine's modules, likewise. Sources, decoders, lookups and sinks do not know each other; only the pipeline knows them all.
const ENGINE: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("error", &[]),
    ("config", &["error"]),
    ("metrics", &[]),
    ("delivery", &[]),
    ("decode", &[]),
    ("tls", &["error"]),
    ("source", &["config", "delivery"]),
    ("lookup", &["clock", "config", "error", "metrics", "tls"]),
    ("sink", &["config", "error", "tls"]),
    ("http", &["clock", "error", "lookup", "metrics"]),
    (
        "pipeline",
        &[
            "clock", "config", "decode", "delivery", "error", "http", "lookup", "metrics", "sink",
            "source",
        ],
    ),
    ("repair", &["clock", "config", "delivery", "http", "metrics", "pipeline", "sink", "source"]),
    ("lsp", &["error"]),
    (
        "cli",
        &[
            "clock", "config", "decode", "error", "http", "lookup", "lsp", "metrics", "pipeline",
            "repair", "sink", "source", "delivery",
        ],
    ),
];

/// The only files with `unsafe` in them.
const UNSAFE: [&str; 2] = ["engine/src/decode/scan.rs", "engine/src/source/kafka/queue.rs"];

/// A file that is longer is split by what its parts do.
const MAX_LINES: usize = 600;

#[test]
fn files_open_with_a_header() {
    let bare: Vec<PathBuf> =
        sources().into_iter().filter(|file| !read(file).starts_with("//!")).collect();
    assert!(bare.is_empty(), "say in a `//!` line what these files are for: {bare:#?}");
}

#[test]
fn files_stay_readable() {
    let long: Vec<PathBuf> =
        sources().into_iter().filter(|file| MAX_LINES < read(file).lines().count()).collect();
    assert!(long.is_empty(), "split these files by what they do: {long:#?}");
}

#[test]
fn imports_go_where_the_picture_says() {
    check_imports("dsl", DSL);
    check_imports("engine", ENGINE);
}

#[test]
fn the_map_draws_the_import_tables() {
    let map = read(Path::new("ARCHITECTURE.md"));
    let list = |may: &[&str]| match may {
        [] => "nothing".to_owned(),
        may => may.iter().map(|module| format!("`{module}`")).collect::<Vec<_>>().join(", "),
    };
    let rows =
        DSL.iter().chain(ENGINE).map(|(module, may)| format!("| `{module}` | {} |", list(may)));
    let missing: Vec<String> = rows.filter(|row| !map.lines().any(|line| line == row)).collect();
    assert!(
        missing.is_empty(),
        "put these rows into \"Who may import whom\" of ARCHITECTURE.md: {missing:#?}"
    );
}

#[test]
fn unsafe_stays_in_its_files() {
    let found: BTreeSet<String> = sources()
        .into_iter()
        .filter(|file| !file.ends_with("tidy.rs"))
        .filter(|file| {
            read(file).lines().any(|line| {
                code(line)
                    .split(|c: char| !c.is_alphanumeric() && c != '_')
                    .any(|word| word == "unsafe")
            })
        })
        .map(|file| file.display().to_string())
        .collect();
    let allowed: BTreeSet<String> = UNSAFE.iter().map(|&file| file.to_owned()).collect();
    assert_eq!(found, allowed, "`unsafe` belongs into the files listed here and nowhere else");
}

#[test]
fn the_map_shows_every_file() {
    let map = read(Path::new("ARCHITECTURE.md"));
    let shown: BTreeSet<&str> = map.split('`').filter(|word| is_source(Path::new(word))).collect();
    let found: Vec<PathBuf> = sources();
    let found: BTreeSet<&str> = found.iter().filter_map(|file| file.to_str()).collect();
    let missing: Vec<_> = found.difference(&shown).collect();
    let gone: Vec<_> = shown.difference(&found).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "ARCHITECTURE.md lacks {missing:#?} and names {gone:#?}, which do not exist"
    );
}

#[test]
fn every_dependency_says_what_it_is_for() {
    let manifest = read(Path::new("Cargo.toml"));
    let (_, after) = manifest
        .split_once("[workspace.dependencies]")
        .expect("the root manifest lists dependencies");
    let table = after.split("\n[").next().unwrap_or(after);
    let silent: Vec<&str> = table
        .lines()
        .filter(|line| line.contains(" = ") && !line.starts_with("logmon-") && !line.contains('#'))
        .collect();
    assert!(silent.is_empty(), "say behind a `#` why these are needed: {silent:#?}");
}

#[track_caller]
fn check_imports(krate: &str, allowed: &[(&str, &[&str])]) {
    let root = PathBuf::from(krate).join("src");
    let mut wrong = Vec::new();
    for file in sources() {
        let Ok(inner) = file.strip_prefix(&root) else { continue };
        let module = first_word(&inner.with_extension("").to_string_lossy());
        if module == "lib" || module == "main" {
            continue;
        }
        let Some((_, may)) = allowed.iter().find(|(name, _)| *name == module) else {
            panic!("say in tidy.rs what `{module}` may import");
        };
        for import in crate_imports(&read(&file)) {
            if import != module && !may.contains(&import.as_str()) {
                wrong.push(format!(
                    "{} imports `{import}`, which `{module}` may not know",
                    file.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The first path segment after every `crate::` in the code, also inside `use crate::{…}`.
fn crate_imports(text: &str) -> BTreeSet<String> {
    let text: String = text.lines().map(code).collect::<Vec<_>>().join("\n");
    let mut found = BTreeSet::new();
    for after in text.split("crate::").skip(1) {
        match after.strip_prefix('{') {
            None => {
                found.insert(first_word(after));
            }
            Some(group) => {
                let mut depth = 0;
                let mut start = true;
                for (at, c) in group.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        c if c.is_whitespace() => {}
                        _ if start && depth == 0 => {
                            found.insert(first_word(&group[at..]));
                            start = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    found
}

/// A line without its comment.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for room in ROOMS {
        walk(Path::new(room), &mut found);
    }
    found.sort();
    found
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root().join(dir)).expect("a room of the house") {
        let entry = entry.expect("a readable entry");
        let path = dir.join(entry.file_name());
        if entry.path().is_dir() {
            walk(&path, found);
        } else if is_source(&path) {
            found.push(path);
        }
    }
}

fn is_source(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}

fn read(path: &Path) -> String {
    fs::read_to_string(root().join(path)).expect("a text file")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
