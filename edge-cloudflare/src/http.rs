//! Requests and responses between the runtime's types and the core's. Nothing is held back: a piece of a body goes on
//! when it comes.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::{Method, StatusCode, Uri};
use js_sys::Uint8Array;
use tidegate_core::Body;
use wasm_bindgen::{JsCast, JsValue};
use worker::web_sys::{Request, Response};

use crate::client::Client;
use crate::glue;
use crate::headers::{headers_in, headers_out};
use crate::incoming::Incoming;
use crate::relay::relay;

/// A client's request, its body still to be read.
pub(crate) fn request_in(request: &Request) -> Result<http::Request<RequestBody>, JsValue> {
    let headers = headers_in(&request.headers());
    let body = Incoming::new(request.body(), &headers, || request.array_buffer())?;
    let mut converted = http::Request::new(RequestBody(body));
    *converted.method_mut() = Method::from_bytes(request.method().as_bytes()).unwrap_or_default();
    // An address that is none to the core names nothing that the core serves.
    *converted.uri_mut() = request.url().parse().unwrap_or(Uri::from_static("/unreadable"));
    *converted.headers_mut() = headers;
    Ok(converted)
}

/// The response to a client that is still there, as far as anybody knows.
pub(crate) fn response_out(response: http::Response<Body>, client: Client) -> Result<Response, JsValue> {
    let (head, body) = response.into_parts();
    let body: JsValue = match body {
        Body::Full(bytes) if bytes.is_empty() => JsValue::NULL,
        Body::Full(bytes) => Uint8Array::from(bytes.as_ref()).into(),
        Body::Stream(pieces) => relay(pieces, client).into(),
    };
    glue::respond(head.status.as_u16(), &headers_out(&head.headers), &body)
}

/// The response to a client that has left: nobody reads it.
pub(crate) fn abandoned() -> Result<Response, JsValue> {
    glue::respond(CLIENT_CLOSED_REQUEST, "", &JsValue::NULL)
}

/// The response when the bundled configuration is wrong.
pub(crate) fn unconfigured() -> Result<Response, JsValue> {
    let status = StatusCode::SERVICE_UNAVAILABLE.as_u16();
    glue::respond(
        status,
        "content-type\napplication/json\n",
        &JsValue::from_str(UNCONFIGURED),
    )
}

/// What JavaScript says of an error.
pub(crate) fn error_text(error: &JsValue) -> String {
    match error.dyn_ref::<js_sys::Error>() {
        Some(error) => String::from(error.message()),
        None => format!("{error:?}"),
    }
}

/// The body of a client's request.
pub(crate) struct RequestBody(Incoming);

impl Stream for RequestBody {
    type Item = Result<Bytes, String>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0
            .poll_next_unpin(context)
            .map(|piece| piece.map(|piece| piece.map_err(|error| error_text(&error))))
    }
}

/// nginx's status for a client that left before the response.
const CLIENT_CLOSED_REQUEST: u16 = 499;
const UNCONFIGURED: &str = r#"{"error":{"message":"The gateway's configuration is wrong. Its log says what is.","type":"server_error","param":null,"code":"misconfigured"}}"#;
