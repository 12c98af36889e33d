//! Answers that no real ClickHouse gives on demand. Nothing reached the server, so whoever takes one for a success loses rows.

/// What an insert is told instead of being stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lie {
    /// 200, and only a header says that it failed.
    HeaderOf(u32),
    /// 200, and the body ends with the exception, as servers up to 25.10 do it.
    TextAtEnd,
    /// The same with the mark that newer servers put around it.
    TaggedText,
    /// 200 whose body is shorter than it says.
    Truncated,
    /// 200 in chunks without a last one.
    TruncatedChunks,
    /// 503 of something in front of the server.
    Unavailable,
    /// 404 of something that is no ClickHouse.
    Stranger,
    /// 500 whose text never ends.
    EndlessError,
    /// 200 whose body never ends.
    EndlessSuccess,
    /// 500 with this code and what the server says with it.
    Code(u32),
    /// What is no HTTP.
    Noise,
    /// The connection ends without a word.
    Silence,
}

/// Codes that mean "later": too many queries, a time-out, too much memory, read-only, no space, too many parts, a lost Keeper.
pub(crate) const LATER: [Lie; 9] = [
    Lie::Code(159),
    Lie::Code(202),
    Lie::Code(209),
    Lie::Code(210),
    Lie::Code(241),
    Lie::Code(242),
    Lie::Code(243),
    Lie::Code(252),
    Lie::Code(999),
];

/// Every kind of answer that lies about itself.
pub(crate) const LIES: [Lie; 12] = [
    Lie::HeaderOf(209),
    Lie::HeaderOf(241),
    Lie::TextAtEnd,
    Lie::TaggedText,
    Lie::Truncated,
    Lie::TruncatedChunks,
    Lie::Unavailable,
    Lie::Stranger,
    Lie::EndlessError,
    Lie::EndlessSuccess,
    Lie::Noise,
    Lie::Silence,
];

impl Lie {
    /// What it is called in figures.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::HeaderOf(_) => "200 with an exception header",
            Self::TextAtEnd => "200 with an exception at its end",
            Self::TaggedText => "200 with a tagged exception",
            Self::Truncated => "200 cut short",
            Self::TruncatedChunks => "200 without a last chunk",
            Self::Unavailable => "503",
            Self::Stranger => "404 of a stranger",
            Self::EndlessError => "an endless error",
            Self::EndlessSuccess => "an endless success",
            Self::Code(_) => "a code that means later",
            Self::Noise => "no HTTP",
            Self::Silence => "no answer",
        }
    }

    /// What is sent; an endless answer goes on with [`Self::more`].
    pub(crate) fn bytes(self) -> Vec<u8> {
        let text = "Code: 241. DB::Exception: (total) memory limit exceeded: would use 3.00 GiB. (MEMORY_LIMIT_EXCEEDED) (version 26.7.2.1)\n";
        match self {
            Self::HeaderOf(code) => format!(
                "HTTP/1.1 200 OK\r\nX-ClickHouse-Exception-Code: {code}\r\nContent-Length: 0\r\n\r\n"
            ),
            Self::TextAtEnd => {
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len())
            }
            Self::TaggedText => {
                let body = format!(
                    "\r\n__exception__\r\nabcdefghijklmnop\r\n{text}{} abcdefghijklmnop\r\n__exception__\r\n",
                    text.len()
                );
                format!(
                    "HTTP/1.1 200 OK\r\nX-ClickHouse-Exception-Tag: abcdefghijklmnop\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                    body.len()
                )
            }
            Self::Truncated => "HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\nshort".to_owned(),
            Self::TruncatedChunks => {
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\n\r\n".to_owned()
            }
            Self::Unavailable => {
                let body = "<html><h1>503 Service Temporarily Unavailable</h1></html>\n";
                format!(
                    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                )
            }
            Self::Stranger => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
            Self::EndlessError => {
                "HTTP/1.1 500 Internal Server Error\r\nTransfer-Encoding: chunked\r\n\r\n"
                    .to_owned()
            }
            Self::EndlessSuccess => {
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned()
            }
            Self::Code(code) => {
                let body = format!("Code: {code}. DB::Exception: {} (version 26.7.2.1)\n", words(code));
                format!(
                    "HTTP/1.1 500 Internal Server Error\r\nX-ClickHouse-Exception-Code: {code}\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                )
            }
            Self::Noise => "220 mail.example.org ESMTP\r\n\r\n".to_owned(),
            Self::Silence => String::new(),
        }
        .into_bytes()
    }

    /// What an endless answer repeats.
    pub(crate) fn more(self) -> Option<Vec<u8>> {
        let endless = matches!(self, Self::EndlessError | Self::EndlessSuccess);
        endless.then(|| format!("10000\r\n{}\r\n", "x".repeat(0x10000)).into_bytes())
    }

    /// Whether the connection may be used again.
    pub(crate) fn keeps(self) -> bool {
        match self {
            Self::HeaderOf(_)
            | Self::TextAtEnd
            | Self::TaggedText
            | Self::Unavailable
            | Self::Stranger
            | Self::Code(_) => true,
            Self::Truncated
            | Self::TruncatedChunks
            | Self::EndlessError
            | Self::EndlessSuccess
            | Self::Noise
            | Self::Silence => false,
        }
    }
}

/// What the server says with a code.
fn words(code: u32) -> &'static str {
    match code {
        159 => "Timeout exceeded: elapsed 60.001 seconds, maximum: 60. (TIMEOUT_EXCEEDED)",
        202 => "Too many simultaneous queries. Maximum: 100. (TOO_MANY_SIMULTANEOUS_QUERIES)",
        209 => "Timeout exceeded while reading from socket. (SOCKET_TIMEOUT)",
        210 => "I/O error: Broken pipe. (NETWORK_ERROR)",
        216 => "Query with id = x is already running. (QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING)",
        241 => "(total) memory limit exceeded: would use 3.00 GiB. (MEMORY_LIMIT_EXCEEDED)",
        242 => "Table is in readonly mode. (TABLE_IS_READ_ONLY)",
        243 => "Cannot reserve 1.00 MiB, not enough space. (NOT_ENOUGH_SPACE)",
        252 => {
            "Too many parts (3000 with average size of 1.00 KiB) in table. Merges are processing significantly slower than inserts. (TOO_MANY_PARTS)"
        }
        319 => "Unknown status of insert. (UNKNOWN_STATUS_OF_INSERT)",
        497 => "logmon: Not enough privileges. (ACCESS_DENIED)",
        999 => "Coordination error: Connection loss. (KEEPER_EXCEPTION)",
        _ => "Something else. (SOMETHING_ELSE)",
    }
}
