//! How long compiling takes: 10,000 rules, and megabytes that are no program: `cargo run --release -p logmon-examples --bin compile_time`.
#![expect(clippy::print_stdout, reason = "the figures are for a person")]

use std::{fmt::Write as _, path::Path, time::Instant};

use logmon_dsl::program::{Compilation, Mode, Reader, compile};

/// The size of a hostile file: just below the largest that is read.
const MEBIBYTE: usize = 1 << 20;

struct One(String);

impl Reader for One {
    fn read(&self, _path: &Path) -> Result<String, String> {
        Ok(self.0.clone())
    }
}

fn compiled(text: String) -> Compilation {
    compile(Path::new("main.rules"), &One(text), Mode::Run)
}

fn main() {
    for n in [1_000, 10_000] {
        report(&format!("{n} rules like those people write"), &rules(n));
    }
    for (name, text) in hostile() {
        report(name, &text);
    }
}

/// The best of three runs: what it costs when nobody else wants the core.
fn report(name: &str, text: &str) {
    let mut best = f64::INFINITY;
    let mut outcome = String::new();
    for _ in 0..3 {
        let began = Instant::now();
        let compiled = compiled(text.to_owned());
        best = best.min(began.elapsed().as_secs_f64());
        outcome = match &compiled.program {
            Some(program) => format!("{} rules in the plan", program.plan.rules.len()),
            None => format!("refused, {} diagnostics", compiled.diagnostics.len()),
        };
    }
    println!("{best:8.3} s  {:>9} bytes  {name}: {outcome}", text.len());
}

/// Rules of ten shapes, each with names and constants of its own.
fn rules(n: usize) -> String {
    let mut text = String::from("source app\nsink logs : { ... }\nsink cold : { ... }\n");
    for at in 0..n {
        let rule = match at % 10 {
            0 => format!(
                "when .service == \"s{at}\" and .severity < info {{ drop as \"noise{at}\" }}"
            ),
            1 => format!("when .message contains \"word {at}\" {{ tag \"t{at}\" }}"),
            2 => format!("when .http.status == {at} {{ .http.class = \"c{at}\" }}"),
            3 => format!("when .host starts_with \"h{at}-\" and .a.b > {at} {{ route to cold }}"),
            4 => format!("when .service in [\"a{at}\", \"b{at}\"] {{ .owner = \"team-{at}\" }}"),
            5 => format!(
                "when .message like glob\"*{at}*failed*\" {{ .kind = lower(.service) ?? \"k{at}\" }}"
            ),
            6 => format!("when .n is present and int(.n) > {at} {{ sample 5% by .trace_id }}"),
            7 => format!(
                "when .service == \"x{at}\" {{ if .duration_ms > {at} {{ .slow = true }} else {{ .slow = false }} }}"
            ),
            8 => format!("when .message matches re\"code {at}\\\\d+ at\" {{ .code = {at} }}"),
            _ => format!(
                "when .environment == \"e{at}\" {{ let x = int(.size) else {{ return }}  .kib = x / 1024 }}"
            ),
        };
        writeln!(text, "rule r{at} on app {rule}").expect("a string takes all");
    }
    text.push_str("default route to logs\n");
    text
}

/// Texts of a mebibyte that try to cost more than they are worth.
fn hostile() -> Vec<(&'static str, String)> {
    let repeat = |part: &str| part.repeat(MEBIBYTE / part.len());
    let within = |head: &str, part: &str, tail: &str| {
        format!("{head}{}{tail}", part.repeat((MEBIBYTE - head.len() - tail.len()) / part.len()))
    };
    let head = "source app\nsink s : { ... }\n";
    let rule = format!("{head}rule r on app when ");
    vec![
        ("open brackets", repeat("(")),
        ("quotes", repeat("\"")),
        ("open blocks", repeat("rule r {")),
        ("words", repeat("rule if when else ")),
        ("one name", repeat("a")),
        ("noughts", repeat("\0")),
        ("a call in a call", within(&rule, "min(", " { }\n")),
        ("a negation of a negation", within(&rule, "not ", ".a { }\n")),
        ("a chain of conditions", within(&rule, ".a == 1 and ", ".b == 2 { drop }\n")),
        ("a long sum", within(&rule, "1 + ", "1 > .x { drop }\n")),
        (
            "one constant list",
            within(&rule, "1, ", "").replacen("when 1", "when .x in [1", 1) + "1] { drop }\n",
        ),
        (
            "an alternation of a regex",
            within(&format!("{rule}.m matches re\""), "ab|", "c\" { drop }\n"),
        ),
        (
            "repetitions in a regex",
            within(&format!("{rule}.m matches re\""), "(a{9}){9}", "\" { drop }\n"),
        ),
        ("a long path", within(&rule, ".a", " == 1 { drop }\n")),
        (
            "statements",
            within(
                &format!("{head}rule r on app {{\n"),
                ".a = .b + 1\n",
                "}\ndefault route to s\n",
            ),
        ),
        ("nested if", within(&format!("{head}rule r on app {{"), "if .a {", "}")),
        (
            "empty rules of one name",
            within(head, "rule r on app { .x = 1 }\n", "default route to s\n"),
        ),
        (
            "unknown names",
            within(
                &format!("{head}rule r on app {{\n"),
                ".a = nme + 1\n",
                "}\ndefault route to s\n",
            ),
        ),
        ("functions that double", doubling()),
    ]
}

/// Each function calls the one before it twice.
fn doubling() -> String {
    let mut text = String::from("source app\nsink s : { ... }\nfn f0(x: int?) -> int? = x + 1\n");
    let mut n = 1;
    while text.len() < MEBIBYTE - 200 {
        let below = n - 1;
        writeln!(text, "fn f{n}(x: int?) -> int? = f{below}(x + 1) + f{below}(x * 2)")
            .expect("a string takes all");
        n += 1;
    }
    writeln!(text, "rule r on app {{ .x = f{}(int(.y)) }}\ndefault route to s", n - 1)
        .expect("a string takes all");
    text
}

#[test]
fn many_rules_compile_and_hostile_megabytes_are_answered() {
    let plan = compiled(rules(500)).program.expect("they compile").plan;
    assert_eq!(plan.rules.len(), 500);
    for (name, text) in hostile() {
        let compiled = compiled(text);
        assert!(
            compiled.program.is_some() || !compiled.diagnostics.is_empty(),
            "{name} is answered"
        );
    }
}
