//! `check`: everything that is wrong with a rules file, and the repair of what is surely meant.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use logmon_dsl::{
    cost, coverage,
    diagnostic::{Code, Diagnostic, Resolved, has_errors},
    program::{Compilation, Mode},
    span::FileId,
};

use super::{analysis, compilation, draw, refused, say};
use crate::error::Exit;

/// How often repairs are followed by another look: one repair may bring out the next mistake.
const ROUNDS_MAX: usize = 8;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The entry file, such as rules/prod.rules
    #[arg(required_unless_present = "explain")]
    rules: Option<PathBuf>,
    /// Print the diagnostics as JSON, one array
    #[arg(long)]
    json: bool,
    /// Write the repairs that are certainly meant into the files, then say what is left
    #[arg(long)]
    fix: bool,
    /// Say too which rules no test reaches, and which are shadowed in the events of the tests
    #[arg(long)]
    tests: bool,
    /// Say too which rules take most of the time, as far as it can be told without events
    #[arg(long)]
    costs: bool,
    /// Print the page about a code, such as E304, and check nothing
    #[arg(long, value_name = "CODE", conflicts_with_all = ["fix", "json", "tests"])]
    explain: Option<String>,
}

pub(super) fn check(arguments: &Arguments) -> Exit {
    if let Some(code) = &arguments.explain {
        return page(code);
    }
    let rules = arguments.rules.as_deref().expect("clap asks for one of the two");
    let mut found = compilation(rules, Mode::Test);
    if arguments.fix {
        match repair(rules, found) {
            Ok(after) => found = after,
            Err(exit) => return exit,
        }
    }
    if arguments.tests && found.program.is_some() {
        found.diagnostics.extend(coverage::said_by_tests(&analysis(rules)));
    }
    if arguments.costs
        && let Some(program) = &found.program
    {
        found.diagnostics.extend(cost::expensive(&program.plan));
    }
    if arguments.json {
        let resolved: Vec<Resolved> =
            found.diagnostics.iter().map(|diagnostic| diagnostic.resolve(&found.sources)).collect();
        say(serde_json::to_string_pretty(&resolved).expect("diagnostics are plain data"));
    } else {
        draw(&found.diagnostics, &found.sources);
        if let Some(program) = &found.program {
            let plan = &program.plan;
            eprintln!(
                "{}: {} rules, {} tests, {} files, bundle {}",
                rules.display(),
                plan.rules.len(),
                program.tests.len(),
                program.files.len(),
                &program.hash.to_hex()[..8]
            );
        }
    }
    if has_errors(&found.diagnostics) { refused(rules) } else { Exit::Fine }
}

/// Prints what the manual says of a code.
fn page(name: &str) -> Exit {
    let Some(code) = Code::find(&name.to_ascii_uppercase()) else {
        eprintln!("there is no check `{name}`");
        return Exit::Usage;
    };
    say(code.page().trim_end());
    Exit::Fine
}

/// Applies what is sure, file by file, until nothing more is.
fn repair(entry: &Path, mut found: Compilation) -> Result<Compilation, Exit> {
    let mut n_repairs = 0;
    for _ in 0..ROUNDS_MAX {
        let edits = sure(&found.diagnostics);
        if edits.is_empty() {
            break;
        }
        let before = found.diagnostics.len();
        let mut old: Vec<(PathBuf, String)> = Vec::new();
        for (file, edits) in edits {
            let Some(source) = found.sources.get(file) else { continue };
            let (path, text) = (PathBuf::from(&source.path), source.text.to_string());
            let (repaired, n) = apply(&text, &edits);
            if let Err(why) = std::fs::write(&path, repaired) {
                eprintln!("{}: {why}", path.display());
                return Err(Exit::World);
            }
            old.push((path, text));
            n_repairs += n;
        }
        let after = compilation(entry, Mode::Test);
        // A repair that brings out more mistakes than it takes away was not one.
        if after.diagnostics.len() > before && has_errors(&after.diagnostics) {
            for (path, text) in old {
                if let Err(why) = std::fs::write(&path, text) {
                    eprintln!("{}: {why}", path.display());
                    return Err(Exit::World);
                }
            }
            eprintln!("the repairs did not help and were taken back");
            return Ok(found);
        }
        found = after;
    }
    if n_repairs > 0 {
        eprintln!("{n_repairs} repaired");
    }
    Ok(found)
}

/// Edits of one file: from, to, new text.
type Edits = Vec<(usize, usize, String)>;

/// The edits that are certainly meant, those of one diagnostic all or none.
///
/// A file with text that could not be read at all stays as it is: what was read around the gap may mean something else.
fn sure(diagnostics: &[Diagnostic]) -> BTreeMap<FileId, Edits> {
    let unread: BTreeSet<FileId> =
        diagnostics.iter().filter(|one| one.code == Code::E100).map(|one| one.at.file).collect();
    let mut files: BTreeMap<FileId, Edits> = BTreeMap::new();
    for help in diagnostics.iter().filter_map(|one| one.help.as_ref()).filter(|help| help.sure) {
        let crosses = help.edits.iter().any(|(at, _)| {
            if unread.contains(&at.file) {
                return true;
            }
            let (start, end) = (at.start as usize, at.end as usize);
            files.get(&at.file).is_some_and(|taken| {
                taken.iter().any(|(from, to, _)| start < *to && *from < end || start == *from)
            })
        });
        if crosses {
            continue;
        }
        for (at, text) in &help.edits {
            let edit = (at.start as usize, at.end as usize, text.clone());
            files.entry(at.file).or_default().push(edit);
        }
    }
    files
}

/// The text with its edits, and how many there were.
fn apply(text: &str, edits: &[(usize, usize, String)]) -> (String, usize) {
    let mut edits: Vec<_> = edits.iter().collect();
    edits.sort_by_key(|(start, ..)| *start);
    let mut out = String::with_capacity(text.len());
    let (mut from, mut n) = (0, 0);
    for (start, end, new) in edits {
        let Some(kept) = text.get(from..*start) else { continue };
        out.push_str(kept);
        out.push_str(new);
        from = *end;
        n += 1;
    }
    out.push_str(text.get(from..).unwrap_or_default());
    (out, n)
}
