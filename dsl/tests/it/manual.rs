//! The manual holds: every program in it compiles, its tests pass, mistakes are drawn as it shows them, and the reference of
//! functions is the table's.
//!
//! `UPDATE_EXPECT=1 cargo test` writes what is drawn, and the reference, into the manual.

mod blocks;

use std::{
    collections::HashMap,
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use expect_test::expect_file;
use logmon_dsl::{
    diagnostic::Code,
    functions::{self, Family, Function, Nulls, Param, Sql, Takes, When},
    program::{Compilation, Mode, Options, Reader, compile, compile_with, lock_beside},
    render::render,
    schema,
    span::Sources,
    syntax,
    test_block::run_test,
    types::{Ty, Type},
};

/// The files that a page has shown so far.
#[derive(Default)]
struct Shelf(HashMap<String, String>);

impl Reader for Shelf {
    fn read(&self, path: &Path) -> Result<String, String> {
        let name = path.to_string_lossy();
        self.0.get(&*name).cloned().ok_or_else(|| format!("there is no file {name}"))
    }

    fn lock(&self, entry: &Path) -> Option<(PathBuf, String)> {
        lock_beside(self, entry)
    }
}

/// A page, from the root of the checkout.
fn page(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path))
        .expect("a page of the manual")
}

/// The day on which the pages are read: 2026-06-01.
const TODAY: i64 = 1_780_272_000_000_000_000;

fn compiled(name: &str, shelf: &Shelf) -> Compilation {
    let options = Options { now: Some(TODAY), ..Options::default() };
    compile_with(Path::new(name), shelf, Mode::Test, &options)
}

/// Compiles every program of a page and runs its tests. Returns the page with its diagnostics as they are drawn.
fn hold(path: &str) -> String {
    try_hold(path).unwrap_or_else(|wrong| panic!("{wrong}"))
}

/// The same, with what is wrong as text.
fn try_hold(path: &str) -> Result<String, String> {
    let text = page(path);
    let mut shelf = Shelf::default();
    let (mut wrong, mut programs) = (Vec::new(), 0);
    let (mut drawn, mut texts) = (None, Vec::new());
    for block in blocks::blocks(&text) {
        let place = format!("{path}:{}", block.line);
        match block.kind.as_str() {
            "rules" => {
                programs += 1;
                let name = blocks::name(&block.text).unwrap_or("example.rules").to_owned();
                if !is_styled(&block.text) {
                    wrong.push(format!("{place}\nnot in the style that `fmt` writes"));
                }
                shelf.0.insert(name.clone(), blocks::whole(&block.text));
                let compiled = compiled(&name, &shelf);
                if !compiled.diagnostics.is_empty() {
                    wrong.push(format!(
                        "{place}\n{}",
                        render(&compiled.diagnostics, &compiled.sources, false)
                    ));
                }
                wrong.extend(
                    failures(compiled).into_iter().map(|failure| format!("{place}\n{failure}")),
                );
            }
            "rules wrong" => {
                shelf.0.insert("example.rules".to_owned(), block.text);
                let compiled = compiled("example.rules", &shelf);
                assert!(
                    !compiled.diagnostics.is_empty(),
                    "{place}: nothing is wrong with this program"
                );
                drawn = Some(render(&compiled.diagnostics, &compiled.sources, false));
            }
            "toml lock" => {
                shelf.0.insert(schema::FILE.to_owned(), block.text);
            }
            "diagnostic" => {
                let said = drawn
                    .take()
                    .unwrap_or_else(|| panic!("{place}: a wrong program stands before this"));
                texts.push((block.line, said));
            }
            _ => {}
        }
    }
    assert!(programs > 0, "{path} shows no program");
    if !wrong.is_empty() {
        return Err(wrong.join("\n\n"));
    }
    Ok(blocks::with_texts(&text, &texts))
}

/// Whether `fmt` would leave it alone.
fn is_styled(text: &str) -> bool {
    let file = Sources::default().add("example.rules", text);
    syntax::format(file, text).is_ok_and(|styled| styled == text)
}

#[test]
fn shipped_rules_are_in_the_one_style() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules")];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("the rules we ship") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rules") {
                seen += 1;
                let text = std::fs::read_to_string(&path).expect("rules are text");
                assert!(
                    is_styled(&text),
                    "`logmon-engine fmt {}` writes its style",
                    path.display()
                );
            }
        }
    }
    assert!(seen > 5, "the rules we ship are found");
}

/// The checkout's files.
struct Disk;

impl Reader for Disk {
    fn read(&self, path: &Path) -> Result<String, String> {
        std::fs::read_to_string(path).map_err(|error| error.to_string())
    }
}

