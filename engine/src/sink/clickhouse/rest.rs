//! Columns that take members one by one: the event's own maps, and the rest that no other column takes.

use std::{borrow::Cow, sync::Arc};

use logmon_dsl::column::{Absence, Column, Kind, NodeId, View};

use super::{
    bind::Binding,
    cell::Cell,
    columns::{Decoded, Values},
    dictionary::Dictionary,
    place::{Place, Whole},
    text::members,
};

/// Keys are the producers' choice; beyond this many the numbers start afresh.
const KEYS_MAX: usize = 1 << 16;
/// Objects inside objects are taken apart this deep, which is what the decoder lets in.
const DEPTH_MAX: usize = 64;

/// A value that its column could not take, or that has none: it goes to a map under its path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leftover {
    /// The how-many-eth routed row.
    pub(super) at: u32,
    pub(super) map: u32,
    pub(super) key: u32,
    pub(super) view: View,
    /// Wins over what the event itself has under that key.
    pub(super) wins: bool,
}

/// Where a name's values go. Names are numbered by decoders, of which there may be several.
#[derive(Debug, Clone, Copy)]
struct Way {
    map: u32,
    key: u32,
    own: bool,
}

const NOWHERE: u32 = u32::MAX;

#[derive(Debug, Default)]
struct Ways {
    table: u64,
    generation: u64,
    epoch: u64,
    list: Vec<Way>,
    /// By number: the keys that some name has.
    used: Vec<bool>,
    /// Two names have one key, such as `a.b` of an object in an object and of a key with a dot.
    any_shared: bool,
    /// Some name lies in an object that a map calls its own.
    any_own: bool,
}

/// The state of all map columns of a table.
#[derive(Debug)]
pub(super) struct Rests {
    /// All keys by number.
    pub(super) keys: Dictionary,
    /// Counts fresh starts of `keys`.
    pub(super) epoch: u64,
    /// What columns could not take.
    pub(super) leftovers: Vec<Leftover>,
    ways: Vec<Ways>,
    maps: Vec<Map>,
}

#[derive(Debug, Default)]
struct Map {
    ends: Vec<u32>,
    entries: Vec<(u32, View)>,
    /// Per key the last row that has it.
    seen: Vec<u64>,
    row: u64,
}

impl Map {
    #[inline]
    fn push(&mut self, key: u32, view: View) {
        let at = key as usize;
        if at >= self.seen.len() {
            self.seen.resize(at + 64, 0);
        }
        if self.seen[at] != self.row {
            self.seen[at] = self.row;
            self.entries.push((key, view));
        }
    }

    /// Ends a row.
    #[inline]
    fn end(&mut self) {
        self.ends.push(self.entries.len() as u32);
    }
}

impl Ways {
    fn add(&mut self, way: Way) {
        self.any_own |= way.own;
        if way.map != NOWHERE {
            let at = way.key as usize;
            if at >= self.used.len() {
                self.used.resize(at + 64, false);
            }
            self.any_shared |= self.used[at];
            self.used[at] = true;
        }
        self.list.push(way);
    }

    /// Whether no event can have two values for one key, as long as fields hold no objects.
    fn is_unique(&self, loose: &[Loose<'_>]) -> bool {
        let mut keys: Vec<u32> = loose.iter().map(|field| field.key).collect();
        keys.sort_unstable();
        let is_used = |&key: &u32| self.used.get(key as usize).is_some_and(|&used| used);
        !self.any_shared
            && !keys.iter().any(is_used)
            && keys.windows(2).all(|pair| pair[0] != pair[1])
    }
}

/// A field that goes into a map.
struct Loose<'a> {
    place: Place<'a>,
    /// All rows' values, where they are views.
    views: Option<Cow<'a, [View]>>,
    map: usize,
    key: u32,
    prefix: &'a str,
    own: bool,
}

