//! Dead letters: what cannot be delivered, with the reason, where it came from, and the bytes as they were.

use std::sync::Arc;

use logmon_dsl::{
    column::{Absence, Batch, Value, json},
    eval::Routed,
    plan::{Plan, SiteId},
};

use super::bundle::Bundle;
use crate::{
    decode::{Decoded, Reject},
    sink::{
        clickhouse::{
            DeadRow, Loss,
            dead_letter::{DeadLetter, Raw},
        },
        kafka::Record,
    },
    source::{RawBatch, kafka::HEAD},
};

/// Something that cannot be delivered.
#[derive(Debug)]
pub struct Undeliverable<'a> {
    /// The record of the raw batch, or a row of the decoded one.
    at: At,
    emit_ix: u16,
    sink: Arc<str>,
    rule: Arc<str>,
    site: Place,
    reason: String,
    cause: Cause<'a>,
}

/// Where in the engine or the rules it happened.
#[derive(Debug)]
enum Place {
    /// A stage or a column.
    Named(Arc<str>),
    /// A place in a rule.
    Site(SiteId),
}

#[derive(Debug, Clone, Copy)]
enum At {
    Record(u32),
    Row(u32),
}

#[derive(Debug)]
enum Cause<'a> {
    Reject(&'a Reject),
    Absence(Absence),
    PastTtl,
}

impl<'a> Undeliverable<'a> {
    /// A record that is no event.
    pub fn record(record: u32, reject: &'a Reject) -> Self {
        Self {
            at: At::Record(record),
            emit_ix: 0,
            sink: "".into(),
            rule: "".into(),
            site: Place::Named("decode".into()),
            reason: reject.name().to_owned(),
            cause: Cause::Reject(reject),
        }
    }

    /// A row that a sink cannot take, and the event that it is or was made of.
    pub fn row(plan: &Plan, routed: &Routed, event: u32, dead: &DeadRow) -> Self {
        let rule = routed.rule.map_or_else(|| "".into(), |rule| Arc::clone(&plan.rule(rule).label));
        Self {
            at: At::Row(event),
            emit_ix: dead.emit_ix,
            sink: Arc::clone(&plan.sinks[routed.sink.0 as usize].name),
            rule,
            site: Place::Named(Arc::clone(&dead.column)),
            reason: dead.reason(),
            cause: match dead.cause {
                Loss::Absent(cause) => Cause::Absence(cause),
                Loss::PastTtl => Cause::PastTtl,
            },
        }
    }

    /// An event in which a rule met a fault, where the source's `on_fault` makes that a dead letter.
    pub fn fault(row: u32, site: SiteId, cause: Absence) -> Self {
        Self {
            at: At::Row(row),
            emit_ix: 0,
            sink: "".into(),
            rule: "".into(),
            site: Place::Site(site),
            reason: "fault".to_owned(),
            cause: Cause::Absence(cause),
        }
    }
}

/// Makes the letters.
pub fn letters(
    lost: &[Undeliverable<'_>],
    raw: &RawBatch,
    batch: &Batch,
    decoded: &Decoded,
    bundle: &Bundle,
) -> Vec<DeadLetter> {
    lost.iter().map(|one| letter(one, raw, batch, decoded, bundle)).collect()
}

fn letter(
    one: &Undeliverable<'_>,
    raw: &RawBatch,
    batch: &Batch,
    decoded: &Decoded,
    bundle: &Bundle,
) -> DeadLetter {
    let record = match one.at {
        At::Record(record) => record as usize,
        At::Row(row) => decoded.kept[row as usize] as usize,
    };
    let payload = raw.payloads[record];
    let bytes = batch.arena.bytes();
    // Of a record over the limit only the head is there, and only the head is kept.
    let end = (payload.offset as usize + payload.len as usize).min(
        raw.payloads
            .get(record + 1)
            .map_or(bytes.len(), |next| next.offset as usize)
            .max(payload.offset as usize),
    );
    let mut kept = &bytes[payload.offset as usize..end];
    if matches!(one.cause, Cause::Reject(Reject::TooLarge)) {
        kept = &kept[..kept.len().min(HEAD)];
    }
    let (rule, site) = match &one.site {
        Place::Named(site) => (Arc::clone(&one.rule), Arc::clone(site)),
        Place::Site(site) => {
            let site = &bundle.plan.sites[site.0 as usize];
            (Arc::clone(&bundle.plan.rule(site.rule).label), Arc::clone(&site.label))
        }
    };
    let headers = raw
        .headers
        .get(record)
        .map(|&view| {
            json::object(std::str::from_utf8(batch.arena.get(view)).unwrap_or("{}"))
                .map(|(name, value)| (name.into_owned(), text_of(value)))
                .collect()
        })
        .unwrap_or_default();
    let cause = match &one.cause {
        Cause::Reject(reject) => reject.to_string(),
        Cause::Absence(cause) => cause.name().to_owned(),
        Cause::PastTtl => "the table's TTL would delete the row at once".to_owned(),
    };
    let key = raw.keys[record];
    DeadLetter {
        topic: Arc::clone(&raw.position.topic),
        partition: raw.position.partition,
        offset: raw.offsets[record],
        emit_ix: one.emit_ix,
        timestamp: raw.times[record],
        sink: Arc::clone(&one.sink),
        rule,
        site,
        reason: one.reason.as_str().into(),
        cause,
        bundle: bundle.short().into(),
        key: key.is_present().then(|| batch.arena.get(key).to_vec()),
        headers,
        raw: Raw {
            head: kept.to_vec(),
            bytes: u64::from(payload.len),
            hash: match raw.hashes.iter().find(|(at, _)| *at as usize == record) {
                Some((_, whole)) => whole.clone(),
                None => blake3::hash(kept).to_hex().to_string(),
            },
        },
    }
}

/// A header's value out of the JSON that headers are kept as: text without its quotes, null as nothing.
fn text_of(json: &str) -> Vec<u8> {
    match json::value(json) {
        Value::Text(text) => text.as_bytes().to_vec(),
        _ => Vec::new(),
    }
}

/// A letter as a record of a topic: the raw bytes under a key that names their place, everything else in headers.
pub fn record(letter: &DeadLetter) -> Record {
    let key = format!("{}/{}/{}/{}", letter.topic, letter.partition, letter.offset, letter.emit_ix);
    let headers = [
        ("reason", letter.reason.to_string()),
        ("cause", letter.cause.clone()),
        ("rule", letter.rule.to_string()),
        ("site", letter.site.to_string()),
        ("sink", letter.sink.to_string()),
        ("bundle", letter.bundle.to_string()),
        ("raw_bytes", letter.raw.bytes.to_string()),
        ("raw_hash", letter.raw.hash.clone()),
        ("timestamp", letter.timestamp.to_string()),
    ];
    let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value.into_bytes()));
    // Of the record itself, so that it can be judged once more as it was.
    let own_key = letter.key.iter().map(|key| ("kafka_key".to_owned(), key.clone()));
    let own = letter.headers.iter().map(|(name, value)| (format!("header.{name}"), value.clone()));
    let headers = headers.chain(own_key).chain(own).collect();
    Record { key: Some(key), value: letter.raw.head.clone(), headers }
}
