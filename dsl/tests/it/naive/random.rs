//! Random programs that type-check, most of them, and random events.

use super::{
    program::{E, Path, Pattern, Rule, S, Step},
    value::{JOIN, V},
};
use crate::dice::Dice;

/// What an expression is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Int,
    /// A number of either kind, perhaps from `any`.
    Number,
    Float,
    Text,
    Any,
    Severity,
    Time,
    Span,
    Ip,
    List,
}

const SECOND: i64 = 1_000_000_000;

/// Makes programs.
pub(super) struct Programs<'d> {
    dice: &'d mut Dice,
    locals: Vec<(String, Kind)>,
    names: usize,
    stores: usize,
}

fn boxed(it: E) -> Box<E> {
    Box::new(it)
}

fn int(number: i64) -> E {
    E::Value(V::Int(number))
}

fn time(text: &str) -> V {
    V::Time(text.parse().expect("a time"))
}

/// The steps of a program.
pub(super) fn program(dice: &mut Dice) -> Vec<Step> {
    let mut it = Programs { dice, locals: vec![], names: 0, stores: 0 };
    (0..=it.dice.roll(3)).map(|_| it.step()).collect()
}

impl Programs<'_> {
    fn name(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names)
    }

    fn step(&mut self) -> Step {
        if !self.dice.one_in(3) {
            return Step::Rule(self.rule());
        }
        let first = self.dice.one_in(2);
        let when = self.dice.one_in(2).then(|| self.flag(1));
        let rules = (0..=self.dice.roll(2)).map(|_| self.rule()).collect();
        Step::Group { name: self.name("g"), first, when, rules }
    }

    fn rule(&mut self) -> Rule {
        let when = (!self.dice.one_in(3)).then(|| self.flag(2));
        Rule { name: self.name("r"), when, body: self.block(2, None) }
    }

    fn block(&mut self, depth: usize, end: Option<S>) -> Vec<S> {
        let visible = self.locals.len();
        let mut body: Vec<S> = (0..=self.dice.roll(3)).map(|_| self.stmt(depth)).collect();
        self.locals.truncate(visible);
        // Behind a statement that ends the rule nothing may stand.
        let ends = |it: &S| matches!(it, S::Return | S::Drop(_));
        if let Some(place) = body.iter().position(ends) {
            body.truncate(place + 1);
        } else {
            body.extend(end);
        }
        body
    }

    fn otherwise(&mut self, depth: usize) -> Option<Vec<S>> {
        (depth > 0 && self.dice.one_in(2)).then(|| self.block(depth - 1, None))
    }

    /// A place to write, and what fits there.
    fn place(&mut self) -> (Path, Kind) {
        let places: [(&[&'static str], Kind); 21] = [
            (&["n"], Kind::Int),
            (&["c"], Kind::Int),
            (&["i"], Kind::Int),
            (&["j", "k"], Kind::Int),
            (&["f"], Kind::Float),
            (&["s"], Kind::Text),
            (&["w"], Kind::Text),
            (&["x"], Kind::Any),
            (&["x"], Kind::Any),
            (&["y"], Kind::Any),
            (&["o", "p"], Kind::Any),
            (&["o", "q", "z"], Kind::Any),
            (&["o", "t"], Kind::Text),
            (&["r", "a"], Kind::Int),
            (&["r", "b"], Kind::Text),
            (&["r", "e"], Kind::Any),
            (&["v"], Kind::Severity),
            (&["u"], Kind::Severity),
            (&["t"], Kind::Time),
            (&["ip"], Kind::Ip),
            (&["l"], Kind::List),
        ];
        let (path, kind) = *self.dice.pick(&places);
        (path.to_vec(), kind)
    }

    /// A field that reads as what is wanted.
    fn field(&mut self, kind: Kind) -> E {
        let paths: &[&[&'static str]] = match kind {
            Kind::Int => &[&["n"], &["c"], &["r", "a"]],
            Kind::Number => &[&["n"], &["f"], &["x"], &["y"], &["o", "p"], &["i"], &["j", "k"]],
            Kind::Float => &[&["f"]],
            Kind::Text => &[&["s"], &["s"], &["r", "b"]],
            Kind::Any => {
                &[&["x"], &["y"], &["o", "p"], &["o", "q", "z"], &["r", "e"], &["missing"]]
            }
            Kind::Severity => &[&["v"]],
            Kind::Time => &[&["t"]],
            Kind::Span => &[&["d"]],
            Kind::Ip => &[&["ip"]],
            Kind::List => &[&["l"]],
        };
        E::Path(self.dice.pick(paths).to_vec())
    }

    fn constant(&mut self, kind: Kind) -> E {
        let big = [0, 1, -7, 2, 200, 500, 3, i64::MAX, 12];
        E::Value(match kind {
            Kind::Int => V::Int(*self.dice.pick(&big)),
            Kind::Number if self.dice.one_in(2) => V::Int(*self.dice.pick(&[0, 1, 2, 500])),
            Kind::Number | Kind::Float => V::Float(*self.dice.pick(&[2.5, 0.0, -1.25, 1e300])),
            Kind::Text => V::text(self.dice.pick::<&str>(&["web", "api", "", "time out", "5"])),
            Kind::Any => return self.field(Kind::Any),
            Kind::Severity => V::Severity(*self.dice.pick(&[1, 5, 9, 13, 17])),
            Kind::Time => time("2026-05-01T10:00:00Z"),
            Kind::Span => V::Span(*self.dice.pick(&[5, 60, 90]) * SECOND),
            Kind::Ip => V::Ip("10.0.0.1".parse().expect("an address")),
            Kind::List => return E::List(vec![int(1), int(200)]),
        })
    }

    fn local(&mut self, kind: Kind) -> Option<E> {
        let fitting: Vec<&String> =
            self.locals.iter().filter(|(_, it)| *it == kind).map(|(name, _)| name).collect();
        (!fitting.is_empty()).then(|| E::Local((*self.dice.pick(&fitting)).clone()))
    }

    fn pair(&mut self, a: Kind, b: Kind, depth: usize) -> (Box<E>, Box<E>) {
        (boxed(self.expr(a, depth)), boxed(self.expr(b, depth)))
    }

    pub(super) fn expr(&mut self, kind: Kind, depth: usize) -> E {
        if self.dice.one_in(4)
            && let Some(local) = self.local(kind)
        {
            return local;
        }
        if depth == 0 {
            return if self.dice.one_in(3) { self.constant(kind) } else { self.field(kind) };
        }
        let depth = depth - 1;
        match self.dice.roll(9) {
            0 | 1 => self.field(kind),
            2 => self.constant(kind),
            3 => {
                let (a, b) = self.pair(kind, kind, depth);
                E::Coalesce(a, b)
            }
            4 => {
                let condition = boxed(self.flag(depth));
                let (a, b) = self.pair(kind, kind, depth);
                E::If(condition, a, b)
            }
            5 => self.choice(kind, depth),
            _ => self.own(kind, depth),
        }
    }

    fn choice(&mut self, kind: Kind, depth: usize) -> E {
        let (on, mut arms) = if self.dice.one_in(2) {
            let range = Pattern::Range(0, 200, self.dice.one_in(2));
            let number = if self.dice.one_in(2) { Kind::Int } else { Kind::Any };
            let patterns = vec![Pattern::Is(V::Int(500)), range];
            (self.expr(number, depth), vec![(patterns, self.expr(kind, depth))])
        } else {
            let patterns = vec![Pattern::Is(V::text("web")), Pattern::Is(V::text("api"))];
            (self.expr(Kind::Text, depth), vec![(patterns, self.expr(kind, depth))])
        };
        if self.dice.one_in(2) {
            arms.push((vec![Pattern::Rest], self.expr(kind, depth)));
        }
        E::Match(boxed(on), arms)
    }

    /// What only this kind of expression can be.
    fn own(&mut self, kind: Kind, depth: usize) -> E {
        match kind {
            Kind::Int => match self.dice.roll(7) {
                0..=2 => {
                    let op = *self.dice.pick(&['+', '-', '*', '%']);
                    let (a, b) = self.pair(Kind::Int, Kind::Int, depth);
                    E::Arith(op, a, b)
                }
                3 => E::Negative(boxed(self.expr(Kind::Int, depth))),
                4 => E::Call("len", vec![self.expr(Kind::Text, depth)]),
                5 => E::Nth(vec!["l"], *self.dice.pick(&[0, 1, -1, 9])),
                _ => E::Call("int", vec![self.expr(Kind::Text, depth)]),
            },
            Kind::Number => {
                let op = *self.dice.pick(&['+', '-', '*', '/', '%']);
                let (a, b) = self.pair(Kind::Number, Kind::Number, depth);
                E::Arith(op, a, b)
            }
            Kind::Float => {
                let op = *self.dice.pick(&['+', '-', '*', '/', '%']);
                let (a, b) = self.pair(Kind::Float, Kind::Int, depth);
                E::Arith(op, a, b)
            }
            Kind::Text => match self.dice.roll(5) {
                0 => {
                    let (a, b) = self.pair(Kind::Text, Kind::Text, depth);
                    E::Arith(JOIN, a, b)
                }
                1 => {
                    let hole = *self.dice.pick(&[Kind::Text, Kind::Int, Kind::Severity]);
                    E::Format(vec![self.expr(hole, depth), self.expr(Kind::Text, depth)])
                }
                2 => E::Call("upper", vec![self.expr(Kind::Text, depth)]),
                3 => E::Call("lower", vec![self.expr(Kind::Any, depth)]),
                _ => E::Call("string", vec![self.expr(Kind::Int, depth)]),
            },
            Kind::Any => match self.dice.roll(4) {
                0 => E::Nth(vec!["g"], *self.dice.pick(&[0, 1, -1, 9])),
                1 => E::Path(vec!["x", self.dice.word(&["b", "c"])]),
                _ => match self.local(Kind::Any) {
                    Some(local) => E::Member(boxed(local), self.dice.word(&["b", "c"])),
                    None => self.field(Kind::Any),
                },
            },
            Kind::Time => {
                let op = *self.dice.pick(&['+', '-']);
                let (a, b) = self.pair(Kind::Time, Kind::Span, depth);
                E::Arith(op, a, b)
            }
            Kind::Span => {
                let (a, b) = if self.dice.one_in(2) {
                    self.pair(Kind::Time, Kind::Time, depth)
                } else {
                    self.pair(Kind::Span, Kind::Span, depth)
                };
                E::Arith('-', a, b)
            }
            Kind::List => {
                let list = boxed(self.expr(Kind::List, depth));
                let name = self.name("e");
                let visible = self.locals.len();
                self.locals.push((name.clone(), Kind::Int));
                let (over, body) = if self.dice.one_in(2) {
                    ("filter", self.flag(depth))
                } else {
                    ("map", self.expr(Kind::Int, depth))
                };
                self.locals.truncate(visible);
                E::Over(over, list, name, boxed(body))
            }
            Kind::Severity | Kind::Ip => self.field(kind),
        }
    }

    /// A condition.
    pub(super) fn flag(&mut self, depth: usize) -> E {
        if depth == 0 {
            return match self.dice.roll(4) {
                0 => E::Path(vec!["b"]),
                1 => self.asked(),
                _ => self.compare(0),
            };
        }
        let depth = depth - 1;
        match self.dice.roll(13) {
            0 => {
                let (a, b) = (boxed(self.flag(depth)), boxed(self.flag(depth)));
                E::And(a, b)
            }
            1 => {
                let (a, b) = (boxed(self.flag(depth)), boxed(self.flag(depth)));
                E::Or(a, b)
            }
            2 => E::Not(boxed(self.flag(depth))),
            3..=5 => self.compare(depth),
            6 => self.asked(),
            7 => {
                let (kind, set) = if self.dice.one_in(2) {
                    (Kind::Text, vec![V::text("web"), V::text("api"), V::text("q")])
                } else {
                    (Kind::Int, vec![V::Int(1), V::Int(200), V::Int(-7)])
                };
                let kind = if self.dice.one_in(3) { Kind::Any } else { kind };
                E::In(boxed(self.expr(kind, depth)), set, self.dice.one_in(2))
            }
            8 => {
                let ops = ["contains", "starts_with", "ends_with", "has", "like", "matches"];
                let op = *self.dice.pick(&ops);
                let text = *self.dice.pick(match op {
                    "like" => &["w*", "*e*", "?pi", "*"][..],
                    "matches" => &["^w", "o.t$", r"\d", "a|b"][..],
                    "has" => &["out", "web", "time"][..],
                    _ => &["e", "web", "t", "out"][..],
                });
                let kind = *self.dice.pick(&[Kind::Text, Kind::Text, Kind::Any]);
                let any_case = op != "like" && self.dice.one_in(3);
                E::Test(op, boxed(self.expr(kind, depth)), text, any_case)
            }
            9 => {
                let (list, element) = self.pair(Kind::List, Kind::Int, depth);
                E::Holds(list, element)
            }
            10 => {
                let list = boxed(self.expr(Kind::List, depth));
                let name = self.name("e");
                let visible = self.locals.len();
                self.locals.push((name.clone(), Kind::Int));
                let body = self.flag(depth);
                self.locals.truncate(visible);
                E::Over(self.dice.word(&["any", "all"]), list, name, boxed(body))
            }
            11 => {
                let each = E::Each(vec!["g"], vec!["p"]);
                let op = self.dice.word(&["==", "!=", ">"]);
                E::Compare(op, boxed(each), boxed(self.constant(Kind::Int)))
            }
            _ => E::InBlock(boxed(self.expr(Kind::Ip, depth)), "10.0.0.0/8"),
        }
    }

    fn asked(&mut self) -> E {
        let any: [&[&'static str]; 6] = [&["x"], &["o"], &["o", "q"], &["g"], &["r"], &["y"]];
        let what =
            ["present", "absent", "missing", "null", "int", "string", "float", "bool", "list<any>"];
        if self.dice.one_in(3) {
            let kinds = [Kind::Int, Kind::Text, Kind::Severity, Kind::Ip];
            let kind = *self.dice.pick(&kinds);
            let field = self.field(kind);
            return E::Is(boxed(field), self.dice.word(&what[..4]), self.dice.one_in(2));
        }
        let path = E::Path(self.dice.pick(&any).to_vec());
        let n_asked = if self.dice.one_in(2) { 4 } else { what.len() };
        E::Is(boxed(path), self.dice.word(&what[..n_asked]), self.dice.one_in(3))
    }

    fn compare(&mut self, depth: usize) -> E {
        let ops = ["==", "!=", "<", "<=", ">", ">="];
        let op = *self.dice.pick(&ops);
        let kinds = [
            (Kind::Int, Kind::Int),
            (Kind::Int, Kind::Int),
            (Kind::Number, Kind::Number),
            (Kind::Float, Kind::Int),
            (Kind::Text, Kind::Text),
            (Kind::Any, Kind::Text),
            (Kind::Any, Kind::Int),
            (Kind::Severity, Kind::Severity),
            (Kind::Time, Kind::Time),
            (Kind::Span, Kind::Span),
            (Kind::Any, Kind::Time),
        ];
        let (a, b) = *self.dice.pick(&kinds);
        let a = self.expr(a, depth);
        let b = if self.dice.one_in(2) { self.constant(b) } else { self.expr(b, depth) };
        E::Compare(op, boxed(a), boxed(b))
    }

    fn stmt(&mut self, depth: usize) -> S {
        match self.dice.roll(if depth == 0 { 11 } else { 20 }) {
            0..=3 => {
                let (path, kind) = self.place();
                let value = self.expr(kind, 2);
                let op = if self.dice.one_in(4) { "??=" } else { "=" };
                let otherwise = self.otherwise(depth);
                S::Assign(path, op, value, otherwise)
            }
            4 => {
                let members = vec![
                    ("p", self.expr(Kind::Any, 1)),
                    (*self.dice.pick(&["t", "k"]), self.expr(Kind::Text, 1)),
                ];
                let op = *self.dice.pick(&["=", "|=", "|="]);
                S::Assign(vec!["o"], op, E::Record(members), None)
            }
            5 => {
                let (path, _) = self.place();
                if self.dice.one_in(2) { S::Null(path) } else { S::Del(path, false) }
            }
            6 => S::Del(self.dice.pick(&[vec!["o"], vec!["r"], vec!["o", "q"]]).clone(), true),
            7 => {
                let moves: [(&[&'static str], &[&'static str]); 6] = [
                    (&["n"], &["moved"]),
                    (&["x"], &["o", "x"]),
                    (&["o", "p"], &["y"]),
                    (&["s"], &["r", "moved"]),
                    (&["c"], &["m", "c"]),
                    (&["o"], &["old"]),
                ];
                let (from, to) = *self.dice.pick(&moves);
                S::Rename(from.to_vec(), to.to_vec())
            }
            8 => S::Tag(self.dice.pick(&[vec!["t"], vec!["t", "web"], vec!["u"]]).clone()),
            9 | 10 if self.dice.one_in(2) => {
                let value = self.dice.one_in(2).then(|| self.expr(Kind::Int, 1));
                S::Route(self.dice.word(&["one", "two"]), value)
            }
            9 | 10 => {
                let value = self.dice.one_in(2).then(|| self.expr(Kind::Number, 1));
                S::Count("seen", self.expr(Kind::Text, 1), value)
            }
            11 | 12 => {
                let kinds = [Kind::Int, Kind::Text, Kind::Any, Kind::Number, Kind::List];
                let kind = *self.dice.pick(&kinds);
                let value = self.expr(kind, 2);
                let otherwise = self.dice.one_in(2).then(|| self.block(depth - 1, Some(S::Return)));
                let name = self.name("a");
                self.locals.push((name.clone(), kind));
                S::Let(name, value, otherwise)
            }
            13 => {
                let otherwise = self.block(depth - 1, Some(S::Return));
                let names: Vec<_> = ["b", "c"].map(|key| (key.to_owned(), key)).to_vec();
                S::LetEach(names, E::Path(vec![*self.dice.pick(&["x", "o"])]), otherwise)
            }
            14 | 15 => {
                let condition = self.flag(2);
                let then = self.block(depth - 1, None);
                S::If(condition, then, self.otherwise(depth))
            }
            16 => match self.dice.roll(5) {
                4 => {
                    let all: [&[&'static str]; 6] =
                        [&["n"], &["o", "p"], &["o", "q", "z"], &["r", "b"], &["x"], &["s"]];
                    S::Keep((0..3).map(|_| self.dice.pick(&all).to_vec()).collect())
                }
                0 => S::Return,
                1 => S::Drop(None),
                2 => S::Drop(Some("why")),
                _ => {
                    let by = if self.dice.one_in(2) { Kind::Text } else { Kind::Int };
                    let percent = *self.dice.pick(&[5, 50, 90]);
                    S::Sample(percent, self.expr(by, 1), self.otherwise(depth))
                }
            },
            17 => {
                self.stores += 1;
                let (id, count) = (self.stores, 1 + self.dice.roll(3) as i64);
                let burst = count + self.dice.roll(3) as i64;
                let by = self.expr(Kind::Text, 0);
                S::Limit { id, count, burst, by, otherwise: self.otherwise(depth) }
            }
            18 => {
                self.stores += 1;
                let (id, within) = (self.stores, (1 + self.dice.roll(4)) as i64 * SECOND);
                let by = self.expr(Kind::Int, 0);
                S::Dedup { id, within, by, otherwise: self.otherwise(depth) }
            }
            _ => {
                if self.dice.one_in(4) {
                    S::Emit(E::Path(vec!["parts"]), None)
                } else {
                    let list = *self.dice.pick(&["g", "l", "x"]);
                    let to = *self.dice.pick(&["e", "y"]);
                    S::Emit(E::Path(vec![list]), Some(vec![to]))
                }
            }
        }
    }
}

/// The text of an event.
pub(super) fn event(dice: &mut Dice) -> String {
    let any: &[&str] = &[
        "1",
        "-7",
        "200",
        "2.5",
        "true",
        "null",
        "\"web\"",
        "\"5\"",
        "\"time out\"",
        "\"2026-05-01T10:00:00Z\"",
        "[1,2]",
        "[]",
        "{\"b\":1,\"c\":\"web\"}",
        "{\"b\":null}",
        "99999999999999999999",
        "\"a\\u0062\"",
    ];
    let ints: &[&str] = &["1", "200", "500", "-7", "0", "\"x\"", "2.5", "null", "[1]"];
    let texts: &[&str] = &["\"web\"", "\"api\"", "\"time out!\"", "\"WEB 5\"", "\"\"", "7", "null"];
    let members: [(&str, &[&str]); 20] = [
        ("n", ints),
        ("f", &["2.5", "1", "0.0", "-1.25", "\"x\"", "1e300"]),
        ("s", texts),
        ("c", &["\"503\"", "200", "\"x\"", "null", "true", "\"-1\""]),
        ("v", &["\"ERROR\"", "\"warn\"", "\"info\"", "\"loud\"", "[]", "\"debug\""]),
        ("b", &["true", "false", "\"true\"", "null"]),
        ("t", &["\"2026-05-01T10:00:00Z\"", "\"2026-05-01T10:01:30Z\"", "\"never\"", "5"]),
        ("d", &["\"90s\"", "\"5m\"", "\"x\"", "7"]),
        ("ip", &["\"10.0.0.1\"", "\"192.0.2.1\"", "\"nowhere\"", "7", "\"2001:db8::1\""]),
        ("l", &["[1,200,3]", "[]", "[\"x\",1]", "7", "[200]", "[null,5]"]),
        ("tags", &["[\"t\"]", "[]", "\"t\"", "{}", "[\"a\",\"web\"]", "null"]),
        (
            "r",
            &[
                "{\"a\":1,\"b\":\"web\"}",
                "{\"a\":\"x\"}",
                "{\"b\":7,\"e\":[1],\"h\":{\"i\":1}}",
                "5",
                "null",
                "{}",
            ],
        ),
        ("x", any),
        ("y", any),
        ("i", ints),
        (
            "o",
            &[
                "{\"p\":1,\"q\":{\"z\":\"web\",\"n\":1}}",
                "{\"p\":\"web\",\"t\":5}",
                "{\"q\":7,\"k\":\"w\"}",
                "{}",
                "\"text\"",
                "[1]",
                "null",
                "{\"p\":null,\"q\":{}}",
            ],
        ),
        ("g", &["[{\"p\":1},{\"p\":200,\"w\":1}]", "[1,null]", "[]", "{}", "[{\"p\":\"x\"}]"]),
        ("parts", &["[{\"x\":1},{\"y\":\"p\",\"x\":[2]}]", "[1]", "[{}]", "[]", "7"]),
        ("w", texts),
        ("sample_weight", &["2", "1.5", "\"x\""]),
    ];
    let mut parts = Vec::new();
    for (key, values) in members {
        if !dice.one_in(3) {
            parts.push(format!("\"{key}\":{}", dice.pick(values)));
        }
    }
    format!("{{{}}}", parts.join(","))
}
