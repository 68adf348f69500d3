//! A text in the shape that the client waits for, whole or as a stream; or none, where the text would be something else than
//! what was asked for.

mod form;
mod refusal;

use bytes::Bytes;
use serde_json::{Value, json};

use super::stream_end::write_end;
use crate::api::canned::{CannedAnswer, NoCannedAnswer};
use crate::api::endpoint::Endpoint;
use crate::api::request::Generation;
use crate::api::sse::data_event;
use form::Form;
use refusal::refusal;

/// The text as the answer to `request`: one JSON body, or the events of a whole stream, with as many choices as are asked for.
/// Its `model` is `canned`, its usage zero.
///
/// # Errors
/// When no text can stand for what is asked for.
pub fn canned(answer: CannedAnswer<'_>, request: &Generation) -> Result<Bytes, NoCannedAnswer> {
    let said = Said::of(answer.text, request)?;
    let choices = request.choices.saturating_mul(match request.endpoint {
        Endpoint::Completions => request.prompts(),
        Endpoint::Chat | Endpoint::Embeddings => 1,
    });
    let each = (said.content.len() + CHOICE_BYTES) as u64;
    if choices.saturating_mul(each) > MOST_BYTES {
        return Err(NoCannedAnswer::TooLong);
    }
    Ok(if request.stream {
        streamed(answer, request, &said, choices)
    } else {
        whole(answer, request, &said, choices)
    })
}

/// What the answer says, in the form that is asked for.
struct Said<'a> {
    content: String,
    /// The same for whoever looks for a refusal first, as OpenAI's SDKs do where an answer has a schema.
    refusal: Option<&'a str>,
}

impl<'a> Said<'a> {
    fn of(text: &'a str, request: &Generation) -> Result<Self, NoCannedAnswer> {
        let plain = |content: String| Self { content, refusal: None };
        Ok(match Form::of(request)? {
            Form::Text => plain(text.to_owned()),
            Form::Json => plain(json!({ JSON_KEY: text }).to_string()),
            Form::Schema(schema) => Self {
                content: refusal(&schema, text).ok_or(NoCannedAnswer::Schema)?.to_string(),
                refusal: Some(text),
            },
        })
    }

    /// What a message, or a piece of one, says.
    fn message(&self) -> Value {
        let mut message = json!({"role": "assistant", "content": self.content});
        if let Some(refusal) = self.refusal {
            message["refusal"] = json!(refusal);
        }
        message
    }
}

fn whole(answer: CannedAnswer<'_>, request: &Generation, said: &Said<'_>, choices: u64) -> Bytes {
    let object = match request.endpoint {
        Endpoint::Chat => "chat.completion",
        Endpoint::Completions | Endpoint::Embeddings => "text_completion",
    };
    let choice = |index| {
        let (name, value) = match request.endpoint {
            Endpoint::Chat => ("message", said.message()),
            Endpoint::Completions | Endpoint::Embeddings => ("text", json!(said.content)),
        };
        json!({"index": index, name: value, "logprobs": null, "finish_reason": "stop"})
    };
    let mut body = envelope(answer, object, (0..choices).map(choice).collect());
    body["usage"] = usage();
    body.to_string().into()
}

/// For each choice a chunk with all that it says, and one that ends it.
fn streamed(answer: CannedAnswer<'_>, request: &Generation, said: &Said<'_>, choices: u64) -> Bytes {
    let (object, name, first, last) = match request.endpoint {
        Endpoint::Chat => ("chat.completion.chunk", "delta", said.message(), json!({})),
        Endpoint::Completions | Endpoint::Embeddings => ("text_completion", "text", json!(said.content), json!("")),
    };
    let mut events = Vec::new();
    for index in 0..choices {
        for (value, finish) in [(&first, Value::Null), (&last, json!("stop"))] {
            let choice = json!({"index": index, name: value, "logprobs": null, "finish_reason": finish});
            let mut chunk = envelope(answer, object, vec![choice]);
            if request.include_usage {
                chunk["usage"] = Value::Null;
            }
            data_event(&chunk.to_string(), &mut events);
        }
    }
    if request.include_usage {
        let mut chunk = envelope(answer, object, Vec::new());
        chunk["usage"] = usage();
        data_event(&chunk.to_string(), &mut events);
    }
    write_end(&mut events);
    events.into()
}

fn envelope(answer: CannedAnswer<'_>, object: &str, choices: Vec<Value>) -> Value {
    let CannedAnswer { id, now, .. } = answer;
    json!({"id": id.as_str(), "object": object, "created": now.as_secs(), "model": "canned", "choices": choices})
}

fn usage() -> Value {
    json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0})
}

/// The only member of an object in JSON mode.
const JSON_KEY: &str = "error";
/// Of all choices together: a request may ask for thousands.
const MOST_BYTES: u64 = 1 << 20;
/// What is around the text in the chunks of a choice, rather more than less.
const CHOICE_BYTES: usize = 512;

#[cfg(test)]
mod tests;
