//! The units of a named range, each on its own way into its table.
//!
//! Invariant: a unit that may have been sent is sent again only after it was quiet, a count said that it is not there, and the broker said after
//! the count that the partition is still ours; after such an insert a second count decides, not the answer.

use super::{Effect, Examined, Input, Parked};
use crate::delivery::intent::Intent;

/// How the server answered an insert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// A complete, clean answer: success.
    Stored,
    /// The server cannot read some of the rows. They may be stored all the same, by a server that failed later.
    Unfit,
    /// Anything else: a time-out, a broken connection, an error whose meaning is not certain, or nothing was sent.
    Unclear,
}

/// How many of a unit's rows are in its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// All of them, and no other.
    All,
    /// None.
    None,
    /// Something that one insert of one block cannot have left.
    Odd,
}

/// Where a unit is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Stage {
    /// It was never sent under its present token.
    Ready,
    /// An insert is under way. `counted` is whether a count came before it: then another one comes behind it.
    Sent { counted: bool },
    /// Waits until none of its queries runs.
    Quiescing { unfit: bool },
    /// Is counted, to learn whether it is there.
    Probing { unfit: bool },
    /// It is not there, and the connection that said so is kept. `asked` is whether the commit under way began behind that.
    Absent { asked: bool },
    /// Is counted after an insert that a count preceded.
    Verifying,
    /// The server refuses some of its rows: which ones is being found out.
    Examining,
    /// They are known.
    Examined { rows: Vec<(i64, u16)>, kept: super::Entry, letters: Vec<super::Entry> },
    /// It is there.
    Done,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Unit {
    stage: Stage,
    /// Counts tokens under which the server took the unit and did not have it.
    attempt: u32,
}

/// The units of a range.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Work {
    units: Vec<Unit>,
    /// Whether the intent is being committed once more, before units are sent again.
    pub(super) confirming: bool,
}

impl Work {
    /// Units of which nothing was ever sent.
    pub(super) fn fresh(count: usize) -> Self {
        Self { units: vec![Unit { stage: Stage::Ready, attempt: 0 }; count], confirming: false }
    }

    /// Units that an earlier owner may have sent.
    pub(super) fn suspect(count: usize, out: &mut Vec<Effect>) -> Self {
        out.extend((0..count).map(Effect::Quiesce));
        let stage = Stage::Quiescing { unfit: false };
        Self { units: vec![Unit { stage, attempt: 0 }; count], confirming: false }
    }

    /// Sends what is ready.
    pub(super) fn send(mut self, intent: &Intent, leaving: bool, out: &mut Vec<Effect>) -> Self {
        if leaving {
            return self;
        }
        for (index, unit) in self.units.iter_mut().enumerate() {
            if unit.stage == Stage::Ready {
                unit.stage = Stage::Sent { counted: false };
                out.push(insert(intent, index, unit.attempt));
            }
        }
        self
    }

    /// Whether units wait to be sent again: they go with the commit that begins now.
    pub(super) fn ask(&mut self) -> bool {
        let mut any = false;
        for unit in &mut self.units {
            if let Stage::Absent { asked } = &mut unit.stage {
                any = true;
                *asked = true;
            }
        }
        any
    }

    /// The broker has the intent once more: what was absent before it was asked is sent on the connection that said so.
    pub(super) fn confirmed(&mut self, intent: &Intent, leaving: bool, out: &mut Vec<Effect>) {
        self.confirming = false;
        if leaving {
            return;
        }
        for (index, unit) in self.units.iter_mut().enumerate() {
            if unit.stage == (Stage::Absent { asked: true }) {
                unit.stage = Stage::Sent { counted: true };
                out.push(insert(intent, index, unit.attempt));
            }
        }
    }

    /// Whether every unit is there.
    pub(super) fn is_done(&self) -> bool {
        !self.confirming && self.units.iter().all(|unit| unit.stage == Stage::Done)
    }

    /// Whether an insert or a count that decides one is under way.
    pub(super) fn is_sending(&self) -> bool {
        self.units.iter().any(|unit| matches!(unit.stage, Stage::Sent { .. } | Stage::Verifying))
    }

    /// Whether all units are either there or wait for rows to be taken out, and at least one does.
    pub(super) fn waits_for_cut(&self) -> bool {
        let at_rest = |unit: &Unit| matches!(unit.stage, Stage::Done | Stage::Examined { .. });
        !self.confirming && self.units.iter().all(at_rest)
    }

