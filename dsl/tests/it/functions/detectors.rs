//! What `redact` finds by name: lists of what it must find, and of what only looks like it.

use super::{
    A::{self, Text},
    call,
};

/// Redacts with one detector.
fn redacted(name: &'static str, text: &str) -> String {
    let text: &'static str = Box::leak(text.into());
    let detector = A::Detect(&[], Box::leak(vec![name].into_boxed_slice()));
    let printed = call("redact", &[Text(text), detector]);
    serde_json::from_str(&printed).expect("redacted text is text")
}

/// Each text is found whole: alone, and among other words.
fn finds(name: &'static str, texts: &[&str]) {
    for text in texts {
        assert_eq!(redacted(name, text), "[redacted]", "{name}: {text}");
        let sentence = format!("at 12:30 \"{text}\", 7 times");
        let expected = "at 12:30 \"[redacted]\", 7 times";
        assert_eq!(redacted(name, &sentence), expected, "{name}: {text}");
    }
}

fn leaves(name: &'static str, texts: &[&str]) {
    for text in texts {
        assert_eq!(redacted(name, text), *text, "{name}");
    }
}

#[test]
fn addresses_of_mail() {
    finds(
        "email",
        &["bob@example.com", "a.b+tag@mail.example.co.uk", "müller@bücher.example", "x_1%y@a-b.io"],
    );
    leaves(
        "email",
        &["bob@localhost", "@example.com", "bob@", "a@-b.c", "user@10.0.0.1", "a @ b.de", "v1.2@3"],
    );
    assert_eq!(redacted("email", ".bob@example.com."), ".[redacted].");
}

#[test]
fn cards() {
    finds(
        "card",
        &[
            "4111111111111111",
            "4111 1111 1111 1111",
            "4111-1111-1111-1111",
            "4222222222222",
            "5555555555554444",
            "2223003122003222",
            "378282246310005",
            "3782 822463 10005",
            "6011111111111117",
            "30569309025904",
            "3530111333300000",
            "6200000000000005",
            "6759649826438453",
        ],
    );
    leaves(
        "card",
        &[
            // A wrong check digit.
            "4111111111111112",
            "5555 5555 5555 4445",
            // A right one that no issuer gives out.
            "1111111111111117",
            "0000000000000000",
            "9999999999999995",
            // Another length.
            "41111111111111111111116",
            "411111111111",
            // Times in nanoseconds, ids, decimal numbers.
            "1795262400000000000",
            "id4111111111111111",
            "4111111111111111x",
            "0.4111111111111111",
            "4111  1111  1111  1111",
            "4111/1111/1111/1111",
        ],
    );
    let neighbors = "order 20261121 4111 1111 1111 1111 4222222222222 7";
    assert_eq!(redacted("card", neighbors), "order 20261121 [redacted] [redacted] 7");
}

#[test]
fn bank_accounts() {
    finds(
        "iban",
        &[
            "DE89370400440532013000",
            "DE89 3704 0044 0532 0130 00",
            "GB82 WEST 1234 5698 7654 32",
            "gb82west12345698765432",
            "FR14 2004 1010 0505 0001 3M02 606",
            "NO93 8601 1117 947",
            "MT84MALT011000012345MTLCAST001S",
            "BR15 0000 0000 0000 1093 2840 814P 2",
        ],
    );
    leaves(
        "iban",
        &[
            "DE88370400440532013000",
            "DE8937040044053201300",
            "DE893704004405320130001",
            "XX82WEST12345698765432",
            "GB82 WEST 1234 5698 7654 33",
            "XDE89370400440532013000",
            "DE89  3704 0044 0532 0130 00",
        ],
    );
    let words = "PAID TO GB82 WEST 1234 5698 7654 32 AND MORE";
    assert_eq!(redacted("iban", words), "PAID TO [redacted] AND MORE");
}

#[test]
fn tokens_and_keys() {
    finds("jwt", &["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_", "eyJhbGciOiJub25lIn0.e30."]);
    leaves("jwt", &["eyJhbGci.eyJ.x", "eyJ.e30.x", "a.b.c", "eyJhbGciOiJIUzI1NiJ9"]);
    // Made up: no key here was ever given out. In two parts, so that scanners of this repository do not think otherwise.
    let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    let github = format!("gh{}_{}", "p", "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8");
    let slack = format!("xox{}-1234567890-abcdefghij", "b");
    let stripe = format!("sk_{}_4eC39HqLyjWDarjtT1zdp7dc", "live");
    let gcp = format!("AI{}SyA-1234567890abcdefghijklmnopqrstu", "za");
    let pem = "-----BEGIN RSA PRIVATE KEY-----\nMIIB\nAAAA\n-----END RSA PRIVATE KEY-----";
    let found = [
        ("aws_key", "AKIAIOSFODNN7EXAMPLE"),
        ("github_token", &github),
        ("slack_token", &slack),
        ("stripe_key", &stripe),
        ("gcp_key", &gcp),
        ("private_key", pem),
    ];
    for (name, text) in found {
        finds(name, &[text]);
        finds("cloud_key", &[text]);
    }
    let azure = format!("{}==", "aB3/".repeat(21) + "aA");
    for (name, before, text) in [
        ("aws_key", "aws_secret_access_key = ", secret),
        ("aws_key", "{\"SecretAccessKey\": \"", secret),
        ("azure_key", "AccountName=x;AccountKey=", &azure),
    ] {
        assert_eq!(redacted(name, &format!("{before}{text}")), format!("{before}[redacted]"));
        assert_eq!(
            redacted("cloud_key", &format!("{before}{text}")),
            format!("{before}[redacted]")
        );
    }
    // A key that is cut off is as secret as a whole one.
    assert_eq!(redacted("private_key", "x -----BEGIN PRIVATE KEY-----\nMIIB"), "x [redacted]");
    leaves(
        "cloud_key",
        &[
            "AKIAIOSF",
            "AKIAIOSFODNN70189EXA",
            "XAKIAIOSFODNN7EXAMPLE",
            secret,
            "AccountKey=abc=",
            "ghp_short",
            "xoxb-words-only-no-digits",
            "sk_live_short",
            "-----BEGIN PUBLIC KEY-----",
        ],
    );
}