impl Loose<'_> {
    #[inline]
    fn is_object(&self, row: usize) -> bool {
        let view = match &self.views {
            Some(views) => views[row],
            None => match self.place.cell(row) {
                Cell::View(view) => view,
                _ => return false,
            },
        };
        view.kind() == Kind::Object
    }

    #[inline]
    fn view(&self, row: usize, base: usize, extra: &mut Vec<u8>) -> View {
        match &self.views {
            Some(views) => views[row],
            None => self.place.cell(row).to_view(base, extra),
        }
    }
}

impl Rests {
    pub(super) fn new(binding: &Binding) -> Self {
        let mut maps = Vec::new();
        maps.resize_with(binding.maps.len(), Map::default);
        Self {
            keys: Dictionary::default(),
            epoch: 1,
            leftovers: Vec::new(),
            ways: Vec::new(),
            maps,
        }
    }

    /// Forgets what the last route left.
    pub(super) fn start(&mut self) {
        self.leftovers.clear();
        if self.keys.len() > KEYS_MAX {
            self.keys.clear();
            self.epoch += 1;
        }
    }

    /// Keeps a value for a map: the one whose object the path lies in, else the rest.
    pub(super) fn leave(&mut self, binding: &Binding, node: NodeId, at: usize, view: View) {
        let usage = &binding.uses[node.index()];
        let Some(map) = usage.owner.or(binding.rest) else { return };
        let key = self.keys.number(usage.key.as_bytes());
        self.leftovers.push(Leftover { at: at as u32, map: map as u32, key, view, wins: false });
    }

    /// Keeps a value for the rest under a key of its own.
    pub(super) fn leave_as(&mut self, binding: &Binding, key: &str, at: usize, view: View) {
        let Some(map) = binding.rest else { return };
        let key = self.keys.number(key.as_bytes());
        self.leftovers.push(Leftover { at: at as u32, map: map as u32, key, view, wins: false });
    }

    /// Keeps a route's parameter that no column takes.
    pub(super) fn argue(
        &mut self,
        binding: &Binding,
        path: &[Arc<str>],
        column: &Column,
        rows: &[u32],
        base: usize,
        extra: &mut Vec<u8>,
    ) {
        let mut target = binding.rest.map(|map| (map, 0));
        for (map, known) in binding.maps.iter().enumerate() {
            let own = binding.layout.path(known.own);
            let is_prefix = own.len() < path.len() && own.iter().zip(path).all(|(a, b)| **a == **b);
            if is_prefix && target.is_none_or(|(_, depth)| own.len() > depth) {
                target = Some((map, own.len()));
            }
        }
        let Some((map, depth)) = target else { return };
        let key = self.keys.number(path[depth..].join(".").as_bytes());
        for (at, &row) in rows.iter().enumerate() {
            let view = Cell::of(column, row as usize).to_view(base, extra);
            if view.is_present() {
                self.leftovers.push(Leftover {
                    at: at as u32,
                    map: map as u32,
                    key,
                    view,
                    wins: true,
                });
            }
        }
    }

