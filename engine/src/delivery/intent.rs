//! What stands beside a committed offset: the range that is being delivered, or that none is. Printable ASCII, read without trust.
//!
//! Invariant: a text that was changed, cut or written by somebody else is never read as an intent.

use std::fmt::{self, Write as _};

use super::range::Range;

/// The longest note that is written: brokers take 4,096 bytes unless told otherwise.
pub const NOTE_MAX: usize = 3_500;

/// The version that this engine writes and reads.
const VERSION: u32 = 1;

/// What every note begins with; the version follows.
const MAGIC: &str = "lm";

/// Names a bundle: the first half of its hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BundleId(pub [u8; 16]);

impl fmt::Display for BundleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BundleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl BundleId {
    /// Out of the hash's hexadecimal digits, of which the first 32 count.
    pub fn from_hex(hex: &str) -> Option<Self> {
        let digits = hex.as_bytes().get(..32)?;
        let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
        let mut id = [0; 16];
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(id))
    }
}

/// One unit of a range: what a replay must come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Entry {
    /// The table's number in the bundle.
    pub table: u16,
    /// How many rows.
    pub rows: u32,
    /// A hash over the identities of its rows, in any order.
    pub hash: u64,
}

/// The units of a range in their order, or a digest of them where they are too many to be listed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Units {
    /// One entry each.
    List(Vec<Entry>),
    /// How many there are, and what they come to together.
    Digest {
        /// How many.
        count: u32,
        /// Rows of all.
        rows: u64,
        /// A hash over all entries.
        hash: u64,
    },
}

impl Units {
    /// How many there are.
    pub fn count(&self) -> usize {
        match self {
            Self::List(entries) => entries.len(),
            Self::Digest { count, .. } => *count as usize,
        }
    }

    /// The digest of a list.
    pub fn digest(entries: &[Entry]) -> Self {
        let hash = entries.iter().fold(entries.len() as u64, |hash, entry| {
            let word = (u64::from(entry.table) << 32 | u64::from(entry.rows)) ^ entry.hash;
            mix(hash.rotate_left(1) ^ mix(word))
        });
        let rows = entries.iter().map(|entry| u64::from(entry.rows)).sum();
        Self::Digest { count: entries.len() as u32, rows, hash }
    }

    /// Whether these units, evaluated again, are the ones that were named.
    pub fn agree(&self, entries: &[Entry]) -> bool {
        match self {
            Self::List(list) => list == entries,
            digest @ Self::Digest { .. } => *digest == Self::digest(entries),
        }
    }
}

/// Spreads the bits of a number (the finalizer of `MurmurHash3`), as ClickHouse's `intHash64` does.
pub fn mix(mut x: u64) -> u64 {
    x ^= x >> 33;
    x = x.wrapping_mul(0xff51_afd7_ed55_8ccd);
    x ^= x >> 33;
    x = x.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ x >> 33
}

/// A row that the server refused: it went to the dead letter under a later intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Refused {
    /// The record's offset.
    pub offset: i64,
    /// The how-many-eth output of its event.
    pub emit_ix: u16,
    /// The intent that decided it.
    pub cut: u32,
}

/// What is about to be inserted, named before anything of it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Intent {
    /// Chosen at random when the partition was begun.
    pub inc: u64,
    /// Counts the intents of a partition.
    pub seq: u32,
    /// The offsets.
    pub range: Range,
    /// Where reading must begin to know what rules remember at the range's start.
    pub since: i64,
    /// The wall clock when the range was begun, nanoseconds since 1970.
    pub t0: i64,
    /// The rules.
    pub bundle: BundleId,
    /// What they make of the range.
    pub units: Units,
    /// Units that were cut anew, and the intent that did it; all others are as they were built.
    pub cuts: Vec<(u32, u32)>,
    /// Rows that the server refused.
    pub refused: Vec<Refused>,
}

impl Intent {
    /// The `cut` of a unit: part of its token.
    pub fn cut(&self, unit: usize) -> u32 {
        self.cuts.iter().find(|(cut, _)| *cut as usize == unit).map_or(0, |(_, seq)| *seq)
    }
}

