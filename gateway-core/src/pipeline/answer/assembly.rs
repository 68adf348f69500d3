//! A whole answer that is put together from the stream in which its engine sends it: a stream shows when its engine falls
//! silent, can be cancelled on every engine, and is counted as it grows.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{Either, select};

use super::Chunks;
use crate::api::{AnswerAssembler, AnswerTooLarge};
use crate::ladder::{AttemptError, Garbage};
use crate::pipeline::context::{Exchange, SHORTEST_ALARM};
use crate::platform::Platform;
use crate::time::Timestamp;

/// A stream that is put together. When it is dropped before its end, what was said is paid for: the client has left, or has
/// asked for too much.
struct Assembly<P: Platform> {
    chunks: Box<Chunks<P>>,
    is_over: bool,
}

/// How long an engine is waited for.
struct Patience {
    /// When the last event came. Comments are none.
    heard: Timestamp,
    between_bytes: Duration,
    /// When all of it must be here.
    until: Timestamp,
}

/// Puts a stream that has begun together, which must have ended by `until`.
///
/// # Errors
/// When it does not come to its proper end. Nothing is charged for it then, unless it is too large: what was said was
/// asked for.
pub(in crate::pipeline) async fn assembled<P: Platform>(
    exchange: &Exchange<P>,
    chunks: Box<Chunks<P>>,
    mut assembler: AnswerAssembler,
    until: Timestamp,
) -> Result<Bytes, AttemptError> {
    let mut assembly = Assembly { chunks, is_over: false };
    let patience = Patience {
        heard: exchange.platform.now(),
        between_bytes: exchange.config.timeouts.between_bytes,
        until,
    };
    let ended = assembly.read(&exchange.platform, &mut assembler, patience).await;
    assembly.is_over = !matches!(ended, Err(AttemptError::TooLarge { .. }));
    ended?;
    let answer = assembler.finish().ok_or(Garbage::Empty)?;
    assembly.chunks.listeners().on_end(assembly.chunks.is_whole());
    Ok(answer)
}

impl<P: Platform> Assembly<P> {
    /// Takes in chunks up to the stream's end. As with a stream that passes, one alarm looks at all that is due.
    async fn read(
        &mut self,
        platform: &P,
        assembler: &mut AnswerAssembler,
        mut patience: Patience,
    ) -> Result<(), AttemptError> {
        let mut alarm = Box::pin(platform.sleep(patience.left(platform.now())?));
        loop {
            let piece = match select(pin!(self.chunks.next()), &mut alarm).await {
                Either::Left((piece, _)) => piece?,
                Either::Right(_) => {
                    alarm.set(platform.sleep(patience.left(platform.now())?));
                    continue;
                }
            };
            patience.heard = platform.now();
            assembler
                .push(&piece)
                .map_err(|AnswerTooLarge { limit }| AttemptError::TooLarge { limit })?;
            self.chunks.listeners().on_piece();
            if self.chunks.is_done() {
                return Ok(());
            }
        }
    }
}

impl<P: Platform> Drop for Assembly<P> {
    fn drop(&mut self) {
        if !self.is_over {
            self.chunks.listeners().on_end(false);
        }
    }
}

impl Patience {
    /// How long the next event may be waited for; at least as long as a clock's step.
    ///
    /// # Errors
    /// When that has passed.
    fn left(&self, now: Timestamp) -> Result<Duration, AttemptError> {
        if now >= self.until {
            return Err(AttemptError::FirstByteTimeout);
        }
        if now.since(self.heard) >= self.between_bytes {
            return Err(AttemptError::BetweenBytesTimeout);
        }
        let due = self.until.min(self.heard + self.between_bytes);
        Ok(due.since(now).max(SHORTEST_ALARM))
    }
}
