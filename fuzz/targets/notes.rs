//! Any bytes beside a committed offset: never a panic, and what is read as a note is written back the same.
#![no_main]

#[allow(dead_code, reason = "the engine uses more of it")]
#[path = "../../engine/src/delivery"]
mod delivery {
    pub mod intent;
    pub mod range;
}

use delivery::intent::Note;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(note) = Note::decode(bytes) {
        let again = note.encode().expect("what was read is short enough to be written");
        assert_eq!(Note::decode(again.as_bytes()), Ok(note));
    }
});
