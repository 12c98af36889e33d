//! Blocks of 64 bytes at once: which of them end a run of plain text, which are digits, and whether they are those of an expected step.
//!
//! Invariant: the only unsafe code of the decoder. Blocks are arrays of 64 bytes, so no load leaves its buffer, and
//! [`Avx2`] and [`Avx512`] are named only behind the question whether this machine has them.

#![expect(
    unsafe_code,
    reason = "vector instructions are behind `unsafe`; each use says why it is sound"
)]

/// Bytes looked at in one step.
pub(super) const BLOCK: usize = 64;

/// What a block of a JSON string holds, a bit a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marks {
    /// Quotes, backslashes and control bytes.
    pub(super) stops: u64,
    /// Bytes that are no ASCII.
    pub(super) high: u64,
}

/// One machine's way to look at a block. The methods are inlined into whoever chose the lanes.
pub(super) trait Lanes {
    /// Where plain text ends, and where it needs a look at its UTF-8.
    fn marks(block: &[u8; BLOCK]) -> Marks;
    /// The bytes that are equal.
    fn equal(one: &[u8; BLOCK], other: &[u8; BLOCK]) -> u64;
    /// The bytes that are decimal digits.
    fn digits(block: &[u8; BLOCK]) -> u64;
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
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") {
            // SAFETY: the machine has just said that it has these instructions.
            return unsafe { run_avx512(work) };
        }
        // SAFETY: as above.
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
#[target_feature(enable = "avx512f,avx512bw,avx2,bmi1,bmi2")]
fn run_avx512<W: Work>(work: W) -> W::Output {
    work.run::<Avx512>()
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512, Sse2};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::{
        arch::x86_64::{
            __m128i, __m256i, __m512i, _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8,
            _mm_or_si128, _mm_set1_epi8, _mm_sub_epi8, _mm256_cmpeq_epi8, _mm256_min_epu8,
            _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8, _mm256_sub_epi8,
            _mm512_cmpeq_epi8_mask, _mm512_cmple_epu8_mask, _mm512_movepi8_mask, _mm512_set1_epi8,
            _mm512_sub_epi8,
        },
        mem::transmute,
    };

    use super::{BLOCK, Lanes, Marks};

    const QUOTE: i8 = b'"' as i8;
    const BACKSLASH: i8 = b'\\' as i8;
    /// The last control byte.
    const CONTROL: i8 = 0x1f;
    const ZERO: i8 = b'0' as i8;

    /// Whole blocks. Named only by `run_avx512`.
    #[derive(Debug)]
    pub(in super::super) struct Avx512;

    impl Avx512 {
        #[inline(always)]
        fn whole(block: &[u8; BLOCK]) -> __m512i {
            // SAFETY: any 64 bytes are a vector of 64.
            unsafe { transmute::<[u8; BLOCK], __m512i>(*block) }
        }
    }

    impl Lanes for Avx512 {
        #[inline(always)]
        fn marks(block: &[u8; BLOCK]) -> Marks {
            let bytes = Self::whole(block);
            // SAFETY: who named these lanes has asked whether the instructions are there.
            unsafe {
                let quote = _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(QUOTE));
                let backslash = _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(BACKSLASH));
                let control = _mm512_cmple_epu8_mask(bytes, _mm512_set1_epi8(CONTROL));
                Marks { stops: quote | backslash | control, high: _mm512_movepi8_mask(bytes) }
            }
        }

        #[inline(always)]
        fn equal(one: &[u8; BLOCK], other: &[u8; BLOCK]) -> u64 {
            // SAFETY: as in `marks`.
            unsafe { _mm512_cmpeq_epi8_mask(Self::whole(one), Self::whole(other)) }
        }

        #[inline(always)]
        fn digits(block: &[u8; BLOCK]) -> u64 {
            // SAFETY: as in `marks`.
            unsafe {
                let above = _mm512_sub_epi8(Self::whole(block), _mm512_set1_epi8(ZERO));
                _mm512_cmple_epu8_mask(above, _mm512_set1_epi8(9))
            }
        }
    }

    /// Halves of a block. Named only by `run_avx2`.
    #[derive(Debug)]
    pub(in super::super) struct Avx2;

    impl Avx2 {
        #[inline(always)]
        fn halves(block: &[u8; BLOCK]) -> [__m256i; 2] {
            // SAFETY: any 64 bytes are two vectors of 32.
            unsafe { transmute::<[u8; BLOCK], [__m256i; 2]>(*block) }
        }
    }

    impl Lanes for Avx2 {
        #[inline(always)]
        fn marks(block: &[u8; BLOCK]) -> Marks {
            // SAFETY: who named these lanes has asked whether the instructions are there.
            let [low, high] = Self::halves(block).map(|bytes| unsafe {
                let quote = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(QUOTE));
                let backslash = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(BACKSLASH));
                // There is no unsigned "less": a byte is at most 0x1f where the smaller of both is the byte.
                let least = _mm256_min_epu8(bytes, _mm256_set1_epi8(CONTROL));
                let control = _mm256_cmpeq_epi8(least, bytes);
                let stops = _mm256_or_si256(_mm256_or_si256(quote, backslash), control);
                (_mm256_movemask_epi8(stops) as u32, _mm256_movemask_epi8(bytes) as u32)
            });
            Marks { stops: join([low.0, high.0]), high: join([low.1, high.1]) }
        }

        #[inline(always)]
        fn equal(one: &[u8; BLOCK], other: &[u8; BLOCK]) -> u64 {
            let (one, other) = (Self::halves(one), Self::halves(other));
            // SAFETY: as in `marks`.
            join([0, 1].map(|at| unsafe {
                _mm256_movemask_epi8(_mm256_cmpeq_epi8(one[at], other[at])) as u32
            }))
        }

        #[inline(always)]
        fn digits(block: &[u8; BLOCK]) -> u64 {
            // SAFETY: as in `marks`.
            join(Self::halves(block).map(|bytes| unsafe {
                let above = _mm256_sub_epi8(bytes, _mm256_set1_epi8(ZERO));
                let least = _mm256_min_epu8(above, _mm256_set1_epi8(9));
                _mm256_movemask_epi8(_mm256_cmpeq_epi8(least, above)) as u32
            }))
        }
    }

    #[inline(always)]
    fn join([low, high]: [u32; 2]) -> u64 {
        u64::from(low) | u64::from(high) << 32
    }

    /// Quarters of a block, which every x86-64 has.
    #[derive(Debug)]
    pub(in super::super) struct Sse2;

    impl Sse2 {
        #[inline(always)]
        fn quarters(block: &[u8; BLOCK]) -> [__m128i; 4] {
            // SAFETY: any 64 bytes are four vectors of 16.
            unsafe { transmute::<[u8; BLOCK], [__m128i; 4]>(*block) }
        }

        #[inline(always)]
        fn join(quarters: [i32; 4]) -> u64 {
            quarters.iter().rev().fold(0, |joined, &bits| joined << 16 | bits as u64)
        }
    }

    impl Lanes for Sse2 {
        #[inline(always)]
        fn marks(block: &[u8; BLOCK]) -> Marks {
            // SAFETY: SSE2 belongs to x86-64.
            let marks = Self::quarters(block).map(|bytes| unsafe {
                let quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(QUOTE));
                let backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(BACKSLASH));
                let least = _mm_min_epu8(bytes, _mm_set1_epi8(CONTROL));
                let control = _mm_cmpeq_epi8(least, bytes);
                let stops = _mm_or_si128(_mm_or_si128(quote, backslash), control);
                (_mm_movemask_epi8(stops), _mm_movemask_epi8(bytes))
            });
            Marks {
                stops: Self::join(marks.map(|(stops, _)| stops)),
                high: Self::join(marks.map(|(_, high)| high)),
            }
        }

        #[inline(always)]
        fn equal(one: &[u8; BLOCK], other: &[u8; BLOCK]) -> u64 {
            let (one, other) = (Self::quarters(one), Self::quarters(other));
            // SAFETY: as in `marks`.
            Self::join(
                [0, 1, 2, 3]
                    .map(|at| unsafe { _mm_movemask_epi8(_mm_cmpeq_epi8(one[at], other[at])) }),
            )
        }

        #[inline(always)]
        fn digits(block: &[u8; BLOCK]) -> u64 {
            // SAFETY: as in `marks`.
            Self::join(Self::quarters(block).map(|bytes| unsafe {
                let above = _mm_sub_epi8(bytes, _mm_set1_epi8(ZERO));
                let least = _mm_min_epu8(above, _mm_set1_epi8(9));
                _mm_movemask_epi8(_mm_cmpeq_epi8(least, above))
            }))
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
            marks.stops |= u64::from(stops) << at;
            marks.high |= u64::from(!byte.is_ascii()) << at;
        }
        marks
    }

    #[inline(always)]
    fn equal(one: &[u8; BLOCK], other: &[u8; BLOCK]) -> u64 {
        let pairs = one.iter().zip(other).enumerate();
        pairs.fold(0, |equal, (at, (a, b))| equal | u64::from(a == b) << at)
    }

    #[inline(always)]
    fn digits(block: &[u8; BLOCK]) -> u64 {
        let digits = block.iter().enumerate();
        digits.fold(0, |digits, (at, byte)| digits | u64::from(byte.is_ascii_digit()) << at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Look<'a>(&'a [u8; BLOCK], &'a [u8; BLOCK]);

    impl Work for Look<'_> {
        type Output = (Marks, u64, u64);
        #[inline(always)]
        fn run<L: Lanes>(self) -> Self::Output {
            (L::marks(self.0), L::equal(self.0, self.1), L::digits(self.0))
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
                #[cfg(target_arch = "x86_64")]
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: the machine has just said that it has these instructions.
                    let middle = unsafe { run_avx2(Look(&block, &plain)) };
                    assert_eq!(middle, seen, "{byte:#x} at {at}");
                }
                let stops = byte < 0x20 || byte == b'"' || byte == b'\\';
                assert_eq!(seen.0.stops, u64::from(stops) << at);
                assert_eq!(seen.0.high, u64::from(byte > 0x7f) << at);
                assert_eq!(seen.1, !(u64::from(byte != b'a') << at));
                assert_eq!(seen.2, u64::from(byte.is_ascii_digit()) << at);
                block = plain;
            }
        }
    }
}
