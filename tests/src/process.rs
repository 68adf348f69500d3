//! A child process that prints a `ready` line and dies with this process, however this process dies.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// A running server. Dropping it stops it and waits until it is gone.
#[derive(Debug)]
pub struct Server {
    supervisor: Child,
    /// The process itself, below its supervisor.
    process: u32,
    /// Its base URL, from the ready line.
    pub url: String,
    /// Where what it writes to standard error goes.
    pub log: PathBuf,
}

impl Server {
    /// Runs `command` until it prints `ready url=…`; `name` is what its log in `folder` is called.
    pub fn start(name: &str, command: &Command, folder: &Path) -> Self {
        let line = ReadyLine::saying(READY_WITHIN, |line| {
            let url = line.strip_prefix("ready url=")?;
            Some(url.split(' ').next().unwrap_or_default().to_owned())
        });
        Self::start_saying(name, command, folder, line)
    }

    /// The same for a program that says in its own words that it is ready.
    pub fn start_saying(name: &str, command: &Command, folder: &Path, line: ReadyLine) -> Self {
        let log = folder.join(format!("{name}.log"));
        let mut supervisor = supervised(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).expect("the log can be written"))
            .spawn()
            .expect("a shell runs");
        let output = BufReader::new(supervisor.stdout.take().expect("standard output is piped"));
        let (process, url) = line.wait(output).unwrap_or_else(|why| {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            panic!("{name} {why}: {command:?}\n{said}")
        });
        Self {
            supervisor,
            process,
            url,
            log,
        }
    }

    /// Ends it where it stands, as a lack of memory would.
    pub fn kill(&self) {
        let killed = Command::new("kill")
            .args(["-s", "KILL", &self.process.to_string()])
            .status();
        assert!(killed.expect("`kill` runs").success(), "it runs no more");
    }

    /// Bytes of memory that it holds now; `None` on systems that do not tell as Linux does.
    pub fn resident_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kibibytes << 10)
    }

    /// The address in the URL, such as `127.0.0.1:8080`.
    pub fn address(&self) -> &str {
        let (_, address) = self.url.split_once("://").unwrap_or(("", &self.url));
        address.trim_end_matches('/')
    }

    /// What it has written to standard error so far.
    pub fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        let _ = self.supervisor.wait();
    }
}

/// `command` under a shell that stops it when the shell's standard input ends. The pipe ends when this process drops
/// it, and also when this process is killed, so that no server outlives the tests. The shell's own standard output
/// is closed at once: the pipe to us ends when the server itself ends.
fn supervised(command: &Command) -> Command {
    const SUPERVISE: &str = r#""$@" </dev/null & pid=$!
        echo "supervised pid=$pid"
        exec >/dev/null
        cat
        kill -TERM $pid 2>/dev/null
        (sleep 3; kill -KILL $pid 2>/dev/null) & watchdog=$!
        wait $pid
        kill $watchdog 2>/dev/null"#;
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

/// The line of a program's output that says that it is ready.
pub struct ReadyLine {
    within: Duration,
    url: Box<UrlIn>,
}

/// Makes the program's URL of the line that tells it, and of no other.
type UrlIn = dyn Fn(&str) -> Option<String> + Send;

impl ReadyLine {
    /// It comes within that time; `url` is given each line, and makes the program's URL when it is this one.
    pub fn saying(within: Duration, url: impl Fn(&str) -> Option<String> + Send + 'static) -> Self {
        Self {
            within,
            url: Box::new(url),
        }
    }

    /// The process and its URL, read by a thread that goes on reading, so that the server never blocks on its output.
    fn wait(self, output: impl BufRead + Send + 'static) -> Result<(u32, String), &'static str> {
        let Self { within, url } = self;
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            let (mut process, mut ready) = (None, None);
            for line in output.lines().map_while(Result::ok) {
                match line.strip_prefix("supervised pid=") {
                    Some(pid) => process = pid.parse().ok(),
                    None => ready = ready.take().or_else(|| url(&line)),
                }
                if let Some(told) = process.zip(ready.clone()) {
                    let _ = tell.send(told);
                }
            }
        });
        told.recv_timeout(within).map_err(|why| match why {
            mpsc::RecvTimeoutError::Timeout => "printed no ready line in time",
            mpsc::RecvTimeoutError::Disconnected => "ended before it was ready",
        })
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// Compiling a component for the first time is the slowest start there is.
pub const READY_WITHIN: Duration = Duration::from_secs(120);
