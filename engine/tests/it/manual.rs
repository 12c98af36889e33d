//! The manual's examples of commands: each pair of events and results, and each console, is what the real command prints.
//!
//! `UPDATE_EXPECT=1 cargo test` writes into the manual what it prints.

#[path = "../../../dsl/tests/it/manual/blocks.rs"]
mod blocks;

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use expect_test::expect_file;

/// When the manual's events happen.
const NOW: &str = "2026-05-01T10:00:00Z";

fn page(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path))
        .expect("a page of the manual")
}

/// A page with the results as they are.
fn hold(path: &str) -> String {
    let text = page(path);
    let folder = std::env::temp_dir().join(format!(
        "logmon-manual-{}-{}",
        std::process::id(),
        path.replace('/', "-")
    ));
    fs::create_dir_all(&folder).expect("a folder for the programs");
    let (mut rules, mut events, mut texts) = (None, None, Vec::new());
    for block in blocks::blocks(&text) {
        match block.kind.as_str() {
            "rules" => {
                let file = folder.join(blocks::name(&block.text).unwrap_or("example.rules"));
                fs::write(&file, blocks::whole(&block.text)).expect("a program");
                rules = Some(file);
            }
            "events" => events = Some(block.text),
            "result" => {
                let (rules, events) = (
                    rules.as_ref().expect("a program stands before"),
                    events.take().expect("events stand before"),
                );
                texts.push((block.line, evaluate(rules, &events)));
            }
            _ => {}
        }
    }
    fs::remove_dir_all(&folder).expect("the folder was ours");
    assert!(!texts.is_empty(), "{path} shows no result");
    blocks::with_texts(&text, &texts)
}

fn evaluate(rules: &Path, events: &str) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_logmon-engine"))
        .arg("eval")
        .arg(rules)
        .args(["--now", NOW])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the engine starts");
    child
        .stdin
        .take()
        .expect("it is piped")
        .write_all(events.as_bytes())
        .expect("the engine reads");
    let output = child.wait_with_output().expect("the engine ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("results are text")
}

#[test]
fn readme() {
    expect_file!["../../../README.md"].assert_eq(&hold("README.md"));
}

#[test]
fn writing_rules() {
    expect_file!["../../../docs/writing-rules.md"].assert_eq(&hold("docs/writing-rules.md"));
}

/// A page with what its commands print. Files are the blocks before a command: programs by the name in their first line, others by
/// the name behind their kind (`json event.json`). A line `$ logmon-engine …` is a command; `< file` gives it standard input.
fn consoles(path: &str) -> String {
    let text = page(path);
    let stem = path.replace('/', "-");
    let folder = std::env::temp_dir().join(format!("logmon-console-{}-{stem}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder for the files");
    let mut texts = Vec::new();
    for block in blocks::blocks(&text) {
        if block.kind == "rules" {
            if let Some(name) = blocks::name(&block.text) {
                fs::write(folder.join(name), &block.text).expect("a program");
            }
        } else if let Some((_, name)) = block.kind.split_once(' ')
            && name.contains('.')
        {
            fs::write(folder.join(name), &block.text).expect("a file");
        } else if block.kind == "console" {
            let commands = block.text.lines().filter(|line| line.starts_with("$ "));
            let shown: Vec<String> = commands.map(|line| command(&folder, line)).collect();
            texts.push((block.line, shown.join("\n")));
        }
    }
    fs::remove_dir_all(&folder).expect("the folder was ours");
    assert!(!texts.is_empty(), "{path} shows no command");
    blocks::with_texts(&text, &texts)
}

/// A command and what it prints: standard output, then standard error.
fn command(folder: &Path, line: &str) -> String {
    let rest = line.strip_prefix("$ logmon-engine ").expect("a command of ours");
    let (rest, input) = rest.split_once(" < ").unwrap_or((rest, ""));
    // Words, and words in single quotes.
    let mut arguments = Vec::new();
    for (index, part) in rest.split('\'').enumerate() {
        if index % 2 == 1 {
            arguments.push(part);
        } else {
            arguments.extend(part.split_whitespace());
        }
    }
    let stdin = match input {
        "" => Stdio::null(),
        file => Stdio::from(fs::File::open(folder.join(file)).expect("the page shows that file")),
    };
    let output = Command::new(env!("CARGO_BIN_EXE_logmon-engine"))
        .args(arguments)
        .current_dir(folder)
        .stdin(stdin)
        .output()
        .expect("the engine starts");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).expect("it prints text");
    let lines: Vec<&str> = said.lines().map(str::trim_end).collect();
    format!("{line}\n{}\n", lines.join("\n").trim_end())
}

#[test]
fn tools() {
    expect_file!["../../../docs/tools.md"].assert_eq(&consoles("docs/tools.md"));
}

#[test]
fn bad_input() {
    expect_file!["../../../docs/bad-input.md"].assert_eq(&consoles("docs/bad-input.md"));
}
