//! OpenAI's API on the wire: what is read of requests and answers, and how both are edited without touching a byte
//! that the gateway does not have to.

mod alike;
mod answer;
mod canned;
mod endpoint;
mod error;
pub mod headers;
mod json;
mod models;
mod prompt;
mod request;
mod request_error;
mod said;
mod sse;
mod tokenize;
mod walk;

pub use alike::Alike;
pub use answer::{Answer, Editor, NoAnswer, Usage};
pub use canned::canned;
pub use endpoint::{Endpoint, Route};
pub use error::{ApiError, ErrorKind, error_event};
pub use models::{model_item, model_list};
pub use prompt::{Conversation, Ending, Input, PromptSource, UnreadablePrompt};
pub use request::{Generation, Prompt};
pub use request_error::{PromptLength, RequestError};
pub use said::{LoneText, Part, Said, Strand};
pub use sse::{DONE_EVENT, Decoder, EventTooLarge, comment, data_event};
pub use tokenize::{TokenizeRequest, TokenizeResponse};
