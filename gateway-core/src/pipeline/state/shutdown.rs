//! The way down of a process: first no new requests, then the end of those that run.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::Shared;

/// Whether and how far the process is on its way down.
#[derive(Debug)]
pub(in crate::pipeline) struct Shutdown {
    draining: AtomicBool,
    sender: Mutex<Option<oneshot::Sender<()>>>,
    stopped: Stopped,
}

/// Completes when what runs is to end.
pub(in crate::pipeline) type Stopped = Shared<oneshot::Receiver<()>>;

impl Default for Shutdown {
    fn default() -> Self {
        let (sender, receiver) = oneshot::channel();
        Self {
            draining: AtomicBool::new(false),
            sender: Mutex::new(Some(sender)),
            stopped: receiver.shared(),
        }
    }
}

impl Shutdown {
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub fn stop(&self) {
        self.drain();
        // Dropping the sender completes the receivers.
        drop(self.sender.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    pub fn stopped(&self) -> Stopped {
        self.stopped.clone()
    }
}
