//! Requests to engines, with the runtime's `fetch`. It offers no limit on connecting of its own.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, HeaderValue, Response};
use js_sys::Uint8Array;
use js_sys::futures::JsFuture;
use tidegate_core::ids::SecretName;
use tidegate_core::platform::{SendError, UpstreamRequest};
use wasm_bindgen::{JsCast, JsValue};
use wasm_streams::readable::IntoStream;
use worker::Env;
use worker::web_sys::{self, AbortController, RequestInit, RequestRedirect, WorkerGlobalScope};

use crate::headers::{headers_in, headers_out};
use crate::http::error_text;

/// Sends a request and waits for the head of the response. Dropping the future cancels the request.
pub(crate) async fn send(env: &Env, request: UpstreamRequest) -> Result<Response<UpstreamBody>, SendError> {
    let (mut head, body) = request.request.into_parts();
    if let Some(secret) = request.secret {
        head.headers.insert(AUTHORIZATION, bearer(env, secret)?);
    }
    let canceller = Canceller::new().map_err(|error| SendError::Connect(error_text(&error)))?;
    let init = RequestInit::new();
    init.set_method(head.method.as_str());
    let headers = headers_out(&head.headers).map_err(|error| SendError::Connect(error_text(&error)))?;
    init.set_headers(headers.as_ref());
    init.set_redirect(RequestRedirect::Manual);
    init.set_signal(Some(&canceller.controller.signal()));
    if !body.is_empty() {
        init.set_body(&Uint8Array::from(body.as_ref()));
    }
    let global: WorkerGlobalScope = js_sys::global().unchecked_into();
    let response = JsFuture::from(global.fetch_with_str_and_init(&head.uri.to_string(), &init)).await;
    let response: web_sys::Response = response.map_err(|error| failure(&error))?.unchecked_into();
    canceller.disarm();
    response_in(&response)
}

/// The body of an upstream's response. Dropping it cancels what has not arrived.
pub(crate) struct UpstreamBody(Option<IntoStream<'static>>);

impl Stream for UpstreamBody {
    type Item = Result<Bytes, SendError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(stream) = &mut self.0 else {
            return Poll::Ready(None);
        };
        stream.poll_next_unpin(context).map(|piece| {
            piece.map(|piece| match piece {
                Ok(piece) => Ok(Bytes::from(Uint8Array::unchecked_from_js(piece).to_vec())),
                Err(error) => Err(SendError::Broken(error_text(&error))),
            })
        })
    }
}

/// Cancels a request that has no response head yet when it is dropped.
struct Canceller {
    controller: AbortController,
    armed: bool,
}

impl Canceller {
    fn new() -> Result<Self, JsValue> {
        Ok(Self {
            controller: AbortController::new()?,
            armed: true,
        })
    }

    fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for Canceller {
    fn drop(&mut self) {
        if self.armed {
            self.controller.abort();
        }
    }
}

fn bearer(env: &Env, secret: SecretName) -> Result<HeaderValue, SendError> {
    let value = env.secret(secret.as_str()).ok().map(|value| format!("Bearer {value}"));
    match value.and_then(|value| HeaderValue::try_from(value).ok()) {
        Some(mut value) => {
            value.set_sensitive(true);
            Ok(value)
        }
        None => Err(SendError::NoSecret(secret)),
    }
}

fn response_in(response: &web_sys::Response) -> Result<Response<UpstreamBody>, SendError> {
    let broken = |detail: String| SendError::Broken(detail);
    let mut headers = headers_in(&response.headers()).map_err(|error| broken(error_text(&error)))?;
    undo_encoding(&mut headers);
    let body = response
        .body()
        .map(|body| wasm_streams::ReadableStream::from_raw(body.unchecked_into()).into_stream());
    let mut head = Response::builder().status(response.status());
    if let Some(slot) = head.headers_mut() {
        *slot = headers;
    }
    head.body(UpstreamBody(body)).map_err(|error| broken(error.to_string()))
}

/// The runtime decodes bodies as they are read: what it says of their encoding is past.
fn undo_encoding(headers: &mut HeaderMap) {
    if headers.remove(CONTENT_ENCODING).is_some() {
        headers.remove(CONTENT_LENGTH);
    }
}

/// Why `fetch` gave no response.
fn failure(error: &JsValue) -> SendError {
    SendError::Connect(error_text(error))
}
