//! Any text as a rules file: it compiles or it is said why not, and what is said can be drawn.
#![no_main]

use std::{collections::BTreeMap, path::Path};

use libfuzzer_sys::fuzz_target;
use logmon_dsl::{
    program::{Mode, Reader, compile},
    render::render,
};

struct Files(BTreeMap<&'static str, String>);

impl Reader for Files {
    fn read(&self, path: &Path) -> Result<String, String> {
        let name = path.to_str().unwrap_or_default();
        self.0.get(name).cloned().ok_or_else(|| "there is no such file".to_owned())
    }
}

fuzz_target!(|text: &str| {
    let files = Files(BTreeMap::from([("main.rules", text.to_owned())]));
    let compiled = compile(Path::new("main.rules"), &files, Mode::Run);
    let found = &compiled.diagnostics;
    render(&found[..found.len().min(5)], &compiled.sources, false);
    assert!(compiled.program.is_some() || !found.is_empty(), "refused without a word");
});
