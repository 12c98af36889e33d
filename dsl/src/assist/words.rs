//! The words of the language with a sentence each, and signatures of functions, as an editor shows them.

use crate::functions::{Function, Param, Takes};

/// A word that may start something, with what follows it and what it does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word {
    pub(super) name: &'static str,
    /// The text to insert; `$1` is where the cursor goes first.
    pub(super) snippet: &'static str,
    pub(super) doc: &'static str,
}

const fn word(name: &'static str, snippet: &'static str, doc: &'static str) -> Word {
    Word { name, snippet, doc }
}

/// What starts a declaration.
pub(super) const DECLARATIONS: &[Word] = &[
    word("use", "use \"$1\"", "Takes the names of another file; `as x` puts `x::` before them."),
    word("include", "include \"$1\"", "Runs the rules of another file at this place."),
    word("default", "default route to $1", "Where an event goes that no rule routed or dropped."),
    word(
        "const",
        "const $1 = $2",
        "A value with a name; also `lines(\"file\")` and `cidrs(\"file\")`.",
    ),
    word("enum", "enum $1 { $2 }", "A closed set of names; `ordered` ones compare with `<`."),
    word("type", "type $1 = { $2 }", "A shape with a name."),
    word("source", "source $1 : $2", "Where events come from, and what they look like."),
    word("lookup", "lookup $1($2) -> $3", "Outside knowledge by key."),
    word("sink", "sink $1 : table(\"$2\")", "Where events go."),
    word("fn", "fn $1($2) -> $3 = $4", "An expression with parameters."),
    word(
        "rule",
        "rule $1 on $2 when $3 {\n  $4\n}",
        "What happens to the events for which a condition holds.",
    ),
    word(
        "group",
        "group $1 first {\n  $2\n}",
        "Rules that share a condition; with `first` only one of them takes an event.",
    ),
    word("window", "window $1 on $2 {\n  over $3\n}", "Aggregates over stretches of event time."),
    word(
        "alert",
        "alert $1 on $2 {\n  over $3\n  fire when $4\n}",
        "A window with a condition that people are told about.",
    ),
    word(
        "test",
        "test \"$1\" {\n  given { $2 }\n  expect $3\n}",
        "Events, and what must become of them.",
    ),
];

/// What starts a statement.
pub(super) const STATEMENTS: &[Word] = &[
    word(
        "let",
        "let $1 = $2",
        "Gives a value a name in the rest of the block; `else { … }` runs where it is absent.",
    ),
    word("if", "if $1 {\n  $2\n}", "Statements for the events for which a condition holds."),
    word("drop", "drop as \"$1\"", "Ends the event; routes already made stand."),
    word("return", "return", "Ends this rule for the event."),
    word("route", "route to $1", "Sends the event as it is now to a sink; ends nothing."),
    word(
        "sample",
        "sample $1% by $2",
        "Keeps a share of the events, decided by a hash; survivors carry `.sample_weight`.",
    ),
    word("limit", "limit $1/s by $2", "Lets so many events a second pass for each key."),
    word("dedup", "dedup by $1 within $2", "Lets the first event of each key pass."),
    word(
        "emit",
        "emit each $1 as $2",
        "Runs the rest of the program once for each element of a list.",
    ),
    word("count", "count $1 by $2", "Adds to a metric."),
    word("del", "del $1", "Removes fields."),
    word("keep", "keep $1", "Removes all other fields."),
    word("rename", "rename $1 -> $2", "Moves a field."),
    word("tag", "tag \"$1\"", "Appends to `.tags` what is not in it yet."),
];

/// What starts a step of a test.
pub(super) const STEPS: &[Word] = &[
    word(
        "given",
        "given { $1 }",
        "Sends an event; required fields that are left out are filled in.",
    ),
    word("expect", "expect $1", "What must have become of the last event, or a condition."),
    word("at", "at t\"$1\"", "Sets the test's clock."),
    word("advance", "advance $1", "Moves the test's clock."),
    word("mock", "mock $1 { $2 => $3 }", "What a lookup answers."),
];

