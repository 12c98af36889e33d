//! A batch gives what its events give one by one, for any plan: the property that holds masks to their meaning.

use std::{collections::BTreeMap, sync::Arc};

use logmon_dsl::{
    column::Absence,
    eval::{Answer, Lookups},
    plan::{
        ArithOp, AssignOp, CompareOp, ExprId, FormatPart, IsTest, Literal, LiteralSet, LookupDecl,
        MatchPattern, Op, PathSet, Plan, Ratio, RecordPart, SiteId, Step, Stmt, Target, TextTest,
    },
    span::Span,
    types::{Shape, Ty, Type},
};
use proptest::prelude::*;

use crate::{
    dice::Dice,
    plans::{Builder, run_with, to},
};

const PATHS: [&str; 11] =
    ["service", "message", "status", "severity", "a", "a.b", "a.b.c", "a.d", "x", "y", "timestamp"];

fn event(dice: &mut Dice) -> String {
    let mut members = Vec::new();
    for key in ["service", "message", "status", "severity", "a", "x", "y", "timestamp", "z", "tags"]
    {
        if dice.roll(3) > 0 {
            members.push(format!("\"{key}\":{}", value(dice, 3)));
        }
    }
    format!("{{{}}}", members.join(","))
}

fn value(dice: &mut Dice, depth: usize) -> String {
    let scalars = [
        "1",
        "-7",
        "200",
        "500",
        "2.5",
        "true",
        "null",
        "\"web\"",
        "\"api\"",
        "\"error\"",
        "\"5\"",
        "\"a \\u0062\"",
        "\"time out\"",
        "\"2026-05-01T10:00:00Z\"",
        "\"10.0.0.1\"",
        "1e3",
        "99999999999999999999",
    ];
    match dice.roll(if depth == 0 { 1 } else { 4 }) {
        0 | 1 => (*dice.pick(&scalars)).to_owned(),
        2 => {
            let inner: Vec<_> = (0..dice.roll(3)).map(|_| value(dice, depth - 1)).collect();
            format!("[{}]", inner.join(", "))
        }
        _ => {
            let mut inner = Vec::new();
            for key in ["b", "c", "d", "e.f"] {
                if dice.roll(2) == 0 {
                    inner.push(format!("\"{key}\": {}", value(dice, depth - 1)));
                }
            }
            format!("{{{}}}", inner.join(","))
        }
    }
}

/// Random plans: well-formed, though no checker would pass all of them.
struct Plans<'d> {
    b: Builder,
    dice: &'d mut Dice,
    /// Bound locals that may be read here.
    locals: Vec<ExprId>,
}

