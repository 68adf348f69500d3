//! One connection to an engine, for one exchange at a time. hyper's connection is no task of its own: whoever waits
//! for the exchange drives it, so that an answer's pieces pass without a change of task for each of them, and
//! dropping the exchange closes the socket at once. That is how a request whose client has left is cancelled.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::heard::Heard;
use crate::http::WholeBody;
use crate::tapped::Tapped;

/// A connection that is free, or that carries the exchange whose body holds it.
pub struct Connection {
    sender: SendRequest<WholeBody>,
    /// `None` when the connection has ended.
    driver: Option<Driver>,
    /// Whether anything has come since the last request was sent.
    heard: Heard,
    since: Instant,
}

/// hyper's connection, whatever it runs over.
type Driver = Pin<Box<dyn Future<Output = Result<(), hyper::Error>>>>;

/// Why an exchange gave no response head.
#[derive(Debug)]
pub enum Unanswered {
    /// The connection was closed and the request never left; here it is again.
    Unsent(Box<Request<Bytes>>),
    /// The engine may have got the request; not a byte of an answer came.
    Unheard(hyper::Error),
    /// The answer broke off within its head.
    Broken(hyper::Error),
}

impl Connection {
    /// Speaks HTTP/1.1 over `io`.
    ///
    /// # Errors
    /// When hyper refuses the connection.
    pub async fn start(io: impl AsyncRead + AsyncWrite + Unpin + 'static) -> Result<Self, hyper::Error> {
        let heard = Heard::default();
        let io = TokioIo::new(Tapped::new(io, heard.clone()));
        let (sender, connection) = Builder::new().max_header_size(MAX_HEAD_BYTES).handshake(io).await?;
        Ok(Self {
            sender,
            driver: Some(Box::pin(connection)),
            heard,
            since: Instant::now(),
        })
    }

    /// Whether it is too old for another exchange.
    pub fn is_aged(&self) -> bool {
        self.since.elapsed() >= LONGEST_AGE
    }

    /// Sends a request in origin form and waits for the response head.
    ///
    /// # Errors
    /// When none came; the connection is gone then.
    pub async fn send(mut self, request: Request<Bytes>) -> Result<(Response<Incoming>, Self), Unanswered> {
        let ready = poll_fn(|cx| {
            self.drive(cx);
            self.sender.poll_ready(cx)
        });
        if ready.await.is_err() {
            return Err(Unanswered::Unsent(Box::new(request)));
        }
        self.heard.forget();
        let mut answered = pin!(self.sender.try_send_request(request.map(WholeBody)));
        let answered = poll_fn(|cx| {
            self.drive(cx);
            answered.as_mut().poll(cx)
        });
        match answered.await {
            Ok(response) => Ok((response, self)),
            Err(mut error) => Err(match error.take_message() {
                Some(request) => Unanswered::Unsent(Box::new(request.map(|WholeBody(bytes)| bytes))),
                None if self.heard.anything() => Unanswered::Broken(error.into_error()),
                None => Unanswered::Unheard(error.into_error()),
            }),
        }
    }

    /// Reads and writes what is possible now. What goes wrong reaches the exchange, where it is dealt with.
    pub fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(driver) = &mut self.driver
            && let Poll::Ready(_ended) = driver.as_mut().poll(cx)
        {
            self.driver = None;
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("ended", &self.driver.is_none())
            .finish_non_exhaustive()
    }
}

/// A connection takes no exchange after this, so that a name which leads elsewhere by now is looked up again, also where
/// there is never a pause: twice the time that cluster DNS lets names be remembered (CoreDNS: 30 s).
const LONGEST_AGE: Duration = Duration::from_secs(60);
/// Largest response head that is read from an engine.
const MAX_HEAD_BYTES: usize = 64 << 10;