/// What may follow `expect`.
pub(super) const EXPECTATIONS: &[Word] = &[
    word("dropped", "dropped by $1", "A rule dropped the last event."),
    word("routed", "routed to $1", "The last event reached a sink."),
    word("fired", "fired by $1", "The alert fired."),
    word("silent", "silent by $1", "The alert did not fire."),
    word("passed", "passed == $1", "How many events were not dropped since the test began."),
    word(
        "dropped_by",
        "dropped_by($1) == $2",
        "How many events a rule dropped since the test began.",
    ),
    word("metric", "metric(\"$1\", rule: $2) == $3", "What a rule counted since the test began."),
];

/// What starts a clause of a window or an alert.
pub(super) const CLAUSES: &[Word] = &[
    word(
        "over",
        "over $1",
        "The window's length; `every` says how often, `late` how long late events are waited for.",
    ),
    word("by", "by $1", "One window for each key."),
    word("let", "let $1 = $2", "An aggregate with a name."),
    word("route", "route to $1", "Where the window's rows go."),
    word("fire", "fire when $1 for $2", "When the alert fires."),
    word("severity", "severity $1", "How bad it is."),
    word("summary", "summary f\"$1\"", "What happened, in a line."),
    word("runbook", "runbook \"$1\"", "Where to read what to do."),
    word("notify", "notify $1", "Whom to tell."),
    word("labels", "labels { $1 }", "Labels for whoever receives it."),
];

/// Words inside expressions.
pub(super) const EXPRESSIONS: &[Word] = &[
    word("and", "and ", "Both hold; an absent operand counts as false."),
    word("or", "or ", "One of them holds."),
    word("not", "not ", "True where the operand is not, also on absent values."),
    word(
        "in",
        "in ",
        "Is one of a list, in a block of addresses, or the value of a list constant.",
    ),
    word("is", "is ", "`absent`, `missing`, `null`, `present`, or a type."),
    word("contains", "contains ", "Text inside text, or an element of a list."),
    word("starts_with", "starts_with ", "How text begins."),
    word("ends_with", "ends_with ", "How text ends."),
    word("matches", "matches re\"$1\"", "A regex fits somewhere in the text."),
    word("like", "like glob\"$1\"", "The whole text fits: `*` is any run, `?` one character."),
    word("has", "has \"$1\"", "The text has this word."),
    word("if", "if $1 { $2 } else { $3 }", "One of two values."),
    word(
        "match",
        "match $1 {\n  $2 => $3,\n  _ => $4,\n}",
        "The value of the first arm that fits.",
    ),
    word("true", "true", "The truth value."),
    word("false", "false", "The truth value."),
    word("null", "null", "JSON null."),
];

/// Aggregates of windows and alerts.
pub(super) const AGGREGATES: &[(&str, &str)] = &[
    ("count", "How many events; `where` says which."),
    ("sum", "The sum of a number."),
    ("avg", "The mean of a number."),
    ("min", "The smallest value."),
    ("max", "The largest value."),
    ("quantile", "The value that this share of the values does not pass."),
    ("uniq", "How many different values."),
    ("rate", "Events a second."),
    ("any", "Some value that is there."),
    ("first", "The first value."),
    ("last", "The last value."),
    ("top", "The most frequent values."),
    ("stddev", "How far the values lie from their mean."),
];

/// Metadata, each with its type.
pub(super) const METADATA: &[(&str, &str, &str)] = &[
    ("topic", "string", "The Kafka topic."),
    ("partition", "int", "The Kafka partition."),
    ("offset", "int", "The record's offset."),
    ("key", "string?", "The record's key."),
    ("ingest_time", "timestamp", "The record's time."),
    ("headers", "map<string>", "The record's headers: `@headers.\"x\"`."),
    ("source", "string", "The source that read the event."),
];

