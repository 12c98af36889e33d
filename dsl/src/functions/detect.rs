//! What `redact` knows by name: patterns with the checks that tell them from look-alikes.

mod card;
mod iban;

use std::{net::Ipv4Addr, ops::Range, sync::LazyLock};

use base64::Engine as _;

use super::Regex;

pub(super) use card::is_luhn;

/// Names of the built-in detectors.
pub(super) const NAMES: &[&str] = &[
    "email",
    "card",
    "iban",
    "ipv4",
    "jwt",
    "aws_key",
    "gcp_key",
    "azure_key",
    "github_token",
    "slack_token",
    "stripe_key",
    "private_key",
    "cloud_key",
];

/// A built-in detector: one way to look, or several.
#[derive(Debug)]
pub(super) struct Builtin {
    name: &'static str,
    looks: Vec<&'static Look>,
}

/// One way to look for something.
#[derive(Debug)]
enum Look {
    /// A pattern (its group `secret`, if it has one), and whether a match is what it looks like.
    Pattern(Box<Regex>, fn(&str) -> bool),
    /// A search of its own, for what no pattern tells.
    Scan(fn(&str, &mut dyn FnMut(Range<usize>))),
}

/// Patterns by the detector that uses them, all but the last of which are part of `cloud_key` from `aws_key` on.
type Row = (&'static str, &'static str, fn(&str) -> bool);

const PATTERNS: [Row; 12] = [
    (
        "email",
        r"[\p{L}\p{N}_%+-][\p{L}\p{N}._%+-]*@(?:[\p{L}\p{N}](?:[\p{L}\p{N}-]*[\p{L}\p{N}])?\.)+\p{L}{2,}",
        |_| true,
    ),
    ("ipv4", r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b", |text| text.parse::<Ipv4Addr>().is_ok()),
    ("jwt", r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*", is_jwt),
    // Ids are Base32: other digits mean that it is something else.
    ("aws_key", r"\b(?:AKIA|ASIA|AGPA|AIDA|AROA|ANPA|ANVA|ABIA|ACCA)[A-Z2-7]{16}\b", |_| true),
    // Secrets have no mark of their own, only the name before them.
    (
        "aws_key",
        r#"(?i:aws.{0,20}secret.{0,20}|secret_?access_?key)["']?\s*[:=]\s*["']?(?<secret>[A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+=]|$)"#,
        |_| true,
    ),
    ("gcp_key", r"\b(?<secret>AIza[A-Za-z0-9_-]{35})(?:[^A-Za-z0-9_-]|$)", |_| true),
    (
        "azure_key",
        r"(?i:AccountKey|SharedAccessKey)=(?<secret>[A-Za-z0-9+/]{43,86}={1,2})",
        is_azure_key,
    ),
    (
        "github_token",
        r"\b(?:gh[oprsu]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59})\b",
        |_| true,
    ),
    ("slack_token", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,250}", |text| {
        text.bytes().any(|byte| byte.is_ascii_digit())
    }),
    ("stripe_key", r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,250}\b", |_| true),
    (
        "private_key",
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----(?s:.*?)(?:-----END (?:[A-Z0-9]+ )*PRIVATE KEY-----|\z)",
        |_| true,
    ),
    // Inside JSON that was made text, line breaks are two letters; the pattern above takes them as they come.
    (
        "private_key",
        r"-----BEGIN PGP PRIVATE KEY BLOCK-----(?s:.*?)(?:-----END PGP PRIVATE KEY BLOCK-----|\z)",
        |_| true,
    ),
];

/// The detectors that `cloud_key` stands for.
const CLOUD: [&str; 7] =
    ["aws_key", "gcp_key", "azure_key", "github_token", "slack_token", "stripe_key", "private_key"];

static LOOKS: LazyLock<Vec<(&'static str, Look)>> = LazyLock::new(|| {
    let compiled = |&(name, regex, check): &Row| {
        let regex = Regex::compile(regex, "").expect("a built-in regex compiles");
        (name, Look::Pattern(Box::new(regex), check))
    };
    let scans = [("card", Look::Scan(card::find)), ("iban", Look::Scan(iban::find))];
    PATTERNS.iter().map(compiled).chain(scans).collect()
});

static BUILTINS: LazyLock<Vec<Builtin>> = LazyLock::new(|| {
    let builtin = |&name: &&'static str| {
        let uses = |of: &str| of == name || name == "cloud_key" && CLOUD.contains(&of);
        let looks = LOOKS.iter().filter(|(of, _)| uses(of)).map(|(_, look)| look).collect();
        Builtin { name, looks }
    };
    NAMES.iter().map(builtin).collect()
});

/// The detector of that name.
pub(super) fn builtin(name: &str) -> Option<&'static Builtin> {
    BUILTINS.iter().find(|builtin| builtin.name == name)
}

impl Builtin {
    /// Where it stands in the text.
    pub(super) fn find(&self, text: &str, mut found: impl FnMut(Range<usize>)) {
        for look in &self.looks {
            match look {
                Look::Pattern(regex, check) => regex.secrets(text, |range| {
                    if text.get(range.clone()).is_some_and(check) {
                        found(range);
                    }
                }),
                Look::Scan(scan) => scan(text, &mut found),
            }
        }
    }
}

/// Whether the first part is a JSON object in Base64.
fn is_jwt(text: &str) -> bool {
    let head = text.split('.').next().unwrap_or("");
    base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(head)
        .is_ok_and(|json| json.starts_with(b"{") && json.ends_with(b"}"))
}

/// Keys of storage accounts have 64 bytes, those of queues 32.
fn is_azure_key(text: &str) -> bool {
    let key = base64::engine::general_purpose::STANDARD.decode(text);
    key.is_ok_and(|key| matches!(key.len(), 32 | 64))
}
