//! One client's connection: HTTP/1.1, or HTTP/2 where TLS has agreed on it. When the client leaves, hyper drops the
//! answer that is being made, which is how the core learns of it.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::clients::Client;
use crate::clock::stopped_while_polled;
use crate::framing::Framing;
use crate::http::ResponseBody;
use crate::service::Service;
use crate::tapped::Tapped;

/// What serves a connection.
pub struct Serving {
    /// The server's identity, when it speaks TLS.
    pub tls: Option<TlsAcceptor>,
    /// What answers requests.
    pub service: Rc<Service>,
    /// The client as this thread knows it.
    pub client: Rc<Client>,
    /// Turns true when the connection shall end with the answer of that moment.
    pub draining: watch::Receiver<bool>,
}

/// Serves every request of one connection until the client closes it, or is let go, or `draining` turns true and the
/// answer of that moment is complete.
pub async fn serve(socket: TcpStream, serving: Serving) {
    let client = Rc::clone(&serving.client);
    tokio::select! {
        biased;
        // Looked at before anything is read: nothing has begun that would break off.
        () = client.let_go() => {}
        () = serve_socket(socket, serving) => {}
    }
}

async fn serve_socket(socket: TcpStream, serving: Serving) {
    if prepare(&socket).is_err() {
        return;
    }
    let socket = serving.service.outbox.wrap(socket);
    let Some(acceptor) = serving.tls.clone() else {
        return serve_http1(socket, serving).await;
    };
    let Ok(Ok(stream)) = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(socket)).await else {
        return;
    };
    let agreed_on_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    if agreed_on_http2 {
        serve_http2(stream, serving).await;
    } else {
        serve_http1(stream, serving).await;
    }
}

/// Small writes leave at once, and a client that vanished without a word is noticed when it acknowledges nothing.
fn prepare(socket: &TcpStream) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    SockRef::from(socket).set_tcp_user_timeout(Some(VANISHED_TIMEOUT))?;
    Ok(())
}

async fn serve_http1(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, serving: Serving) {
    let Serving {
        service,
        client,
        draining,
        ..
    } = serving;
    let io = TokioIo::new(Tapped::new(stream, Framing::new(Rc::clone(&client))));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIMEOUT)
        .max_header_size(MAX_HEAD_BYTES)
        .max_buf_size(MAX_BUFFER_BYTES)
        .serve_connection(
            io,
            service_fn(move |request| answer(Rc::clone(&service), Rc::clone(&client), request)),
        );
    let mut connection = pin!(connection);
    let drained = drained(draining);
    tokio::select! {
        biased;
        // How a connection ended is the client's business; what went wrong in an answer is in the answer.
        _ended = connection.as_mut() => return,
        () = drained => connection.as_mut().graceful_shutdown(),
    }
    drop(connection.await);
}

async fn serve_http2(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, serving: Serving) {
    let Serving {
        service,
        client,
        draining,
        ..
    } = serving;
    let connection = http2::Builder::new(OnThisThread)
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_HTTP2_STREAMS)
        .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX))
        .keep_alive_interval(HTTP2_PING_EVERY)
        .serve_connection(
            TokioIo::new(stream),
            service_fn(move |request| answer(Rc::clone(&service), Rc::clone(&client), request)),
        );
    let mut connection = pin!(connection);
    let drained = drained(draining);
    tokio::select! {
        biased;
        _ended = connection.as_mut() => return,
        () = drained => connection.as_mut().graceful_shutdown(),
    }
    drop(connection.await);
}

async fn answer(
    service: Rc<Service>,
    client: Rc<Client>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    Ok(service.answer(client, request).await)
}

/// Completes when `draining` turns true. It has to be polled by one task throughout: that task's waker waits already, so
/// that whatever else wakes the task costs a look and no more.
async fn drained(draining: watch::Receiver<bool>) {
    let mut awaited = draining.clone();
    let mut told = pin!(awaited.wait_for(|draining| *draining));
    let mut is_waited_for = false;
    poll_fn(|cx| {
        // An error means that the thread is gone, and this connection with it.
        if is_waited_for && !draining.has_changed().unwrap_or(true) {
            return Poll::Pending;
        }
        is_waited_for = true;
        told.as_mut().poll(cx).map(drop)
    })
    .await;
}

/// Runs hyper's tasks for HTTP/2 streams where their connection is.
#[derive(Clone, Copy, Debug)]
struct OnThisThread;

impl<F: Future<Output: 'static> + 'static> Executor<F> for OnThisThread {
    fn execute(&self, task: F) {
        drop(tokio::task::spawn_local(stopped_while_polled(task)));
    }
}

/// Most time for a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an idle connection is kept: most time from the end of an answer to the end of the next head. Longer than load
/// balancers keep theirs (60 s is common), so that they, who know whether they are about to send, close first.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// Largest request head; a larger one is answered 431.
const MAX_HEAD_BYTES: usize = 32 << 10;
/// Most bytes of a connection that wait in the process to be read by the core or by the client's socket.
const MAX_BUFFER_BYTES: usize = 128 << 10;
/// Requests at once on one HTTP/2 connection.
const MAX_HTTP2_STREAMS: u32 = 128;
/// An HTTP/2 client that answers no ping (within hyper's 20 s) is gone.
const HTTP2_PING_EVERY: Duration = Duration::from_secs(30);
/// How long a client may acknowledge nothing of what was sent to it.
#[cfg(target_os = "linux")]
const VANISHED_TIMEOUT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::runtime::LocalRuntime;
    use tokio::task::{spawn_local, yield_now};

    use super::*;

    #[test]
    fn whoever_waits_for_the_drain_hears_of_it() {
        LocalRuntime::new().expect("a runtime").block_on(async {
            let (drain, draining) = watch::channel(false);
            let waiting = spawn_local(drained(draining.clone()));
            yield_now().await;
            assert!(!waiting.is_finished());
            drain.send_replace(true);
            waiting.await.expect("it ends");
            assert_eq!(drained(draining).now_or_never(), Some(()), "late, it need not wait");
        });
    }

    #[test]
    fn a_drain_between_two_polls_is_seen_without_a_wake() {
        let (drain, draining) = watch::channel(false);
        let mut waiting = pin!(drained(draining));
        assert_eq!(waiting.as_mut().now_or_never(), None);
        assert_eq!(waiting.as_mut().now_or_never(), None);
        drain.send_replace(true);
        assert_eq!(waiting.as_mut().now_or_never(), Some(()));
    }
}
