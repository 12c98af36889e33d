//! The grammars for editors know the words of the language, all of them and no others.

use std::{collections::BTreeSet, path::Path};

use logmon_grammar::KEYWORDS;
use regex::Regex;

/// A file under `editors/`.
fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../editors").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn keywords() -> BTreeSet<String> {
    KEYWORDS.iter().map(|rule| word_of(*rule)).collect()
}

/// `k_word` is the rule of `word`.
fn word_of(rule: logmon_grammar::Rule) -> String {
    format!("{rule:?}").trim_start_matches("k_").to_owned()
}

fn words(pattern: &str, text: &str) -> BTreeSet<String> {
    let pattern = Regex::new(pattern).expect("a regex");
    pattern.captures_iter(text).map(|found| found[1].to_owned()).collect()
}

#[test]
fn the_text_mate_grammar_colors_every_word() {
    let grammar: serde_json::Value =
        serde_json::from_str(&file("vscode/syntaxes/logmon.tmLanguage.json")).expect("JSON");
    let mut known = BTreeSet::new();
    for pattern in grammar["repository"]["word"]["patterns"].as_array().expect("a list") {
        let pattern = pattern["match"].as_str().expect("a regex");
        let list = pattern.split(['(', ')']).nth(1).expect("alternatives");
        known.extend(list.split('|').map(str::to_owned));
    }
    let mut wanted = keywords();
    wanted.extend(["true", "false"].map(str::to_owned));
    assert_eq!(known, wanted);
}

#[test]
fn the_tree_sitter_grammar_reads_every_word_and_no_other() {
    let grammar = file("tree-sitter-logmon/grammar.js");
    // The names of a tree's parts are no words of the text.
    let parts = Regex::new(r"field\('[a-z]+'").expect("a regex");
    let known = words(r"'([a-z_]{2,})'", &parts.replace_all(&grammar, ""));
    let listed = words(r"/not\[ \\t\\r\\n\]\+\(([a-z_|]+)\)/", &grammar);
    assert_eq!(listed.len(), 1, "the negated operators stand in one token");
    let missing: Vec<String> = keywords().difference(&known).cloned().collect();
    assert!(missing.is_empty(), "grammar.js does not know {missing:?}");
    let no_words =
        ["logmon", "true", "false", "re", "pat", "grok", "glob", "ip", "cidr"].map(str::to_owned);
    let known: BTreeSet<String> = known.difference(&no_words.into()).cloned().collect();
    assert_eq!(known, keywords(), "a word that the language does not have");
}

#[test]
fn the_tree_sitter_query_colors_every_word() {
    let query = file("tree-sitter-logmon/queries/highlights.scm");
    let mut colored = words(r#""([a-z_]{2,})""#, &query);
    colored.extend(words(r"(?m)^\(([a-z_]+)\) @", &query));
    // `null` is a node of its own.
    colored.extend(words(r"\((null)\)", &query));
    let missing: Vec<String> = keywords().difference(&colored).cloned().collect();
    assert!(missing.is_empty(), "highlights.scm does not color {missing:?}");
}
