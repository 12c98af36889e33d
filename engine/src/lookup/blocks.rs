//! Rows by blocks of addresses: the longest block that holds an address has the answer.
//!
//! Blocks nest or lie apart, so all of them together cut the addresses into ranges with one answer each. Which range an
//! address is in is a search among their first addresses, narrowed by its upper 16 bits: two reads and some steps,
//! whatever the blocks look like.

use std::net::IpAddr;

use logmon_dsl::{
    column::{Cidr, value::ip_to_u128},
    eval::{Answer, Row},
};

/// No row has this number.
const NONE: u32 = u32::MAX;
/// IPv4 in mapped form begins here.
const V4: u128 = 0xffff_0000_0000;

/// Rows by blocks of addresses.
#[derive(Debug)]
pub(super) struct Blocks {
    rows: Vec<Row>,
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

/// Ranges of addresses without a gap between them.
#[derive(Debug)]
struct Ranges<T> {
    /// The first address of each range and the number of its row, side by side: finding one brings the other. The first range
    /// begins at the first address there is.
    ranges: Vec<(T, u32)>,
    /// For all upper 16 bits: how many ranges begin below.
    index: Vec<u32>,
}

/// An address as a number.
trait Number: Copy + Ord {
    fn upper(self) -> usize;
}

impl Number for u32 {
    fn upper(self) -> usize {
        (self >> 16) as usize
    }
}

impl Number for u128 {
    fn upper(self) -> usize {
        (self >> 112) as usize
    }
}

impl Blocks {
    /// Blocks and their rows. Of rows for the same block the last one counts.
    pub(super) fn new(mut blocks: Vec<(Cidr, Row)>) -> Self {
        // Stable, so that the last one of equal blocks stays the last.
        blocks.sort_by_key(|(block, _)| (block.net, block.prefix));
        let mut ranges: Vec<(u128, u32)> = vec![(0, NONE)];
        let mut begin = |at: u128, row: u32| {
            if ranges.last().is_some_and(|(start, _)| *start == at) {
                ranges.pop();
            }
            if ranges.last().is_none_or(|(_, before)| *before != row) {
                ranges.push((at, row));
            }
        };
        // The blocks around the address that was reached, the outermost first.
        let mut around: Vec<(u128, u32)> = Vec::new();
        let mut rows = Vec::with_capacity(blocks.len());
        for (block, row) in blocks {
            while let Some((last, _)) = around.pop_if(|(last, _)| *last < block.net) {
                begin(last + 1, around.last().map_or(NONE, |(_, row)| *row));
            }
            let number = rows.len() as u32;
            rows.push(row);
            begin(block.net, number);
            around.push((block.last(), number));
        }
        while let Some((last, _)) = around.pop() {
            let Some(next) = last.checked_add(1) else { continue };
            begin(next, around.last().map_or(NONE, |(_, row)| *row));
        }
        let first = ranges.partition_point(|(start, _)| *start <= V4) - 1;
        let end = ranges.partition_point(|(start, _)| *start <= V4 + u128::from(u32::MAX));
        let v4 = ranges[first..end].iter().map(|(start, row)| (start.max(&V4) - V4, *row));
        let v4 = Ranges::new(v4.map(|(start, row)| (start as u32, row)));
        Self { rows, v4, v6: Ranges::new(ranges.into_iter()) }
    }

    /// The row of the longest block that holds the address.
    #[inline]
    pub(super) fn find(&self, address: IpAddr) -> Answer {
        let row = match address {
            IpAddr::V4(v4) => self.v4.find(u32::from(v4)),
            IpAddr::V6(_) => self.v6.find(ip_to_u128(address)),
        };
        self.rows.get(row as usize).map_or(Answer::Miss, |row| Answer::Found(row.clone()))
    }

    /// How many blocks there are.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }
}

impl<T: Number> Ranges<T> {
    fn new(ranges: impl Iterator<Item = (T, u32)>) -> Self {
        let ranges: Vec<(T, u32)> = ranges.collect();
        let mut index = Vec::with_capacity(0x1_0001);
        let mut below = 0;
        for upper in 0..=0x1_0000 {
            while ranges.get(below).is_some_and(|(start, _)| start.upper() < upper) {
                below += 1;
            }
            index.push(below as u32);
        }
        Self { ranges, index }
    }

