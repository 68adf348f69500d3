//! Why a task failed, in words that say what to do about it.

use std::path::{Path, PathBuf};

use crate::component::ComponentError;
use crate::worker_build::WorkerBuildError;

/// Why a task failed.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// Something has to be on the machine that a task cannot bring itself.
    #[error("{need} is needed {purpose}: {remedy}")]
    Missing {
        /// What is missing.
        need: String,
        /// What for, beginning with "for" or "to".
        purpose: String,
        /// What the reader can do.
        remedy: String,
    },
    /// A command could not be started.
    #[error("cannot start `{command}`: {source}")]
    Start {
        /// As it was to be run.
        command: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A command ended with another status than 0.
    #[error("`{command}` ended with {status}{}", tail(.output))]
    Command {
        /// As it was run.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// Its last lines; empty when they went to the terminal.
        output: Vec<String>,
    },
    /// A command ran for longer than it may.
    #[error("`{command}` took more than {limit_s} s{}", tail(.output))]
    Overtime {
        /// As it was run.
        command: String,
        /// How long it may take, in seconds.
        limit_s: u64,
        /// Its last lines; empty when they went to the terminal.
        output: Vec<String>,
    },
    /// A server that a task runs does not do so.
    #[error("{name} {found}{log}")]
    Server {
        /// Which one.
        name: String,
        /// What is wrong with it.
        found: String,
        /// The end of its log, each line on a line of its own.
        log: String,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something is not as the project wants it.
    #[error("{what}: {found}, but {wanted}")]
    Unmet {
        /// What was looked at.
        what: String,
        /// How it is.
        found: String,
        /// How it should be, and how to get there.
        wanted: String,
    },
    /// A Spin component could not be made.
    #[error(transparent)]
    Component(#[from] ComponentError),
    /// A Worker could not be built.
    #[error(transparent)]
    Worker(#[from] WorkerBuildError),
    /// A step that this one needs did not pass.
    #[error("not run, for it needs: {0}")]
    Needs(&'static str),
    /// Some steps did not pass; the table above says which and why.
    #[error("{steps} of the steps failed")]
    Failed {
        /// How many.
        steps: usize,
    },
    /// Somebody asked the task to stop.
    #[error("stopped")]
    Stopped,
}

impl TaskError {
    /// For `map_err` after work on the file at `path`.
    pub fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }

    /// Something is not as the project wants it.
    pub fn unmet(what: impl Into<String>, found: impl Into<String>, wanted: impl Into<String>) -> Self {
        Self::Unmet {
            what: what.into(),
            found: found.into(),
            wanted: wanted.into(),
        }
    }
}

fn tail(output: &[String]) -> String {
    output.iter().map(|line| format!("\n    | {line}")).collect()
}
