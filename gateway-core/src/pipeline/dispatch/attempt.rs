//! One attempt: a permit, a request to a replica, and the beginning of its answer.

use std::borrow::Cow;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};

use crate::api::headers::X_REQUEST_ID;
use crate::api::{Editor, Endpoint, NoAnswer};
use crate::cluster::Outcome;
use crate::config::{Model, Replica, Serving};
use crate::ids::ReplicaName;
use crate::ladder::{AttemptError, Fault, Garbage, Remedy};
use crate::observe::Event;
use crate::pipeline::answer::{Chunks, UsageMeter, output};
use crate::pipeline::collect::{CollectError, collect};
use crate::pipeline::context::Exchange;
use crate::pipeline::delivery::Relay;
use crate::pipeline::dispatch::{Permit, Wanted};
use crate::pipeline::intake::Counted;
use crate::pipeline::leases::Reservation;
use crate::platform::{Platform, SendError, UpstreamRequest};
use crate::tokens::Count;

/// What to ask, and whom.
#[derive(Debug)]
pub(in crate::pipeline) struct Target<'a> {
    pub counted: &'a Counted,
    /// Fingerprint of the prompt's head.
    pub affinity: Option<u64>,
    /// The tier's place in the ladder.
    pub tier: usize,
    pub model: &'a Arc<Model>,
    pub serving: &'a Serving,
    /// What the request takes of that model.
    pub count: &'a Count,
}

/// The beginning of an answer.
#[derive(Debug)]
pub(in crate::pipeline) enum Begun<P: Platform> {
    /// All of it.
    Whole(Bytes),
    /// Its first event, and the rest to come.
    Stream(Box<Relay<P>>),
}

/// Asks one replica of the target. The replica is noted in `tried`.
///
/// # Errors
/// Why there is no answer.
pub(in crate::pipeline) async fn attempt<P: Platform>(
    exchange: &Rc<Exchange<P>>,
    target: &Target<'_>,
    charge: &Rc<Reservation<P>>,
    tried: &mut Vec<ReplicaName>,
) -> Result<Begun<P>, AttemptError> {
    let result = try_attempt(exchange, target, charge, tried).await;
    if let Err(error) = &result {
        charge.on_attempt_failed();
        // Without room no replica was asked in this attempt: the last one noted is another attempt's.
        let replica = tried
            .last()
            .filter(|_| !matches!(error, AttemptError::NoRoom { .. } | AttemptError::Cell(_)));
        let cluster = &target.serving.cluster.name;
        exchange.gateway.tell(&Event::AttemptFailed {
            id: &exchange.id,
            cluster,
            replica,
            error,
        });
    }
    result
}

async fn try_attempt<P: Platform>(
    exchange: &Rc<Exchange<P>>,
    target: &Target<'_>,
    charge: &Rc<Reservation<P>>,
    tried: &mut Vec<ReplicaName>,
) -> Result<Begun<P>, AttemptError> {
    let decoded = &target.counted.decoded;
    let limits = &exchange.config.limits;
    let limit = time_left(exchange, decoded.request.stream)?;
    let cluster = &target.serving.cluster;
    let output = target.count.expected_output(&decoded.request, limits.expected_output.0);
    let wanted = Wanted {
        kv_tokens: target.count.prompt + output,
        affinity: target.affinity,
        headroom_percent: limits.kept_percent(decoded.caller.priority),
    };
    let mut permit = Permit::acquire(exchange, cluster, charge, wanted, tried).await?;
    let Some(replica) = permit.replica() else {
        return Err(AttemptError::NoRoom { recovery: None });
    };
    tried.push(replica.name.clone());
    charge.on_dispatched(target.count.prompt);
    let opened = permit
        .hold_while(pin!(open(exchange, target, charge, replica)), limit)
        .await;
    match opened.unwrap_or(Err(AttemptError::FirstByteTimeout)) {
        Ok(opened) => {
            let after = exchange.platform.now().since(exchange.arrived);
            exchange.gateway.tell(&Event::FirstToken {
                cluster: &cluster.name,
                model: &target.model.name,
                after,
            });
            Ok(match opened {
                Opened::Whole(body) => {
                    permit.settle(Outcome::Served);
                    Begun::Whole(body)
                }
                Opened::Stream(chunks, first) => {
                    let account = UsageMeter::open(exchange, target, charge);
                    Begun::Stream(Box::new(Relay::new(
                        Rc::clone(exchange),
                        permit,
                        *chunks,
                        first,
                        account,
                    )))
                }
            })
        }
        Err(error) => {
            permit.settle(outcome(&error));
            Err(error)
        }
    }
}

/// How long this attempt may take until an answer begins.
fn time_left<P: Platform>(exchange: &Exchange<P>, stream: bool) -> Result<Duration, AttemptError> {
    let limits = &exchange.config.limits;
    let left = (exchange.arrived + limits.deadline).since(exchange.platform.now());
    match (left.is_zero(), stream) {
        (true, _) => Err(AttemptError::Deadline),
        (false, true) => Ok(limits.first_byte.min(left)),
        (false, false) => Ok(limits.whole_answer),
    }
}

/// What an attempt's failure says about the replica.
fn outcome(error: &AttemptError) -> Outcome {
    match (error.fault(), error.remedy()) {
        (Fault::Client, _) => Outcome::Served,
        (Fault::Upstream, Remedy::AnotherReplica) => Outcome::Failed,
        (Fault::Upstream | Fault::Gateway, _) => Outcome::Unknown,
    }
}

