//! Whether the client is still there.
//!
//! docs/decisions/0003-how-a-worker-notices-a-vanished-client.md tells when the runtime says so, and what else does.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::channel::oneshot;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use worker::web_sys::{AbortSignal, Request};

/// The client of one request: a future that completes when it has left.
pub(crate) struct Client {
    left: oneshot::Receiver<()>,
    signal: AbortSignal,
    _on_abort: Closure<dyn FnMut()>,
}

impl Client {
    pub fn new(request: &Request) -> Self {
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
        }
    }
}

impl Future for Client {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.left).poll(context).map(|_| ())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.signal.set_onabort(None);
    }
}
