//! The prompts that requests hold, as text and as tokens: of a conversation by its chat template, of a completion as it
//! is written.

use std::borrow::Cow;

use serde_json::Value;
use tidegate_core::time::Timestamp;
use tidegate_core::tokens::template;

use super::error::ApiError;
use super::shared::{Shared, unix_seconds};
use super::wire::{Message, MessageContent, PromptInput};
use crate::language::template::{Ending, Prompt, Turn, render};
use crate::language::tokenizer::Tokenizer;
use crate::language::tokens::TokenId;

/// What of a request makes the prompt of a conversation.
pub(super) struct Conversation<'a> {
    pub messages: &'a [Message],
    pub tools: &'a [Value],
    pub ending: Ending,
    pub add_special_tokens: bool,
}

/// The prompt of a conversation; `body` is the request as it came.
pub(super) fn prompt(shared: &Shared, body: &[u8], conversation: &Conversation<'_>) -> Result<Prompt, ApiError> {
    match &shared.tokenizer {
        Some(tokenizer) => real_prompt(tokenizer, body, conversation),
        None => {
            let turns: Vec<Turn<'_>> = conversation.messages.iter().map(turn).collect();
            let tools: Vec<String> = conversation.tools.iter().map(Value::to_string).collect();
            Ok(render(&turns, &tools, conversation.ending))
        }
    }
}

/// The prompt as the model's own template and tokenizer make it.
fn real_prompt(tokenizer: &Tokenizer, body: &[u8], conversation: &Conversation<'_>) -> Result<Prompt, ApiError> {
    let ending = match conversation.ending {
        Ending::AssistantBegins => template::Ending::Answer,
        Ending::LastIsContinued => template::Ending::Continuation,
        Ending::Closed => template::Ending::Message,
    };
    let now = Timestamp::from_millis(unix_seconds() * 1_000);
    let text = tokenizer
        .prompt(body, ending, now)
        .map_err(|error| ApiError::invalid(error.to_string(), "messages"))?;
    let last = conversation.messages.last().map(|message| turn(message).text);
    let text_so_far = match (conversation.ending, last) {
        (Ending::LastIsContinued, Some(last)) => last.into_owned(),
        (Ending::LastIsContinued | Ending::AssistantBegins | Ending::Closed, _) => String::new(),
    };
    let before_answer = text.strip_suffix(text_so_far.as_str()).unwrap_or(&text);
    let tokens = tokenizer.encode(&text, conversation.add_special_tokens);
    let answer_start = tokenizer.encode(before_answer, conversation.add_special_tokens).len();
    Ok(Prompt {
        answer_start: answer_start.min(tokens.len()),
        tokens,
        text_so_far,
    })
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

/// A prompt in both its forms.
pub(super) struct TextPrompt {
    pub text: String,
    pub tokens: Vec<TokenId>,
}

/// The prompts that a request holds, in any of the four ways to write them.
pub(super) fn prompts(
    shared: &Shared,
    input: &PromptInput,
    add_special_tokens: Option<bool>,
    param: &'static str,
) -> Result<Vec<TextPrompt>, ApiError> {
    let from_text = |text: &String| TextPrompt {
        tokens: shared.encode(text, add_special_tokens.unwrap_or(true)),
        text: text.clone(),
    };
    let from_tokens = |tokens: &[TokenId]| from_tokens(shared, tokens, param);
    let prompts: Vec<TextPrompt> = match input {
        PromptInput::Text(text) => vec![from_text(text)],
        PromptInput::Texts(texts) => texts.iter().map(from_text).collect(),
        PromptInput::Tokens(tokens) => vec![from_tokens(tokens)?],
        PromptInput::TokenLists(lists) => lists
            .iter()
            .map(|tokens| from_tokens(tokens))
            .collect::<Result<_, _>>()?,
    };
    if prompts.is_empty() || prompts.iter().any(|prompt| prompt.tokens.is_empty()) {
        return Err(ApiError::invalid(
            "The decoder prompt cannot be empty".to_owned(),
            param,
        ));
    }
    Ok(prompts)
}

fn from_tokens(shared: &Shared, tokens: &[TokenId], param: &'static str) -> Result<TextPrompt, ApiError> {
    match tokens.iter().find(|token| !shared.is_token(**token)) {
        Some(unknown) => Err(ApiError::invalid(
            format!("Token id {unknown} is out of vocabulary"),
            param,
        )),
        None => Ok(TextPrompt {
            text: shared.decode(tokens),
            tokens: tokens.to_vec(),
        }),
    }
}
