//! The manual's examples of `eval`: each pair of events and results is what the real command prints.
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
