//! Bytes that grow behind a cursor: all of the memory is written once, so that what follows the cursor is always there to write to.

/// From this length on a buffer grows by an eighth instead of a half.
const LARGE: usize = 4 << 20;

/// A growing run of bytes. Forgetting its contents keeps the memory, and the memory stays with the process: pages that were touched
/// once are not zeroed by the system again.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    len: usize,
}

impl Buffer {
    /// How many bytes are in use.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes held, used or not.
    pub(super) fn memory(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes in use.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Forgets everything, keeps the memory.
    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    /// At least `count` bytes behind the cursor; what is written there counts when [`Self::advance`] says so.
    #[inline]
    pub(super) fn room(&mut self, count: usize) -> &mut [u8] {
        if self.bytes.len() - self.len < count {
            self.grow(count);
        }
        &mut self.bytes[self.len..]
    }

    /// Moves the cursor over bytes that were written.
    #[inline]
    pub(super) fn advance(&mut self, count: usize) {
        self.len += count;
        debug_assert!(self.len <= self.bytes.len(), "the cursor stays inside");
    }

    /// Appends bytes.
    #[inline]
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.room(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.advance(bytes.len());
    }

    #[cold]
    fn grow(&mut self, count: usize) {
        // All of it is touched, so large buffers grow in smaller steps.
        let held = self.bytes.len();
        let step = if held < LARGE { held / 2 } else { held / 8 };
        let size = (self.len + count).max(held + step).max(1 << 10);
        if self.len == 0 {
            // Zeroed by the system, page by page as they are touched.
            self.bytes = vec![0; size];
        } else {
            self.bytes.reserve_exact(size - held);
            self.bytes.resize(size, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_stays_while_it_grows() {
        let mut buffer = Buffer::default();
        for round in 0..3 {
            let mut plain = Vec::new();
            for i in 0..2000_u32 {
                let text = vec![i as u8; i as usize % 40];
                buffer.extend(&text);
                plain.extend_from_slice(&text);
                let room = buffer.room(4);
                assert!(room.len() >= 4);
                room[..4].copy_from_slice(&i.to_le_bytes());
                buffer.advance(4);
                plain.extend_from_slice(&i.to_le_bytes());
            }
            assert_eq!(buffer.bytes(), plain, "round {round}");
            let memory = buffer.memory();
            buffer.clear();
            assert_eq!((buffer.len(), buffer.memory()), (0, memory));
        }
    }
}
