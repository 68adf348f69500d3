//! APIs on the wire: what is read of requests and answers, and how both are edited without touching a byte that the
//! gateway does not have to. What belongs to one family of API stands in a module of its own, behind [`Dialect`].

mod admin;
mod answer;
mod cache_salt;
mod canned;
mod content_coding;
mod dialect;
mod endpoint;
mod engine_error;
mod error;
pub mod headers;
mod json_cursor;
mod json_edits;
mod json_fields;
mod last_words;
mod models;
mod openai;
mod output_bound;
mod output_delta;
mod prompt;
mod request;
mod request_error;
mod sse;
mod steering;
mod subject;
mod tokenize;

#[cfg(any(test, feature = "schema"))]
pub use admin::admin_api;
pub use admin::{AdminPath, AdminRoute, Right};
pub use answer::{AnswerTooLarge, Deltas, EventOutcome, NoAnswer, RewrittenAnswer, Usage};
pub use cache_salt::CacheSalt;
pub use canned::{CannedAnswer, NoCannedAnswer};
pub use content_coding::{ContentCoding, gzip};
pub use dialect::{AnswerAssembler, AnswerRewriter, PassingRewriter};
pub use endpoint::{Audience, Dialect, Endpoint, Route};
pub use engine_error::EngineError;
pub use error::{ApiError, ErrorKind};
pub(crate) use json_cursor::{JsonCursor, string as json_string};
pub use models::{model_item, model_list};
pub use output_bound::OutputLimit;
pub use output_delta::{CallPart, Ended, OutputChannel, OutputDelta, Part};
pub use prompt::{Conversation, Ending, Input, PromptSource, UnreadablePrompt};
pub use request::{AskedAs, Generation, Role, WholeReason};
pub use request_error::{PromptLength, RequestError};
pub use sse::{Decoder, EventTooLarge, SseEvent, comment};
pub use steering::{MediaUrl, Steering};
pub use tokenize::{TokenizeRequest, TokenizeResponse};
