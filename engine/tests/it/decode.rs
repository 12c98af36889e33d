//! The decoder held to `serde_json`: what it accepts, what it reads, and that memory changes neither.

mod bad;
mod fuzz;
mod reference;
mod reject;
mod standard;
mod suite;

#[path = "../../../benches/src/events.rs"]
#[expect(
    unreachable_pub,
    dead_code,
    reason = "the benches' own file, which offers more than is used here"
)]
mod events;

use std::sync::Arc;

use logmon_dsl::column::batch::Payload;
use logmon_dsl::column::{Batch, Layout, View};
use logmon_engine::decode::{Decoded, Decoder, Limits};

use self::reference::{Content, content};

/// A decoder with its memory, and a batch that is used again and again.
struct Bench {
    decoder: Decoder,
    layout: Arc<Layout>,
    batch: Batch,
    limits: Limits,
}

impl Bench {
    fn new(layout: Layout) -> Self {
        let layout = Arc::new(layout);
        let (decoder, batch) = (Decoder::new(layout.clone()), Batch::new(&layout));
        Self { decoder, layout, batch, limits: Limits::default() }
    }

    /// Decodes payloads that stand one behind the other, with `between` after each.
    fn decode(&mut self, payloads: &[&[u8]], between: &[u8]) -> Decoded {
        self.decoder.recycle(&mut self.batch);
        self.batch.reset(&self.layout);
        let places: Vec<Payload> = payloads
            .iter()
            .map(|payload| {
                let offset = self.batch.arena.push(payload) as u32;
                self.batch.arena.push(between);
                Payload { offset, len: payload.len() as u32, null: false }
            })
            .collect();
        self.batch.arena.pad();
        self.decoder.decode(&mut self.batch, &places, &self.limits)
    }

    /// What a row holds.
    fn row(&self, row: usize) -> Content {
        content(&self.batch, self.decoder.names(), row)
    }

    /// Decodes one event and shows it: `.path=value` for fields, then `name=value` for attributes.
    #[track_caller]
    fn show(&mut self, event: &str) -> String {
        let decoded = self.decode(&[event.as_bytes()], b"");
        assert_eq!(decoded.kept, [0], "{event}: {:?}", decoded.rejected);
        let content = self.row(0);
        let mut shown = Vec::new();
        for (node, value) in &content.fields {
            shown.push(format!("{}={value}", self.layout.display(*node)));
        }
        for ((anchor, keys), value) in &content.rest {
            shown.push(format!("{}:{}={value}", self.layout.display(*anchor), keys.join("/")));
        }
        shown.join(" ")
    }
}

/// `.a .b.c .labels` (spread) `.whole` (a leaf that often is an object) and what the generated events have.
fn layout() -> Layout {
    let mut layout = Layout::new();
    let paths: [&[&str]; 12] = [
        &["timestamp"],
        &["severity"],
        &["message"],
        &["http", "status"],
        &["http", "path"],
        &["cache", "hit"],
        &["user"],
        &["ids"],
        &["a"],
        &["b", "c"],
        &["b", "d", "e"],
        &["whole"],
    ];
    for path in paths {
        layout.add(path);
    }
    let labels = layout.add(&["labels"]);
    layout.spread(labels);
    layout
}

#[test]
fn values_stay_as_they_were_written() {
    let mut bench = Bench::new(layout());
    let shown = bench.show(
        r#" {"a" : 1.50 , "whole":{ "x": [1, 2] },"n":"caf\u00e9","t":true,"z":null,"l":[ ]} "#,
    );
    assert_eq!(
        shown,
        r#".a=1.50 .whole={ "x": [1, 2] } .:l=[ ] .:n="caf\u00e9" .:t=true .:z=null"#
    );
}

