//! What an engine's answer tells, whichever family of API it is in.

use std::ops::Deref;

use bytes::Bytes;
use thiserror::Error;

use super::engine_error::EngineError;
use super::output_delta::{Ended, OutputDelta};

/// Tokens that an engine reports to have read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Read, those found in its prefix cache included; 0 where it does not say.
    pub prompt_tokens: u64,
    /// Of those, found in its prefix cache; `None` where it does not tell.
    pub cached_tokens: Option<u64>,
    /// Written, over all choices; 0 where it does not say.
    pub completion_tokens: u64,
}

/// A whole answer as the client is to see it, and what it tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RewrittenAnswer<'a> {
    /// The body.
    pub body: Bytes,
    /// The usage that it carried.
    pub usage: Option<Usage>,
    /// What the model says in it.
    pub deltas: Vec<OutputDelta<'a>>,
    /// Which of the answers have ended in it.
    pub ended: Vec<Ended>,
}

/// What one event of a stream told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventOutcome<'a> {
    /// The usage that it carried.
    pub usage: Option<Usage>,
    /// What the model says in it.
    pub deltas: Deltas<'a>,
    /// Which of the answers end with it.
    pub ended: Vec<Ended>,
    /// Whether the answer has begun: with it or before, something was said other than whose turn it is.
    pub has_begun: bool,
    /// Whether it is the stream's proper end.
    pub is_end: bool,
}

/// What a model says in one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deltas<'a> {
    /// One text, as most events have.
    One(OutputDelta<'a>),
    /// Any number of them.
    Many(Vec<OutputDelta<'a>>),
}

/// What came is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoAnswer {
    /// An error, reported inside what should have been an answer.
    #[error("the engine reported an error")]
    Error(#[source] EngineError),
    /// Not a JSON object.
    #[error("not a JSON object")]
    NotJson,
    /// Not UTF-8, such as half a character: [`SseEvent::repaired`](super::SseEvent::repaired) mends it.
    #[error("not UTF-8")]
    NotUtf8,
}

/// An answer that is put together is over its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("an answer is larger than {limit} bytes")]
pub struct AnswerTooLarge {
    /// The limit, in bytes.
    pub limit: usize,
}

impl Usage {
    /// The report, unless it has no figures, or claims more tokens than any request takes: then it counts as missing.
    pub(super) fn if_credible(self) -> Option<Self> {
        let most = self.prompt_tokens.max(self.completion_tokens);
        let is_credible = (1..=MOST_TOKENS).contains(&most);
        is_credible.then_some(Self {
            cached_tokens: self.cached_tokens.map(|cached| cached.min(self.prompt_tokens)),
            ..self
        })
    }
}

impl EventOutcome<'_> {
    /// That of an event which ends a stream and says nothing else.
    pub(super) const END: Self = Self {
        usage: None,
        deltas: Deltas::Many(Vec::new()),
        ended: Vec::new(),
        has_begun: true,
        is_end: true,
    };
}

impl<'a> Deref for Deltas<'a> {
    type Target = [OutputDelta<'a>];

    fn deref(&self) -> &Self::Target {
        match self {
            Self::One(delta) => std::slice::from_ref(delta),
            Self::Many(deltas) => deltas,
        }
    }
}

/// A thousand answers of a million tokens.
const MOST_TOKENS: u64 = 1_000_000_000;
