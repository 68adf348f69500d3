//! Running one command to its end, within a time, with its output shown or kept.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::TaskError;
use crate::processes::{self, Process};

/// A command that is to be run to its end.
#[derive(Debug)]
pub struct Run {
    command: Command,
    limit: Duration,
}

impl Run {
    /// A command that may run for [`DEFAULT_LIMIT`].
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            command: Command::new(program),
            limit: DEFAULT_LIMIT,
        }
    }

    /// The `cargo` that runs this task.
    pub fn cargo() -> Self {
        Self::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())).dir(&crate::workspace::root())
    }

    /// Adds one argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets a variable of its environment.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets variables of its environment.
    pub fn envs<N: AsRef<OsStr>, V: AsRef<OsStr>>(mut self, variables: impl IntoIterator<Item = (N, V)>) -> Self {
        self.command.envs(variables);
        self
    }

    /// Takes a variable out of its environment.
    pub fn without_env(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Sets the directory that it runs in.
    pub fn dir(mut self, path: &Path) -> Self {
        self.command.current_dir(path);
        self
    }

    /// Sets how long it may run.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it with its output on the terminal.
    pub fn shown(mut self) -> Result<(), TaskError> {
        let process = self.start()?;
        let status = self.finish(process)?;
        self.judge(status, Vec::new())
    }

    /// Runs it with its output on the terminal. Gives what it wrote to standard output, too, and how it went.
    pub fn shown_and_kept(mut self) -> Result<(String, Result<(), TaskError>), TaskError> {
        self.command.stdout(Stdio::piped());
        let mut process = self.start()?;
        let stdout = process.child.stdout.take().map(pass_on);
        let status = self.finish(process)?;
        let output = stdout.and_then(|thread| thread.join().ok()).unwrap_or_default();
        Ok((output, self.judge(status, Vec::new())))
    }

    /// Runs it without a word, and returns what it wrote to standard output. A failure shows its last lines.
    pub fn quiet(mut self) -> Result<String, TaskError> {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = self.start()?;
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        let stdout = process.child.stdout.take().map(|pipe| collect(pipe, Arc::clone(&tail)));
        let stderr = process.child.stderr.take().map(|pipe| collect(pipe, Arc::clone(&tail)));
        let finished = self.finish(process);
        let output = stdout.and_then(|thread| thread.join().ok()).unwrap_or_default();
        drop(stderr.map(JoinHandle::join));
        let tail: Vec<String> = tail.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect();
        match finished {
            Ok(status) => self.judge(status, tail).map(|()| output),
            Err(TaskError::Overtime { command, limit_s, .. }) => Err(TaskError::Overtime {
                command,
                limit_s,
                output: tail,
            }),
            Err(other) => Err(other),
        }
    }

    /// What it writes to standard output, or none when it cannot be run or fails: for asking the machine.
    pub fn probe(self) -> Option<String> {
        self.quiet().ok()
    }

    fn start(&mut self) -> Result<Process, TaskError> {
        if processes::stopped() {
            return Err(TaskError::Stopped);
        }
        let name = self.name();
        Process::start(&mut self.command).map_err(|source| TaskError::Start { command: name, source })
    }

    fn finish(&self, mut process: Process) -> Result<ExitStatus, TaskError> {
        let until = Instant::now() + self.limit;
        loop {
            match process.child.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) if processes::stopped() => {
                    process.end(GRACE);
                    return Err(TaskError::Stopped);
                }
                Ok(None) if Instant::now() > until => {
                    process.end(GRACE);
                    let limit_s = self.limit.as_secs();
                    return Err(TaskError::Overtime {
                        command: self.name(),
                        limit_s,
                        output: Vec::new(),
                    });
                }
                Ok(None) => std::thread::sleep(POLL),
                Err(source) => {
                    return Err(TaskError::Start {
                        command: self.name(),
                        source,
                    });
                }
            }
        }
    }

    fn judge(&self, status: ExitStatus, output: Vec<String>) -> Result<(), TaskError> {
        if processes::stopped() {
            return Err(TaskError::Stopped);
        }
        if status.success() {
            Ok(())
        } else {
            Err(TaskError::Command {
                command: self.name(),
                status,
                output,
            })
        }
    }

    fn name(&self) -> String {
        let program = Path::new(self.command.get_program()).file_name().unwrap_or_default();
        let words = std::iter::once(program)
            .chain(self.command.get_args())
            .map(OsStr::to_string_lossy);
        words.collect::<Vec<_>>().join(" ")
    }
}

/// Reads a pipe to its end, and writes each line to standard output as it comes.
fn pass_on(pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut all = String::new();
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            all.push_str(&line);
            all.push('\n');
        }
        all
    })
}

/// Reads a pipe to its end; the last lines of both pipes also go, in order of arrival, into `tail`.
fn collect(pipe: impl Read + Send + 'static, tail: Arc<Mutex<VecDeque<String>>>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut all = String::new();
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            all.push_str(&line);
            all.push('\n');
            let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
            if tail.len() == TAIL_LINES {
                tail.pop_front();
            }
            tail.push_back(line);
        }
        all
    })
}

/// How long a command may run when nothing else is said. The slowest, a first build of the Spin host, takes about
/// five minutes on two cores.
pub const DEFAULT_LIMIT: Duration = Duration::from_mins(30);
const GRACE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(10);
const TAIL_LINES: usize = 40;
