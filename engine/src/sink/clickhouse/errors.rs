//! What may go wrong with a server, and what each mistake asks of us.
//!
//! Invariant: the class is the decision; whoever handles an error never looks at its text.

use std::{error::Error, fmt, io};

/// What an error asks of us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Nothing was stored; try again, with back-off.
    Retry,
    /// Something may have been stored: try again with the same token only.
    Unknown,
    /// The server has too much to do: try again, with long back-off, never dead-letter.
    Throttle,
    /// The table is not what it was: read it again, then go on or stop this table.
    Schema,
    /// The server cannot read what we built: stop this table and say so.
    Data,
    /// Trying again cannot help until somebody changes a setting.
    Refuse,
}

impl Class {
    /// The label of metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Unknown => "unknown",
            Self::Throttle => "throttle",
            Self::Schema => "schema",
            Self::Data => "data",
            Self::Refuse => "refuse",
        }
    }

    /// Whether the same request may succeed later without anybody's help.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Retry | Self::Unknown | Self::Throttle)
    }
}

/// One sentence for a person, and what it asks of us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkError {
    /// What to do.
    pub class: Class,
    /// The server's number for it, if the server said it.
    pub code: Option<u32>,
    /// What went wrong and which setting to look at.
    pub sentence: String,
}

impl fmt::Display for SinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl Error for SinkError {}

