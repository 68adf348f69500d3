//! A client's stream: what engines send on its way to the client, with heartbeats while it is quiet, and an error event
//! where it breaks off. Dropping it says that the client has left.

use std::pin::pin;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::{Either, select};
use futures::stream::unfold;

use super::begin::Descending;
use super::upkeep::{Alarm, Upkeep};
use crate::api::comment;
use crate::cluster::Outcome;
use crate::ladder::{AttemptError, Garbage};
use crate::pipeline::answer::Chunks;
use crate::pipeline::body::Body;
use crate::pipeline::context::Paused;
use crate::pipeline::dispatch::{Answered, UpstreamAnswer, outcome};
use crate::pipeline::failure::Failure;
use crate::platform::Platform;
use crate::time::Timestamp;

/// A stream whose head the client has, or is about to have.
pub(super) struct ClientStream<P: Platform> {
    upkeep: Upkeep<P>,
    stage: Stage<P>,
    /// What is to be sent before anything else.
    first: Option<Bytes>,
    alarm: Alarm,
    /// Whether the client was told what was found in its answer.
    is_flagged: bool,
    /// Whether the client was told why its request went where it went.
    is_explained: bool,
}

enum Stage<P: Platform> {
    /// Nothing has answered yet.
    Descending(Descending<P>),
    /// An answer passes.
    Relaying(Relay<P>),
    /// There is nothing more to send.
    Ended,
}

/// An answer that passes.
struct Relay<P: Platform> {
    chunks: Box<Chunks<P>>,
    /// Since when no event has come of the engine, moved on by the time that the client took to come for the next piece:
    /// meanwhile nothing is read from the engine.
    silent_since: Timestamp,
}

enum Woken<P: Platform> {
    Answered(Result<Answered<P>, Failure>),
    Piece(Result<Bytes, AttemptError>),
    Alarm(Paused),
}

impl<P: Platform> ClientStream<P> {
    /// Of an answer that has begun.
    pub fn of(upkeep: Upkeep<P>, chunks: Box<Chunks<P>>) -> Self {
        let stage = Stage::Relaying(Relay::new(&upkeep, chunks));
        Self::new(upkeep, stage, None)
    }

    /// Opened before anything has answered.
    pub fn early(upkeep: Upkeep<P>, descending: Descending<P>) -> Self {
        let waiting = comment("waiting for an engine");
        Self::new(upkeep, Stage::Descending(descending), Some(waiting))
    }

    fn new(upkeep: Upkeep<P>, stage: Stage<P>, first: Option<Bytes>) -> Self {
        let alarm = upkeep.alarm(stage.due(&upkeep));
        Self {
            upkeep,
            stage,
            first,
            alarm,
            is_flagged: false,
            is_explained: false,
        }
    }

    /// The body that the client gets.
    pub fn into_body(self) -> Body {
        let pieces = unfold(self, async |mut stream| {
            let piece = stream.next().await?;
            stream.upkeep.on_sent();
            Some((Ok(piece), stream))
        });
        Body::Stream(pieces.boxed_local())
    }

