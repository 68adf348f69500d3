//! What a family of API sets: how its requests are read, how its answers are rewritten, and how its clients are told of
//! errors. Nothing outside of this module and of the family's own knows what any of it looks like on the wire.

use bytes::Bytes;
use http::HeaderMap;

use super::answer::{AnswerTooLarge, EventOutcome, NoAnswer, RewrittenAnswer, Usage};
use super::canned::{CannedAnswer, NoCannedAnswer};
use super::endpoint::{Dialect, Endpoint};
use super::error::ApiError;
use super::openai;
use super::request::Generation;
use super::request_error::RequestError;
use super::sse::SseEvent;
use crate::ids::RequestId;
use crate::time::Timestamp;

impl Dialect {
    /// Reads the body of a request to `endpoint`, whose arrays and objects nest at most `nesting` levels deep.
    ///
    /// # Errors
    /// What is wrong with it, naming the parameter.
    pub fn decode(endpoint: Endpoint, body: Bytes, nesting: usize) -> Result<Generation, RequestError> {
        match endpoint.dialect() {
            Self::OpenAi => openai::decode(endpoint, body, nesting),
        }
    }

    /// The key that a client presents.
    pub fn presented_key(self, headers: &HeaderMap) -> Option<&str> {
        match self {
            Self::OpenAi => openai::presented_key(headers),
        }
    }

    /// What rewrites one answer, in which the model is to have the name `model`. Streams keep their usage where
    /// `keep_usage` says so, whole answers always do.
    pub fn rewriter(self, model: &str, keep_usage: bool) -> AnswerRewriter {
        AnswerRewriter(match self {
            Self::OpenAi => Family::OpenAi(openai::Rewriter::new(model, keep_usage)),
        })
    }

    /// What rewrites one whole answer while it passes, in which the model is to have the name `model`.
    pub fn passing_rewriter(self, model: &str) -> PassingRewriter {
        PassingRewriter(match self {
            Self::OpenAi => openai::PassingRewriter::new(model),
        })
    }

    /// What puts a whole answer of at most `limit` bytes together from the events of a stream.
    pub fn assembler(self, limit: usize) -> AnswerAssembler {
        AnswerAssembler(match self {
            Self::OpenAi => openai::Assembler::new(limit),
        })
    }

    /// The canned answer to `request`: one body, or the events of a whole stream.
    ///
    /// # Errors
    /// When no text can stand for what is asked for.
    pub fn canned(answer: CannedAnswer<'_>, request: &Generation) -> Result<Bytes, NoCannedAnswer> {
        match request.endpoint.dialect() {
            Self::OpenAi => openai::canned(answer, request),
        }
    }

    /// A whole answer that was kept, as the answer to a request for it, whole or streamed; it has that id and is made now.
    /// `None` where it is no answer to one that generates.
    pub fn replayed(body: &Bytes, request: &Generation, id: &RequestId, now: Timestamp) -> Option<Bytes> {
        match request.endpoint.dialect() {
            Self::OpenAi => openai::replayed(body, request, id, now),
        }
    }

    /// What a whole answer took, if it may be kept and given again: all that was asked for is there, and came to an end of
    /// its own, or to a bound of the request's own where not `is_bounded` otherwise.
    pub fn kept(body: &[u8], request: &Generation, is_bounded: bool) -> Option<Usage> {
        match request.endpoint.dialect() {
            Self::OpenAi => openai::kept(body, request, is_bounded),
        }
    }

    /// The inputs of a request for embeddings, as they are written; `None` where it is of something else.
    pub fn inputs(request: &Generation) -> Option<Vec<&str>> {
        match request.endpoint.dialect() {
            Self::OpenAi => openai::inputs(request),
        }
    }

    /// A request for embeddings of these of its inputs alone.
    ///
    /// # Errors
    /// When it cannot be read again.
    pub fn with_inputs(request: &Generation, inputs: &[&str], nesting: usize) -> Result<Generation, RequestError> {
        match request.endpoint.dialect() {
            Self::OpenAi => openai::with_inputs(request, inputs, nesting),
        }
    }

    /// Whether the answer to a request may have embeddings as texts, the bytes of their numbers in base64.
    pub fn takes_base64(request: &Generation) -> bool {
        match request.endpoint.dialect() {
            Self::OpenAi => openai::takes_base64(request),
        }
    }

    /// So many embeddings that an answer has, as they are written, in the order of their inputs; `None` where it has
    /// others, or what is no list of numbers, and no base64 where that is taken.
    pub fn embeddings(body: &str, count: usize, takes_base64: bool) -> Option<Vec<&str>> {
        openai::embeddings(body, count, takes_base64)
    }

