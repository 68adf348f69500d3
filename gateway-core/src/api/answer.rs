//! What is read of an engine's answer, and how it is edited on its way to the client: the model's public name, no
//! usage for clients that did not ask, reasons to finish that clients know.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use thiserror::Error;

use super::json::Edits;
use super::request::quoted;
use super::said::Said;

/// Tokens that an engine reports to have read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Usage {
    /// Read, those found in its prefix cache included.
    #[serde(default)]
    pub prompt_tokens: u64,
    /// Written, over all choices.
    #[serde(default)]
    pub completion_tokens: u64,
}

/// How one answer, whole or in chunks, is edited.
#[derive(Clone, Debug)]
pub struct Editor {
    /// The model's public name as a JSON string.
    model: String,
    /// Whether the usage stays in a stream's chunks.
    keep_usage: bool,
}

/// A whole answer, or one chunk of a stream, as the client is to see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The JSON; `None` for a chunk that is only about usage that the client did not ask for.
    pub json: Option<Cow<'a, str>>,
    /// The usage that it carried.
    pub usage: Option<Usage>,
    /// What the model says in it, one entry for each of the answers that it is about.
    pub said: Vec<Said<'a>>,
}

/// What came is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoAnswer {
    /// An error, reported inside what should have been an answer.
    #[error("the engine reported an error")]
    Error,
    /// Not a JSON object.
    #[error("not a JSON object")]
    NotJson,
}

impl Editor {
    /// An editor that names the model `model`. Whole answers always keep their usage.
    pub fn new(model: &str, keep_usage: bool) -> Self {
        Self {
            model: quoted(model),
            keep_usage,
        }
    }

    /// Edits a whole answer.
    ///
    /// # Errors
    /// When it is none.
    pub fn whole<'a>(&'a self, text: &'a str) -> Result<Answer<'a>, NoAnswer> {
        self.edit(text, true)
    }

    /// Edits one chunk of a stream.
    ///
    /// # Errors
    /// When it is none.
    pub fn chunk<'a>(&'a self, text: &'a str) -> Result<Answer<'a>, NoAnswer> {
        self.edit(text, self.keep_usage)
    }

    fn edit<'a>(&'a self, text: &'a str, keep_usage: bool) -> Result<Answer<'a>, NoAnswer> {
        // serde would read a struct from an array as well.
        if !text.trim_start().starts_with('{') {
            return Err(NoAnswer::NotJson);
        }
        let read: Read<'a> = serde_json::from_str(text).map_err(|_| NoAnswer::NotJson)?;
        if read.error.is_some_and(is_truthy) {
            return Err(NoAnswer::Error);
        }
        let usage = read
            .usage
            .and_then(|usage| serde_json::from_str::<Option<Usage>>(usage.get()).ok().flatten());
        let choices = read.choices.unwrap_or_default();
        if !keep_usage && usage.is_some() && choices.is_empty() {
            return Ok(Answer {
                json: None,
                usage,
                said: Vec::new(),
            });
        }
        let mut edits = Edits::new(text);
        if let Some(model) = read.model.filter(|model| model.get() != self.model) {
            edits.replace(model, self.model.as_str());
        }
        if let Some(usage) = read.usage.filter(|_| !keep_usage) {
            edits.remove("usage", usage);
        }
        for reason in choices.iter().filter_map(|choice| choice.finish_reason) {
            if let Some(known) = known_reason(reason.get()) {
                edits.replace(reason, known);
            }
        }
        let json = if edits.is_empty() {
            Cow::Borrowed(text)
        } else {
            Cow::Owned(edits.apply())
        };
        Ok(Answer {
            json: Some(json),
            usage,
            said: choices.iter().map(Choice::said).collect(),
        })
    }
}

/// Whether `body` is an error in the API's shape.
pub(super) fn has_error_object(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Shape<'a> {
        #[serde(borrow)]
        error: &'a RawValue,
    }
    std::str::from_utf8(body)
        .ok()
        .and_then(|text| serde_json::from_str::<Shape<'_>>(text).ok())
        .is_some_and(|shape| shape.error.get().starts_with('{'))
}

