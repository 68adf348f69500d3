//! What an engine's answer tells, whichever family of API it is in.

use std::ops::Deref;

use bytes::Bytes;
use thiserror::Error;

use super::output_delta::OutputDelta;

/// Tokens that an engine reports to have read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Read, those found in its prefix cache included.
    pub prompt_tokens: u64,
    /// Of those, found in its prefix cache, as far as it tells.
    pub cached_tokens: u64,
    /// Written, over all choices.
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
}

/// What one event of a stream told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventOutcome<'a> {
    /// The usage that it carried.
    pub usage: Option<Usage>,
    /// What the model says in it.
    pub deltas: Deltas<'a>,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoAnswer {
    /// An error, reported inside what should have been an answer.
    #[error("the engine reported an error")]
    Error,
    /// Not a JSON object.
    #[error("not a JSON object")]
    NotJson,
}

impl Usage {
    /// The report, unless it claims more tokens than any request takes: then it counts as missing.
    pub(super) fn if_credible(self) -> Option<Self> {
        let is_credible = self.prompt_tokens.max(self.completion_tokens) <= MOST_TOKENS;
        is_credible.then_some(Self {
            cached_tokens: self.cached_tokens.min(self.prompt_tokens),
            ..self
        })
    }
}

impl EventOutcome<'_> {
    /// That of an event which ends a stream and says nothing else.
    pub(super) const END: Self = Self {
        usage: None,
        deltas: Deltas::Many(Vec::new()),
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
