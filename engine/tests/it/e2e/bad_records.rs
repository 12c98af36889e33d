//! Bad records on real servers: what becomes of them, and that nothing of what they hold is lost or believed.

use std::fmt::Write as _;

use logmon_services::Kafka;
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    producer::{BaseRecord, Producer as _, ThreadedProducer},
};

use super::{
    SERVERS,
    engine_process::Engine,
    lifecycle::usual,
    project::{Project, logs_table},
    secure::read_topic,
    wait_for,
};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02X}").unwrap();
        hex
    })
}

fn fates(engine: &Engine) -> [usize; 3] {
    ["delivered", "dropped", "dead_lettered"]
        .map(|fate| engine.metric("logmon_events_total", &[&format!("fate=\"{fate}\"")]) as usize)
}

#[test]
fn b3_broken_text_is_kept_byte_by_byte_and_forges_no_line() {
    let project = usual("broken_text", 1);
    let broken: [&[u8]; 6] = [
        b"{\"a\":\"\xff\xfe\"}",
        b"\xef\xbb\xbf{\"a\":1}",
        b"{\"a\":\"x\0y\"}",
        b"{\"a\":\"\\ud800\"}",
        b"\r\n2026-11-21T00:00:00Z ERROR forged line\r\n",
        b"\x1b[2J\x1b[31mforged line",
    ];
    project.produce(broken.iter().map(|payload| Some(*payload)));
    let mut engine = Engine::start_ready(&project, "engine");
    wait_for("every record has its fate", 60, || fates(&engine) == [0, 0, broken.len()]);
    let held =
        project.sql("SELECT hex(raw) FROM {db}.dead_letters ORDER BY kafka_offset FORMAT TSV");
    let meant: Vec<String> = broken.iter().map(|payload| hex(payload)).collect();
    assert_eq!(held.lines().collect::<Vec<_>>(), meant);
    let forged =
        project.count("SELECT count() FROM {db}.dead_letters WHERE position(cause, 'forged') > 0");
    assert_eq!(forged, 0, "a cause quotes nothing of the record");
    assert!(engine.terminate().success(), "{}", engine.log());
    assert!(!engine.log().contains("forged line"), "{}", engine.log());
}

#[test]
fn empty_records_are_dropped_where_the_source_says_so() {
    let project = usual("empties", 1);
    let config = std::fs::read_to_string(project.dir.join("logmon.toml")).unwrap();
    project.write("logmon.toml", &config.replace("start = ", "on_empty = \"drop\"\nstart = "));
    let good = br#"{"severity":"info","service":"s","message":"m"}"#;
    project.produce([None, Some(&good[..]), Some(b""), Some(b" ")]);
    let mut engine = Engine::start_ready(&project, "engine");
    wait_for("every record has its fate", 60, || fates(&engine) == [1, 2, 1]);
    let reasons = project.sql("SELECT reason FROM {db}.dead_letters FORMAT TSV");
    assert_eq!(reasons, "not_json\n", "blanks are a text, and no event");
    assert!(engine.terminate().success(), "{}", engine.log());
}

#[test]
fn b6_a_bomb_of_zeros_is_one_small_dead_letter() {
    let project = usual("bomb", 1);
    let bomb = vec![b'0'; 40 << 20];
    let producer: ThreadedProducer<rdkafka::producer::DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", SERVERS.kafka.brokers())
        .set("compression.type", "zstd")
        .set("message.max.bytes", "60000000")
        .create()
        .unwrap();
    producer
        .send(BaseRecord::<(), _>::to(&project.topic).payload(&bomb))
        .map_err(|(e, _)| e)
        .unwrap();
    producer.flush(std::time::Duration::from_mins(1)).unwrap();
    let good = br#"{"severity":"info","service":"s","message":"m"}"#;
    project.produce([Some(&good[..])]);
    let mut engine = Engine::start_ready(&project, "engine");
    wait_for("both records have their fate", 60, || fates(&engine) == [1, 0, 1]);
    let letter = project
        .sql("SELECT reason, length(raw), raw_bytes, raw_hash FROM {db}.dead_letters FORMAT TSV");
    let hash = blake3::hash(&bomb).to_hex();
    assert_eq!(letter, format!("too_large\t65536\t{}\t{hash}\n", bomb.len()));
    assert!(engine.terminate().success(), "{}", engine.log());
}

/// Flips one bit of every batch that holds this text, where the broker keeps them.
fn damage(kafka: &Kafka, topic: &str, needle: &[u8]) {
    let path = kafka.data().unwrap().join(format!("{topic}-0/00000000000000000000.log"));
    let bytes = std::fs::read(&path).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    let mut found = 0;
    for at in 0..bytes.len() - needle.len() {
        if bytes[at..].starts_with(needle) {
            std::os::unix::fs::FileExt::write_all_at(&file, &[bytes[at] ^ 1], at as u64).unwrap();
            found += 1;
        }
    }
    assert!(found > 0, "the text is in no batch");
}

fn mend(kafka: &Kafka, topic: &str, whole: &[u8]) {
    let path = kafka.data().unwrap().join(format!("{topic}-0/00000000000000000000.log"));
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, whole, 0).unwrap();
}

