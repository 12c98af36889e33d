//! CSV: lines of values, quoted or not.

use csv_core::{ReadRecordResult, ReaderBuilder};

use super::{
    RowArg,
    items::{self, ListText, MapText},
    signature::{UNREADABLE, WRONG_TYPE, json_ref, text_ref},
};
use crate::{
    column::{Absence, Value},
    eval::RowContext,
};

/// Most columns of a row: more are hostile text, not a table.
const COLUMNS_MAX: usize = 10_000;

/// All rows of a text. A separator that is no ASCII character is taken as a comma.
pub(crate) fn rows(text: &str, sep: char) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    read(text, sep, |row| {
        rows.push(row);
        true
    });
    rows
}

/// Gives row by row until the text ends or nobody wants more.
fn read(text: &str, sep: char, mut row: impl FnMut(Vec<String>) -> bool) {
    let delimiter = u8::try_from(sep).ok().filter(u8::is_ascii).unwrap_or(b',');
    let mut reader = ReaderBuilder::new().delimiter(delimiter).build();
    let mut input = text.as_bytes();
    let (mut out, mut ends) = (vec![0_u8; 1024], vec![0_usize; 64]);
    let (mut written, mut columns) = (0, 0);
    loop {
        let (result, read, wrote, ended) =
            reader.read_record(input, &mut out[written..], &mut ends[columns..]);
        input = &input[read..];
        written += wrote;
        columns += ended;
        match result {
            // Without input left this call said so, and the next one ends the last row.
            ReadRecordResult::InputEmpty => {}
            ReadRecordResult::OutputFull => out.resize(out.len() * 2, 0),
            ReadRecordResult::OutputEndsFull if columns >= COLUMNS_MAX => return,
            ReadRecordResult::OutputEndsFull => ends.resize(ends.len() * 2, 0),
            ReadRecordResult::Record => {
                let mut from = 0;
                let cells = ends[..columns].iter().map(|end| {
                    let cell = String::from_utf8_lossy(&out[from..*end]).into_owned();
                    from = *end;
                    cell
                });
                if !row(cells.collect()) {
                    return;
                }
                (written, columns) = (0, 0);
            }
            ReadRecordResult::End => return,
        }
    }
}

/// `parse_csv(s, sep, columns)`: the first row.
pub(super) fn parse_csv<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(text) = text_ref(args, 0) else { return WRONG_TYPE };
    let mut chars = text_ref(args, 1).unwrap_or(",").chars();
    let (Some(sep), None) = (chars.next(), chars.next()) else {
        return Value::Absent(Absence::OutOfRange);
    };
    let mut first = None;
    read(text, sep, |row| {
        first = Some(row);
        false
    });
    let Some(row) = first else { return UNREADABLE };
    match json_ref(args, 2) {
        Some(columns) => {
            let mut map = MapText::new();
            for (name, cell) in items::elements(columns).zip(&row) {
                if let Value::Text(name) = items::decode(name) {
                    map.value(&name, &Value::text(cell));
                }
            }
            map.finish()
        }
        None => {
            let mut list = ListText::new();
            row.iter().for_each(|cell| list.text(cell));
            list.finish()
        }
    }
}
