//! Routes against the columns of a lock file.

use std::{collections::BTreeMap, path::Path};

use expect_test::{Expect, expect};
use logmon_dsl::program::{Mode, Options, SinkSettings, compile_with};

use crate::check::{Files, drawn};

const LOCK: &str = r#"[[table]]
name = "logs"
columns = [
  { name = "at", type = "DateTime64(9, 'UTC')" },
  { name = "severity", type = "Enum8('info' = 9, 'warn' = 13)" },
  { name = "client_ip", type = "IPv6" },
  { name = "status", type = "UInt16" },
  { name = "tags", type = "Array(String)" },
  { name = "note", type = "Nullable(String)" },
  { name = "made", type = "DateTime", default = "now()" },
  { name = "kafka_offset", type = "UInt64" },
]
"#;

#[track_caller]
fn check(lock: &str, settings: SinkSettings, rules: &str, expected: &Expect) {
    let sinks = BTreeMap::from([("logs".to_owned(), settings)]);
    let files = Files::of(&[("rules/main.rules", rules), ("schemas/clickhouse.lock", lock)]);
    let options = Options { sinks, ..Options::default() };
    let compilation = compile_with(Path::new("rules/main.rules"), &files, Mode::Test, &options);
    expected.assert_eq(&drawn(&compilation));
}

const FITS: &str = r#"source web : { at: timestamp, severity: severity?, client: { ip: ip? }, status: int, tags: list<string>, note: string? }
sink logs : table("logs")
rule fewer { .severity = warn }
"#;

#[test]
fn what_fits_is_quiet() {
    let lock = LOCK.replace("'info' = 9, 'warn' = 13", "'trace' = 1, 'debug' = 5, 'info' = 9, 'notice' = 10, 'warn' = 13, 'error' = 17, 'critical' = 18, 'fatal' = 21");
    check(
        &lock,
        SinkSettings::default(),
        &format!("{FITS}default route to logs\n"),
        &expect![[""]],
    );
}

#[test]
fn what_never_fits() {
    check(
        LOCK,
        SinkSettings::default(),
        "source web : { at: ip, severity: severity?, client: { ip: timestamp? }, status: list<int>, tags: int, more: string? }\nsink logs : table(\"logs\")\nrule send { route to logs }\n",
        &expect![[r#"
            error[E401]: `.at` does not fit the column `at`: the column is `DateTime64(9, 'UTC')`, the value is `ip`
             --> rules/main.rules:3:22
              |
            2 | sink logs : table("logs")
              |      ---- declared here
            3 | rule send { route to logs }
              |                      ^^^^ goes into the table `logs`
              |
              = note: `.client.ip` does not fit the column `client_ip`: the column is `IPv6`, the value is `timestamp`
              = note: `.status` does not fit the column `status`: the column is `UInt16`, the value is `list<int>`
              = note: `.tags` does not fit the column `tags`: the column is `Array(String)`, the value is `int`
              = note: the column `severity` is `Enum8('info' = 9, 'warn' = 13)`, which has no trace, debug, notice, error, critical, fatal
              = help: give the field another type or a default before the route, change the column, or set `[sink.logs] on_absent = "default"` where only absent values are the matter

            warning[W402]: one field of this event reaches no column
             --> rules/main.rules:3:22
              |
            3 | rule send { route to logs }
              |                      ^^^^ the table `logs` has no column for the rest
              |
              = note: `.more`
              = help: add the columns, or a `Map(String, String)` called `attributes`
        "#]],
    );
}

#[test]
fn what_may_be_absent() {
    check(
        LOCK,
        SinkSettings { absent_is_error: true, ..SinkSettings::default() },
        "source web : { at: timestamp, client: { ip: ip? }, status: int, note: string? }\nsink logs : table(\"logs\")\nrule send { route to logs }\n",
        &expect![[r#"
            error[E401]: nothing fills the column `severity`, which is `Enum8('info' = 9, 'warn' = 13)` without a default
             --> rules/main.rules:3:22
              |
            2 | sink logs : table("logs")
              |      ---- declared here
            3 | rule send { route to logs }
              |                      ^^^^ goes into the table `logs`
              |
              = note: nothing fills the column `tags`, which is `Array(String)` without a default
              = note: the column `client_ip` is `IPv6`, but `.client.ip` may be absent
              = note: the column `status` is `UInt16`, and `.status` may lie outside of it: it would be absent then
              = help: give the field another type or a default before the route, change the column, or set `[sink.logs] on_absent = "default"` where only absent values are the matter
        "#]],
    );
}

#[test]
fn columns_with_other_paths() {
    let settings = SinkSettings {
        table: Some("other".to_owned()),
        columns: vec![("status".to_owned(), ".code".to_owned())],
        ..SinkSettings::default()
    };
    let lock = "[[table]]\nname = \"other\"\ncolumns = [{ name = \"status\", type = \"IPv4\" }]\n";
    check(
        lock,
        settings,
        "source web : { code: int }\nsink logs : table(\"logs\")\nrule send { route to logs }\n",
        &expect![[r#"
            error[E401]: `.code` does not fit the column `status`: the column is `IPv4`, the value is `int`
             --> rules/main.rules:3:22
              |
            2 | sink logs : table("logs")
              |      ---- declared here
            3 | rule send { route to logs }
              |                      ^^^^ goes into the table `other`
              |
              = help: give the field another type or a default before the route, change the column, or set `[sink.logs] on_absent = "default"` where only absent values are the matter
        "#]],
    );
}

#[test]
fn a_file_that_is_none() {
    check(
        "[[table]]\nnme = 1\n",
        SinkSettings::default(),
        "source web : { code: int }\nsink logs : table(\"logs\")\nrule send { route to logs }\n",
        &expect![[r#"
            error[E109]: this is no lock file: unknown field `nme`, expected `name` or `columns`
             --> schemas/clickhouse.lock:1:1
              |
            1 | [[table]]
              | ^
              |
              = help: `logmon-engine schema pull` writes it anew
        "#]],
    );
}

const ROWS: &str = r#"[[table]]
name = "logs"
columns = [
  { name = "timestamp", type = "DateTime64(9, 'UTC')" },
  { name = "host", type = "String" },
  { name = "http_class", type = "UInt16" },
  { name = "n", type = "UInt64" },
]
"#;

#[test]
fn rows_of_windows_are_what_is_compared() {
    check(
        ROWS,
        SinkSettings::default(),
        "source web : { host: string, n: list<int>, http: { class: int } }\nsink logs : table(\"logs\")\nsink all : { ... }\nwindow w on web {\n  over 1m\n  by .host, .http.class\n  let n = count()\n  let worst = max(.host)\n  route to logs, logs\n}\ndefault route to all\n",
        &expect![[r#"
            warning[W402]: one field of this event reaches no column
             --> rules/main.rules:9:12
              |
            9 |   route to logs, logs
              |            ^^^^ the table `logs` has no column for the rest
              |
              = note: `.worst`
              = help: add the columns, or a `Map(String, String)` called `attributes`

            warning[W111]: `logs` is named twice in one route
             --> rules/main.rules:9:18
              |
            9 |   route to logs, logs
              |                  ^^^^ gets the event once
              |
              = help: leave it out
        "#]],
    );
}

#[test]
fn what_a_route_sets_fills_its_column() {
    check(
        ROWS,
        SinkSettings { absent_is_error: true, ..SinkSettings::default() },
        "source web : { timestamp: timestamp, host: string, n: bool }\nsink logs : table(\"logs\")\nrule send { route to logs(http_class: 2) }\n",
        &expect![""],
    );
}