/// What a committed offset's metadata says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Note {
    /// Everything before the offset is delivered, and nothing is under way.
    Idle {
        /// As in the intents before.
        inc: u64,
        /// The last intent's number.
        seq: u32,
        /// Where reading must begin to know what rules remember at the offset.
        since: i64,
    },
    /// A range that begins at the offset is being delivered.
    Intent(Intent),
}

/// Why a note could not be read: what is to be done is in the variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// Nothing was written: a new group, or an offset that an admin set.
    Empty,
    /// A newer engine wrote it: the partition is to be left alone.
    Newer(u32),
    /// Somebody else wrote it.
    Foreign,
    /// It began as one of ours, and is not what was written.
    Damaged,
}

impl Note {
    /// The note's text; `None` where it would be longer than [`NOTE_MAX`].
    pub fn encode(&self) -> Option<String> {
        let text = match self {
            Self::Intent(intent) => match intent_text(intent) {
                text if text.len() <= NOTE_MAX => text,
                _ => {
                    let Units::List(entries) = &intent.units else { return None };
                    let units = Units::digest(entries);
                    intent_text(&Intent { units, ..intent.clone() })
                }
            },
            Self::Idle { inc, seq, since } => {
                sealed(format!("{MAGIC}{VERSION};d;{inc:016x};{seq};{since};"))
            }
        };
        (text.len() <= NOTE_MAX).then_some(text)
    }

    /// Reads a note.
    pub fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        if bytes.is_empty() {
            return Err(Unreadable::Empty);
        }
        // Whatever its length and bytes: only the beginning is looked at before the version is known.
        let head = bytes.strip_prefix(MAGIC.as_bytes()).ok_or(Unreadable::Foreign)?;
        let digits = head.iter().take(10).take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 || head.get(digits) != Some(&b';') {
            return Err(Unreadable::Foreign);
        }
        let version =
            head[..digits].iter().fold(0_u64, |number, byte| number * 10 + u64::from(byte - b'0'));
        match u32::try_from(version).unwrap_or(u32::MAX) {
            VERSION => {}
            version if version > VERSION => return Err(Unreadable::Newer(version)),
            _ => return Err(Unreadable::Foreign),
        }
        if bytes.len() > NOTE_MAX || !bytes.iter().all(u8::is_ascii_graphic) {
            return Err(Unreadable::Damaged);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Unreadable::Damaged)?;
        read(text).ok_or(Unreadable::Damaged)
    }

    /// Where reading must begin to know what rules remember.
    pub fn since(&self) -> i64 {
        match self {
            Self::Idle { since, .. } => *since,
            Self::Intent(intent) => intent.since,
        }
    }
}

fn intent_text(intent: &Intent) -> String {
    let Intent { inc, seq, range, since, t0, bundle, units, cuts, refused } = intent;
    let mut text = format!(
        "{MAGIC}{VERSION};i;{inc:016x};{seq};{};{};{since};{t0};{bundle};",
        range.start, range.end
    );
    match units {
        Units::List(entries) => list(&mut text, entries, |text, entry| {
            let _ = write!(text, "{}:{}:{:x}", entry.table, entry.rows, entry.hash);
        }),
        Units::Digest { count, rows, hash } => {
            let _ = write!(text, "#{count}:{rows}:{hash:x}");
        }
    }
    text.push(';');
    list(&mut text, cuts, |text, (unit, cut)| {
        let _ = write!(text, "{unit}:{cut}");
    });
    text.push(';');
    list(&mut text, refused, |text, row| {
        let _ = write!(text, "{}:{}:{}", row.offset, row.emit_ix, row.cut);
    });
    text.push(';');
    sealed(text)
}

fn list<T>(text: &mut String, items: &[T], write: impl Fn(&mut String, &T)) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        write(text, item);
    }
}

/// Adds the checksum over all that stands before it.
fn sealed(mut text: String) -> String {
    let sum = checksum(&text);
    text.push_str(&sum);
    text
}

fn checksum(text: &str) -> String {
    format!("{:08x}", crc32c(text.as_bytes()))
}

