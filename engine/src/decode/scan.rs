//! Blocks of 32 bytes at once: which of them end a run of plain text, and whether they are those of an expected key.
//!
//! Invariant: the only unsafe code of the decoder. Blocks are arrays of 32 bytes, so no load leaves its buffer, and
//! [`Avx2`] is named only behind the question whether this machine has it.

#![expect(
    unsafe_code,
    reason = "vector instructions are behind `unsafe`; each use says why it is sound"
)]

/// Bytes looked at in one step.
pub(super) const BLOCK: usize = 32;

/// What a block of a JSON string holds, a bit a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marks {
    /// Quotes, backslashes and control bytes.
    pub(super) stops: u32,
    /// Bytes that are no ASCII.
    pub(super) high: u32,
}

/// One machine's way to look at a block. The methods are inlined into whoever chose the lanes.
pub(super) trait Lanes {
    /// Where plain text ends, and where it needs a look at its UTF-8.
    fn marks(block: &[u8; BLOCK]) -> Marks;
    /// The bytes that are equal.
    fn equal(one: &[u8; BLOCK], other: &[u8; BLOCK]) -> u32;
}

/// Work over many blocks, compiled once for each kind of lanes.
pub(super) trait Work {
    /// What comes out.
    type Output;
    /// Does it. Must be `#[inline(always)]`, with everything hot below it, or the lanes' instructions become calls.
    fn run<L: Lanes>(self) -> Self::Output;
}

/// Does the work with the widest lanes this machine has. Asked once a batch, so that nothing is asked a block.
pub(super) fn with_widest<W: Work>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
    {
        // SAFETY: the machine has just said that it has these instructions.
        return unsafe { run_avx2(work) };
    }
    work.run::<Baseline>()
}

/// The lanes that every machine of this architecture has.
#[cfg(target_arch = "x86_64")]
pub(super) type Baseline = Sse2;
/// The lanes that every machine of this architecture has.
#[cfg(not(target_arch = "x86_64"))]
pub(super) type Baseline = Scalar;

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn run_avx2<W: Work>(work: W) -> W::Output {
    work.run::<Avx2>()
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Sse2};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::{
        arch::x86_64::{
            __m128i, __m256i, _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128,
            _mm_set1_epi8, _mm256_cmpeq_epi8, _mm256_min_epu8, _mm256_movemask_epi8,
            _mm256_or_si256, _mm256_set1_epi8,
        },
        mem::transmute,
    };

    use super::{BLOCK, Lanes, Marks};

    const QUOTE: i8 = b'"' as i8;
    const BACKSLASH: i8 = b'\\' as i8;
    /// The last control byte.
    const CONTROL: i8 = 0x1f;

    /// Whole blocks. Named only by `run_avx2`.
    #[derive(Debug)]
    pub(in super::super) struct Avx2;

    impl Lanes for Avx2 {
        #[inline(always)]
        fn marks(block: &[u8; BLOCK]) -> Marks {
            // SAFETY: any 32 bytes are a vector of them, and AVX2 is there (see `Avx2`).
            unsafe {
                let bytes = transmute::<[u8; BLOCK], __m256i>(*block);
                let quote = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(QUOTE));
                let backslash = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(BACKSLASH));
                // There is no unsigned "less": a byte is at most 0x1f where the smaller of both is the byte.
                let least = _mm256_min_epu8(bytes, _mm256_set1_epi8(CONTROL));
                let control = _mm256_cmpeq_epi8(least, bytes);
                let stops = _mm256_or_si256(_mm256_or_si256(quote, backslash), control);
                Marks {
                    stops: _mm256_movemask_epi8(stops) as u32,
                    high: _mm256_movemask_epi8(bytes) as u32,
                }
            }
        }

        #[inline(always)]
        fn equal(one: &[u8; BLOCK], other: &[u8; BLOCK]) -> u32 {
            // SAFETY: as in `marks`.
            unsafe {
                let one = transmute::<[u8; BLOCK], __m256i>(*one);
                let other = transmute::<[u8; BLOCK], __m256i>(*other);
                _mm256_movemask_epi8(_mm256_cmpeq_epi8(one, other)) as u32
            }
        }
    }

    /// Half blocks, which every x86-64 has.
    #[derive(Debug)]
    pub(in super::super) struct Sse2;

    impl Sse2 {
        #[inline(always)]
        fn halves(block: &[u8; BLOCK]) -> [__m128i; 2] {
            // SAFETY: any 32 bytes are two vectors of 16.
            unsafe { transmute::<[u8; BLOCK], [__m128i; 2]>(*block) }
        }
    }

    impl Lanes for Sse2 {
        #[inline(always)]
        fn marks(block: &[u8; BLOCK]) -> Marks {
            // SAFETY: SSE2 belongs to x86-64.
            let [low, high] = Self::halves(block).map(|bytes| unsafe {
                let quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(QUOTE));
                let backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(BACKSLASH));
                let least = _mm_min_epu8(bytes, _mm_set1_epi8(CONTROL));
                let control = _mm_cmpeq_epi8(least, bytes);
                let stops = _mm_or_si128(_mm_or_si128(quote, backslash), control);
                (_mm_movemask_epi8(stops) as u32, _mm_movemask_epi8(bytes) as u32)
            });
            Marks { stops: low.0 | high.0 << 16, high: low.1 | high.1 << 16 }
        }

        #[inline(always)]
        fn equal(one: &[u8; BLOCK], other: &[u8; BLOCK]) -> u32 {
            let (one, other) = (Self::halves(one), Self::halves(other));
            // SAFETY: as in `marks`.
            let half =
                |at: usize| unsafe { _mm_movemask_epi8(_mm_cmpeq_epi8(one[at], other[at])) as u32 };
            half(0) | half(1) << 16
        }
    }
}

