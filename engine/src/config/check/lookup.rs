//! `[lookup.NAME]`: each kind's own keys.

use std::{path::PathBuf, time::Duration};

use super::{
    super::{
        Authorization, HttpLookup, Lookup, LookupKind, Secret,
        raw::{self, Cache, FileFormat, RawLookup},
    },
    Check,
};

/// Half a second: a batch waits for its slowest key, and the lane behind it waits too.
const TIMEOUT: Duration = Duration::from_millis(500);
/// More than a minute for one key means that the lookup is down.
const TIMEOUT_MAX: Duration = Duration::from_mins(1);
/// 32 requests at once keep a service on the same network busy without looking like an attack.
const CONCURRENCY: u32 = 32;
/// Every request holds a connection; a thousand is what a default limit on open files allows.
const CONCURRENCY_MAX: u32 = 1024;
/// Ten million answers are some gigabytes, above any budget.
const ENTRIES_MAX: u64 = 10_000_000;
/// Some hundred answers: below it the cache would only turn over.
const BYTES_MIN: u64 = 64 << 10;
/// More memory than a cache of rows can be worth.
const BYTES_MAX: u64 = 64 << 30;

impl Check<'_> {
    pub(super) fn lookup(&mut self, name: &str, raw: RawLookup) -> Option<Lookup> {
        let before = self.problems.len();
        self.cache(name, &raw.cache);
        self.strangers(name, &raw);
        let mut cache = raw.cache.clone();
        cache.warm = cache.warm.map(|path| self.file(path));
        self.readable(&["lookup", name, "cache", "warm"], cache.warm.as_deref());
        let kind = match raw.kind {
            None => {
                let key = ["lookup", name, "kind"];
                self.wrong(&key, "is missing; write \"maxmind\", \"file\" or \"http\"");
                None
            }
            Some(raw::LookupKind::MaxMind) => {
                let paths: Vec<PathBuf> =
                    raw.path.into_iter().chain(raw.paths).map(|path| self.file(path)).collect();
                if paths.is_empty() {
                    self.wrong(&["lookup", name, "path"], "is missing; name the .mmdb file");
                }
                Some(LookupKind::MaxMind { paths })
            }
            Some(raw::LookupKind::File) => self.table(name, raw),
            Some(raw::LookupKind::Http) => Some(LookupKind::Http(self.service(name, raw))),
        };
        let kind = kind.filter(|_| self.problems.len() == before)?;
        Some(Lookup { name: name.into(), cache, kind })
    }

    /// Keys of one kind that stand in a table of another.
    fn strangers(&mut self, name: &str, raw: &RawLookup) {
        use raw::LookupKind::{File, Http, MaxMind};
        let Some(kind) = raw.kind else { return };
        let keys = [
            ("path", raw.path.is_some(), [MaxMind, File].as_slice()),
            ("paths", !raw.paths.is_empty(), &[MaxMind]),
            ("key", raw.key.is_some(), &[File]),
            ("format", raw.format.is_some(), &[File]),
            ("url", raw.url.is_some(), &[Http]),
            ("bearer", raw.bearer.is_some(), &[Http]),
            ("user", raw.user.is_some(), &[Http]),
            ("password", raw.password.is_some(), &[Http]),
            ("headers", !raw.headers.is_empty(), &[Http]),
            ("ca", raw.ca.is_some(), &[Http]),
            ("timeout", raw.timeout.is_some(), &[Http]),
            ("concurrency", raw.concurrency.is_some(), &[Http]),
        ];
        let kind_name = match kind {
            MaxMind => "maxmind",
            File => "file",
            Http => "http",
        };
        let strange: Vec<(&str, bool)> = keys
            .into_iter()
            .map(|(key, given, kinds)| (key, given && !kinds.contains(&kind)))
            .collect();
        self.foreign("lookup", name, kind_name, &strange);
    }

    fn cache(&mut self, name: &str, cache: &Cache) {
        let key = |last| ["lookup", name, "cache", last];
        if !(1..=ENTRIES_MAX).contains(&cache.entries) {
            self.wrong(&key("entries"), "must lie between 1 and 10000000");
        }
        if !(BYTES_MIN..=BYTES_MAX).contains(&cache.bytes.0) {
            self.wrong(&key("bytes"), "must lie between 64KiB and 64GiB");
        }
        if cache.idle.is_some_and(|idle| idle.0.is_zero()) {
            self.wrong(&key("idle"), "must be longer than 0s; leave it out for \"never\"");
        }
        // A year: far above any use, and below what the cache's clock can add.
        let year = Duration::from_hours(366 * 24);
        let idle = cache.idle.unwrap_or(cache.ttl);
        let waits = [
            ("ttl", cache.ttl),
            ("negative_ttl", cache.negative_ttl),
            ("stale", cache.stale),
            ("idle", idle),
        ];
        for (last, wait) in waits {
            if wait.0 > year {
                self.wrong(&key(last), "must not be longer than 366d");
            }
        }
    }

    fn table(&mut self, name: &str, raw: RawLookup) -> Option<LookupKind> {
        let key = |last| ["lookup", name, last];
        let Some(path) = raw.path else {
            self.wrong(&key("path"), "is missing; name the file");
            return None;
        };
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let format = raw.format.or(match ending {
            "csv" => Some(FileFormat::Csv),
            "json" => Some(FileFormat::Json),
            "ndjson" | "jsonl" => Some(FileFormat::Ndjson),
            _ => None,
        });
        if format.is_none() {
            self.wrong(&key("format"), "is missing, and the file's ending does not tell; write \"csv\", \"json\" or \"ndjson\"");
        }
        if raw.key.is_none() {
            self.wrong(&key("key"), "is missing; name the column that is the key");
        }
        Some(LookupKind::File { path: self.file(path), key: raw.key?, format: format? })
    }

    fn service(&mut self, name: &str, raw: RawLookup) -> HttpLookup {
        let key = |last| ["lookup", name, last];
        let has_place = raw.url.as_ref().is_none_or(|url| url.contains("{key}"));
        let url = self.address(&key("url"), raw.url, "https://users.internal/v1/{key}");
        if !has_place {
            self.wrong(&key("url"), "needs `{key}` where the key goes");
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
        let authorization = match (raw.bearer, raw.user, raw.password) {
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
        let timeout = raw.timeout.map_or(TIMEOUT, |wait| wait.0);
        if timeout.is_zero() || timeout > TIMEOUT_MAX {
            self.wrong(&key("timeout"), "must lie between 1ms and 60s");
        }
        let concurrency = raw.concurrency.unwrap_or(CONCURRENCY);
        if !(1..=CONCURRENCY_MAX).contains(&concurrency) {
            self.wrong(&key("concurrency"), "must lie between 1 and 1024");
        }
        let ca = raw.ca.map(|path| self.file(path));
        self.readable(&key("ca"), ca.as_deref());
        let concurrency = concurrency as usize;
        HttpLookup { url, authorization, headers: raw.headers, ca, timeout, concurrency }
    }
}