/// One row of the table of codes: number, name, class, the setting to look at, what to say.
type Row = (u32, &'static str, Class, &'static str, &'static str);

/// Codes with a meaning here; every other one is `Unknown`, since retrying under a token does no harm.
const CODES: &[Row] = &[
    (6, "CANNOT_PARSE_TEXT", Class::Data, "table", "the server cannot read a value of this block"),
    (8, "THERE_IS_NO_COLUMN", Class::Schema, "table", "a column is gone since the table was read"),
    (
        10,
        "NOT_FOUND_COLUMN_IN_BLOCK",
        Class::Schema,
        "table",
        "the table's columns changed since it was read",
    ),
    (
        16,
        "NO_SUCH_COLUMN_IN_TABLE",
        Class::Schema,
        "table",
        "a column is gone since the table was read",
    ),
    (
        20,
        "NUMBER_OF_COLUMNS_DOESNT_MATCH",
        Class::Schema,
        "table",
        "the table's columns changed since it was read",
    ),
    (
        27,
        "CANNOT_PARSE_INPUT_ASSERTION_FAILED",
        Class::Data,
        "table",
        "the server cannot read this block",
    ),
    (33, "CANNOT_READ_ALL_DATA", Class::Data, "table", "the server found this block too short"),
    (44, "ILLEGAL_COLUMN", Class::Schema, "table", "a column cannot be inserted into"),
    (47, "UNKNOWN_IDENTIFIER", Class::Schema, "table", "a column is gone since the table was read"),
    (
        53,
        "TYPE_MISMATCH",
        Class::Schema,
        "table",
        "a column's type changed since the table was read",
    ),
    (
        60,
        "UNKNOWN_TABLE",
        Class::Refuse,
        "table",
        "the table does not exist; create it or correct its name",
    ),
    (
        62,
        "SYNTAX_ERROR",
        Class::Refuse,
        "table",
        "the server does not understand the insert; correct the table's name",
    ),
    (
        70,
        "CANNOT_CONVERT_TYPE",
        Class::Schema,
        "table",
        "a column's type changed since the table was read",
    ),
    (
        72,
        "CANNOT_PARSE_NUMBER",
        Class::Data,
        "table",
        "the server cannot read a number of this block",
    ),
    (
        81,
        "UNKNOWN_DATABASE",
        Class::Refuse,
        "database",
        "the database does not exist; create it or correct its name",
    ),
    (82, "DATABASE_ALREADY_EXISTS", Class::Refuse, "database", "the database exists already"),
    (115, "UNKNOWN_SETTING", Class::Refuse, "url", "the server is too old for this engine"),
    (117, "INCORRECT_DATA", Class::Data, "table", "the server found wrong data in this block"),
    (159, "TIMEOUT_EXCEEDED", Class::Throttle, "url", "the server took too long for the insert"),
    (160, "TOO_SLOW", Class::Throttle, "url", "the server is too slow for the insert"),
    (164, "READONLY", Class::Refuse, "user", "this user may only read"),
    (
        173,
        "CANNOT_ALLOCATE_MEMORY",
        Class::Throttle,
        "url",
        "the server has no memory for the insert",
    ),
    (192, "UNKNOWN_USER", Class::Refuse, "user", "the server does not know this user"),
    (193, "WRONG_PASSWORD", Class::Refuse, "password", "the server refuses user and password"),
    (194, "REQUIRED_PASSWORD", Class::Refuse, "password", "the server wants a password"),
    (
        195,
        "IP_ADDRESS_NOT_ALLOWED",
        Class::Refuse,
        "user",
        "this user may not connect from this machine",
    ),
    (201, "QUOTA_EXCEEDED", Class::Throttle, "user", "the user's quota is spent"),
    (
        202,
        "TOO_MANY_SIMULTANEOUS_QUERIES",
        Class::Throttle,
        "url",
        "the server runs too many queries",
    ),
    (203, "NO_FREE_CONNECTION", Class::Throttle, "url", "the server has no free connection"),
    (209, "SOCKET_TIMEOUT", Class::Throttle, "url", "the server waited too long for data"),
    (210, "NETWORK_ERROR", Class::Throttle, "url", "the server met a network error"),
    (
        216,
        "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING",
        Class::Unknown,
        "url",
        "the same insert is still running",
    ),
    (218, "TABLE_IS_DROPPED", Class::Refuse, "table", "the table was dropped"),
    (225, "NO_ZOOKEEPER", Class::Throttle, "url", "the server has lost its Keeper"),
    (236, "ABORTED", Class::Unknown, "url", "the server aborted the insert"),
    (
        241,
        "MEMORY_LIMIT_EXCEEDED",
        Class::Throttle,
        "url",
        "the server has no memory for the insert",
    ),
    (242, "TABLE_IS_READ_ONLY", Class::Throttle, "table", "the table is read-only at the moment"),
    (243, "NOT_ENOUGH_SPACE", Class::Throttle, "url", "the server's disk is full"),
    (
        252,
        "TOO_MANY_PARTS",
        Class::Throttle,
        "table",
        "the table has too many parts; merges must catch up",
    ),
    (
        271,
        "CANNOT_DECOMPRESS",
        Class::Data,
        "compression",
        "the server cannot decompress this block",
    ),
    (285, "TOO_FEW_LIVE_REPLICAS", Class::Throttle, "table", "too few replicas are alive"),
    (290, "LIMIT_EXCEEDED", Class::Throttle, "url", "a limit of the server is reached"),
    (
        319,
        "UNKNOWN_STATUS_OF_INSERT",
        Class::Unknown,
        "url",
        "the server does not know whether the rows were stored",
    ),
    (394, "QUERY_WAS_CANCELLED", Class::Unknown, "url", "the insert was cancelled on the server"),
    (439, "CANNOT_SCHEDULE_TASK", Class::Throttle, "url", "the server has no free thread"),
    (
        452,
        "SETTING_CONSTRAINT_VIOLATION",
        Class::Refuse,
        "user",
        "this user may not set what an insert needs",
    ),
    (
        497,
        "ACCESS_DENIED",
        Class::Refuse,
        "user",
        "this user may not do that; grant INSERT and SELECT on the table, and SELECT on system.columns and system.tables",
    ),
    (
        516,
        "AUTHENTICATION_FAILED",
        Class::Refuse,
        "password",
        "the server refuses user and password",
    ),
    (999, "KEEPER_EXCEPTION", Class::Throttle, "url", "the server has trouble with its Keeper"),
];

/// How much of the server's own words goes into a sentence.
const WORDS_MAX: usize = 400;

impl SinkError {
    /// An error of a sink that blames a setting.
    pub fn new(class: Class, sink: &str, setting: &str, text: impl fmt::Display) -> Self {
        Self { class, code: None, sentence: format!("[sink.{sink}] {setting}: {text}") }
    }

    /// What the server said, by its number.
    pub fn server(sink: &str, code: u32, body: &str) -> Self {
        let words = words(body);
        let Some(&(_, name, class, setting, text)) = CODES.iter().find(|row| row.0 == code) else {
            return Self {
                class: Class::Unknown,
                code: Some(code),
                sentence: format!("[sink.{sink}] url: the server says error {code}: {words}"),
            };
        };
        // Too many parts in the table is a matter of patience; too many partitions in one block is a table that changed its key.
        let (class, text) = if code == 252 && body.contains("single INSERT block") {
            (Class::Schema, "the table's partition key is not the one that blocks are cut by")
        } else {
            (class, text)
        };
        let sentence =
            format!("[sink.{sink}] {setting}: {text} (ClickHouse {code} {name}: {words})");
        Self { class, code: Some(code), sentence }
    }

    /// An answer that carries no ClickHouse error number but is no success either.
    pub fn status(sink: &str, status: u16, body: &str) -> Self {
        let class = match status {
            408 | 429 | 500.. => Class::Unknown,
            _ => Class::Refuse,
        };
        let text =
            format!("the server answers with HTTP {status}, not like ClickHouse: {}", words(body));
        Self::new(class, sink, "url", text)
    }

    /// A connection that could not be made.
    pub fn connect(sink: &str, url: &str, error: &(dyn Error + 'static)) -> Self {
        let kind =
            causes(error).find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
        let deepest = causes(error).last().map_or_else(String::new, ToString::to_string);
        let all = causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": ");
        let tls = ["certificate", "InvalidContentType", "tls", "handshake", "corrupt message"];
        let text = if kind == Some(io::ErrorKind::ConnectionRefused) {
            format!("nothing listens at {url}")
        } else if kind == Some(io::ErrorKind::TimedOut) || all.contains("timed out") {
            format!("{url} does not answer a connection in time")
        } else if all.contains("dns error") || all.contains("lookup address") {
            format!("the host of {url} is not known ({deepest})")
        } else if tls.iter().any(|word| all.contains(word)) {
            format!(
                "no secure connection to {url}: {deepest}; look at the server's certificate, or use http:// for a plain port"
            )
        } else {
            format!("no connection to {url}: {deepest}")
        };
        Self::new(Class::Retry, sink, "url", text)
    }

    /// A request whose outcome is not known.
    pub fn lost(sink: &str, url: &str, error: &(dyn Error + 'static)) -> Self {
        let deepest = causes(error).last().map_or_else(String::new, ToString::to_string);
        Self::new(Class::Unknown, sink, "url", format!("the connection to {url} broke: {deepest}"))
    }
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The server's first line without its own prefix and version, cut to a readable length.
fn words(body: &str) -> &str {
    let line =
        body.lines().find(|line| !line.trim().is_empty()).unwrap_or("no further words").trim();
    let line = line.split_once("DB::Exception: ").map_or(line, |(_, words)| words);
    let line = line.split(" (version ").next().unwrap_or(line);
    line.get(..line.floor_char_boundary(WORDS_MAX)).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_ascend() {
        assert!(CODES.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn every_error_names_a_setting() {
        let body = "Code: 60. DB::Exception: Table default.nope does not exist. (UNKNOWN_TABLE) (version 26.7.2.1)\n";
        let error = SinkError::server("logs", 60, body);
        assert_eq!(error.class, Class::Refuse);
        assert_eq!(
            error.sentence,
            "[sink.logs] table: the table does not exist; create it or correct its name \
             (ClickHouse 60 UNKNOWN_TABLE: Table default.nope does not exist. (UNKNOWN_TABLE))"
        );
        assert_eq!(SinkError::server("logs", 123_456, "x").class, Class::Unknown);
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let error = SinkError::connect("logs", "http://127.0.0.1:1", &refused);
        assert_eq!(error.sentence, "[sink.logs] url: nothing listens at http://127.0.0.1:1");
    }

    #[test]
    fn too_many_parts_has_two_meanings() {
        let parts = SinkError::server("x", 252, "Too many parts (3000) in table");
        let partitions = SinkError::server("x", 252, "Too many partitions for single INSERT block");
        assert_eq!((parts.class, partitions.class), (Class::Throttle, Class::Schema));
    }
}