enum Opened<P: Platform> {
    Whole(Bytes),
    Stream(Box<Chunks<P>>, Bytes),
}

async fn open<P: Platform>(
    exchange: &Rc<Exchange<P>>,
    target: &Target<'_>,
    charge: &Rc<Reservation<P>>,
    replica: &Replica,
) -> Result<Opened<P>, AttemptError> {
    let request = &target.counted.decoded.request;
    let limits = &exchange.config.limits;
    let response = exchange
        .platform
        .send(upstream_request(exchange, target, replica)?)
        .await?;
    let (head, body) = response.into_parts();
    if head.status != StatusCode::OK {
        return Err(refusal::<P>(head.status, &head.headers, body).await);
    }
    let editor = Editor::new(target.model.name.as_str(), request.include_usage);
    if request.stream {
        expect_content_type(&head.headers, "text/event-stream")?;
        let written = output(exchange, target.model);
        let mut chunks = Chunks::new(body, editor, limits.event_bytes, exchange.platform.clone(), written);
        let first = chunks.next().await?;
        return if chunks.is_empty() {
            Err(Garbage::Empty.into())
        } else {
            Ok(Opened::Stream(Box::new(chunks), first))
        };
    }
    expect_content_type(&head.headers, "application/json")?;
    let body = whole::<P>(body, limits.response_body_bytes).await?;
    let text = std::str::from_utf8(&body).map_err(|_| Garbage::NotJson)?;
    let answer = editor.whole(text).map_err(|error| match error {
        NoAnswer::Error => AttemptError::InBand,
        NoAnswer::NotJson => Garbage::NotJson.into(),
    })?;
    let mut written = output(exchange, target.model);
    if answer.usage.is_none() {
        written.on_said(&answer.said);
    }
    UsageMeter::open(exchange, target, charge).close(answer.usage, &written);
    let edited = match answer.json {
        Some(Cow::Owned(json)) => Some(Bytes::from(json)),
        Some(Cow::Borrowed(_)) | None => None,
    };
    Ok(Opened::Whole(edited.unwrap_or(body)))
}

/// The request as the replica is to see it. None of the client's headers goes along.
fn upstream_request<P: Platform>(
    exchange: &Exchange<P>,
    target: &Target<'_>,
    replica: &Replica,
) -> Result<UpstreamRequest, AttemptError> {
    let request = &target.counted.decoded.request;
    let accept = if request.stream {
        "text/event-stream"
    } else {
        "application/json"
    };
    let mut upstream = Request::new(request.body_for(&target.serving.served_name));
    *upstream.method_mut() = Method::POST;
    *upstream.uri_mut() =
        url_at(&replica.url, request.endpoint).map_err(|error| SendError::Connect(error.to_string()))?;
    let headers = upstream.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    headers.insert(X_REQUEST_ID, exchange.id.to_header());
    let secret = target.serving.cluster.secret.clone();
    Ok(UpstreamRequest {
        request: upstream,
        secret,
        connect_timeout: exchange.config.limits.connect,
    })
}

/// The endpoint's URL at a replica with that base URL.
fn url_at(base: &Uri, endpoint: Endpoint) -> Result<Uri, http::Error> {
    let path = match base.path() {
        "/" => PathAndQuery::from_static(endpoint.path()),
        prefix => PathAndQuery::try_from([prefix, endpoint.path()].concat())?,
    };
    let mut parts = base.clone().into_parts();
    parts.path_and_query = Some(path);
    Ok(Uri::from_parts(parts)?)
}

/// Why an engine answered with another status than 200.
async fn refusal<P: Platform>(status: StatusCode, headers: &HeaderMap, body: P::Body) -> AttemptError {
    let status = status.as_u16();
    match status {
        400 | 413 | 415 | 422 => match whole::<P>(body, REFUSAL_BYTES).await {
            Ok(body) => AttemptError::Rejected { status, body },
            Err(error) => error,
        },
        _ => {
            let seconds = headers
                .get(RETRY_AFTER)
                .and_then(|value| value.to_str().ok()?.trim().parse().ok());
            AttemptError::Status {
                status,
                retry_after: seconds.map(Duration::from_secs),
            }
        }
    }
}

fn expect_content_type(headers: &HeaderMap, expected: &str) -> Result<(), Garbage> {
    let found = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if found.starts_with(expected) {
        Ok(())
    } else {
        Err(Garbage::ContentType)
    }
}

async fn whole<P: Platform>(body: P::Body, limit: usize) -> Result<Bytes, AttemptError> {
    collect(body, limit).await.map_err(|error| match error {
        CollectError::TooLarge => Garbage::TooLarge.into(),
        CollectError::Broken(error) => error.into(),
    })
}

/// What an engine may say about a request that it rejects, in bytes.
const REFUSAL_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_stands_below_the_base_url() {
        let cases = [
            ("http://10.0.0.7:8000", "http://10.0.0.7:8000/v1/chat/completions"),
            (
                "https://gpu.example/a/v2",
                "https://gpu.example/a/v2/v1/chat/completions",
            ),
        ];
        for (base, expected) in cases {
            let base = base.parse().expect("a URL");
            assert_eq!(
                url_at(&base, Endpoint::Chat).map(|url| url.to_string()).ok().as_deref(),
                Some(expected)
            );
        }
    }
}
