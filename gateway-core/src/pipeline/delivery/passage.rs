//! A client's whole answer while it passes: nothing may stand between its pieces, and where it breaks off, so does the
//! client's. Dropping it says that the client has left.

use std::pin::pin;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::{Either, select};
use futures::stream::unfold;

use super::upkeep::{Alarm, Upkeep};
use crate::cluster::Outcome;
use crate::ladder::AttemptError;
use crate::pipeline::answer::Passing;
use crate::pipeline::body::{Body, BrokenOff};
use crate::pipeline::context::Paused;
use crate::pipeline::dispatch::outcome;
use crate::platform::Platform;
use crate::time::Timestamp;

/// A whole answer that passes.
pub(super) struct Passage<P: Platform> {
    upkeep: Upkeep<P>,
    /// `None` once it has ended.
    passing: Option<Box<Passing<P>>>,
    patience: Patience,
    alarm: Alarm,
}

/// How long the engine is waited for, moved on by the time that the client took to come for the next piece: meanwhile
/// nothing is read from the engine.
struct Patience {
    silent_since: Timestamp,
    until: Timestamp,
}

enum Woken {
    Piece(Result<Option<Bytes>, AttemptError>),
    Alarm(Paused),
}

impl<P: Platform> Passage<P> {
    /// Of an answer that has begun, and must have ended by `until`.
    pub fn of(upkeep: Upkeep<P>, passing: Box<Passing<P>>, until: Timestamp) -> Self {
        let silent_since = upkeep.now();
        let patience = Patience { silent_since, until };
        Self {
            alarm: upkeep.alarm(patience.due(&upkeep)),
            upkeep,
            passing: Some(passing),
            patience,
        }
    }

    /// The body that the client gets.
    pub fn into_body(self) -> Body {
        let pieces = unfold(self, async |mut passage| {
            let piece = passage.next().await?;
            passage.upkeep.on_sent();
            Some((piece, passage))
        });
        Body::Stream(pieces.boxed_local())
    }

    /// What the client gets next; `None` at the end.
    async fn next(&mut self) -> Option<Result<Bytes, BrokenOff>> {
        let unread = self.upkeep.now().since(self.upkeep.last_sent);
        self.patience.silent_since = self.patience.silent_since + unread;
        self.patience.until = self.patience.until + unread;
        loop {
            let passing = self.passing.as_mut()?;
            let woken = match select(pin!(passing.next()), &mut self.alarm).await {
                Either::Left((piece, _)) => Woken::Piece(piece),
                Either::Right((paused, _)) => Woken::Alarm(paused),
            };
            let ended = match woken {
                Woken::Piece(Ok(Some(piece))) => return Some(Ok(piece)),
                Woken::Piece(Ok(None)) => {
                    self.end(Outcome::Served);
                    return None;
                }
                Woken::Piece(Err(error)) => Some(error),
                Woken::Alarm(Paused::Elapsed) => self.on_alarm(),
                Woken::Alarm(Paused::Stopped) => Some(AttemptError::Stopping),
            };
            if let Some(error) = ended {
                return Some(Err(self.break_off(&error)));
            }
        }
    }

    /// Looks at everything that is due by time, and sets the alarm for what is due next. Gives why the answer ends here, if
    /// it does.
    fn on_alarm(&mut self) -> Option<AttemptError> {
        let now = self.upkeep.now();
        let heard = self.passing.as_ref()?.last_piece();
        self.patience.silent_since = self.patience.silent_since.max(heard);
        if now >= self.patience.until {
            return Some(AttemptError::FirstByteTimeout);
        }
        let between_bytes = self.upkeep.exchange().config.timeouts.between_bytes;
        if now.since(self.patience.silent_since) >= between_bytes {
            return Some(AttemptError::BetweenBytesTimeout);
        }
        self.upkeep.renew();
        self.alarm = self.upkeep.alarm(self.patience.due(&self.upkeep));
        None
    }

    /// The answer breaks off.
    fn break_off(&mut self, error: &AttemptError) -> BrokenOff {
        self.upkeep.walk.on_broken_off(error);
        self.end(outcome(error));
        BrokenOff
    }

    /// What passed is settled, and the replica free.
    fn end(&mut self, outcome: Outcome) {
        if let Some(mut passing) = self.passing.take() {
            passing.close();
            self.upkeep.walk.permit.release(outcome);
        }
    }
}

/// The client has left, where the answer has not ended.
impl<P: Platform> Drop for Passage<P> {
    fn drop(&mut self) {
        self.end(Outcome::Unknown);
    }
}

impl Patience {
    /// When the engine's time is over, should nothing come.
    fn due<P: Platform>(&self, upkeep: &Upkeep<P>) -> Timestamp {
        let between_bytes = upkeep.exchange().config.timeouts.between_bytes;
        self.until.min(self.silent_since + between_bytes)
    }
}
