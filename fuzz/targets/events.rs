//! Any bytes as events: what is an event is what `serde_json` takes for an object, with one decoder's memory kept all the while.
#![no_main]

#[allow(dead_code, unused_imports, reason = "the engine uses more of it")]
#[path = "../../engine/src"]
mod engine {
    pub mod decode;
}

use std::{cell::RefCell, sync::Arc};

use engine::decode::{Decoder, Limits};
use libfuzzer_sys::fuzz_target;
use logmon_dsl::column::{Batch, Layout, batch::Payload};

thread_local! {
    static DECODER: RefCell<Decoder> = RefCell::new(Decoder::new(Arc::new(layout())));
}

fn layout() -> Layout {
    let mut layout = Layout::new();
    let paths: [&[&str]; 6] =
        [&["timestamp"], &["message"], &["http", "status"], &["http", "path"], &["a"], &["b", "c"]];
    for path in paths {
        layout.add(path);
    }
    layout
}

fuzz_target!(|bytes: &[u8]| {
    DECODER.with_borrow_mut(|decoder| {
        let mut batch = Batch::default();
        let mut payloads = Vec::new();
        // Lines are events of one batch: each is the foreign bytes behind the one before it.
        for line in bytes.split(|byte| *byte == b'\n') {
            let offset = batch.arena.push(line) as u32;
            payloads.push(Payload { offset, len: line.len() as u32, null: false });
        }
        batch.arena.pad();
        let decoded = decoder.decode(&mut batch, &payloads, &Limits::default());
        assert_eq!(decoded.kept.len() + decoded.rejected.len(), payloads.len());
        let taken = |line: &[u8]| serde_json::from_slice::<serde_json::Value>(line).is_ok_and(|it| it.is_object());
        let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
        for row in &decoded.kept {
            let line = lines[*row as usize];
            // A key that serde_json keeps for itself, and takes for an order of its own.
            if memchr::memmem::find(line, b"$serde_json::private").is_none() {
                assert!(taken(line), "taken, and serde_json refuses it");
            }
        }
        decoder.recycle(&mut batch);
    });
});
