//! A thread that remembers what lookups said says the same as one that asks each time.

use std::sync::Arc;

use logmon_dsl::{
    column::{Absence, Batch, Names, View, load},
    eval::{Answer, Evaluator, Holds, Lookups, NoLookups, print_event},
    plan::Plan,
};

use crate::{plans::T0, programs::program};

const RULES: &str = r"
source app : { n: int?, ip: ip?, user: string?, ... }
sink out : { ... }
type Rich = {
  text: string?,
  escaped: string?,
  number: int?,
  ratio: float?,
  yes: bool?,
  at: timestamp?,
  lasts: duration?,
  ip: ip?,
  net: cidr?,
  level: severity?,
  list: list<int>?,
  inner: { deep: string?, deeper: { n: int? }? }?,
  any: any?,
}
lookup rich(string) -> Rich?
lookup open(ip) -> { a: int?, ... }?
lookup word(string, int) -> string?
rule r on app {
  .rich = rich(.user)
  .deep = rich(.user).inner.deeper.n
  .open = open(.ip)
  .word = word(.user, .n)
}
rule home on app { route to out }
";

/// Answers by what the key looks like. May be remembered, or not.
struct World {
    remembered: bool,
    version: u64,
    now: u64,
    asked: Vec<String>,
    recalled: (usize, usize),
}

impl Lookups for World {
    fn resolve(&mut self, lookup: usize, keys: &[&str]) -> Vec<Answer> {
        self.asked.extend(keys.iter().map(|key| format!("{lookup} {key}")));
        let answer = |key: &&str| {
            let found = |text: &str| Answer::Found(text.into());
            match (lookup, *key) {
                (_, key) if key.ends_with('0') => Answer::Miss,
                (_, key) if key.ends_with('1') => Answer::Failed,
                (_, key) if key.ends_with('2') => found("{no json"),
                (0, key) if key.ends_with('3') => found("[1]"),
                (0, key) if key.ends_with('4') => found("{}"),
                (0, key) => Answer::Found(
                    format!(
                        r#"{{"text":"{key}","escaped":"a\"b\u00fc\n","number":{},"ratio":2.5,"yes":true,
                        "at":"2026-05-01T10:00:00Z","lasts":"1h30m","ip":"2001:db8::1","net":"10.0.0.0/8","level":"warn",
                        "list":[1, 2],"inner":{{"deep":"x","deeper":{{"n":{}}}}},"any":{{"k":[null]}},"more":1}}"#,
                        key.len(),
                        self.version
                    )
                    .into(),
                ),
                (1, key) => Answer::Found(format!(r#"{{"a":{},"b":"{key}"}}"#, key.len()).into()),
                (_, key) => Answer::Found(serde_json::Value::from(key).to_string().into()),
            }
        };
        keys.iter().map(answer).collect()
    }

    fn holds(&mut self, _lookup: usize) -> Holds {
        let life = if self.remembered { 100 } else { 0 };
        Holds { version: self.version, now: self.now, found: life, missed: life / 2 }
    }

    fn recalled(&mut self, _lookup: usize, found: usize, missed: usize) {
        self.recalled.0 += found;
        self.recalled.1 += missed;
    }
}

fn events(batch: usize) -> Vec<String> {
    (0..40)
        .map(|row| {
            let n = (row * 7 + batch * 3) % 15;
            match row % 5 {
                0 => format!(r#"{{"n":{n},"user":"u{n}","ip":"10.0.0.{n}"}}"#),
                1 => format!(r#"{{"n":{n},"user":"a name of more than twenty letters {n}"}}"#),
                2 => format!(r#"{{"ip":"2001:db8::{n}","user":"esc\"aped{n}"}}"#),
                3 => format!(r#"{{"n":"{n}","user":{n},"ip":"::ffff:10.0.0.{n}"}}"#),
                _ => format!(r#"{{"user":"u{n}","n":1,"ip":"nonsense"}}"#),
            }
        })
        .collect()
}

fn run(
    plan: &Arc<Plan>,
    evaluator: &mut Evaluator,
    lookups: &mut dyn Lookups,
    batch: usize,
) -> Vec<String> {
    let (mut names, mut columns) = (Names::default(), Batch::new(&plan.layout));
    let events = events(batch);
    let bytes: Vec<&[u8]> = events.iter().map(String::as_bytes).collect();
    load::load(&mut columns, &plan.layout, &mut names, &bytes).expect("events");
    columns.meta.offsets = (0..events.len() as i64).collect();
    columns.meta.times = vec![T0; events.len()];
    columns.meta.keys = vec![View::absent(Absence::Missing); events.len()];
    let outcome = evaluator.run(&mut columns, &names, lookups, true);
    let routed = outcome.routed.first().expect("all events go to one sink");
    let faults = |row: u32| {
        let mut faults: Vec<_> = outcome.fault_rows.iter().filter(|fault| fault.0 == row).collect();
        faults.sort_by_key(|fault| fault.1);
        format!("{faults:?}")
    };
    let row = |row: usize| {
        let mut text = Vec::new();
        print_event(&mut text, &columns, &plan.layout, &names, &routed.snapshot, row, &[]);
        String::from_utf8(text).expect("events are text") + &faults(row as u32)
    };
    (0..events.len()).map(row).collect()
}

#[test]
fn remembered_answers_are_the_answers() {
    let plan = Arc::new(program(&[("main.rules", RULES)]).plan);
    let world =
        |remembered| World { remembered, version: 1, now: 1, asked: Vec::new(), recalled: (0, 0) };
    let (mut asks, mut recalls) = (world(false), world(true));
    let mut remembering = Evaluator::new(Arc::clone(&plan));
    for batch in 0..30 {
        if batch % 9 == 8 {
            asks.version += 1;
            recalls.version += 1;
        }
        asks.now += 11;
        recalls.now += 11;
        let expected = run(&plan, &mut Evaluator::new(Arc::clone(&plan)), &mut asks, batch);
        assert_eq!(run(&plan, &mut remembering, &mut recalls, batch), expected, "batch {batch}");
    }
    let (often, seldom) = (asks.asked.len(), recalls.asked.len());
    assert!(seldom * 4 < often * 3, "{seldom} of {often} keys were asked for");
    let known = recalls.recalled.0 + recalls.recalled.1;
    assert_eq!(known + seldom, often, "a key is asked for or recalled");
    assert!(recalls.recalled.1 > 0, "misses are remembered too");
    let nothing = run(&plan, &mut remembering, &mut NoLookups, 0);
    let fresh = run(&plan, &mut Evaluator::new(Arc::clone(&plan)), &mut NoLookups, 0);
    assert_eq!(nothing, fresh, "who may not remember has forgotten");
}
