//! Responses: who served is always told, in headers or, where those have gone out already, in a comment.

use std::future::{Future, ready};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::{Either, select};
use futures::stream::{self, unfold};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use super::body::Body;
use super::descend::{Answer, Answered, ServedBy};
use super::exchange::{Exchange, Paused};
use super::failure::Failure;
use super::relay::Relay;
use crate::api::{ApiError, comment, error_event};
use crate::budget::Rates;
use crate::ids::{RequestId, Tokens};
use crate::ladder::AttemptError;
use crate::platform::Platform;

/// A body of JSON.
pub(super) fn json(body: Bytes) -> Response<Body> {
    with_type(body, "application/json")
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

/// An error in the API's shape.
pub(super) fn error(error: &ApiError) -> Response<Body> {
    let mut response = json(error.body());
    *response.status_mut() = error.status;
    let headers = response.headers_mut();
    if let Some(allow) = error.allow {
        headers.insert(ALLOW, HeaderValue::from_static(allow));
    }
    if error.is_final {
        headers.insert(X_SHOULD_RETRY, HeaderValue::from_static("false"));
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

/// An answer that has begun.
pub(super) fn answered<P: Platform>(answered: Answered<P>) -> Response<Body> {
    let Answered { served_by, answer } = answered;
    let mut response = match answer {
        Answer::Whole(body) => json(body),
        Answer::Events(events) => event_stream(Body::Full(events)),
        Answer::Stream(relay) => {
            let chunks = unfold(relay, async |mut relay| relay.next().await.map(|chunk| (chunk, relay)));
            event_stream(Body::Stream(chunks.boxed_local()))
        }
    };
    served_by.label(response.headers_mut());
    response
}

/// A stream that is opened before anything has answered.
pub(super) fn committed<P: Platform>(exchange: &Rc<Exchange<P>>, descending: Descending<P>) -> Response<Body> {
    let committed = Committed {
        exchange: Rc::clone(exchange),
        stage: Stage::Descending(descending),
    };
    let waiting = stream::once(ready(comment("waiting for an engine")));
    let chunks = unfold(committed, async |mut committed| {
        committed.next().await.map(|chunk| (chunk, committed))
    });
    event_stream(Body::Stream(waiting.chain(chunks).boxed_local()))
}

/// The way down the ladder, under way.
pub(super) type Descending<P> = Pin<Box<dyn Future<Output = Result<Answered<P>, Failure>>>>;

struct Committed<P: Platform> {
    exchange: Rc<Exchange<P>>,
    stage: Stage<P>,
}

enum Stage<P: Platform> {
    Descending(Descending<P>),
    Relaying(Box<Relay<P>>),
    Ended,
}

impl<P: Platform> Committed<P> {
    async fn next(&mut self) -> Option<Bytes> {
        match &mut self.stage {
            Stage::Descending(descending) => {
                let heartbeat = self.exchange.config.limits.heartbeat;
                match select(descending, pin!(self.exchange.pause(heartbeat))).await {
                    Either::Left((Ok(answered), _)) => Some(self.on_answered(answered)),
                    Either::Left((Err(failure), _)) => Some(self.fail(failure)),
                    Either::Right((Paused::Elapsed, _)) => Some(comment("keepalive")),
                    Either::Right((Paused::Stopped, _)) => Some(self.fail(AttemptError::Stopping.into())),
                }
            }
            Stage::Relaying(relay) => relay.next().await,
            Stage::Ended => None,
        }
    }

    fn on_answered(&mut self, answered: Answered<P>) -> Bytes {
        let label = answered.served_by.comment();
        match answered.answer {
            Answer::Stream(relay) => {
                self.stage = Stage::Relaying(relay);
                label
            }
            Answer::Events(events) | Answer::Whole(events) => {
                self.stage = Stage::Ended;
                [label, events].concat().into()
            }
        }
    }

    fn fail(&mut self, failure: Failure) -> Bytes {
        self.stage = Stage::Ended;
        error_event(&failure.into())
    }
}

impl ServedBy {
    /// Says so in headers.
    fn label(&self, headers: &mut HeaderMap) {
        headers.insert(X_CACHE, HeaderValue::from_static("bypass"));
        match self {
            Self::Engine {
                cluster,
                model,
                tier,
                prompt,
                is_exact,
            } => {
                headers.insert(X_CLUSTER, header_value(cluster.as_str()));
                headers.insert(X_MODEL, header_value(model.as_str()));
                headers.insert(X_TIER, HeaderValue::from(*tier));
                headers.insert(X_PROMPT_TOKENS, prompt_tokens(*prompt, *is_exact));
            }
            Self::Canned => {
                headers.insert(X_TIER, HeaderValue::from_static("canned"));
            }
        }
    }

    /// Says so in a comment: `: tidegate cache=bypass cluster=… model=… tier=… prompt_tokens=…`.
    fn comment(&self) -> Bytes {
        match self {
            Self::Engine {
                cluster,
                model,
                tier,
                prompt,
                is_exact,
            } => {
                let estimated = if *is_exact { "" } else { ESTIMATED };
                comment(&format!(
                    "tidegate cache=bypass cluster={cluster} model={model} tier={tier} prompt_tokens={prompt}{estimated}"
                ))
            }
            Self::Canned => comment("tidegate cache=bypass tier=canned"),
        }
    }
}

/// The count as an item of RFC 9651: an integer, with the parameter `estimated` unless it is exact.
fn prompt_tokens(prompt: Tokens, is_exact: bool) -> HeaderValue {
    if is_exact {
        HeaderValue::from(prompt.0)
    } else {
        header_value(&[itoa::Buffer::new().format(prompt.0), ESTIMATED].concat())
    }
}

/// A configured name; the configuration has none that a header cannot hold.
fn header_value(name: &str) -> HeaderValue {
    HeaderValue::from_str(name).unwrap_or(HeaderValue::from_static(""))
}

fn event_stream(body: Body) -> Response<Body> {
    let mut response = response(body, "text/event-stream");
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
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

/// The request's id, in both directions.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const RATE_REQUESTS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
];
const RATE_TOKENS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
const X_CACHE: HeaderName = HeaderName::from_static("x-tidegate-cache");
const X_CLUSTER: HeaderName = HeaderName::from_static("x-tidegate-cluster");
const X_MODEL: HeaderName = HeaderName::from_static("x-tidegate-model");
const X_TIER: HeaderName = HeaderName::from_static("x-tidegate-tier");
const X_PROMPT_TOKENS: HeaderName = HeaderName::from_static("x-tidegate-prompt-tokens");
const ESTIMATED: &str = ";estimated";
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
