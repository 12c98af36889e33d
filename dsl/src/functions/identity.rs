//! Functions: keyed hashes and ids. Ids are made of the event's time and place in its topic: a replay gives the same.

use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha512};

use super::{
    Function, Kernel, RowArg, Takes,
    encoding::hex,
    hashing::entry,
    signature::{BLOB, WRONG_TYPE, bytes_ref, choice_arg, may, needs, secret_arg, text},
    twin::Sql,
};
use crate::{column::Value, eval::RowContext};

/// Keyed hashes and ids.
pub(super) const FUNCTIONS: &[Function] = &[
    entry(
        "hmac",
        &[
            needs("s", BLOB),
            needs("key", Takes::Secret),
            may("algorithm", Takes::Choice(&["sha256", "sha1", "sha512"])),
            may("as", Takes::Choice(&["hex", "base64"])),
        ],
        text,
        "The HMAC of the text under a secret key, by SHA-256 unless told otherwise.",
        &[(
            "hmac(\"what do ya want for nothing?\", secret(\"example\"))",
            "\"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843\"",
        )],
        Kernel::Rows(hmac),
        Sql::None("a key must not stand in a query"),
    ),
    entry(
        "uuid7",
        &[],
        text,
        "A UUID of version 7 from `now()` and the event's topic, partition and offset: unique to the event, and the same at every replay.",
        &[("len(uuid7())", "36")],
        Kernel::Rows(|_, row| Value::owned(uuid7(row))),
        Sql::None("a row has no place in a topic unless it is stored"),
    ),
    entry(
        "ulid",
        &[],
        text,
        "A ULID from `now()` and the event's topic, partition and offset: unique to the event, and the same at every replay.",
        &[("len(ulid())", "26")],
        Kernel::Rows(|_, row| Value::owned(ulid(row))),
        Sql::None("a row has no place in a topic unless it is stored"),
    ),
];

fn hmac<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some((text, key)) = bytes_ref(args, 0).zip(secret_arg(args, 1)) else { return WRONG_TYPE };
    let key = key.as_bytes();
    let sum = match choice_arg(args, 2) {
        Some("sha1") => keyed::<Hmac<sha1::Sha1>>(text, key),
        Some("sha512") => keyed::<Hmac<Sha512>>(text, key),
        _ => keyed::<Hmac<Sha256>>(text, key),
    };
    Value::owned(match choice_arg(args, 3) {
        Some("base64") => base64::engine::general_purpose::STANDARD.encode(sum),
        _ => hex(&sum),
    })
}

fn keyed<M: Mac + KeyInit>(text: &[u8], key: &[u8]) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

/// 128 bits that stand for a text as long as nobody has the key.
pub(super) fn pseudonym(text: &str, key: &str) -> String {
    hex(&keyed::<Hmac<Sha256>>(text.as_bytes(), key.as_bytes())[..16])
}

/// Milliseconds since 1970 in 48 bits, and as many random-looking bits as are asked for.
fn time_and_noise(row: &RowContext<'_>, salt: &[u8]) -> (u64, u128) {
    let millis = (row.now / 1_000_000).max(0) as u64 & 0xffff_ffff_ffff;
    let mut place = Vec::with_capacity(row.topic.len() + 16);
    place.extend_from_slice(salt);
    place.extend_from_slice(row.topic.as_bytes());
    place.extend_from_slice(&row.partition.to_le_bytes());
    place.extend_from_slice(&row.offset.to_le_bytes());
    (millis, xxhash_rust::xxh3::xxh3_128(&place))
}

fn uuid7(row: &RowContext<'_>) -> String {
    let (millis, noise) = time_and_noise(row, b"uuid7");
    let low = noise & 0x0fff_3fff_ffff_ffff_ffff;
    let id = u128::from(millis) << 80 | 0x7 << 76 | 0x2 << 62 | low;
    let digits = format!("{id:032x}");
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

fn ulid(row: &RowContext<'_>) -> String {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let (millis, noise) = time_and_noise(row, b"ulid");
    let id = u128::from(millis) << 80 | noise & ((1 << 80) - 1);
    (0..26).rev().map(|at| char::from(DIGITS[(id >> (at * 5)) as usize & 31])).collect()
}
