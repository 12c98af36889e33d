//! What an answer of the server means: status, headers, and a body that may be cut, endless, or an error that came after a "200".
//!
//! Invariant: pure, and only a whole answer without any sign of an exception counts as success.

use std::borrow::Cow;

/// How an answer's body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// As the protocol says it should.
    Whole,
    /// The connection broke before.
    Broken,
    /// It went on past what we are willing to read.
    Endless,
}

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Rows were sent: an answer to that has no body.
    Insert,
    /// Something was queried: the body is the answer.
    Query,
}

/// An answer, as far as it was read.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The header `X-ClickHouse-Exception-Code`.
    pub code: Option<&'a [u8]>,
    /// The header `X-ClickHouse-Exception-Tag`: what fences an exception in a body.
    pub tag: Option<&'a [u8]>,
    /// The body.
    pub body: &'a [u8],
    /// How it ended.
    pub end: End,
}

/// What it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// It was done.
    Good,
    /// The server says by number what went wrong.
    Error {
        /// ClickHouse's number.
        code: u32,
        /// What else it says.
        words: Cow<'a, str>,
    },
    /// Not a word of ClickHouse's, but a status that is no success.
    Status(Cow<'a, str>),
    /// Nobody can tell whether it was done.
    Unsure(&'static str),
}

/// What the header of an exception looks like in a body that began as a success.
const FENCE: &[u8] = b"__exception__";
/// Between the number and the words of an exception.
const DB: &str = "DB::Exception";
/// How far into a body an exception's first line may begin.
const LOOK_MAX: usize = 16 << 10;

/// Judges an answer.
pub fn judge<'a>(reply: &Reply<'a>, asked: Asked) -> Verdict<'a> {
    let words = || String::from_utf8_lossy(reply.body);
    // The header counts next to any status: a server that times out while it reads a body says it in no other way.
    let header = reply.code.map(<[u8]>::trim_ascii).filter(|text| !text.is_empty());
    match header.map(number) {
        Some(Some(0)) | None => {}
        Some(Some(code)) => return Verdict::Error { code, words: words() },
        Some(None) => return Verdict::Unsure("the header with the exception's number holds none"),
    }
    if !(200..300).contains(&reply.status) {
        return match exception(reply.body) {
            Some(code) => Verdict::Error { code, words: words() },
            None => Verdict::Status(words()),
        };
    }
    if let Some(inside) = fenced(reply.body, reply.tag) {
        let words = String::from_utf8_lossy(inside);
        return match exception(inside) {
            Some(code) => Verdict::Error { code, words },
            None => Verdict::Unsure("the answer ends with an exception that has no number"),
        };
    }
    if asked == Asked::Insert
        && let Some(code) = exception(reply.body)
    {
        return Verdict::Error { code, words: words() };
    }
    match reply.end {
        End::Broken => Verdict::Unsure("the answer broke off"),
        End::Endless => Verdict::Unsure("the server answers without end"),
        End::Whole if asked == Asked::Insert && !reply.body.trim_ascii().is_empty() => {
            Verdict::Unsure("the server answers an insert with a text")
        }
        End::Whole => Verdict::Good,
    }
}

