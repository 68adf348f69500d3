//! Requests and responses between the runtime's types and the core's. Nothing is held back: a piece of a body goes on
//! when it comes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::stream::LocalBoxStream;
use futures::{FutureExt, Stream, StreamExt};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, Uri};
use js_sys::Uint8Array;
use js_sys::futures::JsFuture;
use tidegate_core::Body;
use wasm_bindgen::{JsCast, JsValue};
use wasm_streams::ReadableStream;
use wasm_streams::readable::IntoStream;
use worker::web_sys::{self, Request, Response, ResponseInit};

use crate::client::Client;
use crate::headers::{headers_in, headers_out};

/// A client's request, its body still to be read.
pub(crate) fn request_in(request: &Request) -> Result<http::Request<RequestBody>, JsValue> {
    let headers = headers_in(&request.headers())?;
    let body = RequestBody::of(request, &headers)?;
    let mut converted = http::Request::new(body);
    *converted.method_mut() = Method::from_bytes(request.method().as_bytes()).unwrap_or_default();
    // An address that is none to the core names nothing that the core serves.
    *converted.uri_mut() = request.url().parse().unwrap_or(Uri::from_static("/unreadable"));
    *converted.headers_mut() = headers;
    Ok(converted)
}

/// The response to a client that is still there, as far as anybody knows.
pub(crate) fn response_out(response: http::Response<Body>, client: Client) -> Result<Response, JsValue> {
    let (head, body) = response.into_parts();
    let init = ResponseInit::new();
    init.set_status(head.status.as_u16());
    init.set_headers(headers_out(&head.headers)?.as_ref());
    match body {
        Body::Full(bytes) if bytes.is_empty() => Response::new_with_opt_str_and_init(None, &init),
        Body::Full(bytes) => {
            Response::new_with_opt_js_u8_array_and_init(Some(&Uint8Array::from(bytes.as_ref())), &init)
        }
        Body::Stream(pieces) => {
            let pieces = ReadableStream::from_stream(ResponseBody {
                pieces: Some(pieces),
                client,
            })
            .into_raw();
            Response::new_with_opt_readable_stream_and_init(Some(pieces.unchecked_ref()), &init)
        }
    }
}

/// The response to a client that has left: nobody reads it.
pub(crate) fn abandoned() -> Result<Response, JsValue> {
    let init = ResponseInit::new();
    init.set_status(CLIENT_CLOSED_REQUEST);
    Response::new_with_opt_str_and_init(None, &init)
}

/// The response when the bundled configuration is wrong.
pub(crate) fn unconfigured() -> Result<Response, JsValue> {
    let init = ResponseInit::new();
    init.set_status(http::StatusCode::SERVICE_UNAVAILABLE.as_u16());
    let headers = web_sys::Headers::new()?;
    headers.set("content-type", "application/json")?;
    init.set_headers(&headers);
    Response::new_with_opt_str_and_init(Some(UNCONFIGURED), &init)
}

/// What JavaScript says of an error.
pub(crate) fn error_text(error: &JsValue) -> String {
    match error.dyn_ref::<js_sys::Error>() {
        Some(error) => String::from(error.message()),
        None => format!("{error:?}"),
    }
}

/// A request's body as it arrives.
pub(crate) enum RequestBody {
    /// It has none, or it has been read.
    Empty,
    /// A short one of known length comes in one piece, which is one wait instead of several.
    Short(JsFuture),
    /// Any other, piece by piece.
    Long(IntoStream<'static>),
}

impl RequestBody {
    fn of(request: &Request, headers: &HeaderMap) -> Result<Self, JsValue> {
        let announced = headers
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        Ok(match request.body() {
            None => Self::Empty,
            Some(_) if announced.is_some_and(|length| length <= SHORT) => Self::Short(request.array_buffer()?.into()),
            Some(body) => Self::Long(ReadableStream::from_raw(body.unchecked_into()).into_stream()),
        })
    }
}

impl Stream for RequestBody {
    type Item = Result<Bytes, String>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = match &mut *self {
            Self::Empty => None,
            Self::Short(whole) => {
                let whole = ready!(whole.poll_unpin(context));
                *self = Self::Empty;
                Some(whole)
            }
            Self::Long(pieces) => ready!(pieces.poll_next_unpin(context)),
        };
        let bytes = |piece: JsValue| Bytes::from(Uint8Array::new(&piece).to_vec());
        Poll::Ready(piece.map(|piece| piece.map(bytes).map_err(|error| error_text(&error))))
    }
}

/// A response's body on its way to the client. It ends when the client leaves; what it came from is dropped then.
struct ResponseBody {
    pieces: Option<LocalBoxStream<'static, Bytes>>,
    client: Client,
}

impl Stream for ResponseBody {
    type Item = Result<JsValue, JsValue>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.client.poll_unpin(context).is_ready() {
            self.pieces = None;
        }
        let Some(pieces) = &mut self.pieces else {
            return Poll::Ready(None);
        };
        let piece = ready!(pieces.poll_next_unpin(context));
        Poll::Ready(piece.map(|piece| Ok(Uint8Array::from(piece.as_ref()).into())))
    }
}

/// The longest body, in bytes, that is read in one go when the client announces its length.
const SHORT: usize = 1 << 20;
/// nginx's status for a client that left before the response.
const CLIENT_CLOSED_REQUEST: u16 = 499;
const UNCONFIGURED: &str = r#"{"error":{"message":"The gateway's configuration is wrong. Its log says what is.","type":"server_error","param":null,"code":"misconfigured"}}"#;
