//! What does not fit: types, absent values, writes and routes.

use expect_test::expect;

use super::rules;

#[test]
fn types_that_do_not_fit() {
    rules(
        r#"rule r on web {
  .a = .status + "x"
  .status = "200"
  if .host { drop }
  .b = lower(.status)
  .c = -.host
  .d = [1, 2].x
}
rule s on web when .status == "500" { drop }
rule t on web when .ip == "10.0.0.1" and .ip == cidr"10.0.0.0/8" { drop }
rule u on web when .severity == "warn" and .severity > 5 { drop }
rule v on web when .host in "abc" and .status in ["a"] { drop }
"#,
        &expect![[r#"
            error[E101]: `+` does not take `int` and `string`
             --> t.rules:9:16
              |
            9 |   .a = .status + "x"
              |        ------- ^ --- this is `string`
              |        |
              |        this is `int`
              |
              = help: put values into text with `f"…{value}…"`

            error[E101]: `.status` takes `int`, not `string`
              --> t.rules:10:13
               |
            10 |   .status = "200"
               |             ^^^^^ this is `string`
               |
            help: write it as what it is
               |
            10 -   .status = "200"
            10 +   .status = 200
               |

            error[E101]: the condition of `if` is true or false, not `string?`
              --> t.rules:11:6
               |
            11 |   if .host { drop }
               |      ^^^^^ this is `string?`
               |
               = help: compare it with something, or ask `is present`

            error[E101]: `-` takes a number or duration, not `string?`
              --> t.rules:13:9
               |
            13 |   .c = -.host
               |         ^^^^^

            error[E201]: a `list<int>` has no field `x`
              --> t.rules:14:15
               |
            14 |   .d = [1, 2].x
               |        ------ ^
               |        |
               |        this is `list<int>`

            error[E101]: cannot compare `ip?` with `string`
              --> t.rules:17:27
               |
            17 | rule t on web when .ip == "10.0.0.1" and .ip == cidr"10.0.0.0/8" { drop }
               |                    ---    ^^^^^^^^^^ this is `string`
               |                    |
               |                    this is `ip?`
               |
            help: write it as what it is
               |
            17 | rule t on web when .ip == ip"10.0.0.1" and .ip == cidr"10.0.0.0/8" { drop }
               |                           ++

            error[E101]: cannot compare `ip?` with `cidr`
              --> t.rules:17:49
               |
            17 | rule t on web when .ip == "10.0.0.1" and .ip == cidr"10.0.0.0/8" { drop }
               |                                          ---    ^^^^^^^^^^^^^^^^ this is `cidr`
               |                                          |
               |                                          this is `ip?`
               |
            help: ask whether the block has the address
               |
            17 - rule t on web when .ip == "10.0.0.1" and .ip == cidr"10.0.0.0/8" { drop }
            17 + rule t on web when .ip == "10.0.0.1" and .ip in cidr"10.0.0.0/8" { drop }
               |

            error[E101]: cannot compare `severity` with `string`
              --> t.rules:18:33
               |
            18 | rule u on web when .severity == "warn" and .severity > 5 { drop }
               |                    ---------    ^^^^^^ this is `string`
               |                    |
               |                    this is `severity`
               |
            help: write it as what it is
               |
            18 - rule u on web when .severity == "warn" and .severity > 5 { drop }
            18 + rule u on web when .severity == warn and .severity > 5 { drop }
               |

            error[E101]: cannot compare `severity` with `int`
              --> t.rules:18:56
               |
            18 | rule u on web when .severity == "warn" and .severity > 5 { drop }
               |                                            ---------   ^ this is `int`
               |                                            |
               |                                            this is `severity`
               |
            help: convert it with `int`
               |
            18 | rule u on web when .severity == "warn" and int(.severity) > 5 { drop }
               |                                            ++++         +

            error[E101]: `in` takes a list or a `cidr`, not `string`
              --> t.rules:19:29
               |
            19 | rule v on web when .host in "abc" and .status in ["a"] { drop }
               |                             ^^^^^
               |
               = help: for text inside text write `contains`
        "#]],
    );
}

#[test]
fn absent_where_a_value_is_required() {
    rules(
        r#"fn twice(n: int) -> int = n * 2
rule r on app {
  let n = int(.n) else { tag "bad" }
  .x = twice(int(.m))
  .y = twice(n)
  let { country, contry } = geo(.ip) else { return }
  .z = country
  .w = contry
}
"#,
        &expect![[r#"
            error[E103]: this `else` block falls through
              --> t.rules:10:24
               |
            10 |   let n = int(.n) else { tag "bad" }
               |                        ^^^^^^^^^^^^^ ends without `return` or `drop`
               |
               = note: behind it the name of the `let` would have no value

            error[E103]: `n` of `twice` must be there, but this may be absent
              --> t.rules:11:14
               |
            11 |   .x = twice(int(.m))
               |              ^^^^^^^ this is `int?`
               |
               = help: give a default: `int(.m) ?? …`

            error[E201]: there is no field `contry` here
              --> t.rules:13:18
               |
            13 |   let { country, contry } = geo(.ip) else { return }
               |                  ^^^^^^ the record is closed
               |
            help: a field with a similar name exists
               |
            13 |   let { country, country } = geo(.ip) else { return }
               |                    +
        "#]],
    );
}

#[test]
fn writing_what_cannot_be_written() {
    rules(
        r#"rule a on web { .tags[0] = 1 . = {} .host.name = "x" .ip |= { a: 1 } .http |= { p: 1 } rename .http -> .http.x }
rule b on web { return .x = 1 }
"#,
        &expect![[r#"
            error[E101]: an element cannot be written by its place
             --> t.rules:8:22
              |
            8 | rule a on web { .tags[0] = 1 . = {} .host.name = "x" .ip |= { a: 1 } .http |= { p: 1 } rename .http -> .http.x }
              |                      ^^^
              |
              = help: build the whole list with `map`, `push` or `concat`

            error[E101]: the event as a whole cannot be written
             --> t.rules:8:30
              |
            8 | rule a on web { .tags[0] = 1 . = {} .host.name = "x" .ip |= { a: 1 } .http |= { p: 1 } rename .http -> .http.x }
              |                              ^
              |
              = help: write its fields one by one

            error[E101]: `.host` is `string` and holds no fields
             --> t.rules:8:37
              |
            8 | rule a on web { .tags[0] = 1 . = {} .host.name = "x" .ip |= { a: 1 } .http |= { p: 1 } rename .http -> .http.x }
              |                                     ^^^^^^^^^^

            error[E101]: `.ip` is `ip`: nothing merges into it
             --> t.rules:8:54
              |
            8 | rule a on web { .tags[0] = 1 . = {} .host.name = "x" .ip |= { a: 1 } .http |= { p: 1 } rename .http -> .http.x }
              |                                                      ^^^

            error[E101]: a path cannot move into itself
             --> t.rules:8:104
              |
            8 | rule a on web { .tags[0] = 1 . = {} .host.name = "x" .ip |= { a: 1 } .http |= { p: 1 } rename .http -> .http.x }
              |                                                                                                        ^^^^^^^

            warning[W111]: nothing reaches this statement
             --> t.rules:9:24
              |
            9 | rule b on web { return .x = 1 }
              |                        ^^^^^^ every event has left before it
        "#]],
    );
}

#[test]
fn routes_that_do_not_fit() {
    rules(
        r#"rule a on web { route to dlq(reason: .status, rw: "x"), logs(extra: 1) }
"#,
        &expect![[r#"
            error[E101]: `reason` of `dlq` takes `string`, not `int`
             --> t.rules:8:38
              |
            8 | rule a on web { route to dlq(reason: .status, rw: "x"), logs(extra: 1) }
              |                                      ^^^^^^^ this is `int`
              |
            help: convert it with `string`
              |
            8 | rule a on web { route to dlq(reason: string(.status), rw: "x"), logs(extra: 1) }
              |                                      +++++++       +

            error[E201]: `dlq` takes no `rw`
             --> t.rules:8:47
              |
            5 | sink dlq : { reason: string, raw: string }
              |      --- declared here
            ...
            8 | rule a on web { route to dlq(reason: .status, rw: "x"), logs(extra: 1) }
              |                                               ^^
              |
            help: a field with a similar name exists
              |
            8 | rule a on web { route to dlq(reason: .status, raw: "x"), logs(extra: 1) }
              |                                                +
        "#]],
    );
}

#[test]
fn declarations_that_clash() {
    rules(
        r#"sink logs : { a: int, a: string }
rule a { drop }
rule a { .x = { b: 1 }  .x = null }
default route to dlq
source bad : int
type L = list<nothing>
"#,
        &expect![[r#"
            error[E108]: `logs` is declared twice
             --> t.rules:8:6
              |
            4 | sink logs : table("logs")
              |      ---- declared here first
            ...
            8 | sink logs : { a: int, a: string }
              |      ^^^^

            error[E108]: the field `a` is declared twice
             --> t.rules:8:23
              |
            8 | sink logs : { a: int, a: string }
              |                       ^

            error[E108]: two rules are called `a`
              --> t.rules:10:6
               |
             9 | rule a { drop }
               |      - the first one
            10 | rule a { .x = { b: 1 }  .x = null }
               |      ^

            error[E108]: `default route to` stands twice
              --> t.rules:11:1
               |
             6 | default route to logs
               | --------------------- here first
            ...
            11 | default route to dlq
               | ^^^^^^^^^^^^^^^^^^^^

            error[E101]: a source carries records, not `int`
              --> t.rules:12:14
               |
            12 | source bad : int
               |              ^^^
               |
               = help: write a record: `{ message: string, ... }`

            error[E102]: there is no type `nothing`
              --> t.rules:13:15
               |
            13 | type L = list<nothing>
               |               ^^^^^^^
        "#]],
    );
}
