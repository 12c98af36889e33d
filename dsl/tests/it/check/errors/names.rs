//! Names that mean nothing, and the nearest one that does.

use expect_test::expect;

use super::rules;

#[test]
fn names_that_mean_nothing() {
    rules(
        r#"@onwer("x")
rule r on wbe when lowr(.host) == "a" { route to lgos }
rule s on web when .severity >= eror and host == "a" { .x = strng }
rule t { .x = len() .y = lower("a", "b") .z = round(1.5, digit: 2) .w = http::f(1) }
rule u { .x = @topc .y = recase(.host, snak) route to dlq("x") }
"#,
        &expect![[r#"
            error[E102]: there is no attribute `@onwer` for a rule
             --> t.rules:8:2
              |
            8 | @onwer("x")
              |  ^^^^^
              |
            help: an attribute with a similar name exists
              |
            8 - @onwer("x")
            8 + @owner("x")
              |

            error[E102]: there is no source `wbe`
             --> t.rules:9:11
              |
            9 | rule r on wbe when lowr(.host) == "a" { route to lgos }
              |           ^^^
              |
            help: a source with a similar name exists
              |
            9 - rule r on wbe when lowr(.host) == "a" { route to lgos }
            9 + rule r on web when lowr(.host) == "a" { route to lgos }
              |

            error[E102]: there is no function `lowr`
             --> t.rules:9:20
              |
            9 | rule r on wbe when lowr(.host) == "a" { route to lgos }
              |                    ^^^^
              |
            help: a function with a similar name exists
              |
            9 | rule r on wbe when lower(.host) == "a" { route to lgos }
              |                       +

            error[E102]: there is no sink `lgos`
             --> t.rules:9:50
              |
            9 | rule r on wbe when lowr(.host) == "a" { route to lgos }
              |                                                  ^^^^
              |
            help: a sink with a similar name exists
              |
            9 - rule r on wbe when lowr(.host) == "a" { route to lgos }
            9 + rule r on wbe when lowr(.host) == "a" { route to logs }
              |

            error[E102]: there is no severity `eror`
              --> t.rules:10:33
               |
            10 | rule s on web when .severity >= eror and host == "a" { .x = strng }
               |                                 ^^^^
               |
               = note: severities are trace, debug, info, notice, warn, error, critical, fatal
            help: it has another name here
               |
            10 | rule s on web when .severity >= error and host == "a" { .x = strng }
               |                                   +

            error[E102]: there is no name `host`
              --> t.rules:10:42
               |
            10 | rule s on web when .severity >= eror and host == "a" { .x = strng }
               |                                          ^^^^
               |
            help: the event has a field of this name; fields start with a dot
               |
            10 | rule s on web when .severity >= eror and .host == "a" { .x = strng }
               |                                          +

            error[E102]: there is no name `strng`
              --> t.rules:10:61
               |
            10 | rule s on web when .severity >= eror and host == "a" { .x = strng }
               |                                                             ^^^^^

            error[E102]: `len` needs `x`
              --> t.rules:11:15
               |
            11 | rule t { .x = len() .y = lower("a", "b") .z = round(1.5, digit: 2) .w = http::f(1) }
               |               ^^^^^
               |
               = note: it is `len(x)`

            error[E102]: `lower` takes at most one argument
              --> t.rules:11:37
               |
            11 | rule t { .x = len() .y = lower("a", "b") .z = round(1.5, digit: 2) .w = http::f(1) }
               |                                     ^^^
               |
               = note: it is `lower(s)`

            error[E102]: `round` has no argument `digit`
              --> t.rules:11:58
               |
            11 | rule t { .x = len() .y = lower("a", "b") .z = round(1.5, digit: 2) .w = http::f(1) }
               |                                                          ^^^^^
               |
               = note: it is `round(x, digits?)`
            help: an argument with a similar name exists
               |
            11 | rule t { .x = len() .y = lower("a", "b") .z = round(1.5, digits: 2) .w = http::f(1) }
               |                                                               +

            error[E102]: there is no function `http::f`
              --> t.rules:11:73
               |
            11 | rule t { .x = len() .y = lower("a", "b") .z = round(1.5, digit: 2) .w = http::f(1) }
               |                                                                         ^^^^^^^
               |
               = note: no file is used as `http`: write `use "…" as http`

            error[E102]: there is no metadata `@topc`
              --> t.rules:12:16
               |
            12 | rule u { .x = @topc .y = recase(.host, snak) route to dlq("x") }
               |                ^^^^
               |
            help: metadata with a similar name exists
               |
            12 | rule u { .x = @topic .y = recase(.host, snak) route to dlq("x") }
               |                   +

            error[E102]: `style` of `recase` is one of snake, camel, pascal, kebab, title
              --> t.rules:12:40
               |
            12 | rule u { .x = @topc .y = recase(.host, snak) route to dlq("x") }
               |                                        ^^^^
               |
            help: an option with a similar name exists
               |
            12 | rule u { .x = @topc .y = recase(.host, snake) route to dlq("x") }
               |                                            +

            error[E102]: what a route sets has a name
              --> t.rules:12:59
               |
            12 | rule u { .x = @topc .y = recase(.host, snak) route to dlq("x") }
               |                                                           ^^^
               |
               = help: write `dlq(name: value)`
        "#]],
    );
}

#[test]
fn fields_that_do_not_exist() {
    rules(
        r#"rule r on web when .sttus == 1 or .http.pth is present { .new = .host.name }
rule s on app when .mesage contains "x" { .a = .trace_di }
rule t on web { .written = 1 .b = .written .c = .writen }
"#,
        &expect![[r#"
            error[E201]: there is no field `sttus` here
             --> t.rules:8:21
              |
            8 | rule r on web when .sttus == 1 or .http.pth is present { .new = .host.name }
              |                     ^^^^^ the record is closed
              |
            help: a field with a similar name exists
              |
            8 | rule r on web when .status == 1 or .http.pth is present { .new = .host.name }
              |                       +

            error[E201]: there is no field `pth` here
             --> t.rules:8:41
              |
            8 | rule r on web when .sttus == 1 or .http.pth is present { .new = .host.name }
              |                                         ^^^ the record is closed
              |
            help: a field with a similar name exists
              |
            8 | rule r on web when .sttus == 1 or .http.path is present { .new = .host.name }
              |                                          +

            error[E201]: `.host` is `string` and has no fields
             --> t.rules:8:71
              |
            8 | rule r on web when .sttus == 1 or .http.pth is present { .new = .host.name }
              |                                                                       ^^^^

            warning[W201]: no type declares a field `mesage`
             --> t.rules:9:21
              |
            9 | rule s on app when .mesage contains "x" { .a = .trace_di }
              |                     ^^^^^^ reads as absent unless events bring it
              |
            help: a field with a similar name exists
              |
            9 | rule s on app when .message contains "x" { .a = .trace_di }
              |                        +

            warning[W201]: no type declares a field `trace_di`
             --> t.rules:9:49
              |
            9 | rule s on app when .mesage contains "x" { .a = .trace_di }
              |                                                 ^^^^^^^^ reads as absent unless events bring it
              |
            help: a field with a similar name exists
              |
            9 - rule s on app when .mesage contains "x" { .a = .trace_di }
            9 + rule s on app when .mesage contains "x" { .a = .trace_id }
              |

            error[E201]: there is no field `writen` here
              --> t.rules:10:50
               |
            10 | rule t on web { .written = 1 .b = .written .c = .writen }
               |                                                  ^^^^^^ the record is closed
               |
            help: a field with a similar name exists
               |
            10 | rule t on web { .written = 1 .b = .written .c = .written }
               |                                                      +
        "#]],
    );
}

#[test]
fn attributes_that_say_nothing() {
    rules(
        r#"@allow("W999") @allow("E101") @allow @owner @expires("soon") @pin(1)
rule a { tag "x" }
"#,
        &expect![[r#"
            error[E102]: there is no check `W999`
             --> t.rules:8:8
              |
            8 | @allow("W999") @allow("E101") @allow @owner @expires("soon") @pin(1)
              |        ^^^^^^

            error[E102]: E101 is an error and cannot be allowed
             --> t.rules:8:23
              |
            8 | @allow("W999") @allow("E101") @allow @owner @expires("soon") @pin(1)
              |                       ^^^^^^

            error[E102]: `@allow` needs the code of a warning
             --> t.rules:8:31
              |
            8 | @allow("W999") @allow("E101") @allow @owner @expires("soon") @pin(1)
              |                               ^^^^^^
              |
              = help: write it in quotes: `@allow("W312")`

            error[E102]: `@owner` takes one text
             --> t.rules:8:38
              |
            8 | @allow("W999") @allow("E101") @allow @owner @expires("soon") @pin(1)
              |                                      ^^^^^^

            error[E102]: `@expires` takes a time: `@expires(t"2027-01-01T00:00:00Z")`
             --> t.rules:8:45
              |
            8 | @allow("W999") @allow("E101") @allow @owner @expires("soon") @pin(1)
              |                                             ^^^^^^^^^^^^^^^^

            error[E102]: `@pin` takes nothing
             --> t.rules:8:62
              |
            8 | @allow("W999") @allow("E101") @allow @owner @expires("soon") @pin(1)
              |                                                              ^^^^^^^
        "#]],
    );
}

#[test]
fn one_mistake_is_reported_once() {
    rules(
        r#"const N = missing
fn f(x: int) -> int = x + nothing
rule a { let y = f(1) else { return } .a = y + N .b = y * 2 if y > N { drop } }
rule b { .a = f(2) + f(3) }
"#,
        &expect![[r#"
            error[E102]: there is no name `missing`
             --> t.rules:8:11
              |
            8 | const N = missing
              |           ^^^^^^^

            error[E102]: there is no name `nothing`
             --> t.rules:9:27
              |
            9 | fn f(x: int) -> int = x + nothing
              |                           ^^^^^^^
        "#]],
    );
}

#[test]
fn severities_by_the_names_of_other_programs() {
    rules(
        "rule r when .severity >= warning or .severity == erorr { drop }\n",
        &expect![[r#"
        error[E102]: there is no severity `warning`
         --> t.rules:8:26
          |
        8 | rule r when .severity >= warning or .severity == erorr { drop }
          |                          ^^^^^^^
          |
          = note: severities are trace, debug, info, notice, warn, error, critical, fatal
        help: it has another name here
          |
        8 - rule r when .severity >= warning or .severity == erorr { drop }
        8 + rule r when .severity >= warn or .severity == erorr { drop }
          |

        error[E102]: there is no severity `erorr`
         --> t.rules:8:50
          |
        8 | rule r when .severity >= warning or .severity == erorr { drop }
          |                                                  ^^^^^
          |
          = note: severities are trace, debug, info, notice, warn, error, critical, fatal
        help: a severity with a similar name exists
          |
        8 - rule r when .severity >= warning or .severity == erorr { drop }
        8 + rule r when .severity >= warning or .severity == error { drop }
          |
    "#]],
    );
}
