//! The page for those who come from VRL: it has every function of theirs, and names only functions that exist.

use std::{collections::BTreeSet, path::Path};

use logmon_dsl::functions;

/// What VRL 0.38 has, as its documentation counts.
const THEIRS: usize = 203;

#[test]
fn the_page_names_functions_that_exist() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/functions-vrl.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let mut theirs = BTreeSet::new();
    let mut named = 0;
    for row in page.lines().filter(|line| line.starts_with("| `")) {
        let (name, ours) = row[3..].split_once("` | ").expect("two columns");
        assert!(theirs.insert(name), "{name} stands twice");
        assert!(ours.len() > 3, "{name} has no answer");
        for code in ours.split('`').skip(1).step_by(2) {
            for (at, _) in code.match_indices('(') {
                let word = code[..at].rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                let word = word.clone().next().unwrap_or_default();
                // `count()` belongs to windows and alerts.
                if word != "count" {
                    assert!(functions::find(word).is_some(), "{name}: there is no `{word}` here");
                    named += 1;
                }
            }
        }
    }
    assert_eq!(theirs.len(), THEIRS);
    assert!(named >= 120, "{named}");
}
