//! OpenAI's API on the wire: what is read of requests and answers, and how both are edited without touching a byte
//! that the gateway does not have to.

mod answer;
mod canned;
mod endpoint;
mod error;
pub mod headers;
mod json;
mod json_cursor;
mod models;
mod output_delta;
mod prompt;
mod request;
mod request_error;
mod sse;
mod templated_chunk;
mod tokenize;

pub use answer::{AnswerRewriter, NoAnswer, RewrittenAnswer, Usage};
pub use canned::canned;
pub use endpoint::{Endpoint, Route};
pub use error::{ApiError, ErrorKind, error_event};
pub use models::{model_item, model_list};
pub use output_delta::{OutputChannel, OutputDelta, Part, SingleDelta};
pub use prompt::{Conversation, Ending, Input, PromptSource, UnreadablePrompt};
pub use request::{Generation, Prompt};
pub use request_error::{PromptLength, RequestError};
pub use sse::{DONE_EVENT, Decoder, EventTooLarge, SseEvent, comment, data_event};
pub use templated_chunk::TemplatedChunk;
pub use tokenize::{TokenizeRequest, TokenizeResponse};