fn read(text: &str) -> Option<Note> {
    let (body, sum) = text.split_at_checked(text.len().checked_sub(8)?)?;
    // Digit by digit as it is written: a changed case is a changed note too.
    if sum != checksum(body) {
        return None;
    }
    let mut fields = body.strip_suffix(';')?.split(';');
    fields.next()?;
    let kind = fields.next()?;
    let inc = hex(fields.next()?)?;
    let seq = fields.next()?.parse().ok()?;
    let note = match kind {
        "d" => Note::Idle { inc, seq, since: offset(fields.next()?)? },
        "i" => {
            let (start, end) = (offset(fields.next()?)?, offset(fields.next()?)?);
            if start >= end {
                return None;
            }
            let range = Range { start, end };
            let since = offset(fields.next()?)?;
            let t0 = fields.next()?.parse().ok()?;
            let bundle = BundleId::from_hex(fields.next()?)?;
            let units = units(fields.next()?)?;
            let cuts = items(fields.next()?, |item| {
                let (unit, cut) = item.split_once(':')?;
                Some((unit.parse().ok()?, cut.parse().ok()?))
            })?;
            let refused = items(fields.next()?, |item| {
                let mut parts = item.split(':');
                let row = Refused {
                    offset: offset(parts.next()?)?,
                    emit_ix: parts.next()?.parse().ok()?,
                    cut: parts.next()?.parse().ok()?,
                };
                parts.next().is_none().then_some(row)
            })?;
            Note::Intent(Intent { inc, seq, range, since, t0, bundle, units, cuts, refused })
        }
        _ => return None,
    };
    fields.next().is_none().then_some(note)
}

fn units(text: &str) -> Option<Units> {
    if let Some(digest) = text.strip_prefix('#') {
        let mut parts = digest.split(':');
        let digest = Units::Digest {
            count: parts.next()?.parse().ok()?,
            rows: parts.next()?.parse().ok()?,
            hash: hex(parts.next()?)?,
        };
        return parts.next().is_none().then_some(digest);
    }
    let entries = items(text, |item| {
        let mut parts = item.split(':');
        let entry = Entry {
            table: parts.next()?.parse().ok()?,
            rows: parts.next()?.parse().ok()?,
            hash: hex(parts.next()?)?,
        };
        parts.next().is_none().then_some(entry)
    })?;
    Some(Units::List(entries))
}

fn items<T>(text: &str, item: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    text.split(',').map(item).collect()
}

fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

fn offset(text: &str) -> Option<i64> {
    text.parse().ok().filter(|offset| *offset >= 0)
}