    /// What the client gets next; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        if let Stage::Relaying(relay) = &mut self.stage {
            relay.on_client_ready(&self.upkeep);
        }
        loop {
            let woken = match &mut self.stage {
                Stage::Descending(descending) => match select(descending, &mut self.alarm).await {
                    Either::Left((answered, _)) => Woken::Answered(answered),
                    Either::Right((paused, _)) => Woken::Alarm(paused),
                },
                Stage::Relaying(relay) => match select(pin!(relay.chunks.next()), &mut self.alarm).await {
                    Either::Left((piece, _)) => Woken::Piece(piece),
                    Either::Right((paused, _)) => Woken::Alarm(paused),
                },
                Stage::Ended => return self.flag().or_else(|| self.explanation()),
            };
            let out = match woken {
                Woken::Answered(Ok(answered)) => Some(self.on_answered(answered)),
                Woken::Answered(Err(failure)) => Some(self.fail(failure)),
                Woken::Piece(Ok(piece)) => self.on_piece(piece),
                Woken::Piece(Err(error)) => Some(self.break_off(error)),
                Woken::Alarm(Paused::Elapsed) => self.on_alarm(),
                Woken::Alarm(Paused::Stopped) => Some(self.on_stop()),
            };
            if out.is_some() {
                return out;
            }
        }
    }

    /// What was found in the answer, in a comment behind its end.
    fn flag(&mut self) -> Option<Bytes> {
        let is_first = !std::mem::replace(&mut self.is_flagged, true);
        let detected = self.upkeep.exchange().detected.names().filter(|_| is_first)?;
        Some(comment(&format!("tidegate detected={detected}")))
    }

    /// Why the request went where it went, in a comment behind all else, where its client is told.
    fn explanation(&mut self) -> Option<Bytes> {
        let recorder = &self.upkeep.exchange().recorder;
        if self.is_explained || !recorder.is_told() {
            return None;
        }
        let text = recorder.with(|record| record.to_json(COMMENT_BYTES)).flatten()?;
        self.is_explained = true;
        Some(comment(&format!("tidegate-explain {text}")))
    }

    /// Something answers, on a stream that is open already.
    fn on_answered(&mut self, answered: Answered<P>) -> Bytes {
        let label = answered.served_by.comment();
        match answered.answer {
            UpstreamAnswer::Stream(chunks) => {
                self.stage = Stage::Relaying(Relay::new(&self.upkeep, chunks));
                label
            }
            UpstreamAnswer::Whole(events) => {
                self.stage = Stage::Ended;
                [label, events].concat().into()
            }
            // Who wants a stream is never answered so.
            UpstreamAnswer::Passing(..) => self.fail(AttemptError::from(Garbage::NotJson).into()),
        }
    }

    fn on_piece(&mut self, piece: Bytes) -> Option<Bytes> {
        if let Stage::Relaying(relay) = &self.stage {
            relay.chunks.listeners().on_piece();
            if relay.chunks.is_done() {
                self.end(Outcome::Served);
            }
        }
        (!piece.is_empty()).then_some(piece)
    }

    /// Looks at everything that is due by time, and sets the alarm for what is due next.
    fn on_alarm(&mut self) -> Option<Bytes> {
        let config = &self.upkeep.exchange().config;
        let heartbeat = config.streams.heartbeat;
        let between_bytes = config.timeouts.between_bytes;
        let now = self.upkeep.now();
        if let Stage::Relaying(relay) = &self.stage
            && now.since(relay.silent_since()) >= between_bytes
        {
            return Some(self.break_off(AttemptError::BetweenBytesTimeout));
        }
        self.upkeep.renew();
        let is_quiet = now.since(self.upkeep.last_sent) >= heartbeat;
        if is_quiet {
            self.upkeep.on_sent();
        }
        self.alarm = self.upkeep.alarm(self.stage.due(&self.upkeep));
        is_quiet.then(|| comment("keepalive"))
    }

    /// The gateway goes down.
    fn on_stop(&mut self) -> Bytes {
        match self.stage {
            Stage::Relaying(_) => self.break_off(AttemptError::Stopping),
            Stage::Descending(_) | Stage::Ended => self.fail(AttemptError::Stopping.into()),
        }
    }

    /// Nothing has answered.
    fn fail(&mut self, failure: Failure) -> Bytes {
        self.stage = Stage::Ended;
        let dialect = self.upkeep.walk.order.request.dialect();
        dialect.error_event(&failure.into())
    }

    /// The answer breaks off.
    fn break_off(&mut self, error: AttemptError) -> Bytes {
        self.upkeep.walk.on_broken_off(&error);
        let held = match &mut self.stage {
            Stage::Relaying(relay) => relay.chunks.flush(),
            Stage::Descending(_) | Stage::Ended => Vec::new(),
        };
        self.end(outcome(&error));
        [held.into(), self.fail(Failure::BrokenOff(error))].concat().into()
    }

    /// What passed is settled, and the replica free.
    fn end(&mut self, outcome: Outcome) {
        if let Stage::Relaying(relay) = &self.stage {
            relay.chunks.listeners().on_end(relay.chunks.is_whole());
            self.upkeep.walk.permit.release(outcome);
            self.stage = Stage::Ended;
        }
    }
}

/// The client has left, where the stream has not ended.
impl<P: Platform> Drop for ClientStream<P> {
    fn drop(&mut self) {
        self.end(Outcome::Unknown);
    }
}

impl<P: Platform> Stage<P> {
    /// When something is due next: a heartbeat, or the end of an engine's silence.
    fn due(&self, upkeep: &Upkeep<P>) -> Timestamp {
        let config = &upkeep.exchange().config;
        let heartbeat = upkeep.last_sent + config.streams.heartbeat;
        match self {
            Self::Relaying(relay) => heartbeat.min(relay.silent_since() + config.timeouts.between_bytes),
            Self::Descending(_) | Self::Ended => heartbeat,
        }
    }
}

impl<P: Platform> Relay<P> {
    fn new(upkeep: &Upkeep<P>, chunks: Box<Chunks<P>>) -> Self {
        let silent_since = upkeep.now();
        Self { chunks, silent_since }
    }

    fn silent_since(&self) -> Timestamp {
        self.silent_since.max(self.chunks.last_event())
    }

    fn on_client_ready(&mut self, upkeep: &Upkeep<P>) {
        let unread = upkeep.now().since(upkeep.last_sent);
        self.silent_since = self.silent_since() + unread;
    }
}

/// What an explanation may take in a comment: readers of streams in lines keep each whole.
const COMMENT_BYTES: usize = 32 << 10;
