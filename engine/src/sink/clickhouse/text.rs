//! Views as text, and text as ClickHouse counts it.

use logmon_dsl::column::{Kind, View, json};

/// Appends a length as ClickHouse's variable-length number.
#[inline(always)]
pub(super) fn put_varint(out: &mut Vec<u8>, mut number: usize) {
    while number >= 128 {
        out.push(number as u8 | 128);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends text with its length in front.
#[inline(always)]
pub(super) fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put_varint(out, text.len());
    out.extend_from_slice(text);
}

/// Appends numbers, each in that many bytes.
#[inline]
pub(super) fn put_words<const WIDTH: usize>(
    out: &mut Vec<u8>,
    words: impl ExactSizeIterator<Item = [u8; WIDTH]>,
) {
    let start = out.len();
    out.resize(start + words.len() * WIDTH, 0);
    for (place, word) in out[start..].as_chunks_mut().0.iter_mut().zip(words) {
        *place = word;
    }
}

/// Copies are made in steps of this many bytes.
const STEP: usize = 32;

/// Bytes behind the texts that [`Tail::put`] may scribble over.
pub(super) const SLACK: usize = STEP + 1;

/// Copies longer than this many steps are left to the library.
const STEPS_MAX: usize = 4;

/// The most bytes that a view's text takes with its length in front.
#[inline(always)]
pub(super) fn most(view: View) -> usize {
    view.len() + 6
}

/// Writes texts with their lengths in front, one after the other, into room that was made for all of them.
pub(super) struct Tail<'a> {
    room: &'a mut [u8],
    at: usize,
}

impl<'a> Tail<'a> {
    /// Room for the sum of [`most`] and [`SLACK`].
    #[inline(always)]
    pub(super) fn new(room: &'a mut [u8]) -> Self {
        Self { room, at: 0 }
    }

    /// Bytes written.
    #[inline(always)]
    pub(super) fn written(self) -> usize {
        self.at
    }

    /// Writes a view's text as [`with_text`] gives it.
    #[inline(always)]
    pub(super) fn put(&mut self, view: View, arena: &[u8]) {
        // Nearly all texts are shorter than one step: a length of one byte and one copy.
        let len = view.len();
        if len < STEP
            && matches!(view.kind(), Kind::Text | Kind::Number)
            && let Some(source) = arena.get(view.offset()..).and_then(<[u8]>::first_chunk::<STEP>)
            && let Some([length, target @ ..]) =
                self.room.get_mut(self.at..).and_then(<[u8]>::first_chunk_mut::<{ STEP + 1 }>)
        {
            *length = len as u8;
            *target = *source;
            self.at += len + 1;
            return;
        }
        match view.kind() {
            Kind::Text | Kind::Number | Kind::Array | Kind::Object => {
                self.length(view.len());
                self.copy(view.offset(), view.len(), arena);
            }
            Kind::Absent => self.length(0),
            _ => self.rare(view, arena),
        }
    }

    #[inline(always)]
    fn length(&mut self, mut number: usize) {
        while number >= 128 {
            self.room[self.at] = number as u8 | 128;
            self.at += 1;
            number >>= 7;
        }
        self.room[self.at] = number as u8;
        self.at += 1;
    }

    #[inline(always)]
    fn copy(&mut self, from: usize, len: usize, arena: &[u8]) {
        // Copies of fixed size are a few instructions each, one of any size is a call. What is too much is written over.
        if len <= STEP * STEPS_MAX
            && let Some(source) = arena.get(from..from + len.next_multiple_of(STEP))
            && let Some(target) = self.room.get_mut(self.at..self.at + source.len())
        {
            let (source, target) = (source.as_chunks::<STEP>().0, target.as_chunks_mut::<STEP>().0);
            for (to, from) in target.iter_mut().zip(source) {
                *to = *from;
            }
        } else {
            self.room[self.at..self.at + len].copy_from_slice(&arena[from..from + len]);
        }
        self.at += len;
    }

    #[cold]
    fn rare(&mut self, view: View, arena: &[u8]) {
        with_text(view, arena, |text| {
            self.length(text.len());
            self.room[self.at..self.at + text.len()].copy_from_slice(text);
            self.at += text.len();
        });
    }
}

/// Text of at most fifteen bytes and its length in one number: equal exactly where the texts are, and far quicker compared and hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Short(u64, u64);

impl Short {
    /// No text.
    pub(super) const NONE: Self = Self(u64::MAX, u64::MAX);

    /// The text of a view; `None` where it is longer, has escapes, or stands at the arena's very end.
    #[inline(always)]
    pub(super) fn of(view: View, arena: &[u8]) -> Option<Self> {
        let len = view.len();
        if len > 15 || !matches!(view.kind(), Kind::Text | Kind::Number) {
            return None;
        }
        let chunk = arena.get(view.offset()..).and_then(<[u8]>::first_chunk::<16>)?;
        let text = u128::from_le_bytes(*chunk) & ((1 << (8 * len as u32)) - 1);
        Some(Self(text as u64, (text >> 64) as u64 | (len as u64) << 56))
    }

