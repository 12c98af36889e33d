//! What others do to the group and the topic: records that are gone, a topic made anew, words in the offsets that are not ours.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
};

use super::{
    oracle::{Promise, clean, judge},
    seed::Dice,
    stage::Stage,
};
use crate::e2e::{SERVERS, project::create_topic, wait_for};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn admin() -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", SERVERS.kafka.brokers()).create().unwrap()
}

/// Commits an offset for the group as a tool would, while no member is there; the text is passed on byte by byte (`OffsetCommit`, version 2).
fn commit(stage: &Stage<'_>, partition: i32, offset: i64, metadata: &[u8]) -> i16 {
    let text = |bytes: &mut Vec<u8>, text: &[u8]| {
        bytes.extend((text.len() as u16).to_be_bytes());
        bytes.extend(text);
    };
    let mut request = Vec::new();
    request.extend(8_i16.to_be_bytes());
    request.extend(2_i16.to_be_bytes());
    request.extend(7_i32.to_be_bytes());
    text(&mut request, b"somebody");
    text(&mut request, stage.group.as_bytes());
    request.extend((-1_i32).to_be_bytes());
    text(&mut request, b"");
    request.extend((-1_i64).to_be_bytes());
    request.extend(1_i32.to_be_bytes());
    text(&mut request, stage.topic.as_bytes());
    request.extend(1_i32.to_be_bytes());
    request.extend(partition.to_be_bytes());
    request.extend(offset.to_be_bytes());
    text(&mut request, metadata);
    let mut stream = TcpStream::connect(&stage.brokers).unwrap();
    stream.write_all(&(request.len() as u32).to_be_bytes()).unwrap();
    stream.write_all(&request).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer).unwrap();
    // The error of the only partition is the last thing in the answer.
    i16::from_be_bytes([answer[answer.len() - 2], answer[answer.len() - 1]])
}

/// Words that others left in the offsets, or that time bit.
fn foreign(dice: &mut Dice) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = [
        "",
        "some other tool was here",
        "sf=",
        "sf=-1",
        "sf=99999999999999999999",
        "1|0|0|0|0|0|x|00000000",
        "lm1/",
        "\u{0}\u{0}\u{0}",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    all.push(vec![b'x'; 4_096]);
    all.push(vec![0xff, 0xfe, 0x00, 0x80]);
    for _ in 0..8 {
        let length = dice.number(1..3_000);
        all.push((0..length).map(|_| dice.next() as u8).collect());
    }
    all
}

#[test]
fn f17_words_in_the_offsets_that_are_not_ours() {
    let mut dice = Dice::of("f17");
    let words = foreign(&mut dice);
    let stage = Stage::new("f17", SERVERS.kafka.brokers(), &SERVERS.clickhouse, words.len() as u64);
    let setup = stage.plain();
    stage.configure(&setup);
    let mut feed = stage.feed();
    let per_partition = 40;
    feed.send(words.len() as u64 * per_partition);
    let events = feed.flush();
    for (partition, metadata) in words.iter().enumerate() {
        let code = commit(&stage, partition as i32, 0, metadata);
        assert_eq!(code, 0, "the broker takes {} bytes", metadata.len());
    }
    let mut engine = stage.engine("engine");
    stage.settle(events, 60);
    clean(&engine, setup.memory);
    assert!(engine.terminate().success(), "{}", engine.log());
    let verdict = judge(&stage, events);
    eprintln!("f17: {verdict:?}");
    verdict.holds(Promise::Once);
}

