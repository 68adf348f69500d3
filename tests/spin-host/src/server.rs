//! Accepts connections and hands their requests to instances.

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::header::{CONNECTION, HOST};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use wasmtime::error::Context as _;
use wasmtime::{Result, ensure};
use wasmtime_wasi_http::handler::ProxyHandler;
use wasmtime_wasi_http::{Error as HttpError, WasiBody};

use crate::worker::Instances;

type Handler = ProxyHandler<Instances>;

/// Serves until accepting fails.
///
/// # Errors
/// When the listener does.
pub(crate) async fn serve(listener: TcpListener, handler: Handler) -> Result<()> {
    loop {
        let (stream, client) = listener.accept().await?;
        tokio::spawn(serve_connection(stream, client, handler.clone()));
    }
}

async fn serve_connection(stream: TcpStream, client: SocketAddr, handler: Handler) {
    let service = service_fn(move |request| {
        let handler = handler.clone();
        async move { respond(&handler, request, client).await }
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

/// The answer; an error closes the connection without one, as Spin does.
async fn respond(handler: &Handler, request: Request<Incoming>, client: SocketAddr) -> Result<Response<WasiBody>> {
    match request.uri().path() {
        "/.well-known/spin/health" => return Ok(plain(StatusCode::OK, "OK".into())),
        // Not Spin's: how many instances live, so that a test can see them die.
        "/.well-known/spin-host/instances" => {
            let instances = handler.state().app().instances.load(Ordering::Relaxed);
            return Ok(plain(StatusCode::OK, instances.to_string().into()));
        }
        _ => {}
    }
    let request = prepare(request, client)?.map(|body| body.map_err(HttpError::from).boxed_unsync());
    Ok(handler.handle((), request).await.unwrap_or_else(|error| {
        eprintln!("request of {client} failed: {error:?}");
        plain(StatusCode::INTERNAL_SERVER_ERROR, Bytes::new())
    }))
}

/// Makes the address absolute and adds the headers that Spin adds.
fn prepare<B>(mut request: Request<B>, client: SocketAddr) -> Result<Request<B>> {
    let mut parts = request.uri().clone().into_parts();
    parts.scheme = Some(http::uri::Scheme::HTTP);
    parts.authority = Some(authority(request.headers().get(HOST), parts.authority)?);
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

/// Whom the request is for, by its `host` header or its absolute address, which must agree where there are both.
fn authority(host: Option<&HeaderValue>, address: Option<Authority>) -> Result<Authority> {
    let host: Option<Authority> = host.map(|host| host.as_bytes().try_into()).transpose()?;
    ensure!(
        host.is_none() || address.is_none() || host == address,
        "its `host` header is not the authority of its address"
    );
    host.or(address).context("it has no `host` header")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_a_request_is_for_must_be_one() {
        let host = HeaderValue::from_static("a.example:80");
        let address = |address: &'static str| Some(Authority::from_static(address));
        for (host, address, whom) in [
            (Some(&host), None, Some("a.example:80")),
            (None, address("b.example"), Some("b.example")),
            (Some(&host), address("a.example:80"), Some("a.example:80")),
            (Some(&host), address("b.example"), None),
            (None, None, None),
        ] {
            assert_eq!(authority(host, address).ok().as_ref().map(Authority::as_str), whom);
        }
    }
}