    #[inline]
    fn find(&self, address: T) -> u32 {
        let upper = address.upper();
        let (from, to) = (self.index[upper] as usize, self.index[upper + 1] as usize);
        let begun = from + self.ranges[from..to].partition_point(|(start, _)| *start <= address);
        // The first range begins at the first address.
        self.ranges[begun - 1].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(texts: &[&str]) -> Blocks {
        let block = |text: &&str| (Cidr::parse(text).unwrap(), Row::from(*text));
        Blocks::new(texts.iter().map(block).collect())
    }

    fn find(blocks: &Blocks, address: &str) -> String {
        match blocks.find(address.parse::<IpAddr>().unwrap().to_canonical()) {
            Answer::Found(row) => row.to_string(),
            Answer::Miss | Answer::Failed => "-".into(),
        }
    }

    #[test]
    fn the_longest_block_wins() {
        let blocks = blocks(&[
            "10.0.0.0/8",
            "10.1.0.0/16",
            "10.1.2.0/24",
            "10.1.2.3",
            "255.255.255.255",
            "2001:db8::/32",
            "2001:db8:1::/48",
            "ffff::/16",
        ]);
        for (address, block) in [
            ("9.255.255.255", "-"),
            ("10.0.0.0", "10.0.0.0/8"),
            ("10.1.0.0", "10.1.0.0/16"),
            ("10.1.2.2", "10.1.2.0/24"),
            ("10.1.2.3", "10.1.2.3"),
            ("::ffff:10.1.2.3", "10.1.2.3"),
            ("10.1.2.4", "10.1.2.0/24"),
            ("10.1.3.0", "10.1.0.0/16"),
            ("10.255.255.255", "10.0.0.0/8"),
            ("11.0.0.0", "-"),
            ("255.255.255.254", "-"),
            ("255.255.255.255", "255.255.255.255"),
            ("::", "-"),
            ("2001:db8::1", "2001:db8::/32"),
            ("2001:db8:1::1", "2001:db8:1::/48"),
            ("2001:db8:2::", "2001:db8::/32"),
            ("2001:db9::", "-"),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff::/16"),
        ] {
            assert_eq!(find(&blocks, address), block, "{address}");
        }
    }

    #[test]
    fn everything_and_nothing() {
        assert_eq!(find(&blocks(&[]), "1.2.3.4"), "-");
        let all = blocks(&["::/0", "0.0.0.0/0", "1.2.3.4/32"]);
        for (address, block) in
            [("1.2.3.4", "1.2.3.4/32"), ("1.2.3.5", "0.0.0.0/0"), ("::1", "::/0"), ("a::", "::/0")]
        {
            assert_eq!(find(&all, address), block, "{address}");
        }
        // As with the operator `in`: the block of everything holds IPv4 too.
        assert_eq!(find(&blocks(&["::/0"]), "1.2.3.4"), "::/0");
        // Equal blocks: the last row counts.
        let twice = vec![
            (Cidr::parse("1.0.0.0/8").unwrap(), Row::from("a")),
            (Cidr::parse("1.0.0.0/8").unwrap(), Row::from("b")),
        ];
        assert_eq!(find(&Blocks::new(twice), "1.1.1.1"), "b");
    }

    #[test]
    fn it_agrees_with_trying_every_block() {
        let mut number = 7_u64;
        let mut random = move || {
            number = number
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            number >> 33
        };
        let mut list = Vec::new();
        for _ in 0..2_000 {
            // Few upper bits, so that blocks nest.
            let v4 = (random() as u32 & 0x0703_01ff) | 0x0a00_0000;
            let block = Cidr::new(V4 + u128::from(v4), 96 + 6 + (random() % 27) as u8);
            list.push((block, Row::from(block.to_string())));
            let v6 = u128::from(random() & 0x3f) << 64 | u128::from(random() & 0xff) << 120;
            let block = Cidr::new(v6, (random() % 129) as u8);
            list.push((block, Row::from(block.to_string())));
        }
        let blocks = Blocks::new(list.clone());
        assert_eq!(blocks.len(), 4_000);
        for round in 0..4_000 {
            let address = if round % 2 == 0 {
                V4 + u128::from((random() as u32 & 0x0703_01ff) | 0x0a00_0000)
            } else {
                u128::from(random() & 0x3f) << 64
                    | u128::from(random() & 0xff) << 120
                    | u128::from(random() & 1)
            };
            let holding = list.iter().filter(|(block, _)| block.contains(address));
            let longest = holding.map(|(block, _)| *block).max_by_key(|block| block.prefix);
            let expected = longest.map_or_else(|| "-".into(), |block| block.to_string());
            let address = logmon_dsl::column::value::u128_to_ip(address).to_string();
            assert_eq!(find(&blocks, &address), expected, "{address}");
        }
    }
}
