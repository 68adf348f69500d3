//! Responses: what all of them have in common.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

use super::body::Body;
use crate::api::headers::{
    RATE_REQUESTS, RATE_TOKENS, RETRY_AFTER_MS, SERVER_TIMING, X_DROPPED, X_EXPLAIN, X_REQUEST_ID, X_SHOULD_RETRY,
};
use crate::api::{ApiError, Dialect};
use crate::budget::Rates;
use crate::explain::HEADER_BYTES;
use crate::ids::RequestId;
use crate::pipeline::recorder::Recorder;

/// A body of JSON.
pub(super) fn json(body: Bytes) -> Response<Body> {
    with_type(body, "application/json")
}

/// A body of JSON whose length is not known.
pub(super) fn json_stream(body: Body) -> Response<Body> {
    response(body, "application/json")
}

/// A body of that type.
pub(super) fn with_type(body: Bytes, content_type: &'static str) -> Response<Body> {
    response(Body::Full(body), content_type)
}

fn response(body: Body, content_type: &'static str) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.reserve(LIKELY_HEADERS);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// An error in the shape of that family of API.
pub(super) fn error(dialect: Dialect, error: &ApiError) -> Response<Body> {
    let mut response = json(dialect.error_body(error));
    *response.status_mut() = error.status;
    let headers = response.headers_mut();
    if let Some(allow) = error.allow {
        headers.insert(ALLOW, HeaderValue::from_static(allow));
    }
    if error.is_final {
        headers.insert(X_SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    if let Some(dropped) = error.dropped {
        headers.insert(X_DROPPED, HeaderValue::from_static(dropped));
    }
    if let Some(wait) = retry_after(error) {
        // Who waits exactly this long must not be too early.
        let millis = u64::try_from(wait.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX);
        headers.insert(RETRY_AFTER_MS, HeaderValue::from(millis));
        headers.insert(RETRY_AFTER, HeaderValue::from(millis.div_ceil(1_000)));
    }
    response
}

/// When asking again may help: told wherever the service is short of something for the moment.
fn retry_after(error: &ApiError) -> Option<Duration> {
    let unknown = (error.status == StatusCode::SERVICE_UNAVAILABLE).then_some(UNKNOWN_RECOVERY);
    error.retry_after.or(unknown)
}

/// A configured name; the configuration has none that a header cannot hold.
pub(super) fn header_value(name: &str) -> HeaderValue {
    HeaderValue::from_str(name).unwrap_or(HeaderValue::from_static(""))
}

/// A body of server-sent events.
pub(super) fn event_stream(body: Body) -> Response<Body> {
    let mut response = response(body, "text/event-stream");
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Leaves the body out of the answer to a HEAD request, and says how long it would be. What is answered so is never a
/// stream.
pub(super) fn leave_body_out(response: &mut Response<Body>) {
    if let Body::Full(body) = std::mem::replace(response.body_mut(), Body::Full(Bytes::new())) {
        response.headers_mut().insert(CONTENT_LENGTH, body.len().into());
    }
}

/// What every response carries: the request's id, and the milliseconds that it took until here.
pub(super) fn sign(response: &mut Response<Body>, id: &RequestId, after: Duration) {
    let tenths = after.as_micros() / 100;
    let (mut whole, mut tenth) = (itoa::Buffer::new(), itoa::Buffer::new());
    let timing = [
        "gateway;dur=",
        whole.format(tenths / 10),
        ".",
        tenth.format(tenths % 10),
    ]
    .concat();
    let headers = response.headers_mut();
    headers.insert(X_REQUEST_ID, id.to_header());
    headers.insert(SERVER_TIMING, header_value(&timing));
}

/// How much of its budgets the client has left, as OpenAI tells it.
pub(super) fn tell_rates(response: &mut Response<Body>, rates: &Rates) {
    let kinds = [(rates.requests, &RATE_REQUESTS), (rates.tokens, &RATE_TOKENS)];
    for (state, [limit, remaining, reset]) in kinds {
        let Some(state) = state else { continue };
        let headers = response.headers_mut();
        headers.insert(limit.clone(), HeaderValue::from(state.limit));
        headers.insert(remaining.clone(), HeaderValue::from(state.remaining));
        headers.insert(reset.clone(), header_value(&duration(state.reset)));
    }
}

/// Why the request went where it went, as far as that is known by now, where whoever has sent it is told.
pub(super) fn explain(response: &mut Response<Body>, recorder: &Recorder) {
    if !recorder.is_told() {
        return;
    }
    let text = recorder.with(|record| record.to_json(HEADER_BYTES)).flatten();
    if let Some(value) = text.and_then(|text| HeaderValue::try_from(text).ok()) {
        response.headers_mut().insert(X_EXPLAIN, value);
    }
}

/// A duration as OpenAI writes it, `6m0s`, `8s` or `20ms`, rounded up.
fn duration(duration: Duration) -> String {
    let millis = duration.as_micros().div_ceil(1_000);
    if (1..1_000).contains(&millis) {
        return format!("{millis}ms");
    }
    let seconds = millis.div_ceil(1_000);
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds}s"),
        (hours, minutes, seconds) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// Room for the headers of most responses, with those that a platform adds.
const LIKELY_HEADERS: usize = 12;
/// What to tell a client that asks when, and nothing is known.
const UNKNOWN_RECOVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_openai_does() {
        let cases = [
            (0, "0s"),
            (1, "1ms"),
            (20_000, "20ms"),
            (999_001, "1s"),
            (1_000_001, "2s"),
            (360_000_000, "6m0s"),
            (3_661_000_000, "1h1m1s"),
        ];
        for (micros, written) in cases {
            assert_eq!(duration(Duration::from_micros(micros)), written);
        }
    }
}
