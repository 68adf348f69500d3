//! What a chat completion will answer, from its messages and parameters.

use super::content::content;
use super::limits::{PromptSize, choices, limits, stops};
use super::plan::{Choice, Plan, Style, choice_seed, request_id, work};
use super::tools::called_tools;
use crate::engine::prefix::PrefixScope;
use crate::language::answer::write;
use crate::language::template::Ending;
use crate::server::error::ApiError;
use crate::server::faults::DrawnFaults;
use crate::server::prompt::{Conversation, prompt};
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
    let messages = request.messages.as_deref().unwrap_or_default();
    if messages.is_empty() {
        return Err(ApiError::invalid(
            "messages must hold at least one message.".to_owned(),
            "messages",
        ));
    }
    let tools = request.tools.as_deref().unwrap_or_default();
    let ending = ending(request)?;
    let conversation = Conversation {
        messages,
        tools,
        ending,
        add_special_tokens: request.add_special_tokens == Some(true),
    };
    let prompt = prompt(shared, exchange.body(), &conversation)?;
    let prompt_tokens = prompt.tokens.len() as u32;
    let stop = stops(request)?;
    let prompt_size = PromptSize {
        tokens: prompt_tokens,
        style: Style::Chat,
    };
    let limits = limits(request, &stop, shared.context_tokens, prompt_size)?;
    let called = called_tools(request, tools, messages)?;
    let pace = shared.pace(drawn, request.stream == Some(true));
    let scope = PrefixScope {
        adapter: model.adapter,
        cache_salt: request.cache_salt.as_deref(),
    };
    let choices = (0..choices(request)?).map(|index| {
        let before_answer = &prompt.tokens[..prompt.answer_start];
        let seed = choice_seed(shared.options.seed, request.seed, model.adapter, index, before_answer);
        let content = content(seed, request, drawn, &called, &prompt.text_so_far);
        let answer = write(seed, content, limits);
        Choice {
            work: work(scope, &prompt.tokens, &answer, pace),
            answer,
            seed,
            echo: None,
        }
    });
    Ok(Plan {
        style: Style::Chat,
        id: format!("chatcmpl-{}", request_id(shared, exchange)),
        created: unix_seconds(),
        model: model.name.to_owned(),
        prompt_tokens,
        choices: choices.collect(),
        top_logprobs: top_logprobs(request),
        finish_reason: drawn.finish_reason().map(str::to_owned),
    })
}

fn ending(request: &GenerateRequest) -> Result<Ending, ApiError> {
    let continues = request.continue_final_message == Some(true);
    let begins = request.add_generation_prompt.unwrap_or(true);
    match (continues, begins) {
        (true, true) => Err(ApiError::invalid(
            "Cannot set both `continue_final_message` and `add_generation_prompt` to True.".to_owned(),
            "continue_final_message",
        )),
        (true, false) => Ok(Ending::LastIsContinued),
        (false, true) => Ok(Ending::AssistantBegins),
        (false, false) => Ok(Ending::Closed),
    }
}

fn top_logprobs(request: &GenerateRequest) -> Option<usize> {
    let asked = match request.logprobs {
        Some(Logprobs::Flag(flag)) => flag,
        Some(Logprobs::Count(count)) => count > 0,
        None => false,
    };
    asked.then(|| request.top_logprobs.unwrap_or(0).min(20) as usize)
}
