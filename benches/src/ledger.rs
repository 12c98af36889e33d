//! What was produced and what must come of it, kept apart from everything that the engine says.

use anyhow::{Context as _, bail};
use serde_json::Value;

/// Which rules drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// The ten.
    Ten,
    /// The ten and [`crate::program::FEWER`].
    Fewer,
}

/// The rules in the bench's own words: whether a table gets the event. Must say what `drop_debug` and `drop_probes` say, and `drop_canary`.
pub fn is_kept(event: &str, keeping: Keeping) -> anyhow::Result<bool> {
    let event: Value = serde_json::from_str(event)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let severity = text(&event["severity"]).to_lowercase();
    let chatter = severity == "debug" || severity == "trace";
    let asked_for = ["payments-api", "auth-api"].contains(&&*text(&event["service"]));
    let path = text(&event["http"]["path"]);
    let probe = ["/metrics", "/ready", "/livez", "/api/v1/ping"].contains(&&*path)
        || path.starts_with("/health");
    let status = &event["http"]["status"];
    let status = status.as_i64().or_else(|| status.as_str()?.parse().ok()).unwrap_or(i64::MAX);
    let canary = keeping == Keeping::Fewer
        && event["environment"] == "canary"
        && severity == "info"
        && status < 400;
    Ok(!(chatter && !asked_for || probe && status < 500 || canary))
}

/// Every event's place, and whether rows come of it.
#[derive(Debug)]
pub struct Ledger {
    /// By partition, in the order of offsets.
    kept: Vec<Vec<bool>>,
}

/// How the rows of a table differ from the ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Balance {
    /// Rows that the table holds.
    pub rows: usize,
    /// Events that have no row and should.
    pub lost: usize,
    /// Rows beyond the first of an event.
    pub duplicates: usize,
    /// Events that have a row and should not.
    pub uncalled: usize,
}

impl Ledger {
    /// An empty one for that many partitions.
    pub fn new(partitions: usize) -> Self {
        Self { kept: vec![Vec::new(); partitions] }
    }

    /// Notes the next event of a partition.
    pub fn note(&mut self, partition: usize, kept: bool) {
        self.kept[partition].push(kept);
    }

    /// How many partitions there are.
    pub fn partitions(&self) -> usize {
        self.kept.len()
    }

    /// How many events were noted.
    pub fn events(&self) -> usize {
        self.kept.iter().map(Vec::len).sum()
    }

    /// How many of them come to rows.
    pub fn kept(&self) -> usize {
        self.kept.iter().flatten().filter(|kept| **kept).count()
    }

    /// Compares a table's `partition<tab>offset` lines.
    pub fn compare(&self, lines: &str) -> anyhow::Result<Balance> {
        let mut times: Vec<Vec<u8>> = self.kept.iter().map(|kept| vec![0; kept.len()]).collect();
        let mut balance = Balance::default();
        for line in lines.lines() {
            let (partition, offset) =
                line.split_once('\t').with_context(|| format!("no place: {line}"))?;
            let (partition, offset): (usize, usize) = (partition.parse()?, offset.parse()?);
            let Some(seen) = times.get_mut(partition).and_then(|times| times.get_mut(offset))
            else {
                bail!("nothing was produced at {partition}/{offset}");
            };
            *seen = seen.saturating_add(1);
            balance.rows += 1;
            balance.duplicates += usize::from(*seen > 1);
        }
        for (seen, kept) in times.iter().flatten().zip(self.kept.iter().flatten()) {
            balance.lost += usize::from(*kept && *seen == 0);
            balance.uncalled += usize::from(!*kept && *seen > 0);
        }
        Ok(balance)
    }
}
