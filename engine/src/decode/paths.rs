//! The paths that events have had so far, and which key is likely to follow which.
//!
//! Producers write their keys in the same order again and again. Each key therefore remembers what followed it, and the
//! usual key costs one comparison of 32 bytes instead of a search for its end, a hash and a look-up. Producers that
//! share a topic would undo each other's memory, so there are four of them, chosen by an event's first key.
//!
//! Invariant: what was learned decides only how fast a key is found, never which one. A prediction is taken when the
//! key's exact bytes and its closing quote stand there, and keys whose bytes could be spelled otherwise take no part.

use std::hash::{BuildHasher as _, RandomState};

use logmon_dsl::column::{Layout, Names, NodeId, layout::NameId};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::scan::{BLOCK, Lanes};

/// No key, no place: beyond every list's end.
pub(super) const NONE: u32 = u32::MAX;
/// In place of a place: an object under this key is kept as text.
pub(super) const WHOLE: u32 = u32::MAX - 1;
/// How many kinds of events are told apart.
const SHAPES: usize = 4;
/// Marks a target that is a node of the layout; all others are names.
const KNOWN: u32 = 1 << 31;
/// A key that was not needed as a name yet.
const UNNAMED: u32 = KNOWN - 1;

/// Keys and bytes of keys to learn before it is time to start afresh: far above honest producers, some megabytes.
const MAX_KEYS: usize = 32_768;
const MAX_BYTES: usize = 4 << 20;

/// A key at a certain place. One cache line, since a prediction needs all of it.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Key {
    /// The key and its closing quote, zeros behind.
    pattern: [u8; BLOCK],
    /// What followed it last time, for each shape.
    next: [u32; SHAPES],
    /// Where its values go: a node (with `KNOWN`), a name, or `UNNAMED`.
    target: u32,
    /// Where the members of an object here are looked up; `NONE` until one came.
    inside: u32,
    /// The event that had it last.
    seen: u32,
    /// Bytes of the pattern that count; 0 for a key that is never predicted.
    length: u8,
}

/// An object's place in the tree of paths.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// What came first, for each shape.
    first: [u32; SHAPES],
    /// The deepest known path at or above it.
    anchor: NodeId,
    /// The key that holds it; `NONE` at a known path.
    key: u32,
}

/// Where a key's values go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// To the field of a known path.
    Field(NodeId),
    /// To the attributes.
    Name(NameId),
    /// To the attributes, under a name that has to be asked for.
    Unnamed,
}

/// All keys, their places, and the memory of their order.
#[derive(Debug)]
pub(super) struct Paths {
    keys: Vec<Key>,
    /// Each key's text and the place it belongs to.
    texts: Vec<(Box<str>, u32)>,
    places: Vec<Place>,
    /// Open addressing, at most half full.
    table: Vec<u32>,
    /// Nobody outside can know which keys collide.
    seed: u64,
    /// Bytes in `texts`.
    bytes: usize,
    /// The keys that tell shapes apart, whether they were met lately, and which is replaced next.
    firsts: [u32; SHAPES],
    met: [bool; SHAPES],
    hand: usize,
}

impl Paths {
    /// The place of an event's own members.
    pub(super) const ROOT: u32 = 0;

    /// Only the paths that the plan knows.
    pub(super) fn new(layout: &Layout) -> Self {
        let mut paths = Self {
            keys: Vec::new(),
            texts: Vec::new(),
            places: Vec::new(),
            table: vec![NONE; 256],
            seed: RandomState::new().hash_one(0),
            bytes: 0,
            firsts: [NONE; SHAPES],
            met: [false; SHAPES],
            hand: 0,
        };
        let mut place_of = vec![NONE; layout.len()];
        for (id, node) in layout.nodes() {
            // The root is its own parent and always an object.
            let root = id == NodeId::ROOT;
            let key = if root { NONE } else { paths.add(place_of[node.parent.index()], &node.key) };
            let inside = if root || node.is_interior() { paths.add_place(id, NONE) } else { WHOLE };
            place_of[id.index()] = inside;
            if let Some(key) = paths.keys.get_mut(key as usize) {
                key.target = KNOWN | id.0;
                key.inside = inside;
            }
        }
        paths
    }

