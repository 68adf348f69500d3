//! What a canned answer is written from, and why there may be none.

use thiserror::Error;

use crate::ids::RequestId;
use crate::time::Timestamp;

/// What a canned answer says, and what it is called by.
#[derive(Clone, Copy, Debug)]
pub struct CannedAnswer<'a> {
    /// What it says.
    pub text: &'a str,
    /// The request's id, and the answer's.
    pub id: &'a RequestId,
    /// When it is made.
    pub now: Timestamp,
}

/// Why no text can stand for the answer that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoCannedAnswer {
    /// It is to be vectors.
    #[error("a text is no embedding")]
    Embedding,
    /// It has to be a call of a tool.
    #[error("the request demands a call of a tool")]
    ToolCall,
    /// It has to be of a form that only engines know: a grammar, a regular expression, a choice.
    #[error("the request sets a form that a text cannot have")]
    Guided,
    /// It has to be of a schema in which nothing but an answer has a place.
    #[error("the schema of the answer has no place for a refusal")]
    Schema,
    /// As many answers as the request asks for would be too long.
    #[error("the request asks for too many answers")]
    TooLong,
}

impl NoCannedAnswer {
    /// One word for metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Embedding => "embedding",
            Self::ToolCall => "tool_call",
            Self::Guided => "guided",
            Self::Schema => "schema",
            Self::TooLong => "too_long",
        }
    }
}
