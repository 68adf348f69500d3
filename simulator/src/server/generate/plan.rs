//! Everything about an answer that is known before its first token: what vLLM would find out while generating.

use crate::engine::prefix::{PrefixScope, block_hashes};
use crate::engine::sequence::{Pace, SequenceRequest};
use crate::language::answer::Answer;
use crate::language::random::{hash_bytes, hash_tokens};
use crate::language::tokens::TokenId;
use crate::server::driver::Work;
use crate::server::record::Exchange;
use crate::server::shared::Shared;

/// Which of the two shapes the reply has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Chat,
    Completion,
}

/// The choices to generate, in the order of their index.
#[derive(Debug)]
pub(super) struct Plan {
    pub style: Style,
    pub id: String,
    pub created: u64,
    pub model: String,
    /// Prompt tokens of the whole request: each prompt counts once, however many choices it has.
    pub prompt_tokens: u32,
    pub choices: Vec<Choice>,
    /// Candidates per token when log probabilities are asked for.
    pub top_logprobs: Option<usize>,
    /// A finish reason that a fault gives instead of the true one.
    pub finish_reason: Option<String>,
}

/// One choice.
#[derive(Debug)]
pub(super) struct Choice {
    pub answer: Answer,
    /// Seed of its log probabilities.
    pub seed: u64,
    /// Prompt and answer in blocks, until the engine has them.
    pub work: Option<SequenceRequest>,
    /// Text of the prompt when it is to be repeated (`echo`).
    pub echo: Option<String>,
}

impl Plan {
    /// What the engine is to compute; taken out, because nobody else needs it.
    pub fn take_works(&mut self) -> Vec<Work> {
        let works = self.choices.iter_mut().filter_map(|choice| {
            let request = choice.work.take()?;
            Some(Work {
                request,
                finish: choice.answer.finish,
            })
        });
        works.collect()
    }

    /// Output tokens of all choices.
    pub fn completion_tokens(&self) -> u32 {
        self.choices
            .iter()
            .map(|choice| choice.answer.tokens.len() as u32)
            .sum()
    }
}

/// The caller's `x-request-id`, as vLLM takes it over, or one of our own.
pub(super) fn request_id(shared: &Shared, exchange: &Exchange) -> String {
    let given = exchange
        .parts()
        .headers
        .get("x-request-id")
        .and_then(|id| id.to_str().ok());
    given.map_or_else(
        || {
            let number = hash_bytes(shared.options.seed, &exchange.id().to_le_bytes());
            format!("{number:016x}{:016x}", exchange.id())
        },
        str::to_owned,
    )
}

/// The seed of one choice: equal for equal engine seeds, request seeds, adapters and prompts.
pub(super) fn choice_seed(
    engine: u64,
    request: Option<i64>,
    adapter: Option<&str>,
    index: u32,
    prompt: &[TokenId],
) -> u64 {
    let adapter = hash_bytes(engine, adapter.unwrap_or_default().as_bytes());
    let request = request.unwrap_or_default() as u64;
    hash_tokens(hash_tokens(adapter ^ request.rotate_left(17), &[index]), prompt)
}

/// What the engine computes for one answer.
pub(super) fn work(scope: PrefixScope<'_>, prompt: &[TokenId], answer: &Answer, pace: Pace) -> Option<SequenceRequest> {
    let mut tokens = Vec::with_capacity(prompt.len() + answer.tokens.len());
    tokens.extend_from_slice(prompt);
    tokens.extend_from_slice(&answer.tokens);
    Some(SequenceRequest {
        prompt_tokens: prompt.len() as u32,
        output_tokens: answer.tokens.len() as u32,
        block_hashes: block_hashes(scope, &tokens),
        pace,
    })
}