fn number(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The number of the first exception in a text: `Code: 60. DB::Exception: …`.
fn exception(body: &[u8]) -> Option<u32> {
    let head = &body[..body.len().min(LOOK_MAX)];
    let text = String::from_utf8_lossy(head);
    text.match_indices("Code: ").find_map(|(at, mark)| {
        let (digits, rest) = text[at + mark.len()..].split_once('.')?;
        let code = digits.parse().ok().filter(|&code| code != 0)?;
        rest.trim_start().starts_with(DB).then_some(code)
    })
}

/// What stands inside the fence that a server puts around an exception at the end of a body.
fn fenced<'a>(body: &'a [u8], tag: Option<&[u8]>) -> Option<&'a [u8]> {
    let tag = tag?.trim_ascii();
    if tag.is_empty() {
        return None;
    }
    let mut open = FENCE.to_vec();
    open.extend_from_slice(b"\r\n");
    open.extend_from_slice(tag);
    let at = memchr::memmem::rfind(body, &open)?;
    Some(body[at + open.len()..].trim_ascii_start())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SAID: &str =
        "Code: 60. DB::Exception: Table a.b does not exist. (UNKNOWN_TABLE) (version 26.7)\n";

    fn reply(status: u16, body: &str) -> Reply<'_> {
        Reply { status, code: None, tag: None, body: body.as_bytes(), end: End::Whole }
    }

    fn code(verdict: &Verdict<'_>) -> u32 {
        match verdict {
            Verdict::Error { code, .. } => *code,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn success_is_a_whole_answer_without_a_word() {
        assert_eq!(judge(&reply(200, ""), Asked::Insert), Verdict::Good);
        assert_eq!(judge(&reply(200, "\n"), Asked::Insert), Verdict::Good);
        assert_eq!(judge(&reply(200, "1\n"), Asked::Query), Verdict::Good);
        let text = "a row that quotes Code: 60. DB::Exception: is a row\n";
        assert_eq!(judge(&reply(200, text), Asked::Query), Verdict::Good);
    }

    #[test]
    fn a_success_may_still_be_none() {
        let header = Reply { code: Some(b" 159"), ..reply(200, "") };
        assert_eq!(code(&judge(&header, Asked::Insert)), 159);
        let none = Reply { code: Some(b"0"), ..reply(200, "") };
        assert_eq!(judge(&none, Asked::Insert), Verdict::Good);
        let strange = Reply { code: Some(b"x"), ..reply(200, "") };
        assert!(matches!(judge(&strange, Asked::Insert), Verdict::Unsure(_)));
        assert_eq!(code(&judge(&reply(200, SAID), Asked::Insert)), 60);
        let late = format!("0\n0\n\r\n__exception__\r\nabc\r\n{SAID}80 abc\r\n__exception__\r\n");
        let late = Reply { tag: Some(b"abc"), ..reply(200, &late) };
        assert_eq!(code(&judge(&late, Asked::Query)), 60);
        let other = Reply { tag: Some(b"xyz"), ..late };
        assert_eq!(judge(&other, Asked::Query), Verdict::Good, "somebody else's fence");
        assert!(matches!(judge(&reply(200, "hello"), Asked::Insert), Verdict::Unsure(_)));
        for end in [End::Broken, End::Endless] {
            let cut = Reply { end, ..reply(200, "") };
            assert!(matches!(judge(&cut, Asked::Insert), Verdict::Unsure(_)));
        }
    }

    #[test]
    fn a_refusal_is_read_by_header_then_by_words() {
        assert_eq!(code(&judge(&reply(404, SAID), Asked::Insert)), 60);
        let both = Reply { code: Some(b"241"), ..reply(500, SAID) };
        assert_eq!(code(&judge(&both, Asked::Insert)), 241);
        let endless = Reply { end: End::Endless, ..reply(500, SAID) };
        assert_eq!(code(&judge(&endless, Asked::Insert)), 60);
        let proxy = judge(&reply(502, "<html>Bad gateway</html>"), Asked::Insert);
        assert_eq!(proxy, Verdict::Status("<html>Bad gateway</html>".into()));
        assert!(matches!(judge(&reply(301, ""), Asked::Insert), Verdict::Status(_)));
    }

    fn bodies() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(SAID.as_bytes().to_vec()),
            Just(b"__exception__\r\ntag\r\n".to_vec()),
            Just(b"Code: ".to_vec()),
            Just(b"99999999999. DB::Exception".to_vec()),
            prop::collection::vec(any::<u8>(), 0..20),
        ];
        prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        /// Whatever comes: no panic, and success only for a whole answer with status 2xx, no number in the header, and, to an insert, no word.
        #[test]
        fn only_a_clean_answer_is_good(
            status in 100_u16..600,
            header in prop::option::of(prop_oneof![
                "[0-9]{1,12}".prop_map(String::into_bytes),
                prop::collection::vec(any::<u8>(), 0..6),
            ]),
            tagged in any::<bool>(),
            body in bodies(),
            end in prop::sample::select(vec![End::Whole, End::Broken, End::Endless]),
            insert in any::<bool>(),
        ) {
            let asked = if insert { Asked::Insert } else { Asked::Query };
            let tag = tagged.then_some(b"tag".as_slice());
            let reply = Reply { status, code: header.as_deref(), tag, body: &body, end };
            let verdict = judge(&reply, asked);
            if verdict == Verdict::Good {
                prop_assert!((200..300).contains(&status) && end == End::Whole);
                let silent = |text: &[u8]| text.trim_ascii().is_empty() || text.trim_ascii().iter().all(|&digit| digit == b'0');
                prop_assert!(header.as_deref().is_none_or(silent));
                prop_assert!(!insert || body.trim_ascii().is_empty());
            }
            if let Verdict::Error { code, .. } = verdict {
                prop_assert!(code != 0);
            }
        }

        /// Cutting an answer short never makes a success out of a failure.
        #[test]
        fn a_cut_answer_is_never_better(body in bodies(), at in any::<prop::sample::Index>(), status in prop::sample::select(vec![200_u16, 404, 500])) {
            let cut = &body[..at.index(body.len() + 1)];
            let reply = Reply { status, code: None, tag: None, body: cut, end: End::Broken };
            prop_assert_ne!(judge(&reply, Asked::Insert), Verdict::Good);
        }
    }
}
