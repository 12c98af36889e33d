//! Programs as trees of their own, and as the text that the compiler gets.

use std::fmt::Write as _;

use super::value::{JOIN, V};

/// Keys from the event's root.
pub(super) type Path = Vec<&'static str>;

/// An expression.
#[derive(Debug, Clone)]
pub(super) enum E {
    Value(V),
    Path(Path),
    /// `.l[0]`
    Nth(Path, i64),
    /// `.g[*].p`
    Each(Path, Vec<&'static str>),
    Local(String),
    /// `o.p` of a local
    Member(Box<E>, &'static str),
    Arith(char, Box<E>, Box<E>),
    Negative(Box<E>),
    Coalesce(Box<E>, Box<E>),
    If(Box<E>, Box<E>, Box<E>),
    Match(Box<E>, Vec<(Vec<Pattern>, E)>),
    Record(Vec<(&'static str, E)>),
    List(Vec<E>),
    Format(Vec<E>),
    Call(&'static str, Vec<E>),
    /// `any(list, |e| …)`
    Over(&'static str, Box<E>, String, Box<E>),
    And(Box<E>, Box<E>),
    Or(Box<E>, Box<E>),
    Not(Box<E>),
    /// `== != < <= > >=`
    Compare(&'static str, Box<E>, Box<E>),
    /// `in [constants]`, `not in`
    In(Box<E>, Vec<V>, bool),
    /// `in cidr"…"`
    InBlock(Box<E>, &'static str),
    /// `contains`, `starts_with` …; the text in any case, if wanted
    Test(&'static str, Box<E>, &'static str, bool),
    /// `contains` on a list
    Holds(Box<E>, Box<E>),
    /// `is`, `is not`
    Is(Box<E>, &'static str, bool),
}

/// A pattern of `match`.
#[derive(Debug, Clone)]
pub(super) enum Pattern {
    Is(V),
    /// From, to, whether `to` is inside.
    Range(i64, i64, bool),
    Rest,
}

/// A statement. Those that remember have a number of their own.
#[derive(Debug, Clone)]
pub(super) enum S {
    Assign(Path, &'static str, E, Option<Vec<S>>),
    Null(Path),
    Del(Path, bool),
    Keep(Vec<Path>),
    Rename(Path, Path),
    Tag(Vec<&'static str>),
    Let(String, E, Option<Vec<S>>),
    LetEach(Vec<(String, &'static str)>, E, Vec<S>),
    If(E, Vec<S>, Option<Vec<S>>),
    Return,
    Route(&'static str, Option<E>),
    Drop(Option<&'static str>),
    Sample(u32, E, Option<Vec<S>>),
    Limit { id: usize, count: i64, burst: i64, by: E, otherwise: Option<Vec<S>> },
    Dedup { id: usize, within: i64, by: E, otherwise: Option<Vec<S>> },
    Emit(E, Option<Path>),
    Count(&'static str, E, Option<E>),
}

/// A rule.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) when: Option<E>,
    pub(super) body: Vec<S>,
}

/// Rules in a group of one kind or alone.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Rule(Rule),
    Group { name: String, first: bool, when: Option<E>, rules: Vec<Rule> },
}

/// What every program declares.
pub(super) const WORLD: &str = "source app : {
  n: int?, f: float?, s: string?, c: int? coerce, v: severity? coerce, b: bool?, t: timestamp?, d: duration?, ip: ip?,
  l: list<int>?, tags: list<string>?, r: { a: int?, b: string?, ... }?, ...
}
sink one : { ... }
sink two : { ... }
default route to one
";

/// The whole program as text.
pub(super) fn text(steps: &[Step]) -> String {
    let mut out = WORLD.to_owned();
    for step in steps {
        match step {
            Step::Rule(it) => rule(&mut out, it),
            Step::Group { name, first, when, rules } => {
                let kind = if *first { " first" } else { "" };
                write!(out, "group {name}{kind}").expect("a string");
                condition(&mut out, when.as_ref());
                out.push_str(" {\n");
                for it in rules {
                    rule(&mut out, it);
                }
                out.push_str("}\n");
            }
        }
    }
    out
}

fn condition(out: &mut String, when: Option<&E>) {
    if let Some(when) = when {
        write!(out, " when {}", expr(when)).expect("a string");
    }
}

fn rule(out: &mut String, rule: &Rule) {
    write!(out, "rule {} on app", rule.name).expect("a string");
    condition(out, rule.when.as_ref());
    block(out, &rule.body);
    out.push('\n');
}

fn block(out: &mut String, body: &[S]) {
    out.push_str(" {\n");
    for statement in body {
        stmt(out, statement);
        out.push('\n');
    }
    out.push('}');
}

fn otherwise(out: &mut String, body: Option<&Vec<S>>) {
    if let Some(body) = body {
        out.push_str(" else");
        block(out, body);
    }
}

fn path(path: &[&str]) -> String {
    format!(".{}", path.join("."))
}

fn stmt(out: &mut String, statement: &S) {
    let seconds = |nanos: i64| nanos / 1_000_000_000;
    match statement {
        S::Assign(to, op, value, body) => {
            out.push_str(&format!("{} {op} {}", path(to), expr(value)));
            otherwise(out, body.as_ref());
        }
        S::Null(to) => out.push_str(&format!("{} = null", path(to))),
        S::Del(at, below) => {
            out.push_str(&format!("del {}{}", path(at), if *below { ".*" } else { "" }));
        }
        S::Keep(paths) => {
            let paths: Vec<String> = paths.iter().map(|it| path(it)).collect();
            out.push_str(&format!("keep {}", paths.join(", ")));
        }
        S::Rename(from, to) => out.push_str(&format!("rename {} -> {}", path(from), path(to))),
        S::Tag(texts) => out.push_str(&format!("tag \"{}\"", texts.join("\", \""))),
        S::Let(name, value, body) => {
            out.push_str(&format!("let {name} = {}", expr(value)));
            otherwise(out, body.as_ref());
        }
        S::LetEach(names, value, body) => {
            let names: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
            out.push_str(&format!("let {{ {} }} = {} else", names.join(", "), expr(value)));
            block(out, body);
        }
        S::If(condition, then, body) => {
            out.push_str(&format!("if {}", expr(condition)));
            block(out, then);
            otherwise(out, body.as_ref());
        }
        S::Return => out.push_str("return"),
        S::Route(sink, None) => out.push_str(&format!("route to {sink}")),
        S::Route(sink, Some(value)) => {
            out.push_str(&format!("route to {sink}(extra: {})", expr(value)));
        }
        S::Drop(None) => out.push_str("drop"),
        S::Drop(Some(reason)) => out.push_str(&format!("drop as \"{reason}\"")),
        S::Sample(percent, by, body) => {
            out.push_str(&format!("sample {percent}% by {}", expr(by)));
            otherwise(out, body.as_ref());
        }
        S::Limit { count, burst, by, otherwise: body, .. } => {
            out.push_str(&format!("limit {count}/s burst {burst} by {} max_keys 1000", expr(by)));
            otherwise(out, body.as_ref());
        }
        S::Dedup { within, by, otherwise: body, .. } => {
            out.push_str(&format!("dedup by {} within {}s", expr(by), seconds(*within)));
            otherwise(out, body.as_ref());
        }
        S::Emit(list, None) => out.push_str(&format!("emit each {}", expr(list))),
        S::Emit(list, Some(to)) => {
            out.push_str(&format!("emit each {} as {}", expr(list), path(to)));
        }
        S::Count(metric, by, value) => {
            out.push_str(&format!("count {metric} by {}", expr(by)));
            if let Some(value) = value {
                out.push_str(&format!(" value {}", expr(value)));
            }
        }
    }
}

fn literal(value: &V) -> String {
    match value {
        V::Absent(_) => "null".to_owned(),
        V::Text(text) => serde_json::to_string(text).expect("text"),
        V::Time(time) => format!("t\"{time}\""),
        V::Ip(ip) => format!("ip\"{ip}\""),
        other => other.plain(),
    }
}

/// With brackets around everything, so that nothing hangs on precedence.
pub(super) fn expr(it: &E) -> String {
    match it {
        E::Value(value) => literal(value),
        E::Path(at) => path(at),
        E::Nth(at, place) => format!("{}[{place}]", path(at)),
        E::Each(at, keys) => {
            let keys: String = keys.iter().map(|key| format!(".{key}")).collect();
            format!("{}[*]{keys}", path(at))
        }
        E::Local(name) => name.clone(),
        E::Member(of, key) => format!("{}.{key}", expr(of)),
        E::Arith(JOIN, a, b) => format!("({} + {})", expr(a), expr(b)),
        E::Arith(op, a, b) => format!("({} {op} {})", expr(a), expr(b)),
        E::Negative(of) => format!("(-{})", expr(of)),
        E::Coalesce(a, b) => format!("({} ?? {})", expr(a), expr(b)),
        E::If(condition, a, b) => {
            format!("(if {} {{ {} }} else {{ {} }})", expr(condition), expr(a), expr(b))
        }
        E::Match(on, arms) => {
            let arms: Vec<String> = arms
                .iter()
                .map(|(patterns, value)| {
                    let patterns: Vec<String> = patterns
                        .iter()
                        .map(|pattern| match pattern {
                            Pattern::Is(value) => literal(value),
                            Pattern::Range(from, to, true) => format!("{from}..={to}"),
                            Pattern::Range(from, to, false) => format!("{from}..{to}"),
                            Pattern::Rest => "_".to_owned(),
                        })
                        .collect();
                    format!("{} => {}", patterns.join(" | "), expr(value))
                })
                .collect();
            format!("(match {} {{ {} }})", expr(on), arms.join(", "))
        }
        E::Record(members) => {
            let members: Vec<String> =
                members.iter().map(|(key, value)| format!("{key}: {}", expr(value))).collect();
            format!("{{ {} }}", members.join(", "))
        }
        E::List(elements) => {
            let elements: Vec<String> = elements.iter().map(expr).collect();
            format!("[{}]", elements.join(", "))
        }
        E::Format(holes) => {
            let holes: String = holes.iter().map(|hole| format!("<{{{}}}>", expr(hole))).collect();
            format!("f\"{holes}\"")
        }
        E::Call(name, args) => {
            let args: Vec<String> = args.iter().map(expr).collect();
            format!("{name}({})", args.join(", "))
        }
        E::Over(name, list, element, body) => {
            format!("{name}({}, |{element}| {})", expr(list), expr(body))
        }
        E::And(a, b) => format!("({} and {})", expr(a), expr(b)),
        E::Or(a, b) => format!("({} or {})", expr(a), expr(b)),
        E::Not(of) => format!("(not {})", expr(of)),
        E::Compare(op, a, b) => format!("({} {op} {})", expr(a), expr(b)),
        E::In(value, set, negated) => {
            let set: Vec<String> = set.iter().map(literal).collect();
            let word = if *negated { "not in" } else { "in" };
            format!("({} {word} [{}])", expr(value), set.join(", "))
        }
        E::InBlock(value, block) => format!("({} in cidr\"{block}\")", expr(value)),
        E::Test(op, value, text, ignore_case) => {
            let text = match *op {
                "like" => format!("glob\"{text}\""),
                "matches" => format!("re\"{text}\"{}", if *ignore_case { "i" } else { "" }),
                _ => format!("\"{text}\"{}", if *ignore_case { "i" } else { "" }),
            };
            format!("({} {op} {text})", expr(value))
        }
        E::Holds(list, value) => format!("({} contains {})", expr(list), expr(value)),
        E::Is(value, what, negated) => {
            format!("({} is {}{what})", expr(value), if *negated { "not " } else { "" })
        }
    }
}
