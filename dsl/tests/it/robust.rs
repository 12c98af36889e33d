//! No text makes the front end panic, overflow a stack or forget to say what is wrong.

use std::{fmt::Write as _, path::Path};

use logmon_dsl::{
    diagnostic::has_errors,
    program::{Mode, Reader, compile},
    render::render,
    span::{FileId, Sources},
    syntax::{MAX_FILE_BYTES, format, parse_expr, parse_file},
};
use proptest::prelude::*;

use crate::parse::{SAMPLES, bare};

/// Runs everything that reads text, and draws what it says.
fn read(text: &str) {
    let mut sources = Sources::new();
    let file = sources.add("any.rules", text);
    let (tree, found) = parse_file(file, text);
    for diagnostic in &found {
        assert!(diagnostic.at.end as usize <= text.len().max(1), "{diagnostic:?}");
        // What quotes a backtick cannot be told from what stands beside it.
        let quotes = text.contains('`');
        assert!(quotes || !names_a_rule(&diagnostic.message), "{diagnostic:?}");
    }
    if found.is_empty() {
        assert!(!bare(&tree.items).contains("Error"), "an error node without a diagnostic");
        format(file, text).expect("what reads can be formatted");
    }
    // Drawing looks at whole lines; a few of them are enough.
    render(&found[..found.len().min(5)], &sources, false);
    let (_, found) = parse_expr(file, text);
    render(&found[..found.len().min(5)], &sources, true);
}

/// Whether a message, apart from what it quotes, speaks the grammar's jargon.
fn names_a_rule(message: &str) -> bool {
    message.split('`').step_by(2).any(|words| words.contains('_'))
}

/// Reads on a thread with the stack that a thread has by default.
fn read_on_a_small_stack(text: String) {
    let reader = std::thread::Builder::new().stack_size(2 << 20).spawn(move || read(&text));
    reader.expect("a thread").join().expect("no panic and no overflow");
}

#[test]
fn hostile_text_ends() {
    for unit in [
        "(",
        "[",
        "{",
        ")",
        "}",
        "\"",
        "'",
        "f\"{",
        "re\"",
        "\"\"\"",
        "|x| ",
        "not ",
        "-",
        ".a",
        ".a.b ",
        "a + ",
        "min(",
        "a < ",
        "a ?? ",
        "[1, ",
        "{ a: ",
        "if a { ",
        "else if a { } ",
        "if a { 1 } else ",
        "match a { 1 => ",
        "rule x { ",
        "rule x { if a { ",
        "rule x {}\n",
        "rule x {\n",
        "@a ",
        "list<",
        "type T = list<",
        "const A = 1\n",
        "const A = ",
        "5 min ",
        "=",
        "!",
        "&& a ",
        ".x = \n",
        "\\",
        "#",
        "\u{1}",
        "\u{feff}",
        "ö",
        "\n",
        "rule r { tag \"x\" } }\n",
        "group g {\nrule r {\n",
        "x\n",
    ] {
        for prefix in ["", "const A = ", "rule r {\n"] {
            read_on_a_small_stack(format!("{prefix}{}", unit.repeat(10_000 / unit.len())));
        }
    }
}

#[test]
fn the_deepest_text_that_is_read_leaves_the_stack_alone() {
    for (open, middle, close) in [
        ("(", ".a", ")"),
        ("[", "1", "]"),
        ("{ a: ", "1", " }"),
        ("f(|x| ", "x", ")"),
        ("f(a, ", "1", ")"),
        ("f\"{", "1", "}\""),
        ("if a { 1 } else { ", "1", " }"),
        ("match a { _ => ", "1", " }"),
        ("(not -(", "1", "))"),
        (".a[b * -", "1", "]"),
    ] {
        for depth in [20, 30, 31, 62, 63] {
            let text = format!("{}{middle}{}", open.repeat(depth), close.repeat(depth));
            let const_text = format!("const A = {text}\n");
            read_on_a_small_stack(const_text.clone());
            if depth == 20 {
                let (_, found) = parse_file(FileId(0), &const_text);
                assert!(found.is_empty(), "{const_text}: {found:?}");
            }
        }
    }
    let blocks = format!("rule r {{ {} drop {} }}", "if .a { ".repeat(62), "}".repeat(62));
    read_on_a_small_stack(blocks);
    let links = format!("rule r {{ if .a {{ }} {} }}", "else if .b { }".repeat(60));
    read_on_a_small_stack(links);
    for chain in ["a + ", "a or ", "a ?? ", "not ", "- "] {
        read_on_a_small_stack(format!("const A = {}a", chain.repeat(250)));
        read_on_a_small_stack(format!("const A = {}a", chain.repeat(5_000)));
    }
}

