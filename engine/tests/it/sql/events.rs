//! Random events of one declared shape, with everything in them that stored events get wrong.

use super::expressions::Dice;

/// What the events look like. What is not declared is `any`.
pub(super) const TYPES: &str = "type Event = {
  timestamp: timestamp, severity: severity?, service: string?, host: string?, message: string?,
  n: int?, f: float?, flag: bool?, ip: ip?, tags: list<string>?,
  req: { status: int?, ms: float?, path: string?, ok: bool?, peer: ip?, \"k8s.io/name\": string? }?,
  ...
}";

pub(super) const TEXTS: [&str; 16] = [
    "web",
    "api",
    "GET /cart/42",
    "time out",
    "50% off_now",
    "a\\\\b",
    "über Öl",
    "ERROR: timeout",
    "x\\ny",
    "İstanbul",
    "foo_bar baz",
    "2026-01-02",
    "12",
    "true",
    "k=v;q",
    "\u{212a}",
];

pub(super) fn some(count: usize, seed: u64) -> Vec<String> {
    let mut dice = Dice::new(seed);
    (0..count).map(|_| event(&mut dice)).collect()
}

fn event(dice: &mut Dice) -> String {
    let mut members = vec![format!(
        "\"timestamp\":\"2026-11-{:02}T{:02}:{:02}:07.{:03}Z\"",
        1 + dice.roll(20),
        dice.roll(24),
        dice.roll(60),
        dice.roll(1000)
    )];
    let mut put =
        |dice: &mut Dice, key: &str, value: &dyn Fn(&mut Dice) -> String| match dice.roll(8) {
            0 => {}
            1 => members.push(format!("\"{key}\":null")),
            _ => {
                let value = value(dice);
                members.push(format!("\"{key}\":{value}"));
            }
        };
    put(dice, "severity", &|dice| {
        format!(
            "\"{}\"",
            dice.pick(&["trace", "debug", "info", "notice", "warn", "error", "critical", "fatal"])
        )
    });
    put(dice, "service", &text);
    put(dice, "host", &|dice| if dice.roll(5) == 0 { "\"\"".into() } else { text(dice) });
    put(dice, "message", &text);
    put(dice, "n", &int);
    put(dice, "f", &float);
    put(dice, "flag", &flag);
    put(dice, "ip", &ip);
    put(dice, "tags", &|dice| {
        let tags: Vec<String> = (0..dice.roll(4)).map(|_| text(dice)).collect();
        format!("[{}]", tags.join(","))
    });
    put(dice, "req", &|dice| {
        let mut inner = Vec::new();
        for (key, value) in [
            ("status", if dice.roll(6) == 0 { any(dice) } else { int(dice) }),
            ("ms", if dice.roll(6) == 0 { any(dice) } else { float(dice) }),
            ("path", if dice.roll(6) == 0 { any(dice) } else { text(dice) }),
            ("ok", if dice.roll(6) == 0 { any(dice) } else { flag(dice) }),
            ("peer", if dice.roll(6) == 0 { any(dice) } else { ip(dice) }),
            ("k8s.io/name", text(dice)),
        ] {
            if dice.roll(3) > 0 {
                inner.push(format!("\"{key}\":{value}"));
            }
        }
        format!("{{{}}}", inner.join(","))
    });
    put(dice, "body", &|dice| {
        let mut inner = Vec::new();
        for key in ["a", "b", "c"] {
            if dice.roll(3) > 0 {
                inner.push(format!("\"{key}\":{}", any(dice)));
            }
        }
        if dice.roll(2) == 0 {
            let items: Vec<String> = (0..dice.roll(3))
                .map(|_| format!("{{\"sku\":{},\"q\":{}}}", text(dice), dice.roll(5)))
                .collect();
            inner.push(format!("\"items\":[{}]", items.join(",")));
        }
        format!("{{{}}}", inner.join(","))
    });
    format!("{{{}}}", members.join(","))
}

fn text(dice: &mut Dice) -> String {
    format!("\"{}\"", dice.pick(&TEXTS))
}

fn int(dice: &mut Dice) -> String {
    dice.pick(&[
        "0",
        "1",
        "-7",
        "12",
        "200",
        "404",
        "503",
        "9007199254740993",
        "9223372036854775807",
        "-9223372036854775808",
    ])
    .to_owned()
}

fn float(dice: &mut Dice) -> String {
    dice.pick(&["0.5", "-2.25", "1e300", "12.0", "3", "9007199254740993", "0.1", "1e-9"]).to_owned()
}

fn flag(dice: &mut Dice) -> String {
    dice.pick(&["true", "false"]).to_owned()
}

fn ip(dice: &mut Dice) -> String {
    dice.pick(&[
        "\"10.0.0.1\"",
        "\"10.255.255.255\"",
        "\"192.0.2.7\"",
        "\"2001:db8::1\"",
        "\"8.8.8.8\"",
        "\"::1\"",
    ])
    .to_owned()
}

fn any(dice: &mut Dice) -> String {
    match dice.roll(6) {
        0 => text(dice),
        1 => int(dice),
        2 => float(dice),
        3 => flag(dice),
        4 => "18446744073709551615".into(),
        _ => "null".into(),
    }
}
