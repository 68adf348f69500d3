//! Whether the client is still there, and that the runtime waits for what its leaving sets off.
//!
//! docs/decisions/0003-how-a-worker-notices-a-vanished-client.md tells what the runtime does and why both are needed.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use futures::channel::oneshot;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use worker::Context;
use worker::web_sys::{AbortSignal, Request};

/// The client of one request: a future that completes when it has left. As long as this is held, the runtime keeps the
/// request's work running, whether or not the client is there.
pub(crate) struct Client {
    left: oneshot::Receiver<()>,
    signal: AbortSignal,
    _on_abort: Closure<dyn FnMut()>,
    _alive: oneshot::Sender<()>,
}

impl Client {
    pub fn new(request: &Request, context: &Context) -> Self {
        let (alive, over) = oneshot::channel::<()>();
        context.wait_until(async move {
            // An error is the sender's end: the request is over.
            over.await.unwrap_or_default();
        });
        let (leave, left) = oneshot::channel();
        let on_abort = Closure::once(move || {
            // An error says that nobody waits for it any more.
            leave.send(()).unwrap_or_default();
        });
        let signal = request.signal();
        signal.set_onabort(Some(on_abort.as_ref().unchecked_ref()));
        Self {
            left,
            signal,
            _on_abort: on_abort,
            _alive: alive,
        }
    }
}

impl Future for Client {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<()> {
        Pin::new(&mut self.left).poll(context).map(|_| ())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.signal.set_onabort(None);
    }
}
