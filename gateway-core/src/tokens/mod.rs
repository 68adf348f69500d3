//! How many tokens a request takes: an estimate from bytes, made before an engine is asked.

mod placeholder;
mod tables;

pub use placeholder::{Chat, ChatSource, ChatTemplate, Rendered, Table, TableError, TemplateError, Wrapping};
pub use tables::{TABLE_EXTENSION, Tables, Tokenizer};

use crate::api::Generation;
use crate::ids::Tokens;

/// What a request is expected to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Tokens of the prompt.
    pub prompt: Tokens,
    /// kv_cache that prompt and answers fill at their end.
    pub kv: Tokens,
}

/// Estimates `request`. An answer is taken to be as long as its bound allows, but no longer than `expected_output`:
/// bounds are mostly set far above what comes.
pub fn estimate(request: &Generation, expected_output: Tokens) -> Count {
    let prompt = Tokens((request.prompt_bytes as u64).div_ceil(BYTES_PER_TOKEN));
    let output = request.max_output.unwrap_or(u64::MAX).min(expected_output.0);
    Count {
        prompt,
        kv: prompt + Tokens(output.saturating_mul(request.choices)),
    }
}

/// OpenAI's rule of thumb for English text (help center, "What are tokens and how to count them?").
const BYTES_PER_TOKEN: u64 = 4;
