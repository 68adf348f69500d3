//! One client connection: HTTP/1.1 with keep-alive, small writes at once, and a reset instead of a close where a fault
//! wants it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::router;
use super::shared::Shared;

/// What a request knows of its connection.
#[derive(Debug, Default)]
pub(super) struct Connection {
    reset: AtomicBool,
}

impl Connection {
    /// The connection that a request came on.
    pub fn of(parts: &Parts) -> Option<Arc<Self>> {
        parts.extensions.get::<Arc<Self>>().cloned()
    }

    /// When the connection closes, it is reset (RST).
    pub fn reset_on_close(&self) {
        self.reset.store(true, Ordering::Relaxed);
    }
}

/// Serves requests until the client leaves or a fault closes the connection.
pub(super) async fn serve_connection(shared: Arc<Shared>, stream: TcpStream) {
    // Without it a streamed event waits for the acknowledgement of the one before. A socket that is gone already is
    // found out by the first read.
    let _ = stream.set_nodelay(true);
    let connection = Arc::new(Connection::default());
    let socket = Socket {
        stream,
        connection: Arc::clone(&connection),
    };
    let service = service_fn(move |mut request| {
        request.extensions_mut().insert(Arc::clone(&connection));
        router::handle(Arc::clone(&shared), request)
    });
    // How a connection ends is the client's business, or a fault's.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(socket), service)
        .await;
}

/// A TCP stream that is closed as its connection says.
struct Socket {
    stream: TcpStream,
    connection: Arc<Connection>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.connection.reset.load(Ordering::Relaxed) {
            // A socket that cannot be told is gone already.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.connection.reset.load(Ordering::Relaxed) {
            // A shutdown would say goodbye first.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
