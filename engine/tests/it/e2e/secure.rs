//! A broker with TLS and SCRAM: the login that works, and the sentences for those that do not.

use std::{process::Command, time::Duration};

use logmon_services::{Kafka, SecureKafka};
use rdkafka::{
    ClientConfig, Message as _,
    consumer::{BaseConsumer, Consumer as _},
};

use super::{
    engine_process::Engine,
    lifecycle::{DEAD_LETTER, RULES},
    project::{Project, create_topic, logs_table, produce, text},
    wait_for,
};

/// Every record of a one-partition topic, read with these client properties.
pub(crate) fn read_topic(properties: &[(&str, &str)], topic: &str) -> Vec<Vec<u8>> {
    let mut client = ClientConfig::new();
    for (key, value) in properties {
        client.set(*key, *value);
    }
    let consumer: BaseConsumer = client.set("group.id", "reader").create().unwrap();
    let mut list = rdkafka::TopicPartitionList::new();
    list.add_partition_offset(topic, 0, rdkafka::Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let mut found = Vec::new();
    wait_for("a record in the topic", 30, || {
        while let Some(message) = consumer.poll(Duration::from_millis(500)) {
            found.push(message.unwrap().payload().unwrap_or_default().to_vec());
        }
        !found.is_empty()
    });
    found
}

fn configure(project: &Project, kafka: &SecureKafka, mechanism: &str, password: &str, ca: &str) {
    project.configure(&["logs", "errors", "dlq"], DEAD_LETTER);
    let config = std::fs::read_to_string(project.dir.join("logmon.toml")).unwrap();
    let security = format!(
        "start = \"earliest\"\n[source.app.security]\nprotocol = \"sasl_ssl\"\nmechanism = \"{mechanism}\"\nuser = \"app\"\npassword = \"{password}\"\nca = \"{ca}\"\n"
    );
    let plain = super::SERVERS.kafka.brokers();
    let config =
        config.replace(plain, kafka.sasl_address()).replace("start = \"earliest\"\n", &security);
    project.write("logmon.toml", &config);
}

#[test]
fn tls_and_scram_against_a_real_broker() {
    let kafka = Kafka::start_secure().unwrap();
    let project = Project::new("secure", 1, RULES);
    logs_table(&project, "logs");
    logs_table(&project, "errors");
    create_topic(kafka.kafka().brokers(), &project.topic, 1);
    let ca = text(&kafka.tls().ca).to_owned();
    for (index, mechanism) in ["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"].into_iter().enumerate() {
        configure(&project, &kafka, mechanism, "app-secret", &ca);
        let mut engine = Engine::start_ready(&project, mechanism);
        let event = format!("{{\"severity\":\"info\",\"service\":\"s\",\"id\":{index}}}");
        produce(kafka.kafka().brokers(), &project.topic, [Some(event.as_bytes())]);
        wait_for("the row arrives", 60, || {
            project.count("SELECT count() FROM {db}.logs") == index as u64 + 1
        });
        assert!(engine.terminate().success(), "{}", engine.log());
    }

    let refused = || {
        let output = Command::new(env!("CARGO_BIN_EXE_logmon-engine"))
            .args(["run", text(&project.rules())])
            .output()
            .unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    configure(&project, &kafka, "SCRAM-SHA-256", "wrong", &ca);
    let (code, said) = refused();
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("password") && said.contains("[source.app.security]"), "{said}");
    configure(&project, &kafka, "SCRAM-SHA-256", "app-secret", text(&kafka.tls().other_ca));
    let (code, said) = refused();
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("ca") && said.contains("[source.app.security]"), "{said}");
}
