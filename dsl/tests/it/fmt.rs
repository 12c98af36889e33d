//! One style: formatted text reads back as the same tree, and formatting it again changes nothing.

#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

use expect_test::{Expect, expect};
use logmon_dsl::{
    span::FileId,
    syntax::{format, parse_file},
};
use proptest::prelude::*;

use crate::parse::{SAMPLES, SEARCHES, bare};

/// Formats a text and checks what holds for every text.
#[track_caller]
pub(crate) fn formatted(text: &str) -> String {
    let once = format(FileId(0), text).unwrap_or_else(|errors| panic!("{text}\n{errors:#?}"));
    let twice = format(FileId(0), &once).unwrap_or_else(|errors| panic!("{once}\n{errors:#?}"));
    assert_eq!(once, twice, "formatting is stable, from\n{text}");
    let (before, _) = parse_file(FileId(0), text);
    let (after, _) = parse_file(FileId(0), &once);
    assert_eq!(bare(&before.items), bare(&after.items), "the tree stays, from\n{text}\nto\n{once}");
    let mut comments: [Vec<String>; 2] =
        [before, after].map(|file| file.comments.into_iter().map(|comment| comment.text).collect());
    for comments in &mut comments {
        comments.sort();
    }
    assert_eq!(comments[0], comments[1], "no comment is lost, from\n{text}\nto\n{once}");
    once
}

#[track_caller]
fn check(text: &str, expected: &Expect) {
    expected.assert_eq(&formatted(text));
}

