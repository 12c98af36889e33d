//! A block's columns while it grows, in the layout of ClickHouse's Native format.

use logmon_dsl::column::{View, json};

use super::{
    buffer::Buffer,
    dictionary::Dictionary,
    text::{SLACK, Tail, most, put_json, put_text, put_varint, put_words},
    types::Type,
};

/// A route's values for one column, decoded but not yet in a block: one entry a routed row.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    /// 0, or why the row has no value; there `values` has the column's default.
    pub(super) state: Vec<u8>,
    /// The values.
    pub(super) values: Values,
}

/// Values by shape.
#[derive(Debug)]
pub(super) enum Values {
    /// Bytes of fixed width.
    Fixed(Vec<u8>),
    /// Text, whatever its kind.
    Views(Vec<View>),
    /// Lists: where each ends, and the elements.
    List(Vec<u32>, Box<Decoded>),
    /// Members of a map: where each row's end, numbers of keys and values.
    Entries(Vec<u32>, Vec<(u32, View)>),
}

impl Default for Values {
    fn default() -> Self {
        Self::Views(Vec::new())
    }
}

impl Decoded {
    /// Forgets all values, keeps the memory.
    pub(super) fn clear(&mut self) {
        self.state.clear();
        match &mut self.values {
            Values::Fixed(bytes) => bytes.clear(),
            Values::Views(views) => views.clear(),
            Values::List(ends, items) => {
                ends.clear();
                items.clear();
            }
            Values::Entries(ends, items) => {
                ends.clear();
                items.clear();
            }
        }
    }

    /// Room for the values of a type.
    pub(super) fn for_type(ty: &Type) -> Self {
        let values = match ty {
            Type::Scalar(scalar) | Type::Nullable(scalar) | Type::Low(scalar, _) => {
                match scalar.width() {
                    Some(_) => Values::Fixed(Vec::new()),
                    None => Values::Views(Vec::new()),
                }
            }
            Type::Array(inner) => Values::List(Vec::new(), Box::new(Self::for_type(inner))),
            Type::Map { .. } => Values::Entries(Vec::new(), Vec::new()),
            Type::Json => Values::Views(Vec::new()),
        };
        Self { state: Vec::new(), values }
    }
}

fn range(ends: &[u32], row: usize) -> std::ops::Range<usize> {
    let start = if row == 0 { 0 } else { ends[row - 1] as usize };
    start..ends[row] as usize
}

/// What appending reads besides the decoded values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading<'a> {
    /// The batch's text.
    pub(super) arena: &'a [u8],
    /// Texts of the keys that entries name by number.
    pub(super) keys: &'a Dictionary,
    /// Counts fresh starts of `keys`.
    pub(super) keys_epoch: u64,
}

/// One column of a block.
#[derive(Debug)]
pub(super) struct Growing {
    /// Its values.
    pub(super) store: Store,
    /// One byte a row: 1 where NULL; only for `Nullable` columns.
    pub(super) nulls: Option<Vec<u8>>,
    /// How many rows brought a value.
    pub(super) fed: usize,
}

/// Values in the order in which they are sent.
#[derive(Debug)]
pub(super) enum Store {
    /// Bytes of this width.
    Fixed(usize, Vec<u8>),
    /// Length and bytes, one after the other.
    Text(Buffer),
    /// Numbers of distinct values.
    Low(Low),
    /// Where each list ends, and the elements.
    List(Vec<u64>, Box<Growing>),
    /// Where each map ends, keys and values.
    Map(Vec<u64>, Keys, Box<Store>),
    /// Objects as JSON text, built out of entries.
    Object(Buffer),
}

/// A column of few distinct values.
#[derive(Debug)]
pub(super) struct Low {
    /// The values seen; fixed-width ones as their bytes.
    pub(super) dictionary: Dictionary,
    /// One number a row.
    pub(super) index: Vec<u32>,
    /// Bytes a value, `None` for text.
    pub(super) width: Option<usize>,
    /// Whether number 0 stands for NULL, which shifts all others by one.
    pub(super) nullable: bool,
}

