//! One mistake hides no other: what is around it is still read.

#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

use expect_test::expect;
use logmon_dsl::syntax::{ast::Item, parse_file};

use crate::diagnostics::check;

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
fn a_text_that_takes_a_bracket_in_is_what_is_shown() {
    check(
        "rule a { .a = \"abc }\n\nrule b { drop }\n",
        &expect![[r#"
        error[E100]: this text has no closing quote
         --> a.rules:1:15
          |
        1 | rule a { .a = "abc }
          |               ^^^^^^ starts here
          |
          = note: text ends on its line; `r"""…"""` may have several
    "#]],
    );
}
