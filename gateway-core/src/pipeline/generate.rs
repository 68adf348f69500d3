//! A request to generate, from its head to the beginning of its answer. Each stage consumes what the stage before it
//! made, so that none can be left out or moved.

use std::fmt::Display;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use futures::future::{Either, select};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, Response};

use super::body::Body;
use super::count::count;
use super::descend::descend;
use super::exchange::{Exchange, Paused};
use super::failure::Failure;
use super::plan::plan;
use super::receive::receive;
use super::reserve::{Reserved, reserve};
use super::respond;
use crate::api::{Endpoint, Generation, RequestError};
use crate::auth::{Caller, authenticate};
use crate::config::Model;
use crate::ladder::AttemptError;
use crate::platform::Platform;

/// Answers a request to generate.
pub(super) async fn generate<P, B, E>(
    exchange: &Rc<Exchange<P>>,
    endpoint: Endpoint,
    head: &Parts,
    body: B,
) -> Result<Response<Body>, Failure>
where
    P: Platform,
    B: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Display,
{
    let limits = &exchange.config.limits;
    let caller = authenticate(&exchange.config, &head.headers)?;
    let lowest_tier = check_headers(&head.headers)?;
    let body = receive(&exchange.platform, &head.headers, body, limits).await?;
    let decoded = decode(exchange, endpoint, caller, body)?;
    let counted = count(exchange, decoded)?;
    let planned = plan(exchange, counted, lowest_tier)?;
    let reserved = reserve(exchange, planned).await?;
    begin(exchange, reserved).await
}

/// A request that is understood: whose it is, and which model it is for.
#[derive(Debug)]
pub(super) struct Decoded {
    pub caller: Caller,
    pub model: Arc<Model>,
    pub request: Generation,
}

/// Refuses headers that are not a client's to send; gives the lowest tier that the client accepts.
pub(super) fn check_headers(headers: &HeaderMap) -> Result<Option<&str>, RequestError> {
    let ours = headers
        .keys()
        .map(http::HeaderName::as_str)
        .filter(|name| name.starts_with("x-tidegate-"));
    if let Some(name) = ours.into_iter().find(|name| *name != LOWEST_TIER) {
        return Err(RequestError::ReservedHeader { name: name.to_owned() });
    }
    let is_json = |value: &http::HeaderValue| {
        let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
        essence.trim().eq_ignore_ascii_case("application/json")
    };
    if !headers.get(CONTENT_TYPE).is_none_or(is_json) {
        return Err(RequestError::WrongContentType);
    }
    Ok(headers.get(LOWEST_TIER).map(|tier| tier.to_str().unwrap_or_default()))
}

fn decode<P: Platform>(
    exchange: &Exchange<P>,
    endpoint: Endpoint,
    caller: Caller,
    body: Bytes,
) -> Result<Decoded, RequestError> {
    let request = Generation::decode(endpoint, body, exchange.config.limits.nesting)?;
    match exchange
        .config
        .model(&request.model)
        .filter(|model| caller.tenant.may_use(&model.name))
    {
        Some(model) => Ok(Decoded {
            caller,
            model: Arc::clone(model),
            request,
        }),
        None => Err(RequestError::UnknownModel { model: request.model }),
    }
}

/// Goes down the ladder until an answer begins. A stream is opened towards the client before that when it takes
/// long, so that nothing between here and there takes it for dead.
async fn begin<P: Platform>(exchange: &Rc<Exchange<P>>, reserved: Reserved<P>) -> Result<Response<Body>, Failure> {
    let is_stream = reserved.planned.counted.decoded.request.stream;
    let descending = Box::pin(descend(Rc::clone(exchange), reserved));
    let patience = if is_stream {
        exchange.config.limits.early_commit
    } else {
        Duration::MAX
    };
    match select(descending, pin!(exchange.pause(patience))).await {
        Either::Left((answered, _)) => answered.map(respond::answered),
        Either::Right((Paused::Elapsed, descending)) => Ok(respond::committed(exchange, descending)),
        Either::Right((Paused::Stopped, _)) => Err(AttemptError::Stopping.into()),
    }
}

/// The header by which a client names the lowest tier that it accepts.
const LOWEST_TIER: &str = "x-tidegate-lowest-tier";
