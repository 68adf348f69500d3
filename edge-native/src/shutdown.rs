//! How serving ends. The first SIGTERM or SIGINT stops accepting and lets every answer finish; after the drain
//! timeout the core ends the streams that are left, each with an error its client understands; a second signal ends
//! the process at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidegate_core::Gateway;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{info, warn};

/// The threads that serve.
#[derive(Debug)]
pub struct Threads {
    /// Each thread's end; closed when all have ended.
    pub ended: mpsc::UnboundedReceiver<io::Result<()>>,
    /// Tells them to drain.
    pub draining: watch::Sender<bool>,
    /// Their open connections.
    pub open: Arc<AtomicUsize>,
}

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

/// Waits for a signal, then for the end.
///
/// # Errors
/// When signals cannot be waited for, or a thread failed while it should have served.
pub async fn wait(mut threads: Threads, gateway: &Arc<Gateway>, drain_timeout: Duration) -> io::Result<Ending> {
    let mut signals = Signals::new()?;
    tokio::select! {
        () = signals.next() => {}
        end = threads.ended.recv() => return Err(unexpected(end)),
    }
    gateway.drain();
    threads.draining.send_replace(true);
    info!(
        connections = threads.open.load(Ordering::Relaxed),
        at_most_s = drain_timeout.as_secs(),
        "draining: no new connections, waiting for answers to finish; signal again to stop at once"
    );
    tokio::select! {
        ending = drain(&mut threads, gateway, drain_timeout) => {
            info!(?ending, "stopped");
            Ok(ending)
        }
        () = signals.next() => {
            warn!(connections = threads.open.load(Ordering::Relaxed), "stopped at once");
            Ok(Ending::AtOnce)
        }
    }
}

async fn drain(threads: &mut Threads, gateway: &Arc<Gateway>, drain_timeout: Duration) -> Ending {
    let deadline = Instant::now() + drain_timeout;
    loop {
        let next_word = deadline.min(Instant::now() + TELL_EVERY);
        tokio::select! {
            () = all_ended(&mut threads.ended) => return Ending::Finished,
            () = sleep_until(next_word) => {}
        }
        let connections = threads.open.load(Ordering::Relaxed);
        if Instant::now() >= deadline {
            warn!(
                connections,
                "the drain timeout is over: ending the streams that are left"
            );
            break;
        }
        info!(connections, left_s = (deadline - Instant::now()).as_secs(), "draining");
    }
    gateway.stop();
    // The core has told every stream to end; what does not end now hangs on a client that does not read.
    drop(timeout(LAST_WORDS, all_ended(&mut threads.ended)).await);
    Ending::CutShort
}

async fn all_ended(ended: &mut mpsc::UnboundedReceiver<io::Result<()>>) {
    while ended.recv().await.is_some() {}
}

fn unexpected(end: Option<io::Result<()>>) -> io::Error {
    match end {
        Some(Err(error)) => error,
        Some(Ok(())) | None => io::Error::other("a thread stopped serving"),
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _signal = self.terminate.recv() => {}
            _signal = self.interrupt.recv() => {}
        }
    }
}

/// Time between two reports of what is waited for.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// Time for the last events of streams that are ended early.
const LAST_WORDS: Duration = Duration::from_secs(2);