#[test]
fn shipped_programs_hold() {
    for entry in ["rules/prod.rules", "rules/enrichment.rules", "rules/samples/prod.rules"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(entry);
        let compiled = compile(&path, &Disk, Mode::Test);
        let said = render(&compiled.diagnostics, &compiled.sources, false);
        assert_eq!(said, "", "{entry}");
        let failed = failures(compiled);
        assert_eq!(failed, Vec::<String>::new(), "{entry}");
    }
}

/// What the tests of a program say that fail.
fn failures(compiled: Compilation) -> Vec<String> {
    let Some(program) = compiled.program else { return Vec::new() };
    let plan = Arc::new(program.plan);
    let failed = program.tests.iter().flat_map(|test| {
        let result = run_test(&plan, test);
        result
            .failures
            .into_iter()
            .map(|failure| format!("the test \"{}\": {}", test.name, failure.message))
            .collect::<Vec<_>>()
    });
    failed.collect()
}

#[test]
fn readme() {
    expect_file!["../../../README.md"].assert_eq(&hold("README.md"));
}

#[test]
fn writing_rules() {
    expect_file!["../../../docs/writing-rules.md"].assert_eq(&hold("docs/writing-rules.md"));
}

#[test]
fn enrichment() {
    expect_file!["../../../docs/enrichment.md"].assert_eq(&hold("docs/enrichment.md"));
}

#[test]
fn a_page_for_every_code() {
    let (mut known, mut wrong) = (Vec::new(), Vec::new());
    for code in Code::ALL {
        let text = code.page();
        known.push(format!("{code}.md"));
        assert!(text.starts_with(&format!("# {code}: ")), "the page of {code} names it");
        let path = format!("docs/diagnostics/{code}.md");
        let held = match try_hold(&path) {
            Ok(held) => held,
            Err(why) => {
                wrong.push(why);
                continue;
            }
        };
        let drawn = format!("[{code}]: ");
        if held.contains("```diagnostic") && !held.contains(&drawn) {
            wrong.push(format!("{path} does not draw {code}:\n{held}"));
            continue;
        }
        expect_file![format!("../../../{path}")].assert_eq(&held);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/diagnostics");
    for entry in std::fs::read_dir(folder).expect("the pages") {
        let name = entry.expect("a readable entry").file_name().to_string_lossy().into_owned();
        assert!(known.contains(&name), "{name} is the page of no code");
    }
}

#[test]
fn limits_and_windows() {
    let path = "docs/limits-and-windows.md";
    expect_file!["../../../docs/limits-and-windows.md"].assert_eq(&hold(path));
}

#[test]
fn from_other_languages() {
    for name in ["vrl", "logstash", "logql"] {
        let path = format!("docs/from-{name}.md");
        expect_file![format!("../../../{path}")].assert_eq(&hold(&path));
    }
}

#[test]
fn lookups() {
    expect_file!["../../../docs/lookups.md"].assert_eq(&hold("docs/lookups.md"));
}

#[test]
fn tools() {
    expect_file!["../../../docs/tools.md"].assert_eq(&hold("docs/tools.md"));
}

const REFERENCE: &str = "\
# Functions

Made from the function table: `UPDATE_EXPECT=1 cargo test -p logmon-dsl manual` writes this page anew, and every example runs as a test.

The first argument is the value, options are named: `truncate(.message, 80, suffix: \"…\")`. A parameter with `?` may be left out, one with `…` takes any
number of arguments. An absent argument gives an absent result, with the first cause, unless the sentence says otherwise. A result with `?` may be
absent although all arguments are there; the cause is counted where the value is used.

[Those who come from VRL](functions-vrl.md) have a page of their own. `In SQL` names what ClickHouse computes for the same call in searches and panels: `{0}` is the first argument, `{1|x}` the second or `x`.
";

#[test]
fn function_reference() {
    let mut text = REFERENCE.to_owned();
    let mut families: Vec<Family> = Vec::new();
    for function in functions::all() {
        if !families.contains(&function.family) {
            families.push(function.family);
            let _ = write!(text, "\n## {}\n", title(function.family));
        }
        let _ = write!(
            text,
            "\n### {}\n\n`{}`\n\n{}\n",
            function.name,
            signature(function),
            function.doc
        );
        if !function.examples.is_empty() {
            text.push_str("\n```text\n");
            for (expression, result) in function.examples {
                let _ = writeln!(text, "{expression}\n  → {result}");
            }
            text.push_str("```\n");
        }
        let _ = write!(text, "\n{}\n", in_sql(&function.sql));
    }
    expect_file!["../../../docs/functions.md"].assert_eq(&text);
}

/// What a function is in SQL, as the reference says it.
fn in_sql(sql: &Sql) -> String {
    let twin = match sql {
        Sql::None(why) => return format!("Not in SQL: {why}."),
        Sql::Twin(twin) => twin,
    };
    let mut out = format!("In SQL: `{}`", twin.template);
    for (when, template) in twin.forms {
        let when = match when {
            When::Given(index) => format!("with argument {}", index + 1),
            When::Choice(_, name) => format!("with `{name}`"),
            When::List(_) => "for a list".to_owned(),
            When::Map(_) => "for a map".to_owned(),
            When::Number(_) => "for a number".to_owned(),
            When::Regex(_) => "for a regex".to_owned(),
            When::Lambda(_) => "with a lambda".to_owned(),
        };
        if template.is_empty() {
            let _ = write!(out, "; {when} not at all");
        } else {
            let _ = write!(out, "; {when} `{template}`");
        }
    }
    match twin.nulls {
        Nulls::Pass => {}
        Nulls::Wrap => out.push_str("; null where an argument is null"),
        Nulls::Answer => out.push_str("; also for null"),
    }
    if !twin.note.is_empty() {
        let _ = write!(out, " ({})", twin.note);
    }
    out.push('.');
    out
}

fn title(family: Family) -> &'static str {
    match family {
        Family::Conversion => "Conversion and presence",
        Family::Strings => "Strings",
        Family::Patterns => "Regexes and patterns",
        Family::Parsing => "Parsing",
        Family::Encoding => "Encoding",
        Family::Hashing => "Hashing and identity",
        Family::Privacy => "Privacy",
        Family::Network => "Network",
        Family::Time => "Time",
        Family::Numbers => "Numbers",
        Family::Lists => "Lists",
        Family::Maps => "Maps",
        Family::Event => "The event itself",
    }
}

