//! The evaluator on plans written by hand: absence, writes, flow, routes, and batches against single events.

use std::sync::Arc;

use logmon_dsl::{
    column::{Batch, Names, NodeId, Severity, load, print},
    eval::{Answer, Evaluator, Lookups, NoLookups, read},
    plan::{
        ArithOp, AssignOp, CompareOp, FormatPart, IsTest, Literal, LookupDecl, MatchPattern, Op,
        PathSet, Ratio, RecordPart, Step, Stmt, TextTest,
    },
    span::Span,
    types::{Shape, Ty, Type},
};

use crate::plans::{Builder, drop_as, run, run_with, to};

/// Runs the plan over events and compares each one's outcome.
#[track_caller]
fn check(builder: Builder, cases: &[(&str, &str)]) {
    let plan = Arc::new(builder.plan);
    let events: Vec<&str> = cases.iter().map(|(event, _)| *event).collect();
    let expected: Vec<&str> = cases.iter().map(|(_, expected)| *expected).collect();
    assert_eq!(run(&plan, &events), expected);
}

#[test]
fn untouched_events_leave_as_they_came() {
    let mut b = Builder::new();
    b.node("http.status");
    b.default_to(0);
    check(
        b,
        &[
            (
                r#"{"n":1.50,"big":123456789012345678901234567890,"http":{"status":"x","z":{"y":[1, 2]}},"e":{},"q":"\u00e9","nu":null}"#,
                r#"routed | a#0 {"http":{"status":"x","z":{"y":[1, 2]}},"n":1.50,"big":123456789012345678901234567890,"e":{},"q":"\u00e9","nu":null}"#,
            ),
            (r#"{"http":7,"timestamp":"no"}"#, r#"routed | a#0 {"timestamp":"no","http":7}"#),
            ("{}", "routed | a#0 {}"),
        ],
    );
}

#[test]
fn comparisons_with_absent_values_are_false_and_their_negation_true() {
    let mut b = Builder::new();
    let (status, limit) = (b.field("status"), b.int(500));
    let ge = b.compare(CompareOp::Ge, status, limit);
    let not = b.expr(Op::Not(ge), Type::Bool);
    b.rule(Some(ge), vec![drop_as("high")]);
    b.rule(Some(not), vec![drop_as("not high")]);
    check(
        b,
        &[
            (r#"{"status":500}"#, "dropped by r0 as high"),
            (r#"{"status":"503"}"#, "dropped by r0 as high"),
            (r#"{"status":499}"#, "dropped by r1 as not high"),
            (r#"{"status":null}"#, "dropped by r1 as not high"),
            (r#"{"status":[]}"#, "dropped by r1 as not high"),
            ("{}", "dropped by r1 as not high"),
        ],
    );
}

#[test]
fn absent_values_write_nothing_and_count() {
    let mut b = Builder::new();
    let (x, null, seven) = (
        b.field_as("x", Type::Int),
        b.lit(Literal::Absent(logmon_dsl::column::Absence::Null)),
        b.int(7),
    );
    let body =
        vec![b.set("status", x), b.set("n", null), b.assign("d", AssignOp::Default, seven, None)];
    b.rule(None, body);
    b.default_to(0);
    check(
        b,
        &[
            (r#"{"x":1}"#, r#"routed | a#0 {"x":1,"status":1,"n":null,"d":7}"#),
            (
                r#"{"x":"1","status":2,"n":3}"#,
                r#"routed | a#0 {"status":2,"x":"1","n":null,"d":7} | site 0 type"#,
            ),
            (r#"{"d":null}"#, r#"routed | a#0 {"d":7,"n":null} | site 0 missing"#),
            (
                r#"{"x":1.0,"d":false}"#,
                r#"routed | a#0 {"x":1.0,"d":false,"n":null} | site 0 type"#,
            ),
        ],
    );
}

#[test]
fn writing_below_makes_records_but_replaces_nothing_else() {
    let mut b = Builder::new();
    let one = b.int(1);
    let body = vec![b.set("a.b.c", one)];
    b.rule(None, body);
    b.default_to(0);
    check(
        b,
        &[
            ("{}", r#"routed | a#0 {"a":{"b":{"c":1}}}"#),
            (r#"{"a":{"x":1}}"#, r#"routed | a#0 {"a":{"x":1,"b":{"c":1}}}"#),
            (r#"{"a":null}"#, r#"routed | a#0 {"a":{"b":{"c":1}}}"#),
            (r#"{"a":{"b":3}}"#, r#"routed | a#0 {"a":{"b":3}} | site 0 not_a_record"#),
            (r#"{"a":[]}"#, r#"routed | a#0 {"a":[]} | site 0 not_a_record"#),
        ],
    );
}

#[test]
fn whole_records_are_taken_apart_and_put_together() {
    let mut b = Builder::new();
    b.node("a.b");
    let copy = b.field("a");
    let inner = b.field("copy.b");
    let body = vec![b.set("copy", copy), b.set("seen", inner)];
    b.rule(None, body);
    let two = b.int(2);
    let more = b.expr(Op::Record(vec![RecordPart::Member("b".into(), two)]), Type::Any);
    let body = vec![b.assign("a", AssignOp::Merge, more, None)];
    b.rule(None, body);
    b.default_to(0);
    check(
        b,
        &[
            (
                r#"{"a":{"b":1,"x":{"y":[ ]}}}"#,
                r#"routed | a#0 {"a":{"x":{"y":[ ]},"b":2},"copy":{"x":{"y":[ ]},"b":1},"seen":1}"#,
            ),
            (
                r#"{"a":"s","copy":{"q":1,"b":9}}"#,
                r#"routed | a#0 {"a":"s","copy":"s"} | site 1 missing | site 2 not_a_record"#,
            ),
            ("{}", r#"routed | a#0 {"a":{"b":2}} | site 0 missing | site 1 missing"#),
        ],
    );
}

#[test]
fn del_keep_rename_and_tag_shape_the_event() {
    let mut b = Builder::new();
    let (ab, c) = (b.node("a.b"), b.node("c"));
    let a = b.node("a");
    let (service, tags) = (b.node("service"), b.node("tags"));
    let body = vec![
        Stmt::Rename { from: c, to: ab, site: b.site() },
        Stmt::Tag { tags, texts: vec!["x".into(), "y".into()], site: b.site() },
        Stmt::Route(vec![to(0)]),
        Stmt::Del(vec![PathSet { node: a, below: true }]),
        Stmt::Route(vec![to(0)]),
        Stmt::Keep(vec![PathSet { node: service, below: false }]),
        Stmt::Route(vec![to(1)]),
    ];
    b.rule(None, body);
    check(
        b,
        &[
            (
                r#"{"c":[1],"a":{"z":0},"service":"s","tags":["y"]}"#,
                r#"routed | a#0 {"service":"s","tags":["y","x"],"a":{"z":0,"b":[1]}} | a#1 {"service":"s","tags":["y","x"],"a":{}} | b#2 {"service":"s"}"#,
            ),
            (
                r#"{"c":1,"a":2,"tags":"t"}"#,
                r#"routed | a#0 {"tags":"t","a":2,"c":1} | a#1 {"tags":"t","a":2,"c":1} | b#2 {} | site 0 not_a_record | site 1 type"#,
            ),
        ],
    );
}

#[test]
fn flow_of_let_else_if_and_return() {
    let mut b = Builder::new();
    let x = b.field_as("x", Type::Int);
    let local = b.local();
    let bound = b.expr(Op::Local(local), Type::Int);
    let (ten, one) = (b.int(10), b.int(1));
    let big = b.compare(CompareOp::Gt, bound, ten);
    let sum = b.expr(Op::Arith { op: ArithOp::Add, left: bound, right: one }, Type::Int);
    let bad = vec![
        Stmt::Tag { tags: b.node("tags"), texts: vec!["bad".into()], site: b.site() },
        Stmt::Return,
    ];
    let body = vec![
        Stmt::Let { bindings: vec![(local, x)], otherwise: Some(bad), site: b.site() },
        Stmt::If {
            condition: big,
            site: None,
            then: vec![drop_as("big")],
            otherwise: vec![b.set("y", sum)],
        },
        Stmt::Route(vec![to(1)]),
    ];
    b.rule(None, body);
    b.default_to(0);
    check(
        b,
        &[
            (r#"{"x":11}"#, "dropped by r0 as big"),
            (r#"{"x":1}"#, r#"routed | b#0 {"x":1,"y":2}"#),
            (r#"{"x":"q"}"#, r#"routed | a#0 {"x":"q","tags":["bad"]} | site 1 type"#),
            ("{}", r#"routed | a#0 {"tags":["bad"]}"#),
        ],
    );
}

#[test]
fn the_first_rule_of_a_group_ends_it_and_counts_add_up() {
    let mut b = Builder::new();
    let service = b.field("service");
    let (x, y) = (b.text("x"), b.text("y"));
    let is_x = b.compare(CompareOp::Eq, service, x);
    let ge_x = b.compare(CompareOp::Ge, service, x);
    let lt_y = b.compare(CompareOp::Le, service, y);
    let first = b.add_rule(Some(is_x), vec![Stmt::Route(vec![to(1)]), drop_as("gone")]);
    let second = b.add_rule(Some(ge_x), vec![Stmt::Return]);
    b.plan.steps.push(Step::Group {
        name: "g".into(),
        first: true,
        when: Some(lt_y),
        site: None,
        rules: vec![first, second],
    });
    let third = b.rule(None, vec![]);
    let plan = Arc::new(b.plan);
    let events =
        [r#"{"service":"x"}"#, r#"{"service":"y"}"#, r#"{"service":"z"}"#, r#"{"service":"a"}"#];
    let (shown, outcome) = run_with(&plan, &events, 0, &mut logmon_dsl::eval::NoLookups);
    assert_eq!(shown[0], r#"routed by r0 as gone | b#0 {"service":"x"}"#);
    assert_eq!(shown[1..], ["unrouted", "unrouted", "unrouted"]);
    let counts = |id: logmon_dsl::plan::RuleId| {
        let count = outcome.rules[id.0 as usize];
        (count.evaluated, count.matched)
    };
    assert_eq!((counts(first), counts(second), counts(third)), ((3, 1), (2, 1), (3, 3)));
}

#[test]
fn values_of_many_kinds() {
    let mut b = Builder::new();
    let (sev, warn) = (b.field("severity"), b.lit(Literal::Severity(Severity(13))));
    let at_least = b.compare(CompareOp::Ge, sev, warn);
    let ts = b.field("timestamp");
    let hour = b.lit(Literal::Duration(3_600_000_000_000));
    let later = b.expr(Op::Arith { op: ArithOp::Add, left: ts, right: hour }, Type::Timestamp);
    let message = b.field("message");
    let needle = b.text("time");
    let contains = b.expr(
        Op::TextTest { test: TextTest::Contains, value: message, needle, ignore_case: true },
        Type::Bool,
    );
    let status = b.field("status");
    let hello = b.expr(
        Op::Format(vec![
            FormatPart::Text("<".into()),
            FormatPart::Hole(message),
            FormatPart::Text("/".into()),
            FormatPart::Hole(status),
            FormatPart::Text(">".into()),
        ]),
        Type::Text,
    );
    let (ok, bad) = (b.text("ok"), b.text("bad"));
    let class = b.expr(
        Op::Match {
            on: status,
            arms: vec![
                (
                    vec![MatchPattern::Range {
                        from: Literal::Int(200),
                        to: Literal::Int(300),
                        inclusive: false,
                    }],
                    ok,
                ),
                (
                    vec![MatchPattern::Is(Literal::Int(500)), MatchPattern::Is(Literal::Int(502))],
                    bad,
                ),
            ],
        },
        Type::Text,
    );
    let any = b.field("x");
    let present = b.expr(Op::Is { value: any, test: IsTest::Present }, Type::Bool);
    let coalesced = b.expr(Op::Coalesce(any, status), Type::Any);
    let two = b.int(2);
    let half = b.expr(Op::Arith { op: ArithOp::Div, left: status, right: two }, Type::Float);
    let body = vec![
        b.set("w", at_least),
        b.set("later", later),
        b.set("slow", contains),
        b.set("text", hello),
        b.set("class", class),
        b.set("there", present),
        b.set("either", coalesced),
        b.set("half", half),
    ];
    b.rule(None, body);
    b.default_to(0);
    check(
        b,
        &[
            (
                r#"{"severity":"WARN","timestamp":"2026-05-01T10:00:00.5Z","message":"TIMEout \"1\"","status":"200","x":{"a":1}}"#,
                r#"routed | a#0 {"timestamp":"2026-05-01T10:00:00.5Z","severity":"WARN","message":"TIMEout \"1\"","status":"200","x":{"a":1},"w":true,"later":"2026-05-01T11:00:00.500Z","slow":true,"text":"<TIMEout \"1\"/200>","class":"ok","there":true,"either":{"a":1},"half":100.0}"#,
            ),
            (
                r#"{"status":7}"#,
                r#"routed | a#0 {"status":7,"w":false,"later":"2026-01-01T01:00:01Z","slow":false,"there":false,"either":7,"half":3.5} | site 3 missing | site 4 no_match"#,
            ),
        ],
    );
}

#[test]
fn a_predicate_over_elements_needs_one_and_its_negation_none() {
    let mut b = Builder::new();
    let items = b.field_as("items", Type::list(Type::Any));
    let element = b.local();
    let item = b.expr(Op::Local(element), Type::Any);
    let sku = b.expr(Op::Member { of: item, key: "sku".into() }, Type::Any);
    let wanted = b.field_as("wanted", Type::Text);
    let same = b.compare(CompareOp::Eq, sku, wanted);
    let any = b.expr(Op::AnyElement { list: items, element, test: same }, Type::Bool);
    let all = b.expr(Op::Each { of: items, keys: vec!["sku".into()] }, Type::list(Type::Any));
    let last = b.int(-1);
    let last = b.expr(Op::Index { of: all, index: last }, Type::Any);
    let body = vec![b.set("found", any), b.set("skus", all), b.set("last", last)];
    b.rule(None, body);
    b.default_to(0);
    check(
        b,
        &[
            (
                r#"{"items":[{"sku":"a"},{"q":1},{"sku":"b"}],"wanted":"b"}"#,
                r#"routed | a#0 {"items":[{"sku":"a"},{"q":1},{"sku":"b"}],"wanted":"b","found":true,"skus":["a","b"],"last":"b"}"#,
            ),
            (
                r#"{"items":[],"wanted":"b"}"#,
                r#"routed | a#0 {"items":[],"wanted":"b","found":false,"skus":[]} | site 2 out_of_range"#,
            ),
        ],
    );
}

struct Users(Vec<Vec<String>>);

impl Lookups for Users {
    fn resolve(&mut self, _lookup: usize, keys: &[&str]) -> Vec<Answer> {
        self.0.push(keys.iter().map(|&key| key.to_owned()).collect());
        keys.iter()
            .map(|&key| match key {
                "u1" => Answer::Found(r#"{"plan":"pro","n":3}"#.into()),
                "u2" => Answer::Failed,
                "u3" => Answer::Found("{broken".into()),
                _ => Answer::Miss,
            })
            .collect()
    }
}

#[test]
fn lookups_are_asked_once_for_the_distinct_keys_of_the_rows_that_need_them() {
    let mut b = Builder::new();
    let shape = Shape::closed([("plan", Ty::required(Type::Text)), ("n", Ty::optional(Type::Int))]);
    let user = Ty::optional(Type::Record(Arc::new(shape)));
    b.plan.lookups.push(LookupDecl {
        name: "users".into(),
        keys: vec![Ty::required(Type::Text)],
        yields: user.clone(),
        span: Span::default(),
        fields: Vec::new(),
    });
    let id = b.field_as("id", Type::Text);
    let found = b.expr(Op::Lookup { lookup: 0, args: vec![id] }, user.base);
    let plan_of = b.expr(Op::Member { of: found, key: "plan".into() }, Type::Text);
    let wants = b.field_as("wants", Type::Bool);
    let wants = b.expr(Op::Truth(wants), Type::Bool);
    let body = vec![b.set("plan", plan_of), b.set("user", found)];
    b.rule(Some(wants), body);
    b.default_to(0);
    let plan = Arc::new(b.plan);
    let events = [
        r#"{"id":"u1","wants":true}"#,
        r#"{"id":"u2","wants":true}"#,
        r#"{"id":"u1","wants":true}"#,
        r#"{"id":"u9"}"#,
        r#"{"id":"u3","wants":true}"#,
        r#"{"wants":true}"#,
        r#"{"id":"u4","wants":true}"#,
    ];
    let mut users = Users(vec![]);
    let (shown, _) = run_with(&plan, &events, 0, &mut users);
    assert_eq!(users.0, [["u1", "u2", "u3", "u4"]]);
    let found = r#"routed | a#0 {"id":"u1","wants":true,"plan":"pro","user":{"plan":"pro","n":3}}"#;
    assert_eq!((&*shown[0], &*shown[2]), (found, found));
    assert_eq!(
        shown[1],
        r#"routed | a#0 {"id":"u2","wants":true} | site 0 lookup_failed | site 1 lookup_failed"#
    );
    assert_eq!(shown[3], r#"routed | a#0 {"id":"u9"}"#);
    assert!(shown[4].ends_with("site 0 lookup_failed | site 1 lookup_failed"), "{}", shown[4]);
    assert!(shown[5].ends_with("site 0 missing | site 1 missing"), "{}", shown[5]);
    assert!(shown[6].ends_with("site 0 lookup_miss | site 1 lookup_miss"), "{}", shown[6]);
}

#[test]
fn samples_keep_their_share_whole_and_weigh_it() {
    let mut b = Builder::new();
    let key = b.field("service");
    let weight = b.node("sample_weight");
    let body = vec![Stmt::Sample {
        ratio: Ratio { n: 1.0, of: 4.0 },
        by: vec![key],
        otherwise: None,
        weight,
    }];
    b.rule(None, body);
    b.default_to(0);
    let plan = Arc::new(b.plan);
    let events: Vec<String> =
        (0..4000).map(|n| format!(r#"{{"service":"s{}","sample_weight":2}}"#, n / 2)).collect();
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    let shown = run(&plan, &events);
    let kept = shown.iter().filter(|shown| shown.starts_with("routed")).count();
    assert!((800..1200).contains(&kept), "{kept}");
    for (event, pair) in shown.chunks(2).enumerate() {
        assert_eq!(pair[0], pair[1], "one key, one lot");
        let expected = format!(r#"routed | a#0 {{"service":"s{event}","sample_weight":8}}"#);
        assert!(pair[0] == expected || pair[0] == "dropped by r0 as sample", "{}", pair[0]);
    }
}

#[test]
fn arguments_of_a_route_are_in_its_copy_alone() {
    let mut b = Builder::new();
    let service = b.field("service");
    let mut target = to(0);
    target.args = vec![(vec!["reason".into()], service), (vec!["a".into(), "b".into()], service)];
    b.node("a.b");
    b.rule(None, vec![Stmt::Route(vec![target, to(1)])]);
    check(
        b,
        &[
            (
                r#"{"service":"s","a":{"x":1}}"#,
                r#"routed | a#0 {"service":"s","a":{"x":1,"b":"s"},"reason":"s"} | b#1 {"service":"s","a":{"x":1}}"#,
            ),
            (r#"{"a":1}"#, r#"routed | a#0 {"a":1} | b#1 {"a":1}"#),
        ],
    );
}

#[test]
fn the_whole_event_reads_as_an_object() {
    let mut b = Builder::new();
    let all = b.expr(Op::Field(NodeId::ROOT), Type::Any);
    let one = b.int(1);
    let body = vec![b.set("x.y", one), b.set("copy", all)];
    b.rule(None, body);
    b.default_to(0);
    check(
        b,
        &[(
            r#"{"service":"s","u":{"v":[]}}"#,
            r#"routed | a#0 {"service":"s","u":{"v":[]},"x":{"y":1},"copy":{"service":"s","u":{"v":[]},"x":{"y":1}}}"#,
        )],
    );
}

#[test]
fn a_sink_reads_what_the_snapshot_holds() {
    let mut b = Builder::new();
    let (status, timestamp, x) = (b.node("status"), b.node("timestamp"), b.node("x"));
    b.node("a.b");
    let a = b.node("a");
    let (old, one) = (b.field("status"), b.int(1));
    let seven = b.lit(Literal::Float(7.5));
    let is_one = b.compare(CompareOp::Eq, old, one);
    let sum = b.expr(Op::Arith { op: ArithOp::Add, left: old, right: one }, Type::Int);
    let body = vec![
        Stmt::Route(vec![to(0)]),
        Stmt::If {
            condition: is_one,
            site: None,
            then: vec![b.set("x", seven)],
            otherwise: vec![],
        },
        b.set("status", sum),
        Stmt::Route(vec![to(1)]),
    ];
    b.rule(None, body);
    let plan = Arc::new(b.plan);
    let events: [&[u8]; 3] = [
        br#"{"status":"1","timestamp":"2026-05-01T10:00:00Z","a":{"b":1,"z":2}}"#,
        br#"{"status":2.5,"x":"3.5","a":[1]}"#,
        br#"{"status":null,"x":4}"#,
    ];
    let mut names = Names::default();
    let mut batch = Batch::new(&plan.layout);
    load::load(&mut batch, &plan.layout, &mut names, &events).unwrap();
    batch.meta.times = vec![5; 3];
    let outcome = Evaluator::new(plan.clone()).run(&mut batch, &names, &mut NoLookups, false);
    let mut read = |place: usize, node, ty: &Type| -> Vec<String> {
        let snapshot = &outcome.routed[place].snapshot;
        let column = read(&mut batch, &plan, &names, snapshot, node, ty);
        let show = |row| {
            if let Some(why) = column.absence(row) {
                return why.name().to_owned();
            }
            let mut out = Vec::new();
            print::cell(&mut out, &batch.arena, &column, row);
            String::from_utf8(out).unwrap()
        };
        (0..3).map(show).collect()
    };
    assert_eq!(read(0, status, &Type::Int), ["1", "type", "null"]);
    assert_eq!(read(1, status, &Type::Int), ["2", "type", "null"]);
    assert_eq!(read(1, status, &Type::Any), ["2", "2.5", "null"]);
    assert_eq!(read(0, x, &Type::Float), ["missing", "type", "4.0"]);
    assert_eq!(read(1, x, &Type::Float), ["7.5", "type", "4.0"]);
    let late = "\"1970-01-01T00:00:00.000000005Z\"";
    let times = ["\"2026-05-01T10:00:00Z\"", late, late];
    assert_eq!(read(1, timestamp, &Type::Timestamp), times);
    assert_eq!(read(1, a, &Type::Any), [r#"{"b":1,"z":2}"#, "[1]", "missing"]);
    assert_eq!(read(1, a, &Type::map(Type::Any)), [r#"{"b":1,"z":2}"#, "type", "missing"]);
}
