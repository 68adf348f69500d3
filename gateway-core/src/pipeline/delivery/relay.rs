//! The loop over chunks: an engine's stream on its way to the client, with heartbeats while it is quiet, and an
//! error event where it breaks off. The permit is kept as long as the stream runs.

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{Either, select};

use crate::api::{comment, error_event};
use crate::cluster::Outcome;
use crate::ladder::AttemptError;
use crate::pipeline::answer::{Chunks, UsageMeter};
use crate::pipeline::context::{Exchange, Paused};
use crate::pipeline::dispatch::Permit;
use crate::pipeline::failure::Failure;
use crate::platform::Platform;
use crate::time::Timestamp;

/// A stream that has begun. Dropping it says that the client has left.
pub(in crate::pipeline) struct Relay<P: Platform> {
    exchange: Rc<Exchange<P>>,
    permit: Permit<P>,
    chunks: Chunks<P>,
    account: UsageMeter<P>,
    /// The chunks that came first, until they are handed out.
    first: Option<Bytes>,
    ended: bool,
    last_sent: Timestamp,
    last_renewed: Timestamp,
    /// Since when the engine has been silent, moved on by the time that the client took to come for the next piece:
    /// meanwhile nothing is read from the engine.
    silent_since: Timestamp,
    alarm: Pin<Box<dyn Future<Output = Paused>>>,
}

impl<P: Platform> fmt::Debug for Relay<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl<P: Platform> Relay<P> {
    pub fn new(
        exchange: Rc<Exchange<P>>,
        permit: Permit<P>,
        chunks: Chunks<P>,
        first: Bytes,
        account: UsageMeter<P>,
    ) -> Self {
        let now = exchange.platform.now();
        let limits = &exchange.config.limits;
        let wait = limits.heartbeat.min(limits.between_bytes).min(permit.renewal_period());
        let alarm = Box::pin(exchange.pause(wait));
        let mut relay = Self {
            exchange,
            permit,
            chunks,
            account,
            first: Some(first),
            ended: false,
            last_sent: now,
            last_renewed: now,
            silent_since: now,
            alarm,
        };
        if relay.chunks.is_done() {
            relay.complete();
        }
        relay
    }

    /// What the client gets next; `None` at the end.
    pub async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take().filter(|first| !first.is_empty()) {
            return Some(first);
        }
        let unread = self.exchange.platform.now().since(self.last_sent);
        self.silent_since = self.silent_since.max(self.chunks.last_byte()) + unread;
        while !self.ended {
            let woken = match select(pin!(self.chunks.next()), &mut self.alarm).await {
                Either::Left((chunk, _)) => Woken::Chunk(chunk),
                Either::Right((paused, _)) => Woken::Alarm(paused),
            };
            let out = match woken {
                Woken::Chunk(Ok(chunk)) => self.on_chunk(chunk),
                Woken::Chunk(Err(error)) => Some(self.fail(error)),
                Woken::Alarm(Paused::Elapsed) => self.on_alarm(),
                Woken::Alarm(Paused::Stopped) => Some(self.fail(AttemptError::Stopping)),
            };
            if out.is_some() {
                self.last_sent = self.exchange.platform.now();
                return out;
            }
        }
        None
    }

    fn on_chunk(&mut self, chunk: Bytes) -> Option<Bytes> {
        self.account.on_chunk(self.chunks.written());
        if self.chunks.is_done() {
            self.complete();
        }
        (!chunk.is_empty()).then_some(chunk)
    }

    /// Looks at everything that is due by time, and sets the alarm for what is due next.
    fn on_alarm(&mut self) -> Option<Bytes> {
        let limits = &self.exchange.config.limits;
        let now = self.exchange.platform.now();
        let silent_since = self.silent_since.max(self.chunks.last_byte());
        if now.since(silent_since) >= limits.between_bytes {
            return Some(self.fail(AttemptError::BetweenBytesTimeout));
        }
        if now.since(self.last_renewed) >= self.permit.renewal_period() {
            self.permit.renew();
            self.last_renewed = now;
        }
        let is_quiet = now.since(self.last_sent) >= limits.heartbeat;
        let since_sent = if is_quiet { now } else { self.last_sent };
        let due = [
            silent_since + limits.between_bytes,
            self.last_renewed + self.permit.renewal_period(),
            since_sent + limits.heartbeat,
        ];
        let wait = due
            .into_iter()
            .map(|due| due.since(now))
            .min()
            .unwrap_or_default()
            .max(SHORTEST_ALARM);
        self.alarm = Box::pin(self.exchange.pause(wait));
        is_quiet.then(|| comment("keepalive"))
    }

    fn complete(&mut self) {
        self.end();
        self.permit.settle(Outcome::Served);
    }

    fn end(&mut self) {
        self.ended = true;
        self.account.close(self.chunks.usage(), self.chunks.written());
    }

    fn fail(&mut self, error: AttemptError) -> Bytes {
        self.end();
        let outcome = if error == AttemptError::Stopping {
            Outcome::Unknown
        } else {
            Outcome::Failed
        };
        self.permit.settle(outcome);
        self.permit.on_stream_failed(&error);
        error_event(&Failure::BrokenOff(error).into())
    }
}

/// The client has left.
impl<P: Platform> Drop for Relay<P> {
    fn drop(&mut self) {
        if !self.ended {
            self.end();
        }
    }
}

enum Woken {
    Chunk(Result<Bytes, AttemptError>),
    Alarm(Paused),
}

/// Clocks that move in steps may leave nothing to wait for and yet nothing due.
const SHORTEST_ALARM: Duration = Duration::from_millis(1);
