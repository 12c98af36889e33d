//! Single JSON values in padded bytes: strings, numbers, words, and arrays and objects that are kept as text.
//!
//! Invariant: nothing here trusts the bytes. What lies outside the buffer reads as zero, which no JSON text holds, and
//! whether a value reached over its event's end is for the caller to ask.

use super::{
    scan::{BLOCK, Lanes},
    text::escape,
};

/// Why the bytes are no event, as far as the hot path cares; the words for people are found afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// Not JSON, or not an object, or more than one value.
    Syntax,
    /// Objects and arrays nest too deep.
    Deep,
    /// Too many members.
    Many,
    /// A string is not UTF-8.
    Utf8,
}

/// Objects and arrays cannot nest deeper than this, whatever the limits say: one bit a level is kept in a `u128`, and
/// `serde_json` refuses 128 levels too.
pub(super) const DEEPEST: usize = 127;

/// What may still come of one event's structure, and what was seen of its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Where the event ends.
    pub(super) end: usize,
    /// Levels that are allowed.
    pub(super) max_depth: usize,
    /// Members that are still allowed.
    pub(super) members: usize,
    /// Not zero when a string held something that is not ASCII (or when such bytes stood close behind one).
    pub(super) high: u64,
}

/// The byte at a place, zero behind the buffer.
#[inline(always)]
pub(super) fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

/// The block that starts at a place.
#[inline(always)]
pub(super) fn block(bytes: &[u8], at: usize) -> Result<&[u8; BLOCK], Cause> {
    bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(Cause::Syntax)
}

/// Behind white space.
#[inline(always)]
pub(super) fn space(bytes: &[u8], mut at: usize) -> usize {
    // None, and one space, are what producers write; only pretty-printed events go round the loop.
    if byte(bytes, at) > b' ' {
        return at;
    }
    if byte(bytes, at) == b' ' && byte(bytes, at + 1) > b' ' {
        return at + 1;
    }
    while matches!(byte(bytes, at), b' ' | b'\n' | b'\t' | b'\r') {
        at += 1;
    }
    at
}

/// The closing quote of the string that starts at `at` (behind its opening quote), and whether it holds escapes.
#[inline(always)]
pub(super) fn string<L: Lanes>(
    bytes: &[u8],
    mut at: usize,
    bounds: &mut Bounds,
) -> Result<(usize, bool), Cause> {
    let mut escaped = false;
    loop {
        let marks = L::marks(block(bytes, at)?);
        bounds.high |= marks.high;
        if marks.stops == 0 {
            at += BLOCK;
            continue;
        }
        at += marks.stops.trailing_zeros() as usize;
        match byte(bytes, at) {
            b'"' if at < bounds.end => return Ok((at, escaped)),
            b'\\' => {
                escaped = true;
                at = escape(bytes, at).ok_or(Cause::Syntax)?;
            }
            _ => return Err(Cause::Syntax),
        }
    }
}

/// Behind the number that starts at `start`.
///
/// The usual number is short and has no exponent: its digits are found all at once, so that no branch depends on how many.
#[inline(always)]
pub(super) fn number<L: Lanes>(bytes: &[u8], start: usize) -> Result<usize, Cause> {
    let digits = L::digits(block(bytes, start)?);
    let run = |at: usize| (!(digits >> at)).trailing_zeros() as usize;
    let sign = usize::from(byte(bytes, start) == b'-');
    let zero = byte(bytes, start + sign) == b'0';
    let mut at = sign + if zero { 1 } else { run(sign) };
    if at == sign {
        return Err(Cause::Syntax);
    }
    if byte(bytes, start + at) == b'.' && at < BLOCK - 2 {
        let fraction = run(at + 1);
        if fraction == 0 {
            return Err(Cause::Syntax);
        }
        at += 1 + fraction;
    }
    if at >= BLOCK - 2 || byte(bytes, start + at) | 0x20 == b'e' {
        return long_number(bytes, start);
    }
    Ok(start + at)
}

