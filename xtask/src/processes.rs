//! The processes that a task has started: each leads a process group of its own, so that ending it ends what it
//! started in turn, and an interrupt (Ctrl-C, SIGTERM, SIGHUP) ends them all.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

static STOPPED: AtomicBool = AtomicBool::new(false);
static GROUPS: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Lets an interrupt end the running processes instead of this one, which then finds [`stopped`] true.
pub fn catch_interrupts() {
    // The handler can be set once only, and this is called once: a failure leaves the system's own behaviour.
    let _ = ctrlc::set_handler(|| {
        STOPPED.store(true, Ordering::SeqCst);
        let groups = GROUPS.lock().map(|groups| groups.clone()).unwrap_or_default();
        for group in groups {
            signal(group, "TERM");
        }
    });
}

/// Whether an interrupt has come.
pub fn stopped() -> bool {
    STOPPED.load(Ordering::SeqCst)
}

/// A running process; dropping it ends its group.
#[derive(Debug)]
pub struct Process {
    /// The leader of the group.
    pub child: Child,
}

impl Process {
    /// Starts `command` as the leader of a new process group, without standard input.
    ///
    /// # Errors
    /// When the system cannot start it.
    pub fn start(command: &mut Command) -> std::io::Result<Self> {
        Self::spawn(command.stdin(Stdio::null()))
    }

    /// The same with a pipe to its standard input, which ends when this value, or this whole process, does.
    ///
    /// # Errors
    /// When the system cannot start it.
    pub fn start_piped(command: &mut Command) -> std::io::Result<Self> {
        Self::spawn(command.stdin(Stdio::piped()))
    }

    fn spawn(command: &mut Command) -> std::io::Result<Self> {
        use std::os::unix::process::CommandExt as _;
        let child = command.process_group(0).spawn()?;
        if let Ok(mut groups) = GROUPS.lock() {
            groups.insert(child.id());
        }
        Ok(Self { child })
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Closes its standard input, and says how it ended.
    pub fn close_and_wait(&mut self) -> String {
        drop(self.child.stdin.take());
        self.child
            .wait()
            .map_or_else(|error| error.to_string(), |status| status.to_string())
    }

    /// Ends the group at once, without asking it to.
    pub fn kill(&mut self) {
        signal(self.child.id(), "KILL");
        let _ = self.child.wait();
    }

    /// Asks the group to end, and ends it after `grace`.
    pub fn end(&mut self, grace: Duration) {
        let group = self.child.id();
        let registered = GROUPS.lock().is_ok_and(|mut groups| groups.remove(&group));
        if !registered {
            return;
        }
        if self.is_running() {
            signal(group, "TERM");
        }
        let until = Instant::now() + grace;
        while self.is_running() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        if self.is_running() {
            signal(group, "KILL");
        }
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end(Duration::from_secs(5));
    }
}

/// Sends a signal to a process group. Nothing to do when it has already gone.
fn signal(group: u32, name: &str) {
    let _ = Command::new("kill")
        .args([&format!("-{name}"), "--", &format!("-{group}")])
        .stderr(Stdio::null())
        .status();
}
