//! `POST /tokenize` and `/detokenize`, in vLLM's shapes.

use http::StatusCode;
use serde_json::json;

use crate::language::template::Ending;
use crate::server::error::ApiError;
use crate::server::prompt::{Conversation, prompt};
use crate::server::reply::{Reply, json_reply};
use crate::server::shared::Shared;
use crate::server::wire::{DetokenizeRequest, TokenizeRequest, decode as decode_json};

/// The tokens of a prompt or of a conversation.
pub(in crate::server) fn tokenize(shared: &Shared, body: &[u8]) -> Result<Reply, ApiError> {
    let request: TokenizeRequest = decode_json(body)?;
    shared.find_model(request.model.as_deref())?;
    let tokens = match (&request.prompt, &request.messages) {
        (Some(prompt), None) => shared.encode(prompt, request.add_special_tokens.unwrap_or(true)),
        (None, Some(messages)) => {
            let ending = match (request.continue_final_message, request.add_generation_prompt) {
                (Some(true), _) => Ending::LastIsContinued,
                (_, Some(false)) => Ending::Closed,
                _ => Ending::AssistantBegins,
            };
            let conversation = Conversation {
                messages,
                tools: request.tools.as_deref().unwrap_or_default(),
                ending,
                add_special_tokens: request.add_special_tokens == Some(true),
            };
            prompt(shared, body, &conversation)?.tokens
        }
        (Some(_), Some(_)) | (None, None) => {
            let message = "Either prompt or messages must be given.".to_owned();
            return Err(ApiError::invalid(message, "prompt"));
        }
    };
    let spell = || tokens.iter().map(|token| shared.spelling(*token)).collect::<Vec<_>>();
    let texts = (request.return_token_strs == Some(true)).then(spell);
    let answer = json!({
        "count": tokens.len(), "max_model_len": shared.context_tokens, "tokens": tokens, "token_strs": texts,
    });
    Ok(json_reply(StatusCode::OK, answer.to_string().into_bytes()))
}

/// The text of tokens.
pub(in crate::server) fn detokenize(shared: &Shared, body: &[u8]) -> Result<Reply, ApiError> {
    let request: DetokenizeRequest = decode_json(body)?;
    shared.find_model(request.model.as_deref())?;
    let answer = json!({ "prompt": shared.decode(&request.tokens) });
    Ok(json_reply(StatusCode::OK, answer.to_string().into_bytes()))
}