#[test]
fn a_comment_stays_beside_a_condition_in_parentheses() {
    check(
        "test \"t\" {\n  given {}\n  expect routed {\n    .x\n    (-1 < 2 # why\n    )\n    (-2 < 3)  # too\n  }\n}\n",
        &expect![[r#"
            test "t" {
              given {}
              expect routed {
                .x
                (-1 < 2)  # why
                (-2 < 3)  # too
              }
            }
        "#]],
    );
}

#[test]
fn samples_stay_the_same_trees() {
    for (_, text) in SAMPLES {
        formatted(text);
    }
    for line in SEARCHES.lines() {
        formatted(&format!("const SEARCH = {line}\n"));
    }
}

#[test]
fn a_sample_in_one_style() {
    let (_, text) = SAMPLES.iter().find(|(name, _)| *name == "10-noise.rules").unwrap();
    check(
        text,
        &expect![[r##"
        # rules/10-noise.rules – throw away, thin out, and bound what nobody reads.

        use "lib/world.rules"
        use "lib/http.rules" as http

        const CHATTY = ["envoy", "coredns", "node-exporter"]

        # 1. Drop: health checks that succeeded.
        rule drop_healthchecks on k8s when http::is_health(.http.path) and .http.status < 400 {
          drop as "healthcheck"
        }

        # 2. Drop: debug chatter outside the namespaces that asked for it.
        @owner("platform") @expires(t"2027-01-01T00:00:00Z")
        rule drop_debug on k8s when .severity < info and .kubernetes.namespace not in ["payments", "auth"] {
          route to archive
          drop as "debug"
        }

        # 3. Sample: whole traces stay together because the decision hashes the trace id.
        rule sample_ok_requests on k8s
          when .severity <= info and .http.status >= 200 and .http.status < 400 and .service in CHATTY
        {
          sample 5% by .trace_id ?? .message else {  # the kept 5 % carry .sample_weight = 20
            route to archive
            drop as "sampled"
          }
        }

        # 4. Collapse: the same error shape from the same pod at most once per 30 s.
        rule dedup_error_storms on k8s when .severity >= error and .trace_id is absent {
          dedup by .service, .kubernetes.pod, template(.message) within 30s else {
            drop as "duplicate"
          }
        }

        # 5. Rate limit: no single service may starve the rest.
        rule limit_per_service on k8s {
          limit 2000/s burst 10000 by .service max_keys 5000 else {
            count overflow_events by .service
            route to archive
            drop as "rate_limit"
          }
        }

        # ---------------------------------------------------------------- tests
        test "health checks go, failing health checks stay" {
          given { service: "web", http: { path: "/healthz", status: 200 } }
          expect dropped by drop_healthchecks

          given { service: "web", http: { path: "/healthz", status: 503 } }
          expect routed
        }

        test "status sent as text is read as a number" {
          given { service: "web", http: { path: "/livez", status: "204" } }
          expect dropped by drop_healthchecks
        }

        test "a storm collapses to one event per window" {
          at t"2026-05-01T10:00:00Z"
          given x500 {
            service: "api",
            severity: "ERROR",
            message: "conn 17 reset",
            kubernetes: { pod: "api-0" },
          }
          expect passed == 1
          advance 31s
          given {
            service: "api",
            severity: "ERROR",
            message: "conn 99 reset",
            kubernetes: { pod: "api-0" },
          }
          expect passed == 2
        }

        test "bucket empties, then refills" {
          given x12500 { service: "loud", severity: "info", message: "x" }
          expect dropped_by(limit_per_service) == 2500
        }
    "##]],
    );
    let (_, text) = SAMPLES.iter().find(|(name, _)| *name == "types.rules").unwrap();
    check(
        text,
        &expect![[r##"
        # lib/types.rules – what events look like. `logmon-engine schema infer` writes the first draft.

        type K8sLog = {
          timestamp: timestamp,
          severity: severity coerce,  # accepts "WARN", "warning", 30, 13 … anything parse_severity() knows
          service: string,
          message: string,
          trace_id: string?,
          http: { method: string?, path: string?, status: int? coerce, user_agent: string? },
          kubernetes: { namespace: string, pod: string, labels: map<string> },
          client: { ip: ip? sensitive, ... }?,  # must not reach a sink that does not accept it
          ...
        }

        type Geo = { country: string, city: string?, asn: int?, org: string? }
        type User = { id: string, plan: string, region: string, is_staff: bool }
    "##]],
    );
    let (_, text) = SAMPLES.iter().find(|(name, _)| *name == "http.rules").unwrap();
    check(
        text,
        &expect![[r##"
        # lib/http.rules – shared vocabulary. Libraries hold names, never rules.

        const HEALTH_PATHS = ["/healthz", "/livez", "/readyz", "/metrics"]
        const BOT_AGENTS = lines("lists/bot_agents.txt")  # read and hashed at load; reloaded on change
        const OFFICE_NETS = cidrs("lists/office_nets.txt")

        fn is_health(path: string?) -> bool = path in HEALTH_PATHS or path starts_with "/health"
        fn is_5xx(status: int?) -> bool = status >= 500 and status < 600
        fn is_bot(agent: string?) -> bool = contains_any(agent, BOT_AGENTS)
        fn status_class(status: int?) -> string = match status ?? 0 {
          100..=199 => "1xx",
          200..=299 => "2xx",
          300..=399 => "3xx",
          400..=499 => "4xx",
          500..=599 => "5xx",
          _ => "other",
        }
    "##]],
    );
}

#[test]
fn long_lines_break_where_they_bind_least() {
    check(
        "rule a on s when .severity <= info and .http.status >= 200 and .http.status < 400 and .service in CHATTY { drop as \"x\" }
const A = [\"aaaaaaaaaaaaaaaaaaaaaaaaaaaa\", \"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\", \"cccccccccccccccccccccccccccccccccc\"]
fn f(a: int, b: string?) -> bool = a > 1000000000000000000 - 1 or (b contains \"aaaaaaaaaaaaaaa\" and b ends_with \"bbbbbbbbbb\")
",
        &expect![[r#"
            rule a on s
              when .severity <= info and .http.status >= 200 and .http.status < 400 and .service in CHATTY
            { drop as "x" }
            const A = [
              "aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
              "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
              "cccccccccccccccccccccccccccccccccc",
            ]
            fn f(a: int, b: string?) -> bool =
              a > 1000000000000000000 - 1 or (b contains "aaaaaaaaaaaaaaa" and b ends_with "bbbbbbbbbb")
        "#]],
    );
}

#[test]
fn comments_keep_their_places() {
    check(
        "# head

# about a
const A = [ # first
  1, # one
  # before two
  2
  # last
] # after


rule r on s # on
  when .a # a
   and # b?
   .b # b
{ # open
  # before
  .x = f( # arg
    1)


  .y = 2 # y
  # end
}
# tail",
        &expect![[r#"
            # head

            # about a
            const A = [  # first
              1,  # one
              # before two
              2,
              # last
            ]  # after

            rule r on s  # on
              when .a  # a
                # b?
                and .b  # b
            {  # open
              # before
              .x = f(  # arg
                1,
              )

              .y = 2  # y
              # end
            }
            # tail
        "#]],
    );
}

#[test]
fn parentheses_are_where_they_are_needed() {
    check(
        "const A = ((.a) or (.b and .c)) and not (.d == (1 + 2) * 3 - (4 - 5))
const B = -(a.b) + (-5) - -5 * (- 6)
const C = f((|x| x), (if a { b } else { c }).d, (a ?? b).c[0], (a ?? b) == c)
const D = not (not a) and (b or c)
",
        &expect![[r#"
            const A = (.a or (.b and .c)) and not .d == (1 + 2) * 3 - (4 - 5)
            const B = -a.b + -5 - -5 * -6
            const C = f(|x| x, if a { b } else { c }.d, (a ?? b).c[0], a ?? b == c)
            const D = not not a and (b or c)
        "#]],
    );
}

#[test]
fn errors_are_the_answer() {
    let errors = format(FileId(0), "rule r { .a = }").unwrap_err();
    assert_eq!(errors.len(), 1);
}

/// Text in which `·` stands wherever blanks and comments may.
fn expr_text() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "1",
        "-2",
        "2.5e3",
        "5m",
        "10KiB",
        "f(null)",
        "true",
        "\"a b\"",
        "\"A\"i",
        "re\"x\\d\"i",
        "name",
        "lib::name",
        ".",
        ".a.b",
        ".\"x y\"[0][*].c",
        ".h[\"x\"]",
        "@topic",
        "[]",
        "{}",
        "f\"a{ b }c\"",
        "r\"\"\"two\nlines\"\"\"",
        "cidr\"10.0.0.0/8\"",
        "f()",
        "count(where .a)",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(5, 40, 4, |inner| {
        let binary = prop::sample::select(vec![
            "or", "and", "==", "!=", "<", ">=", "in", "not in", "contains", "matches", "??", "+",
            "-", "*", "/", "%",
        ]);
        prop_oneof![
            (inner.clone(), binary, inner.clone())
                .prop_map(|(a, op, b)| format!("({a})·{op}·({b})")),
            (inner.clone(), prop::sample::select(vec!["or", "and", "??", "+", "*"]), inner.clone())
                .prop_map(|(a, op, b)| format!("(·({a})·{op}·({b})·{op}·({a})·)")),
            inner.clone().prop_map(|a| format!("not·({a})")),
            inner.clone().prop_map(|a| format!("-({a})")),
            inner.clone().prop_map(|a| format!("({a})·is·not·absent")),
            inner.clone().prop_map(|a| format!("({a}).b[·1·].\"c d\"")),
            prop::collection::vec(inner.clone(), 1..4)
                .prop_map(|list| format!("[·{}·,·]", list.join("·,·"))),
            prop::collection::vec(inner.clone(), 1..4)
                .prop_map(|list| format!("f(·{}·,·x:·|a,·b|·a·)", list.join("·,·"))),
            (inner.clone(), inner.clone())
                .prop_map(|(a, b)| format!("{{·a:·{a}·,·\"b c\"·:·{b}·,·...c·}}")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("if·{a}·{{·{b}·}}·else·{{·{c}·}}")),
            (inner.clone(), inner.clone(), inner)
                .prop_map(|(a, b, c)| format!("match·{a}·{{·\"x\"·|·-1..=5·=>·{b}·,·_·=>·{c}·}}")),
        ]
    })
}

fn stmt_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        expr_text().prop_map(|e| format!("let·x·=·{e}")),
        expr_text().prop_map(|e| format!(".a.\"b c\"·??=·{e}")),
        expr_text().prop_map(|e| format!("route·to·a,·b(·key:·{e}·)")),
        expr_text().prop_map(|e| format!("sample·5%·by·{e},·.x")),
        expr_text().prop_map(|e| format!("count·m·by·.a·value·{e}")),
        expr_text().prop_map(|e| format!("emit·each·{e}·as·.b")),
        prop::sample::select(vec![
            "drop·as·\"x\"",
            "return",
            "del·.a,·.b.*",
            "rename·.a·->·.b,·.c·->·.d",
            "tag·\"x\",·\"y\"",
            "limit·2_000/s·burst·10·by·.a·max_keys·5",
            "dedup·by·.a·within·30s",
        ])
        .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let block = prop::collection::vec(inner, 0..3)
            .prop_map(|stmts| format!("{{·{}·}}", stmts.join("\n")));
        prop_oneof![
            (expr_text(), block.clone(), block.clone())
                .prop_map(|(e, a, b)| format!("if·{e}·{a}·else·if·.x·{b}·else·{a}")),
            (expr_text(), block.clone())
                .prop_map(|(e, a)| format!("let·{{·a,·b·}}·=·{e}·else·{a}")),
            block.prop_map(|a| format!("sample·1/20·else·{a}")),
        ]
    })
}

fn program_text() -> impl Strategy<Value = String> {
    let stmts = || prop::collection::vec(stmt_text(), 0..4).prop_map(|stmts| stmts.join("\n"));
    let item = prop_oneof![
        expr_text().prop_map(|e| format!("const A:·list<int>?·=·{e}")),
        expr_text().prop_map(|e| format!("fn f(·a:·int,·b:·{{·c:·ip·sensitive·,·...·}}?·)·->·T·=·{e}")),
        (expr_text(), stmts())
            .prop_map(|(e, s)| format!("@a·@b(5%)·@c(·\"x\"·)·rule r·on·any·when·{e}·{{·{s}·}}")),
        (expr_text(), stmts())
            .prop_map(|(e, s)| format!("group g·first·when·{e}·{{·rule a·{{·{s}·}}·}}")),
        (expr_text(), expr_text()).prop_map(|(a, b)| format!(
            "alert a·on·s·{{·over·5m·every·30s·by·{a}·let·n·=·{b}\nfire·when·{a}·for·2m\nnotify·x,·y·}}"
        )),
        (expr_text(), expr_text()).prop_map(|(a, b)| format!(
            "test \"t\"·{{·mock·l·{{·{a}·=>·{b}·}}·given·x5·on·s·{{·a:·{a}·}}\nexpect·routed·to·s·{{·.x\n({b})·}}·}}"
        )),
        prop::sample::select(vec![
            "use \"a.rules\"·as·b",
            "default route·to·a",
            "enum e·ordered·{·a,·b·}",
            "type T·=·{·a:·map<list<int>>·coerce,·\"b c\":·string?·}",
            "source s·:·T",
            "lookup l(·ip,·string·)·->·T?",
            "sink s·:·table(\"x\")·with·(·key:·string?·)",
        ])
        .prop_map(str::to_owned),
    ];
    let blank = prop::sample::select(vec![" ", "  ", "\n  ", " # why\n  ", "\n\n\n  "]);
    (prop::collection::vec(item, 1..4), prop::collection::vec(blank, 1..40)).prop_map(
        |(items, blanks)| {
            let mut blanks = blanks.into_iter().cycle();
            let template = items.join("\n");
            template
                .chars()
                .map(|c| {
                    if c == '·' {
                        blanks.next().expect("a cycle").to_owned()
                    } else {
                        c.to_string()
                    }
                })
                .collect()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_program_stays_the_same_tree(text in program_text()) {
        formatted(&text);
    }
}
