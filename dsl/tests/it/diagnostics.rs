//! What a person sees when a program is wrong.

#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

use expect_test::{Expect, expect};
use logmon_dsl::{
    diagnostic::Diagnostic,
    render::render,
    span::Sources,
    syntax::{ast::Item, parse_expr, parse_file},
};

#[track_caller]
fn check(text: &str, expected: &Expect) {
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
fn three_mistakes_are_three_diagnostics() {
    let text = "\
rule a on s when .x == {
  drop
}
source s : {
  n: int
}
rule b on s {
  .a = )
  .b = 1
  if .c {
    .d =
    .e = 2
  }
  rout to x
  drop as \"b\"
}
rul c { }
rule d { drop }
";
    check(
        text,
        &expect![[r#"
            error[E100]: expected `:`, found `}`
             --> a.rules:2:3
              |
            2 |   drop
              |   ^^^^ something is missing after this

            error[E100]: expected an expression, found `)`
             --> a.rules:8:8
              |
            8 |   .a = )
              |        ^ not expected here

            error[E100]: the value is missing
              --> a.rules:11:8
               |
            11 |     .d =
               |        ^ expected an expression after this
            12 |     .e = 2
               |     -- this is already the next statement

            error[E100]: expected a statement, found `rout`
              --> a.rules:14:3
               |
            14 |   rout to x
               |   ^^^^ not expected here
               |
            help: did you mean `route`?
               |
            14 |   route to x
               |       +

            error[E100]: expected a declaration, found `rul`
              --> a.rules:17:1
               |
            17 | rul c { }
               | ^^^ not expected here
               |
            help: did you mean `rule`?
               |
            17 | rule c { }
               |    +
        "#]],
    );
    let (file, _) = parse_file(logmon_dsl::span::FileId(0), text);
    let rules = file.items.iter().filter(|item| matches!(item, Item::Rule(_))).count();
    assert_eq!(rules, 2, "{:#?}", file.items);
}

