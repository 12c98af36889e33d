//! The Docker files fit the engine: what linters cannot know.
//!
//! `UPDATE_EXPECT=1 cargo test` writes `docker/tables.sql` anew.

use std::{cell::RefCell, collections::BTreeSet, fs, path::Path};

use expect_test::expect_file;
use logmon_dsl::program::{self, Mode, Reader};
use logmon_engine::{
    config::{Config, Topics},
    sink::clickhouse::ddl,
};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn file(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect("a file of the checkout")
}

struct Files;

impl Reader for Files {
    fn read(&self, path: &Path) -> Result<String, String> {
        fs::read_to_string(path).map_err(|error| error.to_string())
    }
}

/// What stands behind a word at the start of a line, dashes and blanks in front of it left out.
fn after<'a>(text: &'a str, word: &str) -> Vec<&'a str> {
    text.lines()
        .filter_map(|line| line.trim_start_matches([' ', '-']).strip_prefix(word))
        .map(str::trim)
        .collect()
}

#[test]
fn tables_are_those_that_the_engine_recommends() {
    let errors = ddl::LOGS.replacen("EXISTS logs (", "EXISTS errors (", 1);
    let text = format!(
        "-- The tables that rules/prod.rules writes to. They need ClickHouse 26.2 or newer, for their text indexes.\n\n{};\n\n{errors};\n\n{};\n",
        ddl::LOGS,
        ddl::DEAD_LETTERS
    );
    expect_file!["../../../docker/tables.sql"].assert_eq(&text);
}

#[test]
fn the_configuration_binds_what_the_rules_name() {
    let compose = file("docker/compose.yaml");
    let path = root().join("docker/logmon.toml");
    let asked = RefCell::new(BTreeSet::new());
    let environment = |name: &str| {
        asked.borrow_mut().insert(name.to_owned());
        Some(if name == "CLICKHOUSE_URL" {
            "http://clickhouse:8123".to_owned()
        } else {
            "kafka:9092".to_owned()
        })
    };
    let config = Config::parse(&file("docker/logmon.toml"), &path, &environment)
        .expect("the configuration is right");
    for name in asked.borrow().iter() {
        assert!(!after(&compose, &format!("{name}:")).is_empty(), "compose.yaml sets no {name}");
    }
    let program = program::compile(&root().join("rules/prod.rules"), &Files, Mode::Run)
        .program
        .expect("our rules compile");
    for source in &program.plan.sources {
        let settings = config.sources.get(&source.name).expect("every source is bound");
        let Topics::Names(topics) = &settings.topics else { panic!("topics are named") };
        for topic in topics {
            assert!(after(&compose, topic).contains(&""), "compose.yaml makes no topic {topic}");
        }
    }
    assert!(
        program.plan.sinks.iter().all(|sink| config.sinks.contains_key(&sink.name)),
        "every sink is bound"
    );
    assert!(
        program.plan.lookups.iter().all(|lookup| config.lookups.contains_key(&lookup.name)),
        "every lookup is bound"
    );
    assert!(config.dead_letter.is_some());
}

#[test]
fn what_is_mounted_or_copied_is_there() {
    for volume in after(&file("docker/compose.yaml"), ".") {
        let Some((host, _)) = volume.split_once(":/") else { continue };
        // The dot was taken off with the word.
        let host = root().join("docker").join(format!(".{host}"));
        assert!(host.exists(), "compose.yaml mounts {}, which does not exist", host.display());
    }
    let dockerfile = file("docker/Dockerfile");
    for copy in after(&dockerfile, "COPY ").into_iter().filter(|copy| !copy.starts_with("--from")) {
        let from = copy.split_whitespace().next().expect("COPY names a source");
        assert!(root().join(from).exists(), "the Dockerfile copies {from}, which does not exist");
    }
    assert!(dockerfile.contains("--package logmon-engine"));
}

#[test]
fn images_are_pinned_and_ports_stay_on_this_machine() {
    let (compose, dockerfile) = (file("docker/compose.yaml"), file("docker/Dockerfile"));
    let images = after(&compose, "image:").into_iter().chain(after(&dockerfile, "FROM "));
    for image in images {
        let name = image.split_whitespace().next().expect("an image has a name");
        let tag = name.rsplit_once(':').map(|(_, tag)| tag);
        assert!(tag.is_some_and(|tag| tag != "latest"), "{name} has no tag of its own");
    }
    let (_, ports) = compose.split_once("ports:").expect("ClickHouse can be asked");
    assert!(ports.trim_start().starts_with("- \"127.0.0.1:"), "ports bind to loopback");
    assert_eq!(
        compose.matches("ports:").count(),
        1,
        "one service has ports; look at this test when another gains some"
    );
    assert_eq!(compose.matches("healthcheck:").count(), 2, "Kafka and ClickHouse are waited for");
}

#[test]
fn the_image_builds_with_the_pinned_toolchain() {
    let channel = file("rust-toolchain.toml");
    let channel = channel.split('"').nth(1).expect("a channel");
    let (minor, _) = channel.rsplit_once('.').expect("major, minor, patch");
    assert!(
        file("docker/Dockerfile").contains(&format!("FROM rust:{minor}-")),
        "the Dockerfile builds with Rust {minor}"
    );
}
