//! Short texts read in a register, without a branch a byte: IPv4 addresses and decimal numbers.

const ONES: u128 = u128::MAX / 0xff;
/// Powers of ten that are exact as floats.
const TENS: [f64; 16] =
    [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// A text of 1 to 16 bytes, the first one lowest and zeros above the last.
#[inline(always)]
fn load(text: &[u8]) -> Option<u128> {
    let count = text.len();
    // Two loads that overlap take any length between them.
    if let (Some(&head), Some(&tail)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        let above = 8 * count.checked_sub(8)?;
        return (count <= 16).then(|| {
            u128::from(u64::from_le_bytes(head)) | u128::from(u64::from_le_bytes(tail)) << above
        });
    }
    if let (Some(&head), Some(&tail)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        let (head, tail) = (u32::from_le_bytes(head), u32::from_le_bytes(tail));
        return Some(u128::from(head) | u128::from(tail) << (8 * (count - 4)));
    }
    let &[first, .., last] = text else { return text.first().map(|&byte| u128::from(byte)) };
    let middle = text[count / 2];
    Some(
        u128::from(first)
            | u128::from(middle) << (8 * (count / 2))
            | u128::from(last) << (8 * (count - 1)),
    )
}

/// The highest bit of each byte that is zero. Exact: no byte borrows from another.
#[inline(always)]
fn zeros(word: u128) -> u128 {
    let low = ONES * 0x7f;
    !(((word & low) + low) | word | low)
}

/// The bytes below a place.
#[inline(always)]
fn below(place: u32) -> u128 {
    u128::MAX.checked_shr(128 - 8 * place).unwrap_or(0)
}

/// Reads an IPv4 address in its usual form. A part has no leading zeros, as in the standard library.
#[inline]
pub(super) fn ipv4(text: &[u8]) -> Option<u32> {
    let count = text.len() as u32;
    if !(7..=15).contains(&count) {
        return None;
    }
    let word = load(text)?;
    let mut dots = zeros(word ^ ONES * u128::from(b'.'));
    if dots.count_ones() != 3 {
        return None;
    }
    let digits = word ^ ONES * u128::from(b'0');
    let (mut address, mut start, mut wrong) = (0, 0, false);
    for _ in 0..4 {
        // Behind the last dot the text's end stands for one.
        let end = if dots == 0 { count } else { dots.trailing_zeros() / 8 };
        dots &= dots.wrapping_sub(1);
        let length = end.wrapping_sub(start);
        wrong |= length.wrapping_sub(1) > 2;
        // The part's digits, its last one highest of three bytes.
        let part = (digits >> (8 * start)) as u32;
        let part = part << (8 * (4 - length.min(4)) % 32) >> 8;
        let (ones, tens, hundreds) = (part >> 16 & 0xff, part >> 8 & 0xff, part & 0xff);
        wrong |= ones > 9 || tens > 9 || hundreds > 9;
        let number = hundreds * 100 + tens * 10 + ones;
        let least = if length == 3 {
            100
        } else if length == 2 {
            10
        } else {
            0
        };
        wrong |= number > 255 || number < least;
        address = address << 8 | number & 0xff;
        start = end + 1;
    }
    (!wrong).then_some(address)
}

/// Reads a decimal number of up to 15 digits, perhaps with a sign and a point between digits: both its digits and the power of ten are exact as floats, so their quotient is the nearest one.
#[inline]
pub(super) fn decimal(text: &[u8]) -> Option<f64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let count = digits.len() as u32;
    let word = load(digits)?;
    let points = zeros(word ^ ONES * u128::from(b'.')) & below(count);
    let point = points.trailing_zeros() / 8;
    // Without a point all of it is the whole part.
    let (word, fraction, count) = if points == 0 {
        (word, 0, count)
    } else {
        let fraction = count - point - 1;
        if point == 0 || fraction == 0 {
            return None;
        }
        // The point goes and what stood above it moves down.
        let whole = word & below(point);
        (whole | word >> 8 & !below(point), fraction, count - 1)
    };
    if count > 15 {
        return None;
    }
    let digits = (word ^ ONES * u128::from(b'0')) << (8 * (16 - count));
    // Every digit is at most 9: adding 0x76 would else reach the highest bit.
    if (digits.wrapping_add(ONES * 0x76) | digits) & ONES * 0x80 != 0 {
        return None;
    }
    let number = eight(digits as u64) * 100_000_000 + eight((digits >> 64) as u64);
    let number = number as f64 / TENS[fraction as usize];
    Some(if negative { -number } else { number })
}

