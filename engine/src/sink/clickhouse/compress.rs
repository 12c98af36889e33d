//! ClickHouse's compressed frames: checksum, method, sizes, data.

use serde::{Deserialize, Serialize};

use super::buffer::Buffer;

/// How blocks are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all: cheapest on loopback or a fast network.
    None,
    /// LZ4: fast, a quarter of the bytes.
    #[default]
    Lz4,
    /// Zstandard: half of LZ4's bytes for twice its time.
    Zstd,
}

/// Pieces larger than this become several frames; the server decompresses one at a time.
const FRAME_MAX: usize = 1 << 20;
/// Columns smaller than this share a frame, since a frame of its own costs 25 bytes and a dictionary's warm-up.
const SMALL: usize = 32 << 10;
/// Zstandard's fastest ordinary level.
const ZSTD_LEVEL: i32 = 1;
const CHECKSUM: usize = 16;
const HEADER: usize = 9;
/// Where a frame's data starts.
const DATA: usize = CHECKSUM + HEADER;

/// Collects a block's bytes, column by column, into frames of one method. ClickHouse refuses a stream that mixes methods.
pub(super) struct Frames {
    compression: Compression,
    out: Buffer,
    small: Vec<u8>,
    scratch: Vec<u8>,
    zstd: Option<zstd::bulk::Compressor<'static>>,
    raw: usize,
}

impl Frames {
    /// Starts a stream in an empty buffer.
    pub(super) fn new(compression: Compression, out: Buffer) -> Self {
        let zstd = (compression == Compression::Zstd).then(|| {
            zstd::bulk::Compressor::new(ZSTD_LEVEL).expect("the level is one of the library's own")
        });
        Self {
            compression,
            out,
            small: Vec::with_capacity(2 * SMALL),
            scratch: Vec::new(),
            zstd,
            raw: 0,
        }
    }

    /// Where small pieces are written; they leave with the next flush.
    pub(super) fn small(&mut self) -> &mut Vec<u8> {
        &mut self.small
    }

    /// Adds bytes: small ones wait for others, large ones get frames of their own.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        if bytes.len() < SMALL {
            self.small.extend_from_slice(bytes);
            if self.small.len() >= FRAME_MAX {
                self.flush();
            }
            return;
        }
        self.flush();
        self.write(bytes);
    }

    /// Adds what `write` writes.
    pub(super) fn add_written(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        write(&mut scratch);
        self.add(&scratch);
        self.scratch = scratch;
    }

    /// Ends the frame of small pieces, so that what follows starts a new one.
    pub(super) fn flush(&mut self) {
        if !self.small.is_empty() {
            let small = std::mem::take(&mut self.small);
            self.write(&small);
            self.small = small;
            self.small.clear();
        }
    }

    /// The whole stream and its raw size.
    pub(super) fn finish(mut self) -> (Buffer, usize) {
        self.flush();
        (self.out, self.raw)
    }

    fn write(&mut self, bytes: &[u8]) {
        self.raw += bytes.len();
        if self.compression == Compression::None {
            self.out.extend(bytes);
            return;
        }
        for piece in bytes.chunks(FRAME_MAX) {
            self.frame(piece);
        }
    }

    fn frame(&mut self, piece: &[u8]) {
        let bound = match self.compression {
            Compression::Zstd => zstd::zstd_safe::compress_bound(piece.len()),
            Compression::None | Compression::Lz4 => piece.len() + piece.len() / 255 + 64,
        };
        let frame = self.out.room(DATA + bound);
        let data = &mut frame[DATA..];
        let (method, n) = if let Some(zstd) = &mut self.zstd {
            (0x90, zstd.compress_to_buffer(piece, data))
        } else {
            (0x82, lz4::block::compress_to_buffer(piece, None, false, data))
        };
        let n = n.expect("the buffer holds the worst case");
        frame[CHECKSUM] = method;
        frame[CHECKSUM + 1..][..4].copy_from_slice(&((n + HEADER) as u32).to_le_bytes());
        frame[CHECKSUM + 5..][..4].copy_from_slice(&(piece.len() as u32).to_le_bytes());
        let hash = cityhash_rs::cityhash_102_128(&frame[CHECKSUM..DATA + n]);
        // The server writes the half first that this crate keeps high.
        frame[..8].copy_from_slice(&((hash >> 64) as u64).to_le_bytes());
        frame[8..CHECKSUM].copy_from_slice(&(hash as u64).to_le_bytes());
        self.out.advance(DATA + n);
    }
}

/// The bytes inside a stream of frames; `None` if they are not what they were.
pub(super) fn unpack(compression: Compression, mut frames: &[u8]) -> Option<Vec<u8>> {
    if compression == Compression::None {
        return Some(frames.to_vec());
    }
    let mut raw = Vec::new();
    while !frames.is_empty() {
        let header = frames.get(CHECKSUM..DATA)?;
        let word = |at: usize| Some(u32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?));
        let (packed, length) = (word(1)? as usize, word(5)? as usize);
        let end = CHECKSUM.checked_add(packed)?;
        let data = frames.get(DATA..end)?;
        if length > FRAME_MAX {
            return None;
        }
        let piece = if compression == Compression::Zstd {
            zstd::bulk::decompress(data, length).ok()?
        } else {
            lz4::block::decompress(data, Some(i32::try_from(length).ok()?)).ok()?
        };
        raw.extend_from_slice(&piece);
        frames = &frames[end..];
    }
    Some(raw)
}