    /// An answer with all of these embeddings, in place of those that it has; without one, as if an engine that computed
    /// nothing had sent it.
    pub fn joined_embeddings(answer: Option<&str>, model: &str, embeddings: &[&str]) -> Option<Bytes> {
        openai::joined(answer, model, embeddings)
    }

    /// The body that tells of an error.
    pub fn error_body(self, error: &ApiError) -> Bytes {
        match self {
            Self::OpenAi => openai::error_body(error),
        }
    }

    /// The event that ends a stream with an error.
    pub fn error_event(self, error: &ApiError) -> Bytes {
        match self {
            Self::OpenAi => openai::error_event(error),
        }
    }

    /// The type of an answer, streamed or whole.
    pub fn content_type(self, is_stream: bool) -> &'static str {
        match (self, is_stream) {
            (Self::OpenAi, true) => "text/event-stream",
            (Self::OpenAi, false) => "application/json",
        }
    }
}

/// Rewrites one answer of an engine for the client. What it does not have to change stays byte for byte.
#[derive(Clone, Debug)]
pub struct AnswerRewriter(Family);

#[derive(Clone, Debug)]
enum Family {
    OpenAi(openai::Rewriter),
}

impl AnswerRewriter {
    /// Rewrites a whole answer.
    ///
    /// # Errors
    /// When it is none.
    pub fn rewrite_whole<'a>(&self, body: &'a Bytes) -> Result<RewrittenAnswer<'a>, NoAnswer> {
        match &self.0 {
            Family::OpenAi(rewriter) => rewriter.rewrite_whole(body),
        }
    }

    /// Rewrites the next event of a stream: adds to `out` what the client is to see of it, which may be nothing, behind
    /// what was held back of the events before it.
    ///
    /// # Errors
    /// When it is no part of an answer; nothing of it is added then.
    pub fn rewrite_event<'a>(
        &mut self,
        event: &'a SseEvent<'_>,
        out: &mut Vec<u8>,
    ) -> Result<EventOutcome<'a>, NoAnswer> {
        match &mut self.0 {
            Family::OpenAi(rewriter) => rewriter.rewrite_event(event, out),
        }
    }

    /// The engine's stream has ended in good order, without an event that says so: adds the end where the answer is complete
    /// by what it says, and tells whether it is.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> bool {
        match &mut self.0 {
            Family::OpenAi(rewriter) => rewriter.finish(out),
        }
    }

    /// Adds the end of the stream here, as if the model had ended every answer that is open, of so many that were asked
    /// for; with `usage`, where the client wants one.
    pub fn cut(&mut self, asked: u64, usage: Usage, out: &mut Vec<u8>) {
        match &mut self.0 {
            Family::OpenAi(rewriter) => rewriter.cut(asked, usage, out),
        }
    }

    /// Whether all answers of the stream are complete by what it says.
    pub fn is_complete(&self) -> bool {
        match &self.0 {
            Family::OpenAi(rewriter) => rewriter.is_complete(),
        }
    }

    /// Adds what is held back: nothing more comes.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        match &mut self.0 {
            Family::OpenAi(rewriter) => rewriter.flush(out),
        }
    }
}

/// Rewrites a whole answer while it passes, in constant memory.
#[derive(Clone, Debug)]
pub struct PassingRewriter(openai::PassingRewriter);

impl PassingRewriter {
    /// Rewrites the next piece: adds to `out` what the client is to see of it.
    ///
    /// # Errors
    /// When it is no part of an answer.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), NoAnswer> {
        self.0.push(piece, out)
    }

    /// Whether all of the answer has passed.
    pub fn is_complete(&self) -> bool {
        self.0.is_complete()
    }

    /// The usage that has passed.
    pub fn usage(&self) -> Option<Usage> {
        self.0.usage()
    }
}

/// Puts a whole answer together from the events of a stream, as their rewriter writes them for a client that wants the
/// usage.
#[derive(Debug)]
pub struct AnswerAssembler(openai::Assembler);

impl AnswerAssembler {
    /// Takes in some of the events, all whole.
    ///
    /// # Errors
    /// When the answer is over its limit.
    pub fn push(&mut self, events: &[u8]) -> Result<(), AnswerTooLarge> {
        self.0.push(events)
    }

    /// The answer, as its engine would have sent it whole; `None` where the events have none.
    pub fn finish(self) -> Option<Bytes> {
        self.0.finish()
    }
}
