//! Requests to engines, with the runtime's `fetch`. It offers no limit on connecting of its own.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::HeaderValue;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH};
use js_sys::futures::JsFuture;
use tidegate_core::ids::SecretName;
use tidegate_core::platform::{SendError, UpstreamRequest};
use wasm_bindgen::{JsCast, JsValue};
use worker::Env;
use worker::web_sys::{AbortController, Response};

use crate::glue;
use crate::head;
use crate::http::error_text;
use crate::incoming::Incoming;

/// Sends a request and waits for the head of the response. Dropping the future cancels the request.
pub(crate) async fn send(env: &Env, request: UpstreamRequest) -> Result<http::Response<UpstreamBody>, SendError> {
    let (mut head, body) = request.request.into_parts();
    if let Some(secret) = request.secret {
        head.headers.insert(AUTHORIZATION, bearer(env, secret)?);
    }
    // Cloudflare would ask for a compressed body by itself, and decode it.
    head.headers
        .entry(ACCEPT_ENCODING)
        .or_insert(HeaderValue::from_static("identity"));
    let canceller = AbortController::new().map_err(|error| connect_error(&error))?;
    let signal = canceller.signal();
    let canceller = Canceller(Some(canceller));
    let head = head::text(&format!("{}\n{}", head.method, head.uri), &head.headers);
    let binding = request.binding.unwrap_or_default();
    let sent = glue::send(env, &binding, &head, &body, &signal);
    let response = JsFuture::from(sent.map_err(|error| connect_error(&error))?).await;
    let response: Response = response.map_err(|error| lost(&error))?.unchecked_into();
    response_in(&response, request.hold_back, canceller)
}

/// The body of an upstream's response. Dropping it before its end cancels the request.
pub(crate) struct UpstreamBody {
    pieces: Incoming,
    canceller: Canceller,
}

impl UpstreamBody {
    /// The answer has begun.
    pub(crate) fn on_begun(&mut self) {
        if let Incoming::Long { pace: Some(pace), .. } = &mut self.pieces {
            pace.on_begun();
        }
    }
}

impl Stream for UpstreamBody {
    type Item = Result<Bytes, SendError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = ready!(self.pieces.poll_next_unpin(context));
        if self.pieces.has_ended() {
            self.canceller.disarm();
        }
        Poll::Ready(piece.map(|piece| piece.map_err(|error| broken(&error))))
    }
}

impl Drop for UpstreamBody {
    fn drop(&mut self) {
        // The core reads a stream to its last event, and drops it before its end has come.
        if let Incoming::Long { pieces, .. } = &self.pieces
            && let Some(controller) = self.canceller.0.take()
        {
            glue::cancel_unless_ended(&controller, pieces);
        }
    }
}

/// Cancels a request when it is dropped.
struct Canceller(Option<AbortController>);

impl Canceller {
    fn disarm(&mut self) {
        self.0 = None;
    }
}

impl Drop for Canceller {
    fn drop(&mut self) {
        if let Some(controller) = &self.0 {
            controller.abort();
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

fn response_in(
    response: &Response,
    hold_back: Duration,
    canceller: Canceller,
) -> Result<http::Response<UpstreamBody>, SendError> {
    let (status, mut headers) = head::parse_response(&glue::response_head(response));
    if headers.remove(CONTENT_ENCODING).is_some() {
        // The runtime decodes bodies as they are read: what it says of their encoding and length is past.
        headers.remove(CONTENT_LENGTH);
    }
    let pieces = Incoming::new(response.body(), &headers, hold_back, || response.array_buffer());
    let pieces = pieces.map_err(|error| broken(&error))?;
    let mut converted = http::Response::new(UpstreamBody { pieces, canceller });
    *converted.status_mut() = status;
    *converted.headers_mut() = headers;
    Ok(converted)
}

/// Nothing has been sent.
fn connect_error(error: &JsValue) -> SendError {
    SendError::Connect(error_text(error))
}

/// No head has come. The runtime tells neither a refused connection nor a kept one that was closed from one that broke.
fn lost(error: &JsValue) -> SendError {
    let text = error_text(error);
    if text.starts_with(CONNECTION_LOST) {
        SendError::Lost(text)
    } else {
        SendError::Broken(text)
    }
}

/// The engine has seen the request.
fn broken(error: &JsValue) -> SendError {
    SendError::Broken(error_text(error))
}

/// What workerd says of any connection that is gone (developers.cloudflare.com/workers/observability/errors).
const CONNECTION_LOST: &str = "Network connection lost";
