//! Columns that one path feeds, which is nearly every column: a loop over its values for each kind of column, with the decision
//! what kind it is before the loop. What such a loop does not know goes the general way, row by row.

use logmon_dsl::column::{
    Column, Kind, View,
    decode::{float, ip},
};

use super::{
    cell::{Cell, Converter},
    columns::{Decoded, Values},
    place::Place,
    read::Reader,
    text::{put_words, slice},
    types::Scalar,
};

impl Reader<'_> {
    /// Decodes text: views as they are.
    pub(super) fn straight_text(
        &mut self,
        views: &[View],
        places: &[Place<'_>],
        decoded: &mut Decoded,
        constant: Option<View>,
    ) {
        let routed = self.routed;
        let Values::Views(out) = &mut decoded.values else {
            unreachable!("text is decoded as views");
        };
        let is_plain =
            |view: View| matches!(view.kind(), Kind::Text | Kind::Escaped | Kind::Number);
        if routed.rows.iter().all(|&row| is_plain(views[row as usize])) {
            out.extend(routed.rows.iter().map(|&row| views[row as usize]));
            decoded.state.resize(out.len(), 0);
            return;
        }
        let is_single = places.len() == 1;
        for (at, &row) in routed.rows.iter().enumerate() {
            let view = views[row as usize];
            if let Values::Views(out) = &mut decoded.values {
                if is_plain(view) {
                    out.push(view);
                    decoded.state.push(0);
                    continue;
                }
                if let Some(why) = view.absence().filter(|_| is_single) {
                    out.push(constant.unwrap_or(View::MISSING));
                    decoded.state.push(why as u8);
                    self.absent(why);
                    continue;
                }
            }
            self.field(at, row as usize, places, None, decoded, constant);
        }
    }

    /// Decodes values of fixed width.
    pub(super) fn straight_fixed(
        &mut self,
        views: &[View],
        places: &[Place<'_>],
        converter: &mut Converter,
        decoded: &mut Decoded,
    ) {
        let arena = self.arena;
        match *converter.scalar() {
            Scalar::Int { bytes, signed } => {
                let (low, high) = bounds(bytes, signed);
                // What a rule has read already is not read again.
                let known = match places[0].known() {
                    Some(Column::Int(cells)) => Some(cells),
                    _ => None,
                };
                let quick = |row: usize, view: View| {
                    let number = match known {
                        Some(cells) if is_number(cells.state[row], view) => cells.values[row],
                        _ => digits(view, arena)?,
                    };
                    (low..=high).contains(&number).then_some(number)
                };
                // Low bytes come first, so that the narrow types are the beginning of the widest.
                macro_rules! narrow {
                    ($width:literal) => {
                        self.each_view(views, places, converter, decoded, |_, row, view| {
                            quick(row, view)?.to_le_bytes().first_chunk::<$width>().copied()
                        })
                    };
                }
                match bytes {
                    1 => narrow!(1),
                    2 => narrow!(2),
                    4 => narrow!(4),
                    _ => narrow!(8),
                }
            }
            Scalar::Float64 => {
                let known = match places[0].known() {
                    Some(Column::Float(cells)) => Some(cells),
                    _ => None,
                };
                self.each_view(views, places, converter, decoded, |_, row, view| {
                    let number = match known {
                        Some(cells) if is_number(cells.state[row], view) => cells.values[row],
                        _ if matches!(view.kind(), Kind::Number | Kind::Text) => {
                            float(slice(view, arena)).ok()?
                        }
                        _ => return None,
                    };
                    Some(number.to_le_bytes())
                });
            }
            Scalar::Ipv6 => {
                let known = match places[0].known() {
                    Some(Column::Ip(cells)) => Some(cells),
                    _ => None,
                };
                self.each_view(views, places, converter, decoded, |_, row, view| {
                    let address = match known {
                        _ if view.kind() != Kind::Text => return None,
                        Some(cells) if cells.state[row] == 0 => cells.values[row],
                        _ => ip(slice(view, arena))?,
                    };
                    Some(address.to_be_bytes())
                });
            }
            Scalar::Enum(ref values) if values.bytes == 1 => {
                self.each_view(views, places, converter, decoded, |converter, _, view| {
                    converter.enumerated(view, arena).map(|number| [number as u8])
                });
            }
            _ => self.each_view(views, places, converter, decoded, |_, _, _| None::<[u8; 0]>),
        }
    }

    /// Decodes values of fixed width that rules wrote, in types of their own.
    pub(super) fn written_fixed(
        &mut self,
        place: &Place<'_>,
        converter: &mut Converter,
        decoded: &mut Decoded,
    ) {
        let (routed, arena) = (self.routed, self.arena);
        let is_enum = matches!(converter.scalar(), Scalar::Enum(values) if values.bytes == 1);
        for (at, &row) in routed.rows.iter().enumerate() {
            let row = row as usize;
            let cell = place.cell(row);
            if let Values::Fixed(bytes) = &mut decoded.values {
                let is_put = match cell {
                    Cell::Absent(_) => false,
                    // Rules raise some severities; all others are as they came.
                    Cell::View(view) if is_enum => match converter.enumerated(view, arena) {
                        Some(number) => {
                            bytes.push(number as u8);
                            true
                        }
                        None => false,
                    },
                    Cell::View(_) => false,
                    cell => converter.put(cell, arena, bytes).is_ok(),
                };
                if is_put {
                    decoded.state.push(0);
                    continue;
                }
            }
            let places = std::slice::from_ref(place);
            self.field(at, row, places, Some(converter), decoded, None);
        }
    }

    /// One loop: `quick` gives the bytes of a value, or nothing where it is not sure.
    #[inline(always)]
    fn each_view<const WIDTH: usize>(
        &mut self,
        views: &[View],
        places: &[Place<'_>],
        converter: &mut Converter,
        decoded: &mut Decoded,
        mut quick: impl FnMut(&mut Converter, usize, View) -> Option<[u8; WIDTH]>,
    ) {
        let routed = self.routed;
        for (at, &row) in routed.rows.iter().enumerate() {
            let value = quick(converter, row as usize, views[row as usize]);
            if let (Some(value), Values::Fixed(bytes)) = (value, &mut decoded.values) {
                bytes.extend_from_slice(&value);
                decoded.state.push(0);
            } else {
                self.field(at, row as usize, places, Some(converter), decoded, None);
            }
        }
    }

    /// Decodes one value that all rows share; `false` (and nothing decoded) where it does not fit.
    pub(super) fn shared(
        &mut self,
        cell: Cell,
        converter: Option<&mut Converter>,
        decoded: &mut Decoded,
    ) -> bool {
        let rows = self.routed.rows.len();
        match (&mut decoded.values, converter, cell) {
            (Values::Fixed(bytes), Some(converter), cell) => {
                if converter.put(cell, self.arena, bytes).is_err() {
                    bytes.clear();
                    return false;
                }
                let width = bytes.len();
                bytes.reserve(width * rows);
                for _ in 1..rows {
                    bytes.extend_from_within(..width);
                }
            }
            (Values::Views(views), _, Cell::View(view)) => views.resize(rows, view),
            _ => return false,
        }
        decoded.state.resize(rows, 0);
        true
    }

    /// Decodes the records' offsets, which fit every integer of eight bytes.
    pub(super) fn offsets(&self, decoded: &mut Decoded) {
        if let Values::Fixed(bytes) = &mut decoded.values {
            let rows = &self.routed.rows;
            let offsets = rows.iter().map(|&row| self.meta.offsets[row as usize].to_le_bytes());
            put_words(bytes, offsets);
            decoded.state.resize(rows.len(), 0);
        }
    }
}

/// Whether a number was read out of a view that is one, so that reading it here would give the same.
#[inline(always)]
fn is_number(state: u8, view: View) -> bool {
    state == 0 && view.kind() == Kind::Number
}

/// What an integer type holds, as far as 18 digits reach.
fn bounds(bytes: u8, signed: bool) -> (i64, i64) {
    match (bytes, signed) {
        (8, true) => (i64::MIN, i64::MAX),
        (8, false) => (0, i64::MAX),
        (_, true) => (-(1 << (8 * bytes - 1)), (1 << (8 * bytes - 1)) - 1),
        (_, false) => (0, (1 << (8 * bytes)) - 1),
    }
}

/// A number of one to eighteen digits and nothing else.
#[inline(always)]
fn digits(view: View, arena: &[u8]) -> Option<i64> {
    if !matches!(view.kind(), Kind::Number | Kind::Text) || !(1..=18).contains(&view.len()) {
        return None;
    }
    let mut number = 0_i64;
    for &digit in slice(view, arena) {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number * 10 + i64::from(digit);
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_numbers_are_read_and_all_others_left() {
        let read = |text: &str| digits(View::new(Kind::Number, 0, text.len()), text.as_bytes());
        assert_eq!(read("503"), Some(503));
        assert_eq!(read("007"), Some(7));
        assert_eq!(read("999999999999999999"), Some(999_999_999_999_999_999));
        for other in ["", "-1", "1.0", "2e2", "1000000000000000000", "12a", "/", ":"] {
            assert_eq!(read(other), None, "{other}");
        }
        assert_eq!(digits(View::bool(true), b"1"), None);
    }

    #[test]
    fn types_hold_what_they_hold() {
        assert_eq!((bounds(1, false), bounds(1, true)), ((0, 255), (-128, 127)));
        assert_eq!((bounds(2, false), bounds(4, true)), ((0, 65_535), (-(1 << 31), (1 << 31) - 1)));
        assert_eq!(bounds(4, false), (0, (1 << 32) - 1));
    }
}
