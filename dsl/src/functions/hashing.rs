//! Functions: hashing and identity. Hashes are lower-case hex text.

use sha2::Digest;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    Family, Function, Kernel, Param, RowArg, Takes,
    encoding::hex,
    items,
    signature::{BLOB, INT, WRONG_TYPE, bytes_ref, int_arg, left_out, may, needs, text, value_arg},
    twin::{STORED, Sql, twin},
};
use crate::{
    column::{Absence, Value},
    eval::RowContext,
    types::{Ty, Type},
};

/// Hashing and identity.
pub const FUNCTIONS: &[Function] = &[
    entry(
        "sha256",
        &[needs("s", BLOB)],
        text,
        "The SHA-256 of the text.",
        &[(
            "sha256(\"abc\")",
            "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"",
        )],
        Kernel::Rows(|args, _| hashed(args, |bytes| hex(&sha2::Sha256::digest(bytes)))),
        twin("lower(hex(SHA256({0})))"),
    ),
    entry(
        "sha1",
        &[needs("s", BLOB)],
        text,
        "The SHA-1 of the text.",
        &[("sha1(\"abc\")", "\"a9993e364706816aba3e25717850c26c9cd0d89d\"")],
        Kernel::Rows(|args, _| hashed(args, |bytes| hex(&sha1::Sha1::digest(bytes)))),
        twin("lower(hex(SHA1({0})))"),
    ),
    entry(
        "md5",
        &[needs("s", BLOB)],
        text,
        "The MD5 of the text.",
        &[("md5(\"abc\")", "\"900150983cd24fb0d6963f7d28e17f72\"")],
        Kernel::Rows(|args, _| hashed(args, |bytes| hex(&md5::Md5::digest(bytes)))),
        twin("lower(hex(MD5({0})))"),
    ),
    entry(
        "xxh3",
        &[needs("s", BLOB)],
        text,
        "The 64-bit XXH3 of the text: fast, stable, not secret.",
        &[("xxh3(\"abc\")", "\"78af5f94892f3950\"")],
        Kernel::Rows(|args, _| hashed(args, |bytes| format!("{:016x}", xxh3_64(bytes)))),
        twin("lower(leftPad(hex(xxh3({0})), 16, '0'))"),
    ),
    entry(
        "crc32",
        &[needs("s", BLOB)],
        text,
        "The CRC-32 (IEEE) of the text.",
        &[("crc32(\"123456789\")", "\"cbf43926\"")],
        Kernel::Rows(|args, _| hashed(args, |bytes| format!("{:08x}", crc32(bytes)))),
        twin("lower(leftPad(hex(CRC32({0})), 8, '0'))"),
    ),
    entry(
        "fingerprint",
        &[needs("x", Takes::Any), may("n", INT)],
        text,
        "The first `n` (16) hex digits of a hash over the value: equal values, equal text.",
        &[("fingerprint(\"a\", 8) == fingerprint(\"a\", 8)", "true")],
        Kernel::Rows(fingerprint),
        Sql::None(STORED),
    ),
    entry(
        "bucket",
        &[needs("x", Takes::Any), needs("n", INT)],
        |_| Ty::optional(Type::Int),
        "A number from 0 to `n` - 1 that depends on the value alone.",
        &[("bucket(\"a\", 1)", "0")],
        Kernel::Rows(bucket),
        twin("toInt64(xxh3(toString({0})) % {1})").note("the same for text and integers"),
    ),
];

/// An entry of this family: its functions stand in two files.
pub(super) const fn entry(
    name: &'static str,
    params: &'static [Param],
    returns: fn(&[Option<Ty>]) -> Ty,
    doc: &'static str,
    examples: &'static [(&'static str, &'static str)],
    kernel: Kernel,
    sql: Sql,
) -> Function {
    Function { sql, ..Function::new(name, Family::Hashing, params, returns, doc, examples, kernel) }
}

fn hashed<'a>(args: &[RowArg<'a>], hash: fn(&[u8]) -> String) -> Value<'a> {
    bytes_ref(args, 0).map_or(WRONG_TYPE, |bytes| Value::owned(hash(bytes)))
}

/// CRC-32 as in zip and PNG.
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut index = 0;
        while index < 256 {
            let mut crc = index as u32;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
                bit += 1;
            }
            table[index] = crc;
            index += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc, byte| TABLE[(crc as u8 ^ byte) as usize] ^ crc >> 8)
}

/// The bytes that stand for a value in hashes: text as it is, everything else as JSON.
fn identity<R>(value: &Value<'_>, use_bytes: impl FnOnce(&[u8]) -> R) -> R {
    match value {
        Value::Text(text) | Value::Json(text) => use_bytes(text.as_bytes()),
        Value::Bytes(bytes) => use_bytes(bytes),
        value => {
            let mut out = String::new();
            items::write(&mut out, value);
            use_bytes(out.as_bytes())
        }
    }
}

fn fingerprint<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(value) = value_arg(args, 0) else { return WRONG_TYPE };
    let digits = if left_out(args, 1) { Some(16) } else { int_arg(args, 1) };
    let Some(digits) = digits.filter(|digits| (1..=32).contains(digits)) else {
        return Value::Absent(Absence::OutOfRange);
    };
    let hash = identity(value, xxhash_rust::xxh3::xxh3_128);
    let mut text = format!("{hash:032x}");
    text.truncate(digits as usize);
    Value::owned(text)
}

fn bucket<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some((value, n)) = value_arg(args, 0).zip(int_arg(args, 1)) else { return WRONG_TYPE };
    let Some(n) = u64::try_from(n).ok().filter(|n| *n > 0) else {
        return Value::Absent(Absence::OutOfRange);
    };
    Value::Int((identity(value, xxh3_64) % n) as i64)
}
