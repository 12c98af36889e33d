//! Names in other styles: `userAgent`, `user_agent`, `user-agent`, `User Agent`.

use super::{
    RowArg,
    signature::{WRONG_TYPE, choice_arg, text_ref},
};
use crate::{column::Value, eval::RowContext};

/// The styles that `recase` knows.
pub(super) const STYLES: &[&str] = &["snake", "camel", "pascal", "kebab", "title"];

/// What computes `recase`.
pub(super) fn kernel<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some((text, style)) = text_ref(args, 0).zip(choice_arg(args, 1)) else {
        return WRONG_TYPE;
    };
    let words = words(text);
    let joined = |sep: &str, word: fn(usize, &str) -> String| {
        let words: Vec<String> = words.iter().enumerate().map(|(ix, w)| word(ix, w)).collect();
        words.join(sep)
    };
    Value::owned(match style {
        "snake" => joined("_", |_, word| word.to_lowercase()),
        "kebab" => joined("-", |_, word| word.to_lowercase()),
        "title" => joined(" ", |_, word| capitalized(word)),
        "pascal" => joined("", |_, word| capitalized(word)),
        "camel" => {
            joined("", |ix, word| if ix == 0 { word.to_lowercase() } else { capitalized(word) })
        }
        _ => return WRONG_TYPE,
    })
}

fn capitalized(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars.flat_map(char::to_lowercase)).collect()
    })
}

/// Splits at everything that is no letter or digit, between `aB`, and before the last capital of `HTTPServer`.
fn words(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut words = Vec::new();
    let mut word = String::new();
    for (at, &c) in chars.iter().enumerate() {
        if !c.is_alphanumeric() {
            words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
            continue;
        }
        let before = at.checked_sub(1).map(|before| chars[before]);
        let starts = c.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase()
                    || before.is_ascii_digit()
                    || (before.is_uppercase()
                        && chars.get(at + 1).is_some_and(|next| next.is_lowercase()))
            });
        if starts && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        word.push(c);
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}
