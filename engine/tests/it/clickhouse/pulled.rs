//! `schema pull` from a real server, and what becomes of a table that changes behind the lock's back.

use std::{fs, path::PathBuf, process::Command};

use super::{server, sql};

const RULES: &str = r#"source app : { service: string, status: int }
sink logs : table("logs")
default route to logs
"#;

/// A folder with rules and configuration, gone with the value.
struct Project(PathBuf);

impl Project {
    fn new(database: &str) -> Self {
        let name = format!("logmon-{database}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(path.join("rules")).unwrap();
        fs::write(path.join("rules/main.rules"), RULES).unwrap();
        let config = format!(
            "[http]\nlisten = \"127.0.0.1:0\"\n\n[source.app]\nkind = \"kafka\"\nbrokers = [\"127.0.0.1:9\"]\ntopics = [\"none\"]\ngroup = \"none\"\n\n[sink.logs]\nkind = \"clickhouse\"\nurl = \"{}\"\ndatabase = \"{database}\"\n",
            server().url(),
        );
        fs::write(path.join("logmon.toml"), config).unwrap();
        Self(path)
    }

    /// The exit code, and what was said on both outputs.
    fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_logmon-engine"))
            .args(arguments)
            .arg("rules/main.rules")
            .current_dir(&self.0)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn tables_are_pulled_and_held_to_it() {
    sql("CREATE DATABASE pulled");
    sql(
        "CREATE TABLE pulled.logs (service String, status UInt16, made DateTime DEFAULT now()) ENGINE = MergeTree ORDER BY service",
    );
    let project = Project::new("pulled");
    let (code, said) = project.run(&["schema", "pull"]);
    assert_eq!(code, Some(0), "{said}");
    let lock = fs::read_to_string(project.0.join("rules/schemas/clickhouse.lock")).unwrap();
    assert!(lock.contains("{ name = \"status\", type = \"UInt16\" }"), "{lock}");
    assert_eq!(project.run(&["schema", "pull", "--check"]).0, Some(0));
    assert_eq!(project.run(&["check"]).0, Some(0));

    sql("ALTER TABLE pulled.logs DROP COLUMN status");
    sql("ALTER TABLE pulled.logs ADD COLUMN status Array(String)");
    let (code, said) = project.run(&["schema", "pull", "--check"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("is not what the server says"), "{said}");
    let (code, said) = project.run(&["run"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("error[E403]: the table pulled.logs differs"), "{said}");
    assert!(said.contains("the server says `Array(String)` for `status`"), "{said}");

    assert_eq!(project.run(&["schema", "pull"]).0, Some(0));
    let (code, said) = project.run(&["check"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("error[E401]: `.status` does not fit the column `status`"), "{said}");
}