    /// A place in a table of `slots`, which is a power of two.
    #[inline(always)]
    pub(super) fn place(self, slots: usize) -> usize {
        let low = self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let high = self.1.wrapping_mul(0xC2B2_AE3D_27D4_EB4F);
        let mixed = (low ^ high.rotate_left(32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        (mixed >> 40) as usize & (slots - 1)
    }
}

/// Gives the text of a view to `take`: text without its escapes, everything else as JSON. Absent values have none.
#[inline]
pub(super) fn with_text<R>(view: View, arena: &[u8], take: impl FnOnce(&[u8]) -> R) -> R {
    match view.kind() {
        Kind::Absent | Kind::Spread => take(b""),
        Kind::Bool => take(if view.len() == 1 { b"true" } else { b"false" }),
        Kind::Text | Kind::Number | Kind::Array | Kind::Object => take(slice(view, arena)),
        Kind::Escaped => {
            let raw = slice(view, arena);
            let mut text = Vec::with_capacity(raw.len());
            json::unescape(raw, &mut text);
            take(&text)
        }
    }
}

/// The bytes that a view points at.
#[inline(always)]
pub(super) fn slice(view: View, arena: &[u8]) -> &[u8] {
    &arena[view.offset()..view.offset() + view.len()]
}

/// Appends a view as JSON.
pub(super) fn put_json(view: View, arena: &[u8], out: &mut Vec<u8>) {
    match view.kind() {
        Kind::Absent => out.extend_from_slice(b"null"),
        Kind::Spread => out.extend_from_slice(b"{}"),
        Kind::Bool => out.extend_from_slice(if view.len() == 1 { b"true" } else { b"false" }),
        Kind::Text => json::write_string(out, slice(view, arena)),
        Kind::Escaped => {
            out.push(b'"');
            out.extend_from_slice(slice(view, arena));
            out.push(b'"');
        }
        Kind::Number | Kind::Array | Kind::Object => out.extend_from_slice(slice(view, arena)),
    }
}

/// Gives every member of the object that a view points at to `take`: the key without escapes, and the value.
pub(super) fn members(object: View, arena: &[u8], mut take: impl FnMut(&[u8], View)) {
    let text = slice(object, arena);
    for member in json::members(text) {
        take(&member.key(text), json::view(text, member.value.clone(), object.offset()));
    }
}

/// Gives every element of the array that a view points at to `take`.
pub(super) fn elements(array: View, arena: &[u8], mut take: impl FnMut(View)) {
    let text = slice(array, arena);
    for element in json::elements(text) {
        take(json::view(text, element, array.offset()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_elements_are_walked() {
        let text = br#"..{ "a" : [1, {"x":"]"}, "y\""] , "b\n":{}, "c": -1.5e3 }"#;
        let mut seen = Vec::new();
        let mut array = View::MISSING;
        members(View::new(Kind::Object, 2, text.len() - 2), text, |key, value| {
            if key == b"a" {
                array = value;
            }
            seen.push((key.to_vec(), value.kind(), slice(value, text).to_vec()));
        });
        assert_eq!(seen.len(), 3);
        assert_eq!(seen[1], (b"b\n".to_vec(), Kind::Object, b"{}".to_vec()));
        assert_eq!(seen[2], (b"c".to_vec(), Kind::Number, b"-1.5e3".to_vec()));
        let mut kinds = Vec::new();
        elements(array, text, |value| kinds.push(value.kind()));
        assert_eq!(kinds, [Kind::Number, Kind::Object, Kind::Escaped]);
    }

    #[test]
    fn short_texts_are_equal_where_their_bytes_are() {
        let arena =
            b"service-aservice-b\0\0service-a0123456789abcdef0................................";
        let short = |at, len| Short::of(View::new(Kind::Text, at, len), arena);
        assert_eq!(short(0, 9), short(20, 9));
        assert_ne!(short(0, 9), short(9, 9));
        assert_ne!(short(9, 9), short(9, 10), "a zero byte is text too");
        assert_ne!(short(0, 0), None);
        assert_eq!(short(0, 0), short(30, 0));
        assert_ne!(short(29, 15), short(30, 15));
        assert_eq!(short(29, 16), None);
        assert_eq!(short(arena.len() - 4, 4), None);
    }

    #[test]
    fn copies_end_where_the_view_ends() {
        let arena: Vec<u8> = (0..=255).collect();
        let views =
            [(0, 0), (3, 5), (0, 32), (0, 33), (168, 32), (180, 20), (255, 1), (10, 150), (1, 128)];
        let views = views.map(|(at, len)| View::new(Kind::Text, at, len));
        let others =
            [View::bool(true), View::bool(false), View::MISSING, View::new(Kind::Escaped, 0, 9)];
        let mut plain = Vec::new();
        let all = || views.iter().chain(&others);
        let mut room = vec![9; all().map(|&view| most(view)).sum::<usize>() + SLACK];
        let mut tail = Tail::new(&mut room);
        for &view in all() {
            tail.put(view, &arena);
            with_text(view, &arena, |text| put_text(&mut plain, text));
        }
        let written = tail.written();
        assert_eq!(room[..written], plain);
    }

    #[test]
    fn lengths_take_seven_bits_a_byte() {
        let mut out = Vec::new();
        put_varint(&mut out, 127);
        put_varint(&mut out, 300);
        assert_eq!(out, [127, 0xac, 2]);
    }
}
