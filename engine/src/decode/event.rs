//! One event: its members' keys found by prediction, its values left where they stand, in one pass.

use logmon_dsl::column::{Absence, Layout, Names, View, view::Kind};

use super::{
    paths::{NONE, Paths, STEP, Target, WHOLE},
    rows::Rows,
    scan::{Baseline, Lanes},
    text::unescape,
    value::{Bounds, Cause, DEEPEST, byte, number, space, string, whole, word},
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

/// Where a walk through an event is.
struct Walk {
    at: usize,
    bounds: Bounds,
    /// Objects that are open.
    depth: usize,
    place: u32,
    /// The key of the value before; `NONE` behind an object's brace.
    previous: u32,
    /// Known from the first key on.
    shape: Option<usize>,
    /// Whether a key was met that this event already had.
    twice: bool,
}

impl Walk {
    #[inline(always)]
    fn new(at: usize, bounds: Bounds) -> Self {
        Self { at, bounds, depth: 1, place: Paths::ROOT, previous: NONE, shape: None, twice: false }
    }

    /// Counts a member against the limit.
    #[inline(always)]
    fn count(&mut self) -> Result<(), Cause> {
        self.bounds.members = self.bounds.members.checked_sub(1).ok_or(Cause::Many)?;
        Ok(())
    }
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
        bounds: Bounds,
    ) -> Result<bool, Cause> {
        let bytes = self.bytes;
        let mut walk = Walk::new(space(bytes, start), bounds);
        if walk.at >= bounds.end || byte(bytes, walk.at) != b'{' {
            return Err(Cause::Syntax);
        }
        walk.at += 1;
        // Each turn starts behind a value or behind the brace of an object.
        while walk.depth > 0 {
            let found = match self.step::<L>(&mut walk) {
                None if byte(bytes, walk.at) == b'}' => {
                    walk.at += 1;
                    None
                }
                None => self.member(&mut walk)?,
                found => found,
            };
            let Some((key, text)) = found else {
                self.leave::<LIST>(&mut walk);
                continue;
            };
            walk.count()?;
            walk.twice |= self.paths.meet(key, self.event);
            walk.previous = key;
            let view = if text {
                self.text::<L>(&mut walk)?
            } else if let Some(view) = self.value::<L>(&mut walk, key)? {
                view
            } else {
                self.enter::<LIST>(&mut walk, key)?;
                continue;
            };
            if LIST {
                self.repeats.add(key, view);
            } else {
                self.put(key, view);
            }
        }
        // What closed the event may have been the next one's.
        if walk.at > bounds.end || space(bytes, walk.at) < bounds.end {
            return Err(Cause::Syntax);
        }
        let ascii = walk.bounds.high == 0;
        if !ascii && simdutf8::basic::from_utf8(&bytes[start..bounds.end]).is_err() {
            return Err(Cause::Utf8);
        }
        Ok(walk.twice)
    }

    /// Goes to the next value by a step that was taken before: its key, and whether a text starts there.
    #[inline(always)]
    fn step<L: Lanes>(&mut self, walk: &mut Walk) -> Option<(u32, bool)> {
        let ahead = self.bytes.get(walk.at..)?.first_chunk::<STEP>()?;
        let step = if let Some(shape) = walk.shape {
            self.paths.step::<L>((walk.place, walk.previous), shape, ahead)?
        } else {
            let (step, shape) = self.paths.first_step::<L>(ahead)?;
            walk.shape = Some(shape);
            step
        };
        let at = walk.at + step.length as usize;
        // What stands behind the end belongs to the next event.
        if at > walk.bounds.end {
            return None;
        }
        // What is no text may have more space in front of it than it had.
        walk.at = if step.text { at } else { space(self.bytes, at) };
        Some((step.key, step.text))
    }

    /// Goes to the next value mark by mark; `None` behind the brace that closes the object.
    #[inline(never)]
    fn member(&mut self, walk: &mut Walk) -> Result<Option<(u32, bool)>, Cause> {
        let bytes = self.bytes;
        let from = walk.at;
        let first = walk.previous == NONE;
        let mut at = space(bytes, from);
        match byte(bytes, at) {
            b'}' => {
                walk.at = at + 1;
                return Ok(None);
            }
            b',' if !first => at = space(bytes, at + 1),
            b'"' if first => {}
            _ => return Err(Cause::Syntax),
        }
        if byte(bytes, at) != b'"' {
            return Err(Cause::Syntax);
        }
        let start = at + 1;
        // A key that reaches over the end is no key, which its closing quote tells.
        let (close, escaped) = string::<Baseline>(bytes, start, &mut walk.bounds)?;
        let key = self.learn(walk.place, &bytes[start..close], escaped)?;
        at = space(bytes, close + 1);
        if byte(bytes, at) != b':' {
            return Err(Cause::Syntax);
        }
        at = space(bytes, at + 1);
        let text = byte(bytes, at) == b'"';
        walk.at = at + usize::from(text);
        // An escaped key is never predicted: it could be spelled in another way.
        let between = &bytes[from..walk.at];
        match walk.shape {
            // Only an event's first key tells its shape: what is learned for it is looked for there alone.
            None if escaped => walk.shape = Some(0),
            None => walk.shape = Some(self.paths.shape(between, key, text)),
            Some(_) if escaped => {}
            Some(shape) => {
                let before = (walk.place, walk.previous);
                self.paths.follow(before, shape, between, (key, text));
            }
        }
        Ok(Some((key, text)))
    }

    /// Reads the text whose first byte, behind the quote, is next.
    #[inline(always)]
    fn text<L: Lanes>(&mut self, walk: &mut Walk) -> Result<View, Cause> {
        let start = walk.at;
        let (close, escaped) = string::<L>(self.bytes, start, &mut walk.bounds)?;
        walk.at = close + 1;
        let kind = if escaped { Kind::Escaped } else { Kind::Text };
        Ok(View::new(kind, start, close - start))
    }

    /// Reads a key's value. `None`: it is an object that has to be entered.
    #[inline(always)]
    fn value<L: Lanes>(&mut self, walk: &mut Walk, key: u32) -> Result<Option<View>, Cause> {
        let bytes = self.bytes;
        let start = walk.at;
        let view = match byte(bytes, start) {
            b'"' => {
                walk.at += 1;
                self.text::<L>(walk)?
            }
            opening @ (b'{' | b'[') => {
                let object = opening == b'{';
                if object && self.is_entered(key, start) {
                    return Ok(None);
                }
                walk.at = whole::<L>(bytes, start, walk.depth, &mut walk.bounds)?;
                let kind = if object { Kind::Object } else { Kind::Array };
                View::new(kind, start, walk.at - start)
            }
            b't' => {
                walk.at = word(bytes, start)?;
                View::bool(true)
            }
            b'f' => {
                walk.at = word(bytes, start)?;
                View::bool(false)
            }
            b'n' => {
                walk.at = word(bytes, start)?;
                View::absent(Absence::Null)
            }
            _ => {
                walk.at = number::<L>(bytes, start)?;
                View::new(Kind::Number, start, walk.at - start)
            }
        };
        Ok(Some(view))
    }

    /// Whether the object under a key is taken apart. An unknown one with nothing in it is an attribute like a scalar.
    #[inline(always)]
    fn is_entered(&mut self, key: u32, start: usize) -> bool {
        if self.paths.inside(key, self.layout) == WHOLE {
            return false;
        }
        let known = matches!(self.paths.target(key), Target::Field(_));
        known || byte(self.bytes, space(self.bytes, start + 1)) != b'}'
    }

    /// Goes into the object under a key.
    #[inline(always)]
    fn enter<const LIST: bool>(&mut self, walk: &mut Walk, key: u32) -> Result<(), Cause> {
        if walk.at >= walk.bounds.end {
            return Err(Cause::Syntax);
        }
        if walk.depth >= walk.bounds.max_depth {
            return Err(Cause::Deep);
        }
        let step = self.repeats.steps.len() as u32;
        if LIST {
            self.repeats.add(key, View::SPREAD);
        } else if matches!(self.paths.target(key), Target::Field(_)) {
            self.put(key, View::SPREAD);
        }
        self.around[walk.depth] = Around { place: walk.place, key, step };
        walk.depth += 1;
        walk.at += 1;
        walk.place = self.paths.inside(key, self.layout);
        walk.previous = NONE;
        Ok(())
    }

    /// Goes back to the object around the one that was just closed.
    #[inline(always)]
    fn leave<const LIST: bool>(&mut self, walk: &mut Walk) {
        walk.depth -= 1;
        if walk.depth == 0 {
            return;
        }
        let around = self.around[walk.depth];
        walk.place = around.place;
        walk.previous = around.key;
        if LIST {
            let end = self.repeats.steps.len() as u32;
            self.repeats.steps[around.step as usize].end = end;
        }
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