/// The keys of a map column.
#[derive(Debug)]
pub(super) struct Keys {
    /// Numbers of the keys in this block.
    pub(super) low: Low,
    /// Whether the type is `LowCardinality`; otherwise keys are written out one by one.
    pub(super) is_low: bool,
    /// From a table-wide key number to this block's number + 1.
    remap: Vec<u32>,
    epoch: u64,
}

impl Growing {
    /// An empty column.
    pub(super) fn new(ty: &Type) -> Self {
        let mut nulls = None;
        let store = match ty {
            Type::Scalar(scalar) => Store::sized(scalar.width()),
            Type::Nullable(scalar) => {
                nulls = Some(Vec::new());
                Store::sized(scalar.width())
            }
            Type::Low(scalar, nullable) => Store::Low(Low::new(scalar.width(), *nullable)),
            Type::Array(inner) => Store::List(Vec::new(), Box::new(Self::new(inner))),
            Type::Map { low_keys, low_values } => {
                let keys = Keys {
                    low: Low::new(None, false),
                    is_low: *low_keys,
                    remap: Vec::new(),
                    epoch: 0,
                };
                let values = if *low_values {
                    Store::Low(Low::new(None, false))
                } else {
                    Store::sized(None)
                };
                Store::Map(Vec::new(), keys, Box::new(values))
            }
            Type::Json => Store::Object(Buffer::default()),
        };
        Self { store, nulls, fed: 0 }
    }

    /// Bytes held, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.nulls.as_ref().map_or(0, Vec::len) + self.store.bytes()
    }

    /// Memory held, used or not.
    pub(super) fn memory(&self) -> usize {
        self.nulls.as_ref().map_or(0, Vec::capacity) + self.store.memory()
    }

    /// Forgets all values, keeps the memory.
    pub(super) fn clear(&mut self) {
        self.fed = 0;
        if let Some(nulls) = &mut self.nulls {
            nulls.clear();
        }
        self.store.clear();
    }

    /// Appends the decoded rows at these places.
    pub(super) fn append(&mut self, decoded: &Decoded, picks: &[u32], reading: Reading<'_>) {
        if let Some(nulls) = &mut self.nulls {
            nulls.extend(picks.iter().map(|&pick| u8::from(decoded.state[pick as usize] != 0)));
        }
        let is_whole = picks.len() == decoded.state.len();
        self.fed += if is_whole {
            decoded.state.iter().map(|&state| usize::from(state == 0)).sum()
        } else {
            picks.iter().filter(|&&pick| decoded.state[pick as usize] == 0).count()
        };
        self.store.append(decoded, picks, reading);
    }
}

impl Store {
    fn sized(width: Option<usize>) -> Self {
        match width {
            Some(width) => Self::Fixed(width, Vec::new()),
            None => Self::Text(Buffer::default()),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Fixed(_, bytes) => bytes.len(),
            Self::Text(text) | Self::Object(text) => text.len(),
            Self::Low(low) => low.bytes(),
            Self::List(ends, items) => ends.len() * 8 + items.bytes(),
            Self::Map(ends, keys, values) => ends.len() * 8 + keys.low.bytes() + values.bytes(),
        }
    }

    fn memory(&self) -> usize {
        match self {
            Self::Fixed(_, bytes) => bytes.capacity(),
            Self::Text(text) | Self::Object(text) => text.memory(),
            Self::Low(low) => low.memory(),
            Self::List(ends, items) => ends.capacity() * 8 + items.memory(),
            Self::Map(ends, keys, values) => {
                ends.capacity() * 8 + keys.low.memory() + values.memory()
            }
        }
    }

    fn clear(&mut self) {
        match self {
            Self::Fixed(_, bytes) => bytes.clear(),
            Self::Text(text) | Self::Object(text) => text.clear(),
            Self::Low(low) => low.clear(),
            Self::List(ends, items) => {
                ends.clear();
                items.clear();
            }
            Self::Map(ends, keys, values) => {
                ends.clear();
                keys.low.clear();
                // The dictionary starts anew, so no known number holds.
                keys.epoch = 0;
                values.clear();
            }
        }
    }

