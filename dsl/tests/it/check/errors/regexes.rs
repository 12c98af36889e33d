//! What is said of regexes, and that sure repairs compile and mean the same.

use expect_test::{Expect, expect};

use crate::check::compile_text;
use logmon_dsl::program::Mode;

const HEAD: &str = "source app\nsink logs : table(\"logs\")\ndefault route to logs\n";

/// The condition after its sure repairs, which must be free of mistakes, and the codes that asked for them.
#[track_caller]
fn repaired(condition: &str, expected: &Expect) {
    let text = format!("{HEAD}rule r when {condition} {{ tag \"x\" }}\n");
    let compilation = compile_text(&text, Mode::Test);
    let mut codes = Vec::new();
    let mut edits = Vec::new();
    for one in &compilation.diagnostics {
        codes.push(one.code.name());
        if let Some(help) = one.help.as_ref().filter(|help| help.sure) {
            edits.extend(help.edits.clone());
        }
    }
    edits.sort_by_key(|(at, _)| std::cmp::Reverse(at.start));
    let mut text = text;
    let n_edits = edits.len();
    for (at, new) in edits {
        text.replace_range(at.range(), &new);
    }
    let left = compile_text(&text, Mode::Test).diagnostics;
    assert!(n_edits == 0 || left.is_empty(), "{text}: {left:?}");
    let condition = text.split(" when ").nth(1).and_then(|rest| rest.split(" { tag").next());
    expected.assert_eq(&format!("{} {}", codes.join(","), condition.unwrap_or_default()));
}

#[test]
fn operators_that_say_the_same() {
    repaired(r#".message matches re"^GET ""#, &expect![[r#"W123 .message starts_with "GET ""#]]);
    repaired(r#".message matches re"\.gz$""#, &expect![[r#"W123 .message ends_with ".gz""#]]);
    repaired(r#".message matches re"^ok$""#, &expect![[r#"W123 .message == "ok""#]]);
    repaired(
        r#".message matches re".*time out.*""#,
        &expect![[r#"W123 .message contains "time out""#]],
    );
    repaired(
        r#".service matches re"^(?:web|pay)$""#,
        &expect![[r#"W123 .service in ["web", "pay"]"#]],
    );
    // Not sure: letters have more forms in a regex, and a call replaces an operator.
    repaired(
        r#".message matches re"timeout"i"#,
        &expect![[r#"W123 .message matches re"timeout"i"#]],
    );
    repaired(
        r#".message matches re"lost|gone""#,
        &expect![[r#"W123 .message matches re"lost|gone""#]],
    );
}

#[test]
fn regexes_that_are_needed() {
    repaired(
        r#".message matches re"user \d+ failed""#,
        &expect![[r#" .message matches re"user \d+ failed""#]],
    );
    repaired(
        r#".message matches re"^\w+ .* timeout .*\d""#,
        &expect![[r#" .message matches re"^\w+ .* timeout .*\d""#]],
    );
    repaired(r#".message matches re"(?m)^x""#, &expect![[r#" .message matches re"(?m)^x""#]]);
}

#[test]
fn groups_that_nobody_reads() {
    repaired(
        r#".message matches re"user=(?<user>\w+) (?P<did>\w+)""#,
        &expect![[r#"W124,W124 .message matches re"user=(?:\w+) (?:\w+)""#]],
    );
}

#[test]
fn regexes_that_are_dear() {
    repaired(
        r#".message matches re"\w+ .*\d.*\w+x""#,
        &expect![[r#"W122 .message matches re"\w+ .*\d.*\w+x""#]],
    );
    repaired(r#".message matches re"a{300}b""#, &expect![[r#"W122 .message matches re"a{300}b""#]]);
}

#[test]
fn letters_that_never_come() {
    repaired(r#"lower(.service) == "Web""#, &expect![[r#"W203 lower(.service) == "web""#]]);
    repaired(
        r#"upper(.service) in ["WEB", "pay"]"#,
        &expect![[r#"W203 upper(.service) in ["WEB", "PAY"]"#]],
    );
}