    /// Fills the map columns of the routed rows. `hidden` are objects that a column took as a whole.
    #[expect(clippy::too_many_arguments, reason = "one loop over everything that a row has")]
    pub(super) fn decode(
        &mut self,
        binding: &Binding,
        whole: Whole<'_>,
        names_table: u64,
        rows: &[u32],
        arena: &[u8],
        base: usize,
        extra: &mut Vec<u8>,
        hidden: &[(u32, NodeId)],
        decoded: &mut [Decoded],
    ) {
        if self.maps.is_empty() {
            return;
        }
        let loose = self.loose(binding, whole);
        let any_gone = whole.snapshot.rest_gone.iter().any(Option::is_some);
        let ways = self.ways(binding, whole, names_table);
        self.leftovers.sort_by_key(|leftover| leftover.at);
        let mut next_leftover = 0;
        let Self { keys, leftovers, maps, .. } = self;
        let ways = &self.ways[ways];
        // Nearly always nothing asks for an order among entries, and none is taken away.
        let is_plain =
            hidden.is_empty() && !any_gone && !ways.any_own && loose.iter().all(|field| !field.own);
        let is_unique = is_plain && ways.is_unique(&loose);
        for (at, &row) in rows.iter().enumerate() {
            let row = row as usize;
            for map in &mut *maps {
                map.row += 1;
            }
            let first = next_leftover;
            while leftovers.get(next_leftover).is_some_and(|leftover| leftover.at as usize == at) {
                next_leftover += 1;
            }
            let left = &leftovers[first..next_leftover];
            if is_unique && left.is_empty() && !loose.iter().any(|field| field.is_object(row)) {
                for field in &loose {
                    let view = field.view(row, base, extra);
                    if !matches!(view.kind(), Kind::Absent | Kind::Spread) {
                        maps[field.map].entries.push((field.key, view));
                    }
                }
                for &(name, view) in whole.rest.of(row) {
                    let way = ways.list[name as usize];
                    if way.map != NOWHERE && view.is_present() {
                        maps[way.map as usize].entries.push((way.key, view));
                    }
                }
                maps.iter_mut().for_each(Map::end);
                continue;
            }
            if is_plain && left.is_empty() {
                for field in &loose {
                    let view = field.view(row, base, extra);
                    put(view, field.prefix, field.key, arena, keys, &mut maps[field.map], 0);
                }
                for &(name, view) in whole.rest.of(row) {
                    let way = ways.list[name as usize];
                    if way.map != NOWHERE && view.is_present() {
                        maps[way.map as usize].push(way.key, view);
                    }
                }
                maps.iter_mut().for_each(Map::end);
                continue;
            }
            for leftover in left.iter().filter(|leftover| leftover.wins) {
                maps[leftover.map as usize].push(leftover.key, leftover.view);
            }
            let entries = whole.rest.of(row);
            for own in [true, false] {
                for field in loose.iter().filter(|field| field.own == own) {
                    let cell = field.place.cell(row);
                    if !cell.is_present() || is_hidden(binding, hidden, at, field.place.node) {
                        continue;
                    }
                    let view = cell.to_view(base, extra);
                    put(view, field.prefix, field.key, arena, keys, &mut maps[field.map], 0);
                }
                if !own {
                    for leftover in left.iter().filter(|leftover| !leftover.wins) {
                        maps[leftover.map as usize].push(leftover.key, leftover.view);
                    }
                }
                for &(name, view) in entries {
                    let way = ways.list[name as usize];
                    if way.own != own || way.map == NOWHERE || view.is_absent() {
                        continue;
                    }
                    let anchor = || whole.names.get(name).anchor;
                    if any_gone && whole.is_gone(anchor(), row)
                        || !hidden.is_empty() && is_hidden(binding, hidden, at, Some(anchor()))
                    {
                        continue;
                    }
                    maps[way.map as usize].push(way.key, view);
                }
            }
            maps.iter_mut().for_each(Map::end);
        }
        for (map, target) in maps.iter_mut().zip(&binding.maps) {
            let decoded = &mut decoded[target.column];
            let Values::Entries(ends, entries) = &mut decoded.values else {
                // JSON columns are decoded as views unless they take members.
                decoded.values = Values::Entries(
                    std::mem::take(&mut map.ends),
                    std::mem::take(&mut map.entries),
                );
                decoded.state = states(&decoded.values);
                continue;
            };
            std::mem::swap(ends, &mut map.ends);
            std::mem::swap(entries, &mut map.entries);
            map.ends.clear();
            map.entries.clear();
            decoded.state = states(&decoded.values);
        }
    }

