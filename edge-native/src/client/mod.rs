//! Requests to engines: HTTP/1.1 over connections that each thread keeps and reuses by itself. hyper does the wire;
//! what is here is which connection a request takes, and when a connection may be used again.

mod body;
mod connect;
mod connection;
mod heard;
mod pool;
#[cfg(test)]
mod tests;
mod tls;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::{PathAndQuery, Uri};
use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use tidegate_core::platform::SendError;
use tracing::warn;

pub use body::UpstreamBody;
use connect::Origin;
use connection::{Connection, Unanswered};
use pool::{FreeConnections, Pool};
pub use tls::ClientTls;

use crate::clock::now;
use crate::line_rate::{Admission, LineRate};
use crate::outbox::Outbox;

/// One thread's client.
#[derive(Debug)]
pub struct Client {
    pool: Pool,
    tls: Arc<ClientTls>,
    outbox: Outbox,
}

impl Client {
    /// A client without connections, whose writes go through that outbox.
    pub fn new(tls: Arc<ClientTls>, outbox: Outbox) -> Self {
        Self {
            pool: Pool::default(),
            tls,
            outbox,
        }
    }

    /// Sends a request with an absolute URL and waits for the head of the response. A kept connection that turns out
    /// to be closed before it took the request is passed over for another; a request that may have reached the
    /// engine is never sent twice.
    ///
    /// # Errors
    /// `Connect` when no connection came about within `connect_timeout`, `Local` where that is for want of something here,
    /// `Lost` when a kept one was gone before anything
    /// came back, after which the next request has a fresh one; `Broken` when a connection broke otherwise.
    pub async fn send(
        &self,
        request: Request<Bytes>,
        connect_timeout: Duration,
    ) -> Result<Response<UpstreamBody>, SendError> {
        let origin = Origin::of(request.uri())?;
        let kept = self.pool.of(&origin);
        let mut request = to_origin_form(request, &kept.host);
        while let Some(connection) = kept.take() {
            match connection.send(request).await {
                Ok(exchange) => return Ok(respond(exchange, kept)),
                Err(Unanswered::Unsent(unsent)) => request = *unsent,
                Err(Unanswered::Unheard(error)) => {
                    kept.clear();
                    return Err(SendError::Lost(with_causes(&error)));
                }
                Err(Unanswered::Broken(error)) => return Err(broken(&error)),
            }
        }
        // Apart, since connecting is rare and its future large: the request's own is moved about.
        let connection = Box::pin(self.connect(&origin, connect_timeout)).await?;
        match connection.send(request).await {
            Ok(exchange) => Ok(respond(exchange, kept)),
            Err(Unanswered::Unsent(_)) => Err(SendError::Broken("closed before it took the request".into())),
            Err(Unanswered::Unheard(error) | Unanswered::Broken(error)) => Err(broken(&error)),
        }
    }

    /// A fresh connection. Where something is wanting for it, those that are kept for later go first.
    async fn connect(&self, origin: &Origin, limit: Duration) -> Result<Connection, SendError> {
        let connected = connect::connect(origin, self, limit).await;
        let Err(SendError::Local(_)) = connected else {
            return connected;
        };
        self.pool.clear();
        let connected = connect::connect(origin, self, limit).await;
        if let Err(SendError::Local(lack)) = &connected {
            log_lack(lack);
        }
        connected
    }

    /// Closes connections that have been idle for too long.
    pub fn sweep(&self) {
        self.pool.sweep();
    }
}

/// Says, once a second at most, that engines cannot be reached from here.
fn log_lack(lack: &str) {
    if let Admission::Admitted { left_out } = LACKING.admit(now().as_secs()) {
        warn!(
            left_out,
            "no connection to an engine, for want of something here: {lack}"
        );
    }
}

static LACKING: LineRate = LineRate::new(1);

fn respond(
    (response, connection): (Response<Incoming>, Connection),
    home: Rc<FreeConnections>,
) -> Response<UpstreamBody> {
    response.map(|body| UpstreamBody::new(body, connection, home))
}

/// The request as HTTP/1.1 sends it to an origin: the path alone, and the authority in `host`.
fn to_origin_form(mut request: Request<Bytes>, host: &HeaderValue) -> Request<Bytes> {
    let path = request
        .uri()
        .path_and_query()
        .cloned()
        .unwrap_or_else(|| PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(path);
    request.headers_mut().insert(header::HOST, host.clone());
    request
}

/// hyper's error with what caused it. It tells about the connection, never what went over it.
fn broken(error: &hyper::Error) -> SendError {
    SendError::Broken(with_causes(error))
}

/// An error and its causes in one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
