//! An engine's stream, as the chunks that the client is to see.

use bytes::Bytes;
use futures::StreamExt;

use super::{Listeners, Ruling};
use crate::api::{AnswerRewriter, Decoder, EventTooLarge, NoAnswer, SseEvent};
use crate::ladder::{AttemptError, Garbage};
use crate::pipeline::context::Exchange;
use crate::platform::{Platform, SendError};
use crate::time::Timestamp;

/// Reads an engine's stream and edits its chunks. Nothing waits for anything: what one piece of the upstream
/// completes goes out as one piece.
#[derive(Debug)]
pub(in crate::pipeline) struct Chunks<P: Platform> {
    upstream: P::Body,
    platform: P,
    decoder: Decoder,
    read: Read<P>,
    last_event: Timestamp,
    /// What came until the first good event, until it is handed out.
    begun: Option<Bytes>,
    /// The most that an event may take, and that is held back until then, in bytes.
    event_limit: usize,
}

/// What has been read of the stream.
#[derive(Debug)]
struct Read<P: Platform> {
    rewriter: AnswerRewriter,
    listeners: Listeners<P>,
    chunks: u64,
    /// Something was said other than whose turn it is.
    has_begun: bool,
    /// What ended the stream, after the chunks before it have been handed out.
    end: Option<Result<(), AttemptError>>,
    /// Whether that was a detector, before the engine came to its own end.
    is_cut: bool,
}

impl<P: Platform> Chunks<P> {
    /// Of a stream from which nothing has come yet.
    pub fn new(exchange: &Exchange<P>, upstream: P::Body, rewriter: AnswerRewriter, listeners: Listeners<P>) -> Self {
        Self {
            upstream,
            platform: exchange.platform.clone(),
            decoder: Decoder::new(exchange.config.sizes.event_bytes),
            read: Read {
                rewriter,
                listeners,
                chunks: 0,
                has_begun: false,
                end: None,
                is_cut: false,
            },
            last_event: exchange.platform.now(),
            begun: None,
            event_limit: exchange.config.sizes.event_bytes,
        }
    }

    /// Waits for the first good event. Chunks before it that say nothing are held back, as an error may stand behind them.
    ///
    /// # Errors
    /// When none comes.
    pub async fn begin(&mut self) -> Result<(), AttemptError> {
        let mut begun = self.next().await?;
        if !self.has_begun() {
            let mut held = Vec::from(begun);
            while !self.has_begun() {
                if held.len() > self.event_limit {
                    let limit = self.event_limit;
                    return Err(AttemptError::TooLarge { limit });
                }
                held.extend_from_slice(&self.next().await?);
            }
            begun = held.into();
        }
        // Nothing has gone out: another replica may do better.
        if let Some(Err(error @ AttemptError::Semantic { .. })) = &self.read.end {
            return Err(error.clone());
        }
        self.begun = Some(begun);
        if self.read.chunks == 0 {
            return Err(Garbage::Empty.into());
        }
        self.platform.on_begun(&mut self.upstream);
        Ok(())
    }

    fn has_begun(&self) -> bool {
        self.read.has_begun || self.is_done()
    }

    /// The next chunks; empty when the stream has come to its proper end. Dropping the future loses nothing.
    ///
    /// # Errors
    /// When the stream came to another end.
    pub async fn next(&mut self) -> Result<Bytes, AttemptError> {
        if let Some(begun) = self.begun.take() {
            return Ok(begun);
        }
        loop {
            match &self.read.end {
                Some(Ok(())) => return Ok(Bytes::new()),
                Some(Err(error)) => return Err(error.clone()),
                None => {}
            }
            let out = match self.upstream.next().await {
                Some(Ok(bytes)) => self.on_bytes(&bytes),
                Some(Err(error)) => {
                    self.read.end = Some(Err(error.into()));
                    continue;
                }
                None => self.on_end_of_body(),
            };
            if !out.is_empty() {
                return Ok(out.into());
            }
        }
    }

    /// What is held back of a stream that breaks off.
    pub fn flush(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.read.rewriter.flush(&mut out);
        out
    }

    /// Whether the stream has come to its engine's own end, of which it tells all there is to tell.
    pub fn is_whole(&self) -> bool {
        self.is_done() && !self.read.is_cut
    }

    /// Whether the stream has come to its proper end.
    pub fn is_done(&self) -> bool {
        self.read.end == Some(Ok(()))
    }

    /// Who hears what passes.
    pub fn listeners(&self) -> &Listeners<P> {
        &self.read.listeners
    }

    /// When the engine last sent an event. Comments are none: an engine can send them though its model is stuck.
    pub fn last_event(&self) -> Timestamp {
        self.last_event
    }

    fn on_bytes(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.decoder.push(bytes);
        let mut out = Vec::with_capacity(bytes.len() + OUT_SPARE_BYTES);
        let mut has_event = false;
        while self.read.end.is_none() {
            match self.decoder.next_event() {
                Ok(Some(event)) => {
                    has_event = true;
                    self.read.on_event(&event, &mut out);
                }
                Ok(None) => break,
                Err(EventTooLarge) => {
                    let limit = self.event_limit;
                    self.read.end = Some(Err(AttemptError::TooLarge { limit }));
                }
            }
        }
        if has_event {
            self.last_event = self.platform.now();
        }
        out
    }

    /// The body has ended in good order. Some engines leave out the empty line behind their last event, or that event.
    fn on_end_of_body(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Ok(Some(event)) = self.decoder.finish() {
            self.read.on_event(&event, &mut out);
        }
        let is_cut = matches!(self.read.end, None | Some(Err(AttemptError::Garbage(_))));
        if is_cut {
            let is_complete = self.read.rewriter.finish(&mut out);
            let broken = || SendError::Broken("ended before its last event".to_owned());
            self.read.end = Some(if is_complete { Ok(()) } else { Err(broken().into()) });
        }
        out
    }
}

impl<P: Platform> Read<P> {
    fn on_event(&mut self, event: &SseEvent<'_>, out: &mut Vec<u8>) {
        match self.rewriter.rewrite_event(event, out) {
            Ok(outcome) if outcome.is_end => self.end = Some(Ok(())),
            Ok(outcome) => {
                self.chunks += 1;
                self.has_begun = outcome.has_begun;
                match self.listeners.on_event(event, &outcome) {
                    Some(Ruling::Fails(detector)) => {
                        self.end = Some(Err(AttemptError::Semantic { detector, again: false }));
                    }
                    Some(Ruling::Cut) => self.cut(out),
                    None => {}
                }
            }
            Err(NoAnswer::NotUtf8) => self.on_event(&event.repaired(), out),
            Err(error @ (NoAnswer::Error(_) | NoAnswer::NotJson)) => self.end = Some(Err(error.into())),
        }
    }

    /// The answer ends here. Of one that is complete only the usage is to come, and does.
    fn cut(&mut self, out: &mut Vec<u8>) {
        if self.rewriter.is_complete() {
            return;
        }
        self.rewriter.cut(self.listeners.asked(), self.listeners.used(), out);
        self.end = Some(Ok(()));
        self.is_cut = true;
    }
}

/// What editing may add to the chunks of one piece without another allocation.
const OUT_SPARE_BYTES: usize = 128;
