//! Accepts connections and hands their requests to instances.

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::header::{CONNECTION, HOST};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use wasmtime::Result;
use wasmtime::error::Context as _;
use wasmtime_wasi_http::handler::ProxyHandler;
use wasmtime_wasi_http::{Error as HttpError, WasiBody};

use crate::worker::Instances;

type Handler = ProxyHandler<Instances>;

/// Serves until accepting fails.
///
/// # Errors
/// When the listener does.
pub(crate) async fn serve(listener: TcpListener, handler: Handler, nodelay: bool) -> Result<()> {
    loop {
        let (stream, client) = listener.accept().await?;
        stream.set_nodelay(nodelay)?;
        tokio::spawn(serve_connection(stream, client, handler.clone()));
    }
}

async fn serve_connection(stream: TcpStream, client: SocketAddr, handler: Handler) {
    let service = service_fn(move |request| {
        let handler = handler.clone();
        async move { Ok::<_, Infallible>(respond(&handler, request, client).await) }
    });
    let served = Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
    let is_just_gone = |error: &(dyn Error + 'static)| {
        error
            .downcast_ref()
            .is_some_and(|error: &hyper::Error| error.is_incomplete_message() || error.is_canceled())
    };
    if let Err(error) = served
        && !is_just_gone(&*error)
    {
        eprintln!("connection of {client} broke: {error:?}");
    }
}

async fn respond(handler: &Handler, request: Request<Incoming>, client: SocketAddr) -> Response<WasiBody> {
    match request.uri().path() {
        "/.well-known/spin/health" => return plain(StatusCode::OK, "OK".into()),
        // Not Spin's: how many instances live, so that a test can see them die.
        "/.well-known/spin-host/instances" => {
            let instances = handler.state().app().instances.load(Ordering::Relaxed);
            return plain(StatusCode::OK, instances.to_string().into());
        }
        _ => {}
    }
    let request = match prepare(request, client) {
        Ok(request) => request.map(|body| body.map_err(HttpError::from).boxed_unsync()),
        Err(error) => {
            eprintln!("request of {client} refused: {error:#}");
            return plain(StatusCode::INTERNAL_SERVER_ERROR, Bytes::new());
        }
    };
    handler.handle((), request).await.unwrap_or_else(|error| {
        eprintln!("request of {client} failed: {error:?}");
        plain(StatusCode::INTERNAL_SERVER_ERROR, Bytes::new())
    })
}

/// Makes the address absolute and adds the headers that Spin adds.
fn prepare<B>(mut request: Request<B>, client: SocketAddr) -> Result<Request<B>> {
    let host = request.headers().get(HOST).context("it has no `host` header")?.clone();
    let mut parts = request.uri().clone().into_parts();
    parts.scheme = Some(http::uri::Scheme::HTTP);
    parts.authority = Some(host.as_bytes().try_into()?);
    *request.uri_mut() = Uri::from_parts(parts)?;
    let (path, url) = (request.uri().path().to_owned(), request.uri().to_string());
    let headers = request.headers_mut();
    headers.remove(CONNECTION);
    set(headers, "spin-path-info", path.trim_start_matches('/'))?;
    set(headers, "spin-full-url", &url)?;
    set(headers, "spin-matched-route", "/...")?;
    set(headers, "spin-base-path", "/")?;
    set(headers, "spin-raw-component-route", "/...")?;
    set(headers, "spin-component-route", "/")?;
    set(headers, "spin-client-addr", &client.to_string())?;
    Ok(request)
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) -> Result<()> {
    headers.insert(name, HeaderValue::from_str(value)?);
    Ok(())
}

fn plain(status: StatusCode, body: Bytes) -> Response<WasiBody> {
    let body = Full::new(body)
        .map_err(|never: Infallible| match never {})
        .boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}
