//! Memory of blocks that were sent, kept for the next ones.
//!
//! A block takes tens of megabytes. Given back to the system and taken again for every block, each page of it would be zeroed anew.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::{buffer::Buffer, columns::Growing};

/// More than this is not kept: blocks are closed at 32 MiB, and a rare larger one shall not stay for ever.
const KEPT_MAX: usize = 64 << 20;

/// What one builder's blocks leave behind: the columns of one, the body of one.
#[derive(Debug, Default)]
pub(super) struct Pool {
    columns: Mutex<Option<Vec<Growing>>>,
    body: Mutex<Option<Buffer>>,
}

impl Pool {
    /// Empty columns with memory, if some were given back.
    pub(super) fn columns(&self) -> Option<Vec<Growing>> {
        self.columns.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Keeps columns, whatever is in them, for another block.
    pub(super) fn give(&self, mut columns: Vec<Growing>) {
        if columns.iter().map(Growing::memory).sum::<usize>() > KEPT_MAX {
            return;
        }
        columns.iter_mut().for_each(Growing::clear);
        *self.columns.lock().unwrap_or_else(PoisonError::into_inner) = Some(columns);
    }

    /// An empty buffer, with memory if one was given back.
    pub(super) fn body(&self) -> Buffer {
        self.body.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }
}

/// The bytes of a body; its memory goes back to the pool when the last that reads them is done.
struct Body {
    buffer: Buffer,
    pool: Arc<Pool>,
}

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        self.buffer.bytes()
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        if buffer.memory() <= KEPT_MAX {
            buffer.clear();
            *self.pool.body.lock().unwrap_or_else(PoisonError::into_inner) = Some(buffer);
        }
    }
}

/// Bytes to send that give their memory back.
pub(super) fn body(buffer: Buffer, pool: &Arc<Pool>) -> Bytes {
    Bytes::from_owner(Body { buffer, pool: Arc::clone(pool) })
}
