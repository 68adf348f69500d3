//! A reply that one request's task may get from another's.
//!
//! A waker of the SDK must not be called from another component task: without its feature for that it panics, and the
//! feature traps on wasmtime 48. The host knows how to wake any task, though: by the end of a stream. So a reply is put
//! down as data, and where somebody is waiting a stream without content is ended.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use spin_sdk::wasip3::wit_bindgen::StreamWriter;
use spin_sdk::wasip3::wit_stream;

/// Where a reply is picked up.
pub(crate) struct Reply<T>(Rc<Slot<T>>);

/// What gives the reply; who drops it without one tells as much.
pub(crate) struct Replier<T>(Rc<Slot<T>>);

struct Slot<T> {
    reply: Cell<Option<T>>,
    /// Somebody is waiting for its end.
    end: Cell<Option<StreamWriter<u8>>>,
    /// Somebody is waiting in the task that replies.
    waker: Cell<Option<Waker>>,
}

/// A reply to come, and what gives it.
pub(crate) fn reply<T>() -> (Replier<T>, Reply<T>) {
    let slot = Rc::new(Slot {
        reply: Cell::new(None),
        end: Cell::new(None),
        waker: Cell::new(None),
    });
    (Replier(Rc::clone(&slot)), Reply(slot))
}

impl<T> Replier<T> {
    /// Replies. Whoever does not wait any more is not told.
    pub(crate) fn reply(self, reply: T) {
        self.0.reply.set(Some(reply));
    }
}

impl<T> Drop for Replier<T> {
    fn drop(&mut self) {
        drop(self.0.end.take());
        if let Some(waker) = self.0.waker.take() {
            waker.wake();
        }
    }
}

impl<T> Reply<T> {
    /// The reply; `None` when nobody will give one.
    pub(crate) async fn wait(self) -> Option<T> {
        if !self.is_over() {
            let (end, mut ended) = wit_stream::new();
            self.0.end.set(Some(end));
            ended.read(Vec::with_capacity(1)).await;
        }
        self.0.reply.take()
    }

    /// The same, at less cost, where the task that replies is the one that waits.
    pub(crate) async fn wait_within_task(self) -> Option<T> {
        poll_fn(|context| {
            if self.is_over() {
                return Poll::Ready(());
            }
            self.0.waker.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
        self.0.reply.take()
    }

    /// Whether the reply was given, or nobody will give one.
    fn is_over(&self) -> bool {
        Rc::strong_count(&self.0) == 1
    }
}
