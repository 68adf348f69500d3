//! What a chat completion will answer, from its messages and parameters.

use std::borrow::Cow;

use serde_json::Value;
use tidegate_core::time::Timestamp;
use tidegate_core::tokens::template;

use super::content::content;
use super::limits::{Prompted, choices, invalid, limits, stops};
use super::plan::{Choice, Plan, Style, choice_seed, work};
use super::tools::called_tools;
use crate::engine::prefix::PrefixScope;
use crate::language::answer::write;
use crate::language::random::hash_bytes;
use crate::language::template::{Ending, Prompt, Turn, render};
use crate::language::tokenizer::Tokenizer;
use crate::server::error::ApiError;
use crate::server::faults::Drawn;
use crate::server::record::Exchange;
use crate::server::shared::{Shared, unix_seconds};
use crate::server::wire::{GenerateRequest, Logprobs, Message, MessageContent};

/// Plans the reply.
pub(super) fn plan(
    shared: &Shared,
    request: &GenerateRequest,
    drawn: &Drawn,
    exchange: &Exchange,
) -> Result<Plan, ApiError> {
    let model = shared.find_model(request.model.as_deref())?;
    let messages = request.messages.as_deref().unwrap_or_default();
    if messages.is_empty() {
        return Err(invalid(
            "messages must hold at least one message.".to_owned(),
            "messages",
        ));
    }
    let tools = request.tools.as_deref().unwrap_or_default();
    let ending = ending(request)?;
    let asked = Asked {
        messages,
        tools,
        ending,
        add_special_tokens: request.add_special_tokens == Some(true),
    };
    let prompt = prompt(shared, exchange.body(), &asked)?;
    let prompt_tokens = prompt.tokens.len() as u32;
    let stop = stops(request)?;
    let prompted = Prompted {
        tokens: prompt_tokens,
        default_output: None,
        place: "messages",
    };
    let limits = limits(request, &stop, shared.context_tokens, prompted)?;
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

/// What of a request makes the prompt of a conversation.
pub(in crate::server) struct Asked<'a> {
    pub messages: &'a [Message],
    pub tools: &'a [Value],
    pub ending: Ending,
    pub add_special_tokens: bool,
}

/// The prompt of a conversation; `body` is the request as it came.
pub(in crate::server) fn prompt(shared: &Shared, body: &[u8], asked: &Asked<'_>) -> Result<Prompt, ApiError> {
    match &shared.tokenizer {
        Some(tokenizer) => real_prompt(tokenizer, body, asked),
        None => {
            let turns: Vec<Turn<'_>> = asked.messages.iter().map(turn).collect();
            let tools: Vec<String> = asked.tools.iter().map(Value::to_string).collect();
            Ok(render(&turns, &tools, asked.ending))
        }
    }
}

/// The prompt as the model's own template and tokenizer make it.
fn real_prompt(tokenizer: &Tokenizer, body: &[u8], asked: &Asked<'_>) -> Result<Prompt, ApiError> {
    let ending = match asked.ending {
        Ending::AssistantBegins => template::Ending::Answer,
        Ending::LastIsContinued => template::Ending::Continuation,
        Ending::Closed => template::Ending::Message,
    };
    let now = Timestamp::from_millis(unix_seconds() * 1_000);
    let text = tokenizer
        .prompt(body, ending, now)
        .map_err(|error| invalid(error.to_string(), "messages"))?;
    let last = asked.messages.last().map(|message| turn(message).text);
    let text_so_far = match (asked.ending, last) {
        (Ending::LastIsContinued, Some(last)) => last.into_owned(),
        (Ending::LastIsContinued | Ending::AssistantBegins | Ending::Closed, _) => String::new(),
    };
    let before_answer = text.strip_suffix(text_so_far.as_str()).unwrap_or(&text);
    let tokens = tokenizer.encode(&text, asked.add_special_tokens);
    let answer_start = tokenizer.encode(before_answer, asked.add_special_tokens).len();
    Ok(Prompt {
        answer_start: answer_start.min(tokens.len()),
        tokens,
        text_so_far,
    })
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

fn ending(request: &GenerateRequest) -> Result<Ending, ApiError> {
    let continues = request.continue_final_message == Some(true);
    let begins = request.add_generation_prompt.unwrap_or(true);
    match (continues, begins) {
        (true, true) => Err(invalid(
            "Cannot set both `continue_final_message` and `add_generation_prompt` to True.".to_owned(),
            "continue_final_message",
        )),
        (true, false) => Ok(Ending::LastIsContinued),
        (false, true) => Ok(Ending::AssistantBegins),
        (false, false) => Ok(Ending::Closed),
    }
}

/// A message as the model reads it.
pub(super) fn turn(message: &Message) -> Turn<'_> {
    let (text, images) = match &message.content {
        None => (Cow::Borrowed(""), 0),
        Some(MessageContent::Text(text)) => (Cow::Borrowed(text.as_str()), 0),
        Some(MessageContent::Parts(parts)) => {
            let text: String = parts.iter().filter_map(|part| part.text.as_deref()).collect();
            let images = parts.iter().filter(|part| part.r#type.contains("image")).count();
            (Cow::Owned(text), images as u32)
        }
    };
    let text = match &message.tool_calls {
        Some(calls) if !calls.is_null() => Cow::Owned(format!("{text}{calls}")),
        _ => text,
    };
    Turn {
        role: &message.role,
        text,
        images,
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
