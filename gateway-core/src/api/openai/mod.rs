//! OpenAI's API, as its clients and the engines that imitate it speak it: what an answer looks like, how it ends, how an
//! error is told and a key presented.

mod canned;
mod choice_output;
mod error_body;
mod key;
mod parsed_answer;
mod rewriter;
mod stream_end;
mod templated_chunk;

pub(super) use canned::canned;
pub(super) use error_body::{error_body, error_event};
pub(super) use key::presented_key;
pub(super) use rewriter::Rewriter;
