//! Log events to measure with: what three producers send, interleaved, the same bytes for the same seed.
//!
//! Some 716 bytes and 30 members an event on average, nested ones counted. Two in a hundred messages carry escapes, three in a hundred
//! statuses are text, several fields are optional, and one producer writes spaces after `:` and `,` as Python does.

use std::fmt::{Arguments, Write as _};

/// A small source of random numbers (xorshift64*), so that a seed means the same events for ever.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Starts at a seed; zero, where xorshift would stay for ever, is moved.
    pub fn new(seed: u64) -> Self {
        Self(if seed == 0 { 0x9E37_79B9_7F4A_7C15 } else { seed })
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `limit`, which is not zero.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.bits() >> 33) as usize % limit
    }

    /// True that many times in a thousand.
    pub fn in_thousand(&mut self, times: usize) -> bool {
        self.below(1000) < times
    }

    /// One of the values.
    pub fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }
}

/// That many events as JSON text.
pub fn events(count: usize, seed: u64) -> Vec<String> {
    let mut random = Random::new(seed);
    (0..count).map(|index| event(&mut random, index)).collect()
}

/// The event at a place in the stream; the place decides its time.
pub fn event(random: &mut Random, index: usize) -> String {
    let service = random.below(SERVICES * PARTS.len());
    // The service decides the producer, so that a service always looks the same.
    let (spaced, order) = match service % 5 {
        0..=2 => (false, FIRST),
        3 => (false, SECOND),
        _ => (true, THIRD),
    };
    let mut line = Line { json: Json::new(spaced), random, index, service };
    line.json.open();
    for field in order {
        line.field(*field);
    }
    line.extras();
    line.json.close();
    line.json.text
}

/// The fields that all producers send, each in its own order.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part {
    Timestamp,
    Severity,
    Service,
    Environment,
    Host,
    Logger,
    Message,
    TraceId,
    SpanId,
    User,
    Client,
    Http,
    Labels,
}

use Part::{
    Client, Environment, Host, Http, Labels, Logger, Message, Service, Severity, SpanId, Timestamp,
    TraceId, User,
};

const FIRST: &[Part] = &[
    Timestamp,
    Severity,
    Service,
    Environment,
    Host,
    Message,
    TraceId,
    SpanId,
    User,
    Client,
    Http,
    Labels,
];
const SECOND: &[Part] = &[
    Severity,
    Timestamp,
    Logger,
    Message,
    Http,
    TraceId,
    SpanId,
    Service,
    Host,
    Environment,
    Labels,
    User,
    Client,
];
const THIRD: &[Part] = &[
    Message,
    Severity,
    Service,
    Environment,
    Host,
    Timestamp,
    User,
    Client,
    Http,
    Labels,
    SpanId,
    TraceId,
];

pub(crate) const NAMES: [&str; 10] = [
    "payments",
    "checkout",
    "search",
    "auth",
    "cart",
    "inventory-sync",
    "recommendations",
    "notify",
    "ledger",
    "geo",
];
pub(crate) const SERVICES: usize = NAMES.len();
pub(crate) const PARTS: [&str; 5] = ["api", "worker", "edge", "batch", "core"];
/// Producers spell severities as they like, and most lines are harmless.
const SEVERITIES: [&str; 20] = [
    "info", "INFO", "Info", "info", "INFO", "info", "info", "INFO", "info", "info", "info", "warn",
    "WARN", "Warning", "info", "ERROR", "debug", "DEBUG", "trace", "info",
];
const PROBES: [&str; 4] = ["/metrics", "/ready", "/livez", "/api/v1/ping"];
pub(crate) const RESOURCES: [&str; 5] = ["orders", "users", "carts", "items", "payments"];
pub(crate) const METHODS: [&str; 6] = ["GET", "GET", "GET", "POST", "PUT", "DELETE"];
const AGENTS: [&str; 5] = [
    "Mozilla/5.0 (X11; Linux x86_64) Chrome/126.0",
    "okhttp/4.12.0",
    "curl/8.5.0",
    "python-requests/2.32",
    "Go-http-client/2.0",
];
const ESCAPES: [&str; 4] = [
    r#" said \"no such host\""#,
    r"\n\tat com.acme.Foo(Foo.java:12)",
    r" caf\u00e9 \ud83d\ude00 ok",
    r" path C:\\tmp",
];

/// One event while it is written.
pub(crate) struct Line<'a> {
    pub(crate) json: Json,
    pub(crate) random: &'a mut Random,
    pub(crate) index: usize,
    pub(crate) service: usize,
}

