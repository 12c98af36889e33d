//! What went over both wires, in order: no insert may leave before the broker has said that it knows the intent.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use logmon_engine::delivery::intent::Note;

use crate::faults::oracle::Promise;

/// A range as both the intent and the token name it: incarnation, first offset, end.
type Named = (u64, i64, i64);

/// Listens to a Kafka proxy and a ClickHouse proxy.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Intents of which the broker said that they are stored.
    stored: BTreeSet<Named>,
    /// Inserts that were sent.
    inserts: u64,
    /// Tokens of inserts that left too early.
    early: Vec<String>,
}

impl Trace {
    /// The notes in a commit's request, in order.
    pub(crate) fn notes(request: &[u8]) -> Vec<Note> {
        let starts = request.windows(4).enumerate().filter(|(_, four)| four == b"lm1;");
        starts
            .filter_map(|(at, _)| {
                let rest = &request[at..];
                let end = rest.iter().position(|byte| !byte.is_ascii_graphic());
                let text = &rest[..end.unwrap_or(rest.len())];
                // What follows in the frame may look like text: the note's own seal says where it ends.
                (4..=text.len()).rev().find_map(|end| Note::decode(&text[..end]).ok())
            })
            .collect()
    }

    /// The broker's answer to a commit with these notes has been passed on.
    pub(crate) fn answered(&self, notes: &[Note], errors: &[i16]) {
        let mut state = self.state();
        for (index, note) in notes.iter().enumerate() {
            // One answer a partition, in the order of the request; where they do not pair up, one that is good is good for all.
            let good =
                if errors.len() == notes.len() { errors[index] == 0 } else { errors.contains(&0) };
            if let (Note::Intent(intent), true) = (note, good) {
                state.stored.insert((intent.inc, intent.range.start, intent.range.end));
            }
        }
    }

    /// An insert is about to be sent.
    pub(crate) fn insert(&self, token: &str) {
        let Some(named) = named(token) else { return };
        let mut state = self.state();
        state.inserts += 1;
        if !state.stored.contains(&named) {
            state.early.push(token.to_owned());
        }
    }

    /// How many inserts named a range; where rows must stand once, asserts that each came after its intent.
    pub(crate) fn in_order_under(&self, promise: Promise) -> u64 {
        let state = self.state();
        if promise == Promise::Once {
            assert!(state.early.is_empty(), "inserts without an intent: {:?}", state.early);
            assert!(state.inserts > 0, "no insert named a range");
        }
        state.inserts
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The range that a token names: `lm1/GROUP/INCARNATION/TOPIC/PARTITION/START-END/…`.
fn named(token: &str) -> Option<Named> {
    let mut parts = token.split('/').skip(2);
    let inc = u64::from_str_radix(parts.next()?, 16).ok()?;
    let (start, end) = parts.nth(2)?.split_once('-')?;
    Some((inc, start.parse().ok()?, end.parse().ok()?))
}

/// The errors in the answer to a commit, one a partition (`OffsetCommit`, version 8 and later); `body` begins behind the number that it repeats.
pub(crate) fn errors(body: &[u8]) -> Vec<i16> {
    let mut wire = Wire(body);
    let mut found = Vec::new();
    // Tags of the head, then how long the broker slows us down.
    wire.skip(1 + 4);
    for _ in 1..wire.number() {
        let name = wire.number();
        wire.skip(name.saturating_sub(1));
        for _ in 1..wire.number() {
            wire.skip(4);
            found.push(i16::from_be_bytes([wire.byte(), wire.byte()]));
            wire.skip(1);
        }
        wire.skip(1);
    }
    found
}

/// Bytes of a frame; behind its end there are zeros.
struct Wire<'a>(&'a [u8]);

impl Wire<'_> {
    fn byte(&mut self) -> u8 {
        let byte = self.0.first().copied().unwrap_or(0);
        self.skip(1);
        byte
    }

    fn skip(&mut self, n: usize) {
        self.0 = self.0.get(n..).unwrap_or_default();
    }

    /// A number in seven bits a byte.
    fn number(&mut self) -> usize {
        let mut number = 0;
        for shift in (0..35).step_by(7) {
            let byte = self.byte();
            number |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        number
    }
}

#[test]
fn an_answer_to_a_commit_is_read() {
    let body =
        [0, 0, 0, 0, 0, 2, 3, b'a', b'b', 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 25, 0, 0, 0];
    assert_eq!(errors(&body), [0, 25]);
    let token = "lm1/g/0000000000000007/logs%2Fapp/3/10-20/01234567/default.logs/09/4.0/a0";
    assert_eq!(named(token), Some((7, 10, 20)));
}
