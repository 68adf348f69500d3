//! Requests as clients write them; what is not named here is ignored, as vLLM ignores what it does not know.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::error::ApiError;

/// Decodes a body.
pub(super) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::Malformed {
        message: error.to_string(),
    })
}

/// `POST /v1/chat/completions` and `/v1/completions`: they differ in what they complete.
#[derive(Debug, Deserialize)]
pub(super) struct GenerateRequest {
    pub model: Option<String>,
    pub messages: Option<Vec<Message>>,
    pub prompt: Option<PromptInput>,
    /// Whether it is written, and what; null is something else than nothing for completions.
    #[serde(default, deserialize_with = "written")]
    pub max_tokens: Option<Option<u32>>,
    pub max_completion_tokens: Option<u32>,
    pub min_tokens: Option<u32>,
    pub ignore_eos: Option<bool>,
    pub stop: Option<OneOrMany>,
    pub include_stop_str_in_output: Option<bool>,
    pub n: Option<u32>,
    pub seed: Option<i64>,
    pub stream: Option<bool>,
    pub stream_options: Option<StreamOptions>,
    pub logprobs: Option<Logprobs>,
    pub top_logprobs: Option<u32>,
    pub echo: Option<bool>,
    pub tools: Option<Vec<Value>>,
    pub tool_choice: Option<Value>,
    pub response_format: Option<Value>,
    pub add_generation_prompt: Option<bool>,
    pub continue_final_message: Option<bool>,
    pub cache_salt: Option<String>,
    pub add_special_tokens: Option<bool>,
}

fn written<'de, D: Deserializer<'de>>(json: D) -> Result<Option<Option<u32>>, D::Error> {
    Option::deserialize(json).map(Some)
}

#[derive(Debug, Deserialize)]
pub(super) struct Message {
    pub role: String,
    pub content: Option<MessageContent>,
    pub tool_calls: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum MessageContent {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Deserialize)]
pub(super) struct Part {
    pub r#type: String,
    pub text: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum PromptInput {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<u32>),
    TokenLists(Vec<Vec<u32>>),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// A flag for chats, a count for completions.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
pub(super) enum Logprobs {
    Flag(bool),
    Count(u32),
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct StreamOptions {
    pub include_usage: Option<bool>,
    pub continuous_usage_stats: Option<bool>,
}

/// `POST /v1/embeddings`.
#[derive(Debug, Deserialize)]
pub(super) struct EmbeddingRequest {
    pub model: Option<String>,
    pub input: PromptInput,
    pub encoding_format: Option<String>,
    pub dimensions: Option<usize>,
    pub add_special_tokens: Option<bool>,
}

/// `POST /tokenize`.
#[derive(Debug, Deserialize)]
pub(super) struct TokenizeRequest {
    pub model: Option<String>,
    pub prompt: Option<String>,
    pub messages: Option<Vec<Message>>,
    pub tools: Option<Vec<Value>>,
    pub add_generation_prompt: Option<bool>,
    pub continue_final_message: Option<bool>,
    pub add_special_tokens: Option<bool>,
    pub return_token_strs: Option<bool>,
}

/// `POST /detokenize`.
#[derive(Debug, Deserialize)]
pub(super) struct DetokenizeRequest {
    pub model: Option<String>,
    pub tokens: Vec<u32>,
}