impl Line<'_> {
    pub(crate) fn field(&mut self, part: Part) {
        let Self { json, random, index, service } = self;
        match part {
            Timestamp => {
                let micros = *index * 137 % 60_000_000;
                let (minute, second) = (*index / 2000 % 60, micros / 1_000_000);
                let micros = micros % 1_000_000;
                json.text(
                    "timestamp",
                    format_args!("2026-11-21T10:{minute:02}:{second:02}.{micros:06}Z"),
                );
            }
            Severity => {
                let rare = random.in_thousand(5);
                let text = if rare {
                    random.pick(&["notice", "fatal", "error"])
                } else {
                    random.pick(&SEVERITIES)
                };
                json.text("severity", format_args!("{text}"));
            }
            Service => {
                let (name, part) = (NAMES[*service % SERVICES], PARTS[*service / SERVICES]);
                json.text("service", format_args!("{name}-{part}"));
            }
            Environment => {
                let text = random.pick(&["production", "staging", "canary"]);
                json.text("environment", format_args!("{text}"));
            }
            Host => {
                let host = random.below(200);
                json.text("host", format_args!("ip-10-2-{}-{host}", host / 16));
            }
            Logger => {
                json.text(
                    "logger",
                    format_args!("com.acme.{}.Handler", NAMES[*service % SERVICES]),
                );
            }
            Message => json.text("message", format_args!("{}", message(random))),
            TraceId => {
                json.text("trace_id", format_args!("{:016x}{:016x}", random.bits(), random.bits()));
            }
            SpanId => json.text("span_id", format_args!("{:016x}", random.bits())),
            User => {
                if random.in_thousand(970) {
                    json.key("user");
                    json.open();
                    json.text("id", format_args!("u-{}", random.below(50_000)));
                    json.text(
                        "plan",
                        format_args!("{}", random.pick(&["free", "pro", "enterprise"])),
                    );
                    json.close();
                }
            }
            Client => {
                json.key("client");
                json.open();
                if random.in_thousand(950) {
                    let (a, b) = (1 + random.below(222), random.below(256));
                    let (c, d) = (random.below(256), random.below(256));
                    json.text("ip", format_args!("{a}.{b}.{c}.{d}"));
                } else {
                    let (a, b) = (random.below(65_536), random.below(65_536));
                    json.text("ip", format_args!("2001:db8::{a:x}:{b:x}"));
                }
                json.close();
            }
            Http => self.http(),
            Labels => {
                let region = random.pick(&["eu-west-1", "us-east-1", "ap-south-1"]);
                json.key("labels");
                json.open();
                json.text("team", format_args!("team-{}", *service % 9));
                json.text("region", format_args!("{region}"));
                json.text("release", format_args!("2026.{}.{}", *service % 12, random.below(6)));
                json.text("tier", format_args!("{}", ["gold", "silver"][*service % 2]));
                json.text("zone", format_args!("{}", random.pick(&["a", "b", "c"])));
                json.close();
            }
        }
    }

    fn http(&mut self) {
        let Self { json, random, .. } = self;
        json.key("http");
        json.open();
        json.text("method", format_args!("{}", random.pick(&METHODS)));
        match random.below(100) {
            0..=5 => json.text("path", format_args!("{}", random.pick(&PROBES))),
            6..=9 => json.text("path", format_args!("/health/{}", random.below(4))),
            _ => {
                let (version, resource) = (1 + random.below(2), random.pick(&RESOURCES));
                let id = random.below(100_000);
                json.text("path", format_args!("/api/v{version}/{resource}/{id}"));
            }
        }
        let status = match random.below(100) {
            0..=79 => random.pick(&[200, 201, 204]),
            80..=84 => 302,
            85..=93 => random.pick(&[400, 401, 404, 409, 429]),
            _ => random.pick(&[500, 502, 503, 504]),
        };
        if random.in_thousand(30) {
            json.text("status", format_args!("{status}"));
        } else {
            json.plain("status", format_args!("{status}"));
        }
        let millis = if random.in_thousand(80) {
            500.25 + random.below(4000) as f64
        } else {
            random.below(400_000) as f64 / 1000.0
        };
        json.plain("duration_ms", format_args!("{millis}"));
        json.text("user_agent", format_args!("{}", random.pick(&AGENTS)));
        json.close();
    }

    /// Three to six fields that no rule names: a fixed set for each service and one that is rare.
    fn extras(&mut self) {
        let Self { json, random, service, .. } = self;
        let extent = *service % 4;
        json.text("thread", format_args!("worker-{}", random.below(32)));
        if extent > 0 {
            json.plain("bytes_out", format_args!("{}", random.below(70_000)));
        }
        json.text("version", format_args!("1.{}.{}", *service % 20, random.below(3)));
        if extent > 1 {
            json.plain("retry", format_args!("{}", random.in_thousand(100)));
        }
        if extent > 2 {
            json.key("cache");
            json.open();
            json.plain("hit", format_args!("{}", random.in_thousand(500)));
            json.plain("ttl", format_args!("{}", random.below(600)));
            json.close();
        }
        let (a, b) = (random.bits() as u32, random.bits() as u16);
        json.text("request_id", format_args!("{a:08x}-{b:04x}"));
        if random.in_thousand(100) {
            json.plain("ids", format_args!("[{},{}]", random.below(99), random.below(99)));
        }
    }
}

