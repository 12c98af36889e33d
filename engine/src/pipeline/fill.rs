//! Records of a partition become the rows of a batch, and each row says where it came from.

use std::sync::Arc;

use logmon_dsl::{
    column::{Batch, View},
    plan::Plan,
};

use crate::{
    config::{OnEmpty, Source},
    decode::{Decoded, Decoder, Limits, Reject},
    source::RawBatch,
};

/// Decodes the records into an empty batch; takes their arena. `source` is the source's number in the plan.
pub fn fill(
    batch: &mut Batch,
    decoder: &mut Decoder,
    plan: &Plan,
    source: usize,
    settings: &Source,
    raw: &mut RawBatch,
) -> Decoded {
    let limits = Limits { max_bytes: settings.max_record_bytes, ..Limits::default() };
    batch.arena = std::mem::take(&mut raw.arena);
    let decoded = decoder.decode(batch, &raw.payloads, &limits);
    let meta = &mut batch.meta;
    meta.source = source;
    meta.lane = raw.lane.0;
    meta.topic = Arc::clone(&raw.position.topic);
    meta.partition = raw.position.partition;
    let kept = || decoded.kept.iter().map(|&record| record as usize);
    meta.offsets.extend(kept().map(|record| raw.offsets[record]));
    meta.times.extend(kept().map(|record| raw.times[record]));
    meta.keys.extend(kept().map(|record| raw.keys[record]));
    if !raw.headers.is_empty() {
        meta.headers.extend(kept().map(|record| raw.headers[record]));
    } else if plan.reads_headers {
        // Read before the rules asked for headers.
        meta.headers.resize(decoded.kept.len(), View::MISSING);
    }
    decoded
}

/// Whether a record without content is let go where others that are no events become dead letters.
pub fn is_let_go(settings: &Source, reject: &Reject) -> bool {
    settings.on_empty == OnEmpty::Drop && matches!(reject, Reject::Tombstone | Reject::Empty)
}