/// The checksum that Kafka itself uses (Castagnoli).
fn crc32c(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let step = |sum: u32, byte: &u8| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            if sum & 1 == 1 { sum >> 1 ^ POLYNOMIAL } else { sum >> 1 }
        })
    };
    !bytes.iter().fold(u32::MAX, step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn intent() -> Intent {
        Intent {
            inc: 0xfeed,
            seq: 7,
            range: Range { start: 100, end: 250 },
            since: 40,
            t0: 1_700_000_000_000_000_000,
            bundle: BundleId([0xab; 16]),
            units: Units::List(vec![
                Entry { table: 0, rows: 90, hash: 0x1234 },
                Entry { table: 3, rows: 60, hash: u64::MAX },
            ]),
            cuts: vec![(1, 7)],
            refused: vec![Refused { offset: 120, emit_ix: 2, cut: 7 }],
        }
    }

    #[test]
    fn notes_are_spelled_like_this() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        let text = Note::Intent(intent()).encode().unwrap();
        assert_eq!(
            text.rsplit_once(';').unwrap().0,
            "lm1;i;000000000000feed;7;100;250;40;1700000000000000000;abababababababababababababababab;\
             0:90:1234,3:60:ffffffffffffffff;1:7;120:2:7"
        );
        let idle = Note::Idle { inc: 1, seq: 2, since: 3 }.encode().unwrap();
        assert_eq!(idle.rsplit_once(';').unwrap().0, "lm1;d;0000000000000001;2;3");
    }

    #[test]
    fn what_others_wrote_is_no_intent() {
        let read = |bytes: &[u8]| Note::decode(bytes).unwrap_err();
        assert_eq!(read(b""), Unreadable::Empty);
        for foreign in
            [&b"sf=42"[..], b"lm", b"lm;", b"lmx;", b"lm0;", b"\xff\xfe\0", &[b'x'; 5_000]]
        {
            assert_eq!(read(foreign), Unreadable::Foreign, "{foreign:?}");
        }
        assert_eq!(read(b"lm2;whatever it says \xff"), Unreadable::Newer(2));
        assert_eq!(read(b"lm4294967299;"), Unreadable::Newer(u32::MAX));
        assert_eq!(read(b"lm1;i;"), Unreadable::Damaged);
        let mut long = b"lm1;".to_vec();
        long.resize(1 << 20, b'a');
        assert_eq!(read(&long), Unreadable::Damaged);
    }

    #[test]
    fn many_units_become_a_digest() {
        let entries: Vec<Entry> =
            (0..1000).map(|n| Entry { table: n, rows: 5, hash: u64::from(n) << 40 }).collect();
        let many = Intent { units: Units::List(entries.clone()), ..intent() };
        let text = Note::Intent(many).encode().unwrap();
        let Ok(Note::Intent(read)) = Note::decode(text.as_bytes()) else { panic!("{text}") };
        assert_eq!(read.units.count(), 1000);
        assert!(read.units.agree(&entries));
        assert!(!read.units.agree(&entries[1..]));
        let mut swapped = entries;
        swapped.swap(3, 4);
        assert!(!read.units.agree(&swapped));
    }

    fn any_intent() -> impl Strategy<Value = Intent> {
        let entry = (any::<u16>(), any::<u32>(), any::<u64>())
            .prop_map(|(table, rows, hash)| Entry { table, rows, hash });
        let refused = (0..=i64::MAX, any::<u16>(), any::<u32>())
            .prop_map(|(offset, emit_ix, cut)| Refused { offset, emit_ix, cut });
        (
            (any::<u64>(), any::<u32>(), 0..i64::MAX, 1..=i64::MAX, 0..=i64::MAX, any::<i64>()),
            any::<[u8; 16]>(),
            prop::collection::vec(entry, 0..20),
            prop::collection::vec(any::<(u32, u32)>(), 0..5),
            prop::collection::vec(refused, 0..5),
        )
            .prop_map(
                |((inc, seq, start, len, since, t0), bundle, entries, cuts, refused)| Intent {
                    inc,
                    seq,
                    range: Range { start, end: start.saturating_add(len) },
                    since,
                    t0,
                    bundle: BundleId(bundle),
                    units: Units::List(entries),
                    cuts,
                    refused,
                },
            )
    }

    #[test]
    fn digits_of_the_checksum_have_one_case() {
        let shouted = |note: &Note| {
            let text = note.encode().unwrap();
            let (body, sum) = text.split_at(text.len() - 8);
            (sum.to_uppercase() != sum).then(|| body.to_owned() + &sum.to_uppercase())
        };
        let notes = (0..64).map(|seq| Note::Idle { inc: 1, seq, since: 0 });
        let shouted: Vec<String> = notes.filter_map(|note| shouted(&note)).collect();
        assert!(!shouted.is_empty());
        assert!(shouted.iter().all(|text| Note::decode(text.as_bytes()).is_err()));
    }

    proptest! {
        #[test]
        fn an_intent_is_read_as_it_was_written(intent in any_intent()) {
            let note = Note::Intent(intent);
            let text = note.encode().unwrap();
            prop_assert!(text.len() <= NOTE_MAX && text.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(Note::decode(text.as_bytes()), Ok(note));
        }

        /// One bit, one byte more, one byte less: never another intent.
        #[test]
        fn a_changed_note_is_not_read(intent in any_intent(), at in any::<prop::sample::Index>(), bit in 0..8_u32) {
            let text = Note::Intent(intent).encode().unwrap().into_bytes();
            let at = at.index(text.len());
            let mut flipped = text.clone();
            flipped[at] ^= 1 << bit;
            prop_assert!(Note::decode(&flipped).is_err());
            prop_assert!(Note::decode(&text[..at]).is_err());
            let mut longer = text;
            longer.push(b'0');
            prop_assert!(Note::decode(&longer).is_err());
        }

        #[test]
        fn nothing_makes_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), own in any::<bool>()) {
            let mut text = if own { b"lm1;i;".to_vec() } else { Vec::new() };
            text.extend(bytes);
            prop_assert!(Note::decode(&text).is_err());
        }
    }
}
