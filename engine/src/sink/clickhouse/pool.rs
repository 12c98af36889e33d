//! Memory of blocks that were sent, kept for the next ones.
//!
//! A block takes tens of megabytes. Given back to the system and taken again for every block, each page of it would be zeroed anew.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;

use super::{buffer::Buffer, columns::Growing};

/// What pools on a shelf of their own may keep together: one block of the usual size and its body.
const KEPT_MAX: usize = 64 << 20;

/// How much all pools that stand on it may keep together: idle memory is bounded, however many tables and threads there are.
#[derive(Debug)]
pub struct Shelf {
    limit: usize,
    kept: AtomicUsize,
}

impl Shelf {
    /// A shelf for that many bytes.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, kept: AtomicUsize::new(0) })
    }

    /// Bytes that are kept now.
    pub fn kept(&self) -> usize {
        self.kept.load(Ordering::Relaxed)
    }

    fn put(&self, bytes: usize) -> bool {
        let fits = |kept: usize| kept.checked_add(bytes).filter(|&sum| sum <= self.limit);
        self.kept.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    fn take(&self, bytes: usize) {
        self.kept.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What one builder's blocks leave behind: the columns of one, the body of one.
#[derive(Debug)]
pub(super) struct Pool {
    shelf: Arc<Shelf>,
    columns: Mutex<Kept<Vec<Growing>>>,
    body: Mutex<Kept<Buffer>>,
}

/// Something that is kept, and the bytes it takes on the shelf.
type Kept<T> = Option<(T, usize)>;

impl Default for Pool {
    fn default() -> Self {
        Self::new(Shelf::new(KEPT_MAX))
    }
}

impl Pool {
    /// A pool on that shelf.
    pub(super) fn new(shelf: Arc<Shelf>) -> Self {
        Self { shelf, columns: Mutex::default(), body: Mutex::default() }
    }

    /// Empty columns with memory, if some were given back.
    pub(super) fn columns(&self) -> Option<Vec<Growing>> {
        self.fetch(&self.columns)
    }

    /// Keeps columns, whatever is in them, for another block.
    pub(super) fn give(&self, mut columns: Vec<Growing>) {
        let bytes = columns.iter().map(Growing::memory).sum();
        columns.iter_mut().for_each(Growing::clear);
        self.keep(&self.columns, columns, bytes);
    }

    fn fetch<T>(&self, place: &Mutex<Kept<T>>) -> Option<T> {
        let (kept, bytes) = lock(place).take()?;
        self.shelf.take(bytes);
        Some(kept)
    }

    fn keep<T>(&self, place: &Mutex<Kept<T>>, one: T, bytes: usize) {
        let mut place = lock(place);
        if let Some((_, before)) = place.take() {
            self.shelf.take(before);
        }
        if self.shelf.put(bytes) {
            *place = Some((one, bytes));
        }
    }

    /// An empty buffer, with memory if one was given back.
    pub(super) fn body(&self) -> Buffer {
        self.fetch(&self.body).unwrap_or_default()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // What was kept leaves the shelf with the pool.
        let _columns = self.fetch(&self.columns);
        let _body = self.fetch(&self.body);
    }
}

fn lock<T>(place: &Mutex<T>) -> MutexGuard<'_, T> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
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
        let bytes = buffer.memory();
        buffer.clear();
        self.pool.keep(&self.pool.body, buffer, bytes);
    }
}

/// Bytes to send that give their memory back.
pub(super) fn body(buffer: Buffer, pool: &Arc<Pool>) -> Bytes {
    Bytes::from_owner(Body { buffer, pool: Arc::clone(pool) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(bytes: usize) -> Buffer {
        let mut buffer = Buffer::default();
        buffer.extend(&vec![1; bytes]);
        buffer
    }

    #[test]
    fn pools_keep_no_more_than_their_shelf_holds() {
        let shelf = Shelf::new(10_000);
        let (one, two) =
            (Arc::new(Pool::new(Arc::clone(&shelf))), Arc::new(Pool::new(Arc::clone(&shelf))));
        drop(body(buffer(8_000), &one));
        drop(body(buffer(8_000), &two));
        assert_eq!(shelf.kept(), 8_000, "the second had no place");
        assert_eq!(one.body().memory(), 8_000);
        assert_eq!((shelf.kept(), two.body().memory()), (0, 0));
        drop(body(buffer(8_000), &two));
        drop(two);
        assert_eq!(shelf.kept(), 0, "what was kept goes with its pool");
    }
}
