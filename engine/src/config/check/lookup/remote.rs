//! Lookups on the other side of a network: addresses, logins, certificates, and how they are asked.

use std::time::Duration;

use super::super::{
    super::{
        Asking, Authorization, ClickHouseLookup, HttpLookup, KeyedTable, PostgresLookup,
        RedisLookup, Secret, Trust, raw::RawLookup,
    },
    Check,
};

/// Half a second: a batch waits for its slowest key, and the lane behind it waits too.
const TIMEOUT: Duration = Duration::from_millis(500);
/// More than a minute for one key means that the lookup is down.
const TIMEOUT_MAX: Duration = Duration::from_mins(1);
/// 32 requests of one key each keep a service on the same network busy without looking like an attack.
const SINGLES: u32 = 32;
/// Calls with many keys each: as many as there are usually threads that ask.
const CALLS: u32 = 4;
/// Every request holds a connection; a thousand is what a default limit on open files allows.
const CONCURRENCY_MAX: u32 = 1024;
/// Keys a call: what a batch of events usually holds of distinct ones.
const BATCH: u32 = 500;
/// Above it an answer takes longer than asking twice.
const BATCH_MAX: u32 = 10_000;

impl Check<'_> {
    pub(super) fn service(&mut self, name: &str, mut raw: RawLookup) -> HttpLookup {
        let key = |last| ["lookup", name, last];
        let has_place = raw.url.as_ref().is_some_and(|url| url.contains("{key}"));
        let in_body = raw.batch.is_some();
        let missing = raw.url.is_none();
        let url = self.address(&key("url"), raw.url.take(), "https://users.internal/v1/{key}");
        if in_body && has_place {
            self.wrong(
                &key("url"),
                "cannot hold `{key}` beside `batch`, which puts keys into the body; keep one",
            );
        } else if !in_body && !has_place && !missing {
            self.wrong(
                &key("url"),
                "needs `{key}` where the key goes, or `batch` beside it to send keys in the body",
            );
        } else if url
            .split("://")
            .nth(1)
            .and_then(|rest| rest.split('/').next())
            .is_some_and(|host| host.contains("{key}"))
        {
            // An event must not choose the host that we talk to.
            self.wrong(&key("url"), "may hold `{key}` only after the host");
        }
        let sendable =
            |token: &Secret| hyper::header::HeaderValue::from_str(token.expose()).is_ok();
        if raw.bearer.as_ref().is_some_and(|token| !sendable(token)) {
            self.wrong(
                &key("bearer"),
                "holds a line break or another letter that HTTP does not allow",
            );
        }
        let authorization = match (raw.bearer.take(), raw.user.take(), raw.password.take()) {
            (None, None, None) => None,
            (Some(token), None, None) => Some(Authorization::Bearer(token)),
            (None, Some(user), password) => Some(Authorization::Basic {
                user,
                password: password.unwrap_or_else(|| Secret::new("")),
            }),
            (Some(_), _, _) => {
                self.wrong(
                    &key("bearer"),
                    "cannot stand beside `user` and `password`; keep one login",
                );
                None
            }
            (None, None, Some(_)) => {
                self.wrong(&key("user"), "is missing beside `password`");
                None
            }
        };
        for (header, value) in &raw.headers {
            let fine =
                hyper::header::HeaderName::from_bytes(header.as_bytes()).is_ok() && sendable(value);
            if !fine {
                self.wrong(
                    &["lookup", name, "headers", header],
                    "is not a header that HTTP allows",
                );
            }
        }
        let (calls, batch) = if in_body { (CALLS, BATCH) } else { (SINGLES, 1) };
        let asking = self.asking(name, &raw, calls, batch);
        let trust = self.trust(name, &raw);
        HttpLookup { url, in_body, authorization, headers: raw.headers, trust, asking }
    }

    pub(super) fn postgres(&mut self, name: &str, raw: RawLookup) -> PostgresLookup {
        let asking = self.asking(name, &raw, CALLS, BATCH);
        let trust = self.trust(name, &raw);
        let table = self.keyed(name, &raw);
        let schemes = ["postgres", "postgresql"];
        let url = self.server(name, raw.url, &schemes, "postgres://host:5432/database");
        let tls = raw.tls.unwrap_or(trust.ca.is_some() || trust.identity.is_some());
        if !tls && (trust.ca.is_some() || trust.identity.is_some()) {
            self.wrong(&["lookup", name, "tls"], "is false, but a certificate is given");
        }
        PostgresLookup { url, user: raw.user, password: raw.password, tls, trust, table, asking }
    }

    pub(super) fn clickhouse_lookup(&mut self, name: &str, raw: RawLookup) -> ClickHouseLookup {
        let asking = self.asking(name, &raw, CALLS, BATCH);
        let trust = self.trust(name, &raw);
        let table = self.keyed(name, &raw);
        let url = self.address(&["lookup", name, "url"], raw.url, "http://localhost:8123");
        ClickHouseLookup {
            url,
            database: raw.database.unwrap_or_else(|| "default".into()),
            user: raw.user.unwrap_or_else(|| "default".into()),
            password: raw.password.unwrap_or_else(|| Secret::new("")),
            trust,
            table,
            asking,
        }
    }

    pub(super) fn redis(&mut self, name: &str, raw: RawLookup) -> RedisLookup {
        let asking = self.asking(name, &raw, CALLS, BATCH);
        let trust = self.trust(name, &raw);
        let pattern = raw.pattern.unwrap_or_else(|| "{key}".into());
        if !pattern.contains("{key}") {
            self.wrong(&["lookup", name, "pattern"], "needs `{key}` where the key goes");
        }
        let url = self.server(name, raw.url, &["redis", "rediss"], "redis://host:6379/0");
        RedisLookup {
            url,
            user: raw.user,
            password: raw.password,
            pattern,
            values: raw.values.unwrap_or_default(),
            trust,
            asking,
        }
    }

    /// The address of a server that does not speak HTTP.
    fn server(
        &mut self,
        name: &str,
        url: Option<String>,
        schemes: &[&str],
        example: &str,
    ) -> String {
        let key = ["lookup", name, "url"];
        let Some(url) = url else {
            self.wrong(&key, &format!("is missing; write one such as \"{example}\""));
            return String::new();
        };
        let parsed = url::Url::parse(&url).ok();
        let fine =
            parsed.as_ref().is_some_and(|url| schemes.contains(&url.scheme()) && url.has_host());
        let login = parsed
            .as_ref()
            .is_some_and(|url| !url.username().is_empty() || url.password().is_some());
        if login {
            self.wrong(&key, "must not hold a login; use the keys `user` and `password`");
        } else if !fine {
            // The text itself stays unsaid: addresses are where people put passwords.
            self.wrong(&key, &format!("must be an address such as \"{example}\""));
        }
        url
    }

    fn keyed(&mut self, name: &str, raw: &RawLookup) -> KeyedTable {
        let table = raw.table.clone().unwrap_or_default();
        if table.is_empty() {
            self.wrong(&["lookup", name, "table"], "is missing; name the table or view");
        }
        let key: Vec<String> = raw
            .key
            .iter()
            .flat_map(|key| key.split(','))
            .map(|part| part.trim().to_owned())
            .filter(|part| !part.is_empty())
            .collect();
        if key.is_empty() {
            self.wrong(&["lookup", name, "key"], "is missing; name the column that is the key");
        }
        KeyedTable { table, key, value: raw.value.clone() }
    }

    fn trust(&mut self, name: &str, raw: &RawLookup) -> Trust {
        let key = |last| ["lookup", name, last];
        let mut open = |last, path: Option<&std::path::PathBuf>| {
            let path = path.map(|path| self.file(path.clone()));
            self.readable(&key(last), path.as_deref());
            path
        };
        let ca = open("ca", raw.ca.as_ref());
        let (cert, cert_key) =
            (open("cert", raw.cert.as_ref()), open("cert_key", raw.cert_key.as_ref()));
        let identity = match (cert, cert_key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(_), None) => {
                self.wrong(&key("cert_key"), "is missing; a certificate needs its private key");
                None
            }
            (None, Some(_)) => {
                self.wrong(&key("cert"), "is missing; a private key needs its certificate");
                None
            }
        };
        Trust { ca, identity }
    }

    fn asking(&mut self, name: &str, raw: &RawLookup, calls: u32, batch: u32) -> Asking {
        let key = |last| ["lookup", name, last];
        let timeout = raw.timeout.map_or(TIMEOUT, |wait| wait.0);
        if timeout.is_zero() || timeout > TIMEOUT_MAX {
            self.wrong(&key("timeout"), "must lie between 1ms and 60s");
        }
        let concurrency = raw.concurrency.unwrap_or(calls);
        if !(1..=CONCURRENCY_MAX).contains(&concurrency) {
            self.wrong(&key("concurrency"), "must lie between 1 and 1024");
        }
        let batch = raw.batch.unwrap_or(batch);
        if !(1..=BATCH_MAX).contains(&batch) {
            self.wrong(&key("batch"), "must lie between 1 and 10000");
        }
        Asking { timeout, concurrency: concurrency as usize, batch: batch as usize }
    }
}
