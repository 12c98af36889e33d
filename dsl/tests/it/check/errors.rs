//! What is said of mistakes, code by code.

use expect_test::{Expect, expect};

use super::{check, check_files};

/// Rules of a program with one closed source, a lookup and three sinks.
#[track_caller]
fn rules(text: &str, expected: &Expect) {
    let world = r#"source web : { status: int, host: string?, ip: ip?, severity: severity coerce, http: { path: string? } }
source app
lookup geo(ip) -> { country: string, city: string? }?
sink logs : table("logs")
sink dlq : { reason: string, raw: string }
default route to logs
rule all_used when geo(.ip).country == "AU" { route to dlq(reason: "x") }
"#;
    check(&format!("{world}{text}"), expected);
}

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
            help: a severity with a similar name exists
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
fn literals_that_say_nothing() {
    rules(
        r#"const BAD = re"a(b"
rule r when .message matches re"(a" or .message matches BAD { drop }
rule s when .ip == ip"300.1.1.1" or .ip in cidr"10.0.0.0/99" or .timestamp > t"yesterday" { drop }
rule t when .message matches re"a(?=b)" or .message matches re"(a)\1" { drop }
rule u { .p = parse_pattern(.message, pat"<a:nothing>") }
rule v { sample 200% }
"#,
        &expect![[r#"
            error[E120]: this regex is wrong: unclosed group
             --> t.rules:8:17
              |
            8 | const BAD = re"a(b"
              |                 ^

            error[E120]: this regex is wrong: unclosed group
             --> t.rules:9:33
              |
            9 | rule r when .message matches re"(a" or .message matches BAD { drop }
              |                                 ^

            error[E120]: `300.1.1.1` is not an address
              --> t.rules:10:23
               |
            10 | rule s when .ip == ip"300.1.1.1" or .ip in cidr"10.0.0.0/99" or .timestamp > t"yesterday" { drop }
               |                       ^^^^^^^^^

            error[E120]: `10.0.0.0/99` is not a block of addresses
              --> t.rules:10:49
               |
            10 | rule s when .ip == ip"300.1.1.1" or .ip in cidr"10.0.0.0/99" or .timestamp > t"yesterday" { drop }
               |                                                 ^^^^^^^^^^^

            error[E120]: `yesterday` is not a time: write it like `2026-05-01T10:00:00Z`
              --> t.rules:10:80
               |
            10 | rule s when .ip == ip"300.1.1.1" or .ip in cidr"10.0.0.0/99" or .timestamp > t"yesterday" { drop }
               |                                                                                ^^^^^^^^^

            error[E121]: look-around is not supported: regexes run in linear time
              --> t.rules:11:34
               |
            11 | rule t when .message matches re"a(?=b)" or .message matches re"(a)\1" { drop }
               |                                  ^^^
               |
               = help: match what follows as well, and put a group around the wanted part

            error[E121]: back-references are not supported: regexes run in linear time
              --> t.rules:11:67
               |
            11 | rule t when .message matches re"a(?=b)" or .message matches re"(a)\1" { drop }
               |                                                                   ^^
               |
               = help: take both parts with groups and compare them: `captures(x, re"…")`

            error[E120]: this pattern is wrong: `nothing` is no type of a capture
              --> t.rules:12:44
               |
            12 | rule u { .p = parse_pattern(.message, pat"<a:nothing>") }
               |                                            ^^^^^^^^^
               |
               = help: there are int, float, string, bool, ip, cidr, timestamp, timestamp("…"), duration, severity

            error[E120]: a share lies between nothing and all
              --> t.rules:13:17
               |
            13 | rule v { sample 200% }
               |                 ^^^^ not within 0% and 100%
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
fn events_without_a_route() {
    check(
        r#"source app
sink logs : table("logs")
rule r when .a is present { route to logs }
group g first {
  rule a when .x is present { route to logs }
  rule b when .y is present { drop }
}
"#,
        &expect![[r#"
            error[E304]: an event may leave the program without a route
             --> t.rules:3:6
              |
            3 | rule r when .a is present { route to logs }
              |      ^
              |
              = note: events of app are not certain to be routed or dropped
              = help: say where the rest goes: `default route to logs`

            error[E304]: the group `g` routes, but an event may pass all of its rules
             --> t.rules:4:7
              |
            4 | group g first {
              |       ^
              |
              = note: nothing takes every event of app
              = help: end it with a rule that has no `when`
        "#]],
    );
    check_files(
        &[
            ("main.rules", "use \"world.rules\"\nrule r when .a is present { route to logs }\n"),
            ("world.rules", "source app\nsink logs : table(\"logs\")\n"),
        ],
        &expect![[r#"
            warning[W304]: an event may leave this file without a route
             --> main.rules:2:6
              |
            2 | rule r when .a is present { route to logs }
              |      ^
              |
              = note: events of app are not certain to be routed or dropped
              = note: standing alone, it drops such an event with the reason `unrouted`
        "#]],
    );
}

#[test]
fn events_that_all_have_a_route() {
    check(
        r#"source app
sink logs : table("logs")
group g first {
  rule a when .x is present { route to logs }
  rule b when not (.x is present) { drop }
}
"#,
        &expect![[""]],
    );
}

#[test]
fn rules_that_say_the_same() {
    rules(
        r#"rule a when .service == "x" { drop }
rule b when .service == "x" { drop }
@allow("W305")
rule c when .service == "x" { drop }
"#,
        &expect![[r#"
            warning[W305]: this rule says the same as `a`
             --> t.rules:9:6
              |
            8 | rule a when .service == "x" { drop }
              |      - the other one
            9 | rule b when .service == "x" { drop }
              |      ^
              |
              = help: remove one of them
        "#]],
    );
}

#[test]
fn negations_that_also_hold_where_nothing_is() {
    rules(
        r#"rule a on web when .host != "x" { drop }
rule b on web when .host != "y" and .host is present { drop }
rule c on web when .host is present and not (.host contains "z") { drop }
rule d on web when .status != 200 { drop as "other" }
@allow("W312")
rule e on web when .host not in ["v"] { drop }
"#,
        &expect![[r#"
            warning[W312]: this also holds where `.host` is absent
             --> t.rules:8:20
              |
            8 | rule a on web when .host != "x" { drop }
              |                    ^^^^^^^^^^^^
              |
            help: say so if only present values are meant
              |
            8 | rule a on web when .host != "x" and .host is present { drop }
              |                                 ++++++++++++++++++++
        "#]],
    );
}

#[test]
fn errors_that_nobody_owns() {
    rules(
        r#"rule a on web when .severity >= error { drop }
@owner("me")
rule b on web when .severity >= critical { drop }
"#,
        &expect![[r#"
            warning[W313]: errors go away here, and nobody owns the rule
             --> t.rules:8:41
              |
            8 | rule a on web when .severity >= error { drop }
              |      - this rule takes errors           ^^^^
              |
            help: say who decided it
              |
            8 | @owner("…") rule a on web when .severity >= error { drop }
              | +++++++++++
        "#]],
    );
}

#[test]
fn parts_of_the_language_that_come_later() {
    rules(
        r#"enum tier ordered { free, paid }
@shadow
rule a { limit 10/s  dedup by .x within 5s  count hits  emit each .items as .item }
window w on any { over 5m by .host let n = count() route to logs }
alert b on any { over 5m let n = count() fire when n == 0 severity warn }
rule c { .x = count() }
"#,
        &expect![[r#"
            error[E107]: an enum cannot run yet
             --> t.rules:8:6
              |
            8 | enum tier ordered { free, paid }
              |      ^^^^ this version reads it, but does not run it

            error[E107]: `@shadow` cannot run yet
             --> t.rules:9:1
              |
            9 | @shadow
              | ^^^^^^^ this version reads it, but does not run it

            error[E107]: `limit` cannot run yet
              --> t.rules:10:10
               |
            10 | rule a { limit 10/s  dedup by .x within 5s  count hits  emit each .items as .item }
               |          ^^^^^^^^^^ this version reads it, but does not run it

            error[E107]: `dedup` cannot run yet
              --> t.rules:10:22
               |
            10 | rule a { limit 10/s  dedup by .x within 5s  count hits  emit each .items as .item }
               |                      ^^^^^^^^^^^^^^^^^^^^^ this version reads it, but does not run it

            error[E107]: `count` cannot run yet
              --> t.rules:10:45
               |
            10 | rule a { limit 10/s  dedup by .x within 5s  count hits  emit each .items as .item }
               |                                             ^^^^^^^^^^ this version reads it, but does not run it

            error[E107]: `emit each` cannot run yet
              --> t.rules:10:57
               |
            10 | rule a { limit 10/s  dedup by .x within 5s  count hits  emit each .items as .item }
               |                                                         ^^^^^^^^^^^^^^^^^^^^^^^^^ this version reads it, but does not run it

            error[E107]: a window cannot run yet
              --> t.rules:11:8
               |
            11 | window w on any { over 5m by .host let n = count() route to logs }
               |        ^ this version reads it, but does not run it

            error[E107]: an alert cannot run yet
              --> t.rules:12:7
               |
            12 | alert b on any { over 5m let n = count() fire when n == 0 severity warn }
               |       ^ this version reads it, but does not run it

            error[E102]: `count` is an aggregate
              --> t.rules:13:15
               |
            13 | rule c { .x = count() }
               |               ^^^^^ stands in windows and alerts only
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
fn tests_with_mistakes() {
    rules(
        r#"test "t" {
  expect routed
  at "noon"
  mock geo { "x" => 1, ip"10.0.0.1" => { country: "AU" } }
  mock goe { }
  given { a: .b, c: [1, lower("x")] }
  given on wbe { a: 1 }
  given { severity: warn, at: t"2026-01-01T00:00:00Z", d: 5m }
  expect dropped by all_usde
  expect routed to lgos { .x == "a" and .sttus == 1 }
  expect passed > 1
  expect metric("fauts") == 1
  expect .x == 1
  expect fired by alert
}
"#,
        &expect![[r#"
            error[E102]: nothing was given yet
             --> t.rules:9:3
              |
            9 |   expect routed
              |   ^^^^^^^^^^^^^
              |
              = help: `given { … }` sends the event that this speaks of

            error[E101]: `at` takes a time: `t"2026-05-01T10:00:00Z"`
              --> t.rules:10:6
               |
            10 |   at "noon"
               |      ^^^^^^

            error[E101]: the key of this lookup takes `ip`, not `string`
              --> t.rules:11:14
               |
            11 |   mock geo { "x" => 1, ip"10.0.0.1" => { country: "AU" } }
               |              ^^^ this is `string`
               |
            help: write it as what it is
               |
            11 |   mock geo { ip"x" => 1, ip"10.0.0.1" => { country: "AU" } }
               |              ++

            error[E102]: there is no lookup `goe`
              --> t.rules:12:8
               |
            12 |   mock goe { }
               |        ^^^
               |
            help: a lookup with a similar name exists
               |
            12 -   mock goe { }
            12 +   mock geo { }
               |

            error[E101]: a test gives values that are written down: no fields, no calls
              --> t.rules:13:14
               |
            13 |   given { a: .b, c: [1, lower("x")] }
               |              ^^

            error[E102]: there is no source `wbe`
              --> t.rules:14:12
               |
            14 |   given on wbe { a: 1 }
               |            ^^^
               |
            help: a source with a similar name exists
               |
            14 -   given on wbe { a: 1 }
            14 +   given on web { a: 1 }
               |

            error[E102]: there is no rule `all_usde`
              --> t.rules:16:21
               |
            16 |   expect dropped by all_usde
               |                     ^^^^^^^^
               |
            help: a rule with a similar name exists
               |
            16 -   expect dropped by all_usde
            16 +   expect dropped by all_used
               |

            error[E102]: there is no sink `lgos`
              --> t.rules:17:20
               |
            17 |   expect routed to lgos { .x == "a" and .sttus == 1 }
               |                    ^^^^
               |
            help: a sink with a similar name exists
               |
            17 -   expect routed to lgos { .x == "a" and .sttus == 1 }
            17 +   expect routed to logs { .x == "a" and .sttus == 1 }
               |

            error[E102]: a test can ask for evaluated, matched, dropped, routed, faults
              --> t.rules:19:17
               |
            19 |   expect metric("fauts") == 1
               |                 ^^^^^^^

            error[E101]: this is nothing a test can expect
              --> t.rules:20:10
               |
            20 |   expect .x == 1
               |          ^^^^^^^
               |
               = note: a test expects `routed`, `dropped`, `passed == n`, `dropped_by(rule) == n` or `metric("name", rule: r) == n`

            error[E107]: an expectation of an alert cannot run yet
              --> t.rules:21:3
               |
            21 |   expect fired by alert
               |   ^^^^^^^^^^^^^^^^^^^^^ this version reads it, but does not run it
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
fn habits_from_other_languages_are_reported_once() {
    rules(
        r#"rule a when .a == null or .b = 1 { drop }
rule b when .a && .b || !.c { drop }
rule c when 1 < .a < 3 { .x = null.y }
rule d { .y = .a.b.c ?? info  .z = null + 1  .w = [null, 1][0] }
"#,
        &expect![[r#"
            error[E105]: nothing equals `null`
             --> t.rules:8:16
              |
            8 | rule a when .a == null or .b = 1 { drop }
              |                ^^^^^^^ always false
              |
              = note: `is absent` asks for no value at all, `is null` for a JSON null alone
            help: write `is absent`
              |
            8 - rule a when .a == null or .b = 1 { drop }
            8 + rule a when .a is absent or .b = 1 { drop }
              |

            error[E105]: `=` does not compare
             --> t.rules:8:30
              |
            8 | rule a when .a == null or .b = 1 { drop }
              |                              ^ this assigns
              |
            help: write `==`
              |
            8 | rule a when .a == null or .b == 1 { drop }
              |                               +

            error[E105]: `&&` is spelled `and`
             --> t.rules:9:16
              |
            9 | rule b when .a && .b || !.c { drop }
              |                ^^ operators on conditions are words
              |
            help: write `and`
              |
            9 - rule b when .a && .b || !.c { drop }
            9 + rule b when .a and .b || !.c { drop }
              |

            error[E105]: `||` is spelled `or`
             --> t.rules:9:22
              |
            9 | rule b when .a && .b || !.c { drop }
              |                      ^^ operators on conditions are words
              |
            help: write `or`
              |
            9 - rule b when .a && .b || !.c { drop }
            9 + rule b when .a && .b or !.c { drop }
              |

            error[E105]: `!` is spelled `not`
             --> t.rules:9:25
              |
            9 | rule b when .a && .b || !.c { drop }
              |                         ^ operators on conditions are words
              |
              = note: `not` takes the whole comparison: `not a == b` is `a != b`
            help: write `not`
              |
            9 - rule b when .a && .b || !.c { drop }
            9 + rule b when .a && .b || not .c { drop }
              |

            error[E105]: comparisons do not chain
              --> t.rules:10:20
               |
            10 | rule c when 1 < .a < 3 { .x = null.y }
               |               -    ^ a second comparison
               |               |
               |               the first
               |
            help: compare twice
               |
            10 | rule c when 1 < .a and .a < 3 { .x = null.y }
               |                    ++++++

            error[E201]: a `null` has no field `y`
              --> t.rules:10:36
               |
            10 | rule c when 1 < .a < 3 { .x = null.y }
               |                               ---- ^
               |                               |
               |                               this is `null?`
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
