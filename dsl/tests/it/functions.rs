//! Every function on values, through the evaluator: arguments in, JSON out.

mod detectors;
mod examples;
mod lines;
mod parsers;
mod robust;
mod servers;
mod sql;
mod texts;
mod values;
mod vrl;

use std::{collections::HashSet, sync::Arc};

use logmon_dsl::{
    column::{Absence, Cidr, Severity, value::ip_to_u128},
    functions::{self, Family, Grok, Kernel, Pattern, Regex, Takes, read},
    plan::{Arg, Detector, ExprId, Lambda, Literal, Op, Secret},
    types::{Ty, Type},
};
use proptest::prelude::*;

use crate::plans::{Builder, run};

/// Said where a test is wrong itself.
const RIGHT: &str = "the arguments of a test can be read";

/// An argument of a call.
#[derive(Debug, Clone)]
pub(crate) enum A {
    Int(i64),
    Float(f64),
    Text(&'static str),
    Any(&'static str),
    List(Type, &'static str),
    Map(&'static str),
    Time(&'static str),
    Span(&'static str),
    Ip(&'static str),
    Cidr(&'static str),
    Severity(u8),
    Bool(bool),
    Absent(Absence),
    Choice(&'static str),
    Regex(&'static str),
    Pattern(&'static str),
    Grok(&'static str),
    Secret(&'static str),
    Detect(&'static [&'static str], &'static [&'static str]),
    Lambda(Type, fn(&mut Builder, ExprId) -> ExprId),
    Out,
}
use A::{Any, Choice, Float, Int, Ip, List, Map, Out, Span, Text, Time};

/// Calls a function and gives what it yields as JSON, or the cause in brackets.
pub(crate) fn call(name: &str, args: &[A]) -> String {
    let function = functions::find(name).expect(name);
    let mut b = Builder::new();
    let mut types = Vec::new();
    let mut passed = Vec::new();
    for arg in args {
        let (arg, ty) = argument(&mut b, arg, &types);
        types.push(ty);
        passed.push(arg);
    }
    let ty = (function.returns)(&types);
    passed.resize(passed.len().max(function.params.iter().filter(|it| !it.rest).count()), None);
    let call = b.expr(Op::Call { function, args: passed }, ty.base);
    let body = vec![b.set("out", call)];
    b.rule(None, body);
    b.default_to(0);
    let lines = run(&Arc::new(b.plan), &["{}", "{}"]);
    let (line, second) = (&lines[0], &lines[1]);
    assert_eq!(line.contains("{\"out\":"), second.contains("{\"out\":"), "{line} {second}");
    match line.split_once("{\"out\":") {
        Some((_, rest)) => rest[..rest.rfind('}').expect("an event ends")].to_owned(),
        None => format!("[{}]", line.rsplit(' ').next().unwrap_or_default()),
    }
}

fn argument(b: &mut Builder, arg: &A, types: &[Option<Ty>]) -> (Option<Arg>, Option<Ty>) {
    let literal = |b: &mut Builder, literal: Literal, ty: Type| {
        let id = b.lit(literal);
        b.plan.exprs[id.0 as usize].ty = Ty::required(ty.clone());
        (Some(Arg::Value(id)), Some(Ty::required(ty)))
    };
    match arg {
        Int(number) => literal(b, Literal::Int(*number), Type::Int),
        Float(number) => literal(b, Literal::Float(*number), Type::Float),
        Text(text) => literal(b, Literal::Text((*text).into()), Type::Text),
        Any(json) => literal(b, Literal::Json((*json).into()), Type::Any),
        List(of, json) => literal(b, Literal::Json((*json).into()), Type::list(of.clone())),
        Map(json) => literal(b, Literal::Json((*json).into()), Type::map(Type::Any)),
        Time(text) => {
            literal(b, Literal::Timestamp(read::timestamp(text).expect(RIGHT)), Type::Timestamp)
        }
        Span(text) => {
            literal(b, Literal::Duration(read::duration(text).expect(RIGHT)), Type::Duration)
        }
        Ip(text) => literal(b, Literal::Ip(ip_to_u128(text.parse().expect(RIGHT))), Type::Ip),
        A::Cidr(text) => literal(b, Literal::Cidr(Cidr::parse(text).expect(RIGHT)), Type::Cidr),
        A::Severity(number) => literal(b, Literal::Severity(Severity(*number)), Type::Severity),
        A::Bool(truth) => literal(b, Literal::Bool(*truth), Type::Bool),
        A::Absent(why) => literal(b, Literal::Absent(*why), Type::Any),
        Choice(name) => (Some(Arg::Choice((*name).into())), None),
        A::Regex(source) => {
            let regex = Arc::new(Regex::compile(source, "").expect(RIGHT));
            (Some(Arg::Regex(regex)), Some(Ty::required(Type::Regex)))
        }
        A::Pattern(source) => {
            let pattern = Arc::new(Pattern::compile(source).expect(RIGHT));
            let ty = Ty::required(Type::Pattern(pattern.shape.clone()));
            (Some(Arg::Pattern(pattern)), Some(ty))
        }
        A::Grok(source) => {
            let grok = Arc::new(Grok::compile(source).expect(RIGHT));
            let ty = Ty::required(Type::Pattern(grok.shape.clone()));
            (Some(Arg::Grok(grok)), Some(ty))
        }
        A::Secret(text) => (Some(Arg::Secret(Secret::new(text))), None),
        A::Detect(regexes, names) => {
            let regexes = regexes
                .iter()
                .map(|source| Detector::Regex(Arc::new(Regex::compile(source, "").expect(RIGHT))));
            let names = names.iter().map(|name| Detector::Builtin((*name).into()));
            (Some(Arg::Detectors(regexes.chain(names).collect())), None)
        }
        A::Lambda(ty, body) => {
            let local = b.local();
            let element = match types.first().cloned().flatten().map(|ty| ty.base) {
                Some(Type::List(of)) => (*of).clone(),
                _ => Type::Text,
            };
            let param = b.expr(Op::Local(local), element);
            let body = body(b, param);
            let lambda = Lambda { params: vec![local], body };
            (Some(Arg::Lambda(lambda)), Some(Ty::required(ty.clone())))
        }
        Out => (None, None),
    }
}

#[track_caller]
fn check(name: &str, args: &[A], expected: &str) {
    assert_eq!(call(name, args), expected, "{name} of {args:?}");
}

#[test]
fn the_table_is_sound() {
    let mut names = HashSet::new();
    let mut family = Family::Conversion;
    for function in functions::all() {
        let name = function.name;
        assert!(names.insert(name), "{name} stands twice");
        assert_eq!(functions::find(name), Some(function));
        assert!(function.family >= family, "{name}: families follow each other");
        family = function.family;
        assert!(function.doc.ends_with('.') && !function.examples.is_empty(), "{name}");
        let mut optional = false;
        for (index, param) in function.params.iter().enumerate() {
            assert!(param.optional || !optional, "{name}: {} comes too late", param.name);
            optional = param.optional;
            assert!(!param.rest || index + 1 == function.params.len(), "{name}");
        }
        // Types are asked for before all arguments are known.
        (function.returns)(&[]);
        (function.returns)(&vec![None; function.params.len()]);
        for (_, result) in function.examples {
            serde_json::from_str::<serde_json::Value>(result).expect(name);
        }
    }
    assert!(names.len() >= 190, "{}", names.len());
    assert_eq!(functions::find("nope"), None);
}

/// Texts that parsers see rarely.
const ODD: [&str; 26] = [
    "",
    " ",
    "\"",
    "\\",
    "\"\\",
    "<",
    "<34>",
    "<34>1 ",
    "1 2026-01-01T00:00:00Z",
    "[",
    "{\"a\":",
    "=",
    "a=\"",
    "ü",
    "ü=ü\"ü",
    "%",
    "%ü",
    "\u{1b}",
    "\u{1b}[",
    "-",
    "-9223372036854775808",
    "1e999",
    "99999999999999999999w",
    "10.0.0.1 - - [",
    "://",
    "https://[::1",
];

fn any_argument(takes: Takes) -> BoxedStrategy<A> {
    let text = || proptest::sample::select(&ODD[..]).prop_map(Text);
    let int =
        || prop_oneof![any::<i64>(), -5..70_i64, Just(i64::MIN), Just(i64::MAX),].prop_map(Int);
    let json = || {
        proptest::sample::select(
            &[
                "[]",
                "[1,2.5,\"a\",null,{\"b\":[]}]",
                "[\"%Y\",\"ü\",\"\"]",
                "[9223372036854775807,1]",
                "{}",
                "{\"a\":{\"b\":1},\"\":\"\",\"ü\\u00fc\":null}",
            ][..],
        )
    };
    match takes {
        Takes::Choice(names) => proptest::sample::select(names).prop_map(Choice).boxed(),
        Takes::Regex => Just(A::Regex("(a)?")).boxed(),
        Takes::Detectors(_) => {
            Just(A::Detect(&[r"\w", "(?<secret>a)?"], &["email", "card", "iban"])).boxed()
        }
        Takes::Pattern => Just(A::Pattern("<a?>=<b:int?>\"<c>")).boxed(),
        Takes::Grok => Just(A::Grok("%{WORD:a}?=%{INT:b:int}?")).boxed(),
        Takes::Secret => Just(A::Secret("key")).boxed(),
        Takes::Lambda(_) => Just(A::Lambda(Type::Any, |_, param| param)).boxed(),
        Takes::TextOrLambda | Takes::TextOrRegex => {
            prop_oneof![text(), Just(Text("$1")), Just(Text("a"))].boxed()
        }
        Takes::Type(_)
        | Takes::Any
        | Takes::Number
        | Takes::List
        | Takes::Map
        | Takes::Sized
        | Takes::Countable
        | Takes::TextOrBytes
        | Takes::Formats => {
            // Mostly of the right type; the rest as a broken checker would let it through.
            prop_oneof![
                text(),
                int(),
                any::<f64>().prop_filter("no NaN", |number| !number.is_nan()).prop_map(Float),
                json().prop_map(Any),
                Just(Time("2026-05-01T10:17:42.123456789Z")),
                proptest::sample::select(&["1h30m", "-5s", "1ns", "0s", "-106751d"][..])
                    .prop_map(Span),
                Just(Ip("2001:db8::1")),
                Just(A::Cidr("0.0.0.0/0")),
                Just(A::Bool(true)),
                Just(A::Severity(24)),
                Just(A::Absent(Absence::Missing)),
            ]
            .boxed()
        }
    }
}

fn any_call() -> impl Strategy<Value = (&'static str, Vec<A>)> {
    let all: Vec<&'static functions::Function> = functions::all().collect();
    proptest::sample::select(all).prop_flat_map(|function| {
        let args: Vec<BoxedStrategy<A>> = function
            .params
            .iter()
            .map(|param| {
                if param.optional && !param.rest {
                    prop_oneof![Just(Out), any_argument(param.takes)].boxed()
                } else {
                    any_argument(param.takes)
                }
            })
            .collect();
        (Just(function.name), args)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// No call panics, and what comes out is JSON: the output is read back by the runner.
    #[test]
    fn no_call_panics((name, args) in any_call()) {
        call(name, &args);
    }
}

#[test]
fn row_kernels_take_too_few_arguments() {
    use logmon_dsl::{column::Value, eval::RowContext};
    let row = RowContext { now: 0, topic: "t", partition: 0, offset: 0 };
    for function in functions::all() {
        if let Kernel::Rows(kernel) | Kernel::RowsWithAbsent(kernel) = function.kernel {
            let value = kernel(&[], &row);
            assert!(!matches!(value, Value::Float(number) if number.is_nan()), "{}", function.name);
        }
    }
}
