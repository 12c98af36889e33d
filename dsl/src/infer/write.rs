//! What was seen, as the declaration of a type.

use std::fmt::Write as _;

use super::Seen;

/// A field's type, as it is declared.
struct Guess {
    ty: String,
    coerce: bool,
    /// What a person should know of it.
    hint: &'static str,
}

fn plain(ty: &str) -> Guess {
    Guess { ty: ty.to_owned(), coerce: false, hint: "" }
}

fn coerced(ty: &str, hint: &'static str) -> Guess {
    Guess { ty: ty.to_owned(), coerce: true, hint }
}

/// The type that the events have, as a declaration. It is a draft: samples do not show what may come.
pub fn draft(name: &str, seen: &Seen) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "# Drafted from {} events; what stands in few of them is marked.",
        seen.total
    );
    let _ = write!(out, "type {name} = ");
    record(&mut out, seen, 0, true);
    out.push('\n');
    out
}

fn record(out: &mut String, seen: &Seen, depth: usize, open: bool) {
    if seen.members.is_empty() {
        out.push_str("{ ... }");
        return;
    }
    out.push_str("{\n");
    let indent = "  ".repeat(depth + 1);
    for (key, member) in &seen.members {
        let _ = write!(out, "{indent}{}: ", written(key));
        let hint = field(out, key, member, depth + 1);
        let missing = member.present() < seen.objects;
        if missing {
            out.push('?');
        }
        if hint.coerce {
            out.push_str(" coerce");
        }
        out.push(',');
        let mut remarks: Vec<String> = Vec::new();
        if missing {
            remarks.push(format!("in {}", share(member.present(), seen.objects)));
        }
        if !hint.hint.is_empty() {
            remarks.push(hint.hint.to_owned());
        }
        if !remarks.is_empty() {
            let _ = write!(out, "  # {}", remarks.join("; "));
        }
        out.push('\n');
    }
    if open {
        let _ = writeln!(out, "{indent}...");
    }
    let _ = write!(out, "{}}}", "  ".repeat(depth));
}

/// Writes a field's type without marks and says which marks belong to it.
fn field(out: &mut String, key: &str, seen: &Seen, depth: usize) -> Guess {
    if seen.present() > 0 && seen.objects == seen.present() {
        if seen.is_map() {
            let mut all = Seen::default();
            seen.members.iter().for_each(|(_, member)| merge(&mut all, member));
            let of = guess("", &all);
            let _ = write!(out, "map<{}>", of.ty);
            return Guess { ty: String::new(), coerce: false, hint: "keys are data" };
        }
        // Objects that differ among each other will go on differing.
        let alike = seen.members.iter().all(|(_, member)| member.total == seen.objects);
        record(out, seen, depth, !alike);
        return plain("");
    }
    if seen.present() > 0 && seen.lists == seen.present() {
        out.push_str("list<");
        match &seen.elements {
            Some(elements) if elements.present() > 0 => {
                field(out, "", elements, depth);
            }
            _ => out.push_str("any"),
        }
        out.push('>');
        return plain("");
    }
    let guess = guess(key, seen);
    out.push_str(&guess.ty);
    guess
}

fn merge(all: &mut Seen, one: &Seen) {
    all.total += one.total;
    all.nulls += one.nulls;
    all.bools += one.bools;
    all.ints += one.ints;
    all.floats += one.floats;
    all.texts += one.texts;
    all.objects += one.objects;
    all.lists += one.lists;
}

/// The type of values that are no records and no lists.
fn guess(key: &str, seen: &Seen) -> Guess {
    let n = seen.present();
    let name = key.to_ascii_lowercase();
    let is_level = ["severity", "level", "lvl", "loglevel", "log_level", "priority", "pri"]
        .contains(&name.as_str());
    let is_time = ["time", "timestamp", "ts", "@timestamp", "date", "datetime"]
        .contains(&name.as_str())
        || ["_at", "_time", "_ts", "_timestamp"].iter().any(|end| name.ends_with(end));
    if n == 0 {
        return Guess { ty: "any".to_owned(), coerce: false, hint: "null only" };
    }
    if is_level && seen.severities == n {
        return coerced("severity", "");
    }
    if seen.time_texts == n {
        return plain("timestamp");
    }
    if is_time && seen.ints == n && seen.epochs == n {
        return coerced("timestamp", "numbers since 1970");
    }
    if seen.ip_texts == n {
        return plain("ip");
    }
    if seen.bools == n {
        return plain("bool");
    }
    if seen.ints == n {
        return plain("int");
    }
    if seen.ints + seen.floats == n {
        return plain("float");
    }
    if seen.int_texts > 0 && seen.ints + seen.int_texts == n {
        let hint = if seen.ints > 0 {
            "numbers, and text that holds numbers"
        } else {
            "text that holds numbers"
        };
        // Numbers in text alone may be names: a zip code, an account.
        return if seen.ints > 0 || is_counted(&name) {
            coerced("int", hint)
        } else {
            Guess {
                ty: "string".to_owned(),
                coerce: false,
                hint: "always a number: `int coerce` if it is one",
            }
        };
    }
    if seen.float_texts > 0 && seen.ints + seen.floats + seen.float_texts == n {
        return coerced("float", "text that holds numbers");
    }
    if seen.texts == n {
        return plain("string");
    }
    Guess { ty: "any".to_owned(), coerce: false, hint: "values of different types" }
}

/// Whether a field of this name holds a number that is counted or measured.
fn is_counted(name: &str) -> bool {
    const WORDS: &[&str] = &[
        "status", "code", "size", "bytes", "length", "count", "total", "duration", "latency",
        "elapsed", "ms", "seconds", "port", "line", "pid", "retries", "attempt",
    ];
    name.split(['_', '-', '.']).any(|part| WORDS.contains(&part))
}

/// A key as it is declared.
fn written(key: &str) -> String {
    let first = key.bytes().next();
    let plain = first.is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if plain {
        return key.to_owned();
    }
    let mut out = String::from("\"");
    for letter in key.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            other if other.is_control() => out.extend(other.escape_unicode()),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// A share in words: `93 %`, `under 1 %`.
fn share(part: u64, whole: u64) -> String {
    match (part * 100 / whole.max(1), part) {
        (0, 0) => "none".to_owned(),
        (0, _) => "under 1 %".to_owned(),
        (percent, _) => format!("{percent} %"),
    }
}
