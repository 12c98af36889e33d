//! Windows as queries: the rows that the stream makes of events are those that the server makes of the stored events.

use std::{path::Path, sync::Arc};

use logmon_dsl::{
    column::Names,
    eval::{Evaluator, NoLookups, print_event},
    plan::{Plan, WindowId},
    program::{Mode, compile},
    render, sql,
};
use serde_json::Value;

use super::{One, Query, Stored, ask, expressions::Dice};
use crate::clickhouse::batch;

const TYPES: &str = "source s : { timestamp: timestamp, service: string?, status: int?, ms: float?, user: string?, ... }
sink rows : { ... }
sink logs : { ... }
default route to logs
";

const COLUMNS: &str = "timestamp DateTime64(9, 'UTC'), service Nullable(String), status Nullable(Int64), ms Nullable(Float64), user Nullable(String), attributes JSON";

fn events(count: usize) -> Vec<String> {
    let mut dice = Dice::new(7);
    let mut second = 0;
    let mut all: Vec<String> = (0..count)
        .map(|_| {
            second += dice.roll(4);
            let mut members = vec![format!(
                "\"timestamp\":\"2026-11-20T10:{:02}:{:02}.{:03}Z\"",
                second / 60 % 60,
                second % 60,
                dice.roll(1000)
            )];
            for (key, values) in [
                ("service", &["\"web\"", "\"api\"", "null", "\"db\""][..]),
                ("status", &["200", "503", "404", "\"odd\"", "null"][..]),
                ("ms", &["1.5", "20", "0.25", "700.0", "\"slow\""][..]),
                ("user", &["\"u1\"", "\"u2\"", "\"u3\"", "\"u4\"", "null"][..]),
            ] {
                if dice.roll(6) > 0 {
                    members.push(format!("\"{key}\":{}", dice.pick(values)));
                }
            }
            format!("{{{}}}", members.join(","))
        })
        .collect();
    // Closes all windows before it.
    all.push(r#"{"timestamp":"2026-11-20T12:00:00Z","service":"last"}"#.into());
    all
}

fn plan(window: &str) -> Arc<Plan> {
    let text = format!("{TYPES}{window}");
    let compiled = compile(Path::new("main.rules"), &One(text), Mode::Run);
    let drawn = render::render(&compiled.diagnostics, &compiled.sources, false);
    Arc::new(compiled.program.unwrap_or_else(|| panic!("{drawn}")).plan)
}

/// The rows of the stream's closed windows, sorted.
fn here(stored: &Stored, plan: &Arc<Plan>) -> Vec<Value> {
    let mut names = Names::default();
    let mut batch = batch(&plan.layout, &mut names, &stored.events, 0);
    let outcome = Evaluator::new(Arc::clone(plan)).run(&mut batch, &names, &mut NoLookups, false);
    let mut rows = Vec::new();
    for rolled in &outcome.rolled {
        for routed in &rolled.routed {
            for row in &routed.rows {
                let mut text = Vec::new();
                let (layout, snapshot) = (&plan.layout, &routed.snapshot);
                print_event(
                    &mut text,
                    &rolled.batch,
                    layout,
                    &names,
                    snapshot,
                    *row as usize,
                    &routed.args,
                );
                rows.push(serde_json::from_slice(&text).unwrap());
            }
        }
    }
    rows
}

fn there(stored: &Stored, plan: &Plan) -> Vec<Value> {
    let Query { text, params, .. } =
        sql::window(plan, WindowId(0), &stored.table, &stored.store, 0).unwrap();
    let query = Query { text: String::new(), params, notes: Vec::new() };
    let statement = format!(
        "{text} FORMAT JSONEachRow SETTINGS output_format_json_quote_64bit_integers = 0, date_time_output_format = 'iso'"
    );
    let answer = ask(&statement, &query).unwrap_or_else(|why| panic!("{text}\n{why}"));
    answer.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A row as what both sides say of it: floats to nine digits, nothing that is absent.
fn shown(row: &Value) -> Option<String> {
    let row = row.as_object().unwrap();
    if row.get("service").is_some_and(|it| it == "last") {
        return None;
    }
    let mut parts = Vec::new();
    for (key, value) in row {
        let text = match value {
            Value::Null => continue,
            Value::Number(number) => format!("{:.9e}", number.as_f64().unwrap()),
            Value::String(text) if key.starts_with("window_") => {
                let time: jiff::Timestamp = text.parse().unwrap();
                time.to_string()
            }
            other => other.to_string(),
        };
        if key != "timestamp" {
            parts.push(format!("{key}={text}"));
        }
    }
    parts.sort();
    Some(parts.join(" "))
}

fn compare(table: &str, window: &str) {
    let stored = Stored::new(table, COLUMNS, "", events(600));
    let plan = plan(window);
    let sorted = |rows: Vec<Value>| {
        let mut rows: Vec<String> = rows.iter().filter_map(shown).collect();
        rows.sort();
        rows
    };
    let (here, there) = (sorted(here(&stored, &plan)), sorted(there(&stored, &plan)));
    assert!(here.len() > 10, "{here:?}");
    for (here, there) in here.iter().zip(&there) {
        assert_eq!(here, there);
    }
    assert_eq!(here.len(), there.len());
}

#[test]
fn sums_by_key() {
    compare(
        "sql_window_sums",
        "window per_minute on s {
  over 1m
  by .service
  let n = count()
  let failed = count(where .status >= 500)
  let ratio = failed / n
  let total = sum(.status)
  let mean = avg(.ms)
  let least = min(.ms)
  let most = max(.status where .status < 500)
  let spread = stddev(.ms)
  let users = uniq(.user)
  let per_second = rate()
  route to rows
}
",
    );
}

#[test]
fn windows_that_overlap() {
    compare(
        "sql_window_overlap",
        "window rolling on s when .status is present {
  over 2m every 30s
  by .service, .user
  let n = count()
  let earliest = first(.ms)
  let latest = last(.ms)
  let class = if n > 2 { \"busy\" } else { .service ?? \"none\" }
  route to rows
}
",
    );
}

#[test]
fn an_alert_says_where_it_would_fire() {
    let stored = Stored::new("sql_window_alert", COLUMNS, "", events(600));
    let plan = plan(
        "alert many on s {
  over 1m
  by .service
  let n = count()
  let failed = count(where .status >= 500)
  fire when failed / n > 0.5 and n > 2
  severity error
  summary \"many\"
}
",
    );
    let rows = there(&stored, &plan);
    for row in &rows {
        let number = |key: &str| row[key].as_f64().unwrap();
        let fires = number("failed") / number("n") > 0.5 && number("n") > 2.0;
        assert_eq!(row["fires"].as_u64() == Some(1) || row["fires"] == true, fires, "{row}");
    }
    assert!(rows.len() > 10);
}
