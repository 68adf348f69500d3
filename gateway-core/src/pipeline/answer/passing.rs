//! A whole answer that its engine sends as one body, on its way to the client piece by piece: embeddings, which may be
//! larger than memory should hold. What comes first is held back, so that small answers are read as a whole, and those
//! that fail early are asked for elsewhere.

use bytes::Bytes;
use futures::StreamExt;

use super::{Listeners, read_whole};
use crate::api::{AnswerRewriter, PassingRewriter};
use crate::ladder::AttemptError;
use crate::pipeline::context::Exchange;
use crate::platform::{Platform, SendError};
use crate::time::Timestamp;

/// Reads an engine's body and edits it. Dropping the future of a piece loses nothing.
#[derive(Debug)]
pub(in crate::pipeline) struct Passing<P: Platform> {
    upstream: P::Body,
    platform: P,
    rewriter: PassingRewriter,
    listeners: Listeners<P>,
    /// What was held back, until it is handed out.
    held: Option<Bytes>,
    last_piece: Timestamp,
    is_done: bool,
}

/// What has come of a body.
pub(in crate::pipeline) enum Begun<P: Platform> {
    /// All of it.
    Whole(Bytes),
    /// So much that the rest passes.
    Passing(Box<Passing<P>>),
}

/// Reads a body until all of it is here, or enough to pass it on.
///
/// # Errors
/// When it breaks off, or is no answer.
pub(in crate::pipeline) async fn begin_passing<P: Platform>(
    exchange: &Exchange<P>,
    mut body: P::Body,
    rewriters: (AnswerRewriter, PassingRewriter),
    listeners: Listeners<P>,
) -> Result<Begun<P>, AttemptError> {
    let (whole, mut rewriter) = rewriters;
    let mut held = Vec::new();
    while held.len() < HELD_BACK {
        match body.next().await.transpose()? {
            Some(piece) => held.extend_from_slice(&piece),
            None => return read_whole(held.into(), &whole, listeners).map(Begun::Whole),
        }
    }
    let mut out = Vec::with_capacity(held.len());
    rewriter.push(&held, &mut out)?;
    let platform = exchange.platform.clone();
    platform.on_begun(&mut body);
    Ok(Begun::Passing(Box::new(Passing {
        upstream: body,
        last_piece: platform.now(),
        platform,
        rewriter,
        listeners,
        held: Some(out.into()),
        is_done: false,
    })))
}

impl<P: Platform> Passing<P> {
    /// The next piece; `None` at the proper end.
    ///
    /// # Errors
    /// When the body ends elsewhere.
    pub async fn next(&mut self) -> Result<Option<Bytes>, AttemptError> {
        if self.held.is_some() {
            return Ok(self.held.take());
        }
        let mut out = Vec::new();
        while out.is_empty() {
            let Some(piece) = self.upstream.next().await.transpose()? else {
                return self.on_end();
            };
            self.last_piece = self.platform.now();
            self.rewriter.push(&piece, &mut out)?;
        }
        Ok(Some(out.into()))
    }

    /// The body has ended in good order, which it also does where an engine dies behind what stands between here and there.
    fn on_end(&mut self) -> Result<Option<Bytes>, AttemptError> {
        if !self.rewriter.is_complete() {
            return Err(SendError::Broken("ended before its object".to_owned()).into());
        }
        self.is_done = true;
        self.listeners.on_whole_passed();
        Ok(None)
    }

    /// When the engine last sent anything.
    pub fn last_piece(&self) -> Timestamp {
        self.last_piece
    }

    /// No more of it passes: what it took is settled.
    pub fn close(&mut self) {
        self.listeners.on_usage(self.rewriter.usage());
        self.listeners.on_end(self.is_done);
    }
}

/// Bytes of a body that are held back before it passes: some embeddings of the largest models, of 4,096 numbers with up to
/// 20 digits.
const HELD_BACK: usize = 256 << 10;
