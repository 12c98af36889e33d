//! One broker, and two.

use logmon_services::{Kafka, KafkaCluster, KafkaOptions};

use crate::wire::{cluster, create_topic};
use crate::{eventually, is_open, state};

fn start() -> Kafka {
    Kafka::start_own(&KafkaOptions::default()).unwrap()
}

#[test]
fn starts_answers_and_is_gone_when_dropped() {
    let kafka = start();
    let (brokers, pid) = (kafka.brokers().to_owned(), kafka.pid().unwrap());
    assert_eq!(cluster(&brokers).topics, Vec::<String>::new());
    assert!(state(pid).is_some());
    drop(kafka);
    assert_eq!(state(pid), None);
    assert!(!is_open(&brokers));
}

#[test]
fn two_at_once_are_two_clusters() {
    let (one, two) = (start(), start());
    create_topic(one.brokers(), "only-in-one");
    let (first, second) = (cluster(one.brokers()), cluster(two.brokers()));
    assert_ne!(first.id, second.id);
    assert_eq!(first.topics, ["only-in-one"]);
    assert_eq!(second.topics, Vec::<String>::new());
    drop(one);
    assert_eq!(cluster(two.brokers()), second);
}

#[test]
fn a_topic_survives_a_kill() {
    let kafka = start();
    create_topic(kafka.brokers(), "kept");
    let (before, brokers) = (cluster(kafka.brokers()), kafka.brokers().to_owned());
    let pid = kafka.pid().unwrap();
    kafka.kill().unwrap();
    assert_eq!((state(pid), kafka.pid()), (None, None));
    assert!(!is_open(&brokers));
    kafka.restart().unwrap();
    assert_eq!(kafka.brokers(), brokers);
    // A broker that recovers may answer before it has read all of its log again.
    eventually("the topic is back", || cluster(&brokers) == before);
}

#[test]
fn options_reach_the_broker() {
    let settings = vec![("no.such.listener".to_owned(), "x".to_owned())];
    let heap = KafkaOptions { heap_mb: 300, settings, ..KafkaOptions::default() };
    let kafka = Kafka::start_own(&heap).unwrap();
    let command = std::fs::read_to_string(format!("/proc/{}/cmdline", kafka.pid().unwrap()));
    assert!(command.unwrap().split('\0').any(|it| it == "-Xmx300m"));
}

#[test]
fn a_broker_that_cannot_start_shows_its_log() {
    let settings = vec![("num.io.threads".to_owned(), "none".to_owned())];
    let options = KafkaOptions { settings, ..KafkaOptions::default() };
    let error = Kafka::start_own(&options).unwrap_err().to_string();
    assert!(error.starts_with("Kafka did not start: ended, exit status: 1"), "{error}");
    assert!(error.contains("num.io.threads"), "{error}");
}

#[test]
fn a_listener_sends_its_clients_to_the_port_in_front_of_it() {
    let options = KafkaOptions { proxy: Some(9), ..KafkaOptions::default() };
    let kafka = Kafka::start_own(&options).unwrap();
    let behind = kafka.behind().unwrap();
    assert_eq!(cluster(behind).ports, [9]);
    let direct: i32 = kafka.brokers().rsplit(':').next().unwrap().parse().unwrap();
    assert_eq!(cluster(kafka.brokers()).ports, [direct]);
}

#[test]
fn of_three_brokers_one_may_go_and_come_back() {
    let kafka = KafkaCluster::start(3, &KafkaOptions::default()).unwrap();
    let brokers: Vec<String> = kafka.brokers().split(',').map(str::to_owned).collect();
    eventually("all three are known", || cluster(&brokers[0]).ports.len() == 3);
    let pid = kafka.pid(2).unwrap();
    kafka.kill(2);
    assert_eq!((state(pid), kafka.pid(2)), (None, None));
    eventually("two are left", || cluster(&brokers[0]).ports.len() == 2);
    kafka.restart(2).unwrap();
    eventually("it is back", || cluster(&brokers[2]).ports.len() == 3);
}
