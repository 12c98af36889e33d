//! As much of Kafka's protocol as these tests ask for: which cluster, which topics, one more topic.

use std::io::{Read, Write};
use std::net::TcpStream;

/// What a broker says of its cluster.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cluster {
    pub(crate) id: String,
    pub(crate) topics: Vec<String>,
    /// Where clients are sent: the brokers' ports.
    pub(crate) ports: Vec<i32>,
}

/// Asks for the cluster's id and topics (Metadata, version 2).
pub(crate) fn cluster(brokers: &str) -> Cluster {
    // A null list of topics means all.
    let answer = exchange(brokers, 3, 2, &(-1_i32).to_be_bytes());
    let mut reader = Reader(&answer);
    let mut ports = Vec::new();
    for _ in 0..reader.int() {
        reader.int();
        reader.text();
        ports.push(reader.int());
        reader.text();
    }
    let id = reader.text();
    reader.int();
    let mut topics = Vec::new();
    for _ in 0..reader.int() {
        assert_eq!(reader.short(), 0, "a topic in error");
        topics.push(reader.text());
        reader.take(1);
        for _ in 0..reader.int() {
            reader.short();
            reader.int();
            reader.int();
            for _ in 0..2 {
                for _ in 0..reader.int() {
                    reader.int();
                }
            }
        }
    }
    Cluster { id, topics, ports }
}

/// Creates a topic with one partition (`CreateTopics`, version 2).
pub(crate) fn create_topic(brokers: &str, name: &str) {
    let mut body = 1_i32.to_be_bytes().to_vec();
    text(&mut body, name);
    body.extend(1_i32.to_be_bytes());
    body.extend(1_i16.to_be_bytes());
    body.extend([0; 8]);
    body.extend(30_000_i32.to_be_bytes());
    body.push(0);
    let answer = exchange(brokers, 19, 2, &body);
    let mut reader = Reader(&answer);
    reader.int();
    assert_eq!((reader.int(), reader.text().as_str(), reader.short()), (1, name, 0));
}

fn exchange(brokers: &str, key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(brokers).unwrap();
    let mut request = Vec::new();
    request.extend(key.to_be_bytes());
    request.extend(version.to_be_bytes());
    request.extend(7_i32.to_be_bytes());
    text(&mut request, "services-test");
    request.extend(body);
    stream.write_all(&(request.len() as u32).to_be_bytes()).unwrap();
    stream.write_all(&request).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[..4], 7_i32.to_be_bytes(), "an answer to something else");
    answer.split_off(4)
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u16).to_be_bytes());
    bytes.extend(text.as_bytes());
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(n);
        self.0 = rest;
        taken
    }

    fn int(&mut self) -> i32 {
        i32::from_be_bytes(self.take(4).try_into().unwrap())
    }

    fn short(&mut self) -> i16 {
        i16::from_be_bytes(self.take(2).try_into().unwrap())
    }

    /// Null is read as empty.
    fn text(&mut self) -> String {
        let length = self.short().max(0);
        String::from_utf8(self.take(length as usize).to_vec()).unwrap()
    }
}
