//! Memory of blocks that were sent, kept for the next ones.
//!
//! A block takes tens of megabytes. Given back to the system and taken again for every block, each page of it would be zeroed anew.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;

use super::{buffer::Buffer, columns::Growing};

/// So much waits in all pools of the process together; what would be more goes back to the system. A few workers' blocks, as a second fills them.
const KEPT_MAX: usize = 96 << 20;

/// What waits in all pools.
static KEPT: AtomicUsize = AtomicUsize::new(0);

/// What one builder's blocks leave behind: the columns of one, the body of one.
#[derive(Debug, Default)]
pub(super) struct Pool {
    columns: Slot<Vec<Growing>>,
    body: Slot<Buffer>,
}

/// A place for one thing and its size.
#[derive(Debug)]
struct Slot<T>(Mutex<Option<(T, usize)>>);

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> Slot<T> {
    fn take(&self) -> Option<T> {
        let (kept, size) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        KEPT.fetch_sub(size, Ordering::Relaxed);
        Some(kept)
    }

    /// Puts it in, unless another lies there or too much lies everywhere.
    fn give(&self, kept: T, size: usize) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let more = |all: usize| (all + size <= KEPT_MAX).then_some(all + size);
        if slot.is_none() && KEPT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok() {
            *slot = Some((kept, size));
        }
    }
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

impl Pool {
    /// Empty columns with memory, if some were given back.
    pub(super) fn columns(&self) -> Option<Vec<Growing>> {
        self.columns.take()
    }

    /// Keeps columns, whatever is in them, for another block.
    pub(super) fn give(&self, mut columns: Vec<Growing>) {
        columns.iter_mut().for_each(Growing::clear);
        let size = columns.iter().map(Growing::memory).sum();
        self.columns.give(columns, size);
    }

    /// An empty buffer, with memory if one was given back.
    pub(super) fn body(&self) -> Buffer {
        self.body.take().unwrap_or_default()
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
        buffer.clear();
        let size = buffer.memory();
        self.pool.body.give(buffer, size);
    }
}

/// Bytes to send that give their memory back.
pub(super) fn body(buffer: Buffer, pool: &Arc<Pool>) -> Bytes {
    Bytes::from_owner(Body { buffer, pool: Arc::clone(pool) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_pools_has_a_bound() {
        let full = |bytes: usize| {
            let mut buffer = Buffer::default();
            buffer.room(bytes);
            buffer
        };
        let pools: Vec<Arc<Pool>> = (0..4).map(|_| Arc::default()).collect();
        for pool in &pools {
            drop(body(full(KEPT_MAX / 3), pool));
        }
        let kept = pools.iter().filter(|pool| pool.body().memory() > 0).count();
        assert!((1..=3).contains(&kept), "{kept} of four thirds are kept");
        drop(body(full(KEPT_MAX + 1), &pools[0]));
        assert_eq!(pools[0].body().memory(), 0, "what is too large is not kept");
        drop(body(full(100), &pools[0]));
        assert!(pools[0].body().memory() >= 100);
        assert_eq!(pools[0].body().memory(), 0, "what is taken is gone");
    }
}
