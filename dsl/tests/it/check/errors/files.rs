//! Files that do not fit together, circles, and names nobody uses.

use expect_test::expect;

use crate::check::check_files;

#[test]
fn circles() {
    check_files(
        &[
            (
                "main.rules",
                r#"use "lib.rules"
const A = B
const B = A
type T = { t: T? }
fn f(x: int) -> int = g(x)
fn g(x: int) -> int = f(x)
"#,
            ),
            ("lib.rules", "use \"other.rules\"\n"),
            ("other.rules", "use \"lib.rules\"\n"),
        ],
        &expect![[r#"
            error[E104]: the constant `A` refers to itself
             --> main.rules:2:7
              |
            2 | const A = B
              |       ^

            error[E104]: the type `T` contains itself
             --> main.rules:4:6
              |
            4 | type T = { t: T? }
              |      ^

            error[E104]: `f` calls itself
             --> main.rules:5:4
              |
            5 | fn f(x: int) -> int = g(x)
              |    ^
              |
              = note: functions are put in place of their calls, so none may call itself

            error[E104]: `lib.rules` uses itself by way of other files
             --> other.rules:1:5
              |
            1 | use "lib.rules"
              |     ^^^^^^^^^^^ closes the circle
              |
             ::: lib.rules:1:5
              |
            1 | use "other.rules"
              |     ------------- by way of this
        "#]],
    );
}

#[test]
fn files_that_do_not_fit_together() {
    check_files(
        &[
            (
                "main.rules",
                r#"use "lib.rules"
use "gone.rules"
include "part.rules"
include "part.rules"
include "lib.rules"
const LIST = lines("gone.txt")
const NETS = cidrs("nets.txt")
"#,
            ),
            ("lib.rules", "rule r { drop }\n"),
            ("part.rules", "default route to logs\n"),
            ("nets.txt", "10.0.0.0/8\nnonsense\n"),
        ],
        &expect![[r#"
            error[E109]: cannot read `gone.rules`: no such file
             --> main.rules:2:5
              |
            2 | use "gone.rules"
              |     ^^^^^^^^^^^^ paths are relative to this file

            error[E109]: `part.rules` is included twice
             --> main.rules:4:9
              |
            3 | include "part.rules"
              |         ------------ named here first
            4 | include "part.rules"
              |         ^^^^^^^^^^^^

            error[E109]: `lib.rules` cannot be both used and included
             --> main.rules:5:9
              |
            1 | use "lib.rules"
              |     ----------- named here first
            ...
            5 | include "lib.rules"
              |         ^^^^^^^^^^^

            error[E109]: cannot read `gone.txt`: no such file
             --> main.rules:6:20
              |
            6 | const LIST = lines("gone.txt")
              |                    ^^^^^^^^^^

            error[E120]: line 2 of `nets.txt` is not a block of addresses: `nonsense`
             --> main.rules:7:20
              |
            7 | const NETS = cidrs("nets.txt")
              |                    ^^^^^^^^^^

            error[E109]: a rule stands in a used file
             --> lib.rules:1:6
              |
            1 | rule r { drop }
              |      ^ a used file holds names, no rules
              |
             ::: main.rules:1:5
              |
            1 | use "lib.rules"
              |     ----------- named here
              |
              = help: include the file instead of using it, or move the names to a file of their own

            error[E109]: `default route to` stands in an included file
             --> part.rules:1:1
              |
            1 | default route to logs
              | ^^^^^^^^^^^^^^^^^^^^^ only the entry file says where the rest goes
              |
             ::: main.rules:3:9
              |
            3 | include "part.rules"
              |         ------------ named here

            error[E102]: there is no sink `logs`
             --> part.rules:1:18
              |
            1 | default route to logs
              |                  ^^^^
        "#]],
    );
}

#[test]
fn two_files_that_declare_one_source() {
    check_files(
        &[
            (
                "main.rules",
                "use \"a.rules\" as a\nuse \"b.rules\" as b\nrule r on a::app { route to b::logs }\n",
            ),
            ("a.rules", "source app\n"),
            ("b.rules", "source app\nsink logs : table(\"logs\")\n"),
        ],
        &expect![[r#"
            error[E108]: two files declare the source `app`
             --> b.rules:1:8
              |
            1 | source app
              |        ^^^
              |
             ::: a.rules:1:8
              |
            1 | source app
              |        --- the first one
              |
              = note: its connection is bound to the name, so a program has one of each
        "#]],
    );
}

#[test]
fn unused_names() {
    check_files(
        &[
            (
                "main.rules",
                r#"use "lib.rules"
use "lib.rules" as lib
source app
sink logs : table("logs")
sink spare : table("spare")
lookup geo(ip) -> string?
const N = 1
const M = 2
type T = int
fn f(x: int) -> int = x + M
rule r { let a = 1  let _b = 2  .c = lib::F }
default route to logs
"#,
            ),
            ("lib.rules", "const F = 1\nconst G = 2\n"),
        ],
        &expect![[r#"
            warning[W110]: nothing of `lib.rules` is used here
             --> main.rules:1:1
              |
            1 | use "lib.rules"
              | ^^^^^^^^^^^^^^^
              |
            help: remove it
              |
            1 - use "lib.rules"
              |

            warning[W110]: the sink `spare` is never used
             --> main.rules:5:6
              |
            5 | sink spare : table("spare")
              |      ^^^^^

            warning[W110]: the lookup `geo` is never used
             --> main.rules:6:8
              |
            6 | lookup geo(ip) -> string?
              |        ^^^

            warning[W110]: the const `N` is never used
             --> main.rules:7:7
              |
            7 | const N = 1
              |       ^

            warning[W110]: the type `T` is never used
             --> main.rules:9:6
              |
            9 | type T = int
              |      ^

            warning[W110]: the fn `f` is never used
              --> main.rules:10:4
               |
            10 | fn f(x: int) -> int = x + M
               |    ^

            warning[W110]: `a` is never used
              --> main.rules:11:14
               |
            11 | rule r { let a = 1  let _b = 2  .c = lib::F }
               |              ^
               |
               = help: `_a` says that this is meant
        "#]],
    );
}

#[test]
fn a_library_checked_alone() {
    check_files(
        &[("main.rules", "const A = 1\ntype T = { a: int }\nfn f(x: int) -> int = x\n")],
        &expect![[""]],
    );
}

#[test]
fn tables_secrets_and_grok() {
    check_files(
        &[
            (
                "main.rules",
                r#"source app
sink logs : table("logs")
const A = table("a.csv")
const B = table("a.csv", key: "nme")
const C = table("short.csv", key: "x")
const D = table("twice.csv", key: "x")
const S = secret("example")

rule r {
  .a = hmac(.m, "text")
  .b = hmac(.m, secret("other"))
  .c = secret("example")
  .d = S
  .e = parse_grok(.m, grok"%{NUMBR:n}")
  .f = parse_grok(.m, grok"%{WORD:n}(?!x)")
  .g = parse_grok(.m, "%{WORD:n}")
  .h = grok"%{WORD:n}"
  .i = hmac(.m, S)
}
default route to logs
"#,
            ),
            ("a.csv", "name,x\n1,2\n"),
            ("short.csv", "x,y\n1\n"),
            ("twice.csv", "x,y\n1,2\n1,3\n"),
        ],
        &expect![[r#"
            error[E102]: `table` takes a path and `key`: `table("hosts.csv", key: "name")`
             --> main.rules:3:11
              |
            3 | const A = table("a.csv")
              |           ^^^^^^^^^^^^^^

            error[E120]: `a.csv` has no column `nme`: its first line names name, x
             --> main.rules:4:31
              |
            4 | const B = table("a.csv", key: "nme")
              |                               ^^^^^

            error[E120]: row 2 of `short.csv` has 1 columns, the first has 2
             --> main.rules:5:17
              |
            5 | const C = table("short.csv", key: "x")
              |                 ^^^^^^^^^^^

            error[E120]: row 3 of `twice.csv` repeats the key `1`
             --> main.rules:6:17
              |
            6 | const D = table("twice.csv", key: "x")
              |                 ^^^^^^^^^^^

            error[E101]: `key` of `hmac` takes `secret("name")`: a key must not stand in rules
              --> main.rules:10:17
               |
            10 |   .a = hmac(.m, "text")
               |                 ^^^^^^

            error[E109]: there is no secret `other`: nobody set it
              --> main.rules:11:24
               |
            11 |   .b = hmac(.m, secret("other"))
               |                        ^^^^^^^

            error[E101]: a secret is no value
              --> main.rules:12:8
               |
            12 |   .c = secret("example")
               |        ^^^^^^^^^^^^^^^^^
               |
               = help: use it as the key of `hmac` or `pseudonymize`

            error[E101]: a secret is no value
              --> main.rules:13:8
               |
            13 |   .d = S
               |        ^
               |
               = help: use it with `hmac` or `pseudonymize`

            error[E120]: this grok pattern is wrong: there is no pattern `NUMBR`
              --> main.rules:14:28
               |
            14 |   .e = parse_grok(.m, grok"%{NUMBR:n}")
               |                            ^^^^^^^^^^
               |
               = help: a pattern with a similar name exists: `NUMBER`

            error[E121]: look-around is not supported: regexes run in linear time
              --> main.rules:15:37
               |
            15 |   .f = parse_grok(.m, grok"%{WORD:n}(?!x)")
               |                                     ^^^
               |
               = help: leave it out and add a second condition: `and not (x matches re"…")`

            error[E101]: `grok` of `parse_grok` takes `grok"…"`
              --> main.rules:16:23
               |
            16 |   .g = parse_grok(.m, "%{WORD:n}")
               |                       ^^^^^^^^^^^

            error[E101]: a grok pattern is no value
              --> main.rules:17:8
               |
            17 |   .h = grok"%{WORD:n}"
               |        ^^^^^^^^^^^^^^^
               |
               = help: use it with `parse_grok`
        "#]],
    );
}
