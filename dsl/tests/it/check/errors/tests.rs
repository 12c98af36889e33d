//! Mistakes in `test` blocks.

use expect_test::expect;

use super::rules;

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

            error[E102]: there is no alert `alert`
              --> t.rules:21:19
               |
            21 |   expect fired by alert
               |                   ^^^^^
        "#]],
    );
}
