//! Requests and responses between the host's types and the core's.

use std::str::FromStr;
use std::time::Duration;

use ::http::header::CONTENT_LENGTH;
use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use bytes::Bytes;
use spin_sdk::wasip3::http::types::{self, ErrorCode, Fields};
use tidegate_core::Body;

use crate::body::{IncomingBody, Message, OutgoingBody};
use crate::tasks;

/// The request as the core takes it.
pub(crate) fn request_in(request: types::Request) -> Request<IncomingBody> {
    let method = method(request.get_method());
    let uri = request
        .get_path_with_query()
        .and_then(|path| Uri::from_str(&path).ok())
        .unwrap_or_default();
    let headers = headers_in(&request.get_headers());
    let body = IncomingBody::new(Message::Request(request), content_length(&headers), Duration::ZERO);
    let mut converted = Request::new(body);
    *converted.method_mut() = method;
    *converted.uri_mut() = uri;
    *converted.headers_mut() = headers;
    converted
}

/// The response as the host takes it. Its body is sent by a task that outlives the handler.
pub(crate) fn response_out(response: Response<Body>) -> Result<types::Response, ErrorCode> {
    let (mut parts, body) = response.into_parts();
    if let Body::Full(bytes) = &body {
        parts.headers.entry(CONTENT_LENGTH).or_insert(bytes.len().into());
    }
    let headers = headers_out(&parts.headers)?;
    let (outgoing, bytes_reader, end_reader) = OutgoingBody::new();
    let (converted, _transmitted) = types::Response::new(headers, Some(bytes_reader), end_reader);
    converted
        .set_status_code(parts.status.as_u16())
        .map_err(|()| internal("the status code is not one"))?;
    match body {
        Body::Full(bytes) => tasks::spawn(outgoing.send(bytes)),
        Body::Stream(pieces) => tasks::spawn(outgoing.send_stream(pieces)),
    }
    Ok(converted)
}

/// The headers as the core takes them. What is no header to it is left out.
pub(crate) fn headers_in(headers: &Fields) -> HeaderMap {
    let fields = headers.copy_all();
    let mut converted = HeaderMap::with_capacity(fields.len());
    for (name, value) in fields {
        let name = HeaderName::try_from(name);
        let value = HeaderValue::from_maybe_shared(Bytes::from(value));
        if let (Ok(name), Ok(value)) = (name, value) {
            converted.append(name, value);
        }
    }
    converted
}

/// The headers as the host takes them, without those that belong to a connection, which it would refuse.
pub(crate) fn headers_out(headers: &HeaderMap) -> Result<Fields, ErrorCode> {
    let fields: Vec<_> = headers
        .iter()
        .filter(|(name, _)| !OF_A_CONNECTION.contains(&name.as_str()))
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
        .collect();
    Fields::from_list(&fields).map_err(|error| internal(&format!("a header is not accepted: {error}")))
}

/// The length that the headers announce.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn method(method: types::Method) -> Method {
    Method::try_from(method).unwrap_or_else(|_| unknown_method())
}

/// A method that no route takes, for one that is none.
fn unknown_method() -> Method {
    Method::from_bytes(b"UNKNOWN").unwrap_or(Method::TRACE)
}

fn internal(detail: &str) -> ErrorCode {
    ErrorCode::InternalError(Some(detail.to_owned()))
}

/// Headers of one connection, RFC 9110 section 7.6.1, and those that the host sets itself.
const OF_A_CONNECTION: [&str; 11] = [
    "connection",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
