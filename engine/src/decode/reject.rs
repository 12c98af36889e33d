//! Why a payload is no event, in words.

use std::fmt;

use super::value::Cause;

/// Why a payload is no event.
///
/// Depends on the payload alone, never on its neighbors or on what was learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reject {
    /// The record has no value.
    Tombstone,
    /// The value has no bytes.
    Empty,
    /// More bytes than the limit.
    TooLarge,
    /// The bytes are not UTF-8.
    NotUtf8,
    /// The bytes are not JSON.
    NotJson {
        /// How many bytes are fine.
        at: u32,
        /// What is wrong there.
        what: Box<str>,
    },
    /// JSON, but another value than an object.
    NotObject,
    /// Objects and arrays nest deeper than the limit.
    TooDeep,
    /// More members than the limit, nested ones counted.
    TooManyKeys,
}

impl Reject {
    /// The word for metrics and dead letters.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Tombstone => "tombstone",
            Self::Empty => "empty",
            Self::TooLarge => "too_large",
            Self::NotUtf8 => "not_utf8",
            Self::NotJson { .. } => "not_json",
            Self::NotObject => "not_object",
            Self::TooDeep => "too_deep",
            Self::TooManyKeys => "too_many_keys",
        }
    }

    /// Looks at a refused payload again, in peace.
    #[cold]
    pub(super) fn explain(payload: &[u8], cause: Cause) -> Self {
        // An event that is also broken otherwise is still foremost not text.
        if simdutf8::basic::from_utf8(payload).is_err() {
            return Self::NotUtf8;
        }
        match cause {
            Cause::Deep => return Self::TooDeep,
            Cause::Many => return Self::TooManyKeys,
            Cause::Utf8 => return Self::NotUtf8,
            Cause::Syntax => {}
        }
        match serde_json::from_slice::<serde_json::Value>(payload) {
            Ok(serde_json::Value::Object(_)) => {
                // Never, as far as the fuzz test has seen; the record is kept all the same.
                Self::NotJson { at: 0, what: "not understood".into() }
            }
            Ok(_) => Self::NotObject,
            Err(error) => {
                let full = error.to_string();
                let what = full.rsplit_once(" at line ").map_or(&*full, |(what, _)| what);
                if what == "recursion limit exceeded" {
                    return Self::TooDeep;
                }
                let at = if error.is_eof() {
                    payload.len()
                } else {
                    let lines = payload.split_inclusive(|&byte| byte == b'\n');
                    let before: usize =
                        lines.take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
                    before + error.column().saturating_sub(1)
                };
                Self::NotJson { at: at as u32, what: what.into() }
            }
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tombstone => f.write_str("the record has no value"),
            Self::Empty => f.write_str("the value is empty"),
            Self::TooLarge => f.write_str("the value is larger than the source allows"),
            Self::NotUtf8 => f.write_str("the value is not UTF-8"),
            Self::NotJson { at, what } => write!(f, "the value is not JSON: {what} at byte {at}"),
            Self::NotObject => f.write_str("the value is JSON but not an object"),
            Self::TooDeep => f.write_str("objects and arrays nest too deep"),
            Self::TooManyKeys => f.write_str("the value has too many keys"),
        }
    }
}
