//! Expressions of a plan as text, near to how rules write them.

use crate::{
    column::{Severity, value::u128_to_ip},
    plan::{
        Arg, ArithOp, CompareOp, Detector, ExprId, FormatPart, IsTest, Literal, LiteralSet,
        MatchPattern, MetaField, Op, Plan, RecordPart, TextTest,
    },
    types::Type,
};

/// How deep expressions are written out; what lies deeper is an ellipsis.
const DEPTH_MAX: usize = 24;

/// An expression as text.
pub(super) fn expr(plan: &Plan, id: ExprId) -> String {
    at(plan, id, 0)
}

fn at(plan: &Plan, id: ExprId, depth: usize) -> String {
    if depth > DEPTH_MAX {
        return "…".to_owned();
    }
    let show = |id: &ExprId| at(plan, *id, depth + 1);
    let all = |ids: &[ExprId], joint: &str| ids.iter().map(show).collect::<Vec<_>>().join(joint);
    match &plan.expr(id).op {
        Op::Literal(literal) => literal_text(literal),
        Op::Field(node) => plan.layout.display(*node),
        Op::Meta(field) => meta(*field).to_owned(),
        Op::Local(local) => format!("${}", local.0),
        Op::Member { of, key } => format!("{}.{key}", show(of)),
        Op::Index { of, index } => format!("{}[{}]", show(of), show(index)),
        Op::Each { of, keys } => {
            let keys = std::iter::once(String::new()).chain(keys.iter().map(ToString::to_string));
            format!("{}[*]{}", show(of), keys.collect::<Vec<_>>().join("."))
        }
        Op::Narrow(of) => format!("({} as {})", show(of), plan.expr(id).ty.base),
        Op::Call { function, args } => {
            let args: Vec<_> =
                args.iter().flatten().map(|arg| argument(plan, arg, depth + 1)).collect();
            format!("{}({})", function.name, args.join(", "))
        }
        Op::Lookup { lookup, args } => {
            format!("{}({})", plan.lookups[*lookup].name, all(args, ", "))
        }
        Op::Neg(of) => format!("-{}", show(of)),
        Op::Arith { op, left, right } => {
            format!("({} {} {})", show(left), arith(*op), show(right))
        }
        Op::Coalesce(left, right) => format!("({} ?? {})", show(left), show(right)),
        Op::If { condition, then, otherwise } => {
            format!("if {} {{ {} }} else {{ {} }}", show(condition), show(then), show(otherwise))
        }
        Op::Match { on, arms } => {
            let arms: Vec<_> = arms
                .iter()
                .map(|(patterns, value)| {
                    let patterns: Vec<_> = patterns.iter().map(pattern).collect();
                    let patterns =
                        if patterns.is_empty() { "_".to_owned() } else { patterns.join(" | ") };
                    format!("{patterns} => {}", show(value))
                })
                .collect();
            format!("match {} {{ {} }}", show(on), arms.join(", "))
        }
        Op::Record(parts) => {
            let parts: Vec<_> = parts
                .iter()
                .map(|part| match part {
                    RecordPart::Member(key, value) => format!("{key}: {}", show(value)),
                    RecordPart::Spread(value) => format!("...{}", show(value)),
                })
                .collect();
            format!("{{ {} }}", parts.join(", "))
        }
        Op::List(ids) => format!("[{}]", all(ids, ", ")),
        Op::Format(parts) => {
            let parts: String = parts
                .iter()
                .map(|part| match part {
                    FormatPart::Text(text) => text.to_string(),
                    FormatPart::Hole(value) => format!("{{{}}}", show(value)),
                })
                .collect();
            format!("f{parts:?}")
        }
        Op::And(ids) => format!("({})", all(ids, " and ")),
        Op::Or(ids) => format!("({})", all(ids, " or ")),
        Op::Not(of) => format!("not {}", show(of)),
        Op::Truth(of) => show(of),
        Op::Compare { op, left, right } => {
            format!("{} {} {}", show(left), compare(*op), show(right))
        }
        Op::InSet { value, set } => {
            let severities = plan.expr(*value).ty.base == Type::Severity;
            format!("{} in [{}]", show(value), members(set, severities))
        }
        Op::In { value, within } => format!("{} in {}", show(value), show(within)),
        Op::TextTest { test, value, needle, ignore_case } => {
            let word = match test {
                TextTest::Contains => "contains",
                TextTest::StartsWith => "starts_with",
                TextTest::EndsWith => "ends_with",
            };
            format!("{} {word} {}{}", show(value), show(needle), fold(*ignore_case))
        }
        Op::Like { value, glob } => format!("{} like glob{:?}", show(value), glob.source),
        Op::Matches { value, regex } => {
            format!("{} matches re\"{}\"{}", show(value), regex.source, regex.flags)
        }
        Op::Has { value, words, ignore_case } => {
            format!("{} has {words:?}{}", show(value), fold(*ignore_case))
        }
        Op::Is { value, test } => format!("{} is {}", show(value), is(test)),
        Op::AnyElement { list, element, test } => {
            format!("any(${} of {}: {})", element.0, show(list), show(test))
        }
    }
}

