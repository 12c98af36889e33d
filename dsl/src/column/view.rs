//! Where a value's text stands: 8 bytes that point into the batch's arena.

use super::value::Absence;

/// What a view points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// No value; the length field holds the [`Absence`].
    Absent = 0,
    /// Text as it is: no escapes, no quotes.
    Text = 1,
    /// Text between the quotes of a JSON string that has escapes in it.
    Escaped = 2,
    /// A JSON number as it was written.
    Number = 3,
    /// `true` (length field 1) or `false` (0); points at nothing.
    Bool = 4,
    /// A JSON array, brackets included.
    Array = 5,
    /// A JSON object, braces included.
    Object = 6,
    /// An object whose members stand in the fields below it and in the attributes; points at nothing.
    Spread = 7,
}

/// A value's kind, place and length in the arena of its batch.
///
/// A zeroed view is a missing value. Views never leave their batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct View {
    offset: u32,
    tag: u32,
}

const LEN_BITS: u32 = 28;
const LEN_MASK: u32 = (1 << LEN_BITS) - 1;

impl View {
    /// The missing value.
    pub const MISSING: Self = Self { offset: 0, tag: Absence::Missing as u32 - 1 };
    /// An object whose members stand in fields and attributes.
    pub const SPREAD: Self = Self { offset: 0, tag: (Kind::Spread as u32) << LEN_BITS };

    /// A view of `len` bytes at `offset`. Arenas stay far below the 256 MiB that 28 bits can say.
    #[inline(always)]
    pub fn new(kind: Kind, offset: usize, len: usize) -> Self {
        debug_assert!(len <= LEN_MASK as usize);
        Self { offset: offset as u32, tag: (kind as u32) << LEN_BITS | len as u32 }
    }

    /// The same bytes, which now stand so much further behind.
    #[inline(always)]
    pub fn moved(self, by: usize) -> Self {
        match self.kind() {
            Kind::Absent | Kind::Bool | Kind::Spread => self,
            Kind::Text | Kind::Escaped | Kind::Number | Kind::Array | Kind::Object => {
                Self { offset: self.offset + by as u32, ..self }
            }
        }
    }

    /// A truth value.
    #[inline(always)]
    pub fn bool(value: bool) -> Self {
        Self::new(Kind::Bool, 0, usize::from(value))
    }

    /// No value, for this reason.
    #[inline(always)]
    pub fn absent(why: Absence) -> Self {
        Self { offset: 0, tag: why as u32 - 1 }
    }

    /// What stands there.
    #[inline(always)]
    pub fn kind(self) -> Kind {
        match self.tag >> LEN_BITS {
            0 => Kind::Absent,
            1 => Kind::Text,
            2 => Kind::Escaped,
            3 => Kind::Number,
            4 => Kind::Bool,
            5 => Kind::Array,
            6 => Kind::Object,
            _ => Kind::Spread,
        }
    }

    /// Bytes from the arena's start.
    #[inline(always)]
    pub fn offset(self) -> usize {
        self.offset as usize
    }

    /// Length in bytes (of kinds that point at something).
    #[inline(always)]
    pub fn len(self) -> usize {
        (self.tag & LEN_MASK) as usize
    }

    /// Whether it points at no bytes.
    #[inline(always)]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether the value is absent for any reason.
    #[inline(always)]
    pub fn is_absent(self) -> bool {
        self.tag >> LEN_BITS == 0
    }

    /// Whether the value is there.
    #[inline(always)]
    pub fn is_present(self) -> bool {
        !self.is_absent()
    }

    /// Why the value is absent; `None` if it is present.
    #[inline(always)]
    pub fn absence(self) -> Option<Absence> {
        if self.is_absent() { Absence::from_code((self.tag & LEN_MASK) as u8 + 1) } else { None }
    }

    /// The value of a [`Kind::Bool`].
    #[inline(always)]
    pub fn truth(self) -> Option<bool> {
        (self.kind() == Kind::Bool).then(|| self.len() == 1)
    }
}

/// The bytes of a micro-batch: payloads first, then what rules computed.
///
/// Grows only at the end and is never rewritten, so views stay good for the life of the batch.
#[derive(Debug, Default)]
pub struct Arena {
    bytes: Vec<u8>,
}

/// Zero bytes after the last payload, so that wide loads of the scanner stay inside.
pub const PADDING: usize = 64;

impl Arena {
    /// An arena with room for that many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes) }
    }

    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Bytes in use.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was added yet.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes reserved, for the memory budget.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// All bytes.
    #[inline(always)]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Appends bytes and returns where they start.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start
    }

    /// Appends text and returns its view.
    #[inline]
    pub fn text(&mut self, text: &[u8]) -> View {
        let start = self.push(text);
        View::new(Kind::Text, start, text.len())
    }

    /// Appends what `write` appends and returns a view of it; `write` must not shorten the buffer.
    #[inline]
    pub fn build(&mut self, kind: Kind, write: impl FnOnce(&mut Vec<u8>)) -> View {
        let start = self.bytes.len();
        write(&mut self.bytes);
        assert!(self.bytes.len() >= start, "an arena never shrinks");
        View::new(kind, start, self.bytes.len() - start)
    }

    /// Adds the zero bytes that must follow the last payload.
    pub fn pad(&mut self) {
        self.bytes.extend_from_slice(&[0; PADDING]);
    }

    /// The bytes that a view points at; empty for kinds that point at nothing.
    #[inline(always)]
    pub fn get(&self, view: View) -> &[u8] {
        match view.kind() {
            Kind::Absent | Kind::Bool | Kind::Spread => &[],
            Kind::Text | Kind::Escaped | Kind::Number | Kind::Array | Kind::Object => {
                &self.bytes[view.offset()..view.offset() + view.len()]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zeroed_view_is_missing() {
        assert_eq!(View::default(), View::MISSING);
        assert_eq!(View::default().absence(), Some(Absence::Missing));
        for why in Absence::ALL {
            assert_eq!(View::absent(why).absence(), Some(why));
        }
    }

    #[test]
    fn views_point_into_the_arena() {
        let mut arena = Arena::default();
        let a = arena.text(b"one");
        arena.pad();
        let b = arena.build(Kind::Number, |out| out.extend_from_slice(b"42"));
        assert_eq!((arena.get(a), arena.get(b)), (&b"one"[..], &b"42"[..]));
        assert_eq!((a.kind(), b.kind(), b.len()), (Kind::Text, Kind::Number, 2));
        assert_eq!(
            (View::bool(true).truth(), View::bool(false).truth(), a.truth()),
            (Some(true), Some(false), None)
        );
        assert_eq!(arena.get(View::SPREAD), b"");
    }
}
