//! Stack traces of Java, Python, Go and Node: what was thrown, and the frames, the innermost first.

use super::{
    items::{ListText, MapText},
    read,
    records::{FieldSpec, maybe},
};
use crate::{
    column::{Absence, Value},
    types::Type,
};

/// What `parse_stacktrace` yields.
pub(super) const FIELDS: &[FieldSpec] = &[
    ("language", Type::Text, false),
    ("type", Type::Text, true),
    ("message", Type::Text, true),
    ("frames", Type::Any, false),
    ("causes", Type::Any, false),
];

/// Languages by name.
pub(super) const LANGUAGES: &[&str] = &["auto", "java", "python", "go", "node"];

/// Frames that are kept: a runaway recursion has thousands of the same.
const FRAMES_MAX: usize = 256;

/// One frame.
struct Frame<'t> {
    function: &'t str,
    file: Option<&'t str>,
    line: Option<i64>,
}

/// What was thrown.
type Thrown<'t> = (Option<&'t str>, Option<&'t str>);

/// Frames, what was thrown, and what it was caused by.
#[derive(Default)]
struct Trace<'t> {
    thrown: Thrown<'t>,
    frames: Vec<Frame<'t>>,
    causes: Vec<Thrown<'t>>,
}

/// Reads a trace of any language that is known.
pub(super) fn auto(text: &str) -> Option<Vec<Value<'_>>> {
    python(text).or_else(|| go(text)).or_else(|| java(text)).or_else(|| node(text))
}

fn finished<'t>(language: &'static str, trace: Trace<'t>) -> Option<Vec<Value<'t>>> {
    if trace.frames.is_empty() {
        return None;
    }
    let mut frames = ListText::new();
    for frame in trace.frames.iter().take(FRAMES_MAX) {
        let mut map = MapText::new();
        map.value("function", &Value::text(frame.function));
        if let Some(file) = frame.file {
            map.value("file", &Value::text(file));
        }
        if let Some(line) = frame.line {
            map.value("line", &Value::Int(line));
        }
        frames.value(&map.finish());
    }
    let mut causes = ListText::new();
    for (kind, message) in trace.causes.iter().take(FRAMES_MAX) {
        let mut map = MapText::new();
        for (name, text) in [("type", kind), ("message", message)] {
            if let Some(text) = text {
                map.value(name, &Value::text(text));
            }
        }
        causes.value(&map.finish());
    }
    let (kind, message) = trace.thrown;
    Some(vec![
        Value::text(language),
        maybe(kind),
        Value::or_absent(message.map(Value::text), Absence::Missing),
        frames.finish(),
        causes.finish(),
    ])
}

/// `type: message`; the type is one word.
fn thrown(line: &str) -> Thrown<'_> {
    let line = line.trim();
    match line.split_once(": ") {
        Some((kind, message)) if is_name(kind) => (Some(kind), Some(message)),
        None if is_name(line.trim_end_matches(':')) => (Some(line.trim_end_matches(':')), None),
        _ => (None, Some(line)),
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '$' | '/' | '[' | ']'))
}

/// `at a.b.C.d(C.java:12)` below `a.b.E: message`, with `Caused by:` behind it.
pub(super) fn java(text: &str) -> Option<Vec<Value<'_>>> {
    let mut trace = Trace::default();
    let mut before = None;
    for line in text.lines() {
        let line = line.trim();
        if let Some(cause) = line.strip_prefix("Caused by: ") {
            trace.causes.push(thrown(cause));
        } else if let Some(frame) =
            line.strip_prefix("at ").and_then(|frame| frame.strip_suffix(')'))
        {
            let Some((function, place)) = frame.split_once('(') else { continue };
            let (file, line) = match place.rsplit_once(':') {
                Some((file, line)) => (Some(file), read::int(line)),
                None => (Some(place).filter(|place| place.ends_with(".java")), None),
            };
            let known = ["Native Method", "Unknown Source", "<generated>"].contains(&place);
            let source = file.is_some_and(|file| {
                [".java", ".kt", ".scala", ".groovy", ".clj"].iter().any(|end| file.ends_with(end))
            });
            if !known && !source {
                continue;
            }
            if trace.causes.is_empty() {
                trace.frames.push(Frame { function, file, line });
            }
        } else if trace.frames.is_empty() && trace.causes.is_empty() && !line.is_empty() {
            before = Some(line);
        }
    }
    if let Some(line) = before {
        let line = match line.strip_prefix("Exception in thread \"") {
            Some(rest) => rest.split_once("\" ").map_or(rest, |(_, rest)| rest),
            None => line,
        };
        trace.thrown = thrown(line);
    }
    finished("java", trace)
}

