//! What may go wrong with a server, and what each mistake asks of us.
//!
//! Invariant: the class is the decision; whoever handles an error never looks at its text.

use std::{collections::BTreeMap, error::Error, fmt, io, sync::Arc};

use super::codes;

/// What an error asks of us. The words are those of `[sink.NAME.errors]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// The server has too much to do or lacks something: wait and try again, as long as it takes. No row is to blame.
    Wait,
    /// Nothing was stored, and nothing is known to be wrong with the rows: try again.
    Retry,
    /// Something may have been stored: try again with the same bytes and the same token, or look first.
    Resolve,
    /// The table is not what it was: read it once more, then stop as below until it fits again.
    Refresh,
    /// The server cannot take one of the rows: find it, send it to the dead letter, deliver the others.
    Bisect,
    /// Nothing helps until a person changes something: stop this sink, keep what it has, keep the offsets.
    Stop,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Wait, Self::Retry, Self::Resolve, Self::Refresh, Self::Bisect, Self::Stop];

    /// The word of the configuration and of metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Retry => "retry",
            Self::Resolve => "resolve",
            Self::Refresh => "refresh",
            Self::Bisect => "bisect",
            Self::Stop => "stop",
        }
    }

    /// The class of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }

    /// Whether the same request may succeed later without anybody's help.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Wait | Self::Retry | Self::Resolve)
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

/// How much of the server's own words goes into a sentence.
const WORDS_MAX: usize = 400;

/// What stands before a view's name where the view, not the table, refuses rows.
const PUSHING: &str = "while pushing to view ";

/// A sink's own decisions: code → class, over those of the table of codes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Classes(Arc<BTreeMap<u32, Class>>);

impl Classes {
    /// These and no others.
    pub fn new(classes: BTreeMap<u32, Class>) -> Self {
        Self(Arc::new(classes))
    }

    fn get(&self, code: u32) -> Option<Class> {
        self.0.get(&code).copied()
    }
}

impl SinkError {
    /// An error of a sink that blames a setting.
    pub fn new(class: Class, sink: &str, setting: &str, text: impl fmt::Display) -> Self {
        Self { class, code: None, sentence: format!("[sink.{sink}] {setting}: {text}") }
    }

    /// What the server said, by its number; `classes` are the sink's own decisions.
    pub fn server(sink: &str, code: u32, body: &str, classes: &Classes) -> Self {
        let words = words(body);
        let known = codes::find(code);
        let own = classes.get(code);
        // A view's fault comes after the table has the rows: cutting the block would store them again and find nothing.
        if let Some(at) = body.find(PUSHING) {
            let view = body[at + PUSHING.len()..].split([' ', '.', ',', '(']).take(2);
            let view = view.collect::<Vec<_>>().join(".");
            let text = format!(
                "the view {view} that reads from the table fails, after the table took the rows; correct or drop the view"
            );
            let sentence = format!("[sink.{sink}] table: {text} (ClickHouse {code}: {words})");
            return Self { class: own.unwrap_or(Class::Stop), code: Some(code), sentence };
        }
        let Some(known) = known else {
            let text = words.to_ascii_lowercase();
            let is_row =
                ["parse", "type mismatch", "cannot convert"].iter().any(|word| text.contains(word));
            let class = own.unwrap_or(if is_row { Class::Bisect } else { Class::Retry });
            let sentence = format!("[sink.{sink}] url: the server says error {code}: {words}");
            return Self { class, code: Some(code), sentence };
        };
        // Too many parts in the table is a matter of patience; too many partitions in one block is a table that changed its key.
        let (class, text) = if code == codes::TOO_MANY_PARTS && body.contains("INSERT block") {
            (Class::Refresh, "the table's partition key is not the one that blocks are cut by")
        } else {
            (known.class, known.sentence)
        };
        let (name, setting) = (known.name, known.setting);
        let sentence =
            format!("[sink.{sink}] {setting}: {text} (ClickHouse {code} {name}: {words})");
        Self { class: own.unwrap_or(class), code: Some(code), sentence }
    }

    /// An answer that carries no ClickHouse error number but is no success either.
    pub fn status(sink: &str, status: u16, body: &str) -> Self {
        let class = match status {
            408 | 500.. => Class::Resolve,
            429 => Class::Wait,
            _ => Class::Stop,
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
        Self::new(Class::Resolve, sink, "url", format!("the connection to {url} broke: {deepest}"))
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

    fn server(code: u32, body: &str) -> SinkError {
        SinkError::server("logs", code, body, &Classes::default())
    }

    #[test]
    fn every_error_names_a_setting() {
        let body = "Code: 60. DB::Exception: Table default.nope does not exist. (UNKNOWN_TABLE) (version 26.7.2.1)\n";
        let error = server(60, body);
        assert_eq!(error.class, Class::Stop);
        assert_eq!(
            error.sentence,
            "[sink.logs] table: the table does not exist; create it or correct its name \
             (ClickHouse 60 UNKNOWN_TABLE: Table default.nope does not exist. (UNKNOWN_TABLE))"
        );
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let error = SinkError::connect("logs", "http://127.0.0.1:1", &refused);
        assert_eq!(error.sentence, "[sink.logs] url: nothing listens at http://127.0.0.1:1");
    }

    #[test]
    fn a_code_that_nobody_knows_is_read_by_its_words() {
        assert_eq!(server(123_456, "DB::Exception: who knows").class, Class::Retry);
        assert_eq!(server(123_456, "DB::Exception: Cannot parse x").class, Class::Bisect);
    }

    #[test]
    fn too_many_parts_has_two_meanings() {
        let parts = server(252, "Too many parts (3000) in table");
        let one = server(252, "Too many partitions for single INSERT block");
        let other = server(252, "Too many partitions for a single INSERT block");
        assert_eq!(
            [parts.class, one.class, other.class],
            [Class::Wait, Class::Refresh, Class::Refresh]
        );
    }

    #[test]
    fn a_view_that_fails_does_not_make_rows_poison() {
        let error =
            server(6, "Code: 6. DB::Exception: Cannot parse: while pushing to view a.mv. (X)");
        assert_eq!(error.class, Class::Stop);
        assert!(error.sentence.contains("the view a.mv that reads"), "{error}");
    }

    #[test]
    fn a_sink_decides_for_itself() {
        let own = Classes::new([(60, Class::Wait), (99_999, Class::Stop)].into());
        assert_eq!(SinkError::server("logs", 60, "", &own).class, Class::Wait);
        assert_eq!(SinkError::server("logs", 99_999, "", &own).class, Class::Stop);
        assert_eq!(SinkError::server("logs", 241, "", &own).class, Class::Wait);
    }
}