#[test]
fn known_objects_are_taken_apart() {
    let mut bench = Bench::new(layout());
    let shown = bench
        .show(r#"{"b":{"c":1,"d":{"e":"x","f":{"g":[{}],"h":{}}},"i":2},"labels":{"x":{"y":1}}}"#);
    assert_eq!(
        shown,
        ".b=spread .b.c=1 .b.d=spread .b.d.e=\"x\" .labels=spread \
         .b:i=2 .b.d:f/g=[{}] .b.d:f/h={} .labels:x/y=1"
    );
    // Another value at a place that usually holds an object is that path's own.
    assert_eq!(bench.show(r#"{"b":7,"labels":"x"}"#), ".b=7 .labels=\"x\"");
    assert_eq!(bench.show(r#"{"b":{},"labels":{ },"x":{ }}"#), ".b=spread .labels=spread .:x={ }");
    assert_eq!(bench.show("{}"), "");
}

#[test]
fn of_keys_that_stand_twice_the_last_wins() {
    let mut bench = Bench::new(layout());
    for (event, shown) in [
        (r#"{"a":1,"a":2}"#, ".a=2"),
        (r#"{"a":1,"a":null}"#, ".a=null"),
        (r#"{"x":1,"y":2,"x":3}"#, ".:x=3 .:y=2"),
        (r#"{"x":1,"\u0078":{"y":2}}"#, ".:x/y=2"),
        (r#"{"x":{"y":2,"z":3},"x":{"y":4}}"#, ".:x/y=4"),
        (r#"{"x":{"y":2},"x":{}}"#, ".:x={}"),
        (r#"{"x":{"y":2},"x":null}"#, ".:x=null"),
        (r#"{"b":{"c":1,"i":2},"b":{"c":3}}"#, ".b=spread .b.c=3"),
        (r#"{"b":{"c":1,"i":2},"b":5}"#, ".b=5"),
        (
            r#"{"b":{"d":{"e":1,"f":{"g":1}}},"b":{"d":{"e":null}}}"#,
            ".b=spread .b.d=spread .b.d.e=null",
        ),
        (r#"{"b":5,"b":{"i":{"j":1,"j":2}}}"#, ".b=spread .b:i/j=2"),
        (r#"{"whole":{"x":1},"whole":{"y":1,"y":2}}"#, r#".whole={"y":1,"y":2}"#),
        // The same key at another place is another key.
        (r#"{"x":{"y":1},"y":{"x":2},"z":{"y":3}}"#, ".:x/y=1 .:y/x=2 .:z/y=3"),
    ] {
        assert_eq!(bench.show(event), shown, "{event}");
        // And again, now that the keys are expected.
        assert_eq!(bench.show(event), shown, "{event}");
    }
}

#[test]
fn keys_are_compared_without_their_escapes() {
    let mut bench = Bench::new(layout());
    let dotted =
        bench.show(r#"{"b.c":1,"b":{"c":2},"":3,"\u0061":4,"q\"":5,"back\\":6,"nul\u0000":7}"#);
    assert_eq!(dotted, ".a=4 .b=spread .b.c=2 .:=3 .:b.c=1 .:back\\=6 .:nul\0=7 .:q\"=5");
    // Longer than a block, and exactly as long as one with its quote.
    for length in [30, 31, 32, 33, 64, 300] {
        let key = "k".repeat(length);
        let event = format!(r#"{{"{key}":1,"{key}x":2,"a":3}}"#);
        assert_eq!(bench.show(&event), format!(".a=3 .:{key}=1 .:{key}x=2"));
        assert_eq!(bench.show(&event), format!(".a=3 .:{key}=1 .:{key}x=2"));
    }
}

#[test]
fn an_unknown_object_with_a_very_long_path_stays_whole() {
    let mut bench = Bench::new(layout());
    let key = "k".repeat(256);
    let shown = bench.show(&format!(r#"{{"{key}":{{"x":{{"y":1}}}},"b":{{"{key}":{{"x":1}}}}}}"#));
    assert_eq!(shown, format!(r#".b=spread .:{key}={{"x":{{"y":1}}}} .b:{key}={{"x":1}}"#));
    let key = "k".repeat(255);
    let shown = bench.show(&format!(r#"{{"{key}":{{"x":{{"y":1}}}}}}"#));
    assert_eq!(shown, format!(r#".:{key}/x={{"y":1}}"#));
    // Sixteen keys above an attribute are enough, known ones counted.
    let deep = |levels: usize| format!("{}1{}", r#"{"k":"#.repeat(levels), "}".repeat(levels));
    let names = |count: usize| vec!["k"; count].join("/");
    assert_eq!(bench.show(&deep(17)), format!(".:{}=1", names(17)));
    assert_eq!(bench.show(&deep(18)), format!(".:{}={}", names(17), deep(1)));
    let shown = bench.show(&format!(r#"{{"b":{}}}"#, deep(18)));
    assert_eq!(shown, format!(".b=spread .b:{}={}", names(16), deep(2)));
}

#[test]
fn a_broken_event_does_not_spoil_good_ones() {
    // The quote is escaped, so this key is `message": `, whose text is how every good event starts.
    let mut bench = Bench::new(layout());
    bench.decode(&[br#"{"message\": ":1}"#, br#"{"message\": "#, br#"{"message\": 1"#], b"");
    for _ in 0..3 {
        assert_eq!(bench.show(r#"{"message": "x", "a": 1}"#), ".message=\"x\" .a=1");
    }
}

#[test]
fn a_path_that_no_accepted_event_has_stays_empty() {
    let mut bench = Bench::new(layout());
    let decoded =
        bench.decode(&[br#"{"a":1}"#, br#"{"user":1,"message":"m""#, br#"{"ids":2}"#], b"");
    assert_eq!(decoded.kept, [0, 2]);
    let present: Vec<_> = bench
        .layout
        .nodes()
        .filter(|(node, _)| !bench.batch.field(*node).is_empty())
        .map(|(node, _)| bench.layout.display(node))
        .collect();
    assert_eq!(present, [".ids", ".a"]);
    for (node, _) in bench.layout.nodes() {
        let raw = &bench.batch.field(node).raw;
        assert!(raw.as_ref().is_none_or(|raw| raw.len() == 2));
    }
    let ids = bench.layout.find(&["ids"]).unwrap();
    assert_eq!(bench.batch.field(ids).raw.as_ref().unwrap()[0], View::MISSING);
}

#[test]
fn columns_that_somebody_still_holds_are_not_reused() {
    let mut bench = Bench::new(layout());
    bench.show(r#"{"a":"first"}"#);
    let a = bench.layout.find(&["a"]).unwrap();
    let held = bench.batch.field(a).raw.clone().unwrap();
    let before = held.clone();
    bench.show(r#"{"a":"another","user":2}"#);
    assert_eq!(held, before);
    assert_ne!(bench.batch.field(a).raw.as_ref().unwrap()[0], held[0]);
}

#[test]
fn too_many_names_start_the_memory_afresh() {
    let mut bench = Bench::new(layout());
    let generation = bench.decoder.names().generation;
    let mut restarts = 0;
    for round in 0..60 {
        let members: Vec<String> =
            (0..1000).map(|n| format!(r#""k{}":{n}"#, round * 1000 + n)).collect();
        let event = format!(r#"{{"a":{round},{}}}"#, members.join(","));
        let shown = bench.show(&event);
        assert!(shown.starts_with(&format!(".a={round} ")));
        assert_eq!(bench.batch.rest.of(0).len(), 1000);
        restarts = bench.decoder.names().generation - generation;
        assert!(bench.decoder.names().len() < 18_000);
    }
    assert_eq!(restarts, 3);
    // Long keys do the same by their bytes.
    for round in 0..20 {
        let event = format!(r#"{{"{round}{}":1}}"#, "k".repeat(500_000));
        bench.show(&event);
    }
    assert!(bench.decoder.names().generation - generation > 3);
    // And so does whoever restarts the names.
    bench.decoder.names_mut().restart();
    assert_eq!(bench.show(r#"{"a":1,"x":{"y":2}}"#), ".a=1 .:x/y=2");
    assert_eq!(bench.decoder.names().len(), 1);
}
