//! A reply that one request's task may get from another's.
//!
//! A waker of the SDK must not be called from another component task: without its feature for that it panics, and the
//! feature traps on wasmtime 48. The host knows how to wake any task, though: by the end of a stream. So a reply is put
//! down as data, and where somebody is waiting a stream without content is ended.

use std::cell::Cell;
use std::rc::Rc;

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
}

/// A reply to come, and what gives it.
pub(crate) fn reply<T>() -> (Replier<T>, Reply<T>) {
    let slot = Rc::new(Slot {
        reply: Cell::new(None),
        end: Cell::new(None),
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
    }
}

impl<T> Reply<T> {
    /// The reply if it is here already.
    pub(crate) fn take(&self) -> Option<T> {
        self.0.reply.take()
    }

    /// The reply; `None` when nobody will give one.
    pub(crate) async fn wait(self) -> Option<T> {
        let is_given_or_gone = Rc::strong_count(&self.0) == 1;
        if !is_given_or_gone {
            let (end, mut ended) = wit_stream::new();
            self.0.end.set(Some(end));
            ended.read(Vec::with_capacity(1)).await;
        }
        self.take()
    }
}