impl Plans<'_> {
    fn path(&mut self) -> &'static str {
        PATHS[self.dice.roll(PATHS.len())]
    }

    fn literal(&mut self) -> ExprId {
        let literal = match self.dice.roll(5) {
            0 => Literal::Int(500),
            1 => Literal::Text("web".into()),
            2 => Literal::Float(2.5),
            3 => Literal::Text("e".into()),
            _ => Literal::Json(r#"{"b":{"c":1},"q":[2]}"#.into()),
        };
        self.b.lit(literal)
    }

    fn any(&mut self, depth: usize) -> ExprId {
        if depth == 0 {
            let path = self.path();
            return self.b.field(path);
        }
        let depth = depth - 1;
        match self.dice.roll(12) {
            0 | 1 => {
                let path = self.path();
                self.b.field(path)
            }
            2 => self.literal(),
            3 => {
                let (a, c) = (self.any(depth), self.any(depth));
                self.b.expr(Op::Coalesce(a, c), Type::Any)
            }
            4 => {
                let (left, right) = (self.any(depth), self.any(depth));
                let ops = [ArithOp::Add, ArithOp::Mul, ArithOp::Div, ArithOp::Rem];
                let op = ops[self.dice.roll(4)];
                self.b.expr(Op::Arith { op, left, right }, Type::Any)
            }
            5 => {
                let condition = self.test(depth);
                let (then, otherwise) = (self.any(depth), self.any(depth));
                self.b.expr(Op::If { condition, then, otherwise }, Type::Any)
            }
            6 => {
                let of = self.any(depth);
                let key = (*self.dice.pick(&["b", "c", "q"])).into();
                self.b.expr(Op::Member { of, key }, Type::Any)
            }
            7 => {
                let types = [Type::Int, Type::Text, Type::Float, Type::Ip, Type::list(Type::Any)];
                let of = self.any(depth);
                let ty = types[self.dice.roll(5)].clone();
                self.b.expr(Op::Narrow(of), ty)
            }
            8 => {
                let (a, c) = (self.any(depth), self.any(depth));
                let mut parts =
                    vec![RecordPart::Member("b".into(), a), RecordPart::Member("n".into(), c)];
                if self.dice.roll(3) == 0 {
                    parts.push(RecordPart::Spread(self.any(depth)));
                }
                self.b.expr(Op::Record(parts), Type::Any)
            }
            9 => {
                let hole = self.any(depth);
                let parts = vec![FormatPart::Text("<".into()), FormatPart::Hole(hole)];
                self.b.expr(Op::Format(parts), Type::Text)
            }
            10 => {
                let on = self.any(depth);
                let arms = vec![
                    (vec![MatchPattern::Is(Literal::Text("web".into()))], self.any(depth)),
                    (
                        vec![MatchPattern::Range {
                            from: Literal::Int(0),
                            to: Literal::Int(300),
                            inclusive: true,
                        }],
                        self.literal(),
                    ),
                ];
                self.b.expr(Op::Match { on, arms }, Type::Any)
            }
            _ => {
                if let Some(&local) = self.locals.last() {
                    return local;
                }
                let key = self.any(depth);
                let key = self.b.expr(Op::Narrow(key), Type::Text);
                let ty = self.b.plan.lookups[0].yields.base.clone();
                self.b.expr(Op::Lookup { lookup: 0, args: vec![key] }, ty)
            }
        }
    }

    fn test(&mut self, depth: usize) -> ExprId {
        if depth == 0 {
            let value = self.any(0);
            let tests = [IsTest::Present, IsTest::Missing, IsTest::Null, IsTest::Type(Type::Text)];
            let test = tests[self.dice.roll(4)].clone();
            return self.b.expr(Op::Is { value, test }, Type::Bool);
        }
        let depth = depth - 1;
        match self.dice.roll(9) {
            0 => {
                let all = vec![self.test(depth), self.test(depth), self.test(depth)];
                self.b.expr(Op::And(all), Type::Bool)
            }
            1 => {
                let all = vec![self.test(depth), self.test(depth)];
                self.b.expr(Op::Or(all), Type::Bool)
            }
            2 => {
                let of = self.test(depth);
                self.b.expr(Op::Not(of), Type::Bool)
            }
            3 | 4 => {
                let ops = [CompareOp::Eq, CompareOp::Lt, CompareOp::Ge];
                let (left, right) = (self.any(depth), self.literal());
                let op = ops[self.dice.roll(3)];
                self.b.compare(op, left, right)
            }
            5 => {
                let (value, needle) = (self.any(depth), self.b.text("e"));
                let value = self.b.expr(Op::Narrow(value), Type::Text);
                let ignore_case = self.dice.roll(2) == 0;
                let test = TextTest::Contains;
                self.b.expr(Op::TextTest { test, value, needle, ignore_case }, Type::Bool)
            }
            6 => {
                let value = self.any(depth);
                let set = LiteralSet {
                    texts: vec!["api".into(), "web".into()],
                    ints: vec![1, 200],
                    ..LiteralSet::default()
                };
                self.b.expr(Op::InSet { value, set: Arc::new(set) }, Type::Bool)
            }
            7 => self.many_literals(),
            _ => {
                let list = self.any(depth);
                let list = self.b.expr(Op::Narrow(list), Type::list(Type::Any));
                let element = self.b.local();
                let item = self.b.expr(Op::Local(element), Type::Any);
                let other = self.any(0);
                let test = self.b.compare(CompareOp::Eq, item, other);
                self.b.expr(Op::AnyElement { list, element, test }, Type::Bool)
            }
        }
    }

    /// So many that they are looked for together.
    fn many_literals(&mut self) -> ExprId {
        let value = self.b.field(["service", "message", "x"][self.dice.roll(3)]);
        let value = self.b.expr(Op::Narrow(value), Type::Text);
        let tests = ["time out", "error in", "web-front", "front-api", "time out!"].map(|text| {
            let needle = self.b.text(text);
            let (test, ignore_case) = (TextTest::Contains, false);
            self.b.expr(Op::TextTest { test, value, needle, ignore_case }, Type::Bool)
        });
        let equal = ["web", "api", "error", "5", "a b"].map(|text| {
            let text = self.b.text(text);
            self.b.compare(CompareOp::Eq, value, text)
        });
        let mut all: Vec<ExprId> = tests.into_iter().chain(equal).collect();
        let first = self.dice.roll(all.len());
        all.rotate_left(first);
        all.truncate(1 + self.dice.roll(3));
        self.b.expr(Op::Or(all), Type::Bool)
    }

    fn block(&mut self, depth: usize) -> Vec<Stmt> {
        let visible = self.locals.len();
        let mut body = Vec::new();
        for _ in 0..=self.dice.roll(3) {
            let statement = self.statement(depth);
            body.push(statement);
        }
        self.locals.truncate(visible);
        body
    }

    fn otherwise(&mut self, depth: usize) -> Option<Vec<Stmt>> {
        (depth > 0 && self.dice.roll(2) == 0).then(|| self.block(depth - 1))
    }

    fn statement(&mut self, depth: usize) -> Stmt {
        match self.dice.roll(if depth == 0 { 8 } else { 13 }) {
            0..=2 => {
                let value = self.any(2);
                let path = self.path();
                let ops = [AssignOp::Set, AssignOp::Set, AssignOp::Default, AssignOp::Merge];
                let op = ops[self.dice.roll(4)];
                let otherwise = self.otherwise(depth);
                self.b.assign(path, op, value, otherwise)
            }
            3 => {
                let path = self.path();
                let node = self.b.node(path);
                Stmt::Del(vec![PathSet { node, below: self.dice.roll(3) == 0 }])
            }
            4 => {
                let (from, to) = (self.path(), self.path());
                let (from, to) = (self.b.node(from), self.b.node(to));
                Stmt::Rename { from, to, site: self.b.site() }
            }
            5 => Stmt::Route(vec![self.target()]),
            6 => Stmt::Tag {
                tags: self.b.node("tags"),
                texts: vec!["t".into(), "web".into()],
                site: self.b.site(),
            },
            7 => {
                let null = self.b.lit(Literal::Absent(Absence::Null));
                let path = self.path();
                self.b.set(path, null)
            }
            8 => {
                let condition = self.test(2);
                let then = self.block(depth - 1);
                let otherwise = self.otherwise(depth).unwrap_or_default();
                Stmt::If { condition, site: Some(self.b.site()), then, otherwise }
            }
            9 => {
                let value = self.any(2);
                let otherwise = self.otherwise(depth);
                let local = self.b.local();
                let bound = self.b.expr(Op::Local(local), Type::Any);
                self.locals.push(bound);
                Stmt::Let { bindings: vec![(local, value)], otherwise, site: self.b.site() }
            }
            10 => {
                let path = self.path();
                let nodes = [self.b.node(path), self.b.node("a.b")];
                let sets = nodes.map(|node| PathSet { node, below: false });
                Stmt::Keep(sets.to_vec())
            }
            11 => {
                let by = if self.dice.roll(2) == 0 { vec![self.any(1)] } else { vec![] };
                let weight = self.b.node("sample_weight");
                let otherwise = self.otherwise(depth);
                Stmt::Sample { ratio: Ratio { n: 1.0, of: 2.0 }, by, otherwise, weight }
            }
            _ => match self.dice.roll(3) {
                0 => Stmt::Return,
                1 => Stmt::Drop { reason: "why".into() },
                _ => Stmt::Route(vec![self.target(), to(1)]),
            },
        }
    }

    fn target(&mut self) -> Target {
        let mut target = to(0);
        if self.dice.roll(3) == 0 {
            target.args = vec![(vec!["a".into(), "arg".into()], self.any(1))];
        }
        target
    }
}

