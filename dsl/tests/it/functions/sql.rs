//! Counterparts in SQL: every template can be filled, and what has none says why.

use logmon_dsl::functions::{self, Sql, When, twin::fill};

#[test]
fn every_template_can_be_filled() {
    let mut twins = 0;
    for function in functions::all() {
        let name = function.name;
        let twin = match &function.sql {
            Sql::None(why) => {
                assert!(!why.is_empty() && !why.ends_with('.'), "{name}: {why}");
                continue;
            }
            Sql::Twin(twin) => twin,
        };
        twins += 1;
        let places = function.params.len() + 1;
        let args: Vec<String> = (0..places).map(|index| format!("arg{index}")).collect();
        let all: Vec<Option<&str>> = args.iter().map(|arg| Some(arg.as_str())).collect();
        let mut needed = all.clone();
        for (arg, param) in needed.iter_mut().zip(function.params) {
            if param.optional {
                *arg = None;
            }
        }
        let plain = fill(twin.template, &needed);
        assert!(plain.is_some(), "{name}: {} needs what may be left out", twin.template);
        assert!(!twin.note.ends_with('.'), "{name}");
        for (when, template) in twin.forms {
            let (When::Given(index)
            | When::Choice(index, _)
            | When::List(index)
            | When::Map(index)
            | When::Number(index)
            | When::Regex(index)
            | When::Lambda(index)) = when;
            assert!(*index < function.params.len(), "{name}: {when:?}");
            let mut given = needed.clone();
            given[*index] = all[*index];
            assert!(fill(template, &given).is_some(), "{name}: {template}");
        }
        let text = plain.unwrap_or_default();
        assert_eq!(text.matches('(').count(), text.matches(')').count(), "{name}: {text}");
        assert!(!text.contains(['{', '}']), "{name}: {text}");
    }
    assert!(twins >= 90, "{twins}");
}

#[test]
fn templates_are_filled_by_place() {
    let check = |template: &str, args: &[Option<&str>], expected: Option<&str>| {
        assert_eq!(fill(template, args).as_deref(), expected, "{template}");
    };
    check("f({0}, {1|9})", &[Some("a"), None], Some("f(a, 9)"));
    check("f({0}, {1|9})", &[Some("a"), Some("b")], Some("f(a, b)"));
    check("f({*})", &[Some("a"), None, Some("c")], Some("f(a, c)"));
    check("f({1})", &[Some("a")], None);
    check("f({0)", &[Some("a")], None);
}
