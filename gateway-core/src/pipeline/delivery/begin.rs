//! The wait for an answer.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use bytes::Bytes;
use futures::future::{Either, select};
use http::{HeaderMap, Response};

use super::passage::Passage;
use super::stream::ClientStream;
use super::tell_edge::tell_edge;
use super::upkeep::Upkeep;
use crate::api::headers::X_DETECTED;
use crate::config::CannedReason;
use crate::ladder::AttemptError;
use crate::pipeline::body::Body;
use crate::pipeline::context::Paused;
use crate::pipeline::dispatch::{Answered, ServedBy, UpstreamAnswer, Walk};
use crate::pipeline::failure::Failure;
use crate::pipeline::intake::{Order, Sender};
use crate::pipeline::response::{event_stream, header_value, json, json_stream};
use crate::platform::Platform;
use crate::time::Timestamp;

/// The way down the ladder, under way.
pub(super) type Descending<P> = Pin<Box<dyn Future<Output = Result<Answered<P>, Failure>>>>;

/// Goes down the ladder until an answer begins. A stream is opened towards the client before that when it takes long, so
/// that nothing between here and there takes it for dead.
///
/// # Errors
/// When nothing answers.
pub(in crate::pipeline) async fn begin<P: Platform>(order: Order<P>) -> Result<Response<Body>, Failure> {
    let mut upkeep = Upkeep::new(Walk::new(order));
    let is_stream = upkeep.walk.order.request.stream;
    let early_commit = upkeep.exchange().config.streams.early_commit;
    // The edge has to hear from its status whether anything answers.
    let commit_at = match upkeep.walk.order.sender {
        Sender::Client if is_stream => upkeep.now() + early_commit,
        Sender::Client | Sender::Edge { .. } => Timestamp::NEVER,
    };
    let walk = Rc::clone(&upkeep.walk);
    let mut descending: Descending<P> = Box::pin(async move { walk.descend().await });
    loop {
        match select(&mut descending, upkeep.alarm(commit_at)).await {
            Either::Left((answered, _)) => return answered.map(|answered| respond(upkeep, answered)),
            Either::Right((Paused::Stopped, _)) => return Err(AttemptError::Stopping.into()),
            Either::Right((Paused::Elapsed, _)) => upkeep.renew(),
        }
        if upkeep.now() >= commit_at {
            return Ok(event_stream(ClientStream::early(upkeep, descending).into_body()));
        }
    }
}

/// The response to a request that has come to no order, and is answered by a text for that reason all the same.
pub(in crate::pipeline) fn respond_canned(is_stream: bool, answer: Bytes, reason: CannedReason) -> Response<Body> {
    let mut response = if is_stream {
        event_stream(Body::Full(answer))
    } else {
        json(answer)
    };
    ServedBy::Canned(reason).label(response.headers_mut());
    response
}

/// The response with which an answer begins.
fn respond<P: Platform>(upkeep: Upkeep<P>, answered: Answered<P>) -> Response<Body> {
    let Answered { served_by, answer } = answered;
    let mut headers = HeaderMap::new();
    match upkeep.walk.order.sender {
        Sender::Client => {
            served_by.label(&mut headers);
            // Of a stream it is told behind its end.
            if let (UpstreamAnswer::Whole(_), Some(detected)) = (&answer, upkeep.exchange().detected.names()) {
                headers.insert(X_DETECTED, header_value(&detected));
            }
        }
        Sender::Edge { known_hot, .. } => tell_edge(&upkeep, &served_by, known_hot, &mut headers),
    }
    let mut response = match answer {
        UpstreamAnswer::Whole(events) if upkeep.walk.order.is_for_stream() => event_stream(Body::Full(events)),
        UpstreamAnswer::Whole(body) => json(body),
        UpstreamAnswer::Passing(passing, until) => json_stream(Passage::of(upkeep, passing, until).into_body()),
        UpstreamAnswer::Stream(chunks) => event_stream(ClientStream::of(upkeep, chunks).into_body()),
    };
    response.headers_mut().extend(headers);
    response
}
