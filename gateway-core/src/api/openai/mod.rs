//! OpenAI's API, as its clients and the engines that imitate it speak it: what a request and an answer look like, how a
//! stream ends, how an error is told and a key presented.

mod affixes;
mod assemble;
mod canned;
mod choice_output;
mod cut;
mod embeddings;
mod error_body;
mod finish_reason;
mod key;
mod params;
mod parsed_answer;
mod passing;
mod replay;
mod request;
mod rewriter;
mod steering;
mod stream_end;
mod templated_chunk;
mod usage;
mod whole_only;

pub(super) use assemble::Assembler;
pub(super) use canned::canned;
pub(super) use embeddings::{embeddings, inputs, joined, takes_base64, with_inputs};
pub(super) use error_body::{error_body, error_event};
pub(super) use key::presented_key;
pub(super) use params::Params;
pub(super) use passing::PassingRewriter;
pub(super) use replay::{kept, replayed};
pub(super) use request::{decode, read_fields};
pub(super) use rewriter::Rewriter;
