//! What is said of rules as a whole.

use expect_test::expect;

use super::rules;
use crate::check::{check, check_files};

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
              = note: for example one in which `.x` is absent and `.y` is absent
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

            warning[W302]: the rule `c` can never match
              --> t.rules:10:6
               |
             8 | rule a on web when .host != "x" { drop }
               |      - comes first
             9 | rule b on web when .host != "y" and .host is present { drop }
               |      - comes first
            10 | rule c on web when .host is present and not (.host contains "z") { drop }
               |      ^ `a` and `b` drop every event that this rule asks for
               |
               = help: remove the rule, or move it before `a`

            warning[W302]: the rule `e` can never match
              --> t.rules:13:6
               |
             8 | rule a on web when .host != "x" { drop }
               |      - comes first
             9 | rule b on web when .host != "y" and .host is present { drop }
               |      - comes first
            ...
            13 | rule e on web when .host not in ["v"] { drop }
               |      ^ `a` and `b` drop every event that this rule asks for
               |
               = help: remove the rule, or move it before `a`
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

            warning[W302]: the rule `b` can never match
              --> t.rules:10:6
               |
             8 | rule a on web when .severity >= error { drop }
               |      - comes first
             9 | @owner("me")
            10 | rule b on web when .severity >= critical { drop }
               |      ^ `a` drops every event that this rule asks for
               |
               = help: remove the rule, or move it before `a`
        "#]],
    );
}
