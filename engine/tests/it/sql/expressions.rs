//! Random expressions that type-check.

use super::events::TEXTS;

/// A stream of choices that depends on its seed alone.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % sides
    }

    pub(super) fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.roll(list.len())]
    }
}

const INTS: [&str; 8] =
    ["0", "1", "12", "200", "-7", "404", "9007199254740993", "9223372036854775807"];
const FLOATS: [&str; 5] = ["0.5", "12.0", "-2.25", "0.1", "3.0"];

/// A condition.
pub(super) fn condition(dice: &mut Dice, depth: usize) -> String {
    if depth > 0 && dice.roll(3) == 0 {
        let (a, b) = (condition(dice, depth - 1), condition(dice, depth - 1));
        return match dice.roll(4) {
            0 => format!("({a} and {b})"),
            1 => format!("({a} or {b})"),
            2 => format!("not ({a})"),
            _ => format!("(not ({a}) and not ({b}))"),
        };
    }
    let depth = depth.saturating_sub(1);
    match dice.roll(14) {
        0 => compare(dice, depth, int),
        1 => compare(dice, depth, float),
        2 => compare(dice, depth, text),
        3 => {
            let op = dice.pick(&["==", "!=", "<", "<=", ">", ">="]);
            format!(
                ".severity {op} {}",
                dice.pick(&["trace", "debug", "info", "warn", "error", "fatal"])
            )
        }
        4 => {
            let op = dice.pick(&["==", "!=", "<", "<=", ">", ">="]);
            format!(".timestamp {op} {}", time(dice))
        }
        5 => {
            let op = dice.pick(&["contains", "not contains", "starts_with", "ends_with"]);
            let fold = dice.pick(&["", "", "i"]);
            format!("{} {op} \"{}\"{fold}", text(dice, depth), needle(dice))
        }
        6 => format!(
            "{} {} {}",
            text(dice, depth),
            dice.pick(&["like", "not like"]),
            dice.pick(&[
                "glob\"*a*\"",
                "glob\"GET *\"",
                "glob\"?pi\"",
                "glob\"*\"",
                "glob\"50% *_n?w\""
            ])
        ),
        7 => format!(
            "{} matches {}",
            text(dice, depth),
            dice.pick(&[
                r#"re"\d+""#,
                r#"re"^a.i$""#,
                r#"re"time\s?out"i"#,
                r#"re"x.y""#,
                r#"re"x.y"s"#,
                r#"re"\bfoo\w+\b""#,
                r#"re"(?<k>[a-z])=""#,
                r#"re"""#
            ])
        ),
        8 => format!(
            "{} has \"{}\"",
            text(dice, depth),
            dice.pick(&["time", "foo_bar", "cart", "42", "über", "time out", "foo"])
        ),
        9 => {
            let set = dice.pick(&[r#"["web", "api"]"#, r#"["12", "true"]"#, r#"["x"]"#]);
            format!("{} {} {set}", text(dice, depth), dice.pick(&["in", "not in"]))
        }
        10 => format!(
            "{} {} {}",
            dice.pick(&[".ip", ".req.peer"]),
            dice.pick(&["in", "not in"]),
            dice.pick(&[
                "cidr\"10.0.0.0/8\"",
                "cidr\"2001:db8::/32\"",
                "[ip\"8.8.8.8\", cidr\"192.0.2.0/24\"]"
            ])
        ),
        11 => format!(
            "{} is {}",
            dice.pick(&[
                ".service",
                ".host",
                ".n",
                ".f",
                ".req.path",
                ".req.status",
                ".body.a",
                ".body",
                ".req",
                ".ip"
            ]),
            dice.pick(&["absent", "present", "not absent"])
        ),
        12 => match dice.roll(4) {
            0 => format!(".tags contains \"{}\"", dice.pick(&TEXTS)),
            1 => format!(".tags[*] starts_with \"{}\"", needle(dice)),
            2 => format!(
                ".body.items[*].sku {} \"{}\"",
                dice.pick(&["==", "contains"]),
                dice.pick(&TEXTS)
            ),
            _ => format!("not (.tags[*] == \"{}\")", dice.pick(&TEXTS)),
        },
        _ => {
            let path = dice.pick(&[".body.a", ".body.b", ".body.c", ".req.\"k8s.io/name\""]);
            let any = path.starts_with(".body");
            match dice.roll(4) {
                0 if any => {
                    format!("{path} {} {}", dice.pick(&["==", "<", ">=", "!="]), dice.pick(&INTS))
                }
                1 if any => {
                    format!("{path} {} {}", dice.pick(&["==", "<", ">=", "!="]), dice.pick(&FLOATS))
                }
                2 if any => format!(
                    "{path} is {}",
                    dice.pick(&["string", "int", "float", "bool", "not string"])
                ),
                _ => format!(
                    "{path} {} \"{}\"",
                    dice.pick(&["==", "!=", "<", "contains"]),
                    dice.pick(&TEXTS)
                ),
            }
        }
    }
}

fn compare(dice: &mut Dice, depth: usize, side: fn(&mut Dice, usize) -> String) -> String {
    let left = side(dice, depth);
    let op = dice.pick(&["==", "!=", "<", "<=", ">", ">="]);
    format!("{left} {op} {}", side(dice, depth))
}

const NEEDLES: [&str; 9] = ["a", "50%", "_", "time", "öl", "w", "\\\\", "k", ""];

fn needle(dice: &mut Dice) -> &'static str {
    NEEDLES[dice.roll(NEEDLES.len())]
}

fn time(dice: &mut Dice) -> String {
    let base = format!("t\"2026-11-{:02}T{:02}:00:00Z\"", 1 + dice.roll(20), dice.roll(24));
    match dice.roll(3) {
        0 => base,
        1 => format!("{base} - {}", dice.pick(&["15m", "1h30m", "250ms"])),
        _ => format!("{base} + {}", dice.pick(&["1d", "7s"])),
    }
}

fn int(dice: &mut Dice, depth: usize) -> String {
    if depth == 0 {
        return match dice.roll(3) {
            0 => dice.pick(&INTS).to_owned(),
            _ => dice.pick(&[".n", ".req.status"]).to_owned(),
        };
    }
    let depth = depth - 1;
    match dice.roll(8) {
        0 | 1 => int(dice, 0),
        2 => {
            let op = dice.pick(&["+", "-", "*", "%"]);
            format!("({} {op} {})", int(dice, depth), int(dice, depth))
        }
        3 => format!("({} ?? {})", int(dice, depth), int(dice, depth)),
        4 => format!(
            "(if {} {{ {} }} else {{ {} }})",
            condition(dice, depth),
            int(dice, depth),
            int(dice, depth)
        ),
        5 => format!("len({})", text(dice, depth)),
        6 => {
            let arms = format!(
                "200 => {}, 400..=499 | -7 => {}, _ => {}",
                int(dice, 0),
                int(dice, 0),
                int(dice, 0)
            );
            format!("(match {} {{ {arms} }})", int(dice, depth))
        }
        _ => format!("abs({})", int(dice, depth)),
    }
}

fn float(dice: &mut Dice, depth: usize) -> String {
    if depth == 0 {
        return match dice.roll(3) {
            0 => dice.pick(&FLOATS).to_owned(),
            _ => dice.pick(&[".f", ".req.ms"]).to_owned(),
        };
    }
    let depth = depth - 1;
    match dice.roll(6) {
        0 | 1 => float(dice, 0),
        2 => {
            let op = dice.pick(&["+", "-", "*", "/"]);
            format!("({} {op} {})", float(dice, depth), float(dice, depth))
        }
        3 => format!("({} ?? {})", float(dice, depth), float(dice, depth)),
        4 => format!("({} / {})", int(dice, depth), int(dice, depth)),
        _ => format!("{}({})", dice.pick(&["abs", "floor", "ceil"]), float(dice, depth)),
    }
}

fn text(dice: &mut Dice, depth: usize) -> String {
    if depth == 0 {
        return match dice.roll(4) {
            0 => format!("\"{}\"", dice.pick(&TEXTS)),
            _ => dice.pick(&[".service", ".host", ".message", ".req.path"]).to_owned(),
        };
    }
    let depth = depth - 1;
    match dice.roll(9) {
        0..=2 => text(dice, 0),
        3 => format!(
            "{}({})",
            dice.pick(&["lower", "upper", "trim", "reverse", "trim_start", "trim_end"]),
            text(dice, depth)
        ),
        4 => format!("({} ?? {})", text(dice, depth), text(dice, depth)),
        5 => format!("({} + {})", text(dice, depth), text(dice, depth)),
        6 => format!("substr({}, {}, {})", text(dice, depth), dice.roll(4), dice.roll(4)),
        7 => format!(
            "(if {} {{ {} }} else {{ {} }})",
            condition(dice, depth),
            text(dice, depth),
            text(dice, depth)
        ),
        _ => format!(
            "f\"<{{{}}}|{{{}}}>\"",
            dice.pick(&[".service", ".host", ".req.path"]),
            dice.pick(&[".n", ".req.status"])
        ),
    }
}
