//! A client's stream before anything has answered, and when something has.

use std::future::{Future, ready};
use std::pin::{Pin, pin};
use std::rc::Rc;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::{Either, select};
use futures::stream::{self, unfold};
use http::Response;

use super::Relay;
use crate::api::{comment, error_event};
use crate::ladder::AttemptError;
use crate::pipeline::body::Body;
use crate::pipeline::context::{Exchange, Paused};
use crate::pipeline::dispatch::{Answer, Answered};
use crate::pipeline::failure::Failure;
use crate::pipeline::response::{event_stream, json};
use crate::platform::Platform;

/// An answer that has begun.
pub(in crate::pipeline) fn answered<P: Platform>(answered: Answered<P>) -> Response<Body> {
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
pub(in crate::pipeline) fn committed<P: Platform>(
    exchange: &Rc<Exchange<P>>,
    descending: Descending<P>,
) -> Response<Body> {
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
pub(in crate::pipeline) type Descending<P> = Pin<Box<dyn Future<Output = Result<Answered<P>, Failure>>>>;

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
