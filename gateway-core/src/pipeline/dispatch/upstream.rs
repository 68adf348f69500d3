//! The request that goes to a replica, and the head of what comes back.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response};

use crate::api::AskedAs;
use crate::api::headers::X_REQUEST_ID;
use crate::config::{Replica, url_at};
use crate::ladder::{AttemptError, Garbage};
use crate::pipeline::collect::{CollectError, collect};
use crate::pipeline::context::Exchange;
use crate::pipeline::intake::{Order, Target};
use crate::platform::{Platform, SendError, UpstreamRequest};

/// Sends the request to the replica, and waits for the head of what comes back. What was lost at once with its connection
/// goes out once more: most likely it was a kept one, which the engine had closed before it read anything. HTTP lets a
/// POST be repeated then (RFC 9110, section 9.2.2), and one that generates changes nothing anyway.
///
/// # Errors
/// When none comes.
pub(in crate::pipeline) async fn send<P: Platform>(
    order: &Order<P>,
    target: &Target<'_>,
    replica: &Replica,
) -> Result<Response<P::Body>, AttemptError> {
    let Order { exchange, request, .. } = order;
    let platform = &exchange.platform;
    let begun = platform.now();
    match platform.send(upstream_request(order, target, replica)?).await {
        Err(SendError::Lost(_)) if platform.now().since(begun) < LOST_AT_ONCE => {
            Ok(platform.send(upstream_request(order, target, replica)?).await?)
        }
        sent => {
            let head = sent?;
            // The head of a whole answer comes when all of it is there.
            if request.asked_as == AskedAs::Stream {
                exchange.on_head(&target.serving.cluster, platform.now().since(begun));
            }
            Ok(head)
        }
    }
}

/// The request as the replica is to see it. None of the client's headers goes along.
///
/// # Errors
/// When the replica's URL cannot be put together.
fn upstream_request<P: Platform>(
    order: &Order<P>,
    target: &Target<'_>,
    replica: &Replica,
) -> Result<UpstreamRequest, AttemptError> {
    let Order { exchange, request, .. } = order;
    let accept = request.dialect().content_type(request.asked_as == AskedAs::Stream);
    let serving = target.serving;
    let limit = order.output_limit(target.count);
    let body = request.body_for(&serving.served_name, serving.cluster.engine, &limit);
    let mut upstream = Request::new(body);
    *upstream.method_mut() = Method::POST;
    *upstream.uri_mut() =
        url_at(&replica.url, request.endpoint.path()).map_err(|error| SendError::Connect(error.to_string()))?;
    let headers = upstream.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    headers.insert(X_REQUEST_ID, exchange.id.to_header());
    let secret = target.serving.cluster.secret.clone();
    Ok(UpstreamRequest {
        request: upstream,
        binding: None,
        secret,
        connect_timeout: exchange.config.timeouts.connect,
        hold_back: hold_back(order),
    })
}

/// How long pieces of the answer may be held back: a client that wants it whole sees none of them. An engine has to get
/// slower that many times over, at once and for good, to be taken for silent.
pub(super) fn hold_back<P: Platform>(order: &Order<P>) -> Duration {
    if order.request.stream {
        Duration::ZERO
    } else {
        order.exchange.config.timeouts.between_bytes / HELD_BACK_SHARE
    }
}

/// Whether the answer has the type that was asked for, with whichever parameters.
///
/// # Errors
/// When it has another.
pub(in crate::pipeline) fn expect_content_type(headers: &HeaderMap, expected: &str) -> Result<(), Garbage> {
    let found = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = found.split(';').next().unwrap_or_default();
    if essence.trim().eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    Err(Garbage::ContentType {
        found: found.chars().take(CONTENT_TYPE_CHARS).collect(),
    })
}

/// All of a body, of at most `limit` bytes.
///
/// # Errors
/// When it is larger, or breaks off.
pub(in crate::pipeline) async fn whole<P: Platform>(body: P::Body, limit: usize) -> Result<Bytes, AttemptError> {
    collect(body, limit).await.map_err(|error| match error {
        CollectError::TooLarge => AttemptError::TooLarge { limit },
        CollectError::Broken(error) => error.into(),
    })
}

/// What comes behind the head of an answer that is none, of at most `limit` bytes. The status has come, and tells enough: its
/// words, which come with it, are not waited for any longer.
pub(super) async fn words<P: Platform>(exchange: &Exchange<P>, body: P::Body, limit: usize) -> Option<Bytes> {
    let words = exchange.within(LONGEST_WAIT_FOR_WORDS, whole::<P>(body, limit));
    words.await?.ok()
}

/// Longer than words take that come with a status.
const LONGEST_WAIT_FOR_WORDS: Duration = Duration::from_secs(1);
/// Of the limit between two events, which is 30 s where nobody says otherwise, so much is a quarter of a second: some
/// events at the pace of most engines, and a client that leaves has heard that much less.
const HELD_BACK_SHARE: u32 = 128;
/// How much of an unexpected content type is told.
const CONTENT_TYPE_CHARS: usize = 100;
/// Longer than a round trip around the Earth, after which it is known that a connection is closed; an engine that breaks
/// off later has been at work.
pub(super) const LOST_AT_ONCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_type_is_known_in_any_case_and_with_parameters() {
        for (found, is_expected) in [
            ("text/event-stream", true),
            ("Text/Event-Stream; charset=utf-8", true),
            ("text/event-stream ;x", true),
            ("text/event-streams", false),
            ("text/html", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(found));
            assert_eq!(
                expect_content_type(&headers, "text/event-stream").is_ok(),
                is_expected,
                "{found}"
            );
        }
    }
}
