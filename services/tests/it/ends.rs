//! Servers end with the process that started them, and others' servers do not.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use logmon_services::{ClickHouse, Kafka, KafkaOptions};

use crate::{eventually, is_open, state};

/// `hold` in a process of its own, and the address and pid (`-`: not its own) of each service.
fn hold(command: &mut Command) -> (Child, Vec<(String, String)>) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let words = lines.map(|line| {
        let line = line.unwrap();
        let mut words = line.split(' ').skip(1).map(str::to_owned);
        (words.next().unwrap(), words.next().unwrap())
    });
    (child, words.take(2).collect())
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logmon-services"));
    command.arg("hold").env_remove("LOGMON_KAFKA").env_remove("LOGMON_CLICKHOUSE");
    command
}

#[test]
fn both_die_with_a_process_that_is_killed() {
    let (mut child, services) = hold(&mut program());
    let pids: Vec<u32> = services.iter().map(|(_, pid)| pid.parse().unwrap()).collect();
    assert!(pids.iter().all(|pid| state(*pid).is_some()));
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("both are gone", || pids.iter().all(|pid| state(*pid).is_none()));
    assert!(!is_open(&services[0].0));
}

#[test]
fn running_servers_are_used_and_left_alone() {
    let kafka = Kafka::start_own(&KafkaOptions::default()).unwrap();
    let clickhouse = ClickHouse::start_own().unwrap();
    let named = clickhouse.url().replacen("http://", "http://logmon:logmon-secret@", 1);
    let mut command = program();
    command.env("LOGMON_KAFKA", kafka.brokers()).env("LOGMON_CLICKHOUSE", named);
    let (mut child, services) = hold(&mut command);
    let others = |address: &str| (address.to_owned(), "-".to_owned());
    assert_eq!(services, [others(kafka.brokers()), others(clickhouse.url())]);
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert!(is_open(kafka.brokers()));
    assert_eq!(clickhouse.query("SELECT 1").unwrap(), "1\n");
}

#[test]
fn a_named_server_that_does_not_answer_is_named_in_the_error() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let output = program().env("LOGMON_KAFKA", format!("127.0.0.1:{port}")).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8(output.stderr).unwrap();
    let begin = format!("error: LOGMON_KAFKA names 127.0.0.1:{port}, which does not answer");
    assert!(said.starts_with(&begin), "{said}");
    assert!(said.trim_end().ends_with("start it or unset it"), "{said}");
}
