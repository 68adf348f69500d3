//! How long an answer may become, and with what sampling: the request's numbers, checked.

use super::plan::Style;
use crate::language::answer::Limits;
use crate::server::error::ApiError;
use crate::server::wire::{GenerateRequest, Logprobs, OneOrMany};

/// Most choices per prompt.
const MOST_CHOICES: u32 = 128;
/// Output tokens of a completion that names no bound, as with OpenAI; one that names null has none.
const DEFAULT_OUTPUT_TOKENS: u32 = 16;

/// Choices asked for per prompt.
pub(super) fn choices(request: &GenerateRequest) -> Result<u32, ApiError> {
    let choices = request.n.unwrap_or(1);
    if (1..=MOST_CHOICES).contains(&choices) {
        return Ok(choices);
    }
    Err(ApiError::invalid(
        format!("n must be at least 1 and at most {MOST_CHOICES}, got {choices}."),
        "n",
    ))
}

/// What vLLM refuses because it makes no sense together.
pub(super) fn check_combinations(request: &GenerateRequest) -> Result<(), ApiError> {
    if request.stream_options.is_some() && request.stream != Some(true) {
        let message = "Stream options can only be defined when `stream=True`.".to_owned();
        return Err(ApiError::invalid(message, "stream_options"));
    }
    let asks_for_logprobs = matches!(request.logprobs, Some(Logprobs::Flag(true) | Logprobs::Count(_)));
    if request.top_logprobs.is_some_and(|top| top > 0) && !asks_for_logprobs {
        let message = "when using `top_logprobs`, `logprobs` must be set to true.".to_owned();
        return Err(ApiError::invalid(message, "top_logprobs"));
    }
    Ok(())
}

/// The stop strings.
pub(super) fn stops(request: &GenerateRequest) -> Result<Vec<String>, ApiError> {
    let stops = match &request.stop {
        None => Vec::new(),
        Some(OneOrMany::One(stop)) => vec![stop.clone()],
        Some(OneOrMany::Many(stops)) => stops.clone(),
    };
    if stops.iter().any(String::is_empty) {
        return Err(ApiError::invalid(
            "stop cannot contain an empty string.".to_owned(),
            "stop",
        ));
    }
    Ok(stops)
}

/// The bound that the request names or means, and its name: what vLLM reads of a chat and of a completion.
fn asked(request: &GenerateRequest, style: Style) -> Option<(u32, &'static str)> {
    let max_tokens = |bound| Some((bound, "max_tokens"));
    match style {
        Style::Chat => match request.max_completion_tokens {
            Some(bound) => Some((bound, "max_completion_tokens")),
            None => request.max_tokens.flatten().and_then(max_tokens),
        },
        Style::Completion => request
            .max_tokens
            .unwrap_or(Some(DEFAULT_OUTPUT_TOKENS))
            .and_then(max_tokens),
    }
}

/// The limits of one answer behind a prompt of so many tokens. Without one it may fill the context; more than that has
/// room for is cut to that, as vLLM does it (`get_max_tokens`), unless it is more than the whole context
/// (`TokenizeParams`).
pub(super) fn limits<'a>(
    request: &GenerateRequest,
    stop: &'a [String],
    context: u32,
    prompt: PromptSize,
) -> Result<Limits<'a>, ApiError> {
    let asked = asked(request, prompt.style);
    if let Some((asked, param)) = asked
        && asked > context
    {
        let message = format!(
            "{param}={asked} cannot be greater than max_model_len={context}. Please request fewer output tokens."
        );
        return Err(ApiError::invalid(message, param));
    }
    if prompt.tokens > context {
        return Err(ApiError::ContextLength {
            context,
            prompt: prompt.tokens,
        });
    }
    let room = context - prompt.tokens;
    let max_tokens = asked.map_or(room, |(asked, _)| asked.min(room));
    if max_tokens == 0 {
        return Err(ApiError::invalid(
            "max_tokens must be at least 1, got 0.".to_owned(),
            "max_tokens",
        ));
    }
    let min_tokens = request.min_tokens.unwrap_or(0);
    if min_tokens > max_tokens {
        let message = format!("min_tokens must be less than or equal to max_tokens={max_tokens}, got {min_tokens}.");
        return Err(ApiError::invalid(message, "min_tokens"));
    }
    Ok(Limits {
        max_tokens,
        min_tokens,
        ignore_eos: request.ignore_eos == Some(true),
        stop,
        include_stop: request.include_stop_str_in_output == Some(true),
    })
}

/// What is there before the answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct PromptSize {
    /// Its length.
    pub tokens: u32,
    /// What it is the prompt of.
    pub style: Style,
}
