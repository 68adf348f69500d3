//! A server that a task runs: it says that it is ready, its log is kept, and it does not outlive the task.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::error::TaskError;
use crate::processes::{self, Process};

/// A running server that says when it is ready. Dropping it ends it.
#[derive(Debug)]
pub struct Child {
    daemon: Daemon,
    /// Its base URL, as its ready line gave it.
    pub url: String,
}

/// An address of loopback that was free a moment ago.
///
/// # Errors
/// When there is none.
pub fn free_address() -> Result<String, TaskError> {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    address
        .map(|address| address.to_string())
        .map_err(|error| TaskError::unmet("a port", error.to_string(), "one is needed"))
}

/// A running server. Dropping it ends it.
#[derive(Debug)]
struct Daemon {
    name: String,
    log: PathBuf,
    process: Process,
    /// Disconnected when its standard output has ended.
    lines: mpsc::Receiver<String>,
}

impl Child {
    /// Runs `command` until it prints a line `ready url=…`. Its standard error goes to `NAME.log` in `folder`.
    ///
    /// # Errors
    /// When it cannot be started, ends, or is not ready in time.
    pub fn start(name: &str, command: &Command, folder: &Path) -> Result<Self, TaskError> {
        let mut daemon = Daemon::start(name, command, folder)?;
        let url = daemon.wait_ready()?;
        Ok(Self { daemon, url })
    }

    /// Runs a `command` that is several servers, until it has printed so many of these lines. Gives all URLs too.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_several(
        name: &str,
        command: &Command,
        folder: &Path,
        count: usize,
    ) -> Result<(Self, Vec<String>), TaskError> {
        let mut daemon = Daemon::start(name, command, folder)?;
        let urls = (0..count).map(|_| daemon.wait_ready()).collect::<Result<Vec<_>, _>>()?;
        let url = urls.first().cloned().unwrap_or_default();
        Ok((Self { daemon, url }, urls))
    }

    /// Runs a `command` that says nothing, until it `answers` at `url`.
    ///
    /// # Errors
    /// When it cannot be started, ends, or does not answer in time.
    pub fn start_at(
        name: &str,
        command: &Command,
        folder: &Path,
        url: &str,
        answers: impl Fn() -> bool,
    ) -> Result<Self, TaskError> {
        let mut daemon = Daemon::start(name, command, folder)?;
        let until = Instant::now() + READY_WITHIN;
        while !answers() {
            if let Some(error) = daemon.ended() {
                return Err(error);
            }
            if processes::stopped() {
                return Err(TaskError::Stopped);
            }
            if Instant::now() > until {
                return Err(daemon.failure(&format!("does not answer within {} s", READY_WITHIN.as_secs())));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Self {
            daemon,
            url: url.to_owned(),
        })
    }

    /// The group of its processes.
    pub fn group(&self) -> u32 {
        self.daemon.process.child.id()
    }

    /// Kills it, as a machine that fails does: it gets to finish nothing.
    pub fn kill(mut self) {
        self.daemon.process.kill();
    }

    /// The error to report when it has ended, which it should not on its own.
    pub fn ended(&mut self) -> Option<TaskError> {
        self.daemon.ended()
    }

    /// What went wrong with it, and the end of its log.
    pub fn failure(&self, found: &str) -> TaskError {
        self.daemon.failure(found)
    }
}

impl Daemon {
    /// Starts `command`. Its standard error goes to `NAME.log` in `folder`.
    fn start(name: &str, command: &Command, folder: &Path) -> Result<Self, TaskError> {
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).map_err(TaskError::file(&log))?;
        let mut process =
            Process::start_piped(supervised(command).stdout(Stdio::piped()).stderr(file)).map_err(|source| {
                TaskError::Start {
                    command: name.to_owned(),
                    source,
                }
            })?;
        let (sender, lines) = mpsc::channel();
        if let Some(pipe) = process.child.stdout.take() {
            std::thread::spawn(move || forward(pipe, &sender));
        }
        Ok(Self {
            name: name.to_owned(),
            log,
            process,
            lines,
        })
    }

    /// The error to report when it has ended, which it should not on its own.
    fn ended(&mut self) -> Option<TaskError> {
        loop {
            match self.lines.try_recv() {
                Ok(_) => {}
                Err(mpsc::TryRecvError::Empty) => return None,
                Err(mpsc::TryRecvError::Disconnected) => {
                    let status = self.process.close_and_wait();
                    return Some(self.failure(&format!("has ended with {status}")));
                }
            }
        }
    }

    /// What went wrong with it, and the end of its log.
    fn failure(&self, found: &str) -> TaskError {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(LOG_LINES)..]
            .iter()
            .map(|line| format!("\n    | {line}"));
        TaskError::Server {
            name: self.name.clone(),
            found: found.to_owned(),
            log: last.collect(),
        }
    }

    fn wait_ready(&mut self) -> Result<String, TaskError> {
        let until = Instant::now() + READY_WITHIN;
        loop {
            match self.lines.recv_timeout(Duration::from_millis(100)) {
                Ok(line) => {
                    if let Some(url) = line.strip_prefix("ready url=") {
                        return Ok(url.split(' ').next().unwrap_or_default().to_owned());
                    }
                }
                Err(_) if processes::stopped() => return Err(TaskError::Stopped),
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    let status = self.process.close_and_wait();
                    return Err(self.failure(&format!("ended with {status} before it was ready")));
                }
                Err(mpsc::RecvTimeoutError::Timeout) if Instant::now() > until => {
                    return Err(self.failure(&format!("was not ready within {} s", READY_WITHIN.as_secs())));
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

/// Sends lines on until there are none.
fn forward(pipe: impl Read, sender: &mpsc::Sender<String>) {
    for line in BufReader::new(pipe).lines().map_while(Result::ok) {
        if sender.send(line).is_err() {
            return;
        }
    }
}

/// `command` under a shell that ends it when the shell's standard input does: it ends also when this process is
/// killed. The shell gives up its own standard output, so that ours ends when the server's does.
fn supervised(command: &Command) -> Command {
    const SUPERVISE: &str = r#"trap : TERM
        "$@" </dev/null & pid=$!
        exec >/dev/null
        cat
        kill -TERM $pid 2>/dev/null
        wait $pid"#;
    let mut shell = Command::new("sh");
    shell
        .args(["-c", SUPERVISE, "supervise"])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            shell.env(name, value);
        }
    }
    shell
}

/// Compiling a component for the first time is the slowest start there is.
const READY_WITHIN: Duration = Duration::from_mins(2);
const LOG_LINES: usize = 20;
