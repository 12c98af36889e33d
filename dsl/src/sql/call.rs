//! Calls: each function has its counterpart in the function table, or a reason why not.

use super::{Kind, Value, Writer, text::regex, value::kind_of};
use crate::{
    functions::{
        Function,
        twin::{Nulls, Sql, Twin, When, fill},
    },
    plan::{Arg, Lambda},
    span::Span,
    types::Type,
};

/// An argument in SQL.
enum Given {
    Value(Value),
    Choice(String),
    Regex(String),
    Lambda(String),
}

impl Writer<'_> {
    pub(super) fn call(
        &mut self,
        function: &Function,
        args: &[Option<Arg>],
        ty: &Type,
        span: Span,
    ) -> Option<Value> {
        let twin = match &function.sql {
            Sql::Twin(twin) => twin,
            Sql::None(why) => {
                return self.refuse(span, format!("`{}` is not in SQL: {why}", function.name));
            }
        };
        let mut given = Vec::with_capacity(args.len());
        for arg in args {
            given.push(match arg {
                Some(arg) => Some(self.argument(arg, function, &given, span)?),
                None => None,
            });
        }
        let Some(template) = template(twin, &given) else {
            return self.refuse(span, format!("this form of `{}` is not in SQL", function.name));
        };
        let texts: Vec<Option<&str>> =
            given.iter().map(|arg| arg.as_ref().map(Given::text)).collect();
        let Some(mut text) = fill(template, &texts) else {
            return self.refuse(span, format!("this form of `{}` is not in SQL", function.name));
        };
        let Some(kind) = kind_of(ty) else {
            return self.refuse(span, format!("`{}` yields a `{ty}` here", function.name));
        };
        if !twin.note.is_empty() {
            self.note(span, format!("`{}` in SQL: {}", function.name, twin.note));
        }
        if kind == Kind::Int {
            text = format!("toInt64({text})");
        }
        let may_be_null: Vec<&str> = given
            .iter()
            .flatten()
            .filter_map(|arg| match arg {
                Given::Value(value) if value.nullable => Some(value.text.as_str()),
                _ => None,
            })
            .collect();
        if twin.nulls == Nulls::Wrap && !may_be_null.is_empty() {
            let tests: Vec<String> =
                may_be_null.iter().map(|text| format!("isNull({text})")).collect();
            text = format!("if({}, NULL, {text})", tests.join(" OR "));
        }
        // Functions may be absent for more reasons than an absent argument; only answers to absence are sure.
        let nullable = twin.nulls != Nulls::Answer || kind != Kind::Bool;
        Some(Value { text, kind, nullable })
    }

    fn argument(
        &mut self,
        arg: &Arg,
        function: &Function,
        before: &[Option<Given>],
        span: Span,
    ) -> Option<Given> {
        Some(match arg {
            Arg::Value(id) => Given::Value(self.value(*id)?),
            Arg::Choice(name) => Given::Choice(name.to_string()),
            Arg::Regex(machine) => match regex(machine) {
                Some(text) => Given::Regex(self.text_param(&text)),
                None => return self.refuse(span, "a regex with set operations or the flag `x`"),
            },
            Arg::Lambda(lambda) => Given::Lambda(self.lambda(lambda, before, span)?),
            Arg::Detectors(_) | Arg::Pattern(_) | Arg::Grok(_) | Arg::Secret(_) => {
                return self.refuse(span, format!("patterns of `{}`", function.name));
            }
        })
    }

    /// `x -> body`, its parameter an element of the first argument.
    fn lambda(&mut self, lambda: &Lambda, before: &[Option<Given>], span: Span) -> Option<String> {
        let [param] = lambda.params.as_slice() else {
            return self.refuse(span, "a lambda of two parameters");
        };
        let kind = match before.first() {
            Some(Some(Given::Value(Value { kind: Kind::List(of), .. }))) => (**of).clone(),
            _ => return self.refuse(span, "a lambda over anything but a list"),
        };
        let name = format!("e{}", param.0);
        self.locals.insert(*param, Value { text: name.clone(), kind, nullable: true });
        let expr = self.plan.expr(lambda.body);
        let body = if expr.op.is_predicate() || expr.ty.base == Type::Bool {
            self.condition(lambda.body)?.two_valued()
        } else {
            self.value(lambda.body)?.text
        };
        Some(format!("{name} -> {body}"))
    }
}

impl Given {
    fn text(&self) -> &str {
        match self {
            Self::Value(value) => &value.text,
            Self::Choice(text) | Self::Regex(text) | Self::Lambda(text) => text,
        }
    }
}

fn template<'t>(twin: &'t Twin, given: &[Option<Given>]) -> Option<&'t str> {
    let arg = |at: usize| given.get(at).and_then(Option::as_ref);
    let fits = |when: &When| match when {
        When::Given(at) => arg(*at).is_some(),
        When::Choice(at, name) => matches!(arg(*at), Some(Given::Choice(given)) if given == name),
        When::List(at) => {
            matches!(arg(*at), Some(Given::Value(value)) if matches!(value.kind, Kind::List(_)))
        }
        // No map is a value here.
        When::Map(_) => false,
        When::Number(at) => {
            matches!(arg(*at), Some(Given::Value(value)) if matches!(value.kind, Kind::Int | Kind::Float))
        }
        When::Regex(at) => matches!(arg(*at), Some(Given::Regex(_))),
        When::Lambda(at) => matches!(arg(*at), Some(Given::Lambda(_))),
    };
    let template =
        twin.forms.iter().find(|(when, _)| fits(when)).map_or(twin.template, |(_, text)| *text);
    (!template.is_empty()).then_some(template)
}