/// `File "x.py", line 3, in f` below `Traceback (most recent call last):`, the exception last.
pub(super) fn python(text: &str) -> Option<Vec<Value<'_>>> {
    const HEAD: &str = "Traceback (most recent call last):";
    let mut parts = text.split(HEAD);
    parts.next()?;
    let mut traces: Vec<Trace<'_>> = Vec::new();
    for part in parts.take(FRAMES_MAX) {
        let mut trace = Trace::default();
        for line in part.lines() {
            if let Some(frame) = line.trim_start().strip_prefix("File \"") {
                let Some((file, rest)) = frame.split_once('"') else { continue };
                let number = rest.trim_start_matches(", line ");
                let (number, function) = number.split_once(", in ").unwrap_or((number, "<module>"));
                let line = read::int(number.trim());
                trace.frames.push(Frame { function: function.trim(), file: Some(file), line });
            } else if !line.starts_with(' ')
                && !line.trim().is_empty()
                && !trace.frames.is_empty()
                && trace.thrown == (None, None)
            {
                trace.thrown = thrown(line);
            }
        }
        trace.frames.reverse();
        traces.push(trace);
    }
    let mut last = traces.pop()?;
    last.causes = traces.into_iter().rev().map(|trace| trace.thrown).collect();
    finished("python", last)
}

/// `panic: message`, then of the goroutine that ran a function a line and its place below.
pub(super) fn go(text: &str) -> Option<Vec<Value<'_>>> {
    let mut trace = Trace::default();
    let (mut goroutines, mut function) = (0, None);
    for line in text.lines() {
        if let Some(message) =
            line.strip_prefix("panic: ").or_else(|| line.strip_prefix("fatal error: "))
        {
            let kind = if line.starts_with("panic") { "panic" } else { "fatal error" };
            trace.thrown = (Some(kind), Some(message));
        } else if line.starts_with("goroutine ") && line.ends_with(':') {
            goroutines += 1;
        } else if goroutines == 1 {
            let place = line.trim_start();
            if place.len() < line.len() {
                let Some(function) = function.take() else { continue };
                let place = place.split(" +0x").next().unwrap_or(place);
                let (file, number) = match place.rsplit_once(':') {
                    Some((file, number)) => (file, read::int(number)),
                    None => (place, None),
                };
                trace.frames.push(Frame { function, file: Some(file), line: number });
            } else if !line.is_empty() {
                let line = line.strip_prefix("created by ").unwrap_or(line);
                let line = line.split(" in goroutine ").next().unwrap_or(line);
                function = Some(match line.rfind('(') {
                    Some(at) if line.ends_with(')') => &line[..at],
                    _ => line,
                });
            }
        }
    }
    if goroutines == 0 { None } else { finished("go", trace) }
}

/// `at f (/x.js:1:2)` or `at /x.js:1:2` below `TypeError: message`.
pub(super) fn node(text: &str) -> Option<Vec<Value<'_>>> {
    let mut trace = Trace::default();
    let mut before = None;
    for line in text.lines() {
        let line = line.trim();
        let Some(frame) = line.strip_prefix("at ") else {
            if trace.frames.is_empty() && !line.is_empty() && before.is_none() {
                // The first line of a message of several lines is the one with the type.
                before = Some(line).filter(|line| line.contains(": ") || is_name(line));
            } else if let Some(cause) = line.strip_prefix("[cause]: ") {
                trace.causes.push(thrown(cause.trim_end_matches('{')));
            }
            continue;
        };
        let (function, place) =
            match frame.strip_suffix(')').and_then(|frame| frame.rsplit_once(" (")) {
                Some((function, place)) => (function, place),
                None => ("<anonymous>", frame.trim_start_matches("async ")),
            };
        let mut parts = place.rsplitn(3, ':');
        let (column, number, file) = (parts.next(), parts.next(), parts.next());
        let numbers = column.and_then(read::int).zip(number.and_then(read::int));
        let (file, line) = match (file, numbers) {
            (Some(file), Some((_, line))) => (file, Some(line)),
            _ if place == "<anonymous>" || place.starts_with("native") => (place, None),
            _ => continue,
        };
        trace.frames.push(Frame { function, file: Some(file), line });
    }
    trace.thrown =
        before.map_or((None, None), |line| thrown(line.strip_prefix("Uncaught ").unwrap_or(line)));
    finished("node", trace)
}