/// What is read of an answer; everything else passes.
#[derive(Deserialize)]
struct Read<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    model: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    choices: Option<Vec<Choice<'a>>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    index: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "message")]
    delta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    finish_reason: Option<&'a RawValue>,
}

impl<'a> Choice<'a> {
    fn said(&self) -> Said<'a> {
        Said {
            index: self.index.map(RawValue::get),
            message: self.delta.map(RawValue::get),
            text: self.text.map(RawValue::get),
        }
    }
}

/// A value that is there, also when it is null: it may have to be edited.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

fn is_truthy(value: &RawValue) -> bool {
    !matches!(value.get(), "null" | "false" | "0" | "\"\"")
}

/// The reason that clients know for one that an engine made up; `None` where it can stay.
fn known_reason(reason: &str) -> Option<&'static str> {
    match reason.trim_matches('"') {
        "stop" | "length" | "tool_calls" | "content_filter" | "function_call" | "null" => None,
        // TGI's and others' words for the answer's bound.
        "max_tokens" | "max_length" | "model_length" => Some("\"length\""),
        "tool_call" | "tool_use" => Some("\"tool_calls\""),
        // `eos_token`, `stop_sequence`, `end_turn`, `abort` and what will come.
        _ => Some("\"stop\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(keep_usage: bool, text: &str) -> (Option<String>, Option<Usage>) {
        let editor = Editor::new("public", keep_usage);
        let answer = editor.chunk(text).unwrap();
        (answer.json.map(Cow::into_owned), answer.usage)
    }

    #[test]
    fn the_model_gets_its_public_name_and_all_else_stays() {
        let text =
            r#"{"id":"x", "model":"served","choices":[{"delta":{"model":"served"},"finish_reason":null}],"n":1.0}"#;
        assert_eq!(
            chunk(false, text).0.unwrap(),
            text.replacen("\"served\"", "\"public\"", 1)
        );
    }

    #[test]
    fn usage_is_for_those_who_asked() {
        let usage = Some(Usage {
            prompt_tokens: 3,
            completion_tokens: 4,
        });
        let last = r#"{"model":"public","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#;
        assert_eq!(chunk(true, last), (Some(last.to_owned()), usage));
        assert_eq!(chunk(false, last), (None, usage));
        let null = r#"{"model":"public","choices":[{}],"usage":null}"#;
        assert_eq!(chunk(true, null), (Some(null.to_owned()), None));
        assert_eq!(
            chunk(false, null),
            (Some(r#"{"model":"public","choices":[{}]}"#.to_owned()), None)
        );
        let beside = r#"{"choices":[{"delta":{}}],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#;
        assert_eq!(
            chunk(false, beside),
            (Some(r#"{"choices":[{"delta":{}}]}"#.to_owned()), usage)
        );
    }

    #[test]
    fn reasons_to_finish_are_those_that_clients_know() {
        for (reason, seen) in [
            ("\"eos_token\"", "\"stop\""),
            ("\"model_length\"", "\"length\""),
            ("\"length\"", "\"length\""),
        ] {
            let text = format!(r#"{{"choices":[{{"finish_reason":{reason}}}]}}"#);
            assert_eq!(
                chunk(false, &text).0.unwrap(),
                format!(r#"{{"choices":[{{"finish_reason":{seen}}}]}}"#)
            );
        }
    }

    #[test]
    fn errors_and_garbage_are_no_answers() {
        let editor = Editor::new("public", false);
        assert_eq!(
            editor.chunk(r#"{"error":{"message":"out of memory"}}"#),
            Err(NoAnswer::Error)
        );
        assert_eq!(editor.chunk(r#"{"error":"boom"}"#), Err(NoAnswer::Error));
        assert!(editor.chunk(r#"{"error":null,"choices":[]}"#).is_ok());
        for garbage in ["", "hello", "[1]", "{\"a\":", "\"x\"", "{\"choices\":7}"] {
            assert_eq!(editor.whole(garbage), Err(NoAnswer::NotJson), "{garbage}");
        }
    }
}