#[test]
fn a_file_above_the_limit_is_refused() {
    let text = "const A = 1\n".repeat(MAX_FILE_BYTES / 12 + 1);
    let (tree, found) = parse_file(FileId(0), &text);
    assert!(tree.items.is_empty());
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].code.name(), "E106");
}

#[test]
fn a_flood_of_mistakes_is_cut_short() {
    let (tree, found) = parse_file(FileId(0), &"rule r { .a = + }\n".repeat(5_000));
    assert_eq!(found.len(), 100);
    assert_eq!(tree.items.len(), 5_000);
}

/// A sample with pieces taken out, put in or doubled.
fn mangled() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "{", "}", "(", ")", "[", "]", "\"", "'", "#", "\n", "=", "|", ".", "f\"{", "\u{1}",
            "rule ", "else ", "ö", "if ", "\"\"\"", "when ", "-", "@",
        ])
        .prop_map(str::to_owned),
        ".{0,6}",
    ];
    let edit = (any::<prop::sample::Index>(), 0_usize..12, piece);
    (prop::sample::select(SAMPLES), prop::collection::vec(edit, 1..6)).prop_map(
        |((_, text), edits)| {
            let mut characters: Vec<char> = text.chars().collect();
            for (at, len, piece) in edits {
                let at = at.index(characters.len());
                let end = (at + len).min(characters.len());
                characters.splice(at..end, piece.chars());
            }
            characters.into_iter().collect()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_answered(text in "\\PC{0,200}") {
        read(&text);
    }

    #[test]
    fn any_words_are_answered(words in prop::collection::vec(prop::sample::select(vec![
        "rule", "r", "{", "}", "(", ")", "when", ".a", "=", "==", "1", "\"x\"", "\n", "let", "if", "else",
        "drop", "as", "route", "to", ",", "and", "not", "|", "is", "absent", "in", "[", "]", "match", "=>",
        "test", "given", "expect", "@a", "f(", "5m", "#c\n", "group", "first", "sample", "5%", "by",
    ]), 0..40)) {
        read(&words.join(" "));
    }

    #[test]
    fn mangled_samples_are_answered(text in mangled()) {
        read(&text);
        let (_, found) = parse_file(FileId(0), &text);
        prop_assert!(found.is_empty() || has_errors(&found));
    }
}

/// Compiles one file as a program; returns what is drawn.
fn drawn(text: &str) -> String {
    struct One<'a>(&'a str);
    impl Reader for One<'_> {
        fn read(&self, _path: &Path) -> Result<String, String> {
            Ok(self.0.to_owned())
        }
    }
    let compiled = compile(Path::new("b7.rules"), &One(text), Mode::Run);
    assert_eq!(compiled.program.is_none(), has_errors(&compiled.diagnostics));
    render(&compiled.diagnostics, &compiled.sources, false)
}

const HEAD: &str = "source app\nsink logs : { ... }\n";

#[test]
fn b7_ten_thousand_rules_are_a_program() {
    let mut text = HEAD.to_owned();
    for number in 0..10_000 {
        writeln!(text, "rule r{number} when .n == {number} {{ .hit = {number} }}").unwrap();
    }
    text.push_str("default route to logs\n");
    assert!(!drawn(&text).contains("error["), "{}", &drawn(&text)[..500]);
    let broken = text.replace("rule r9999 when .n ==", "rule r9999 when .n =");
    assert!(drawn(&broken).contains("b7.rules:10002:"), "{}", drawn(&broken));
}

#[test]
fn b7_regex_bombs_are_refused_where_they_stand() {
    for bomb in [
        r"(a{1000}){1000}",
        r"((a{100}){100}){100}",
        r"(\pL{500}){500}",
        r"(((((((((((a|b)?){9}){9}){9}){9}){9}){9}){9}){9}){9}){9}",
    ] {
        let said = drawn(&format!("{HEAD}rule r when .a matches re\"{bomb}\" {{ drop }}\n"));
        assert!(said.contains("error[") && said.contains("b7.rules:3:"), "{bomb}: {said}");
    }
    // Linear, however often it could match: nothing is refused, and nothing hangs.
    let said = drawn(&format!(
        "{HEAD}rule r when .a matches re\"(a+)+$\" {{ drop }}\ndefault route to logs\n"
    ));
    assert!(!said.contains("error["), "{said}");
}

#[test]
fn b7_a_file_that_includes_itself_is_one_mistake() {
    let said = drawn(&format!("include \"b7.rules\"\n{HEAD}"));
    assert!(said.contains("error["), "{said}");
}
