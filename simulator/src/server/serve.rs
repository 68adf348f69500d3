//! Serves one client's connection: HTTP/1.1 with keep-alive, small writes at once.

use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::connection::{Connection, Socket};
use super::router;
use super::shared::Shared;

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
