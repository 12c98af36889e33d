//! The paths that events have had so far, and which key is likely to follow which.
//!
//! Producers write their keys in the same order and with the same spaces again and again. Each key therefore remembers the
//! bytes that stood between its value and the next one (comma, key, colon, opening quote), and the usual member costs one
//! comparison instead of a look at each mark, a search for the key's end, a hash and a look-up. Two such steps are kept, since
//! keys are left out now and then. Producers that share a topic would undo each other's memory, so there are four of them,
//! chosen by how an event begins.
//!
//! Invariant: what was learned decides only how fast a key is found, never which one. A step is taken when exactly the bytes
//! stand there that were once read in full, and keys whose bytes could be spelled otherwise take no part.

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
const MAX_STEPS: usize = 65_536;

/// Bytes of a step at most; between longer keys members are read mark by mark.
pub(super) const STEP: usize = BLOCK;

/// A key at a certain place. One cache line.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Key {
    /// The steps that led on from it, for each shape, the last one first.
    next: Steps,
    /// Where its values go: a node (with `KNOWN`), a name, or `UNNAMED`.
    target: u32,
    /// Where the members of an object here are looked up; `NONE` until one came.
    inside: u32,
    /// The event that had it last.
    seen: u32,
    /// Whether its text has only one spelling between quotes.
    plain: bool,
}

/// For each shape two steps, or `NONE`.
type Steps = [[u32; 2]; SHAPES];

/// The way from one value of an object to the next one, or from its brace to its first.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Step {
    /// Comma, spaces, key, colon, and the quote where a text follows; zeros behind.
    pattern: [u8; STEP],
    /// Bits of the bytes that count.
    wanted: u64,
    /// How many they are.
    pub(super) length: u32,
    /// Whose value follows.
    pub(super) key: u32,
    /// Whether that is a text.
    pub(super) text: bool,
}

impl Step {
    /// Whether the step's bytes stand there.
    #[inline(always)]
    fn fits<L: Lanes>(&self, ahead: &[u8; STEP]) -> bool {
        L::equal(&self.pattern, ahead) & self.wanted == self.wanted
    }
}

/// An object's place in the tree of paths.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// What came first.
    first: Steps,
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
    steps: Vec<Step>,
    /// The steps that tell shapes apart, whether they were met lately, and which is replaced next.
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
            steps: Vec::new(),
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
        self.keys.len() >= MAX_KEYS || self.bytes >= MAX_BYTES || self.steps.len() >= MAX_STEPS
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The step whose bytes stand ahead, of those that led on from a key (`NONE`: from the brace of the object at `place`).
    #[inline(always)]
    pub(super) fn step<L: Lanes>(
        &self,
        (place, previous): (u32, u32),
        shape: usize,
        ahead: &[u8; STEP],
    ) -> Option<&Step> {
        let likely = match self.keys.get(previous as usize) {
            Some(key) => &key.next[shape % SHAPES],
            None => &self.places[place as usize].first[shape % SHAPES],
        };
        likely
            .iter()
            .find_map(|&step| self.steps.get(step as usize).filter(|step| step.fits::<L>(ahead)))
    }

    /// The step to an event's first value whose bytes stand ahead; and the shape that it tells.
    #[inline(always)]
    pub(super) fn first_step<L: Lanes>(&mut self, ahead: &[u8; STEP]) -> Option<(&Step, usize)> {
        for shape in 0..SHAPES {
            if let Some(step) = self.steps.get(self.firsts[shape] as usize)
                && step.fits::<L>(ahead)
            {
                self.met[shape] = true;
                return Some((step, shape));
            }
        }
        None
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

    /// Which shape an event has that begins as no other lately. Remembers the step to its first value.
    #[cold]
    pub(super) fn shape(&mut self, between: &[u8], key: u32, text: bool) -> usize {
        let Some(step) = self.new_step(between, key, text) else { return 0 };
        // The second chance: a shape that was met since the hand last passed stays.
        while std::mem::take(&mut self.met[self.hand]) {
            self.hand = (self.hand + 1) % SHAPES;
        }
        let shape = self.hand;
        let mut first = self.firsts[shape];
        self.put_step(&mut first, step);
        self.firsts[shape] = first;
        self.met[shape] = true;
        self.hand = (self.hand + 1) % SHAPES;
        shape
    }

    /// Remembers that from `previous` (`NONE`: from the brace of the object at `place`) these bytes led to the value of `key`.
    #[inline(never)]
    pub(super) fn follow(
        &mut self,
        (place, previous): (u32, u32),
        shape: usize,
        between: &[u8],
        (key, text): (u32, bool),
    ) {
        let Some(step) = self.new_step(between, key, text) else { return };
        let shape = shape % SHAPES;
        let steps = match self.keys.get(previous as usize) {
            Some(previous) => previous.next[shape],
            None => self.places[place as usize].first[shape],
        };
        // The older one makes room.
        let [kept, mut replaced] = steps;
        self.put_step(&mut replaced, step);
        let steps = [replaced, kept];
        match self.keys.get_mut(previous as usize) {
            Some(previous) => previous.next[shape] = steps,
            None => self.places[place as usize].first[shape] = steps,
        }
    }

    fn new_step(&self, between: &[u8], key: u32, text: bool) -> Option<Step> {
        let length = between.len();
        if length > STEP || !self.keys[key as usize].plain {
            return None;
        }
        let mut pattern = [0; STEP];
        pattern[..length].copy_from_slice(between);
        let wanted = u64::MAX.checked_shr((STEP - length) as u32).unwrap_or(0);
        Some(Step { pattern, wanted, length: length as u32, key, text })
    }

    /// Writes a step where an older one stood, or behind all others.
    fn put_step(&mut self, place: &mut u32, step: Step) {
        if let Some(old) = self.steps.get_mut(*place as usize) {
            *old = step;
        } else {
            *place = self.steps.len() as u32;
            self.steps.push(step);
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
        self.keys.push(Key {
            next: [[NONE; 2]; SHAPES],
            target: UNNAMED,
            inside: NONE,
            seen: 0,
            plain,
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
        self.places.push(Place { first: [[NONE; 2]; SHAPES], anchor, key });
        self.places.len() as u32 - 1
    }
}
