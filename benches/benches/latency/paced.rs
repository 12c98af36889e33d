//! A producer that keeps time by the clock.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use jiff::Timestamp;
use logmon_benches::{
    engine::Engine,
    events::events,
    ledger::{Keeping, Ledger, is_kept},
    producer::Producer,
    servers::Servers,
};

/// Events that are sent again and again, each time with the moment of sending.
const DISTINCT: usize = 20_000;
const SEED: u64 = 20_261_121;
/// Between two handfuls: moments of sending are no sharper than that.
const TICK: Duration = Duration::from_millis(1);
/// How far the engine may be behind when it gets as much as it takes.
const AHEAD: u64 = 60_000;
/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(20);

/// An event without its time.
struct Template {
    head: String,
    tail: String,
    kept: bool,
}

/// Sends events and notes what must come of them.
pub(crate) struct Paced {
    producer: Producer,
    templates: Vec<Template>,
    sent: u64,
    text: String,
    /// What must come of all that was sent.
    pub(crate) ledger: Ledger,
}

/// A stretch of time in which a load was steady.
pub(crate) struct Window {
    /// Nanoseconds since 1970.
    pub(crate) from: i128,
    /// Likewise.
    pub(crate) to: i128,
    /// What was sent in it.
    pub(crate) events_per_second: f64,
}

impl Paced {
    /// Connects, for a topic that is still empty.
    pub(crate) fn new(servers: &Servers, linger_ms: u32) -> anyhow::Result<Self> {
        let template = |event: String| {
            let kept = is_kept(&event, Keeping::Ten)?;
            let key = event.find("\"timestamp\":").context("events have times")? + 12;
            let start = key + event[key..].find('"').context("times are text")? + 1;
            let end = start + event[start..].find('"').context("texts end")?;
            Ok(Template { head: event[..start].to_owned(), tail: event[end..].to_owned(), kept })
        };
        Ok(Self {
            producer: servers.producer(linger_ms)?,
            templates: events(DISTINCT, SEED)
                .into_iter()
                .map(template)
                .collect::<anyhow::Result<_>>()?,
            sent: 0,
            text: String::new(),
            ledger: Ledger::new(servers.setting.partitions),
        })
    }

    /// How many events were sent so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Sends as much as the engine takes, and says how much that is: events a second over the second half.
    pub(crate) fn full(&mut self, engine: &mut Engine, length: Duration) -> anyhow::Result<f64> {
        let start = Instant::now();
        let mut half = None;
        loop {
            engine.check()?;
            let read = engine.events()?.read;
            let elapsed = start.elapsed();
            if elapsed >= length / 2 {
                let (at, then) = *half.get_or_insert((Instant::now(), read));
                if elapsed >= length {
                    return Ok((read - then) as f64 / at.elapsed().as_secs_f64());
                }
            }
            let look = Instant::now();
            while look.elapsed() < LOOK && self.sent < read + AHEAD {
                self.handful(256)?;
            }
            if let Some(rest) = LOOK.checked_sub(look.elapsed()) {
                std::thread::sleep(rest);
            }
        }
    }

    /// Sends so many events a second. The first while is not part of the window.
    pub(crate) fn run(
        &mut self,
        events_per_second: f64,
        length: Duration,
        warm: Duration,
    ) -> anyhow::Result<Window> {
        let (start, mut sent) = (Instant::now(), 0_u64);
        let mut from = None;
        loop {
            let elapsed = start.elapsed();
            if elapsed >= warm && from.is_none() {
                from = Some((since_1970(), Instant::now(), sent));
            }
            if elapsed >= length {
                break;
            }
            let due = (elapsed.as_secs_f64() * events_per_second) as u64;
            // Never so many at once that their moment of sending would be wrong.
            let handful = (due - sent).min(512);
            self.handful(handful as usize)?;
            sent += handful;
            if sent == due {
                std::thread::sleep(TICK);
            }
        }
        let (from, at, before) = from.context("a load lasts longer than its first while")?;
        let events_per_second = (sent - before) as f64 / at.elapsed().as_secs_f64();
        let to = since_1970();
        self.producer.flush()?;
        Ok(Window { from, to, events_per_second })
    }

    fn handful(&mut self, count: usize) -> anyhow::Result<()> {
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
        for _ in 0..count {
            let template = &self.templates[self.sent as usize % DISTINCT];
            self.text.clear();
            for part in [&template.head, &now, &template.tail] {
                self.text.push_str(part);
            }
            let partition = self.sent as usize % self.ledger.partitions();
            self.producer.send(partition, self.text.as_bytes())?;
            self.ledger.note(partition, template.kept);
            self.sent += 1;
        }
        Ok(())
    }
}

fn since_1970() -> i128 {
    Timestamp::now().as_nanosecond()
}
