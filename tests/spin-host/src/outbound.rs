//! Sends a component's requests: checked against the allowed hosts, over pooled connections, with the timeouts that
//! the component asks for.

use std::error::Error as _;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::time::{Sleep, timeout};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::app::App;
use crate::outbound_hosts::OutboundHosts;

/// The connections that all instances share.
#[derive(Clone)]
pub(crate) struct Client(legacy::Client<Connector, WasiBody>);

/// One instance's way out.
pub(crate) struct Outbound {
    hosts: Arc<OutboundHosts>,
    client: Client,
}

type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sent = Result<(http::Response<WasiBody>, Io), Error>;

impl Client {
    /// A client without connections.
    pub(crate) fn new() -> Self {
        Self(legacy::Client::builder(TokioExecutor::new()).build(Connector))
    }

    async fn send(&self, mut request: http::Request<WasiBody>, options: RequestOptions) -> Sent {
        if request.uri().scheme() == Some(&http::uri::Scheme::HTTPS) {
            eprintln!("this host speaks no TLS: {} refused", request.uri());
            return Err(Error::TlsProtocolError);
        }
        request.headers_mut().remove(http::header::HOST);
        let connect_timeout = options.connect_timeout.unwrap_or(DEFAULT_TIMEOUT);
        let first_byte_timeout = options.first_byte_timeout.unwrap_or(DEFAULT_TIMEOUT);
        let answer = CONNECT_TIMEOUT.scope(connect_timeout, self.0.request(request));
        let response = timeout(first_byte_timeout, answer)
            .await
            .map_err(|_| Error::ConnectionReadTimeout)?
            .map_err(|error| request_error(&error))?;
        let timeout = options.between_bytes_timeout.unwrap_or(DEFAULT_TIMEOUT);
        let response = response.map(|body| {
            TimedBody {
                body: Some(body),
                timeout,
                sleep: None,
            }
            .boxed_unsync()
        });
        Ok((response, Box::new(async { Ok(()) }) as Io))
    }
}

impl Outbound {
    /// The way out that the manifest grants.
    pub(crate) fn new(app: &App) -> Self {
        Self {
            hosts: Arc::clone(&app.hosts),
            client: app.client.clone(),
        }
    }
}

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _response_processed: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        if !self.hosts.allow(request.uri()) {
            eprintln!("allowed_outbound_hosts does not allow a request to {}", request.uri());
            return Box::new(async { Err(Error::HttpRequestDenied) });
        }
        let client = self.client.clone();
        Box::new(async move { client.send(request, options.unwrap_or_default()).await })
    }
}

/// Opens connections within the time that the request which wants one allows.
#[derive(Clone)]
struct Connector;

impl tower_service::Service<http::Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: http::Uri) -> Self::Future {
        let limit = CONNECT_TIMEOUT.try_with(|limit| *limit).unwrap_or(DEFAULT_TIMEOUT);
        Box::pin(async move {
            let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
            let connect = TcpStream::connect((host, uri.port_u16().unwrap_or(80)));
            let stream = timeout(limit, connect).await.map_err(|_| io::ErrorKind::TimedOut)??;
            Ok(TokioIo::new(stream))
        })
    }
}

/// A response's body, broken off where its next bytes take too long.
struct TimedBody {
    body: Option<Incoming>,
    timeout: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Body for TimedBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(frame) = pin!(body).poll_frame(cx) {
            self.sleep = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Error::from)));
        }
        let timeout = self.timeout;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        ready!(sleep.as_mut().poll(cx));
        self.body = None;
        Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

fn request_error(error: &legacy::Error) -> Error {
    if !error.is_connect() {
        eprintln!("outbound request failed: {error:?}");
        return Error::HttpProtocolError;
    }
    match error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>())
        .map(io::Error::kind)
    {
        Some(io::ErrorKind::TimedOut) => Error::ConnectionTimeout,
        Some(io::ErrorKind::AddrNotAvailable) => Error::DnsError {
            rcode: Some("address not available".to_owned()),
            info_code: Some(0),
        },
        _ => Error::ConnectionRefused,
    }
}

/// Each outbound timeout, unless the component asks for another: Spin's default.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);

tokio::task_local! {
    /// The longest time that connecting may take: the pool has no other way to pass it to the connector.
    static CONNECT_TIMEOUT: Duration;
}