/// `name(a: string, b: int?) -> string`
fn signature(function: &Function) -> String {
    let params: Vec<String> = function.params.iter().map(param).collect();
    let types: Vec<Option<Ty>> =
        function.params.iter().map(|param| stands_for(param.takes).map(Ty::required)).collect();
    format!("{}({}) -> {}", function.name, params.join(", "), (function.returns)(&types))
}

fn param(param: &Param) -> String {
    let takes = match param.takes {
        Takes::Any => "any".to_owned(),
        Takes::Type(ty) => ty().to_string(),
        Takes::Number => "int | float".to_owned(),
        Takes::List => "list".to_owned(),
        Takes::Map => "map".to_owned(),
        Takes::Sized => "string | list | map".to_owned(),
        Takes::Countable => "string | bytes | list | map".to_owned(),
        Takes::TextOrBytes => "string | bytes".to_owned(),
        Takes::Formats => "list of time formats".to_owned(),
        Takes::Choice(names) => names.join(" | "),
        Takes::Regex => "regex".to_owned(),
        Takes::TextOrRegex => "string | regex".to_owned(),
        Takes::Detectors([]) => "list of regexes".to_owned(),
        Takes::Detectors(names) => format!("list of regexes and {}", names.join(", ")),
        Takes::Pattern => "pattern".to_owned(),
        Takes::Grok => "grok".to_owned(),
        Takes::Secret => "secret".to_owned(),
        Takes::Lambda(_) => "lambda".to_owned(),
        Takes::TextOrLambda => "string | lambda".to_owned(),
    };
    match (param.rest, param.optional) {
        (true, _) => format!("{}: {takes} …", param.name),
        (false, true) => format!("{}?: {takes}", param.name),
        (false, false) => format!("{}: {takes}", param.name),
    }
}

/// The type that an argument has in a signature.
fn stands_for(takes: Takes) -> Option<Type> {
    match takes {
        Takes::Any => Some(Type::Any),
        Takes::Type(ty) => Some(ty()),
        Takes::Number => Some(Type::Number),
        Takes::List => Some(Type::list(Type::Any)),
        Takes::Formats => Some(Type::list(Type::Text)),
        Takes::Map => Some(Type::map(Type::Any)),
        Takes::Sized
        | Takes::Countable
        | Takes::TextOrBytes
        | Takes::TextOrRegex
        | Takes::TextOrLambda => Some(Type::Text),
        Takes::Choice(_)
        | Takes::Regex
        | Takes::Detectors(_)
        | Takes::Pattern
        | Takes::Grok
        | Takes::Secret
        | Takes::Lambda(_) => None,
    }
}
