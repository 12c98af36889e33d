//! Pages that list what the engine has: every key of `logmon.toml` with its own words, every metric, every error of the server.
//!
//! `UPDATE_EXPECT=1 cargo test` writes the tables of keys anew.

use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path};

use expect_test::expect_file;
use logmon_engine::{
    config::Config,
    sink::clickhouse::{Class, codes},
};
use serde_json::Value;

fn file(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path))
        .expect("a file of the checkout")
}

/// The end of a table that the test writes.
const END: &str = "<!-- end -->\n";

#[test]
fn configuration_names_every_key() {
    let schema = Config::schema();
    let page = file("docs/configuration.md");
    let mut parts = page.split("<!-- keys ");
    let mut text = parts.next().unwrap_or_default().to_owned();
    let mut shown = BTreeSet::new();
    for part in parts {
        let (name, rest) = part.split_once(" -->\n").expect("a mark is closed");
        let (_, rest) = rest.split_once(END).expect("a table has an end");
        let _ = write!(text, "<!-- keys {name} -->\n\n{}\n{END}{rest}", table(&schema, name));
        shown.insert(name.to_owned());
    }
    let all: BTreeSet<String> = definitions(&schema)
        .filter(|(_, def)| def.get("properties").is_some())
        .map(|(name, _)| name.clone())
        .collect();
    assert_eq!(shown, all, "docs/configuration.md has a table for each of these");
    expect_file!["../../../docs/configuration.md"].assert_eq(&text);
}

fn definitions(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["$defs"].as_object().expect("the schema has definitions").iter()
}

fn table(schema: &Value, name: &str) -> String {
    let definition = &schema["$defs"][name];
    let mut rows = "| Key | Value | What it means |\n| --- | --- | --- |\n".to_owned();
    for (key, property) in
        definition["properties"].as_object().unwrap_or_else(|| panic!("{name} has no keys"))
    {
        let description = property["description"].as_str().unwrap_or_default().replace('\n', " ");
        let _ = writeln!(
            rows,
            "| `{key}` | {} | {description}{} |",
            value(schema, property),
            meanings(schema, property)
        );
    }
    rows
}

/// What each word of a choice means.
fn meanings(schema: &Value, property: &Value) -> String {
    let options =
        ["anyOf", "allOf", "oneOf"].iter().filter_map(|key| property[key].as_array()).flatten();
    let target = property["$ref"]
        .as_str()
        .map(|name| &schema["$defs"][name.rsplit('/').next().unwrap_or_default()]);
    if let Some(target) = target.filter(|target| target.get("properties").is_none()) {
        return meanings(schema, target);
    }
    let nested = |option: &Value| match (option["const"].as_str(), option["description"].as_str()) {
        (Some(word), Some(description)) => format!(" `{word}`: {}", description.replace('\n', " ")),
        _ => meanings(schema, option),
    };
    options.map(nested).collect()
}

/// What a key takes, in words.
fn value(schema: &Value, property: &Value) -> String {
    let options =
        ["anyOf", "allOf", "oneOf"].iter().filter_map(|key| property[key].as_array()).flatten();
    if let Some(name) = property["$ref"].as_str() {
        let target = &schema["$defs"][name.rsplit('/').next().unwrap_or_default()];
        return if target.get("properties").is_some() {
            "table".to_owned()
        } else {
            value(schema, target)
        };
    }
    let words: Vec<String> = options
        .filter(|option| option["type"] != "null")
        .map(|option| {
            option["const"]
                .as_str()
                .map_or_else(|| value(schema, option), |word| format!("`{word}`"))
        })
        .collect();
    if !words.is_empty() {
        return words.join(", ");
    }
    if let Some(words) = property["enum"].as_array() {
        return words
            .iter()
            .filter_map(Value::as_str)
            .map(|word| format!("`{word}`"))
            .collect::<Vec<_>>()
            .join(", ");
    }
    let pattern = property["pattern"].as_str().unwrap_or_default();
    let types: Vec<&str> = match &property["type"] {
        Value::Array(types) => {
            types.iter().filter_map(Value::as_str).filter(|ty| *ty != "null").collect()
        }
        one => one.as_str().into_iter().collect(),
    };
    match (types.as_slice(), pattern) {
        (_, pattern) if pattern.contains("ms") => "duration".to_owned(),
        (_, pattern) if pattern.contains("KMGT") => "size".to_owned(),
        (_, _) if property["format"] == "date-time" => "time".to_owned(),
        (["string", ..], _) => "text".to_owned(),
        (["integer"], _) => "number".to_owned(),
        (["boolean"], _) => "`true`, `false`".to_owned(),
        (["array"], _) => "list of texts".to_owned(),
        (["object"], _) => "table of texts".to_owned(),
        (other, _) => panic!("no word for {other:?}"),
    }
}

