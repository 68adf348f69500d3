//! Requests and responses between the runtime's types and the core's. Nothing is held back: a piece of a body goes on
//! when it comes.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use js_sys::Uint8Array;
use tidegate_core::Body;
use tidegate_core::geo::Location;
use wasm_bindgen::{JsCast, JsValue};
use worker::web_sys::{Request, Response};

use crate::client::Client;
use crate::glue;
use crate::head::{self, RequestHead};
use crate::incoming::Incoming;
use crate::relay::relay;

/// A client's request, its body still to be read, and where it came in.
pub(crate) fn request_in(request: &Request) -> Result<(http::Request<RequestBody>, Location), JsValue> {
    let head = RequestHead::parse(&glue::request_head(request));
    let body = Incoming::new(request.body(), &head.headers, Duration::ZERO, || request.array_buffer())?;
    let mut converted = http::Request::new(RequestBody(body));
    *converted.method_mut() = head.method;
    *converted.uri_mut() = head.uri;
    *converted.headers_mut() = head.headers;
    Ok((converted, head.location))
}

/// The response to a client that is still there, as far as anybody knows.
pub(crate) fn response_out(response: http::Response<Body>, client: Client) -> Result<Response, JsValue> {
    let (head, body) = response.into_parts();
    let body: JsValue = match body {
        Body::Full(bytes) if bytes.is_empty() => JsValue::NULL,
        Body::Full(bytes) => Uint8Array::from(bytes.as_ref()).into(),
        Body::Stream(pieces) => relay(pieces, client)?.into(),
    };
    glue::respond(&head::text(head.status.as_str(), &head.headers), &body)
}

/// The response to a client that has left: nobody reads it.
pub(crate) fn abandoned() -> Result<Response, JsValue> {
    glue::respond(CLIENT_CLOSED_REQUEST, &JsValue::NULL)
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
const CLIENT_CLOSED_REQUEST: &str = "499";