fn plan(dice: &mut Dice) -> Plan {
    let mut b = Builder::new();
    for path in PATHS {
        b.node(path);
    }
    let shape = Shape::closed([("b", Ty::optional(Type::Int)), ("q", Ty::optional(Type::Any))]);
    b.plan.lookups.push(LookupDecl {
        name: "l".into(),
        keys: vec![Ty::required(Type::Text)],
        yields: Ty::optional(Type::Record(Arc::new(shape))),
        span: Span::default(),
        fields: Vec::new(),
    });
    let mut plans = Plans { b, dice, locals: vec![] };
    for _ in 0..=plans.dice.roll(4) {
        let when = (plans.dice.roll(3) > 0).then(|| plans.test(2));
        let body = plans.block(2);
        let rule = plans.b.add_rule(when, body);
        let site = plans.b.site();
        plans.b.plan.rules[rule.0 as usize].site = Some(site);
        match plans.b.plan.steps.last_mut() {
            Some(Step::Group { rules, .. }) if plans.dice.roll(2) == 0 => rules.push(rule),
            _ if plans.dice.roll(3) == 0 => {
                let when = (plans.dice.roll(2) == 0).then(|| plans.test(1));
                let first = plans.dice.roll(2) == 0;
                let site = Some(plans.b.site());
                let step = Step::Group { name: "g".into(), first, when, site, rules: vec![rule] };
                plans.b.plan.steps.push(step);
            }
            _ => plans.b.plan.steps.push(Step::Rule(rule)),
        }
    }
    plans.b.default_to(1);
    plans.b.plan
}

