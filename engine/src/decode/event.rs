//! One event: its members' keys found by prediction, its values left where they stand, in one pass.

use logmon_dsl::column::{Absence, Layout, Names, View, view::Kind};

use super::{
    paths::{NONE, Paths, Target, WHOLE},
    rows::Rows,
    scan::{Baseline, Lanes},
    text::unescape,
    value::{Bounds, Cause, DEEPEST, block, byte, number, space, string, whole, word},
};

/// What reading an event needs at hand.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) layout: &'a Layout,
    pub(super) names: &'a mut Names,
    pub(super) paths: &'a mut Paths,
    pub(super) rows: &'a mut Rows,
    pub(super) repeats: &'a mut Repeats,
    /// The objects around the one that is being read.
    pub(super) around: [Around; DEEPEST + 1],
    /// The event's number.
    pub(super) event: u32,
}

/// An object around the one that is being read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Around {
    place: u32,
    /// The key whose object was opened.
    key: u32,
    /// Where that stands in the list of steps, when there is one.
    step: u32,
}

/// An event in which a key stands twice, as a list of what was met.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    steps: Vec<Step>,
    /// For each key the last step at its place.
    last: Vec<u32>,
}

/// A key and its value. What an object holds follows it.
#[derive(Debug, Clone, Copy)]
struct Step {
    key: u32,
    view: View,
    /// The step behind the value and all that it holds.
    end: u32,
}

