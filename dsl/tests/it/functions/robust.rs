//! Arbitrary text: nothing panics, and what must agree agrees.

use logmon_dsl::{
    column::Value,
    eval::RowContext,
    functions::{self, Glob, Kernel, Pattern, Regex, RowArg, Takes},
};
use proptest::prelude::*;

/// Text with much of what parsers look at.
const LINE: &str = "[ -~]{0,24}|[\\[\\]{}<>\"\\\\=:,;%/. a1ü\u{1b}\n-]{0,24}|\\PC{0,12}";

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        "-?[0-9]{1,3}(\\.[0-9]{1,2})?(e[0-9]{1,3})?".prop_filter("JSON", |text| {
            serde_json::from_str::<serde_json::Value>(text).is_ok()
        }),
        "\\PC{0,6}".prop_map(|text| serde_json::to_string(&text).expect("text is JSON")),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(", "))),
            proptest::collection::vec(("[a-c.]{0,2}", inner), 0..4).prop_map(|members| {
                let members: Vec<String> =
                    members.iter().map(|(key, value)| format!("\"{key}\" :{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

/// What a glob means, said in a few lines.
fn naive_glob(glob: &[char], text: &[char]) -> bool {
    match (glob.split_first(), text.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), _) => (0..=text.len()).any(|at| naive_glob(rest, &text[at..])),
        (Some(('?', rest)), Some((_, text))) => naive_glob(rest, text),
        (Some((a, rest)), Some((b, text))) => a == b && naive_glob(rest, text),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn row_kernels_take_any_text(texts in proptest::collection::vec(LINE, 4), raw in json(), number in any::<i64>()) {
        let row = RowContext { now: number, topic: "t", partition: 0, offset: 0 };
        let regex = Regex::compile(r"\W?(?<a>\w)*", "").expect("it compiles");
        let json = if raw.starts_with(['[', '{']) { Value::Json(raw.as_str().into()) } else { Value::text(&raw) };
        for function in functions::all() {
            let (Kernel::Rows(kernel) | Kernel::RowsWithAbsent(kernel)) = function.kernel else { continue };
            for variant in 0..3_usize {
                let args: Vec<RowArg<'_>> = function.params.iter().enumerate().map(|(at, param)| match param.takes {
                    Takes::Choice(names) => RowArg::Choice(names[texts[0].len() % names.len()]),
                    Takes::Regex | Takes::TextOrRegex if variant > 0 => RowArg::Regex(&regex),
                    _ => match (at + variant) % 3 {
                        0 => RowArg::Value(Value::text(&texts[at % 4])),
                        1 => RowArg::Value(json.clone()),
                        _ => RowArg::Value(Value::Int(number)),
                    },
                }).collect();
                let value = kernel(&args, &row);
                prop_assert!(!matches!(value, Value::Float(it) if it.is_nan()), "{}", function.name);
                if let Value::Json(raw) = &value {
                    let read = serde_json::from_str::<serde_json::Value>(raw);
                    prop_assert!(read.is_ok(), "{} gave {raw} of {args:?}", function.name);
                }
            }
        }
    }

    #[test]
    fn literals_take_any_text(source in LINE, text in LINE) {
        for flags in ["", "i", "x", "sm"] {
            match Regex::compile(&source, flags) {
                Ok(regex) => {
                    // The search for required text changes nothing.
                    prop_assert_eq!(regex.matches(text.as_bytes()), regex.machine.is_match(text.as_bytes()));
                    regex.secrets(&text, |_| {});
                }
                Err(error) => prop_assert!(error.range.end <= source.len()),
            }
        }
        match Pattern::compile(&source) {
            Ok(pattern) => {
                let mut fields = Vec::new();
                if pattern.run(&text, &mut fields).is_ok() {
                    prop_assert_eq!(fields.len(), pattern.shape.fields.len());
                }
            }
            Err(error) => prop_assert!(error.range.end <= source.len()),
        }
    }

    #[test]
    fn patterns_find_what_was_put_in(a in "[a-z ]{1,6}", number in any::<i64>(), quoted in "[a-z\"\\\\]{0,6}") {
        let pattern = Pattern::compile("<<a>>|<n:int>|q=<q?>;").expect("it compiles");
        let escaped = quoted.replace('\\', "\\\\").replace('"', "\\\"");
        let text = format!("<{a}>|{number}|q=\"{escaped}\";");
        let mut fields = Vec::new();
        pattern.run(&text, &mut fields).expect("it matches");
        prop_assert_eq!(&fields, &[Value::text(&a), Value::Int(number), Value::text(&quoted)]);
    }

    #[test]
    fn globs_agree_with_their_meaning(glob in "[ab*?ü]{0,7}", text in "[abü]{0,8}") {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        let expected = naive_glob(&chars(&glob), &chars(&text));
        let compiled = Glob::compile(&glob).expect("it is short");
        prop_assert_eq!(compiled.matches(text.as_bytes()), expected);
    }
}
