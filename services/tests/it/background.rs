//! `up`, `status` and `down`, in a cache folder of their own that borrows what is fetched.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use logmon_services::{ClickHouse, Kafka, KafkaOptions, cache_folder};

use crate::wire::cluster;
use crate::{is_open, state};

struct Borrowed(PathBuf);

impl Borrowed {
    fn new() -> Self {
        // Both have been started once, so all of it is fetched.
        drop(Kafka::start_own(&KafkaOptions::default()).unwrap());
        drop(ClickHouse::start_own().unwrap());
        let path = env::temp_dir().join(format!("logmon-background-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        for entry in fs::read_dir(cache_folder().unwrap()).unwrap() {
            let (from, name) = (entry.as_ref().unwrap().path(), entry.unwrap().file_name());
            let fetched = ["kafka-", "chdb-", "launcher-"];
            if fetched.iter().any(|it| name.to_string_lossy().starts_with(it)) {
                symlink(from, path.join(name)).unwrap();
            }
        }
        Self(path)
    }

    fn run(&self, what: &str) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_logmon-services"));
        let output = command.arg(what).env("LOGMON_SERVICES_DIR", &self.0).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        self.run("down");
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// The word after another one.
fn after(text: &str, word: &str) -> String {
    let mut words = text.split_whitespace().skip_while(|it| *it != word).skip(1);
    words.next().unwrap().to_owned()
}

#[test]
fn up_outlives_the_command_and_down_ends_exactly_those() {
    let place = Borrowed::new();
    assert_eq!(place.run("status"), "nothing runs\n");
    let bystander = ClickHouse::start_own().unwrap();
    let up = place.run("up");
    let (kafka, clickhouse) = (after(&up, "Kafka"), after(&up, "ClickHouse"));
    assert_eq!(cluster(&kafka).topics, Vec::<String>::new());
    assert!(is_open(clickhouse.strip_prefix("http://").unwrap()));
    assert_eq!(place.run("status"), up);
    assert_eq!(place.run("up"), up, "a second time starts nothing new");
    let pids: Vec<u32> = up
        .lines()
        .filter(|line| line.contains(" pid "))
        .map(|line| after(line, "pid").parse().unwrap())
        .collect();
    assert_eq!(pids.len(), 2);
    let down = place.run("down");
    assert_eq!(down, format!("ended Kafka, pid {}\nended ClickHouse, pid {}\n", pids[0], pids[1]));
    assert!(pids.iter().all(|pid| state(*pid).is_none()));
    assert!(!is_open(&kafka));
    assert_eq!(place.run("status"), "nothing runs\n");
    assert_eq!(place.run("down"), "nothing runs\n");
    assert_eq!(bystander.query("SELECT 1").unwrap(), "1\n");
}

#[test]
fn a_pid_that_belongs_to_somebody_else_now_is_not_ended() {
    let path = env::temp_dir().join(format!("logmon-stale-{}", std::process::id()));
    let folder = path.join("background/kafka");
    fs::create_dir_all(&folder).unwrap();
    let text = format!(
        r#"{{"service":"kafka","address":"127.0.0.1:1","pid":{},"started":1,"folder":{folder:?}}}"#,
        std::process::id()
    );
    fs::write(folder.join("running.json"), text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_logmon-services"));
    let output = command.arg("down").env("LOGMON_SERVICES_DIR", &path).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "nothing runs\n");
    fs::remove_dir_all(&path).unwrap();
}
