//! The ten rules by hand over `serde_json::Value`: what one writes without an engine, text in and text out.

use regex::Regex;
use serde_json::{Map, Value, json};

use crate::{clock::thread_cpu, printed::Printed};

/// What is compiled once.
#[derive(Debug)]
pub struct ByHand {
    mail: Regex,
    out: Vec<u8>,
}

impl ByHand {
    /// Compiles the one pattern.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self {
            mail: Regex::new(r"(?i)[a-z0-9._%+-]+@[a-z0-9.-]+\.[a-z]{2,}")?,
            out: Vec::new(),
        })
    }

    /// Walks over all events: text in, text out, and the CPU nanoseconds that it took.
    pub fn walk(&mut self, events: &[String]) -> anyhow::Result<(u64, Printed)> {
        let mut printed = Printed::default();
        let start = thread_cpu();
        for event in events {
            let mut value: Map<String, Value> = serde_json::from_str(event)?;
            let Some(is_error) = self.rules(&mut value) else { continue };
            self.out.clear();
            serde_json::to_writer(&mut self.out, &value)?;
            printed.kept += 1;
            printed.errors += usize::from(is_error);
            printed.bytes += self.out.len();
        }
        Ok((thread_cpu() - start, printed))
    }

    /// Nothing for an event that is dropped, else whether it is an error.
    fn rules(&self, event: &mut Map<String, Value>) -> Option<bool> {
        let text =
            |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut severity = text(event.get("severity")).to_lowercase();
        if severity == "warning" {
            "warn".clone_into(&mut severity);
        }
        let service = event.get("service").and_then(Value::as_str).unwrap_or_default();
        if matches!(&*severity, "debug" | "trace")
            && !matches!(service, "payments-api" | "auth-api")
        {
            return None;
        }
        let http = event.get("http");
        let path =
            http.and_then(|http| http.get("path")).and_then(Value::as_str).unwrap_or_default();
        let status = http.and_then(|http| http.get("status"));
        let status = status.and_then(|it| it.as_i64().or_else(|| it.as_str()?.parse().ok()));
        let status = status.unwrap_or(0);
        let probe = matches!(path, "/metrics" | "/ready" | "/livez" | "/api/v1/ping")
            || path.starts_with("/health");
        if probe && status < 500 {
            return None;
        }
        let mut is_error = matches!(&*severity, "error" | "critical" | "fatal");
        if status >= 500 && !is_error {
            "error".clone_into(&mut severity);
            is_error = true;
        }
        event.insert("severity".to_owned(), severity.into());
        let mut tags = Vec::new();
        if let Some(Value::String(message)) = event.get_mut("message") {
            if message.contains("upstream timeout") || message.contains("connection reset") {
                tags.push(json!("network"));
            }
            if message.contains('@') {
                *message = self.mail.replace_all(message, "[mail]").into_owned();
            }
        }
        let class = match status {
            200..=299 => "2xx",
            300..=399 => "3xx",
            400..=499 => "4xx",
            500..=599 => "5xx",
            _ => "other",
        };
        if let Some(Value::Object(http)) = event.get_mut("http") {
            let slow = http.get("duration_ms").and_then(Value::as_f64).unwrap_or(0.0) > 500.0;
            http.insert("status".to_owned(), status.into());
            http.insert("class".to_owned(), class.into());
            http.insert("slow".to_owned(), slow.into());
        }
        let address =
            event.get("client").and_then(|client| client.get("ip")).and_then(Value::as_str);
        let address = address.and_then(|ip| ip.parse::<std::net::Ipv4Addr>().ok());
        if address.is_some_and(|ip| ip.octets()[0] == 10) {
            tags.push(json!("internal"));
        }
        if !tags.is_empty() {
            event.insert("tags".to_owned(), tags.into());
        }
        Some(is_error)
    }
}

/// Parses and prints every event, no rules between.
pub fn nothing(events: &[String]) -> anyhow::Result<u64> {
    let mut out = Vec::new();
    let start = thread_cpu();
    for event in events {
        let value: Value = serde_json::from_str(event)?;
        out.clear();
        serde_json::to_writer(&mut out, &value)?;
        std::hint::black_box(&out);
    }
    Ok(thread_cpu() - start)
}