pub(crate) fn message(random: &mut Random) -> String {
    let (id, n) = (random.below(1_000_000), random.below(900));
    let mut text = match random.below(8) {
        0 => format!(
            "GET /api/v1/orders/{id} completed in {n} ms for customer {} with cache hit",
            random.below(99_999)
        ),
        1 => format!(
            "processed batch {id} of {n} items, {} skipped, lag={} offset={}",
            n / 3,
            random.below(5000),
            random.below(1 << 30)
        ),
        2 => format!(
            "user {id} authenticated with method=oauth2 provider=internal scope=read,write ttl={n}s"
        ),
        3 => format!(
            "db query took {n} ms rows={} plan=index_scan table=orders_{} shard={}",
            id % 977,
            id % 32,
            n % 16
        ),
        4 => format!(
            "published event order.created id={id} to topic orders partition={} at offset {}",
            n % 64,
            random.below(1 << 30)
        ),
        5 => format!(
            "cache miss for key cart:{id}:v{n}, loading from primary store, expected ttl {} seconds, tenant=t{}",
            n * 2,
            id % 300
        ),
        6 => format!(
            "retrying request id={id} attempt={} after {n} ms, upstream sent an unexpected payload of {} bytes",
            n % 5,
            id % 70_000
        ),
        _ => format!(
            "scheduled job reconcile-{} finished: checked={id} fixed={} duration={n}ms next run in 300 s",
            n % 40,
            n % 7
        ),
    };
    match random.below(1000) {
        0..15 => text.push_str("; upstream timeout"),
        15..30 => text.push_str(": connection reset by peer"),
        _ => {}
    }
    match random.below(1000) {
        0..20 => {
            write!(text, " contact jane.doe{}@example-mail.com", id % 500).expect(STRINGS_GROW);
        }
        20..30 => text.push_str(" @scheduler"),
        _ => {}
    }
    match random.below(1000) {
        0..20 => text.push_str(random.pick(&ESCAPES)),
        20..30 => text.push_str(" größe=µ"),
        _ => {}
    }
    text
}

const STRINGS_GROW: &str = "a string takes every write";

/// JSON text while it is written. Values are not escaped: they are chosen above.
pub(crate) struct Json {
    pub(crate) text: String,
    pub(crate) colon: &'static str,
    pub(crate) comma: &'static str,
    /// Whether the innermost object has no member yet.
    pub(crate) fresh: bool,
}

impl Json {
    pub(crate) fn new(spaced: bool) -> Self {
        let (colon, comma) = if spaced { (": ", ", ") } else { (":", ",") };
        Self { text: String::with_capacity(1024), colon, comma, fresh: true }
    }

    pub(crate) fn open(&mut self) {
        self.text.push('{');
        self.fresh = true;
    }

    pub(crate) fn close(&mut self) {
        self.text.push('}');
        self.fresh = false;
    }

    pub(crate) fn key(&mut self, key: &str) {
        if !self.fresh {
            self.text.push_str(self.comma);
        }
        self.fresh = false;
        write!(self.text, "\"{key}\"{}", self.colon).expect(STRINGS_GROW);
    }

    pub(crate) fn plain(&mut self, key: &str, value: Arguments<'_>) {
        self.key(key);
        self.text.write_fmt(value).expect(STRINGS_GROW);
    }

    pub(crate) fn text(&mut self, key: &str, value: Arguments<'_>) {
        self.key(key);
        write!(self.text, "\"{value}\"").expect(STRINGS_GROW);
    }
}
