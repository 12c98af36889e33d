//! Literals, habits of other languages, and what comes later.

use expect_test::expect;

use super::rules;

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
fn parts_of_the_language_that_come_later() {
    rules(
        r#"rule c { .x = count() }
rule d { .x = .items[*].a[*] }
"#,
        &expect![[r#"
            error[E102]: `count` is an aggregate
             --> t.rules:8:15
              |
            8 | rule c { .x = count() }
              |               ^^^^^ stands in windows and alerts only

            error[E107]: a second index behind `[*]` cannot run yet
             --> t.rules:9:26
              |
            9 | rule d { .x = .items[*].a[*] }
              |                          ^^^ this version reads it, but does not run it
        "#]],
    );
}

#[test]
fn time_formats_that_mean_nothing() {
    rules(
        r#"const FORMATS = ["%Y", "%!"]
rule r { .t = parse_timestamp(.message, formats: ["%Y-%m-%d", "%Q"]) }
rule s { .t = parse_timestamp(.message, formats: FORMATS) }
"#,
        &expect![[r#"
            error[E120]: `%Q` is no time format
             --> t.rules:9:63
              |
            9 | rule r { .t = parse_timestamp(.message, formats: ["%Y-%m-%d", "%Q"]) }
              |                                                               ^^^^
              |
              = note: a format is written as for strptime: `%Y-%m-%d %H:%M:%S`

            error[E120]: `%!` is no time format
              --> t.rules:10:50
               |
            10 | rule s { .t = parse_timestamp(.message, formats: FORMATS) }
               |                                                  ^^^^^^^
               |
               = note: a format is written as for strptime: `%Y-%m-%d %H:%M:%S`
        "#]],
    );
}

#[test]
fn bytes_are_no_text() {
    rules(
        r#"rule c { .x = lower(bytes("a")) }
rule d when bytes("a") == "a" { .x = bytes("a") + "b" }
rule e when int(bytes("a")) > 1 { .x = reverse(bytes("a")) }
"#,
        &expect![[r#"
            error[E101]: `s` of `lower` takes `string`, not `bytes?`
             --> t.rules:8:21
              |
            8 | rule c { .x = lower(bytes("a")) }
              |                     ^^^^^^^^^^ this is `bytes?`
              |
            help: convert it with `string`
              |
            8 | rule c { .x = lower(string(bytes("a"))) }
              |                     +++++++          +

            error[E101]: cannot compare `bytes?` with `string`
             --> t.rules:9:27
              |
            9 | rule d when bytes("a") == "a" { .x = bytes("a") + "b" }
              |             ----------    ^^^ this is `string`
              |             |
              |             this is `bytes?`
              |
            help: convert it with `string`
              |
            9 | rule d when string(bytes("a")) == "a" { .x = bytes("a") + "b" }
              |             +++++++          +

            error[E101]: `+` does not take `bytes?` and `string`
             --> t.rules:9:49
              |
            9 | rule d when bytes("a") == "a" { .x = bytes("a") + "b" }
              |                                      ---------- ^ --- this is `string`
              |                                      |
              |                                      this is `bytes?`
              |
              = help: put values into text with `f"…{value}…"`

            error[E101]: `x` of `reverse` takes text, a list or a map, not `bytes?`
              --> t.rules:10:48
               |
            10 | rule e when int(bytes("a")) > 1 { .x = reverse(bytes("a")) }
               |                                                ^^^^^^^^^^
        "#]],
    );
}
