//! Results of expressions, kept while what they were computed from is unchanged.

use std::{collections::HashMap, sync::Arc};

use crate::{
    column::{Column, Mask},
    plan::ExprId,
};

/// Results by expression: one place for each in the frame of events, a table where only a lambda's body is computed.
#[derive(Debug)]
pub(super) enum Memos {
    All {
        places: Vec<Option<Memo>>,
        /// The places that hold one: a plan may have thousands of expressions of which a batch needs few.
        held: Vec<u32>,
    },
    Few(HashMap<ExprId, Memo>),
}

impl Default for Memos {
    fn default() -> Self {
        Self::All { places: Vec::new(), held: Vec::new() }
    }
}

impl Memos {
    /// The result that was computed from inputs of this stamp.
    pub(super) fn get(&self, id: ExprId, stamp: u64) -> Option<&Memo> {
        let memo = match self {
            Self::All { places, .. } => places.get(id.0 as usize)?.as_ref(),
            Self::Few(memos) => memos.get(&id),
        };
        memo.filter(|memo| memo.stamp == stamp)
    }

    pub(super) fn set(&mut self, id: ExprId, memo: Memo) {
        match self {
            Self::All { places, held } => {
                let place = id.0 as usize;
                if places.len() <= place {
                    places.resize_with(place + 1, || None);
                }
                if places[place].replace(memo).is_none() {
                    held.push(id.0);
                }
            }
            Self::Few(memos) => drop(memos.insert(id, memo)),
        }
    }

    /// Lets go of all results, keeps their places.
    pub(super) fn clear(&mut self) {
        match self {
            Self::All { places, held } => {
                held.drain(..).for_each(|place| places[place as usize] = None);
            }
            Self::Few(memos) => memos.clear(),
        }
    }
}

#[derive(Debug)]
pub(super) struct Memo {
    /// The sum of the versions of all that was read: versions only grow, so equal sums mean equal inputs.
    pub(super) stamp: u64,
    /// The rows it holds for; `None` means all.
    pub(super) valid: Option<Mask>,
    pub(super) result: Computed,
}

#[derive(Debug)]
pub(super) enum Computed {
    Column(Arc<Column>),
    Mask(Mask),
}