/// Eight digits, the first one lowest, as a number: pairs, then fours, then all.
#[inline(always)]
fn eight(digits: u64) -> u64 {
    let pairs = digits.wrapping_mul(10) + (digits >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100) + (pairs >> 16) & 0x0000_ffff_0000_ffff;
    (fours.wrapping_mul(10_000) + (fours >> 32)) & 0xffff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_agree_with_the_standard_library() {
        let mut texts: Vec<String> = [
            "0.0.0.0",
            "255.255.255.255",
            "1.2.3.4",
            "10.20.30.40",
            "192.168.100.200",
            "256.1.1.1",
            "1.1.1.999",
            "01.1.1.1",
            "1.1.1.00",
            "1..1.1",
            "1.1.1.1.",
            ".1.1.1.1",
            "1.1.1",
            "1.1.1.1.1",
            "1.1.1.x",
            "1,1.1.1",
            "1.1.1.1 ",
            "1234.1.1.1",
            "1.1.1.1234",
            "a.b.c.d",
            "/.1.1.1",
            "::1.2.3.4",
            "1.:.1.11",
            "...",
            "......",
            ".......",
            "11111111",
            "",
        ]
        .map(String::from)
        .to_vec();
        for a in [0_u32, 1, 9, 10, 99, 100, 199, 249, 250, 255, 256, 300] {
            for b in [0, 7, 42, 255, 260] {
                texts.push(format!("{a}.{b}.{a}.{b}"));
                texts.push(format!("{b}.{b}.0.{a}"));
            }
        }
        for text in &texts {
            let expected = text.parse::<std::net::Ipv4Addr>().ok().map(u32::from);
            assert_eq!(ipv4(text.as_bytes()), expected, "{text}");
            // Every byte of an address put to every value.
            for at in 0..text.len().min(7) {
                for byte in 0..128 {
                    let mut changed = text.clone().into_bytes();
                    changed[at] = byte;
                    let expected = std::str::from_utf8(&changed)
                        .ok()
                        .and_then(|text| text.parse::<std::net::Ipv4Addr>().ok())
                        .map(u32::from);
                    assert_eq!(ipv4(&changed), expected, "{changed:?}");
                }
            }
        }
    }

    #[test]
    fn decimals_are_the_nearest_floats() {
        let mut number = 1_u64;
        for round in 0..20_000_u32 {
            number = number
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let digits = (number >> 11) % 10_u64.pow(round % 16);
            let text = digits.to_string();
            let point = (number % 17) as usize;
            let text = if (1..text.len()).contains(&point) {
                format!("{}.{}", &text[..point], &text[point..])
            } else {
                text
            };
            for text in [text.clone(), format!("-{text}")] {
                let expected = text.parse::<f64>().ok();
                let got = decimal(text.as_bytes());
                assert_eq!(got.map(f64::to_bits), expected.map(f64::to_bits), "{text}");
            }
        }
        for other in [
            "",
            "-",
            ".",
            "1.",
            ".5",
            "1..2",
            "1e5",
            "1.5e3",
            "--1",
            "+1",
            "12a",
            "1 ",
            "1.2.3",
            "/",
            ":",
            "1234567890123456",
            "NaN",
        ] {
            assert_eq!(decimal(other.as_bytes()), None, "{other}");
        }
        for (text, number) in
            [("0", 0.0), ("007.50", 7.5), ("-0", -0.0), ("0.000000000000001", 1e-15)]
        {
            if text.len() <= 16 {
                assert_eq!(
                    decimal(text.as_bytes()).map(f64::to_bits),
                    Some(f64::to_bits(number)),
                    "{text}"
                );
            }
        }
    }
}
