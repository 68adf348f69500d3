//! How serving ends. The first SIGTERM or SIGINT stops accepting and lets every answer finish; after the drain
//! timeout the core ends the streams that are left, each with an error its client understands; a second signal ends
//! the process at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidegate_core::Gateway;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{info, warn};

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything that ran came to its own end.
    Finished,
    /// Some streams were ended early, in the way their clients understand.
    CutShort,
    /// A second signal left things as they were.
    AtOnce,
}

/// Listens to the signals and tells the threads what they mean.
#[derive(Debug)]
pub struct Supervisor {
    /// What the threads are told, and tell.
    pub line: Line,
    gateway: Arc<Gateway>,
    drain_timeout: Duration,
    runtime: Runtime,
    signals: Signals,
}

/// What goes between the supervisor and the threads.
#[derive(Debug)]
pub struct Line {
    /// Turns true when the threads shall finish what they have and accept nothing more.
    pub draining: watch::Sender<bool>,
    /// Says that the configuration file shall be read now.
    pub reload: Arc<Notify>,
    /// Open connections of all threads.
    pub open: Arc<AtomicUsize>,
}

/// Each thread's end; closed when all have ended.
pub type Ends = mpsc::UnboundedReceiver<io::Result<()>>;

impl Supervisor {
    /// A supervisor that listens to signals from here on; before, each of them kills the process.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn new(gateway: Arc<Gateway>, drain_timeout: Duration) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let signals = runtime.block_on(async { Signals::listen() })?;
        let line = Line {
            draining: watch::channel(false).0,
            reload: Arc::default(),
            open: Arc::default(),
        };
        Ok(Self {
            line,
            gateway,
            drain_timeout,
            runtime,
            signals,
        })
    }

    /// Does some work before the threads serve. Blocks.
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Waits for a signal to end, then for the end.
    ///
    /// # Errors
    /// When a thread failed while it should have served.
    pub fn supervise(self, mut ends: Ends) -> io::Result<Ending> {
        let Self {
            line,
            gateway,
            drain_timeout,
            runtime,
            mut signals,
        } = self;
        runtime.block_on(async {
            signal_to_end(&line, &mut signals, &mut ends).await?;
            gateway.drain();
            line.draining.send_replace(true);
            info!(
                connections = line.connections(),
                at_most_s = drain_timeout.as_secs(),
                "draining: no new connections, waiting for answers to finish; signal again to stop at once"
            );
            tokio::select! {
                ending = drain(&line, &mut ends, &gateway, drain_timeout) => {
                    info!(?ending, "stopped");
                    Ok(ending)
                }
                () = signals.end() => {
                    warn!(connections = line.connections(), "stopped at once");
                    Ok(Ending::AtOnce)
                }
            }
        })
    }
}

impl Line {
    fn connections(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

async fn signal_to_end(line: &Line, signals: &mut Signals, ends: &mut Ends) -> io::Result<()> {
    loop {
        tokio::select! {
            told = signals.next() => match told {
                Told::Reload => line.reload.notify_one(),
                Told::End => return Ok(()),
            },
            end = ends.recv() => return Err(unexpected(end)),
        }
    }
}

async fn drain(line: &Line, ends: &mut Ends, gateway: &Gateway, drain_timeout: Duration) -> Ending {
    let deadline = Instant::now() + drain_timeout;
    while Instant::now() < deadline {
        let next_word = deadline.min(Instant::now() + TELL_EVERY);
        tokio::select! {
            () = all_ended(ends) => return Ending::Finished,
            () = sleep_until(next_word) => {}
        }
        info!(
            connections = line.connections(),
            left_s = (deadline - Instant::now()).as_secs(),
            "draining"
        );
    }
    warn!(
        connections = line.connections(),
        "the drain timeout is over: ending the streams that are left"
    );
    gateway.stop();
    // The core has told every stream to end; what does not end now hangs on a client that does not read.
    drop(timeout(LAST_WORDS, all_ended(ends)).await);
    Ending::CutShort
}

async fn all_ended(ends: &mut Ends) {
    while ends.recv().await.is_some() {}
}

fn unexpected(end: Option<io::Result<()>>) -> io::Error {
    match end {
        Some(Err(error)) => error,
        Some(Ok(())) | None => io::Error::other("a thread stopped serving"),
    }
}

/// The signals that the process listens to.
#[derive(Debug)]
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// What a signal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// Read the configuration file.
    Reload,
    /// Come to an end.
    End,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        let [terminate, interrupt, hangup] =
            [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
        Ok(Self {
            terminate: terminate?,
            interrupt: interrupt?,
            hangup: hangup?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _signal = self.terminate.recv() => Told::End,
            _signal = self.interrupt.recv() => Told::End,
            _signal = self.hangup.recv() => Told::Reload,
        }
    }

    async fn end(&mut self) {
        while self.next().await != Told::End {}
    }
}

/// Time between two reports of what is waited for.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// Time for the last events of streams that are ended early.
const LAST_WORDS: Duration = Duration::from_secs(2);