/// Byte by byte: the other architectures, and what the tests hold the vectors to.
#[cfg(any(test, not(target_arch = "x86_64")))]
#[derive(Debug)]
pub(super) struct Scalar;

#[cfg(any(test, not(target_arch = "x86_64")))]
impl Lanes for Scalar {
    #[inline(always)]
    fn marks(block: &[u8; BLOCK]) -> Marks {
        let mut marks = Marks { stops: 0, high: 0 };
        for (at, &byte) in block.iter().enumerate() {
            let stops = byte < b' ' || byte == b'"' || byte == b'\\';
            marks.stops |= u32::from(stops) << at;
            marks.high |= u32::from(!byte.is_ascii()) << at;
        }
        marks
    }

    #[inline(always)]
    fn equal(one: &[u8; BLOCK], other: &[u8; BLOCK]) -> u32 {
        let pairs = one.iter().zip(other).enumerate();
        pairs.fold(0, |equal, (at, (a, b))| equal | u32::from(a == b) << at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Look<'a>(&'a [u8; BLOCK], &'a [u8; BLOCK]);

    impl Work for Look<'_> {
        type Output = (Marks, u32);
        #[inline(always)]
        fn run<L: Lanes>(self) -> Self::Output {
            (L::marks(self.0), L::equal(self.0, self.1))
        }
    }

    #[test]
    fn all_lanes_see_the_same() {
        let mut block = [b'a'; BLOCK];
        for byte in 0..=u8::MAX {
            for at in 0..BLOCK {
                let plain = block;
                block[at] = byte;
                let seen = Look(&block, &plain).run::<Scalar>();
                assert_eq!(Look(&block, &plain).run::<Baseline>(), seen, "{byte:#x} at {at}");
                assert_eq!(with_widest(Look(&block, &plain)), seen, "{byte:#x} at {at}");
                let stops = byte < 0x20 || byte == b'"' || byte == b'\\';
                assert_eq!(seen.0.stops, u32::from(stops) << at);
                assert_eq!(seen.0.high, u32::from(byte > 0x7f) << at);
                assert_eq!(seen.1, !(u32::from(byte != b'a') << at));
                block = plain;
            }
        }
    }
}