    /// The fields that some map takes.
    fn loose<'a>(&mut self, binding: &'a Binding, whole: Whole<'a>) -> Vec<Loose<'a>> {
        let mut found = Vec::new();
        for (id, _) in binding.layout.nodes().skip(1) {
            let usage = &binding.uses[id.index()];
            let map = usage.owner.or(binding.rest);
            let (None, Some(map), Some(place)) =
                (usage.taken, map, Place::field(whole.snapshot, id))
            else {
                continue;
            };
            // Objects whose members all stand elsewhere have nothing of their own to say.
            let is_silent = |view: &View| matches!(view.kind(), Kind::Absent | Kind::Spread);
            if place.untouched().is_some_and(|views| views.iter().all(is_silent)) {
                continue;
            }
            let own = usage.owner.is_some();
            let key = self.keys.number(usage.key.as_bytes());
            let views = place.views();
            found.push(Loose { place, views, map, key, prefix: &usage.prefix, own });
        }
        found
    }

    /// The place in `self.ways` of that table of names, with ways for all of them. Void ways of older names are forgotten.
    fn ways(&mut self, binding: &Binding, whole: Whole<'_>, table: u64) -> usize {
        let at = self.ways.iter().position(|ways| ways.table == table).unwrap_or_else(|| {
            self.ways.push(Ways { table, ..Ways::default() });
            self.ways.len() - 1
        });
        let Self { ways, keys, epoch, .. } = self;
        let ways = &mut ways[at];
        if ways.generation != whole.names.generation || ways.epoch != *epoch {
            ways.list.clear();
            ways.used.clear();
            (ways.any_own, ways.any_shared) = (false, false);
            ways.generation = whole.names.generation;
            ways.epoch = *epoch;
        }
        for name in ways.list.len()..whole.names.len() {
            ways.add(find_way(binding, whole, name as u32, keys));
        }
        at
    }
}

/// One state a row: an empty map is no value, so that it does not count as one.
fn states(values: &Values) -> Vec<u8> {
    let Values::Entries(ends, _) = values else { return Vec::new() };
    let mut start = 0;
    let state = |&end: &u32| {
        let empty = end == start;
        start = end;
        if empty { Absence::Missing as u8 } else { 0 }
    };
    ends.iter().map(state).collect()
}

fn find_way(binding: &Binding, whole: Whole<'_>, name: u32, keys: &mut Dictionary) -> Way {
    let name = whole.names.get(name);
    let anchor = &binding.uses[name.anchor.index()];
    let Some(map) = anchor.owner else {
        let map = binding.rest.map_or(NOWHERE, |map| map as u32);
        return Way { map, key: keys.number(name.dotted.as_bytes()), own: false };
    };
    let mut key = anchor.prefix.clone();
    for part in &name.keys {
        if !key.is_empty() {
            key.push('.');
        }
        key.push_str(part);
    }
    Way { map: map as u32, key: keys.number(key.as_bytes()), own: true }
}

fn is_hidden(binding: &Binding, hidden: &[(u32, NodeId)], at: usize, node: Option<NodeId>) -> bool {
    let Some(mut node) = node.filter(|_| !hidden.is_empty()) else { return false };
    loop {
        if hidden.iter().any(|&(row, top)| row as usize == at && top == node) {
            return true;
        }
        if node == NodeId::ROOT {
            return false;
        }
        node = binding.layout.node(node).parent;
    }
}

/// Puts a field's value into a map, objects member by member.
fn put(
    view: View,
    prefix: &str,
    key: u32,
    arena: &[u8],
    keys: &mut Dictionary,
    map: &mut Map,
    depth: usize,
) {
    match view.kind() {
        Kind::Absent | Kind::Spread => {}
        Kind::Object if depth < DEPTH_MAX && view.offset() + view.len() <= arena.len() => {
            let mut any = false;
            members(view, arena, |name, value| {
                any = true;
                let name = String::from_utf8_lossy(name);
                let path =
                    if prefix.is_empty() { name.into_owned() } else { format!("{prefix}.{name}") };
                let key = keys.number(path.as_bytes());
                put(value, &path, key, arena, keys, map, depth + 1);
            });
            if !any && !prefix.is_empty() {
                map.push(key, view);
            }
        }
        _ => map.push(key, view),
    }
}
