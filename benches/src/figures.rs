//! The same thing measured several times: the middle one says what to expect, the best one what it costs undisturbed.

use serde::Serialize;

/// One round's value after the other.
#[derive(Debug, Clone, Default)]
pub struct Figure {
    rounds: Vec<f64>,
}

/// What rounds come to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Summary {
    /// The middle one.
    pub median: f64,
    /// The smallest one.
    pub least: f64,
    /// The largest one.
    pub most: f64,
}

impl Figure {
    /// Adds a round.
    pub fn add(&mut self, value: f64) {
        self.rounds.push(value);
    }

    /// Median, least and most; zeros without rounds.
    pub fn summary(&self) -> Summary {
        let mut sorted = self.rounds.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |place: usize| sorted.get(place).copied().unwrap_or_default();
        let last = sorted.len().saturating_sub(1);
        let median = f64::midpoint(at(last / 2), at(last.div_ceil(2)));
        Summary { median, least: at(0), most: at(last) }
    }
}
