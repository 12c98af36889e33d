//! Any answer to an insert: never a panic, and success only without any sign of an exception.
#![no_main]

#[allow(dead_code, reason = "the engine uses more of it")]
#[path = "../../engine/src/sink/clickhouse/reply.rs"]
mod reply;

use libfuzzer_sys::fuzz_target;
use reply::{Asked, End, Reply, Verdict, judge};

fuzz_target!(|input: (u16, Option<&[u8]>, Option<&[u8]>, u8, bool, &[u8])| {
    let (status, code, tag, end, insert, body) = input;
    let end = [End::Whole, End::Broken, End::Endless][usize::from(end) % 3];
    let asked = if insert { Asked::Insert } else { Asked::Query };
    let reply = Reply { status, code, tag, body, end };
    if judge(&reply, asked) == Verdict::Good {
        assert!((200..300).contains(&status), "{status} is no success");
        assert_eq!(end, End::Whole, "a part of an answer is no success");
        let header = code.map(<[u8]>::trim_ascii).filter(|code| !code.is_empty());
        let number = |code: &[u8]| std::str::from_utf8(code).ok().and_then(|it| it.parse::<u64>().ok());
        assert!(header.is_none_or(|code| number(code) == Some(0)), "an exception in the header");
    }
});
