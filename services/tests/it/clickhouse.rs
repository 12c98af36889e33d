//! One ClickHouse, and two.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use logmon_services::ClickHouse;

use crate::{eventually, is_open, state};

fn start() -> ClickHouse {
    ClickHouse::start_own().unwrap()
}

fn address(clickhouse: &ClickHouse) -> String {
    clickhouse.url().replacen("http://", "", 1)
}

#[test]
fn starts_answers_and_is_gone_when_dropped() {
    let clickhouse = start();
    assert_eq!((clickhouse.user(), clickhouse.password()), ("logmon", "logmon-secret"));
    assert_eq!(clickhouse.query("SELECT currentUser()").unwrap(), "logmon\n");
    let limit = "SELECT value FROM system.server_settings WHERE name = 'max_server_memory_usage'";
    assert_eq!(clickhouse.query(limit).unwrap(), "2147483648\n");
    let (http, pid) = (address(&clickhouse), clickhouse.pid().unwrap());
    let tcp = format!("127.0.0.1:{}", clickhouse.tcp_port().unwrap());
    assert!(is_open(&http) && is_open(&tcp));
    drop(clickhouse);
    assert_eq!(state(pid), None);
    assert!(!is_open(&http) && !is_open(&tcp));
}

#[test]
fn two_at_once_do_not_share_tables() {
    let (one, two) = (start(), start());
    one.query("CREATE TABLE t (x Int32) ENGINE = MergeTree ORDER BY x").unwrap();
    let refused = two.query("SELECT * FROM t").unwrap_err().to_string();
    assert!(refused.contains("UNKNOWN_TABLE"), "{refused}");
    drop(two);
    assert_eq!(one.query("SELECT count() FROM t").unwrap(), "0\n");
}

#[test]
fn rows_survive_a_kill() {
    let clickhouse = start();
    clickhouse.query("CREATE TABLE t (x Int32) ENGINE = MergeTree ORDER BY x").unwrap();
    clickhouse.query("INSERT INTO t SELECT number FROM numbers(1000)").unwrap();
    let url = clickhouse.url().to_owned();
    clickhouse.kill().unwrap();
    assert_eq!(clickhouse.pid(), None);
    clickhouse.query("SELECT 1").unwrap_err();
    clickhouse.restart().unwrap();
    assert_eq!(clickhouse.url(), url);
    assert_eq!(clickhouse.query("SELECT sum(x) FROM t").unwrap(), "499500\n");
}

#[test]
fn a_paused_one_goes_on_and_a_paused_one_can_be_dropped() {
    let clickhouse = start();
    let pid = clickhouse.pid().unwrap();
    clickhouse.stop().unwrap();
    eventually("it is paused", || state(pid) == Some('T'));
    clickhouse.cont().unwrap();
    assert_eq!(clickhouse.query("SELECT 1").unwrap(), "1\n");
    clickhouse.stop().unwrap();
    drop(clickhouse);
    assert_eq!(state(pid), None);
}

/// What the server answers over HTTP to somebody else than our own user.
fn ask_as(clickhouse: &ClickHouse, (user, password): (&str, &str), statement: &str) -> String {
    let mut stream = TcpStream::connect(address(clickhouse)).unwrap();
    let login = format!("X-ClickHouse-User: {user}\r\nX-ClickHouse-Key: {password}");
    let length = statement.len();
    let request =
        format!("POST / HTTP/1.0\r\n{login}\r\nContent-Length: {length}\r\n\r\n{statement}");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[test]
fn the_reader_may_not_write_and_a_wrong_password_is_refused() {
    let clickhouse = start();
    let reader = clickhouse.reader().unwrap();
    assert_eq!(ask_as(&clickhouse, reader, "SELECT currentUser()"), "reader\n");
    let create = "CREATE TABLE t (x Int32) ENGINE = MergeTree ORDER BY x";
    let refused = ask_as(&clickhouse, reader, create);
    assert!(refused.contains("READONLY"), "{refused}");
    let refused = ask_as(&clickhouse, (reader.0, "wrong"), "SELECT 1");
    assert!(refused.contains("AUTHENTICATION_FAILED"), "{refused}");
    assert_eq!(ask_as(&clickhouse, ("default", ""), "SELECT 1"), "1\n");
}

/// To the kernel a child belongs to the thread that forked it, and a test's own thread is soon gone.
#[test]
fn outlives_the_thread_that_started_it() {
    let clickhouse = thread::spawn(start).join().unwrap();
    assert_eq!(clickhouse.query("SELECT 1").unwrap(), "1\n");
    let pid = clickhouse.pid();
    let restarted = thread::spawn(move || {
        clickhouse.restart().unwrap();
        clickhouse
    });
    let clickhouse = restarted.join().unwrap();
    assert_ne!(clickhouse.pid(), pid);
    assert_eq!(clickhouse.query("SELECT 1").unwrap(), "1\n");
}
