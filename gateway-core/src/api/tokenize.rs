//! `POST /tokenize` on the wire, in the shape of vLLM's: a prompt or a conversation in, its tokens out.

use bytes::Bytes;
use serde::Serialize;

use super::endpoint::Endpoint;
use super::openai::{Params, read_fields};
use super::prompt::{PromptSource, UnreadablePrompt};
use super::request_error::RequestError;
use crate::ids::Tokens;

/// A request to count.
#[derive(Debug)]
pub struct TokenizeRequest<'a> {
    /// The model as the client names it.
    pub model: String,
    /// What makes the prompt.
    pub source: PromptSource<'a>,
    /// The JSON that it is made of.
    pub prompt_json: Vec<&'a str>,
    /// Whether the answer is to hold the tokens' texts too.
    pub return_token_strs: bool,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TokenizeResponse {
    /// How many tokens the prompt is.
    pub count: Tokens,
    /// The model's context.
    pub max_model_len: Tokens,
    /// The tokens; `None` where the count is no exact one.
    pub tokens: Option<Vec<u32>>,
    /// Their texts, where they were asked for.
    pub token_strs: Option<Vec<String>>,
    /// Whether the engine may count otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub estimated: bool,
    /// The mean error of such estimates as a share of the true count, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<f64>,
}

impl<'a> TokenizeRequest<'a> {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// What is wrong with it, naming the parameter.
    pub fn decode(body: &'a [u8], nesting: usize) -> Result<Self, RequestError> {
        let (_, fields) = read_fields(body, READ, nesting)?;
        let params = Params { fields: &fields };
        let model = params.required::<String>("model", "a string")?;
        let value = |param: &str| fields.given(param);
        let endpoint = match (value("prompt"), value("messages")) {
            (Some(prompt), None) if prompt.starts_with('"') => Endpoint::Completions,
            (Some(_), None) => {
                return Err(RequestError::WrongType {
                    param: "prompt",
                    expected: "a string",
                });
            }
            (None, Some(_)) => Endpoint::Chat,
            (Some(_), Some(_)) => {
                return Err(RequestError::WrongType {
                    param: "prompt",
                    expected: "left out where there are `messages`",
                });
            }
            (None, None) => {
                return Err(RequestError::Missing {
                    param: "prompt",
                    expected: "a string, or there must be `messages`",
                });
            }
        };
        if endpoint == Endpoint::Chat {
            params.messages(|_, _| ())?;
        }
        let source = PromptSource::read(endpoint, &fields).map_err(wrong_type)?;
        let prompt_json = ["tools", "messages", "prompt"]
            .iter()
            .filter_map(|param| value(param))
            .collect();
        let return_token_strs = params.optional("return_token_strs", "a boolean")?.unwrap_or(false);
        Ok(Self {
            model,
            source,
            prompt_json,
            return_token_strs,
        })
    }
}

impl TokenizeResponse {
    /// The answer's body.
    pub fn body(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

fn wrong_type(UnreadablePrompt { param, expected }: UnreadablePrompt) -> RequestError {
    RequestError::WrongType { param, expected }
}

const READ: &[&str] = &[
    "model",
    "prompt",
    "messages",
    "tools",
    "add_special_tokens",
    "return_token_strs",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn error(body: &str) -> String {
        TokenizeRequest::decode(body.as_bytes(), 16).map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn a_prompt_or_messages_and_what_is_wrong_is_named() {
        for (body, expected) in [
            (r#"{"model":"m","prompt":"a"}"#, ""),
            (
                r#"{"model":"m","messages":[{"role":"user","content":"a"}],"prompt":null}"#,
                "",
            ),
            ("[]", "JSON"),
            (r#"{"prompt":"a"}"#, "`model`"),
            (r#"{"model":"m"}"#, "`prompt`"),
            (r#"{"model":"m","prompt":["a"]}"#, "`prompt`"),
            (r#"{"model":"m","prompt":"a","prompt":"b"}"#, "`prompt`"),
            (r#"{"model":"m","prompt":"a","messages":[{"role":"user"}]}"#, "`prompt`"),
            (r#"{"model":"m","messages":[]}"#, "`messages`"),
            (r#"{"model":"m","messages":[7]}"#, "`messages`"),
            (
                r#"{"model":"m","prompt":"a","add_special_tokens":1}"#,
                "`add_special_tokens`",
            ),
            (
                r#"{"model":"m","prompt":"a","return_token_strs":"x"}"#,
                "`return_token_strs`",
            ),
            (
                r#"{"model":"m","messages":[{"role":"user"}],"add_generation_prompt":true,"continue_final_message":true}"#,
                "`continue_final_message`",
            ),
        ] {
            let error = error(body);
            assert!(
                error.contains(expected) && error.is_empty() == expected.is_empty(),
                "{body}: {error}"
            );
        }
        let bomb = format!("{{\"model\":\"m\",\"messages\":{}", "[".repeat(100));
        assert!(error(&bomb).contains("nest"), "{bomb}");
    }
}