    /// Whether it is time to start afresh.
    pub(super) fn is_full(&self) -> bool {
        self.keys.len() >= MAX_KEYS || self.bytes >= MAX_BYTES
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The key that stands at the start of the block, if it is `expected`; and how many bytes it takes.
    #[inline(always)]
    pub(super) fn expect<L: Lanes>(&self, expected: u32, block: &[u8; BLOCK]) -> Option<usize> {
        let key = self.keys.get(expected as usize)?;
        let length = usize::from(key.length);
        let wanted = ((1_u64 << length) - 1) as u32;
        (L::equal(&key.pattern, block) & wanted == wanted).then_some(length)
    }

    /// The key that stands at the start of the block, if it is one of those that events start with; and its shape.
    #[inline(always)]
    pub(super) fn expect_first<L: Lanes>(
        &mut self,
        block: &[u8; BLOCK],
    ) -> Option<(u32, usize, usize)> {
        for shape in 0..SHAPES {
            let key = self.firsts[shape];
            if let Some(length) = self.expect::<L>(key, block) {
                self.met[shape] = true;
                return Some((key, length, shape));
            }
        }
        None
    }

    /// What is likely to follow a key.
    #[inline(always)]
    pub(super) fn next(&self, key: u32, shape: usize) -> u32 {
        self.keys.get(key as usize).map_or(NONE, |key| key.next[shape % SHAPES])
    }

    /// What is likely to come first at a place.
    #[inline(always)]
    pub(super) fn first(&self, place: u32, shape: usize) -> u32 {
        self.places[place as usize].first[shape % SHAPES]
    }

    /// Marks the key as met by that event and says whether it already was.
    #[inline(always)]
    pub(super) fn meet(&mut self, key: u32, event: u32) -> bool {
        let key = &mut self.keys[key as usize];
        let again = key.seen == event;
        key.seen = event;
        again
    }

    /// Where the key's values go.
    #[inline(always)]
    pub(super) fn target(&self, key: u32) -> Target {
        match self.keys[key as usize].target {
            UNNAMED => Target::Unnamed,
            target if target & KNOWN != 0 => Target::Field(NodeId(target & !KNOWN)),
            name => Target::Name(name),
        }
    }

    /// The place of an object's members under the key, or `WHOLE`.
    #[inline(always)]
    pub(super) fn inside(&mut self, key: u32, layout: &Layout) -> u32 {
        match self.keys[key as usize].inside {
            NONE => self.open(key, layout),
            inside => inside,
        }
    }

    /// Which shape an event has whose first key was not expected.
    #[cold]
    pub(super) fn shape(&mut self, first: u32) -> usize {
        if self.keys[first as usize].length == 0 {
            return 0;
        }
        // The second chance: a shape that was met since the hand last passed stays.
        while std::mem::take(&mut self.met[self.hand]) {
            self.hand = (self.hand + 1) % SHAPES;
        }
        let shape = self.hand;
        self.firsts[shape] = first;
        self.met[shape] = true;
        self.hand = (self.hand + 1) % SHAPES;
        shape
    }

    /// Remembers that `key` followed `previous` at `place` (`NONE`: came first).
    #[inline]
    pub(super) fn follow(&mut self, place: u32, previous: u32, shape: usize, key: u32) {
        if self.keys[key as usize].length == 0 {
            return;
        }
        match self.keys.get_mut(previous as usize) {
            Some(previous) => previous.next[shape % SHAPES] = key,
            None => self.places[place as usize].first[shape % SHAPES] = key,
        }
    }

    /// The key with that text at a place, learned if it is new.
    pub(super) fn find(&mut self, place: u32, text: &str) -> u32 {
        let mask = self.table.len() - 1;
        let mut at = self.hash(place, text) & mask;
        loop {
            let key = self.table[at];
            match self.texts.get(key as usize) {
                Some((known, owner)) if *owner == place && **known == *text => return key,
                Some(_) => at = (at + 1) & mask,
                None => return self.add(place, text),
            }
        }
    }

    /// The name of a key's attribute.
    #[cold]
    pub(super) fn name(&mut self, key: u32, layout: &Layout, names: &mut Names) -> NameId {
        let mut steps = Vec::new();
        let mut at = key;
        let anchor = loop {
            let (text, owner) = &self.texts[at as usize];
            steps.push(text.clone());
            let place = &self.places[*owner as usize];
            if place.key == NONE {
                break place.anchor;
            }
            at = place.key;
        };
        steps.reverse();
        let name = names.id(layout, anchor, &steps);
        self.keys[key as usize].target = name;
        name
    }

    fn hash(&self, place: u32, text: &str) -> usize {
        let seed = self.seed ^ u64::from(place).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        xxh3_64_with_seed(text.as_bytes(), seed) as usize
    }

    #[cold]
    fn add(&mut self, place: u32, text: &str) -> u32 {
        let id = self.keys.len() as u32;
        // What stands in an event for a quote, a backslash or a control byte is an escape. The key `a": ` would else be
        // predicted where the key `a` stands, and one broken event would spoil all good ones.
        let plain = text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\');
        let mut pattern = [0; BLOCK];
        let mut length = 0;
        if plain && text.len() < BLOCK {
            pattern[..text.len()].copy_from_slice(text.as_bytes());
            pattern[text.len()] = b'"';
            length = text.len() as u8 + 1;
        }
        self.keys.push(Key {
            pattern,
            next: [NONE; SHAPES],
            target: UNNAMED,
            inside: NONE,
            seen: 0,
            length,
        });
        self.texts.push((text.into(), place));
        self.bytes += text.len();
        if self.keys.len() * 2 > self.table.len() {
            self.table = vec![NONE; self.table.len() * 2];
            for key in 0..id {
                self.insert(key);
            }
        }
        self.insert(id);
        id
    }

    fn insert(&mut self, key: u32) {
        let (text, place) = &self.texts[key as usize];
        let mask = self.table.len() - 1;
        let mut at = self.hash(*place, text) & mask;
        while self.table[at] != NONE {
            at = (at + 1) & mask;
        }
        self.table[at] = key;
    }

    #[cold]
    fn open(&mut self, key: u32, layout: &Layout) -> u32 {
        let (text, owner) = &self.texts[key as usize];
        let mut path = vec![&**text];
        let mut at = self.places[*owner as usize];
        while let Some((text, owner)) = self.texts.get(at.key as usize) {
            path.push(text);
            at = self.places[*owner as usize];
        }
        let known = layout.path(at.anchor);
        let inside = if Names::spreads(known.into_iter().chain(path)) {
            self.add_place(at.anchor, key)
        } else {
            WHOLE
        };
        self.keys[key as usize].inside = inside;
        inside
    }

    fn add_place(&mut self, anchor: NodeId, key: u32) -> u32 {
        self.places.push(Place { first: [NONE; SHAPES], anchor, key });
        self.places.len() as u32 - 1
    }
}
