//! A saved answer: one line of JSON, as the body of an answer, and the request that it answers as far as the line has that.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tidegate_core::api::{Dialect, Endpoint};
use tidegate_core::detect::Subject;
use tidegate_core::ids::Tokens;

/// What is looked at of a line.
#[derive(Debug)]
pub struct Answer {
    /// A whole answer as OpenAI's API gives it.
    pub body: Bytes,
    /// What it is an answer to.
    pub subject: Subject,
    /// Whether the line says which tools there were.
    pub knows_tools: bool,
}

impl Answer {
    /// Reads a line.
    ///
    /// # Errors
    /// Says what it should be.
    pub fn read(line: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(line).map_err(|error| format!("no JSON: {error}"))?;
        let text = value.as_str().or(value["text"].as_str());
        let choices = value["choices"].as_array().filter(|choices| !choices.is_empty());
        let body = match (text, choices) {
            (Some(text), None) => {
                json!({"choices": [{"index": 0, "message": {"content": text}, "finish_reason": "stop"}]})
            }
            (None, Some(choices)) => json!({ "choices": choices }),
            (None, None) | (Some(_), Some(_)) => return Err(EXPECTED.to_owned()),
        };
        Ok(Self {
            body: body.to_string().into(),
            subject: subject(&value)?,
            knows_tools: ["messages", "tools", "functions"]
                .iter()
                .any(|field| !value[field].is_null()),
        })
    }
}

/// What the answer is an answer to, where the line has its prompt or its messages.
fn subject(line: &Value) -> Result<Subject, String> {
    let (endpoint, prompt) = match (&line["messages"], &line["prompt"]) {
        (Value::Null, Value::Null) => {
            return Ok(Subject {
                room_tokens: UNBOUNDED.0,
                may_be_empty: true,
                ..Subject::default()
            });
        }
        (Value::Null, prompt) => (Endpoint::Completions, ("prompt", prompt)),
        (messages, _) => (Endpoint::Chat, ("messages", messages)),
    };
    let told = REQUEST_FIELDS.iter().filter(|field| !line[**field].is_null());
    let mut request: Map<String, Value> = told.map(|field| ((*field).to_owned(), line[*field].clone())).collect();
    request.insert("model".to_owned(), "saved".into());
    request.insert(prompt.0.to_owned(), prompt.1.clone());
    let body = Value::Object(request).to_string().into();
    let request = Dialect::decode(endpoint, body, MOST_NESTING).map_err(|error| format!("no request: {error}"))?;
    Ok(request.subject(UNBOUNDED))
}

const EXPECTED: &str = "no answer: it should be a text, an object with `text`, or one with `choices`";
/// What detectors want to know of a request besides its prompt.
const REQUEST_FIELDS: [&str; 6] = [
    "tools",
    "functions",
    "max_tokens",
    "max_completion_tokens",
    "stop",
    "echo",
];
/// As deep as a gateway reads requests, if nothing else is configured.
const MOST_NESTING: usize = 64;
/// More than any answer has.
const UNBOUNDED: Tokens = Tokens(1 << 32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_read_in_every_form() {
        for line in [
            r#"{"text": "", "prompt": "да"}"#,
            r#"{"text": "", "messages": [{"role": "user", "content": "да"}]}"#,
            r#"{"text": "", "messages": [{"role": "user", "content": [{"type": "text", "text": "да"}]}]}"#,
        ] {
            let prompt = Answer::read(line).expect(line).subject.prompt;
            assert!(String::from_utf8_lossy(&prompt).contains("да"), "{line}");
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for line in [
            "{",
            "1",
            "{}",
            r#"{"choices": []}"#,
            r#"{"text": "a", "choices": [{"text": "b"}]}"#,
            r#"{"text": "a", "messages": 1}"#,
        ] {
            assert!(Answer::read(line).is_err(), "{line}");
        }
    }
}
