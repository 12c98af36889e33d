//! What the checker accepts, what it says of mistakes, and what plans look like.

#![expect(
    clippy::needless_raw_string_hashes,
    reason = "expected text is rewritten by `UPDATE_EXPECT=1`, which always writes them"
)]

mod errors;
mod hostile;
mod meaning;
mod plans;
mod samples;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use logmon_dsl::{
    program::{Compilation, Mode, Reader, compile, lock_beside},
    render::render,
};

/// Files in a map.
#[derive(Debug, Default)]
struct Files(BTreeMap<PathBuf, String>);

impl Files {
    fn of(files: &[(&str, &str)]) -> Self {
        let own = |(path, text): &(&str, &str)| (PathBuf::from(path), (*text).to_owned());
        Self(files.iter().map(own).collect())
    }
}

impl Reader for Files {
    fn read(&self, path: &Path) -> Result<String, String> {
        self.0.get(path).cloned().ok_or_else(|| "no such file".to_owned())
    }

    fn lock(&self, entry: &Path) -> Option<(PathBuf, String)> {
        lock_beside(self, entry)
    }

    fn secret(&self, name: &str) -> Result<String, String> {
        if name == "example" { Ok("Jefe".to_owned()) } else { Err("nobody set it".to_owned()) }
    }
}

fn compile_text(text: &str, mode: Mode) -> Compilation {
    compile(Path::new("t.rules"), &Files::of(&[("t.rules", text)]), mode)
}

/// The diagnostics of one file, drawn.
#[track_caller]
fn check(text: &str, expected: &expect_test::Expect) {
    let compilation = compile_text(text, Mode::Test);
    expected.assert_eq(&drawn(&compilation));
}

/// The diagnostics of several files, of which `main.rules` is the entry.
#[track_caller]
fn check_files(files: &[(&str, &str)], expected: &expect_test::Expect) {
    let compilation = compile(Path::new("main.rules"), &Files::of(files), Mode::Test);
    expected.assert_eq(&drawn(&compilation));
}

fn drawn(compilation: &Compilation) -> String {
    render(&compilation.diagnostics, &compilation.sources, false)
}