/// Attributes of declarations.
pub(super) const ATTRIBUTES: &[Word] = &[
    word("owner", "owner(\"$1\")", "Who decided it."),
    word("expires", "expires(t\"$1\")", "When it must be looked at again."),
    word("shadow", "shadow", "Evaluates and counts, does not act."),
    word("canary", "canary($1%)", "Acts on a share of the events."),
    word("pin", "pin", "Stays as it is."),
    word("was", "was(\"$1\")", "Its old name, so that metrics stay joined."),
    word("allow", "allow(\"$1\")", "Silences a warning here."),
    word("accepts_sensitive", "accepts_sensitive", "Of a sink: takes fields marked `sensitive`."),
];

/// Types that are built in.
pub(super) const TYPES: &[(&str, &str)] = &[
    ("bool", "true or false"),
    ("int", "64 bits, signed"),
    ("float", "64 bits, never NaN"),
    ("string", "UTF-8 text"),
    ("timestamp", "nanoseconds in UTC"),
    ("duration", "a length of time"),
    ("ip", "an address, IPv4 or IPv6"),
    ("cidr", "a block of addresses"),
    ("severity", "trace < debug < info < notice < warn < error < critical < fatal"),
    ("any", "a JSON value that nobody declared"),
    ("list", "list<T>"),
    ("map", "map<T>: keys are text"),
    ("Log", "the built-in shape of log events"),
    ("Geo", "what databases of places know of an address"),
];

/// What `is` asks for.
pub(super) const PRESENCE: &[(&str, &str)] = &[
    ("absent", "missing, null or a fault"),
    ("missing", "not there at all"),
    ("null", "JSON null"),
    ("present", "there, with a value"),
];

/// The sentence of a word, wherever it may stand.
pub(super) fn doc(word: &str) -> Option<&'static str> {
    [DECLARATIONS, STATEMENTS, STEPS, EXPECTATIONS, CLAUSES, EXPRESSIONS]
        .into_iter()
        .flatten()
        .find(|known| known.name == word)
        .map(|known| known.doc)
        .or_else(|| PRESENCE.iter().find(|(known, _)| *known == word).map(|(_, doc)| *doc))
        .or_else(|| TYPES.iter().find(|(known, _)| *known == word).map(|(_, doc)| *doc))
}

/// A function as it is declared: `name(a: string, b?: int) -> string?`.
pub fn function_signature(function: &Function) -> String {
    let params: Vec<String> = function.params.iter().map(parameter).collect();
    let result = (function.returns)(&vec![None; function.params.len()]);
    format!("{}({}) -> {result}", function.name, params.join(", "))
}

/// A parameter of a function as it is declared.
pub(super) fn parameter(param: &Param) -> String {
    let mark = if param.optional && !param.rest { "?" } else { "" };
    let rest = if param.rest { "…" } else { "" };
    format!("{}{mark}: {}{rest}", param.name, takes(param.takes))
}

fn takes(takes: Takes) -> String {
    match takes {
        Takes::Any => "any".to_owned(),
        Takes::Type(ty) => ty().to_string(),
        Takes::Number => "int | float".to_owned(),
        Takes::List => "list".to_owned(),
        Takes::Map => "map".to_owned(),
        Takes::Sized => "string | list | map".to_owned(),
        Takes::Countable => "string | bytes | list | map".to_owned(),
        Takes::TextOrBytes => "string | bytes".to_owned(),
        Takes::Formats => "list<string>".to_owned(),
        Takes::Choice(options) => options.join(" | "),
        Takes::Regex => "re\"…\"".to_owned(),
        Takes::TextOrRegex => "string | re\"…\"".to_owned(),
        Takes::Detectors(options) => format!("[re\"…\" | {}]", options.join(" | ")),
        Takes::Pattern => "pat\"…\"".to_owned(),
        Takes::Grok => "grok\"…\"".to_owned(),
        Takes::Secret => "secret(…)".to_owned(),
        Takes::Lambda(_) => "|…| …".to_owned(),
        Takes::TextOrLambda => "string | |text| …".to_owned(),
    }
}

/// Bare names that an argument may be.
pub(super) fn choices(param: &Param) -> &'static [&'static str] {
    match param.takes {
        Takes::Choice(options) | Takes::Detectors(options) => options,
        _ => &[],
    }
}
