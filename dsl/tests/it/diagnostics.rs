//! What a person sees when a program is wrong.

#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

use expect_test::{Expect, expect};
use logmon_dsl::{
    diagnostic::Diagnostic,
    render::render,
    span::Sources,
    syntax::{parse_expr, parse_file},
};

/// Draws what is wrong with a file.
#[track_caller]
pub(crate) fn check(text: &str, expected: &Expect) {
    let mut sources = Sources::new();
    let file = sources.add("a.rules", text);
    let (_, diagnostics) = parse_file(file, text);
    expected.assert_eq(&render(&diagnostics, &sources, false));
}

#[track_caller]
fn check_expr(text: &str, expected: &Expect) {
    let mut sources = Sources::new();
    let file = sources.add("search", text);
    let (_, diagnostics) = parse_expr(file, text);
    expected.assert_eq(&render(&diagnostics, &sources, false));
}

/// Applies every fix that is sure; the result must be free of mistakes.
#[track_caller]
fn fixed(text: &str) -> String {
    let mut sources = Sources::new();
    let file = sources.add("search", text);
    let (_, diagnostics) = parse_expr(file, text);
    let mut edits: Vec<_> = diagnostics
        .iter()
        .filter_map(|diagnostic| diagnostic.help.as_ref())
        .filter(|help| help.sure)
        .flat_map(|help| help.edits.clone())
        .collect();
    edits.sort_by_key(|(at, _)| std::cmp::Reverse((at.start, at.end)));
    let mut text = text.to_owned();
    for (at, new) in edits {
        text.replace_range(at.range(), &new);
    }
    let (_, left): (_, Vec<Diagnostic>) = parse_expr(file, &text);
    assert!(left.is_empty(), "{text}: {left:?}");
    text
}