#[test]
fn f16_records_that_are_gone_are_named_exactly() {
    let _dice = Dice::of("f16");
    let stage = Stage::new("f16", SERVERS.kafka.brokers(), &SERVERS.clickhouse, 2);
    stage.configure(&stage.plain());
    let mut feed = stage.feed();
    feed.send(4_000);
    feed.flush();
    let mut engine = stage.engine("first");
    stage.settle(4_000, 60);
    assert!(engine.terminate().success(), "{}", engine.log());

    // Two thousand a partition were read. Of what comes now, retention takes the first five hundred of one partition.
    feed.send(4_000);
    let events = feed.flush();
    let mut gone = TopicPartitionList::new();
    gone.add_partition_offset(&stage.topic, 1, Offset::Offset(2_500)).unwrap();
    runtime().block_on(admin().delete_records(&gone, &AdminOptions::new())).unwrap();
    let mut engine = stage.engine("second");
    let ids = "SELECT uniqExact(kafka_partition, kafka_offset) FROM {db}.logs";
    let home: u64 = (0..events).filter(|id| !matches!(id % 100, 0..15 | 21..27)).count() as u64;
    let lost: u64 =
        (2_000..2_500).filter(|at| !matches!((at * 2 + 1) % 100, 0..15 | 21..27)).count() as u64;
    wait_for("the rest arrives", 60, || stage.ask(ids) == Some(home - lost));
    let log = engine.log();
    let said = log.lines().find(|line| line.contains("no longer holds")).unwrap_or_default();
    assert!(said.contains("from=2000") && said.contains("to=2500"), "{said}\n{log}");
    assert!(engine.terminate().success());
    let verdict = judge(&stage, events);
    assert_eq!((verdict.repeated, verdict.strange), (0, 0), "{verdict:?}");
}

#[test]
fn f16_a_topic_made_anew_is_read_whole() {
    let _dice = Dice::of("f16_anew");
    let stage = Stage::new("f16_anew", SERVERS.kafka.brokers(), &SERVERS.clickhouse, 2);
    stage.configure(&stage.plain());
    let mut feed = stage.feed();
    feed.send(3_000);
    feed.flush();
    let mut engine = stage.engine("first");
    stage.settle(3_000, 60);
    assert!(engine.terminate().success(), "{}", engine.log());

    let deleted = runtime().block_on(admin().delete_topics(&[&stage.topic], &AdminOptions::new()));
    assert!(deleted.unwrap().iter().all(Result::is_ok));
    stage.sql("TRUNCATE TABLE {db}.logs");
    stage.sql("TRUNCATE TABLE {db}.errors");
    stage.sql("TRUNCATE TABLE {db}.dead_letters");
    create_topic(&stage.brokers, &stage.topic, 2);
    let mut feed = stage.feed();
    feed.send(2_000);
    let events = feed.flush();
    let mut engine = stage.engine("second");
    stage.settle(events, 60);
    assert!(engine.terminate().success(), "{}", engine.log());
    let verdict = judge(&stage, events);
    eprintln!("f16_anew: {verdict:?}");
    verdict.holds(Promise::Once);
}

/// Somebody sets the group back on purpose: what is read again is a second copy on purpose, and everything is there.
#[test]
fn f16_offsets_that_were_set_back_are_read_again() {
    let _dice = Dice::of("f16_back");
    let stage = Stage::new("f16_back", SERVERS.kafka.brokers(), &SERVERS.clickhouse, 2);
    stage.configure(&stage.plain());
    let mut feed = stage.feed();
    feed.send(3_000);
    let events = feed.flush();
    let mut engine = stage.engine("first");
    stage.settle(events, 60);
    assert!(engine.terminate().success(), "{}", engine.log());

    let tool: BaseConsumer = stage.asker();
    let mut back = TopicPartitionList::new();
    back.add_partition_offset(&stage.topic, 0, Offset::Offset(100)).unwrap();
    tool.commit(&back, CommitMode::Sync).unwrap();
    stage.sql("TRUNCATE TABLE {db}.logs");
    let mut engine = stage.engine("second");
    // 1,400 events of partition 0 are read again.
    let again: u64 =
        (100..1_500).filter(|at| !matches!((at * 2) % 100, 0..15 | 21..27)).count() as u64;
    wait_for("what was set back is read again", 60, || {
        stage.ask("SELECT uniqExact(kafka_offset) FROM {db}.logs") == Some(again)
    });
    assert!(engine.terminate().success(), "{}", engine.log());
    let least = stage.ask("SELECT min(kafka_offset) FROM {db}.logs");
    assert_eq!(least, Some(108), "the first event from offset 100 on that is not dropped");
}
