//! "Did you mean": the known word nearest to a misspelt one.

/// Returns the candidate that is nearest to a word, if it is near at all; the first of equals.
///
/// Near is a third of the letters, at least one, counting swapped neighbors as one mistake.
pub fn nearest<'w>(word: &str, candidates: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    // Longer words are not names that somebody misspelt, and the distance costs their product.
    const MAX_LETTERS: usize = 64;
    let word: Vec<char> = word.chars().take(MAX_LETTERS + 1).collect();
    if MAX_LETTERS < word.len() {
        return None;
    }
    let limit = (word.len() / 3).max(1);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let letters: Vec<char> = candidate.chars().collect();
        if letters.len().abs_diff(word.len()) > limit {
            continue;
        }
        let distance = distance(&word, &letters);
        if distance <= limit
            && distance < word.len().min(letters.len())
            && best.is_none_or(|(shortest, _)| distance < shortest)
        {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Counts the letters to insert, remove, replace or swap.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut cost = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if 0 < i && 0 < j && a[i - 1] == *y && b[j - 1] == *x {
                cost = cost.min(before[j - 1] + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let words = ["route", "drop", "rule", "rename"];
        for (word, near) in [
            ("rout", Some("route")),
            ("ruote", Some("route")),
            ("drpo", Some("drop")),
            ("ruel", Some("rule")),
            ("filter", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(nearest(word, words), near, "{word}");
        }
    }
}