    /// The units that wait for rows to be taken out.
    pub(super) fn cut(&self) -> Vec<(usize, Examined)> {
        let examined = |unit: &Unit| match &unit.stage {
            Stage::Examined { rows, kept, letters } => {
                Some(Examined { kept: *kept, letters: letters.clone(), rows: rows.clone() })
            }
            _ => None,
        };
        let all = self.units.iter().enumerate();
        all.filter_map(|(index, unit)| Some((index, examined(unit)?))).collect()
    }

    /// A unit was cut: it begins anew under another token, and its letters are more units.
    pub(super) fn add(&mut self, unit: usize, empty: bool, letters: usize) {
        let stage = if empty { Stage::Done } else { Stage::Ready };
        self.units[unit] = Unit { stage, attempt: 0 };
        let ready = Unit { stage: Stage::Ready, attempt: 0 };
        self.units.extend(std::iter::repeat_n(ready, letters));
    }

    /// Takes in what happened to one unit.
    pub(super) fn step(
        &mut self,
        input: Input,
        leaving: bool,
        out: &mut Vec<Effect>,
    ) -> Option<Parked> {
        let index = match &input {
            Input::Replied(unit, _)
            | Input::Quiet(unit)
            | Input::Counted(unit, _)
            | Input::Lost(unit)
            | Input::Examined(unit, _) => *unit,
            _ => return None,
        };
        let unit = self.units.get_mut(index)?;
        let mut then = |effect| {
            if !leaving {
                out.push(effect);
            }
        };
        unit.stage = match (std::mem::replace(&mut unit.stage, Stage::Done), input) {
            (Stage::Sent { counted: false }, Input::Replied(_, Reply::Stored)) => Stage::Done,
            (Stage::Sent { counted: true }, Input::Replied(_, Reply::Stored)) => {
                // Also while leaving: it ends what is under way.
                out.push(Effect::Count(index));
                Stage::Verifying
            }
            (Stage::Sent { .. }, Input::Replied(_, reply)) => {
                then(Effect::Quiesce(index));
                Stage::Quiescing { unfit: reply == Reply::Unfit }
            }
            (Stage::Sent { .. }, Input::Lost(_)) => {
                then(Effect::Quiesce(index));
                Stage::Quiescing { unfit: false }
            }
            (Stage::Quiescing { unfit }, Input::Quiet(_)) => {
                then(Effect::Count(index));
                Stage::Probing { unfit }
            }
            (Stage::Probing { .. } | Stage::Verifying, Input::Counted(_, Count::All)) => {
                Stage::Done
            }
            (Stage::Probing { .. } | Stage::Verifying, Input::Counted(_, Count::Odd)) => {
                return Some(Parked::Inconsistent(index));
            }
            (Stage::Probing { unfit: true }, Input::Counted(_, Count::None)) => {
                then(Effect::Examine(index));
                Stage::Examining
            }
            (stage @ Stage::Probing { .. }, Input::Counted(..)) if leaving => stage,
            (stage @ Stage::Verifying, Input::Counted(..)) if leaving => stage,
            (Stage::Probing { unfit: false }, Input::Counted(_, Count::None)) => {
                Stage::Absent { asked: false }
            }
            (Stage::Verifying, Input::Counted(_, Count::None)) => {
                // The server knows the token and has no rows: a crash of its own between the two. Only another token can bring them there.
                unit.attempt += 1;
                Stage::Absent { asked: false }
            }
            (Stage::Probing { unfit }, Input::Lost(_)) => {
                then(Effect::Quiesce(index));
                Stage::Quiescing { unfit }
            }
            (Stage::Verifying, Input::Lost(_)) => {
                then(Effect::Quiesce(index));
                Stage::Quiescing { unfit: false }
            }
            (Stage::Examining, Input::Examined(_, Examined { kept, letters, rows })) => {
                if rows.is_empty() {
                    return Some(Parked::Refused(index));
                }
                Stage::Examined { rows, kept, letters }
            }
            // The server that was asked to look broke down, or takes the rows by now.
            (Stage::Examining, Input::Lost(_)) => {
                then(Effect::Quiesce(index));
                Stage::Quiescing { unfit: false }
            }
            (stage, _) => stage,
        };
        None
    }
}

fn insert(intent: &Intent, unit: usize, attempt: u32) -> Effect {
    Effect::Insert { unit, cut: intent.cut(unit), attempt }
}
