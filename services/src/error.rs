//! Why a service could not be had, as what the reader should do about it.

use std::io;
use std::path::PathBuf;

/// Why a service could not be fetched, started or steered.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Install something: a tool that fetching or running needs is not on `PATH`.
    #[error("`{tool}` is needed {purpose}, but it is not on PATH; install it with: {install}")]
    MissingTool {
        /// The program that was looked for.
        tool: String,
        /// What it would have done: "to fetch Kafka's jars".
        purpose: &'static str,
        /// The command that installs it on Debian and Ubuntu.
        install: &'static str,
    },
    /// Upgrade something: the tool is there, but too old.
    #[error("`{tool}` is too old: {found}, needed is {needed}; install it with: {install}")]
    OldTool {
        /// The program.
        tool: &'static str,
        /// What it says of itself.
        found: String,
        /// The oldest version that works.
        needed: &'static str,
        /// The command that installs a newer one on Debian and Ubuntu.
        install: &'static str,
    },
    /// Look at the network or the registry: a package client ended with an error.
    #[error("{what} could not be fetched: `{command}` ended with {status}:\n{output}")]
    Fetch {
        /// The thing that was wanted.
        what: &'static str,
        /// The command line that ended badly.
        command: String,
        /// How it ended.
        status: String,
        /// The end of what it said.
        output: String,
    },
    /// Trust nothing: a fetched file is not the pinned one.
    #[error("{file} is not the file that was pinned: SHA-256 {found}, expected {expected}")]
    Checksum {
        /// The file's name.
        file: String,
        /// The digest in the source.
        expected: String,
        /// The digest of what came.
        found: String,
    },
    /// Read the log: a server ended or did not become ready in time.
    #[error("{service} did not start: {reason}; the end of {}:\n{tail}", log.display())]
    Start {
        /// The server's name.
        service: &'static str,
        /// Ended, or not ready in time.
        reason: String,
        /// Its log file.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// Look at the variable: the server it names does not answer.
    #[error("{variable} names {address}, which does not answer ({reason}); start it or unset it")]
    External {
        /// The environment variable.
        variable: &'static str,
        /// Its value.
        address: String,
        /// Why it is no use.
        reason: String,
    },
    /// Do not ask: this server belongs to somebody else, so it is not ours to end or to pause.
    #[error("{service} was not started here ({variable} names it), so it cannot be stopped here")]
    NotOurs {
        /// The server's name.
        service: &'static str,
        /// The environment variable that names it.
        variable: &'static str,
    },
    /// Bring your own: nothing is published for this machine.
    #[error(
        "ClickHouse is fetched for 64-bit x86 Linux with glibc only; put `clickhouse` on PATH or name a server in LOGMON_CLICKHOUSE"
    )]
    Platform,
    /// The server refused a statement.
    #[error("ClickHouse said: {0}")]
    Query(String),
    /// The machine refused: disk full, no permission.
    #[error("cannot {doing}")]
    Io {
        /// What was being done, with the path.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Says what was being done when the system refused.
pub(crate) trait Doing<T> {
    /// Turns a system error into ours.
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, ServiceError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, ServiceError> {
        self.map_err(|source| ServiceError::Io { doing: what(), source })
    }
}