impl Reader<'_> {
    /// Reads an event into the current row; on an error the row has to be taken back.
    #[inline(always)]
    pub(super) fn event<L: Lanes>(&mut self, start: usize, bounds: Bounds) -> Result<(), Cause> {
        if self.walk::<L, false>(start, bounds)? {
            self.last_wins(start, bounds)?;
        }
        Ok(())
    }

    /// Writes the event again, and of each key that stands twice in an object only the last. Rare, so a second walk
    /// costs less than care in the first.
    #[cold]
    #[inline(never)]
    fn last_wins(&mut self, start: usize, bounds: Bounds) -> Result<(), Cause> {
        self.rows.take_back();
        self.repeats.steps.clear();
        self.walk::<Baseline, true>(start, bounds)?;
        self.repeats.last.resize(self.paths.len(), 0);
        self.settle(0, self.repeats.steps.len());
        Ok(())
    }

    /// Writes the steps of one object, the last of each key.
    fn settle(&mut self, start: usize, end: usize) {
        let mut at = start;
        while at < end {
            let step = self.repeats.steps[at];
            self.repeats.last[step.key as usize] = at as u32;
            at = step.end as usize;
        }
        at = start;
        while at < end {
            let step = self.repeats.steps[at];
            let behind = step.end as usize;
            if self.repeats.last[step.key as usize] == at as u32 {
                let object = step.view == View::SPREAD;
                if !object || matches!(self.paths.target(step.key), Target::Field(_)) {
                    self.put(step.key, step.view);
                }
                if object {
                    // No deeper than the limits let the walk go.
                    self.settle(at + 1, behind);
                }
            }
            at = behind;
        }
    }

    /// Reads an event and says whether a key was met twice. With `LIST` it is put down in steps rather than written.
    #[inline(always)]
    fn walk<L: Lanes, const LIST: bool>(
        &mut self,
        start: usize,
        mut bounds: Bounds,
    ) -> Result<bool, Cause> {
        let bytes = self.bytes;
        let mut twice = false;
        let mut at = space(bytes, start);
        if at >= bounds.end || byte(bytes, at) != b'{' {
            return Err(Cause::Syntax);
        }
        at += 1;
        let mut depth = 1;
        let mut place = Paths::ROOT;
        let mut shape = None;
        // The member before, and the key that is likely to be next.
        let (mut previous, mut likely) = (NONE, NONE);
        'object: loop {
            at = space(bytes, at);
            let mut empty = byte(bytes, at) == b'}';
            'member: loop {
                if !empty {
                    if byte(bytes, at) != b'"' {
                        return Err(Cause::Syntax);
                    }
                    at += 1;
                    let ahead = block(bytes, at)?;
                    let found = match shape {
                        Some(shape) => self.expect::<L>(likely, shape, ahead),
                        None => self.paths.expect_first::<L>(ahead).map(|(key, length, first)| {
                            shape = Some(first);
                            (key, length)
                        }),
                    };
                    let key = if let Some((key, length)) = found {
                        at += length;
                        key
                    } else {
                        let (close, escaped) = string::<L>(bytes, at, &mut bounds)?;
                        let key = self.learn(place, &bytes[at..close], escaped)?;
                        let shape = *shape.get_or_insert_with(|| self.paths.shape(key));
                        self.paths.follow(place, previous, shape, key);
                        at = close + 1;
                        key
                    };
                    // A key that reaches over the end is no key: what stands there belongs to the next event.
                    if at > bounds.end {
                        return Err(Cause::Syntax);
                    }
                    bounds.members = bounds.members.checked_sub(1).ok_or(Cause::Many)?;
                    twice |= self.paths.meet(key, self.event);
                    let shape = shape.unwrap_or_default();
                    previous = key;
                    likely = self.paths.next(key, shape);
                    if byte(bytes, at) != b':' {
                        at = space(bytes, at);
                        if byte(bytes, at) != b':' {
                            return Err(Cause::Syntax);
                        }
                    }
                    at = space(bytes, at + 1);
                    let value = at;
                    let view = match byte(bytes, at) {
                        b'"' => {
                            let (close, escaped) = string::<L>(bytes, at + 1, &mut bounds)?;
                            at = close + 1;
                            let kind = if escaped { Kind::Escaped } else { Kind::Text };
                            View::new(kind, value + 1, close - value - 1)
                        }
                        opening @ (b'{' | b'[') => {
                            let object = opening == b'{';
                            let inside =
                                if object { self.paths.inside(key, self.layout) } else { WHOLE };
                            if inside != WHOLE {
                                let known = matches!(self.paths.target(key), Target::Field(_));
                                let first = space(bytes, at + 1);
                                // An unknown object with nothing in it is an attribute like a scalar.
                                if known || byte(bytes, first) != b'}' {
                                    if at >= bounds.end {
                                        return Err(Cause::Syntax);
                                    }
                                    if depth >= bounds.max_depth {
                                        return Err(Cause::Deep);
                                    }
                                    let step = self.repeats.steps.len() as u32;
                                    if LIST {
                                        self.repeats.add(key, View::SPREAD);
                                    } else if known {
                                        self.put(key, View::SPREAD);
                                    }
                                    self.around[depth] = Around { place, key, step };
                                    depth += 1;
                                    place = inside;
                                    previous = NONE;
                                    likely = self.paths.first(place, shape);
                                    at = first;
                                    continue 'object;
                                }
                            }
                            at = whole::<L>(bytes, at, depth, &mut bounds)?;
                            let kind = if object { Kind::Object } else { Kind::Array };
                            View::new(kind, value, at - value)
                        }
                        b't' => {
                            at = word(bytes, at)?;
                            View::bool(true)
                        }
                        b'f' => {
                            at = word(bytes, at)?;
                            View::bool(false)
                        }
                        b'n' => {
                            at = word(bytes, at)?;
                            View::absent(Absence::Null)
                        }
                        _ => {
                            at = number(bytes, at)?;
                            View::new(Kind::Number, value, at - value)
                        }
                    };
                    if LIST {
                        self.repeats.add(key, view);
                    } else {
                        self.put(key, view);
                    }
                }
                empty = false;
                // Behind a value, or at the brace of an empty object.
                loop {
                    at = space(bytes, at);
                    match byte(bytes, at) {
                        b',' => {
                            at = space(bytes, at + 1);
                            continue 'member;
                        }
                        b'}' => {
                            at += 1;
                            depth -= 1;
                            if depth == 0 {
                                break 'object;
                            }
                            let around = self.around[depth];
                            place = around.place;
                            previous = around.key;
                            likely = self.paths.next(previous, shape.unwrap_or_default());
                            if LIST {
                                let end = self.repeats.steps.len() as u32;
                                self.repeats.steps[around.step as usize].end = end;
                            }
                        }
                        _ => return Err(Cause::Syntax),
                    }
                }
            }
        }
        if at > bounds.end || space(bytes, at) < bounds.end {
            return Err(Cause::Syntax);
        }
        if bounds.high != 0 && simdutf8::basic::from_utf8(&bytes[start..bounds.end]).is_err() {
            return Err(Cause::Utf8);
        }
        Ok(twice)
    }

    /// The likely key, or the one after it: optional keys are left out now and then.
    #[inline(always)]
    fn expect<L: Lanes>(
        &self,
        likely: u32,
        shape: usize,
        ahead: &[u8; super::scan::BLOCK],
    ) -> Option<(u32, usize)> {
        if let Some(length) = self.paths.expect::<L>(likely, ahead) {
            return Some((likely, length));
        }
        let second = self.paths.next(likely, shape);
        Some((second, self.paths.expect::<L>(second, ahead)?))
    }

    /// The key that nobody expected.
    #[inline(never)]
    fn learn(&mut self, place: u32, raw: &[u8], escaped: bool) -> Result<u32, Cause> {
        if escaped {
            return Ok(self.paths.find(place, &unescape(raw).ok_or(Cause::Syntax)?));
        }
        Ok(self.paths.find(place, std::str::from_utf8(raw).map_err(|_| Cause::Utf8)?))
    }

    /// Writes a value where its key's values go.
    #[inline(always)]
    fn put(&mut self, key: u32, view: View) {
        match self.paths.target(key) {
            Target::Field(node) => self.rows.set(node, view),
            Target::Name(name) => self.rows.add(name, view),
            Target::Unnamed => {
                let name = self.paths.name(key, self.layout, self.names);
                self.rows.add(name, view);
            }
        }
    }
}

impl Repeats {
    fn add(&mut self, key: u32, view: View) {
        let end = self.steps.len() as u32 + 1;
        self.steps.push(Step { key, view, end });
    }
}