fn argument(plan: &Plan, arg: &Arg, depth: usize) -> String {
    match arg {
        Arg::Value(id) => at(plan, *id, depth),
        Arg::Choice(name) => name.to_string(),
        Arg::Regex(regex) => format!("re\"{}\"{}", regex.source, regex.flags),
        Arg::Detectors(detectors) => {
            let detectors: Vec<_> = detectors
                .iter()
                .map(|detector| match detector {
                    Detector::Regex(regex) => format!("re\"{}\"{}", regex.source, regex.flags),
                    Detector::Builtin(name) => name.to_string(),
                })
                .collect();
            format!("[{}]", detectors.join(", "))
        }
        Arg::Pattern(pattern) => format!("pat{:?}", pattern.source),
        Arg::Grok(grok) => format!("grok{:?}", grok.source),
        Arg::Secret(_) => "secret(…)".to_owned(),
        Arg::Lambda(lambda) => {
            let params: Vec<_> =
                lambda.params.iter().map(|local| format!("${}", local.0)).collect();
            format!("|{}| {}", params.join(", "), at(plan, lambda.body, depth))
        }
    }
}

fn literal_text(literal: &Literal) -> String {
    match literal {
        Literal::Absent(_) => "null".to_owned(),
        Literal::Bool(value) => value.to_string(),
        Literal::Int(value) => value.to_string(),
        Literal::Float(value) => format!("{value:?}"),
        Literal::Text(text) => format!("{text:?}"),
        Literal::Timestamp(nanos) => {
            let time = jiff::Timestamp::from_nanosecond(i128::from(*nanos)).unwrap_or_default();
            format!("t\"{time}\"")
        }
        Literal::Duration(nanos) => crate::check::duration_text(*nanos),
        Literal::Ip(address) => format!("ip\"{}\"", u128_to_ip(*address)),
        Literal::Cidr(block) => format!("cidr\"{block}\""),
        Literal::Severity(severity) => severity.name().to_owned(),
        Literal::Json(text) => text.to_string(),
    }
}

fn members(set: &LiteralSet, severities: bool) -> String {
    let mut out: Vec<String> = set.texts.iter().map(|text| format!("{text:?}")).collect();
    out.extend(set.ints.iter().map(|value| match u8::try_from(*value) {
        Ok(number) if severities => Severity(number).name().to_owned(),
        _ => value.to_string(),
    }));
    out.extend(set.floats.iter().map(|value| format!("{value:?}")));
    out.extend(set.cidrs.iter().map(|block| format!("cidr\"{block}\"")));
    out.extend(set.bools.iter().map(ToString::to_string));
    out.join(", ")
}

fn pattern(pattern: &MatchPattern) -> String {
    match pattern {
        MatchPattern::Is(literal) => literal_text(literal),
        MatchPattern::Range { from, to, inclusive } => {
            let range = if *inclusive { "..=" } else { ".." };
            format!("{}{range}{}", literal_text(from), literal_text(to))
        }
    }
}

fn meta(field: MetaField) -> &'static str {
    match field {
        MetaField::Topic => "@topic",
        MetaField::Partition => "@partition",
        MetaField::Offset => "@offset",
        MetaField::Key => "@key",
        MetaField::IngestTime => "@ingest_time",
        MetaField::Headers => "@headers",
        MetaField::Source => "@source",
    }
}

fn arith(op: ArithOp) -> &'static str {
    match op {
        ArithOp::Add => "+",
        ArithOp::Sub => "-",
        ArithOp::Mul => "*",
        ArithOp::Div => "/",
        ArithOp::Rem => "%",
    }
}

fn compare(op: CompareOp) -> &'static str {
    match op {
        CompareOp::Eq => "==",
        CompareOp::Lt => "<",
        CompareOp::Le => "<=",
        CompareOp::Gt => ">",
        CompareOp::Ge => ">=",
    }
}

fn is(test: &IsTest) -> String {
    match test {
        IsTest::Absent => "absent".to_owned(),
        IsTest::Present => "present".to_owned(),
        IsTest::Missing => "missing".to_owned(),
        IsTest::Null => "null".to_owned(),
        IsTest::Type(ty) => ty.to_string(),
    }
}

fn fold(ignore_case: bool) -> &'static str {
    if ignore_case { "i" } else { "" }
}