/// A batch of ten good records, one of seven with a damaged byte, and ten good ones again.
fn three_batches(project: &Project) {
    for (count, word) in [(10, "good"), (7, "damaged"), (10, "good")] {
        let payload = format!(r#"{{"severity":"info","service":"s","message":"{word}"}}"#);
        let payloads: Vec<_> = std::iter::repeat_n(Some(payload.as_bytes()), count).collect();
        produce_plain(&project.topic, &payloads);
    }
}

/// Uncompressed, and all in one batch.
fn produce_plain(topic: &str, payloads: &[Option<&[u8]>]) {
    let producer: ThreadedProducer<rdkafka::producer::DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", SERVERS.kafka.brokers())
        .set("linger.ms", "300")
        .create()
        .unwrap();
    for payload in payloads {
        producer
            .send(BaseRecord::<(), _>::to(topic).payload(payload.unwrap()))
            .map_err(|(error, _)| error)
            .unwrap();
    }
    producer.flush(std::time::Duration::from_mins(1)).unwrap();
}

#[test]
fn b6_a_damaged_batch_stops_its_partition_until_it_is_whole() {
    let project = usual("damaged", 1);
    three_batches(&project);
    let path =
        SERVERS.kafka.data().unwrap().join(format!("{}-0/00000000000000000000.log", project.topic));
    let whole = std::fs::read(path).unwrap();
    damage(&SERVERS.kafka, &project.topic, b"damaged");
    let mut engine = Engine::start_ready(&project, "engine");
    wait_for("what stands before it has its fate", 60, || fates(&engine) == [10, 0, 0]);
    wait_for("the partition stands still, and it is said why", 60, || {
        let (code, reasons) = engine.get("/readyz");
        code == 503 && reasons.contains("the records from offset 10 on arrive damaged")
    });
    assert_eq!(fates(&engine), [10, 0, 0], "nothing behind it is read");
    mend(&SERVERS.kafka, &project.topic, &whole);
    wait_for("everything has its fate", 60, || fates(&engine) == [27, 0, 0]);
    wait_for("all is well again", 60, || engine.get("/readyz").0 == 200);
    assert_eq!(project.count("SELECT count() FROM {db}.logs"), 27);
    assert_eq!(engine.metric("logmon_source_damaged_total", &[]) as u64, 0);
    let said = engine.log().matches("arrive damaged").count();
    assert_eq!(said, 1, "one line for one trouble:\n{}", engine.log());
    assert!(engine.terminate().success(), "{}", engine.log());
}

#[test]
fn b6_a_damaged_batch_is_left_out_where_the_source_says_so() {
    let project = usual("left_out", 1);
    let config = std::fs::read_to_string(project.dir.join("logmon.toml")).unwrap();
    project.write("logmon.toml", &config.replace("start = ", "on_corrupt = \"skip\"\nstart = "));
    three_batches(&project);
    damage(&SERVERS.kafka, &project.topic, b"damaged");
    let mut engine = Engine::start_ready(&project, "engine");
    wait_for("all whole records have their fate", 60, || fates(&engine) == [20, 0, 0]);
    assert_eq!(engine.metric("logmon_source_damaged_total", &[]) as u64, 7);
    assert_eq!(project.count("SELECT countIf(message = 'good') FROM {db}.logs"), 20);
    assert_eq!(project.count("SELECT count() FROM {db}.logs"), 20);
    assert!(engine.terminate().success(), "{}", engine.log());
    let log = engine.log();
    assert!(log.contains("these offsets were left out") && log.contains("from=10 to=17"), "{log}");
}

const COPY: &str = r#"
source app : { id: int, ... }
sink logs : table("logs")
sink copy : { ... }

rule home { route to logs, copy }
"#;

#[test]
fn a_record_that_a_topic_never_takes_is_a_dead_letter() {
    let project = Project::new("oversized", 1, COPY);
    logs_table(&project, "logs");
    let copy = format!("{}.copy", project.topic);
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", SERVERS.kafka.brokers()).create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let topic =
        NewTopic::new(&copy, 1, TopicReplication::Fixed(1)).set("max.message.bytes", "3000");
    runtime.block_on(admin.create_topics([&topic], &AdminOptions::new())).unwrap();
    let brokers = SERVERS.kafka.brokers();
    project.configure(
        &["logs"],
        &format!("[sink.copy]\nkind = \"kafka\"\nbrokers = [\"{brokers}\"]\ntopic = \"{copy}\"\n"),
    );
    // What does not compress, so that the broker sees its size.
    let noise = |seed: u64| {
        (0..500_u64).fold(String::new(), |mut text, at| {
            write!(text, "{:016x}", (seed * 1_000 + at).wrapping_mul(0x9E37_79B9_7F4A_7C15))
                .unwrap();
            text
        })
    };
    let event = |id: u64| {
        let pad = if id == 3 { noise(id) } else { "small".to_owned() };
        format!(r#"{{"severity":"info","service":"s","id":{id},"pad":"{pad}"}}"#).into_bytes()
    };
    let mut engine = Engine::start_ready(&project, "engine");
    for id in 0..6 {
        project.produce([Some(&event(id)[..])]);
        wait_for("the event has its fate", 30, || {
            fates(&engine).iter().sum::<usize>() as u64 == id + 1
        });
    }
    assert_eq!(fates(&engine), [5, 0, 1]);
    let ids: Vec<u64> = read_topic(&[("bootstrap.servers", brokers)], &copy)
        .iter()
        .map(|payload| {
            serde_json::from_slice::<serde_json::Value>(payload).unwrap()["id"].as_u64().unwrap()
        })
        .collect();
    assert_eq!(ids, [0, 1, 2, 4, 5]);
    assert_eq!(project.count("SELECT count() FROM {db}.logs"), 6, "the table takes it");
    let letter = project.sql(
        "SELECT kafka_offset, sink, reason, hex(raw) FROM {db}.logmon_dead_letters FORMAT TSV",
    );
    assert_eq!(letter, format!("3\tcopy\ttoo_large\t{}\n", hex(&event(3))));
    assert!(engine.terminate().success(), "{}", engine.log());
}