    fn append(&mut self, decoded: &Decoded, picks: &[u32], reading: Reading<'_>) {
        match (self, &decoded.values) {
            (Self::Fixed(width, out), Values::Fixed(bytes)) => {
                append_fixed(*width, bytes, picks, out);
            }
            (Self::Text(out), Values::Views(views)) => {
                let most = picks.iter().map(|&pick| most(views[pick as usize])).sum::<usize>();
                let mut tail = Tail::new(out.room(most + SLACK));
                for &pick in picks {
                    tail.put(views[pick as usize], reading.arena);
                }
                let written = tail.written();
                out.advance(written);
            }
            (Self::Low(low), values) => low.append(decoded, values, picks, reading),
            (Self::List(ends, items), Values::List(from, decoded)) => {
                let mut total = ends.last().copied().unwrap_or(0);
                let mut inner = Vec::new();
                for &pick in picks {
                    let range = range(from, pick as usize);
                    total += range.len() as u64;
                    ends.push(total);
                    inner.extend(range.map(|at| at as u32));
                }
                items.append(decoded, &inner, reading);
            }
            (Self::Map(ends, keys, values), Values::Entries(from, entries)) => {
                let mut total = ends.last().copied().unwrap_or(0);
                keys.renew(reading);
                // Keys and values apart: two tight loops instead of one that changes hands with every entry.
                if picks.len() == from.len() {
                    ends.extend(from.iter().map(|&end| total + u64::from(end)));
                    keys.extend(entries, reading);
                    values.append_members(std::iter::once(entries.as_slice()), reading.arena);
                    return;
                }
                ends.reserve(picks.len());
                for &pick in picks {
                    let entries = &entries[range(from, pick as usize)];
                    total += entries.len() as u64;
                    ends.push(total);
                    keys.extend(entries, reading);
                }
                let picked = picks.iter().map(|&pick| &entries[range(from, pick as usize)]);
                values.append_members(picked, reading.arena);
            }
            (Self::Object(out), Values::Views(views)) => {
                let mut object = Vec::new();
                for &pick in picks {
                    object.clear();
                    let view = views[pick as usize];
                    if view.is_present() {
                        put_json(view, reading.arena, &mut object);
                    } else {
                        object.extend_from_slice(b"{}");
                    }
                    put_object(out, &object);
                }
            }
            (Self::Object(out), Values::Entries(from, entries)) => {
                let mut object = Vec::new();
                for &pick in picks {
                    object.clear();
                    object.push(b'{');
                    for (at, &(key, view)) in entries[range(from, pick as usize)].iter().enumerate()
                    {
                        if at > 0 {
                            object.push(b',');
                        }
                        json::write_string(&mut object, reading.keys.get(key));
                        object.push(b':');
                        put_json(view, reading.arena, &mut object);
                    }
                    object.push(b'}');
                    put_object(out, &object);
                }
            }
            _ => unreachable!("values are decoded for the column's type"),
        }
    }

    /// Appends the values of a map's entries.
    fn append_members<'a>(
        &mut self,
        rows: impl Iterator<Item = &'a [(u32, View)]> + Clone,
        arena: &[u8],
    ) {
        match self {
            Self::Text(out) => {
                let mut total = SLACK;
                for entries in rows.clone() {
                    total += entries.iter().map(|&(_, view)| most(view)).sum::<usize>();
                }
                let mut tail = Tail::new(out.room(total));
                for entries in rows {
                    for &(_, view) in entries {
                        tail.put(view, arena);
                    }
                }
                let written = tail.written();
                out.advance(written);
            }
            Self::Low(low) => {
                for &(_, view) in rows.flatten() {
                    let number = low.dictionary.number_of(view, arena);
                    low.index.push(number);
                }
            }
            _ => unreachable!("a map's values are text"),
        }
    }
}

fn put_object(out: &mut Buffer, object: &[u8]) {
    let mut length = Vec::new();
    put_varint(&mut length, object.len());
    out.extend(&length);
    out.extend(object);
}

fn append_fixed(width: usize, bytes: &[u8], picks: &[u32], out: &mut Vec<u8>) {
    // Nearly always the whole route goes into one block.
    if picks.len() * width == bytes.len() {
        out.extend_from_slice(bytes);
        return;
    }
    out.reserve(picks.len() * width);
    for &pick in picks {
        let start = pick as usize * width;
        out.extend_from_slice(&bytes[start..start + width]);
    }
}