#[test]
fn operations_names_every_metric() {
    let source = file("engine/src/metrics.rs");
    let page = file("docs/operations.md");
    let calls = ["counts(", "gauges(", "seconds(", "histogram(", "opts("];
    let names: BTreeSet<&str> = calls
        .iter()
        .flat_map(|call| source.split(call).skip(1))
        .filter_map(|after| after.trim_start().strip_prefix('"')?.split('"').next())
        .filter(|name| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        })
        .collect();
    assert!(names.len() > 20, "the names are read out of the source: {names:?}");
    let missing: Vec<_> =
        names.iter().filter(|name| !page.contains(&format!("`logmon_{name}`"))).collect();
    assert!(missing.is_empty(), "docs/operations.md lacks the metrics {missing:?}");
}

/// Classes in the order in which the page explains them.
fn errors() -> String {
    let mut table =
        "| What the server says | Class | Its errors |\n| --- | --- | --- |\n".to_owned();
    let listed = Class::ALL.into_iter().filter(|class| *class != Class::Retry);
    for class in listed {
        let mut said: Vec<&str> = Vec::new();
        let of_class = || codes::all().iter().filter(|code| code.class == class);
        for code in of_class() {
            if said.contains(&code.sentence) {
                continue;
            }
            said.push(code.sentence);
            let same = of_class().filter(|other| other.sentence == code.sentence);
            let names: Vec<String> =
                same.map(|code| format!("{} {}", code.number, code.name)).collect();
            let names = names.join(", ");
            let _ = writeln!(table, "| {} | `{}` | {names} |", code.sentence, class.name());
        }
    }
    table
}

#[test]
fn bad_input_lists_every_error() {
    let page = file("docs/bad-input.md");
    let (before, rest) = page.split_once("<!-- errors -->\n").expect("the table is marked");
    let (_, after) = rest.split_once(END).expect("the table has an end");
    let text = format!("{before}<!-- errors -->\n\n{}\n{END}{after}", errors());
    expect_file!["../../../docs/bad-input.md"].assert_eq(&text);
}

#[test]
fn the_page_on_delivery_names_every_fault_test() {
    let page = file("docs/delivery.md");
    let (_, table) = page.split_once("<!-- tests -->").expect("the table's beginning is marked");
    let (table, _) = table.split_once(END).expect("the table has an end");
    let shown: BTreeSet<&str> =
        table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/faults");
    let texts: Vec<String> = fs::read_dir(folder)
        .expect("the folder of fault tests")
        .map(|entry| entry.expect("a readable entry").path())
        .filter(|path| path.is_file())
        .map(|path| fs::read_to_string(path).expect("a text file"))
        .collect();
    let names = texts.iter().flat_map(|text| text.split("#[test]\nfn ").skip(1));
    let found: BTreeSet<&str> = names
        .filter_map(|text| text.split('(').next())
        .filter(|name| name.starts_with('f') || name.starts_with("soak"))
        .collect();
    assert_eq!(shown, found, "docs/delivery.md has a row for each fault test");
}
