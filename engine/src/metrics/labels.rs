//! A bound on the values of a label whose texts come from elsewhere.

use std::{collections::BTreeSet, sync::Mutex};

/// A hundred reasons are more than a person reads; past them a series each would only cost memory.
const VALUES_MAX: usize = 100;
/// What every further value is counted as.
const OTHER: &str = "other";

/// Lets the first hundred values of a label through and calls the rest `other`.
#[derive(Debug, Default)]
pub struct Capped {
    seen: Mutex<BTreeSet<String>>,
}

impl Capped {
    /// The value, or `other` once there are too many.
    pub fn cap<'a>(&self, value: &'a str) -> &'a str {
        let mut seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if seen.contains(value) {
            return value;
        }
        if seen.len() >= VALUES_MAX {
            return OTHER;
        }
        seen.insert(value.to_owned());
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hundred_and_first_value_is_other_and_known_ones_stay() {
        let capped = Capped::default();
        let values: Vec<String> = (0..=VALUES_MAX).map(|n| format!("reason-{n}")).collect();
        for value in &values[..VALUES_MAX] {
            assert_eq!(capped.cap(value), value);
        }
        assert_eq!(capped.cap(&values[VALUES_MAX]), OTHER);
        assert_eq!(capped.cap("reason-7"), "reason-7");
    }
}