#[test]
fn nine_habits_of_other_languages() {
    check(
        "rule r when .a = 1 { drop }",
        &expect![[r#"
        error[E105]: `=` does not compare
         --> a.rules:1:16
          |
        1 | rule r when .a = 1 { drop }
          |                ^ this assigns
          |
        help: write `==`
          |
        1 | rule r when .a == 1 { drop }
          |                 +
    "#]],
    );
    check_expr(
        ".a == 1 && .b == 2",
        &expect![[r#"
        error[E105]: `&&` is spelled `and`
         --> search:1:9
          |
        1 | .a == 1 && .b == 2
          |         ^^ operators on conditions are words
          |
        help: write `and`
          |
        1 - .a == 1 && .b == 2
        1 + .a == 1 and .b == 2
          |
    "#]],
    );
    check_expr(
        ".a||.b",
        &expect![[r#"
        error[E105]: `||` is spelled `or`
         --> search:1:3
          |
        1 | .a||.b
          |   ^^ operators on conditions are words
          |
        help: write `or`
          |
        1 - .a||.b
        1 + .a or .b
          |
    "#]],
    );
    check_expr(
        "!is_public(.ip)",
        &expect![[r#"
        error[E105]: `!` is spelled `not`
         --> search:1:1
          |
        1 | !is_public(.ip)
          | ^ operators on conditions are words
          |
          = note: `not` takes the whole comparison: `not a == b` is `a != b`
        help: write `not`
          |
        1 - !is_public(.ip)
        1 + not is_public(.ip)
          |
    "#]],
    );
    check_expr(
        ".a == 'text'",
        &expect![[r#"
        error[E105]: text stands in double quotes
         --> search:1:7
          |
        1 | .a == 'text'
          |       ^^^^^^ single quotes have no meaning
          |
        help: write `"text"`
          |
        1 - .a == 'text'
        1 + .a == "text"
          |
    "#]],
    );
    check_expr(
        r#".a =~ "^x\d""#,
        &expect![[r#"
            error[E105]: `=~` is spelled `matches`
             --> search:1:4
              |
            1 | .a =~ "^x\d"
              |    ^^ this matches a regex
              |
            help: write `matches re"…"`
              |
            1 - .a =~ "^x\d"
            1 + .a matches re"^x\d"
              |
        "#]],
    );
    check(
        "rule r { dedup by .a within 5 min }",
        &expect![[r#"
        error[E105]: a duration is written without a space
         --> a.rules:1:29
          |
        1 | rule r { dedup by .a within 5 min }
          |                             ^^^^^ a number and a word
          |
          = note: the units are ns us ms s m h d w, and they add up: `1h30m`
        help: write `5m`
          |
        1 - rule r { dedup by .a within 5 min }
        1 + rule r { dedup by .a within 5m }
          |
    "#]],
    );
    check_expr(
        ".a == null or .b != null",
        &expect![[r#"
        error[E105]: nothing equals `null`
         --> search:1:4
          |
        1 | .a == null or .b != null
          |    ^^^^^^^ always false
          |
          = note: `is absent` asks for no value at all, `is null` for a JSON null alone
        help: write `is absent`
          |
        1 - .a == null or .b != null
        1 + .a is absent or .b != null
          |

        error[E105]: nothing equals `null`
         --> search:1:18
          |
        1 | .a == null or .b != null
          |                  ^^^^^^^ always true
          |
          = note: `is absent` asks for no value at all, `is null` for a JSON null alone
        help: write `is not absent`
          |
        1 - .a == null or .b != null
        1 + .a == null or .b is not absent
          |
    "#]],
    );
    check_expr(
        "1 < .a + 1 <= 10",
        &expect![[r#"
        error[E105]: comparisons do not chain
         --> search:1:12
          |
        1 | 1 < .a + 1 <= 10
          |   -        ^^ a second comparison
          |   |
          |   the first
          |
        help: compare twice
          |
        1 | 1 < .a + 1 and .a + 1 <= 10
          |            ++++++++++
    "#]],
    );
}

#[test]
fn sure_fixes_are_right() {
    for (text, after) in [
        (".a = 1 && .b", ".a == 1 and .b"),
        (".a&&!.b", ".a and not .b"),
        ("!(.a || .b)", "not (.a or .b)"),
        (".a == 'it' or .b == 'say \"x\"'", r#".a == "it" or .b == "say \"x\"""#),
        (r#".a =~ "x"i"#, r#".a matches re"x"i"#),
        (r#".a !~ re"x""#, r#".a not matches re"x""#),
        (".t > now() - 15 minutes", ".t > now() - 15m"),
        (".a==null", ".a is absent"),
        ("(.a != null)", "(.a is not absent)"),
        ("1 < .a < 10 and .b", "1 < .a and .a < 10 and .b"),
        ("not 1 < .a < .b < 4", "not (1 < .a and .a < .b and .b < 4)"),
    ] {
        assert_eq!(fixed(text), after);
    }
}

#[test]
fn literals_that_say_nothing() {
    check_expr(
        r#""a\d" == "\u{110000}""#,
        &expect![[r#"
        error[E120]: `\d` is no escape
         --> search:1:3
          |
        1 | "a\d" == "\u{110000}"
          |   ^^ not known
          |
          = note: text knows \n \r \t \\ \" and \u{1F600}
        help: double the backslash where one is meant
          |
        1 | "a\\d" == "\u{110000}"
          |   +

        error[E120]: `\u` is no escape
         --> search:1:11
          |
        1 | "a\d" == "\u{110000}"
          |           ^^ not known
          |
          = note: text knows \n \r \t \\ \" and \u{1F600}
        help: double the backslash where one is meant
          |
        1 | "a\d" == "\\u{110000}"
          |           +
    "#]],
    );
    check_expr(
        "99999999999999999999 + 1e999 + 999999999999w",
        &expect![[r#"
        error[E120]: this number is too large for an `int`
         --> search:1:1
          |
        1 | 99999999999999999999 + 1e999 + 999999999999w
          | ^^^^^^^^^^^^^^^^^^^^ above 9_223_372_036_854_775_807

        error[E120]: this number is too large for a `float`
         --> search:1:24
          |
        1 | 99999999999999999999 + 1e999 + 999999999999w
          |                        ^^^^^ above 1.8e308

        error[E120]: this duration is too long
         --> search:1:32
          |
        1 | 99999999999999999999 + 1e999 + 999999999999w
          |                                ^^^^^^^^^^^^^ above 292 years
    "#]],
    );
    check(
        "rule r { sample 200% }",
        &expect![[r#"
        error[E120]: a share lies between nothing and all
         --> a.rules:1:17
          |
        1 | rule r { sample 200% }
          |                 ^^^^ not within 0% and 100%
    "#]],
    );
}

#[test]
fn search_text_stands_in_quotes() {
    check_expr(
        "connection reset by peer",
        &expect![[r#"
            error[E100]: expected `and`, `or` or the end of the text, found `reset`
             --> search:1:12
              |
            1 | connection reset by peer
              |            ^^^^^ not expected here
              |
              = help: text to search for stands in quotes: "connection reset"
        "#]],
    );
    check_expr(
        "",
        &expect![[r#"
            error[E100]: expected an expression, found the end of the text
             --> search:1:1
              |
            1 |
              | ^ not expected here
        "#]],
    );
    check_expr(
        "(.a",
        &expect![[r#"
        error[E100]: this `(` is never closed
         --> search:1:1
          |
        1 | (.a
          | ^ opened here
    "#]],
    );
    check_expr(
        ".a == 1)",
        &expect![[r#"
        error[E100]: this `)` closes nothing
         --> search:1:8
          |
        1 | .a == 1)
          |        ^ no bracket is open here
    "#]],
    );
    check_expr(
        ".a == 1 2",
        &expect![[r#"
            error[E100]: expected `and`, `or` or the end of the text, found `2`
             --> search:1:9
              |
            1 | .a == 1 2
              |         ^ not expected here
              |
              = help: text to search for stands in quotes: "connection reset"
        "#]],
    );
    check_expr(
        "f(a b)",
        &expect![[r#"
            error[E100]: expected `and`, `or`, `)` or `,`, found `b`
             --> search:1:5
              |
            1 | f(a b)
              |     ^ not expected here
        "#]],
    );
    check_expr(
        "[1 2]",
        &expect![[r#"
            error[E100]: expected `and`, `or`, `]` or `,`, found `2`
             --> search:1:4
              |
            1 | [1 2]
              |    ^ not expected here
        "#]],
    );
    check_expr(
        "match .a { 1 = 2 }",
        &expect![[r#"
        error[E100]: expected `..=` or `=>`, found `=`
         --> search:1:14
          |
        1 | match .a { 1 = 2 }
          |              ^ not expected here
    "#]],
    );
}

#[test]
fn diagnostics_resolve_for_machines() {
    let text = "rule r\n  when .a = 1 { drop }";
    let mut sources = Sources::new();
    let file = sources.add("a.rules", text);
    let (_, diagnostics) = parse_file(file, text);
    let resolved: Vec<_> = diagnostics.iter().map(|found| found.resolve(&sources)).collect();
    expect![[r#"
        [
          {
            "code": "E105",
            "severity": "error",
            "message": "`=` does not compare",
            "at": {
              "path": "a.rules",
              "line": 2,
              "column": 11,
              "end_line": 2,
              "end_column": 12
            },
            "label": "this assigns",
            "related": [],
            "notes": [],
            "help": {
              "message": "write `==`",
              "edits": [
                {
                  "at": {
                    "path": "a.rules",
                    "line": 2,
                    "column": 11,
                    "end_line": 2,
                    "end_column": 12
                  },
                  "text": "=="
                }
              ],
              "sure": true
            }
          }
        ]"#]]
    .assert_eq(&serde_json::to_string_pretty(&resolved).unwrap());
}
