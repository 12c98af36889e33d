//! Bad records on real servers: what becomes of them, and that nothing of what they hold is lost or believed.

use std::fmt::Write as _;

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
