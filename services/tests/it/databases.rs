//! PostgreSQL and Valkey: start, answer, go, come back.

use std::io::{Read, Write};
use std::net::TcpStream;

use logmon_services::{Postgres, Valkey};

use crate::{is_open, state};

#[test]
fn postgres_answers_keeps_its_rows_and_goes() {
    let postgres = Postgres::start_own().unwrap();
    postgres
        .query("CREATE TABLE t (x int); INSERT INTO t SELECT generate_series(1, 1000)")
        .unwrap();
    let (pid, address) = (postgres.pid().unwrap(), format!("127.0.0.1:{}", postgres.port()));
    postgres.kill();
    assert_eq!(postgres.pid(), None);
    postgres.query("SELECT 1").unwrap_err();
    postgres.restart().unwrap();
    assert_eq!(postgres.query("SELECT sum(x) FROM t").unwrap(), "500500\n");
    assert_eq!(postgres.query("SHOW ssl").unwrap(), "on\n");
    assert!(postgres.certificate().is_file());
    let again = postgres.pid().unwrap();
    assert_ne!(pid, again);
    drop(postgres);
    assert_eq!((state(pid), state(again)), (None, None));
    assert!(!is_open(&address));
}

#[test]
fn valkey_answers_those_who_know_the_password() {
    let valkey = Valkey::start_own().unwrap();
    let url = valkey.url();
    let address = url.trim_start_matches("redis://").trim_end_matches("/0").to_owned();
    let ask = |words: &str| {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.write_all(words.as_bytes()).unwrap();
        let mut answer = [0; 256];
        let length = stream.read(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..length]).into_owned()
    };
    assert!(ask("GET a\r\n").starts_with("-NOAUTH"));
    let login = format!("AUTH {}\r\n", valkey.password());
    assert_eq!(ask(&login), "+OK\r\n");
    valkey.kill();
    assert!(!is_open(&address));
    valkey.restart().unwrap();
    assert_eq!(ask(&login), "+OK\r\n");
    let pid = valkey.pid().unwrap();
    drop(valkey);
    assert_eq!(state(pid), None);
}
