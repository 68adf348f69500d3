//! An engine's stream, as the chunks that the client is to see.

use bytes::Bytes;
use futures::StreamExt;

use super::{Listeners, UsageMeter};
use crate::api::{AnswerRewriter, Decoder, NoAnswer, SseEvent};
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
    last_byte: Timestamp,
    /// What came first, until it is handed out.
    begun: Option<Bytes>,
}

/// What has been read of the stream.
#[derive(Debug)]
struct Read<P: Platform> {
    rewriter: AnswerRewriter,
    listeners: Listeners<P>,
    chunks: u64,
    /// What ended the stream, after the chunks before it have been handed out.
    end: Option<Result<(), AttemptError>>,
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
                end: None,
            },
            last_byte: exchange.platform.now(),
            begun: None,
        }
    }

    /// Waits for the first good event.
    ///
    /// # Errors
    /// When none comes.
    pub async fn begin(&mut self) -> Result<(), AttemptError> {
        self.begun = Some(self.next().await?);
        if self.read.chunks == 0 {
            return Err(Garbage::Empty.into());
        }
        Ok(())
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
            match self.upstream.next().await {
                Some(Ok(bytes)) => {
                    self.last_byte = self.platform.now();
                    let out = self.on_bytes(&bytes);
                    if !out.is_empty() {
                        return Ok(out.into());
                    }
                }
                Some(Err(error)) => self.read.end = Some(Err(error.into())),
                None => self.read.end = Some(Err(SendError::Broken("ended before its last event".to_owned()).into())),
            }
        }
    }

    /// Whether the stream has come to its proper end.
    pub fn is_done(&self) -> bool {
        self.read.end == Some(Ok(()))
    }

    /// What the answer has taken so far.
    pub fn meter(&self) -> &UsageMeter<P> {
        &self.read.listeners.meter
    }

    /// When the engine last sent anything.
    pub fn last_byte(&self) -> Timestamp {
        self.last_byte
    }

    fn on_bytes(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.decoder.push(bytes);
        let mut out = Vec::with_capacity(bytes.len() + OUT_SPARE_BYTES);
        while self.read.end.is_none() {
            match self.decoder.next_event() {
                Ok(Some(event)) => self.read.on_event(&event, &mut out),
                Ok(None) => break,
                Err(_) => self.read.end = Some(Err(Garbage::TooLarge.into())),
            }
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
                self.listeners.on_deltas(&outcome.deltas, outcome.usage);
            }
            Err(NoAnswer::Error) => self.end = Some(Err(AttemptError::InBand)),
            Err(NoAnswer::NotJson) => self.end = Some(Err(Garbage::NotJson.into())),
        }
    }
}

/// What editing may add to the chunks of one piece without another allocation.
const OUT_SPARE_BYTES: usize = 128;
