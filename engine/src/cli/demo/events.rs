//! Believable service logs for the demo: what a small shop's services would write.
//!
//! The same seed gives the same events. No person and no real customer is in them.

use std::fmt::Write as _;

/// A small source of random numbers (xorshift64*).
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        (self.bits() >> 32) % limit
    }

    fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }

    fn pick<'a, T: ?Sized>(&mut self, values: &[&'a T]) -> &'a T {
        values[self.below(values.len() as u64) as usize]
    }
}

const SERVICES: [&str; 8] =
    ["web", "checkout", "payments", "auth", "search", "edge-proxy", "inventory", "recommendations"];
const PATHS: [&str; 8] =
    ["/", "/cart", "/products", "/search", "/checkout", "/api/orders", "/api/items", "/login"];
const HEALTH: [&str; 4] = ["/healthz", "/livez", "/readyz", "/metrics"];
const AGENTS: [&str; 6] = [
    "Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0) Safari/605.1",
    "Mozilla/5.0 (Windows NT 10.0) Firefox/145.0",
    "okhttp/5.1.0",
    "Mozilla/5.0 (compatible; Googlebot/2.1)",
    "kube-probe/1.34",
];
/// First octets that lie in networks of several countries; the other three are drawn.
const NETWORKS: [u64; 12] = [2, 5, 31, 41, 62, 81, 103, 133, 151, 177, 190, 203];

/// Users that the demo's user table knows.
pub(super) const USERS: u64 = 500;

/// Writes one record's payload. `now_ms` is its time; one in some thousand is broken on purpose.
pub(super) fn event(random: &mut Random, now_ms: i64, id: u64) -> Vec<u8> {
    match random.below(2_000) {
        0 => return b"{\"service\":\"web\",\"message\":\"cut off he".to_vec(),
        1 => return b"plain text from a producer that was set up in a hurry".to_vec(),
        _ => {}
    }
    let service = random.pick(&SERVICES);
    let time = timestamp(now_ms, random.below(1_000_000));
    let mut json = String::with_capacity(640);
    let _ = write!(
        json,
        "{{\"timestamp\":\"{time}\",\"service\":\"{service}\",\"environment\":\"{}\",\"host\":\"{service}-{}\"",
        random.pick(&["production", "production", "production", "staging"]),
        random.below(6),
    );
    let status = match random.below(100) {
        0..=84 => [200, 201, 204, 302][random.below(4) as usize],
        85..=95 => [400, 401, 403, 404][random.below(4) as usize],
        _ => [500, 502, 503][random.below(3) as usize],
    };
    let severity = match status {
        500.. => "ERROR",
        400.. => "WARN",
        _ if random.percent(12) => "DEBUG",
        _ => "INFO",
    };
    let _ = write!(json, ",\"severity\":\"{severity}\"");
    let path = if random.percent(8) { random.pick(&HEALTH) } else { random.pick(&PATHS) };
    let ms = random.below(90_000) as f64 / 100.0;
    if *service == *"edge-proxy" {
        let _ = write!(json, ",\"message\":\"GET {path} {status} {ms}ms\"");
    } else {
        let _ = write!(json, ",\"message\":\"{}\"", message(random, status));
        let code = if random.percent(3) { format!("\"{status}\"") } else { status.to_string() };
        let _ = write!(
            json,
            ",\"http\":{{\"method\":\"{}\",\"path\":\"{path}\",\"status\":{code},\"duration_ms\":{ms},\"user_agent\":\"{}\"}}",
            random.pick(&["GET", "GET", "GET", "POST", "PUT"]),
            random.pick(&AGENTS),
        );
    }
    let network = NETWORKS[random.below(NETWORKS.len() as u64) as usize];
    let address =
        format!("{network}.{}.{}.{}", random.below(256), random.below(256), random.below(256));
    let _ = write!(json, ",\"client\":{{\"ip\":\"{address}\"}}");
    if random.percent(60) {
        let _ = write!(json, ",\"user\":{{\"id\":\"u{}\"}}", random.below(USERS + 40));
    }
    let _ = write!(
        json,
        ",\"trace_id\":\"{:016x}{:016x}\",\"span_id\":\"{:016x}\",\"labels\":{{\"region\":\"{}\",\"release\":\"2026.{}\"}},\"demo_id\":{id}}}",
        random.bits(),
        random.bits(),
        random.bits(),
        random.pick(&["eu-central", "us-east", "ap-south"]),
        random.below(12) + 1,
    );
    json.into_bytes()
}

fn message(random: &mut Random, status: u64) -> String {
    let order = random.below(1_000_000);
    match (status, random.below(6)) {
        (500.., _) => format!(
            "upstream payments answered {status} for order {order}, giving up after 3 tries"
        ),
        (400.., _) => format!("order {order} was refused: the cart has changed"),
        (_, 0) => format!("order {order} placed, {} items, cache hit", random.below(9) + 1),
        (_, 1) => {
            format!("sent receipt for order {order} to customer{}@example.com", random.below(900))
        }
        (_, 2) => format!("session refreshed, token={:016x}", random.bits()),
        (_, 3) => format!("stock of item {} is {}", order % 5_000, random.below(400)),
        (_, 4) => format!("query took {} ms, {} rows", random.below(80), random.below(500)),
        _ => format!("rendered page in {} ms", random.below(60)),
    }
}

fn timestamp(ms: i64, sub_micros: u64) -> String {
    let time = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let micros = sub_micros % 1_000;
    format!("{}{micros:03}Z", time.strftime("%Y-%m-%dT%H:%M:%S.%3f"))
}

/// The demo's user table: id, plan, region, staff.
pub(super) fn users_csv() -> String {
    let mut csv = String::from("id,plan,region,is_staff\n");
    for user in 0..USERS {
        let plan = ["free", "free", "pro", "enterprise"][(user % 4) as usize];
        let region = ["eu", "us", "ap"][(user % 3) as usize];
        let _ = writeln!(csv, "u{user},{plan},{region},{}", user % 50 == 0);
    }
    csv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearly_all_are_json_and_a_seed_repeats() {
        let make = |seed| {
            let mut random = Random::new(seed);
            (0..4_000)
                .map(|id| event(&mut random, 1_780_000_000_000 + id, id as u64))
                .collect::<Vec<_>>()
        };
        let events = make(7);
        assert_eq!(events, make(7));
        let broken = events
            .iter()
            .filter(|event| serde_json::from_slice::<serde_json::Value>(event).is_err())
            .count();
        assert!((1..40).contains(&broken), "{broken}");
    }

    #[test]
    fn the_user_table_has_a_header_and_every_user() {
        let csv = users_csv();
        assert_eq!(csv.lines().count() as u64, USERS + 1);
        assert!(csv.starts_with("id,plan,region,is_staff\nu0,free,eu,true\n"));
    }
}
