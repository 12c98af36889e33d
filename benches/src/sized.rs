//! Events of a size and a number of members, with all that the ten rules read.

use crate::events::{
    Json, Line, METHODS, NAMES, PARTS, Part, RESOURCES, Random, SERVICES, message,
};

/// What events are to be like.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Size {
    /// Bytes of JSON, on average.
    pub bytes: usize,
    /// Members, those of inner objects counted.
    pub members: usize,
}

/// From a terse line to a document.
pub const SIZES: [Size; 4] = [
    Size { bytes: 250, members: 10 },
    Size { bytes: 650, members: 30 },
    Size { bytes: 2048, members: 60 },
    Size { bytes: 8192, members: 120 },
];

/// The members that every event has: what the ten rules read.
const CORE: usize = 10;

/// Words that fill a text.
const WORDS: [&str; 8] =
    ["request", "upstream", "from", "shard", "attempt", "finished", "without", "region"];

/// That many events.
pub fn sized(size: Size, count: usize, seed: u64) -> Vec<String> {
    let mut random = Random::new(seed);
    (0..count).map(|index| event(size, &mut random, index)).collect()
}

fn event(size: Size, random: &mut Random, index: usize) -> String {
    let service = random.below(SERVICES * PARTS.len());
    let mut line = Line { json: Json::new(false), random, index, service };
    line.json.open();
    line.field(Part::Timestamp);
    line.field(Part::Severity);
    let Line { json, random, service, .. } = &mut line;
    json.text(
        "service",
        format_args!("{}-{}", NAMES[*service % SERVICES], PARTS[*service / SERVICES]),
    );
    json.key("http");
    json.open();
    json.text("method", format_args!("{}", random.pick(&METHODS)));
    if random.in_thousand(40) {
        json.text("path", format_args!("/health/{}", random.below(3)));
    } else {
        json.text("path", format_args!("/api/{}/{}", random.pick(&RESOURCES), random.below(1000)));
    }
    json.plain("status", format_args!("{}", random.pick(&[200, 200, 200, 201, 304, 404, 500])));
    json.close();
    line.field(Part::Client);
    let Line { json, random, .. } = &mut line;
    // A quarter of what is left for the message; the other members share the rest.
    let left = size.bytes.saturating_sub(json.text.len() + 20);
    let others = size.members - CORE;
    let for_message = if others == 0 { left } else { left / 4 };
    let each = left.saturating_sub(for_message).checked_div(others).unwrap_or(0);
    for number in 0..others {
        // `"member_007":` and a comma.
        let room = each.saturating_sub(14);
        let name = format!("member_{number:03}");
        match number % 4 {
            0 if room < 12 => json.plain(&name, format_args!("{}", random.below(10_000))),
            1 if room < 12 => json.plain(&name, format_args!("{}", random.in_thousand(500))),
            _ => {
                let text =
                    fill(format!("{}", random.below(100_000)), room.saturating_sub(2), random);
                json.text(&name, format_args!("{text}"));
            }
        }
    }
    let start = message(random);
    let text = fill(start, for_message, random);
    json.text("message", format_args!("{text}"));
    json.close();
    line.json.text
}

/// Words behind a text until it is that long, and not more than that where the text itself was not.
fn fill(mut text: String, bytes: usize, random: &mut Random) -> String {
    while text.len() < bytes {
        text.push(' ');
        text.push_str(random.pick(&WORDS));
    }
    // Long starts are cut, but never inside a character or an escape.
    if text.len() > bytes + 8 && text.is_ascii() && !text.contains('\\') {
        text.truncate(bytes + 8);
        text.truncate(text.trim_end().len());
    }
    text
}
