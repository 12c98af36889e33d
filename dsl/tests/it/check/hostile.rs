//! Hostile and broken programs: always an answer, in bounded time and stack.

use std::{fmt::Write as _, path::Path, sync::Arc};

use logmon_dsl::{
    diagnostic::has_errors,
    program::{Mode, compile},
    test_block::run_test,
};
use proptest::prelude::*;

use super::{Files, compile_text, samples};

/// Compiling gives a program exactly where nothing is an error.
fn compiles_or_says_why(text: &str) {
    for mode in [Mode::Run, Mode::Test] {
        let compilation = compile_text(text, mode);
        assert_eq!(compilation.program.is_none(), has_errors(&compilation.diagnostics), "{text}");
    }
}

#[test]
fn functions_that_double_are_bounded() {
    let mut text =
        String::from("source app\nsink s : table(\"t\")\nfn f0(x: int?) -> int? = x + 1\n");
    for n in 1..30 {
        let below = n - 1;
        writeln!(text, "fn f{n}(x: int?) -> int? = f{below}(x + 1) + f{below}(x * 2)").unwrap();
    }
    text.push_str("rule r { .x = f29(int(.y)) }\ndefault route to s\n");
    compiles_or_says_why(&text);
}

#[test]
fn functions_that_call_one_function_twice_are_bounded() {
    // Too deep at the bottom, and results that are not remembered because more may be known at the next call.
    for (result, first) in [("int?", "x"), ("int?", "int(x)")] {
        let param = if first == "x" { "int?" } else { "string" };
        let mut text =
            format!("source app\nsink s : table(\"t\")\nfn f0(x: {param}) -> {result} = {first}\n");
        for n in 1..60 {
            let below = n - 1;
            writeln!(text, "fn f{n}(x: {param}) -> {result} = f{below}(x) ?? f{below}(x)").unwrap();
        }
        text.push_str(
            "rule r { .x = f59(\"5\") }\nrule q { .x = f25(\"5\") }\ndefault route to s\n",
        );
        compiles_or_says_why(&text);
    }
}

#[test]
fn rules_that_each_write_a_field_of_their_own_meet_in_linear_time() {
    let mut text = String::from("source app : { ... }\nsink s : { ... }\n");
    for n in 0..1500 {
        writeln!(text, "rule r{n} when .a == {n} {{ .b{n} = {n} }}").unwrap();
    }
    text.push_str("default route to s\n");
    compiles_or_says_why(&text);
}

#[test]
fn what_nests_deeply_runs_on_a_small_stack() {
    let body = "x".to_owned() + &" + 1".repeat(100);
    let text = format!(
        "source app\nsink s : table(\"t\")\nfn f(x: int?) -> int? = {body}\nrule r {{ .y = f(f(int(.x))) }}\ndefault route to s\ntest \"deep\" {{ given {{ x: 1 }} expect routed {{ .y == 201 }} }}\n"
    );
    let program = compile_text(&text, Mode::Test).program.unwrap();
    let result = run_test(&Arc::new(program.plan), &program.tests[0]);
    assert!(result.failures.is_empty());
}

#[test]
fn long_chains_are_refused_or_read() {
    for n in [10, 100, 5000] {
        let sum = vec!["1"; n].join(" + ");
        let and = vec![".a"; n].join(" and ");
        let minus = format!("{}1", "-".repeat(n));
        let calls = format!("{}1{}", "int(".repeat(n), ")".repeat(n));
        let conditions = "if .a { ".repeat(n) + &"}".repeat(n);
        let text = format!(
            "source app\nsink s : table(\"t\")\nrule r when {and} {{ .a = {sum} .b = {minus} .c = {calls} {conditions} }}\ndefault route to s\n"
        );
        compiles_or_says_why(&text);
    }
}

#[test]
fn chains_of_names_are_bounded() {
    let mut text = String::from(
        "source app\nsink s : table(\"t\")\nconst C0 = 1\ntype T0 = int\nfn f0(x: int?) -> int? = -x\n",
    );
    for n in 1..500 {
        let below = n - 1;
        writeln!(text, "const C{n} = C{below}\ntype T{n} = list<T{below}>\nfn f{n}(x: int?) -> int? = -f{below}(-x)").unwrap();
    }
    text.push_str("rule r { .x = f499(C499) }\ndefault route to s\n");
    compiles_or_says_why(&text);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn mangled_samples_are_answered_and_run(
        which in 0..samples::ALL.len(),
        cut in 0usize..4000,
        drop in 0usize..40,
        put in "[a-z.(){}\"=<>0-9?@ ]{0,6}",
    ) {
        let (name, text) = samples::ALL[which];
        let chars: Vec<char> = text.chars().collect();
        let cut = cut % chars.len();
        let mut mangled: String = chars[..cut].iter().collect();
        mangled.push_str(&put);
        mangled.extend(chars.iter().skip(cut + drop));
        let mut files = samples::files(samples::PROD);
        if let Some(file) = files.iter_mut().find(|file| file.0 == name) {
            file.1 = &mangled;
        }
        let files = Files::of(&files);
        let compilation = compile(Path::new("main.rules"), &files, Mode::Test);
        prop_assert_eq!(compilation.program.is_none(), has_errors(&compilation.diagnostics));
        // What still compiles means something else now, and runs.
        if let Some(program) = compilation.program {
            let plan = Arc::new(program.plan);
            for test in &program.tests {
                let result = run_test(&plan, test);
                prop_assert!(result.failures.iter().all(|failure| !failure.message.is_empty()));
            }
        }
    }
}

#[test]
fn a_thousand_mistakes_are_said_and_the_others_counted() {
    let mut text = String::from("source app\nsink s : { ... }\nrule r on app {\n");
    text.push_str(&"  .a = nme + 1\n".repeat(5_000));
    text.push_str("}\ndefault route to s\n");
    let compilation =
        compile(Path::new("main.rules"), &Files::of(&[("main.rules", &text)]), Mode::Run);
    let said = &compilation.diagnostics;
    assert_eq!(said.len(), 1_001);
    assert_eq!(said[1_000].message, "and 4000 more, which are not shown");
    assert!(compilation.program.is_none());
}

#[test]
fn warnings_beyond_the_thousandth_hide_no_error() {
    let mut text = String::from("source app\nsink s : { ... }\n");
    for n in 0..2_000 {
        writeln!(text, "rule r{n} on app when .servcie == \"s{n}\" {{ .x = {n} }}").unwrap();
    }
    text.push_str("rule wrong on app { .x = nme }\ndefault route to s\n");
    let compilation =
        compile(Path::new("main.rules"), &Files::of(&[("main.rules", &text)]), Mode::Run);
    assert!(compilation.program.is_none());
    let said = &compilation.diagnostics;
    assert!(said.iter().any(|it| it.message.contains("nme")), "{}", said.len());
    assert!(said.last().unwrap().message.ends_with("more, which are not shown"));
}
