//! Short texts read in a register, without a branch a byte: IPv4 addresses and decimal numbers.

const ONES: u128 = u128::MAX / 0xff;

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

/// Reads an IPv4 address in its usual form. A part has no leading zeros, as in the standard library.
#[inline]
pub(super) fn ipv4(text: &[u8]) -> Option<u32> {
    /// The bytes of a part of that length, its last one highest.
    const PART: [u32; 4] = [0, 0xff00_0000, 0xffff_0000, 0xffff_ff00];
    /// The least number with so many digits that has no leading zero.
    const LEAST: [u32; 4] = [u32::MAX, 0, 10, 100];
    let count = text.len();
    if !(7..=15).contains(&count) {
        return None;
    }
    let word = load(text)?;
    let dots = zeros(word ^ (ONES * u128::from(b'.')));
    if dots.count_ones() != 3 {
        return None;
    }
    // Room in front, so that four bytes end at any place.
    let mut room = [0; 20];
    room[4..].copy_from_slice(&(word ^ (ONES * u128::from(b'0'))).to_le_bytes());
    let second = dots & (dots - 1);
    let third = second & (second - 1);
    let ends = [dots, second, third].map(|dots| (dots.trailing_zeros() / 8) as usize);
    let (mut address, mut start, mut wrong) = (0, 0, false);
    for end in [ends[0], ends[1], ends[2], count] {
        let length = end.wrapping_sub(start);
        wrong |= length > 3;
        let last =
            room.get(end..end + 4)?.first_chunk().map_or(0, |last| u32::from_le_bytes(*last));
        let part = last & PART[length & 3];
        // Every digit is at most 9: adding 0x76 would else reach the highest bit.
        wrong |= (part.wrapping_add(0x7676_7676) | part) & 0x8080_8080 != 0;
        let number = (part >> 8 & 0xff) * 100 + (part >> 16 & 0xff) * 10 + (part >> 24);
        wrong |= number > 255 || number < LEAST[length & 3];
        address = address << 8 | number & 0xff;
        start = end + 1;
    }
    (!wrong).then_some(address)
}

/// Reads a decimal number of up to eight bytes, perhaps with a sign and a point between digits: both its digits and the power
/// of ten are exact as floats, so their quotient is the nearest one.
#[inline]
pub(super) fn decimal(text: &[u8]) -> Option<f64> {
    const TENS: [f64; 8] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7];
    const ONES: u64 = u64::MAX / 0xff;
    let (negative, text) = match text {
        [b'-', text @ ..] => (true, text),
        text => (false, text),
    };
    let count = text.len() as u32;
    if !(1..=8).contains(&count) {
        return None;
    }
    let word = load(text)? as u64;
    // Above the text there are zeros, which are no points.
    let points = zeros(u128::from(word ^ (ONES * u64::from(b'.')))) as u64;
    // Without a point all of it is the whole part.
    let point = if points == 0 { count } else { points.trailing_zeros() / 8 };
    let below = u64::MAX.checked_shr(64 - 8 * point).unwrap_or(0);
    // The point goes and what stood above it moves down.
    let digits = word & below | word >> 8 & !below;
    let pointed = u32::from(points != 0);
    let fraction = count - point - pointed;
    if point == 0 || pointed == 1 && fraction == 0 {
        return None;
    }
    let digits = (digits ^ (ONES * u64::from(b'0'))) << (8 * (8 - count + pointed));
    // As for addresses.
    if (digits.wrapping_add(ONES * 0x76) | digits) & (ONES * 0x80) != 0 {
        return None;
    }
    let number = eight(digits) as f64 / TENS[fraction as usize];
    Some(if negative { -number } else { number })
}

/// Eight digits, the first one lowest, as a number: pairs, then fours, then all.
#[inline(always)]
fn eight(digits: u64) -> u64 {
    let pairs = (digits.wrapping_mul(10) + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100) + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
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
            let digits = (number >> 11) % 10_u64.pow(round % 9);
            let text = digits.to_string();
            let point = (number % 9) as usize;
            let text = if (1..text.len()).contains(&point) {
                format!("{}.{}", &text[..point], &text[point..])
            } else {
                text
            };
            for text in [text.clone(), format!("-{text}")] {
                // Longer numbers are left to others.
                let is_short = text.trim_start_matches('-').len() <= 8;
                let expected = is_short.then(|| text.parse::<f64>().unwrap());
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
        for (text, number) in [("0", 0.0), ("007.50", 7.5), ("-0", -0.0), ("0.000001", 1e-6)] {
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
