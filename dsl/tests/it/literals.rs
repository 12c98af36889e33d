//! Rules that look for many literals do what each of them would do alone, also after the text was written.

use std::sync::Arc;

use logmon_dsl::eval::NoLookups;

use crate::{plans::run_with, programs::program};

/// What a text holds, or what it is.
#[derive(Clone, Copy)]
enum Asks {
    Holds(&'static str),
    Is(&'static str),
}

const ASKED: [Asks; 24] = [
    Asks::Holds("connection reset"),
    Asks::Holds("connection refused"),
    Asks::Is("connection reset"),
    Asks::Holds("timeout"),
    Asks::Holds("time out"),
    Asks::Is("time out"),
    Asks::Is(""),
    Asks::Holds("x"),
    Asks::Holds("error 17"),
    Asks::Is("error 17"),
    Asks::Holds("größe"),
    Asks::Is("größe"),
    Asks::Holds("by peer"),
    Asks::Is("replaced: connection reset"),
    Asks::Holds("replaced: "),
    Asks::Holds("a line\nbreak"),
    Asks::Holds("time"),
    Asks::Holds("rese"),
    Asks::Holds("refu"),
    Asks::Holds("peer"),
    Asks::Holds("erro"),
    Asks::Holds("line"),
    Asks::Holds("laced"),
    Asks::Holds("break"),
];

/// Where the text is written on the way, and what is put in front of it.
const WRITES: [usize; 12] = [3, 5, 6, 7, 9, 10, 12, 14, 16, 18, 20, 22];
const WRITTEN: &str = "replaced: connection reset";

#[test]
fn many_literals_are_found_as_one_by_one() {
    let mut rules = "source app : { message: string?, ... }\nsink logs : { ... }\n".to_owned();
    for (number, asks) in ASKED.iter().enumerate() {
        let condition = match asks {
            Asks::Holds(text) => format!(".message contains {text:?}"),
            Asks::Is(text) => format!(".message == {text:?}"),
        };
        rules += &format!("rule r{number} when {condition} {{ .found_{number} = true }}\n");
        // The second half of them writes the same again: what was found before must not count.
        if WRITES.contains(&number) {
            rules += &format!(
                "rule w{number} when .message contains \"by peer\" or .turn == {number} {{ .message = \"{WRITTEN}\" }}\n"
            );
        }
    }
    rules += "default route to logs\n";
    let plan = Arc::new(program(&[("main.rules", &rules)]).plan);
    let texts = [
        "connection reset by peer",
        "connection reset",
        "upstream timeout after error 17",
        "error 17",
        "time out",
        "",
        "größe",
        "größe x",
        "a line\nbreak: connection refused",
        "nothing",
    ];
    let mut events = Vec::new();
    let mut expected = Vec::new();
    for turn in 0..150 {
        let mut text = (turn % 11 != 10).then(|| texts[turn % texts.len()]);
        let mut event = serde_json::Map::new();
        event.extend(text.map(|text| ("message".to_owned(), text.into())));
        event.insert("turn".to_owned(), (turn % 30).into());
        events.push(serde_json::Value::Object(event.clone()).to_string());
        for (number, asks) in ASKED.iter().enumerate() {
            let holds = text.is_some_and(|text| match asks {
                Asks::Holds(literal) => text.contains(literal),
                Asks::Is(literal) => text == *literal,
            });
            if holds {
                event.insert(format!("found_{number}"), true.into());
            }
            let writes = text.is_some_and(|text| text.contains("by peer")) || turn % 30 == number;
            if WRITES.contains(&number) && writes {
                text = Some(WRITTEN);
                event.insert("message".to_owned(), WRITTEN.into());
            }
        }
        expected.push(serde_json::Value::Object(event));
    }
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    let (rows, _) = run_with(&plan, &events, 0, &mut NoLookups);
    for ((row, event), expected) in rows.iter().zip(&events).zip(expected) {
        let sent = row.split_once(" logs#0 ").expect("all events are routed").1;
        let sent: serde_json::Value = serde_json::from_str(sent).unwrap();
        assert_eq!(sent, expected, "{event}");
    }
}