/// Answers by the key alone.
struct Echo;

impl Lookups for Echo {
    fn resolve(&mut self, _lookup: usize, keys: &[&str]) -> Vec<Answer> {
        keys.iter()
            .map(|key| match key.len() % 3 {
                0 => Answer::Found(r#"{"b":1,"q":{"c":"x"}}"#.into()),
                1 => Answer::Miss,
                _ => Answer::Failed,
            })
            .collect()
    }
}

/// Where faults of conditions are counted.
fn conditions(plan: &Plan) -> Vec<SiteId> {
    let mut found: Vec<SiteId> = plan.rules.iter().filter_map(|rule| rule.site).collect();
    for step in &plan.steps {
        if let Step::Group { site, .. } = step {
            found.extend(*site);
        }
    }
    let mut blocks: Vec<&[Stmt]> = plan.rules.iter().map(|rule| &rule.body[..]).collect();
    while let Some(block) = blocks.pop() {
        for statement in block {
            if let Stmt::If { site, .. } = statement {
                found.extend(*site);
            }
            blocks.extend(statement.blocks());
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_batch_gives_what_its_events_give(seed in 1u64.., rows in 1usize..90) {
        let mut dice = Dice::new(seed);
        let plan = Arc::new(plan(&mut dice));
        let events: Vec<String> = (0..rows).map(|_| event(&mut dice)).collect();
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        let (together, outcome) = run_with(&plan, &events, 0, &mut Echo);
        let mut counts = vec![(0, 0); plan.rules.len()];
        let mut faults = BTreeMap::new();
        for (row, &event) in events.iter().enumerate() {
            let (alone, one) = run_with(&plan, &[event], row as i64, &mut Echo);
            prop_assert_eq!(&together[row], &alone[0], "row {} {} of {:?} {:?}", row, event, plan.rules, plan.exprs.iter().map(|e| &e.op).enumerate().collect::<Vec<_>>());
            for (sum, count) in counts.iter_mut().zip(one.rules) {
                sum.0 += count.evaluated;
                sum.1 += count.matched;
            }
            for (site, why, count) in one.faults {
                *faults.entry((site, why)).or_insert(0) += count;
            }
        }
        let all: Vec<_> = outcome.rules.iter().map(|count| (count.evaluated, count.matched)).collect();
        prop_assert_eq!(all, counts, "{:?} of {:?} {:?}", events, plan.rules, plan.exprs.iter().map(|e| (&e.op, &e.ty)).enumerate().collect::<Vec<_>>());
        let together: BTreeMap<_, _> =
            outcome.faults.iter().map(|(site, why, count)| ((*site, *why), *count)).collect();
        prop_assert_eq!(&together, &faults, "{:?} of {:?}", events, plan);
        let conditions = conditions(&plan);
        let statements = together.iter().filter(|((site, _), _)| !conditions.contains(site));
        let statements: u32 = statements.map(|(_, count)| count).sum();
        prop_assert_eq!(statements as usize, outcome.fault_rows.len());
    }
}
