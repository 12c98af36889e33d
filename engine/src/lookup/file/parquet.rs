//! Rows of a Parquet file, as JSON has them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use parquet::{
    data_type::Decimal,
    file::reader::{FileReader, SerializedFileReader},
    record::{Field, Row},
};
use serde_json::{Map, Number, Value};

use super::Wrong;

/// Files are held to a size, but a column may say "the same a billion times" in a few bytes.
const ROWS_MAX: i64 = 20_000_000;

/// Hands out each row with its number, from 1.
pub(super) fn each_row(
    bytes: Vec<u8>,
    take: impl FnMut(usize, Map<String, Value>) -> Result<(), Wrong>,
) -> Result<(), Wrong> {
    // Where sizes inside a broken page contradict each other, the crate asserts. Nothing of it is used afterwards.
    catch_unwind(AssertUnwindSafe(|| read(bytes, take))).unwrap_or_else(|_| {
        Err(" is no sound Parquet file: its pages contradict themselves".to_owned().into())
    })
}

fn read(
    bytes: Vec<u8>,
    mut take: impl FnMut(usize, Map<String, Value>) -> Result<(), Wrong>,
) -> Result<(), Wrong> {
    let broken =
        |error: parquet::errors::ParquetError| format!(" is no sound Parquet file: {error}");
    let reader = SerializedFileReader::new(Bytes::from(bytes)).map_err(broken)?;
    let rows = reader.metadata().file_metadata().num_rows();
    if rows > ROWS_MAX {
        return Err(format!(" has {rows} rows; {ROWS_MAX} are the most").into());
    }
    for (index, row) in reader.get_row_iter(None).map_err(broken)?.enumerate() {
        take(index + 1, object(&row.map_err(broken)?))?;
    }
    Ok(())
}

fn object(row: &Row) -> Map<String, Value> {
    row.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect()
}

fn value(field: &Field) -> Value {
    let float = |number: f64| Number::from_f64(number).map_or(Value::Null, Value::Number);
    // Out of the range of times: no time.
    let time = |time: Result<jiff::Timestamp, jiff::Error>| {
        time.map_or(Value::Null, |time| Value::String(time.to_string()))
    };
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => Value::Bool(*value),
        Field::Byte(value) => Value::from(*value),
        Field::Short(value) => Value::from(*value),
        Field::Int(value) | Field::TimeMillis(value) => Value::from(*value),
        Field::Long(value) | Field::TimeMicros(value) => Value::from(*value),
        Field::UByte(value) => Value::from(*value),
        Field::UShort(value) => Value::from(*value),
        Field::UInt(value) => Value::from(*value),
        Field::ULong(value) => Value::from(*value),
        Field::Float16(value) => float(f64::from(*value)),
        Field::Float(value) => float(f64::from(*value)),
        Field::Double(value) => float(*value),
        Field::Decimal(value) => decimal(value),
        Field::Str(text) => Value::String(text.clone()),
        Field::Bytes(bytes) => std::str::from_utf8(bytes.data()).map_or(Value::Null, Value::from),
        Field::Date(days) => time(jiff::Timestamp::from_second(i64::from(*days) * 86_400)),
        Field::TimestampMillis(millis) => time(jiff::Timestamp::from_millisecond(*millis)),
        Field::TimestampMicros(micros) => time(jiff::Timestamp::from_microsecond(*micros)),
        Field::Group(row) => Value::Object(object(row)),
        Field::ListInternal(list) => list.elements().iter().map(value).collect(),
        Field::MapInternal(map) => {
            let entry = |(key, of): &(Field, Field)| {
                let key = match value(key) {
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                (key, value(of))
            };
            Value::Object(map.entries().iter().map(entry).collect())
        }
    }
}

/// As a number, as near as a float comes.
fn decimal(decimal: &Decimal) -> Value {
    let bytes = decimal.data();
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let start = if negative { -1_i128 } else { 0 };
    if bytes.len() > 16 {
        return Value::Null;
    }
    let whole = bytes.iter().fold(start, |whole, byte| whole << 8 | i128::from(*byte));
    if decimal.scale() == 0
        && let Ok(whole) = i64::try_from(whole)
    {
        return Value::from(whole);
    }
    let number = whole as f64 / 10_f64.powi(decimal.scale());
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}
