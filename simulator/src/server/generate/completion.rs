//! What a text completion will answer.
//!
//! The text goes on from the prompt's last words, so that a request whose prompt already holds the begin of an answer
//! is answered with the rest of it.

use super::content::faulty_text;
use super::limits::{PromptSize, choices, limits, stops};
use super::plan::{Choice, Plan, Style, choice_seed, request_id, work};
use crate::engine::prefix::PrefixScope;
use crate::language::answer::{Content, write};
use crate::server::error::ApiError;
use crate::server::faults::DrawnFaults;
use crate::server::prompt::prompts;
use crate::server::record::Exchange;
use crate::server::shared::{Shared, unix_seconds};
use crate::server::wire::{GenerateRequest, Logprobs};

/// Plans the reply.
pub(super) fn plan(
    shared: &Shared,
    request: &GenerateRequest,
    drawn: &DrawnFaults,
    exchange: &Exchange,
) -> Result<Plan, ApiError> {
    let model = shared.find_model(request.model.as_deref())?;
    let input = request
        .prompt
        .as_ref()
        .ok_or_else(|| ApiError::invalid("prompt is required.".to_owned(), "prompt"))?;
    let prompts = prompts(shared, input, request.add_special_tokens, "prompt")?;
    let stop = stops(request)?;
    let per_prompt = choices(request)?;
    let pace = shared.pace(drawn, request.stream == Some(true));
    let scope = PrefixScope {
        adapter: model.adapter,
        cache_salt: request.cache_salt.as_deref(),
    };
    let mut planned = Vec::with_capacity(prompts.len() * per_prompt as usize);
    for prompt in &prompts {
        let prompt_size = PromptSize {
            tokens: prompt.tokens.len() as u32,
            style: Style::Completion,
        };
        let limits = limits(request, &stop, shared.context_tokens, prompt_size)?;
        for index in 0..per_prompt {
            let seed = choice_seed(shared.options.seed, request.seed, model.adapter, index, &[]);
            let content = faulty_text(drawn).unwrap_or(Content::Prose { after: &prompt.text });
            let answer = write(seed, content, limits);
            let echo = (request.echo == Some(true)).then(|| prompt.text.clone());
            planned.push(Choice {
                work: work(scope, &prompt.tokens, &answer, pace),
                answer,
                seed,
                echo,
            });
        }
    }
    Ok(Plan {
        style: Style::Completion,
        id: format!("cmpl-{}", request_id(shared, exchange)),
        created: unix_seconds(),
        model: model.name.to_owned(),
        prompt_tokens: prompts.iter().map(|prompt| prompt.tokens.len() as u32).sum(),
        choices: planned,
        top_logprobs: top_logprobs(request),
        finish_reason: drawn.finish_reason().map(str::to_owned),
    })
}

fn top_logprobs(request: &GenerateRequest) -> Option<usize> {
    match request.logprobs {
        Some(Logprobs::Count(count)) => Some(count.min(20) as usize),
        Some(Logprobs::Flag(true)) => Some(1),
        Some(Logprobs::Flag(false)) | None => None,
    }
}
