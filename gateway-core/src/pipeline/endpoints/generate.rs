//! A request to generate, from its head to the beginning of its answer. Each stage consumes what the stage before it
//! made, so that none can be left out or moved.

use std::fmt::Display;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use futures::future::{Either, select};
use http::Response;
use http::request::Parts;

use crate::api::Endpoint;
use crate::auth::authenticate;
use crate::ladder::AttemptError;
use crate::pipeline::body::Body;
use crate::pipeline::context::{Exchange, Paused};
use crate::pipeline::delivery::{self, committed};
use crate::pipeline::dispatch::descend;
use crate::pipeline::failure::Failure;
use crate::pipeline::intake::{Reserved, check_headers, count, decode, plan, receive, reserve};
use crate::platform::Platform;

/// Answers a request to generate.
pub(in crate::pipeline) async fn generate<P, B, E>(
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
        Either::Left((answered, _)) => answered.map(delivery::answered),
        Either::Right((Paused::Elapsed, descending)) => Ok(committed(exchange, descending)),
        Either::Right((Paused::Stopped, _)) => Err(AttemptError::Stopping.into()),
    }
}