/// The same, digit by digit.
#[inline(never)]
fn long_number(bytes: &[u8], start: usize) -> Result<usize, Cause> {
    let mut at = start + usize::from(byte(bytes, start) == b'-');
    if byte(bytes, at) == b'0' {
        at += 1;
    } else {
        at = digits(bytes, at)?;
    }
    if byte(bytes, at) == b'.' {
        at = digits(bytes, at + 1)?;
    }
    let exponent = byte(bytes, at) | 0x20 == b'e';
    if exponent {
        at += 1;
        at += usize::from(matches!(byte(bytes, at), b'+' | b'-'));
        at = digits(bytes, at)?;
    }
    // Only these can be beyond what 64-bit floating point holds.
    if exponent || at - start > 300 {
        finite(&bytes[start..at])?;
    }
    Ok(at)
}

/// Behind at least one digit.
#[inline(always)]
fn digits(bytes: &[u8], start: usize) -> Result<usize, Cause> {
    let mut at = start;
    while byte(bytes, at).is_ascii_digit() {
        at += 1;
    }
    if at > start { Ok(at) } else { Err(Cause::Syntax) }
}

/// Asks `serde_json`, whose rounding just below the largest number differs from the standard library's.
#[cold]
fn finite(number: &[u8]) -> Result<(), Cause> {
    serde_json::from_slice::<f64>(number).map_or(Err(Cause::Syntax), |_| Ok(()))
}

/// Behind `true`, `false` or `null`.
#[inline(always)]
pub(super) fn word(bytes: &[u8], at: usize) -> Result<usize, Cause> {
    let Some(four) = bytes.get(at..).and_then(<[u8]>::first_chunk::<4>) else {
        return Err(Cause::Syntax);
    };
    match four {
        b"true" | b"null" => Ok(at + 4),
        b"fals" if byte(bytes, at + 4) == b'e' => Ok(at + 5),
        _ => Err(Cause::Syntax),
    }
}

/// Behind the array or object that starts at `at` and lies `depth` levels deep. All of it is checked, nothing is kept.
#[inline(always)]
pub(super) fn whole<L: Lanes>(
    bytes: &[u8],
    mut at: usize,
    depth: usize,
    bounds: &mut Bounds,
) -> Result<usize, Cause> {
    let mut open = 0;
    // A bit a level, the innermost lowest: whether it is an object.
    let mut objects = 0_u128;
    'value: loop {
        match byte(bytes, at) {
            opening @ (b'[' | b'{') => {
                if at >= bounds.end {
                    return Err(Cause::Syntax);
                }
                open += 1;
                if depth + open > bounds.max_depth {
                    return Err(Cause::Deep);
                }
                let object = opening == b'{';
                objects = objects << 1 | u128::from(object);
                at = space(bytes, at + 1);
                let empty = byte(bytes, at) == if object { b'}' } else { b']' };
                if !empty {
                    if object {
                        at = member::<L>(bytes, at, bounds)?;
                    }
                    continue 'value;
                }
            }
            b'"' => at = string::<L>(bytes, at + 1, bounds)?.0 + 1,
            b't' | b'f' | b'n' => at = word(bytes, at)?,
            _ => at = number::<L>(bytes, at)?,
        }
        loop {
            if at > bounds.end {
                return Err(Cause::Syntax);
            }
            if open == 0 {
                return Ok(at);
            }
            at = space(bytes, at);
            let object = objects & 1 == 1;
            match byte(bytes, at) {
                b',' => {
                    at = space(bytes, at + 1);
                    if object {
                        at = member::<L>(bytes, at, bounds)?;
                    }
                    continue 'value;
                }
                b'}' if object => {}
                b']' if !object => {}
                _ => return Err(Cause::Syntax),
            }
            at += 1;
            open -= 1;
            objects >>= 1;
        }
    }
}

/// Behind a member's key and colon.
#[inline(always)]
fn member<L: Lanes>(bytes: &[u8], at: usize, bounds: &mut Bounds) -> Result<usize, Cause> {
    if byte(bytes, at) != b'"' {
        return Err(Cause::Syntax);
    }
    let (close, _) = string::<L>(bytes, at + 1, bounds)?;
    bounds.members = bounds.members.checked_sub(1).ok_or(Cause::Many)?;
    let at = space(bytes, close + 1);
    if byte(bytes, at) != b':' {
        return Err(Cause::Syntax);
    }
    Ok(space(bytes, at + 1))
}