#[test]
fn statements_around_a_mistake_are_read() {
    check(
        "rule b {\n  .a = 1\n  frobnicate\n  .b = 1\n}",
        &expect![[r#"
            error[E100]: expected a statement, found `frobnicate`
             --> a.rules:3:3
              |
            3 |   frobnicate
              |   ^^^^^^^^^^ not expected here
        "#]],
    );
    check(
        "rule b {\n  .a = [1, 2\n  .b = 1\n}",
        &expect![[r#"
        error[E100]: this `[` is never closed
         --> a.rules:2:8
          |
        1 | rule b {
          | ---- in this `rule`
        2 |   .a = [1, 2
          |        ^ opened here
    "#]],
    );
    check(
        "rule b {\n  let x = \n  let y = f(x) else { drap }\n  .b = y +\n}",
        &expect![[r#"
            error[E100]: expected an expression, found `let`
             --> a.rules:2:9
              |
            2 |   let x = 
              |         ^ something is missing after this

            error[E100]: expected a statement or `}`, found `drap`
             --> a.rules:3:23
              |
            3 |   let y = f(x) else { drap }
              |                       ^^^^ not expected here
              |
            help: did you mean `drop`?
              |
            3 -   let y = f(x) else { drap }
            3 +   let y = f(x) else { drop }
              |

            error[E100]: expected an expression, found `}`
             --> a.rules:4:10
              |
            4 |   .b = y +
              |          ^ something is missing after this
        "#]],
    );
    check(
        "rule b {\n  a = 1;\n  route b\n  drop \"x\"\n}",
        &expect![[r#"
            error[E100]: expected a statement, found `a`
             --> a.rules:2:3
              |
            2 |   a = 1;
              |   ^ not expected here
              |
            help: a field starts with a dot
              |
            2 |   .a = 1;
              |   +

            error[E100]: expected `to`, found `b`
             --> a.rules:3:9
              |
            3 |   route b
              |         ^ not expected here

            error[E100]: expected a statement, `}` or `as`, found `"x"`
             --> a.rules:4:8
              |
            4 |   drop "x"
              |        ^^^ not expected here
              |
            help: a reason stands behind `as`
              |
            4 |   drop as "x"
              |        ++
        "#]],
    );
    check(
        "group g first {\n  rule a { drop as }\n  rule b on { drop }\n  rule c { drop }\n}",
        &expect![[r#"
            error[E100]: expected text in quotes, found `}`
             --> a.rules:2:20
              |
            2 |   rule a { drop as }
              |                    ^ not expected here

            error[E100]: expected a name, found `{`
             --> a.rules:3:13
              |
            3 |   rule b on { drop }
              |             ^ not expected here
        "#]],
    );
    check(
        "alert x on any {\n  over 5 minuets\n  let n = count(\n  )\n  fire when n > \n}",
        &expect![[r#"
            error[E100]: expected a unit of time such as `m`, found `minuets`
             --> a.rules:2:10
              |
            2 |   over 5 minuets
              |          ^^^^^^^ not expected here

            error[E100]: expected an expression, found `}`
             --> a.rules:5:15
              |
            5 |   fire when n > 
              |               ^ something is missing after this
        "#]],
    );
    check(
        "test \"t\" {\n  given { a: 1\n  expect dropped by\n  advance soon\n}",
        &expect![[r#"
        error[E100]: this `{` is never closed
         --> a.rules:1:10
          |
        1 | test "t" {
          | ----     ^ opened here
          | |
          | in this `test`
        2 |   given { a: 1
          |         - perhaps it is this one that is open
        ...
        5 | }
          | - this stands too far left for it
    "#]],
    );
}

#[test]
fn a_brace_is_missed_where_it_was_forgotten() {
    check(
        "rule a on s {\n  if .x {\n    drop\n}\n\nrule b on s {\n  drop\n}\n",
        &expect![[r#"
        error[E100]: this `{` is never closed
         --> a.rules:1:13
          |
        1 | rule a on s {
          | ----        ^ opened here
          | |
          | in this `rule`
        2 |   if .x {
          |         - perhaps it is this one that is open
        3 |     drop
        4 | }
          | - this stands too far left for it
    "#]],
    );
    check(
        "rule a { drop }\n}\nrule b { drop }\n",
        &expect![[r#"
        error[E100]: this `}` closes nothing
         --> a.rules:2:1
          |
        2 | }
          | ^ no bracket is open here
    "#]],
    );
    check(
        "const A = [1, 2\nconst B = (1]\n",
        &expect![[r#"
        error[E100]: this `[` is never closed
         --> a.rules:1:11
          |
        1 | const A = [1, 2
          | -----     ^ opened here
          | |
          | in this `const`

        error[E100]: this `(` is never closed
         --> a.rules:2:11
          |
        2 | const B = (1]
          | -----     ^ opened here
          | |
          | in this `const`
    "#]],
    );
    check(
        "const A = \"abc\nconst B = r\"\"\"x\nconst C = f\"{a\n",
        &expect![[r#"
        error[E100]: this text has no closing quote
         --> a.rules:1:11
          |
        1 | const A = "abc
          |           ^^^^ starts here
          |
          = note: text ends on its line; `r"""…"""` may have several

        error[E100]: this text has no closing quote
         --> a.rules:2:11
          |
        2 | const B = r"""x
          |           ^^^^^ starts here
          |
          = note: text ends on its line; `r"""…"""` may have several

        error[E100]: this `{` is never closed
         --> a.rules:3:13
          |
        3 | const C = f"{a
          | -----       ^ opened here
          | |
          | in this `const`
    "#]],
    );
}

#[test]
fn declarations_say_what_they_lack() {
    check(
        "use lib\nsource\nsink x\nconst drop = 1\n",
        &expect![[r#"
            error[E100]: expected text in quotes, found `lib`
             --> a.rules:1:5
              |
            1 | use lib
              |     ^^^ not expected here

            error[E100]: expected a name, found the next declaration
             --> a.rules:2:1
              |
            2 | source
              | ^^^^^^ something is missing after this

            error[E100]: expected `:`, found the next declaration
             --> a.rules:3:6
              |
            3 | sink x
              |      ^ something is missing after this

            error[E100]: expected a name, found `drop`
             --> a.rules:4:7
              |
            4 | const drop = 1
              |       ^^^^ not expected here
              |
              = note: `drop` is a word of the language and cannot be a name
        "#]],
    );
    check(
        "type T = { a int }\nfn f(a) = a\nlookup l -> T\nenum e { }\n",
        &expect![[r#"
        error[E100]: expected `:`, found `int`
         --> a.rules:1:14
          |
        1 | type T = { a int }
          |              ^^^ not expected here

        error[E100]: expected `:`, found `)`
         --> a.rules:2:7
          |
        2 | fn f(a) = a
          |       ^ not expected here

        error[E100]: expected `(`, found `->`
         --> a.rules:3:10
          |
        3 | lookup l -> T
          |          ^^ not expected here

        error[E100]: expected a name, found `}`
         --> a.rules:4:10
          |
        4 | enum e { }
          |          ^ not expected here
    "#]],
    );
    check(
        "default route app\nrule x on when .a { }\nnonsense\n",
        &expect![[r#"
            error[E100]: expected `to`, found `app`
             --> a.rules:1:15
              |
            1 | default route app
              |               ^^^ not expected here

            error[E100]: expected a name, found `when`
             --> a.rules:2:11
              |
            2 | rule x on when .a { }
              |           ^^^^ not expected here
              |
              = note: `when` is a word of the language and cannot be a name

            error[E100]: expected a declaration, found `nonsense`
             --> a.rules:3:1
              |
            3 | nonsense
              | ^^^^^^^^ not expected here
              |
              = note: a declaration starts with `use`, `include`, `default`, `const`, `enum`, `type`, `source`, `lookup`, `sink`, `fn`, `rule`, `group`, `window`, `alert` or `test`
        "#]],
    );
    check(
        "rule x on s if .a { drop }",
        &expect![[r#"
            error[E100]: expected `{` or `when`, found `if`
             --> a.rules:1:13
              |
            1 | rule x on s if .a { drop }
              |             ^^ not expected here
              |
            help: did you mean `when`?
              |
            1 - rule x on s if .a { drop }
            1 + rule x on s when .a { drop }
              |
        "#]],
    );
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
