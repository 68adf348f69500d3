//! How a command fails, and what the shell gets to know of it.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub enum Failure {
    /// The command was understood and did not work: exit code 1.
    Failed(String),
    /// The command line or the configuration must be changed first: exit code 2, as for arguments that clap refuses.
    Usage(String),
    /// The time for it was over before it was done: exit code 3.
    TimedOut(String),
    /// There is nothing of that name: exit code 4.
    NotFound(String),
    /// The key does not allow it: exit code 5.
    Unauthorised(String),
    /// Another gateway has to be asked: exit code 6.
    Elsewhere(String),
    /// What was waited for has been taken back: exit code 7.
    TakenBack(String),
}

impl Failure {
    /// A failure with `cause` as its message.
    pub fn failed(cause: impl Display) -> Self {
        Self::Failed(cause.to_string())
    }

    /// A wrong command line or configuration with `cause` as its message.
    pub fn usage(cause: impl Display) -> Self {
        Self::Usage(cause.to_string())
    }

    /// Tells the terminal and gives the exit code.
    pub fn report(self) -> ExitCode {
        let (message, code) = match self {
            Self::Failed(message) => (message, 1),
            Self::Usage(message) => (message, 2),
            Self::TimedOut(message) => (message, 3),
            Self::NotFound(message) => (message, 4),
            Self::Unauthorised(message) => (message, 5),
            Self::Elsewhere(message) => (message, 6),
            Self::TakenBack(message) => (message, 7),
        };
        warn(&format!("error: {message}"));
        ExitCode::from(code)
    }
}

/// Tells the terminal, if there still is one: nothing can be said of it that there is none.
pub fn warn(line: &str) {
    writeln!(io::stderr(), "{line}").ok();
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::failed(error)
    }
}
