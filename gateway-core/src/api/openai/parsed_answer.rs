//! What is read of an answer, whole or a chunk of a stream; everything else passes.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::choice_output::ChoiceOutput;
use crate::api::answer::{NoAnswer, Usage};

/// An answer, as far as it is read.
#[derive(Deserialize)]
pub(super) struct ParsedAnswer<'a> {
    /// The model's name.
    #[serde(borrow, default, deserialize_with = "present")]
    pub model: Option<&'a RawValue>,
    /// What [`usage`](Self::usage) is read from.
    #[serde(borrow, default, deserialize_with = "present")]
    pub usage: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    choices: Option<Vec<Choice<'a>>>,
}

/// One of the answers that were asked for, or a piece of it.
#[derive(Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(borrow, default)]
    index: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "message")]
    delta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    /// Why it is complete, as JSON.
    #[serde(borrow, default, deserialize_with = "present")]
    pub finish_reason: Option<&'a RawValue>,
}

impl<'a> ParsedAnswer<'a> {
    /// Reads an answer.
    ///
    /// # Errors
    /// When it is none.
    pub fn of(text: &'a str) -> Result<Self, NoAnswer> {
        // serde would read a struct from an array as well.
        if !text.trim_start().starts_with('{') {
            return Err(NoAnswer::NotJson);
        }
        let parsed: Self = serde_json::from_str(text).map_err(|_| NoAnswer::NotJson)?;
        if parsed.error.is_some_and(is_truthy) {
            return Err(NoAnswer::Error);
        }
        Ok(parsed)
    }

    /// The usage that it reports. One that no request can have counts as missing.
    pub fn usage(&self) -> Option<Usage> {
        let usage = serde_json::from_str::<Option<UsageJson>>(self.usage?.get());
        let UsageJson {
            prompt_tokens,
            completion_tokens,
            prompt_tokens_details,
        } = usage.ok().flatten()?;
        let cached = prompt_tokens_details.and_then(|details| details.cached_tokens);
        Usage {
            prompt_tokens,
            cached_tokens: cached.unwrap_or(0),
            completion_tokens,
        }
        .if_credible()
    }

    /// The answers, or their pieces.
    pub fn choices(&self) -> &[Choice<'a>] {
        self.choices.as_deref().unwrap_or_default()
    }
}

impl<'a> Choice<'a> {
    /// What it says.
    pub fn output(&self) -> ChoiceOutput<'a> {
        ChoiceOutput::read(self.index, self.delta, self.text)
    }
}

#[derive(Deserialize)]
struct UsageJson {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
    #[serde(default)]
    prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Deserialize)]
struct PromptDetails {
    #[serde(default)]
    cached_tokens: Option<u64>,
}

/// A value that is there, also when it is null: it may have to be edited.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

fn is_truthy(value: &RawValue) -> bool {
    !matches!(value.get(), "null" | "false" | "0" | "\"\"")
}
