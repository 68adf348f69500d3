//! One connection to an engine, for one exchange at a time.

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::rt::{Read, Write};
use tokio::task::AbortHandle;

use crate::http::WholeBody;

/// A connection that is free, or that carries the exchange whose body holds it. Dropping it closes the socket at
/// once: that is how a request whose client has left is cancelled.
#[derive(Debug)]
pub struct Connection {
    sender: SendRequest<WholeBody>,
    driver: AbortHandle,
}

/// Why an exchange gave no response head.
#[derive(Debug)]
pub enum Unanswered {
    /// The connection was closed and the request never left; here it is again.
    Unsent(Box<Request<Bytes>>),
    /// The engine may have got the request.
    Broken(hyper::Error),
}

impl Connection {
    /// Speaks HTTP/1.1 over `io`, driven by a task on this thread.
    ///
    /// # Errors
    /// When hyper refuses the connection.
    pub async fn start(io: impl Read + Write + Unpin + 'static) -> Result<Self, hyper::Error> {
        let (sender, connection) = Builder::new().max_header_size(MAX_HEAD_BYTES).handshake(io).await?;
        // Its error also reaches the exchange that it breaks, where it is dealt with.
        let driver = tokio::task::spawn_local(async move { drop(connection.await) }).abort_handle();
        Ok(Self { sender, driver })
    }

    /// Whether the other side has closed it.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends a request in origin form and waits for the response head.
    ///
    /// # Errors
    /// When none came; the connection is gone then.
    pub async fn send(mut self, request: Request<Bytes>) -> Result<(Response<Incoming>, Self), Unanswered> {
        if self.sender.ready().await.is_err() {
            return Err(Unanswered::Unsent(Box::new(request)));
        }
        match self.sender.try_send_request(request.map(WholeBody)).await {
            Ok(response) => Ok((response, self)),
            Err(mut error) => Err(match error.take_message() {
                Some(request) => Unanswered::Unsent(Box::new(request.map(|WholeBody(bytes)| bytes))),
                None => Unanswered::Broken(error.into_error()),
            }),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Largest response head that is read from an engine.
const MAX_HEAD_BYTES: usize = 64 << 10;