impl Low {
    fn new(width: Option<usize>, nullable: bool) -> Self {
        Self { dictionary: Dictionary::default(), index: Vec::new(), width, nullable }
    }

    fn bytes(&self) -> usize {
        self.dictionary.bytes() + self.index.len() * 4
    }

    fn memory(&self) -> usize {
        self.dictionary.memory() + self.index.capacity() * 4
    }

    fn clear(&mut self) {
        self.dictionary.clear();
        self.index.clear();
    }

    fn append(&mut self, decoded: &Decoded, values: &Values, picks: &[u32], reading: Reading<'_>) {
        let Self { dictionary, index, width, nullable } = self;
        let shift = u32::from(*nullable);
        let is_null = |pick: usize| shift == 1 && decoded.state[pick] != 0;
        match values {
            Values::Fixed(bytes) => {
                let width = width.expect("fixed values belong to a fixed-width type");
                index.extend(picks.iter().map(|&pick| {
                    let pick = pick as usize;
                    if is_null(pick) {
                        return 0;
                    }
                    dictionary.number(&bytes[pick * width..(pick + 1) * width]) + shift
                }));
            }
            Values::Views(views) => {
                // A value that all rows share, such as the topic, is looked up once.
                let mut last = None;
                index.extend(picks.iter().map(|&pick| {
                    let pick = pick as usize;
                    if is_null(pick) {
                        return 0;
                    }
                    let view = views[pick];
                    match last {
                        Some((known, number)) if known == view => number,
                        _ => {
                            let number = dictionary.number_of(view, reading.arena) + shift;
                            last = Some((view, number));
                            number
                        }
                    }
                }));
            }
            Values::List(..) | Values::Entries(..) => {
                unreachable!("low-cardinality values are scalars")
            }
        }
    }

    /// The width code of the indexes: 0, 1 or 2 for one, two or four bytes.
    fn code(&self) -> u64 {
        match self.dictionary.len() + usize::from(self.nullable) {
            0..=0x100 => 0,
            0x101..=0x1_0000 => 1,
            _ => 2,
        }
    }

    /// Appends flags, dictionary and indexes. The version in front is the caller's: a map has it before its offsets.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        if self.index.is_empty() {
            return;
        }
        let code = self.code();
        // The values stand in the block itself, and the dictionary is new with it.
        out.extend_from_slice(&(0x600 | code).to_le_bytes());
        let count = self.dictionary.len() + usize::from(self.nullable);
        out.extend_from_slice(&(count as u64).to_le_bytes());
        if self.nullable {
            match self.width {
                Some(width) => out.resize(out.len() + width, 0),
                None => put_varint(out, 0),
            }
        }
        for number in 0..self.dictionary.len() {
            let value = self.dictionary.get(number as u32);
            match self.width {
                Some(_) => out.extend_from_slice(value),
                None => put_text(out, value),
            }
        }
        out.extend_from_slice(&(self.index.len() as u64).to_le_bytes());
        match code {
            0 => out.extend(self.index.iter().map(|&number| number as u8)),
            1 => put_words(out, self.index.iter().map(|&number| (number as u16).to_le_bytes())),
            _ => put_words(out, self.index.iter().map(|number| number.to_le_bytes())),
        }
    }
}

impl Keys {
    fn renew(&mut self, reading: Reading<'_>) {
        if self.epoch != reading.keys_epoch {
            self.remap.clear();
            self.epoch = reading.keys_epoch;
        }
        if self.remap.len() < reading.keys.len() {
            self.remap.resize(reading.keys.len(), 0);
        }
    }

    #[inline]
    fn extend(&mut self, entries: &[(u32, View)], reading: Reading<'_>) {
        let Self { low, remap, .. } = self;
        let dictionary = &mut low.dictionary;
        low.index.extend(entries.iter().map(|&(key, _)| {
            let known = &mut remap[key as usize];
            if *known == 0 {
                *known = dictionary.number(reading.keys.get(key)) + 1;
            }
            *known - 1
        }));
    }

    /// Appends the keys one by one, for maps whose keys are plain text.
    pub(super) fn write_plain(&self, out: &mut Vec<u8>) {
        for &number in &self.low.index {
            put_text(out, self.low.dictionary.get(number));
        }
    }
}
