//! A reply that one request's task may get from another's.
//!
//! A waker of the SDK must not be called from another component task: without its feature for that it panics, and the
//! feature traps on wasmtime 48. The host knows how to wake any task, though: by the end of a stream. So a reply from
//! another task is put down as data, and then a stream without content is ended.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use futures::channel::oneshot;
use spin_sdk::wasip3::wit_bindgen::StreamWriter;
use spin_sdk::wasip3::wit_stream;

/// Where the reply comes from; `None` when whoever was to reply is gone.
pub(crate) type Reply<T> = Pin<Box<dyn Future<Output = Option<T>>>>;

/// What gives the reply.
pub(crate) enum Replier<T> {
    /// To a future of the same component task.
    Within(oneshot::Sender<T>),
    /// To a future of another one, which waits for the end of the stream.
    Across {
        /// Where the reply is put down.
        put_down: Rc<Cell<Option<T>>>,
        /// Ends when it is dropped.
        end: StreamWriter<u8>,
    },
}

impl<T: 'static> Replier<T> {
    /// A replier in the component task that waits, and its reply.
    pub(crate) fn within_task() -> (Self, Reply<T>) {
        let (sender, receiver) = oneshot::channel();
        (Self::Within(sender), Box::pin(async { receiver.await.ok() }))
    }

    /// A replier in another component task than the one that waits, and its reply.
    pub(crate) fn across_tasks() -> (Self, Reply<T>) {
        let put_down = Rc::new(Cell::new(None));
        let (end, mut ended) = wit_stream::new();
        let picked_up = Rc::clone(&put_down);
        let reply = async move {
            ended.read(Vec::with_capacity(1)).await;
            picked_up.take()
        };
        (Self::Across { put_down, end }, Box::pin(reply))
    }

    /// Replies. Whoever does not wait any more is not told.
    pub(crate) fn reply(self, reply: T) {
        match self {
            Self::Within(sender) => drop(sender.send(reply)),
            Self::Across { put_down, end } => {
                put_down.set(Some(reply));
                drop(end);
            }
        }
    }
}
