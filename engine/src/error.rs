//! How a command ends, and the errors that more than one module speaks of.

use std::process::ExitCode;

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Fine.
    Fine,
    /// The rules or their tests say no.
    Rules,
    /// The command line or the configuration is wrong.
    Usage,
    /// The world is: a server, a file, the network.
    World,
}

/// Something outside said no: one sentence that names the setting to look at.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct WorldError {
    message: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Exit {
    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Rules => 1,
            Self::Usage => 2,
            Self::World => 3,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl WorldError {
    /// A sentence of our own.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    /// A sentence, and what the system said.
    pub fn because(
        message: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { message: message.into(), source: Some(source.into()) }
    }
}
